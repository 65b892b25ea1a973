package front

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve runs both doors for a test and returns the TCP address and the socket.
func serve(t *testing.T, h http.Handler) (address, socket string) {
	t.Helper()
	tcp, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "s")
	unixDoor, err := ListenSocket(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Handler: h, Log: slog.New(slog.DiscardHandler), Grace: 100 * time.Millisecond}, tcp, unixDoor)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tcp.Addr().String(), socket
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	w.Write(b)
}

func TestDoors(t *testing.T) {
	address, socket := serve(t, http.HandlerFunc(echo))
	for _, c := range []struct {
		name, method, host, site string
		body                     string
		want                     int
	}{
		{"plain", "GET", "", "", "", 200},
		{"localhost", "GET", "localhost:8080", "", "", 200},
		{"rebound name", "GET", "evil.example", "", "", 421},
		{"rebound name with our port", "GET", "evil.example:8080", "", "", 421},
		{"script", "POST", "", "", "x", 200},
		{"own page", "POST", "", "same-origin", "x", 200},
		{"other site", "POST", "", "cross-site", "x", 403},
		{"long body", "POST", "", "", strings.Repeat("x", maxBody+1), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, "http://"+address+"/", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Body.Close()
			if a.StatusCode != c.want {
				t.Errorf("%d, want %d", a.StatusCode, c.want)
			}
		})
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	a, err := client.Post("http://nightjar/", "text/plain", strings.NewReader("through the socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if b, _ := io.ReadAll(a.Body); string(b) != "through the socket" {
		t.Errorf("the socket answered %q", b)
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v", info.Mode(), err)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	first, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Listen(first.Addr().String()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("port taken: %v", err)
	}
	if _, err := ListenSocket("/" + strings.Repeat("long", 40)); err == nil || !strings.Contains(err.Error(), "shorter path") {
		t.Errorf("long path: %v", err)
	}
	left := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ListenSocket(left)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
