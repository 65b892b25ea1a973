package crashfs_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/vfs"
)

func TestInject(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule crashfs.Rule
		errs string // of the operations of script: . is nil, x the injected error, n ErrNotExist, e ErrExist
		hits int
		want string
	}{
		{"none", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Path: "zz"}, ".......", 0, "/d/b [twolater]"},
		{"first write", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Err: syscall.EIO}, ".x.....", 1, "/d/b [0×3 later]"},
		{"second write", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Nth: 2, Err: syscall.EIO}, "..x....", 1, "/d/b [two]"},
		{"all writes", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Sticky: true, Err: syscall.EIO}, ".xx....", 2, "/d/b []"},
		{"short write", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Err: syscall.ENOSPC, Short: 2}, ".x.....", 1, "/d/b [tw0later]"},
		{"write happened", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Write}, Err: syscall.EIO, Happened: true}, ".x.....", 1, "/d/b [twolater]"},
		{"create exists", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Create}, Err: syscall.EEXIST}, "e", 1, ""},
		{"create happened", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Create}, Err: syscall.EIO, Happened: true}, "x", 1, "/d/a []"},
		{"rename", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Rename}, Path: "/d/b", Err: syscall.EIO}, "....x..", 1, "/d/a [twolater]"},
		{"rename happened", crashfs.Rule{Path: "b", Err: syscall.EIO, Happened: true}, "....x..", 1, "/d/b [twolater]"},
		{"remove", crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Remove}, Err: syscall.ENOENT}, "......n", 1, "/d/b [twolater]; /d/c []"},
		{"from an operation on", crashfs.Rule{From: 5, Sticky: true, Err: syscall.EIO}, "....xxx", 3, "/d/a [twolater]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := crashfs.New("/d")
			rule := f.Inject(tc.rule)
			script(t, f, tc.errs, tc.rule.Err)
			if rule.Hits() != tc.hits {
				t.Errorf("%d hits; want %d", rule.Hits(), tc.hits)
			}
			rule.Remove()
			if got := image(t, f, "/d"); got != tc.want {
				t.Errorf("left %s; want %s", got, tc.want)
			}
		})
	}
}

// script does seven operations, as long as there are letters for their errors.
func script(t *testing.T, f *crashfs.FS, errs string, injected error) {
	t.Helper()
	var h vfs.File
	write := func(text string, offset int64) func() error {
		return func() error {
			n, err := h.WriteAt([]byte(text), offset)
			if err == nil && n != len(text) {
				t.Errorf("short write without error")
			}
			return err
		}
	}
	steps := []func() error{
		func() (err error) {
			h, err = f.OpenFile("/d/a", vfs.Options{Write: true, Create: true, Exclusive: true})
			return err
		},
		write("two", 0),
		write("later", 3),
		func() error { return h.Sync() },
		func() error { return f.Rename("/d/a", "/d/b") },
		func() error { _, err := f.OpenFile("/d/c", vfs.Options{Write: true, Create: true}); return err },
		func() error { return f.Remove("/d/c") },
	}
	for i, want := range errs {
		err := steps[i]()
		got := '.'
		switch {
		case errors.Is(err, fs.ErrNotExist):
			got = 'n'
		case errors.Is(err, fs.ErrExist):
			got = 'e'
		case err != nil && errors.Is(err, injected):
			got = 'x'
		case err != nil:
			got = '?'
		}
		if got != want {
			t.Errorf("operation %d: %v; want %c", i, err, want)
		}
		var pe *fs.PathError
		if err != nil && !errors.As(err, &pe) {
			t.Errorf("operation %d: %v has no path", i, err)
		}
	}
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := crashfs.New("/d")
		h := create(t, f, "/d/a")
		gate, reached := make(chan struct{}), ""
		f.Inject(crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Datasync}, Stall: gate, Do: func(op crashfs.Op) { reached = op.String() }})
		put(t, h, 0, "x")
		done := make(chan error)
		go func() { done <- h.Datasync() }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the stalled operation ended: %v", err)
		default:
		}
		if !strings.HasSuffix(reached, "datasync /d/a") {
			t.Fatalf("Do got %q", reached)
		}
		// Others go on meanwhile, and nothing is durable yet.
		put(t, create(t, f, "/d/b"), 0, "y")
		if n := len(f.Units()); n != 6 {
			t.Errorf("%d units while the sync is stalled: %v", n, f.Units())
		}
		close(gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(f.Units()); n != 4 {
			t.Errorf("%d units after the sync: %v", n, f.Units())
		}
	})
}

func TestCapacity(t *testing.T) {
	f := crashfs.NewWith(crashfs.Options{MountOptions: crashfs.MountOptions{Capacity: 10 * vfs.BlockSize, Inodes: 4}}, "/d")
	avail := func(want int64) {
		t.Helper()
		s, err := f.Space("/d")
		ok(t, err)
		if s.Total != 10*vfs.BlockSize || s.Available != want*vfs.BlockSize {
			t.Errorf("space %+v; want %d pages available", s, want)
		}
	}
	avail(10)
	h := create(t, f, "/d/a")
	put(t, h, 0, strings.Repeat("x", 5000))
	avail(8)
	put(t, h, 100, strings.Repeat("y", 5000))
	avail(8)
	ok(t, h.Allocate(4*vfs.BlockSize))
	avail(6)
	put(t, h, 8192, strings.Repeat("z", 8192))
	avail(6)
	n, err := h.WriteAt(make([]byte, 8*vfs.BlockSize), 4*vfs.BlockSize-100)
	if n != 6*vfs.BlockSize+100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt into a full disk = %d, %v", n, err)
	}
	avail(0)
	put(t, h, 0, "an overwrite needs no space")
	if _, err := f.Map("/d/m", vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Map: %v", err)
	}
	if err := h.Allocate(11 * vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Allocate: %v", err)
	}
	ok(t, h.Truncate(1))
	avail(9)
	m, err := f.Map("/d/m", 2*vfs.BlockSize)
	ok(t, err)
	avail(7)
	m.Bytes()[0] = 1
	ok(t, m.Discard(0, 2*vfs.BlockSize))
	avail(9)
	ok(t, m.Reserve(0, vfs.BlockSize))
	avail(8)
	ok(t, m.Close())
	ok(t, f.Remove("/d/a")) // still open
	avail(8)
	ok(t, h.Close())
	avail(9)
	create(t, f, "/d/1").Close()
	ok(t, f.Mkdir("/d/2")) // the fourth: /d, m, 1, 2
	if err := f.Mkdir("/d/3"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Mkdir without inodes: %v", err)
	}
	if _, err := f.OpenFile("/d/4", vfs.Options{Write: true, Create: true}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("create without inodes: %v", err)
	}
	c := f.Crash(crashfs.KeepAll)
	s, err := c.Space("/d")
	ok(t, err)
	if s.Available != 10*vfs.BlockSize {
		t.Errorf("after a crash: %+v; the discarded mapping holds nothing", s)
	}
}

func TestMounts(t *testing.T) {
	f := crashfs.New("/a")
	f.Mount("/b", crashfs.MountOptions{NoDirect: true})
	f.Alias("/link", "/a/x")
	create(t, f, "/a/f")
	if err := f.Rename("/a/f", "/b/f"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("rename across mounts: %v", err)
	}
	if err := f.Remove("/b"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("remove of a mount point: %v", err)
	}
	ok(t, f.Mkdir("/a/x"))
	create(t, f, "/link/g")
	one, err := f.Stat("/a/x/g")
	ok(t, err)
	two, err := f.Stat("/link/g")
	ok(t, err)
	if one.Inode != two.Inode || one.Device != two.Device {
		t.Errorf("an alias leads elsewhere: %+v, %+v", one, two)
	}
	other, err := f.Stat("/b")
	ok(t, err)
	if other.Device == one.Device {
		t.Error("two mounts have one device number")
	}
	l, err := f.Lock("/a/x", true)
	ok(t, err)
	if _, err := f.Lock("/link", true); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("lock by another way: %v", err)
	}
	ok(t, l.Close())
	h, err := f.OpenFile("/b/d", vfs.Options{Write: true, Create: true, Direct: true})
	ok(t, err)
	if h.Direct() {
		t.Error("a direct file on a mount that refuses")
	}
}

func TestDirectAlignment(t *testing.T) {
	f := crashfs.New("/d")
	h, err := f.OpenFile("/d/a", vfs.Options{Write: true, Create: true, Direct: true})
	ok(t, err)
	b := vfs.AlignedBytes(3 * vfs.BlockSize)
	for _, bad := range []struct {
		b      []byte
		offset int64
	}{{b[:512], 0}, {b[:vfs.BlockSize], 512}, {b[512 : 512+vfs.BlockSize], 0}, {b[:vfs.BlockSize+1], 0}} {
		if _, err := h.WriteAt(bad.b, bad.offset); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("WriteAt(%d, %d): %v", len(bad.b), bad.offset, err)
		}
		if _, err := h.ReadAt(bad.b, bad.offset); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("ReadAt(%d, %d): %v", len(bad.b), bad.offset, err)
		}
	}
	if _, err := h.WriteAt(b, vfs.BlockSize); err != nil {
		t.Error(err)
	}
	if _, err := h.ReadAt(b, vfs.BlockSize); err != nil && err != io.EOF {
		t.Error(err)
	}
}

func TestConcurrency(t *testing.T) {
	f := crashfs.New("/d", "/e")
	f.Record()
	done := make(chan bool)
	for i := range 4 {
		go func() {
			defer func() { done <- true }()
			run := newRandomRun(f, uint64(i))
			for range 100 {
				run.step(t)
				f.Crash(crashfs.Random(uint64(i))).ReadDir("/d")
			}
		}()
	}
	for range 4 {
		<-done
	}
	f.KillAt(f.Seq())
}

// TestMappingUnderRaceDetector stores into a mapping while others look at it: no race is to be reported, as on a real
// machine the power does not wait for a lock either.
func TestMappingUnderRaceDetector(t *testing.T) {
	f := crashfs.New("/d")
	f.Record()
	m, err := f.Map("/d/block", 4*vfs.BlockSize)
	ok(t, err)
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 20_000 {
			m.Bytes()[i%len(m.Bytes())]++
		}
	}()
	for range 50 {
		f.Mark("look")
		f.Crash(crashfs.KeepAll)
		f.Kill()
	}
	<-done
	ok(t, m.Close())
}

// BenchmarkMapped is one recorded operation beside two mapped blocks of 256 KiB.
func BenchmarkMapped(b *testing.B) {
	f := crashfs.New("/d")
	for _, name := range []string{"/d/1", "/d/2"} {
		m, err := f.Map(name, 256<<10)
		if err != nil {
			b.Fatal(err)
		}
		clear(m.Bytes())
		m.Bytes()[5000] = 1
	}
	f.Record()
	for b.Loop() {
		f.Mark("")
	}
}

// BenchmarkStates makes states of a workload like that of a small store: a log, a few files, names changing.
func BenchmarkStates(b *testing.B) {
	f := crashfs.New("/d")
	f.Record()
	log, err := f.OpenFile("/d/log", vfs.Options{Write: true, Create: true})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10 {
		h, err := f.OpenFile("/d/"+string(rune('a'+i)), vfs.Options{Write: true, Create: true})
		if err != nil {
			b.Fatal(err)
		}
		h.WriteAt(make([]byte, 20_000), 0)
		h.WriteAt(make([]byte, 20_000), 20_000)
		if i%3 == 0 {
			h.Sync()
			f.SyncDir("/d")
		}
		log.WriteAt(make([]byte, 300), int64(300*i))
		log.Datasync()
	}
	n := 0
	for b.Loop() {
		for s := range f.AllStates(crashfs.Bounds{}) {
			if _, err := s.ReadDir("/d"); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "states/s")
}
