package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/camsim"
)

// strict makes the tests of the built programs long, and times count as on a quiet machine.
var strict = os.Getenv("NIGHTJAR_STRICT") == "1"

// needE2E skips a test of the built programs unless it is asked for.
func needE2E(t *testing.T) {
	t.Helper()
	if os.Getenv("NIGHTJAR_E2E") != "1" {
		t.Skip("set NIGHTJAR_E2E=1 to try the built programs")
	}
}

// either returns the second value in the long form.
func either[T any](short, long T) T {
	if strict {
		return long
	}
	return short
}

// built makes the programs once and returns the directory.
var built = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "bin")
	c := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "nightjar/cmd/nightjar", "nightjar/cmd/camsim")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, nil
})

// program returns the path of a built program.
func program(t testing.TB, name string) string {
	t.Helper()
	dir, err := built()
	must(t, err)
	return filepath.Join(dir, name)
}

// process is a program that runs beside the test.
type process struct {
	t        testing.TB
	name     string
	cmd      *exec.Cmd
	out, err sharedBuffer
	done     chan struct{}
}

// launch starts a program; it is stopped at the test's end.
func launch(t testing.TB, c *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(c.Path), cmd: c, done: make(chan struct{})}
	c.Stdout, c.Stderr = &p.out, &p.err
	must(t, c.Start())
	go func() {
		c.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	return p
}

// end sends a signal and waits until the process is gone.
func (p *process) end(s syscall.Signal) {
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s does not end after signal %d", p.name, s)
		p.cmd.Process.Kill()
		<-p.done
	}
}

// announces waits for a line of standard output and returns its sub-matches.
func (p *process) announces(pattern string) []string {
	p.t.Helper()
	var m []string
	within(p.t, time.Minute, p.name+" says "+pattern, func() bool {
		m = regexp.MustCompile(pattern).FindStringSubmatch(p.out.String())
		select {
		case <-p.done:
			if m == nil {
				p.t.Fatalf("%s ended with %v: %s", p.name, p.cmd.ProcessState, p.err.String())
			}
		default:
		}
		return m != nil
	})
	return m
}

// memory returns the resident bytes of the process.
func (p *process) memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(p.t, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("%s has no memory", p.name)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	must(p.t, err)
	return n << 10
}

// camera is a camsim process.
type camera struct {
	*process
	address, control string
}

func launchCamsim(t testing.TB, args ...string) *camera {
	t.Helper()
	c := &camera{process: launch(t, exec.Command(program(t, "camsim"), append([]string{"--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"}, args...)...))}
	m := c.announces(`rtsp://([0-9.:]+)/.*control at (http://[0-9.:]+)/counts`)
	c.address, c.control = m[1], m[2]
	return c
}

func (c *camera) url(path string) string { return "rtsp://" + c.address + path }

func (c *camera) get(path string, out any) {
	c.t.Helper()
	a, err := http.Get(c.control + path)
	must(c.t, err)
	defer a.Body.Close()
	must(c.t, json.NewDecoder(a.Body).Decode(out))
}

func (c *camera) counts(path string) camsim.PathCounts {
	c.t.Helper()
	var all camsim.Counts
	c.get("/counts", &all)
	return *all.Paths[path]
}

// recorder is `nightjar run` or `nightjar demo` as a process.
type recorder struct {
	*process
	base string
}

func launchNightjar(t testing.TB, args ...string) *recorder {
	t.Helper()
	r := &recorder{process: launch(t, exec.Command(program(t, "nightjar"), args...))}
	r.base = r.announces(`(http://127\.0\.0\.1:\d+)`)[1]
	return r
}

// e2eData makes a data directory with the built program.
func e2eData(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nj")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	command(t, "init", "--data", dir)
	return dir
}

// command runs the built program to its end, which has to be good, and returns its output.
func command(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, "nightjar"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nightjar %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// offlineRecordings lists those of a stream while no server runs.
func offlineRecordings(t testing.TB, data, stream string) []taken {
	t.Helper()
	var list struct{ Recordings []taken }
	must(t, with(t.Context(), data, func(c *client) error {
		return c.call(t.Context(), "GET", "/cameras/"+stream+"/recordings?limit=1000", nil, &list)
	}))
	return list.Recordings
}

// figures prints one line of what was measured, also when the test is not verbose.
func figures(t testing.TB, format string, args ...any) {
	t.Helper()
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...))
}

// processorTicks returns what a process has used, in hundredths of a second (proc(5): utime and stime in USER_HZ).
func processorTicks(t testing.TB, p *process) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	must(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	must(t, err)
	system, err := strconv.ParseInt(fields[12], 10, 64)
	must(t, err)
	return user + system
}
