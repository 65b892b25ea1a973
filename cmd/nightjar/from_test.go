package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/server/api"
	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// TestExportFrom records a simulated camera, stops the server and throws the catalog away: the export from the sample
// file directory alone has the bytes that the server gave.
func TestExportFrom(t *testing.T) {
	t.Parallel()
	data, err := os.MkdirTemp("", "nj") // short: it holds a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	if err := nvr.Init(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	query, want := recordSome(t, data)
	samples := nvr.DefaultDirectory(data)
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		os.Remove(filepath.Join(data, name))
	}
	if left, _ := filepath.Glob(filepath.Join(data, "catalog*")); len(left) > 0 {
		t.Fatalf("the catalog is still there: %v", left)
	}
	export := func(args ...string) (code int, text string, file []byte) {
		var out bytes.Buffer
		name := filepath.Join(t.TempDir(), "x.mp4")
		code = run(t.Context(), terminal{strings.NewReader(""), &out, &out}, append([]string{"export", "--from", samples, "-o", name}, args...))
		file, _ = os.ReadFile(name)
		return code, out.String(), file
	}
	code, text, got := export("front/main", "--start", query.start, "--end", query.end)
	if code != 0 || !bytes.Equal(got, want) {
		t.Errorf("exit %d, %d bytes, the server gave %d\n%s", code, len(got), len(want), text)
	}
	code, text, _ = export("back/main", "--start", query.start, "--end", query.end)
	if code != 1 || !strings.Contains(text, "there is no back/main") || !strings.Contains(text, "front/main\t") {
		t.Errorf("exit %d: %s", code, text)
	}
	code, text, _ = export("front/main", "--start", "2001-01-01", "--end", "2001-01-02")
	if code != 1 || !strings.Contains(text, "nothing of front/main is recorded") {
		t.Errorf("exit %d: %s", code, text)
	}
	files, err := filepath.Glob(filepath.Join(samples, "0000*"))
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
	code, text, got = export("front/main", "--start", query.start, "--end", query.end)
	if code != 1 || got != nil || !strings.Contains(text, "not those that were written") {
		t.Errorf("exit %d with damaged bytes, %d bytes: %s", code, len(got), text)
	}
}

type timespan struct{ start, end string }

// recordSome records a few seconds and returns a span with the bytes that the server makes of it.
func recordSome(t *testing.T, data string) (timespan, []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sim := camsim.New(camsim.Options{Width: 320, Height: 192, BitRate: 300_000, GOP: 10, Audio: true})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- sim.Serve(ctx, l) }()
	conf := config.Default()
	conf.Data, conf.Listen = data, "127.0.0.1:0"
	ready := make(chan string, 1)
	go func() {
		ended <- nvr.Run(ctx, conf, nvr.Options{
			Version: "test", Log: slog.New(slog.DiscardHandler), Ready: func(i nvr.Info) { ready <- i.Address },
			Cameras: []api.NewCamera{{Name: "front", Main: "rtsp://" + l.Addr().String() + "/cam0", Audio: true}},
		})
	}()
	defer func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	base := "http://" + <-ready + "/api/v1/cameras/front/main/"
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var list struct {
		Recordings []struct {
			VideoSamples             int
			StartTime90k, EndTime90k int64
		}
	}
	for len(list.Recordings) == 0 || list.Recordings[0].VideoSamples < 20 {
		select {
		case <-again.C:
			if err := json.Unmarshal(fetch(t, base+"recordings"), &list); err != nil {
				t.Fatal(err)
			}
		case <-deadline.C:
			t.Fatal("nothing is recorded")
		}
	}
	r := list.Recordings[0]
	s := timespan{fmt.Sprintf("%dt", r.StartTime90k+20_000), fmt.Sprintf("%dt", (r.StartTime90k+r.EndTime90k)/2)}
	return s, fetch(t, base+"view.mp4?start="+s.start+"&end="+s.end)
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	a, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %.200s", url, a.Status, err, text)
	}
	return text
}
