package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// TestCheckOnlineOffline: the same output and exit code whether a server runs or not, of a clean store and a damaged one.
func TestCheckOnlineOffline(t *testing.T) {
	t.Parallel()
	data, err := os.MkdirTemp("", "nj") // short: it holds a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	if err := nvr.Init(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	recordSome(t, data) // its camera is gone afterwards: nothing more is recorded
	check := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(t.Context(), terminal{strings.NewReader(""), &out, &out}, append([]string{"check", "--data", data}, args...))
		return code, out.String()
	}
	forms := [][]string{{"--level", "presence"}, {"--level", "size", "--json"}, {"--level", "hash", "--json"}, {"--level", "hash"}}
	compare := func(code int) {
		t.Helper()
		ctx, stop := context.WithCancel(context.Background())
		conf := config.Default()
		conf.Data, conf.Listen = data, "127.0.0.1:0"
		ready, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- nvr.Run(ctx, conf, nvr.Options{Version: "test", Log: slog.New(slog.DiscardHandler), Ready: func(nvr.Info) { close(ready) }})
		}()
		<-ready
		var online []string
		for _, f := range forms {
			c, text := check(f...)
			if strings.Contains(strings.Join(f, " "), "hash") && c != code {
				t.Errorf("online, %v: exit %d, want %d: %s", f, c, code, text)
			}
			online = append(online, text)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for i, f := range forms {
			c, text := check(f...)
			if strings.Contains(strings.Join(f, " "), "hash") && c != code {
				t.Errorf("offline, %v: exit %d, want %d: %s", f, c, code, text)
			}
			if text != online[i] {
				t.Errorf("%v: offline\n%s\nonline\n%s", f, text, online[i])
			}
		}
	}
	compare(0)
	files, err := filepath.Glob(filepath.Join(nvr.DefaultDirectory(data), "0000*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("not what the camera sent"), 500); err != nil {
		t.Fatal(err)
	}
	f.Close()
	compare(1)
}
