package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/camsim"
)

// nobody is a user that owns nothing.
const nobody = 65534

// TestBadCameras records a good camera beside one for each way of being wrong: each says why in a sentence, as does
// `camera test`, and the good one goes on.
func TestBadCameras(t *testing.T) {
	t.Parallel()
	sim := func(audio bool, faults ...camsim.Fault) *simulated {
		o := camsim.Options{NoSub: true, Audio: audio, User: "viewer", Password: "right"}
		for _, f := range faults {
			o.Faults = append(o.Faults, camsim.PathFault{Fault: f})
		}
		return simulate(t, o)
	}
	good := sim(false)
	data := dataDirectory(t)
	s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	cases := []struct {
		name, url, password, reason string
		words                       []string
	}{
		{"wrong-password", good.url("/cam0"), "wrong", "auth-failed", []string{"password"}},
		{"no-password", good.url("/cam0"), "", "auth-failed", []string{"password"}},
		{"wrong-path", good.url("/cam7"), "right", "not-found", []string{"404"}},
		{"no-such-host", "rtsp://camera.invalid/cam0", "right", "dns", []string{"camera.invalid"}},
		{"wrong-port", "rtsp://127.0.0.1:1/cam0", "right", "refused", []string{"port"}},
		{"no-video", sim(true, camsim.Fault{Kind: camsim.NoVideo}).url("/cam0"), "right", "unsupported", []string{"video"}},
		{"other-codec", sim(false, camsim.Fault{Kind: camsim.CodecName, Value: "VP8"}).url("/cam0"), "right", "unsupported", []string{"vp8"}},
	}
	add := func(name, url, password string) {
		got := nightjarInput(t, password+"\n", "camera", "add", name, "--main", url, "--username", "viewer", "--password-stdin", "--transport", "tcp", "--data", data)
		if got.code != 0 {
			t.Fatalf("camera add %s: %v", name, got)
		}
	}
	add("good", good.url("/cam0"), "right")
	for _, c := range cases {
		add(c.name, c.url, c.password)
	}
	for _, c := range cases {
		var last state
		within(t, patience, c.name+" says why", func() bool {
			last = stateOf(t, s.base, c.name)
			return last.Phase == "waiting" || last.Phase == "connecting" && last.Reason != ""
		})
		if last.Reason != c.reason {
			t.Errorf("%s: %+v, want reason %s", c.name, last, c.reason)
		}
		for _, w := range c.words {
			if !strings.Contains(last.Detail, w) {
				t.Errorf("%s: %q is not in: %s", c.name, w, last.Detail)
			}
		}
		if strings.Contains(last.Detail, "\n") || strings.Contains(last.Detail, "wrong\"") || last.Hint == "" {
			t.Errorf("%s: %+v", c.name, last)
		}
		t.Logf("%-15s %s; %s", c.name, last.Detail, last.Hint)
	}
	list := works(t, "camera", "list", "--data", data)
	for _, c := range cases {
		if !strings.Contains(list, c.name+"/main") {
			t.Errorf("camera list without %s:\n%s", c.name, list)
		}
	}
	t.Logf("\n%s", list)
	before := good.sent("/cam0")
	until(t, "the good camera is recorded", func() bool { return samples(t, s.base, "good/main") >= int(before) })
	if all := recordings(t, s.base, "good/main"); len(all) != 1 {
		t.Errorf("the good camera was disturbed: %+v", all)
	}
}

// TestBadCameraTest lets `camera test` meet the same.
func TestBadCameraTest(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 3, NoSub: true, Audio: true, User: "viewer", Password: "right", Faults: []camsim.PathFault{
		{Path: "/cam1", Fault: camsim.Fault{Kind: camsim.NoVideo}}, {Path: "/cam2", Fault: camsim.Fault{Kind: camsim.CodecName, Value: "VP8"}},
	}})
	for _, c := range []struct {
		url, password string
		code          int
		words         []string
	}{
		{sim.url("/cam0"), "right", 0, []string{"h264", "320"}},
		{sim.url("/cam0"), "wrong", 1, []string{"auth-failed"}},
		{sim.url("/cam9"), "right", 1, []string{"not-found"}},
		{"rtsp://camera.invalid/cam0", "right", 1, []string{"dns"}},
		{sim.url("/cam1"), "right", 1, []string{"unsupported"}},
		{sim.url("/cam2"), "right", 1, []string{"unsupported", "vp8"}},
	} {
		got := nightjarInput(t, c.password+"\n", "camera", "test", c.url, "--username", "viewer", "--password-stdin", "--transport", "tcp", "--seconds", "1")
		if got.code != c.code {
			t.Errorf("%s: %v, want exit %d", c.url, got, c.code)
		}
		for _, w := range c.words {
			if !strings.Contains(got.out, w) {
				t.Errorf("%s: %q is not in: %s", c.url, w, got.out)
			}
		}
		if strings.Contains(got.out+got.err, c.password+"@") || strings.Contains(got.out+got.err, "wrong") {
			t.Errorf("%s: the password comes out: %v", c.url, got)
		}
		t.Logf("%s", got.out)
	}
}

// TestBadDirectories begins with a good sample file directory and one for each way of being wrong: their streams say why,
// and the stream in the good one is recorded.
func TestBadDirectories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		reason string
		words  []string
	}{
		{"missing", func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".away")) }, "disk-missing", []string{"mount the disk"}},
		{"empty", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".away"))
			must(t, os.Mkdir(dir, 0o700))
		}, "disk-missing", []string{"mounted"}},
		{"of another catalog", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".away"))
			must(t, os.Rename(filepath.Join(dataDirectory(t), "samples"), dir))
		}, "disk-missing", []string{"catalog"}},
		{"damaged", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "meta"), bytes.Repeat([]byte("x"), 512), 0o600))
		}, "disk-missing", []string{"meta"}},
		{"a file", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".away"))
			must(t, os.WriteFile(dir, nil, 0o600))
		}, "disk-missing", []string{"directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := simulate(t, camsim.Options{Cameras: 2, NoSub: true})
			data := dataDirectory(t)
			disk := filepath.Join(data, "disk")
			must(t, os.Mkdir(disk, 0o700))
			works(t, "dir", "add", disk, "--data", data)
			works(t, "camera", "add", "good", "--main", sim.url("/cam0"), "--transport", "tcp", "--data", data)
			works(t, "camera", "add", "bad", "--main", sim.url("/cam1"), "--transport", "tcp", "--data", data)
			moveTo(t, data, "bad", disk)
			c.spoil(t, disk)
			s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0")
			until(t, "both send", func() bool { return sim.sent("/cam0") > 10 && sim.sent("/cam1") > 10 })
			detail := directoryTrouble(t, s.base, disk)
			for _, w := range c.words {
				if !strings.Contains(detail, w) {
					t.Errorf("%q is not in: %s", w, detail)
				}
			}
			if strings.Contains(detail, "\n") || detail == "" {
				t.Errorf("detail: %q", detail)
			}
			t.Log(detail)
			gapBecause(t, s.base, "bad", c.reason)
			until(t, "the good camera is recorded", func() bool { return samples(t, s.base, "good/main") >= 10 })
			if list := works(t, "dir", "list", "--data", data); !strings.Contains(list, "failed (") {
				t.Errorf("dir list:\n%s", list)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// moveTo makes a camera's main stream record into a directory, offline or online.
func moveTo(t *testing.T, data, camera, directory string) {
	t.Helper()
	must(t, with(t.Context(), data, func(c *client) error {
		return c.call(t.Context(), "PATCH", "/cameras/"+camera+"/main", map[string]any{"directory": directory}, nil)
	}))
}

// directoryTrouble waits until a directory has some and returns the sentence.
func directoryTrouble(t *testing.T, base, path string) (detail string) {
	t.Helper()
	until(t, "the directory has trouble", func() bool {
		var list directoryList
		ask(t, base, "/directories", &list)
		for _, d := range list.Directories {
			if d.Path == path && d.State == "failed" {
				detail = d.Detail
				return true
			}
		}
		return false
	})
	return detail
}

// gapBecause waits for a gap of a camera's main stream with a reason.
func gapBecause(t *testing.T, base, camera, reason string) {
	t.Helper()
	var list struct {
		Gaps []struct{ Reason, Detail string }
	}
	defer func() {
		if t.Failed() {
			t.Logf("gaps of %s: %+v", camera, list.Gaps)
		}
	}()
	until(t, "a gap of "+camera+" for "+reason, func() bool {
		ask(t, base, "/gaps?camera="+camera, &list)
		for _, g := range list.Gaps {
			if g.Reason == reason && g.Detail != "" {
				return true
			}
		}
		return false
	})
}

// needRoot skips what only root can set up.
func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// TestDiskFull lets a small disk run full: the stream in it says so, the other is recorded, and when there is room again
// the first goes on.
func TestDiskFull(t *testing.T) {
	needRoot(t)
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=40m"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	sim := simulate(t, camsim.Options{Cameras: 2, NoSub: true})
	data := dataDirectory(t)
	file := filepath.Join(data, "nightjar.toml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "media_roots = [%q]\n", disk), 0o600))
	works(t, "camera", "add", "good", "--main", sim.url("/cam0"), "--transport", "tcp", "--data", data)
	works(t, "camera", "add", "bad", "--main", sim.url("/cam1"), "--transport", "tcp", "--data", data)
	s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0", "--config", file)
	works(t, "dir", "add", disk, "--data", data)
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	moveTo(t, data, "bad", disk)
	detail := directoryTrouble(t, s.base, disk)
	if !strings.Contains(detail, "full") && !strings.Contains(detail, "space") {
		t.Errorf("detail: %s", detail)
	}
	t.Log(detail)
	gapBecause(t, s.base, "bad", "disk-full")
	before := sim.sent("/cam0")
	until(t, "the other is recorded", func() bool { return samples(t, s.base, "good/main") >= int(before) })
	must(t, os.Remove(filler))
	defer func() {
		if t.Failed() {
			t.Logf("%+v\n%+v\n%s", recordings(t, s.base, "bad/main"), stateOf(t, s.base, "bad"), s.err.String())
		}
	}()
	until(t, "the full one goes on", func() bool {
		all := recordings(t, s.base, "bad/main")
		return len(all) > 0 && all[len(all)-1].VideoSamples > 10 && all[len(all)-1].Growing
	})
}

// fill writes a file until there is no room.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 20 {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
	t.Fatal("the disk does not run full")
}

// TestNotWritable runs as a user who may not write: to the data directory, and to one sample file directory.
//
// It runs while no other test does: a process being made holds, for a moment, the locks of all files that are open here.
func TestNotWritable(t *testing.T) {
	needRoot(t)
	bin, err := os.MkdirTemp("", "nj")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(bin) })
	must(t, os.Chmod(bin, 0o755))
	program := filepath.Join(bin, "nightjar")
	self, err := os.Open(os.Args[0])
	must(t, err)
	defer self.Close()
	file, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(file, self)
	must(t, err)
	must(t, file.Close())

	as := func(args ...string) said {
		var out, complaint bytes.Buffer
		c := exec.CommandContext(t.Context(), program, args...)
		c.Env = append(os.Environ(), asProgram+"=1", "HOME="+bin, "RUNTIME_DIRECTORY=", "XDG_RUNTIME_DIR=")
		c.Stdout, c.Stderr = &out, &complaint
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := c.Run(); c.ProcessState == nil {
			t.Fatal(err)
		}
		return said{c.ProcessState.ExitCode(), out.String(), complaint.String()}
	}
	locked := filepath.Join(bin, "locked")
	must(t, os.Mkdir(locked, 0o755))
	sentence(t, "init elsewhere", as("init", "--data", filepath.Join(locked, "d")), 1, "permission denied", "root")
	sentence(t, "init", as("init", "--data", locked), 1, "permission denied")

	foreign := filepath.Join(bin, "root")
	works(t, "init", "--data", foreign)
	sentence(t, "run", as("run", "--data", foreign, "--listen", "127.0.0.1:0"), 1, "belongs to another user")
	sentence(t, "camera list", as("camera", "list", "--data", foreign), 1, "belongs to another user")

	own := filepath.Join(bin, "own")
	must(t, os.Mkdir(own, 0o700))
	must(t, os.Chown(own, nobody, nobody))
	if got := as("init", "--data", own); got.code != 0 {
		t.Fatalf("init: %v", got)
	}
	must(t, os.Mkdir(filepath.Join(own, "disk"), 0o755))
	sentence(t, "dir add", as("dir", "add", filepath.Join(own, "disk"), "--data", own), 1, "disk", "permission denied")
	samples := filepath.Join(own, "samples")
	must(t, filepath.Walk(samples, func(path string, _ os.FileInfo, err error) error {
		if err == nil {
			err = os.Chown(path, 0, 0)
		}
		if err == nil && path != samples {
			err = os.Chmod(path, 0o644)
		}
		return err
	}))
	must(t, os.Chmod(samples, 0o755))
	got := as("dir", "list", "--data", own)
	if got.code != 0 || !strings.Contains(got.out, "failed (") || !strings.Contains(got.out, "permission denied") {
		t.Errorf("dir list: %v", got)
	}
	t.Log(got.out)
}

// TestSocketLeftOver begins where a killed server left its socket.
func TestSocketLeftOver(t *testing.T) {
	t.Parallel()
	data := dataDirectory(t)
	// A socket that a killed server left: nobody serves it any more.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: filepath.Join(data, "nightjar.sock")}))
	must(t, syscall.Close(fd))
	start := time.Now()
	works(t, "camera", "list", "--data", data)
	s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	works(t, "camera", "list", "--data", data)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
