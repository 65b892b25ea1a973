package nvr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// TestMain gives the servers of these tests a memory file system's directory and a zone of their own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "nightjar-nvr-")
	if err != nil {
		panic(err)
	}
	os.Setenv("RUNTIME_DIRECTORY", dir)
	os.Setenv("TZ", "Europe/Berlin")
	flag.Parse()
	flag.Set("test.parallel", "32") // they wait for cameras, most of the time
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// patience bounds every wait for something that normally takes a moment.
const patience = 20 * time.Second

// until asks again and again until ok says yes.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout, ticker := time.NewTimer(patience), time.NewTicker(20*time.Millisecond)
	defer timeout.Stop()
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-timeout.C:
			t.Fatalf("still not after %v: %s", patience, what)
		}
	}
}

// simulated is a camsim in this process.
type simulated struct {
	*camsim.Server
	address string
}

// simulate runs small cheap cameras until the test ends.
func simulate(t testing.TB, o camsim.Options) *simulated {
	t.Helper()
	if o.Width == 0 {
		o.Width, o.Height, o.BitRate = 320, 192, 300_000
	}
	o.GOP = 10
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{camsim.New(o), l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("camsim: %v", err)
		}
	})
	return s
}

// url names a stream of a camera.
func (s *simulated) url(path string) string { return "rtsp://" + s.address + path }

// server is a Nightjar in this process.
type server struct {
	t    testing.TB
	conf config.Config
	base string // URL of the API
	log  *sharedBuffer
	stop func() error // ends it in order; may be called twice
}

// sharedBuffer is a bytes.Buffer for several goroutines.
type sharedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// dataDirectory makes one with a catalog.
func dataDirectory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nj") // short: it holds a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := nvr.Init(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve runs a server on a data directory until the test ends; change may adjust its configuration and options.
func serve(t testing.TB, data string, change ...func(*config.Config, *nvr.Options)) *server {
	t.Helper()
	s := &server{t: t, conf: config.Default(), log: &sharedBuffer{}}
	s.conf.Data, s.conf.Listen = data, "127.0.0.1:0"
	ready := make(chan nvr.Info, 1)
	o := nvr.Options{
		Version: "test", Ready: func(i nvr.Info) { ready <- i },
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&s.conf, &o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- nvr.Run(ctx, s.conf, o) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	select {
	case i := <-ready:
		s.base = "http://" + i.Address + "/api/v1"
	case err := <-done:
		done <- err
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the server is not ready")
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the server stopped with: %v", err)
		}
	})
	return s
}

// discard is a log that nobody reads.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request; path begins with a slash, or is a whole URL. Redirects are not followed.
func (s *server) ask(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	if strings.HasPrefix(path, "/") {
		path = s.base + path
	}
	r, err := http.NewRequest(method, path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{a.StatusCode, a.Header, text}
}

// must sends a request that has to succeed, and decodes the answer into out unless that is nil.
func (s *server) must(method, path string, body, out any) {
	s.t.Helper()
	a := s.ask(method, path, body)
	if a.status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
}

// refused sends a request that has to fail with a status and returns the sentence.
func (s *server) refused(status int, method, path string, body any) string {
	s.t.Helper()
	a := s.ask(method, path, body)
	var p struct {
		Status int
		Detail string
	}
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != status || p.Status != status || p.Detail == "" {
		s.t.Errorf("%s %s: %d %s, want a problem document with %d", method, path, a.status, a.body, status)
	}
	return p.Detail
}

// fields is a JSON object of a request.
type fields map[string]any

// taken is a recording as the API lists it.
type taken struct {
	ID, Codec, RFC6381, Run, Audio, EndReason, EndDetail string
	StartTime90k, EndTime90k, MediaDuration90k, Bytes    int64
	VideoSamples, KeySamples, RunOffset                  int
	Width, Height                                        int
	Growing                                              bool
}

// recordings lists those of a stream, oldest first.
func (s *server) recordings(stream string) []taken {
	s.t.Helper()
	var list struct{ Recordings []taken }
	s.must("GET", "/cameras/"+stream+"/recordings", nil, &list)
	return list.Recordings
}

// samples totals the video samples that are recorded of a stream.
func (s *server) samples(stream string) (n int) {
	for _, r := range s.recordings(stream) {
		n += r.VideoSamples
	}
	return n
}

// missing is a gap as the API lists it.
type missing struct {
	Camera, Stream, Reason, Detail string
	StartTime90k                   int64
	EndTime90k                     *int64
}

// gaps lists the ledger of a stream.
func (s *server) gaps(stream string) []missing {
	s.t.Helper()
	camera, name, _ := strings.Cut(stream, "/")
	var list struct{ Gaps []missing }
	s.must("GET", fmt.Sprintf("/gaps?camera=%s&stream=%s", camera, name), nil, &list)
	return list.Gaps
}

// state tells how a stream is.
func (s *server) state(stream string) (phase, reason, detail string) {
	s.t.Helper()
	camera, name, _ := strings.Cut(stream, "/")
	var c struct {
		Streams []struct {
			Name  string
			State struct{ Phase, Reason, Detail string }
		}
	}
	s.must("GET", "/cameras/"+camera, nil, &c)
	for _, st := range c.Streams {
		if st.Name == name {
			return st.State.Phase, st.State.Reason, st.State.Detail
		}
	}
	s.t.Fatalf("no stream %s", stream)
	return "", "", ""
}

// listed waits until a stream has at least n samples recorded, and returns its recordings.
func (s *server) listed(stream string, n int) []taken {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%s has %d samples", stream, n), func() bool { return s.samples(stream) >= n })
	return s.recordings(stream)
}
