package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/camsim"
)

// asProgram is the environment variable that makes the test's own binary the program: for runs as another user.
const asProgram = "NIGHTJAR_TEST_AS_PROGRAM"

// TestMain gives the servers of these tests a zone and a directory in memory of their own.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "1" {
		main()
	}
	dir, err := os.MkdirTemp("", "nightjar-cmd-")
	if err != nil {
		panic(err)
	}
	os.Setenv("RUNTIME_DIRECTORY", dir)
	os.Setenv("TZ", "Europe/Berlin")
	os.Unsetenv("NIGHTJAR_DATA")
	flag.Parse()
	flag.Set("test.parallel", "16") // they wait for cameras, most of the time
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// patience bounds every wait for something that normally takes a moment.
const patience = 20 * time.Second

// until asks again and again until ok says yes.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	within(t, patience, what, ok)
}

func within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	timeout, ticker := time.NewTimer(limit), time.NewTicker(20*time.Millisecond)
	defer timeout.Stop()
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-timeout.C:
			t.Fatalf("still not after %v: %s", limit, what)
		}
	}
}

// said is what a command line came to.
type said struct {
	code     int
	out, err string
}

func (s said) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", s.code, s.out, s.err)
}

// nightjar carries out a command line in this process.
func nightjar(t testing.TB, args ...string) said {
	t.Helper()
	return nightjarInput(t, "", args...)
}

func nightjarInput(t testing.TB, input string, args ...string) said {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), terminal{strings.NewReader(input), &out, &err}, args)
	return said{code, out.String(), err.String()}
}

// works carries out a command line that has to succeed and returns its output.
func works(t testing.TB, args ...string) string {
	t.Helper()
	s := nightjar(t, args...)
	if s.code != 0 {
		t.Fatalf("nightjar %s: %v", strings.Join(args, " "), s)
	}
	return s.out
}

// fails carries out a command line that has to fail with a code and one sentence that holds each of the words.
func fails(t testing.TB, code int, args []string, words ...string) {
	t.Helper()
	s := nightjar(t, args...)
	sentence(t, strings.Join(args, " "), s, code, words...)
}

// sentence holds what a failed command said to the rules for it.
func sentence(t testing.TB, what string, s said, code int, words ...string) {
	t.Helper()
	if s.code != code {
		t.Errorf("%s: %v, want exit %d", what, s, code)
	}
	line := strings.TrimSuffix(s.err, "\n")
	if !strings.HasPrefix(line, "nightjar") || strings.Contains(line, "\n") {
		t.Errorf("%s: want one sentence: %v", what, s)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("%s: %q is not in: %s", what, w, line)
		}
	}
	t.Logf("%s", line)
}

// dataDirectory makes one by the command, with a short name as it holds a Unix socket.
func dataDirectory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nj")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	works(t, "init", "--data", dir)
	return dir
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

// server is `nightjar run` in this process.
type server struct {
	out, err sharedBuffer
	base     string
	stop     func() int // ends it and returns its exit code; may be called twice
}

var announced = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// serve runs the verb run, or demo, until the test ends.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- run(ctx, terminal{strings.NewReader(""), &s.out, &s.err}, args) }()
	s.stop = sync.OnceValue(func() int {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("nightjar %s: exit %d: %s", strings.Join(args, " "), code, s.err.String())
		}
	})
	until(t, "the server says its address", func() bool {
		select {
		case code := <-done:
			done <- code
			t.Fatalf("nightjar %s: exit %d: %s", strings.Join(args, " "), code, s.err.String())
		default:
		}
		m := announced.FindStringSubmatch(s.out.String())
		if m != nil {
			s.base = "http://" + m[1]
		}
		return m != nil
	})
	return s
}

// ask reads JSON of the API, at base.
func ask(t testing.TB, base, path string, out any) {
	t.Helper()
	a, err := http.Get(base + "/api/v1" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", a.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// taken is a recording as the API lists it.
type taken struct {
	ID, EndReason, RFC6381, Audio, Codec, Run  string
	StartTime90k, EndTime90k, MediaDuration90k int64
	VideoSamples, KeySamples, Width, Height    int
	Bytes                                      int64
	Growing                                    bool
}

// recordings lists those of a stream of the last day, oldest first.
func recordings(t testing.TB, base, stream string) (all []taken) {
	t.Helper()
	after := ""
	for {
		var list struct {
			Recordings []taken
			Next       string
		}
		ask(t, base, "/cameras/"+stream+"/recordings?limit=1000&after="+after, &list)
		all = append(all, list.Recordings...)
		if after = list.Next; after == "" {
			return all
		}
	}
}

// samples totals the video samples of a stream.
func samples(t testing.TB, base, stream string) (n int) {
	for _, r := range recordings(t, base, stream) {
		n += r.VideoSamples
	}
	return n
}

// state is how a stream is.
type state struct{ Phase, Reason, Detail, Hint string }

// stateOf asks for it.
func stateOf(t testing.TB, base, camera string) state {
	t.Helper()
	var c struct{ Streams []struct{ State state } }
	ask(t, base, "/cameras/"+camera, &c)
	return c.Streams[0].State
}

// simulated is a camsim in this process.
type simulated struct {
	*camsim.Server
	address string
}

func (s *simulated) url(path string) string { return "rtsp://" + s.address + path }

func (s *simulated) sent(path string) int64 { return s.Counts().Paths[path].SamplesSent }

// simulate runs small cheap cameras until the test ends.
func simulate(t testing.TB, o camsim.Options) *simulated {
	t.Helper()
	o.Width, o.Height, o.BitRate, o.GOP = 320, 192, 300_000, 10
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
