//go:build linux

package crashfs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/vfs"
)

// steps is a short workload in a directory that exists and is durable, beside another one.
type steps struct {
	t     *testing.T
	f     vfs.FS
	dir   string
	files map[string]vfs.File
}

func (s *steps) path(name string) string { return s.dir + "/" + name }

// do reads a line such as "create a; write a 0 300 x; sync a; rename a b; syncdir d".
func (s *steps) do(line string) {
	s.t.Helper()
	for _, step := range strings.Split(line, ";") {
		if err := s.one(strings.Fields(step)); err != nil {
			s.t.Fatalf("%s: %v", step, err)
		}
	}
}

func (s *steps) one(w []string) error {
	arg := func(i int) (n int64) {
		fmt.Sscan(w[i], &n)
		return n
	}
	h := s.files[w[1]]
	switch w[0] {
	case "create":
		h, err := s.f.OpenFile(s.path(w[1]), vfs.Options{Write: true, Create: true})
		s.files[w[1]] = h
		return err
	case "write":
		_, err := h.WriteAt([]byte(strings.Repeat(w[4], int(arg(3)))), arg(2))
		return err
	case "direct":
		h, err := s.f.OpenFile(s.path(w[1]), vfs.Options{Write: true, Direct: true})
		if err != nil {
			return err
		}
		defer h.Close()
		b := vfs.AlignedBytes(int(arg(3)))
		for i := range b {
			b[i] = w[4][0]
		}
		_, err = h.WriteAt(b, arg(2))
		return err
	case "truncate":
		return h.Truncate(arg(2))
	case "allocate":
		return h.Allocate(arg(2))
	case "sync":
		return h.Sync()
	case "datasync":
		return h.Datasync()
	case "syncdir":
		return s.f.SyncDir(s.path(w[1]))
	case "mkdir":
		return s.f.Mkdir(s.path(w[1]))
	case "remove":
		return s.f.Remove(s.path(w[1]))
	case "rename":
		s.files[w[2]] = h
		return s.f.Rename(s.path(w[1]), s.path(w[2]))
	}
	return fmt.Errorf("no such step")
}

func (s *steps) close() {
	for _, h := range s.files {
		h.Close() // the second name of a renamed file is closed already
	}
}

// workloads are run in a directory with two directories d and e in it.
var workloads = []string{
	"create d/a",
	"create d/a; syncdir d",
	"create d/a; sync d/a",
	"create d/a; datasync d/a",
	"create d/a; write d/a 0 300 x",
	"create d/a; write d/a 0 300 x; syncdir d",
	"create d/a; write d/a 0 300 x; datasync d/a",
	"create d/a; write d/a 0 300 x; datasync d/a; syncdir d",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; write d/a 0 300 y",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; write d/a 300 300 y",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; write d/a 300 300 y; datasync d/a",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; write d/a 100 300 y; syncdir d",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; truncate d/a 10",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; truncate d/a 10; datasync d/a",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; truncate d/a 10; create d/b; sync d/b",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; truncate d/a 500; create d/b; sync d/b",
	"create d/a; allocate d/a 40960; syncdir d; write d/a 0 4096 x",
	"create d/a; allocate d/a 40960; syncdir d; write d/a 0 4096 x; datasync d/a; write d/a 4096 4096 y",
	"create d/a; syncdir d; direct d/a 0 4096 x",
	"create d/a; syncdir d; direct d/a 0 8192 x; datasync d/a; direct d/a 4096 8192 y",
	"create d/a; allocate d/a 65536; syncdir d; direct d/a 0 8192 x; datasync d/a; truncate d/a 5000; sync d/a",
	"create d/a; allocate d/a 65536; syncdir d; direct d/a 0 8192 x; datasync d/a; truncate d/a 5000",
	"create d/a; create d/b; create d/c; sync d/b",
	"create d/a; create e/b; syncdir e",
	"create d/a; syncdir d; remove d/a",
	"create d/a; syncdir d; remove d/a; syncdir d",
	"create d/a; syncdir d; remove d/a; create d/b; sync d/b",
	"create d/a; syncdir d; remove d/a; create d/a; write d/a 0 100 n; sync d/a",
	"create d/a; write d/a 0 300 x; rename d/a d/b",
	"create d/a; write d/a 0 300 x; rename d/a d/b; syncdir d",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; rename d/a d/b",
	"create d/a; write d/a 0 300 x; sync d/a; syncdir d; rename d/a d/b; syncdir d",
	"create d/b; write d/b 0 100 o; sync d/b; syncdir d; create d/a; write d/a 0 300 x; rename d/a d/b; syncdir d",
	"create d/b; write d/b 0 100 o; sync d/b; syncdir d; create d/a; write d/a 0 300 x; sync d/a; rename d/a d/b",
	"create d/a; sync d/a; syncdir d; rename d/a e/b; syncdir e",
	"create d/a; sync d/a; syncdir d; rename d/a e/b; syncdir d; syncdir e",
	"mkdir d/s; create d/s/a; sync d/s/a",
	"mkdir d/s; create d/s/a; syncdir d/s",
	"mkdir d/s; create d/s/a; syncdir d/s; syncdir d",
	"create d/a; sync d/a; create d/b; sync d/a",
	"create d/a; sync d/a; create d/b; syncdir e",
	"create d/a; write d/a 0 12288 x; create d/b; write d/b 0 12288 y; sync d/b; syncdir d",
	"create d/a; write d/a 8192 300 x; syncdir d; create d/b; sync d/b",
	"create d/a; write d/a 0 300 x; syncdir d; write d/a 0 300 y; sync d/a; write d/a 0 300 z; write d/a 300 300 z",
	"create d/t; write d/t 0 300 1; datasync d/t; syncdir d; write d/t 300 300 2; datasync d/t; write d/t 600 300 3",
}

// TestExt4 cuts the power of a real ext4 and looks whether what it finds then is one of the states that crashfs allows,
// both without and with Options.Journal.
func TestExt4(t *testing.T) {
	if os.Getenv("NIGHTJAR_LONG") == "" {
		t.Skip("set NIGHTJAR_LONG=1 to compare with ext4")
	}
	if os.Geteuid() != 0 {
		t.Skip("comparing with ext4 needs root and loop devices")
	}
	disk := newExt4(t)
	allowed, kept := 0, 0
	workloads := slices.Clone(workloads)
	for seed := range uint64(120) {
		workloads = append(workloads, randomWorkload(rand.New(rand.NewPCG(seed, 7))))
	}
	for i, line := range workloads {
		dir := fmt.Sprintf("w%d", i)
		disk.prepare(t, dir)
		s := steps{t: t, f: vfs.OS(), dir: filepath.Join(disk.mountPoint, dir), files: map[string]vfs.File{}}
		s.do(line)
		disk.cut(t)
		s.close()
		disk.mount(t)
		got := strings.ReplaceAll(image(t, vfs.OS(), s.dir), s.dir, "")
		for _, journal := range []bool{false, true} {
			states, live := allowedStates(t, line, journal)
			if !states[got] {
				t.Errorf("%s (journal %v)\n  ext4 left %s\n  allowed are\n    %s", line, journal, got,
					strings.Join(keys(states), "\n    "))
			}
			if journal {
				allowed += len(states)
			}
			if journal && got == live {
				kept++
			}
		}
	}
	t.Logf("%d power cuts; %d states allowed in all; in %d nothing was lost", len(workloads), allowed, kept)
}

// randomWorkload makes up a few steps that can be done: each file exists when it is used.
func randomWorkload(rng *rand.Rand) string {
	exists := map[string]bool{}
	var steps []string
	step := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	for range 3 + rng.IntN(5) {
		name := fmt.Sprintf("%c/%c", "de"[rng.IntN(2)], "ab"[rng.IntN(2)])
		if !exists[name] {
			exists[name] = true
			step("create %s", name)
			continue
		}
		switch rng.IntN(9) {
		case 0:
			step("sync %s", name)
		case 1:
			step("datasync %s", name)
		case 2:
			step("syncdir %s", name[:1])
		case 3:
			exists[name] = false
			step("remove %s", name)
		case 4:
			other := fmt.Sprintf("%c/%c", "de"[rng.IntN(2)], "ab"[rng.IntN(2)])
			if other != name {
				exists[name], exists[other] = false, true
				step("rename %s %s", name, other)
			}
		case 5:
			step("truncate %s %d", name, rng.IntN(600))
		default:
			step("write %s %d %d %c", name, rng.IntN(2)*rng.IntN(300), 1+rng.IntN(200), 'p'+rng.IntN(8))
		}
	}
	return strings.Join(steps, "; ")
}

func keys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// allowedStates makes every state in which units are lost or kept, and some with torn ones.
func allowedStates(t *testing.T, line string, journal bool) (states map[string]bool, live string) {
	f := crashfs.NewWith(crashfs.Options{Journal: journal}, "/d", "/e")
	s := steps{t: t, f: f, files: map[string]vfs.File{}}
	s.do(line)
	states = map[string]bool{}
	units := f.Units()
	if len(units) > 14 {
		t.Fatalf("%s: %d units are too many to go through", line, len(units))
	}
	for mask := range 1 << len(units) {
		c := f.Crash(func(u crashfs.Unit) crashfs.Fate { return crashfs.Fate{Keep: mask>>u.Index&1 == 1} })
		states[image(t, c, "/")] = true
	}
	for seed := range uint64(100) {
		states[image(t, f.Crash(crashfs.Random(seed)), "/")] = true
	}
	return states, image(t, f, "/")
}

// ext4 is a file system in an image file on a loop device.
type ext4 struct{ image, mountPoint string }

func newExt4(t *testing.T) *ext4 {
	dir := t.TempDir()
	d := &ext4{image: filepath.Join(dir, "image"), mountPoint: filepath.Join(dir, "mnt")}
	ok(t, os.Mkdir(d.mountPoint, 0o700))
	ok(t, os.WriteFile(d.image, nil, 0o600))
	ok(t, os.Truncate(d.image, 64<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no mkfs.ext4: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mountPoint).CombinedOutput(); err != nil {
		t.Skipf("no loop devices: %v %s", err, out)
	}
	t.Cleanup(func() { d.unmount() })
	return d
}

// unmount tries again while the kernel still holds the last closed file.
func (d *ext4) unmount() error {
	var err error
	for range 500 {
		out, failed := exec.Command("umount", d.mountPoint).CombinedOutput()
		if failed == nil {
			return nil
		}
		err = fmt.Errorf("umount: %w: %s", failed, out)
	}
	return err
}

func (d *ext4) mount(t *testing.T) {
	t.Helper()
	ok(t, d.unmount())
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mountPoint).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
}

// prepare makes the directories of a workload and writes everything out.
func (d *ext4) prepare(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{dir, dir + "/d", dir + "/e"} {
		ok(t, os.Mkdir(filepath.Join(d.mountPoint, name), 0o700))
	}
	root, err := os.Open(d.mountPoint)
	ok(t, err)
	defer root.Close()
	ok(t, unix.Syncfs(int(root.Fd())))
}

// cut is FS_IOC_SHUTDOWN with the flag "no log flush": nothing reaches the disk any more.
func (d *ext4) cut(t *testing.T) {
	t.Helper()
	root, err := os.Open(d.mountPoint)
	ok(t, err)
	defer root.Close()
	const shutdown, noLogFlush = 0x8004587d, 2
	ok(t, unix.IoctlSetPointerInt(int(root.Fd()), shutdown, noLogFlush))
}
