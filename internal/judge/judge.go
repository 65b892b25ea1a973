// Package judge lets programs that are not ours examine what we make: ffmpeg and ffprobe, GStreamer, VLC, mkvmerge and
// Chromium. It is for tests and tools; no package of the house imports it.
//
// Its nouns: a judge is an outside program; an input is a file or URL that a judge can open; a strip is what a picture
// of the simulated camera says about itself (number and time, see below), read from decoded pixels.
//
// Functions that take a testing.TB end the test when the judge finds fault or fails to run. The others return errors
// and serve tools as well. A test names the judges it needs first:
//
//	judge.Need(t, "ffmpeg", "ffprobe")
//
// which skips the test in one line where one is missing, or fails it if NIGHTJAR_REQUIRE_JUDGES=1 is set.
//
// Everything here is safe for concurrent use, but for a Browser, which belongs to one goroutine. Every judge is started
// in a process group of its own, which ends with the context of the call.
//
// # Strip
//
// 88 bits, most significant first, one 16x16 macroblock each, black for 0 and white for 1, row after row from the top
// left corner of the visible picture, as many in a row as its width has whole macroblocks: a 32-bit sample number, 48
// bits of UTC in milliseconds since 1970, and the CRC-8 (polynomial 0x07, initial value 0) of these ten bytes. The
// reader is written apart from the maker of strips on purpose.
package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// RequireEnv is the environment variable that, set to 1, makes a missing judge a failure.
const RequireEnv = "NIGHTJAR_REQUIRE_JUDGES"

// patience bounds each run of a judge on behalf of a test.
const patience = 10 * time.Minute

// Have tells whether a program is installed. "gstreamer" and "chromium" stand for what their judges need.
func Have(program string) bool {
	switch program {
	case "gstreamer":
		return Have("gst-launch-1.0")
	case "chromium":
		return chromiumPath() != ""
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// Need skips the test unless all programs are installed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	var missing []string
	for _, p := range programs {
		if !Have(p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv(RequireEnv) == "1" {
		t.Fatalf("judges missing, and %s=1: %s", RequireEnv, strings.Join(missing, ", "))
	}
	t.Skipf("judges missing: %s", strings.Join(missing, ", "))
}

// OnDemand skips a test that is too slow for every day, unless judges are required or NIGHTJAR_LONG=1 is set.
func OnDemand(t testing.TB) {
	t.Helper()
	if os.Getenv(RequireEnv) != "1" && os.Getenv("NIGHTJAR_LONG") != "1" {
		t.Skipf("set %s=1 (make judges) or NIGHTJAR_LONG=1 to run this", RequireEnv)
	}
}

// testContext is the test's own context, bounded.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// command prepares a program in its own process group, which dies with ctx.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a program to its end and returns what it said on stderr; its stdout goes to stdout, which may be nil.
func run(ctx context.Context, stdout io.Writer, program string, args ...string) (string, error) {
	cmd := command(ctx, program, args...)
	var complaints head
	cmd.Stdout, cmd.Stderr = stdout, &complaints
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("run %s %s: %w: %s", program, strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), complaints.String())
	}
	return complaints.String(), err
}

// head keeps the first and drops the rest of what is written to it, so that a chatty judge costs no memory.
type head struct {
	kept    bytes.Buffer
	dropped int
}

const headSize = 16 << 10

func (w *head) Write(p []byte) (int, error) {
	n := min(len(p), headSize-w.kept.Len())
	w.kept.Write(p[:n])
	w.dropped += len(p) - n
	return len(p), nil
}

func (w *head) String() string {
	if w.dropped > 0 {
		return fmt.Sprintf("%s… and %d bytes more", w.kept.String(), w.dropped)
	}
	return w.kept.String()
}
