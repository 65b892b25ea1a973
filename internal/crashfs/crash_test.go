package crashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/vfs"
)

// image is a whole file system as text: each file with its length and a short form of its bytes.
func image(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	var lines []string
	var walk func(dir string)
	walk = func(dir string) {
		names, err := f.ReadDir(dir)
		if err != nil {
			t.Fatalf("ReadDir: %v", err)
		}
		for _, n := range names {
			full := strings.TrimSuffix(dir, "/") + "/" + n
			info, err := f.Stat(full)
			if err != nil {
				t.Fatalf("Stat: %v", err)
			}
			if info.Dir {
				lines = append(lines, full+"/")
				walk(full)
				continue
			}
			lines = append(lines, fmt.Sprintf("%s %s", full, short(readFile(t, f, full))))
		}
	}
	walk(dir)
	return strings.Join(lines, "; ")
}

func readFile(t *testing.T, f vfs.FS, name string) []byte {
	t.Helper()
	h, err := f.Open(name)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer h.Close()
	size, _ := h.Size()
	b := make([]byte, size)
	if n, err := h.ReadAt(b, 0); n != len(b) {
		t.Fatalf("ReadAt: %d of %d, %v", n, len(b), err)
	}
	return b
}

// short writes runs of equal bytes as a×3.
func short(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := 1
		for n < len(b) && b[n] == b[0] {
			n++
		}
		c := string(b[:1])
		if b[0] == 0 {
			c = "0"
		}
		if n == 1 {
			out.WriteString(c)
		} else {
			fmt.Fprintf(&out, "%s×%d ", c, n)
		}
		b = b[n:]
	}
	return fmt.Sprintf("[%s]", strings.TrimSpace(out.String()))
}

func create(t *testing.T, f vfs.FS, name string) vfs.File {
	t.Helper()
	h, err := f.OpenFile(name, vfs.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func put(t *testing.T, h vfs.File, offset int64, text string) {
	t.Helper()
	if _, err := h.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// crashStates returns all different images of the states of the last instant.
func crashStates(t *testing.T, f *crashfs.FS) []string {
	t.Helper()
	seen := map[string]bool{}
	for s := range f.States(f.Seq(), crashfs.Bounds{Random: 64}) {
		seen[image(t, s, "/")] = true
	}
	var out []string
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

func TestCrashStates(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, f *crashfs.FS)
		want []string // every state, no more and no fewer
	}{
		{"nothing", func(*testing.T, *crashfs.FS) {}, []string{"/d/"}},
		{"create", func(t *testing.T, f *crashfs.FS) { create(t, f, "/d/a") }, []string{"/d/", "/d/; /d/a []"}},
		{"create and sync directory", func(t *testing.T, f *crashfs.FS) {
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
		}, []string{"/d/; /d/a []"}},
		{"sync of a file does not keep its name", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xy")
			ok(t, h.Sync())
		}, []string{"/d/", "/d/; /d/a [xy]"}},
		{"file and name synced", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xy")
			ok(t, h.Datasync())
			ok(t, f.SyncDir("/d"))
		}, []string{"/d/; /d/a [xy]"}},
		{"write without sync", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			put(t, h, 0, "xy")
		}, []string{"/d/; /d/a [0×2]", "/d/; /d/a []", "/d/; /d/a [xy]"}},
		{"overwrite", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xy")
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			put(t, h, 0, "ab")
		}, []string{"/d/; /d/a [ab]", "/d/; /d/a [xy]"}},
		{"append", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xy")
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			put(t, h, 1, "ab")
		}, []string{"/d/; /d/a [xa]", "/d/; /d/a [xab]", "/d/; /d/a [xy0]", "/d/; /d/a [xy]"}},
		{"torn write", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, strings.Repeat("x", 1024))
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			put(t, h, 0, strings.Repeat("a", 1024))
		}, []string{"/d/; /d/a [a×1024]", "/d/; /d/a [a×512 x×512]", "/d/; /d/a [x×1024]", "/d/; /d/a [x×512 a×512]"}},
		{"truncate", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xyz")
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			ok(t, h.Truncate(1))
		}, []string{"/d/; /d/a [x]", "/d/; /d/a [xyz]"}},
		{"truncate and sync", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "xyz")
			ok(t, f.SyncDir("/d"))
			ok(t, h.Truncate(1))
			ok(t, h.Sync())
		}, []string{"/d/; /d/a [x]"}},
		{"remove", func(t *testing.T, f *crashfs.FS) {
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			ok(t, f.Remove("/d/a"))
		}, []string{"/d/", "/d/; /d/a []"}},
		{"remove and sync", func(t *testing.T, f *crashfs.FS) {
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			ok(t, f.Remove("/d/a"))
			ok(t, f.SyncDir("/d"))
		}, []string{"/d/"}},
		{"rename is whole", func(t *testing.T, f *crashfs.FS) {
			put(t, create(t, f, "/d/b"), 0, "")
			h := create(t, f, "/d/a")
			put(t, h, 0, "new")
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			ok(t, f.Rename("/d/a", "/d/b"))
		}, []string{"/d/; /d/a [new]; /d/b []", "/d/; /d/b [new]"}},
		{"rename between directories needs both", func(t *testing.T, f *crashfs.FS) {
			f.MkdirAll("/e")
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			ok(t, f.Rename("/d/a", "/e/b"))
			ok(t, f.SyncDir("/d"))
		}, []string{"/d/; /d/a []; /e/", "/d/; /e/; /e/b []"}},
		{"rename between synced directories", func(t *testing.T, f *crashfs.FS) {
			f.MkdirAll("/e")
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			ok(t, f.Rename("/d/a", "/e/b"))
			ok(t, f.SyncDir("/d"))
			ok(t, f.SyncDir("/e"))
		}, []string{"/d/; /e/; /e/b []"}},
		{"two names are independent", func(t *testing.T, f *crashfs.FS) {
			create(t, f, "/d/a")
			create(t, f, "/d/b")
		}, []string{"/d/", "/d/; /d/a []", "/d/; /d/a []; /d/b []", "/d/; /d/b []"}},
		{"new directory takes what is in it along", func(t *testing.T, f *crashfs.FS) {
			ok(t, f.Mkdir("/d/e"))
			create(t, f, "/d/e/a")
			ok(t, f.SyncDir("/d/e"))
		}, []string{"/d/", "/d/; /d/e/; /d/e/a []"}},
		{"a file never has two names", func(t *testing.T, f *crashfs.FS) {
			create(t, f, "/d/a")
			ok(t, f.SyncDir("/d"))
			ok(t, f.Rename("/d/a", "/d/b"))
			ok(t, f.Rename("/d/b", "/d/c"))
		}, []string{"/d/; /d/a []", "/d/; /d/b []", "/d/; /d/c []"}},
		{"file in a directory that moved", func(t *testing.T, f *crashfs.FS) {
			ok(t, f.Mkdir("/d/e"))
			ok(t, f.Mkdir("/d/e/f"))
			ok(t, f.SyncDir("/d/e"))
			ok(t, f.SyncDir("/d"))
			ok(t, f.Rename("/d/e", "/d/g"))
			if err := f.Rename("/d/g", "/d/g/f/h"); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("a directory was moved into itself: %v", err)
			}
			h := create(t, f, "/d/g/f/a")
			put(t, h, 0, "x")
			if u := f.Units(); len(u) != 4 || u[2].String() != "data /d/g/f/a[0,+1)" {
				t.Errorf("units %v", u)
			}
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d/g/f"))
		}, []string{"/d/; /d/e/; /d/e/f/; /d/e/f/a [x]", "/d/; /d/g/; /d/g/f/; /d/g/f/a [x]"}},
		{"removed and made again", func(t *testing.T, f *crashfs.FS) {
			h := create(t, f, "/d/a")
			put(t, h, 0, "old")
			ok(t, h.Sync())
			ok(t, f.SyncDir("/d"))
			ok(t, f.Remove("/d/a"))
			create(t, f, "/d/a")
		}, []string{"/d/", "/d/; /d/a []", "/d/; /d/a [old]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := crashfs.New("/d")
			f.Record()
			tc.run(t, f)
			if got := crashStates(t, f); !slices.Equal(got, tc.want) {
				t.Errorf("states\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tc.want, "\n  "))
			}
		})
	}
}

func TestJournal(t *testing.T) {
	f := crashfs.NewWith(crashfs.Options{Journal: true}, "/d")
	f.Record()
	create(t, f, "/d/a")
	h := create(t, f, "/d/b")
	ok(t, f.Remove("/d/a"))
	got := crashStates(t, f)
	if want := []string{"/d/", "/d/; /d/a []", "/d/; /d/a []; /d/b []", "/d/; /d/b []"}; !slices.Equal(got, want) {
		t.Errorf("states %q; want %q", got, want)
	}
	ok(t, h.Sync())
	create(t, f, "/d/c")
	got = crashStates(t, f)
	if want := []string{"/d/; /d/b []", "/d/; /d/b []; /d/c []"}; !slices.Equal(got, want) {
		t.Errorf("states after a sync %q; want %q", got, want)
	}
}

func TestFailedSync(t *testing.T) {
	eio := errors.New("injected")
	for _, happened := range []bool{false, true} {
		f := crashfs.New("/d")
		h := create(t, f, "/d/a")
		ok(t, f.SyncDir("/d"))
		put(t, h, 0, "lost")
		rule := f.Inject(crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Datasync}, Err: eio, Happened: happened})
		if err := h.Datasync(); !errors.Is(err, eio) {
			t.Fatalf("Datasync: %v", err)
		}
		if rule.Hits() != 1 {
			t.Fatalf("%d hits", rule.Hits())
		}
		// The second sync succeeds, and says nothing about what the first one dropped.
		put(t, h, 4, "kept")
		ok(t, h.Datasync())
		if got := image(t, f, "/d"); got != "/d/a [lostkept]" {
			t.Errorf("happened %v: the running system sees %s", happened, got)
		}
		want := "/d/a [0×4 kept]"
		if happened {
			want = "/d/a [lostkept]"
		}
		if got := image(t, f.Crash(crashfs.LoseAll), "/d"); got != want {
			t.Errorf("happened %v: after a power cut %s; want %s", happened, got, want)
		}
		if got := image(t, f.Crash(crashfs.KeepAll), "/d"); got != "/d/a [lostkept]" {
			t.Errorf("happened %v: after a power cut with luck %s", happened, got)
		}
		if got, want := len(f.Units()), 2; !happened && got != want {
			t.Errorf("%d units in limbo; want %d", got, want)
		}
	}
}

func TestFailedSyncDir(t *testing.T) {
	f := crashfs.New("/d")
	create(t, f, "/d/a")
	f.Inject(crashfs.Rule{Kinds: []crashfs.Kind{crashfs.SyncDir}, Err: errors.New("injected")})
	if f.SyncDir("/d") == nil {
		t.Fatal("SyncDir succeeded")
	}
	create(t, f, "/d/b")
	ok(t, f.SyncDir("/d"))
	if got := image(t, f.Crash(crashfs.LoseAll), "/d"); got != "/d/b []" {
		t.Errorf("after a power cut: %s", got)
	}
}

func TestTornGrowth(t *testing.T) {
	f := crashfs.New("/d")
	h := create(t, f, "/d/a")
	ok(t, f.SyncDir("/d"))
	put(t, h, 100, strings.Repeat("x", 3000))
	sizes := map[int64]bool{}
	for seed := range uint64(200) {
		c := f.Crash(func(u crashfs.Unit) crashfs.Fate { return crashfs.Fate{Keep: true, Tear: seed + 1, Grain: 512} })
		info, err := c.Stat("/d/a")
		ok(t, err)
		sizes[info.Size] = true
	}
	for _, s := range []int64{512, 1024, 1536, 2048, 2560, 3072} {
		if !sizes[s] {
			t.Errorf("no torn growth ends at %d", s)
		}
		delete(sizes, s)
	}
	if len(sizes) > 0 {
		t.Errorf("torn growth ends at %v", sizes)
	}
}

func TestKill(t *testing.T) {
	f := crashfs.New("/d")
	f.Mount("/run", crashfs.MountOptions{Volatile: true})
	l, err := f.Lock("/d", true)
	ok(t, err)
	defer l.Close()
	h := create(t, f, "/d/a")
	put(t, h, 0, "unsynced")
	gone := create(t, f, "/d/gone")
	ok(t, f.Remove("/d/gone"))
	put(t, gone, 0, "x")
	m, err := f.Map("/run/block", 2*vfs.BlockSize)
	ok(t, err)
	copy(m.Bytes()[5000:], "survives")

	k := f.Kill()
	if got := image(t, k, "/"); got != "/d/; /d/a [unsynced]; /run/; /run/block [0×5000 survives0×3184]" {
		t.Errorf("after a kill: %s", got)
	}
	if l, err := k.Lock("/d", true); err != nil {
		t.Errorf("the lock outlived the process: %v", err)
	} else {
		l.Close()
	}
	// Both sides go on without seeing each other.
	put(t, h, 0, "OLD")
	m.Bytes()[0] = 'x'
	k2, err := k.Map("/run/block", 2*vfs.BlockSize)
	ok(t, err)
	if k2.Bytes()[0] != 0 || string(k2.Bytes()[5000:5008]) != "survives" {
		t.Error("the mapping of the dead process reaches into the new one")
	}
	if got := image(t, k, "/d"); got != "/d/a [unsynced]" {
		t.Errorf("the dead process writes on: %s", got)
	}
	// A kill is no sync: the power may still fail afterwards. The tmpfs is empty then.
	if got := image(t, k.Crash(crashfs.LoseAll), "/"); got != "/d/; /run/" {
		t.Errorf("after kill and power cut: %s", got)
	}
	if got := image(t, k.Crash(crashfs.KeepAll), "/"); got != "/d/; /d/a [unsynced]; /run/" {
		t.Errorf("after kill and lucky power cut: %s", got)
	}
}

func TestMappingOnDisk(t *testing.T) {
	f := crashfs.New("/d")
	m, err := f.Map("/d/block", 2*vfs.BlockSize)
	ok(t, err)
	h := create(t, f, "/d/block")
	ok(t, h.Sync())
	ok(t, f.SyncDir("/d"))
	f.Record()
	m.Bytes()[0], m.Bytes()[4096] = 'a', 'b'
	f.Mark("stored")
	want := []string{
		"/d/; /d/block [0×8192]", "/d/; /d/block [0×4096 b0×4095]",
		"/d/; /d/block [a0×4095 b0×4095]", "/d/; /d/block [a0×8191]",
	}
	// The stores belong to the instant before the mark.
	seen := map[string]bool{}
	for s := range f.States(f.Seq()-1, crashfs.Bounds{}) {
		seen[image(t, s, "/")] = true
	}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("no state %s", w)
		}
		delete(seen, w)
	}
	if len(seen) > 0 {
		t.Errorf("states that cannot be: %v", seen)
	}
	ok(t, h.Sync())
	if n := len(f.Units()); n != 0 {
		t.Errorf("%d units after a sync of the mapped file", n)
	}
	ok(t, m.Discard(0, vfs.BlockSize))
	ok(t, m.Close())
	if got := image(t, f.Crash(crashfs.KeepAll), "/d"); got != "/d/block [0×4096 b0×4095]" {
		t.Errorf("after a discard: %s", got)
	}
}

// TestReplay runs random operations and compares the file system at each step with the one that the record gives back.
func TestReplay(t *testing.T) {
	for seed := range uint64(8) {
		f := crashfs.New("/d", "/e")
		f.Record()
		run := newRandomRun(f, seed)
		var images, cuts []string
		var seqs []int
		for range 60 {
			run.step(t)
			seqs = append(seqs, f.Seq()) // images are operations too
			images = append(images, image(t, f.Kill(), "/"))
			cuts = append(cuts, image(t, f.Crash(crashfs.Random(seed)), "/"))
		}
		for i, seq := range seqs {
			if got := image(t, f.KillAt(seq), "/"); got != images[i] {
				t.Fatalf("seed %d: KillAt(%d)\n  %s\nwas\n  %s", seed, seq, got, images[i])
			}
			if got := image(t, f.CrashAt(seq, crashfs.Random(seed)), "/"); got != cuts[i] {
				t.Fatalf("seed %d: CrashAt(%d)\n  %s\nwas\n  %s", seed, seq, got, cuts[i])
			}
		}
	}
}

// TestCopiesAreIndependent changes the copies and the original and looks whether any sees the other.
func TestCopiesAreIndependent(t *testing.T) {
	for seed := range uint64(30) {
		f := crashfs.New("/d", "/e")
		run := newRandomRun(f, seed)
		for range 40 {
			run.step(t)
		}
		copies := []*crashfs.FS{f.Kill(), f.Crash(crashfs.KeepAll), f.Crash(crashfs.LoseAll), f.Crash(crashfs.Random(seed))}
		copies = append(copies, copies[0].Kill(), copies[1].Kill(), f)
		images := make([]string, len(copies))
		for i, c := range copies {
			images[i] = image(t, c, "/")
		}
		for i, c := range copies {
			for range 30 {
				r := newRandomRun(c, seed*100+uint64(i))
				r.step(t)
				r.step(t)
			}
			for j, other := range copies[i+1:] {
				if got := image(t, other, "/"); got != images[i+1+j] {
					t.Fatalf("seed %d: copy %d changed with copy %d:\n  %s\nwas\n  %s", seed, i+1+j, i, got, images[i+1+j])
				}
			}
		}
	}
}

// TestSyncedSurvives checks the one promise that matters, on random operations: what was synced under a synced name and
// not touched since is in every state.
func TestSyncedSurvives(t *testing.T) {
	for seed := range uint64(40) {
		f := crashfs.New("/d", "/e")
		run := newRandomRun(f, seed)
		for range 50 {
			run.step(t)
		}
		run.syncAll(t)
		want := image(t, f, "/")
		if n := len(f.Units()); n != 0 {
			t.Fatalf("seed %d: %d units after everything was synced: %v", seed, n, f.Units())
		}
		if got := image(t, f.Crash(crashfs.LoseAll), "/"); got != want {
			t.Fatalf("seed %d: after a power cut\n  %s\nwant\n  %s", seed, got, want)
		}
		// A second power cut takes nothing more.
		for range 10 {
			run.step(t)
		}
		once := f.Crash(crashfs.Random(seed))
		if got, want := image(t, once.Crash(crashfs.LoseAll), "/"), image(t, once, "/"); got != want {
			t.Fatalf("seed %d: second power cut\n  %s\nafter the first\n  %s", seed, got, want)
		}
	}
}

func TestNotRecorded(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("CrashAt without Record did not panic")
		}
	}()
	crashfs.New().CrashAt(0, crashfs.LoseAll)
}

func TestErrorsAreOfTheKindAskedFor(t *testing.T) {
	f := crashfs.New("/d")
	if _, err := f.Open("/d/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}

func TestAllStates(t *testing.T) {
	f := crashfs.New("/d")
	f.Record()
	h := create(t, f, "/d/a")
	f.Stat("/d/a")
	put(t, h, 0, strings.Repeat("x", 9000))
	ok(t, h.Sync())
	ok(t, f.SyncDir("/d"))
	one, all := 0, map[string]int{}
	for n := 0; n <= f.Seq(); n++ {
		if n == 2 {
			continue // a stat: the disk is as it was
		}
		for s := range f.States(n, crashfs.Bounds{}) {
			one++
			all[s.Origin()+image(t, s, "/")]++
		}
	}
	for s := range f.AllStates(crashfs.Bounds{}) {
		one--
		all[s.Origin()+image(t, s, "/")]--
	}
	for s, n := range all {
		if n != 0 {
			t.Errorf("%+d %s", n, s)
		}
	}
	if one != 0 {
		t.Errorf("AllStates has %d states fewer than States at each operation", one)
	}
	n := 0
	for range f.AllStates(crashfs.Bounds{Max: 2}) {
		n++
	}
	if n != 1+2+2+2+1 {
		t.Errorf("%d states with at most 2 of each instant", n)
	}
	for range f.AllStates(crashfs.Bounds{}) {
		break // an early end is allowed
	}
	if !bytes.Contains([]byte(fmt.Sprint(f.Trace())), []byte("3 write /d/a [0,+9000)")) {
		t.Errorf("trace %v", f.Trace())
	}
}
