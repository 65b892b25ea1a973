// Package vfstest holds the rules that every maker of a vfs.FS keeps, as tests: what a file, a directory, a lock, a
// mapping and a direct file must do, and with which errors. A maker calls Run from a test of its own:
//
//	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
//
// What happens when the power fails is not asked here: only crashfs can be asked.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/store/vfs"
)

// Make returns a file system and an empty directory in it. It is called once for each rule.
type Make func(t *testing.T) (fsys vfs.FS, dir string)

// Run checks every rule.
func Run(t *testing.T, newFS Make) {
	rules := []struct {
		name string
		test func(t *testing.T, fsys vfs.FS, dir string)
	}{
		{"create", testCreate},
		{"read and write", testReadWrite},
		{"truncate", testTruncate},
		{"allocate", testAllocate},
		{"sync", testSync},
		{"closed", testClosed},
		{"read only", testReadOnly},
		{"direct", testDirect},
		{"directory", testDirectory},
		{"remove open file", testRemoveOpen},
		{"rename", testRename},
		{"stat", testStat},
		{"lock", testLock},
		{"space", testSpace},
		{"map", testMap},
		{"map file", testMapFile},
		{"discard", testDiscard},
		{"send", testSend},
		{"send short file", testSendShort},
		{"errors", testErrors},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			fsys, dir := newFS(t)
			r.test(t, fsys, dir)
		})
	}
}

var writable = vfs.Options{Write: true, Create: true}

// pattern makes n bytes that differ from page to page and from seed to seed.
func pattern(n int, seed byte) []byte {
	b := vfs.AlignedBytes(n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>12)*31 ^ seed
	}
	return b
}

func open(t *testing.T, fsys vfs.FS, name string, opts vfs.Options) vfs.File {
	t.Helper()
	f, err := fsys.OpenFile(name, opts)
	if err != nil {
		t.Fatalf("OpenFile(%s, %+v): %v", name, opts, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f vfs.File, b []byte, offset int64) {
	t.Helper()
	if n, err := f.WriteAt(b, offset); n != len(b) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(b), offset, n, err)
	}
}

func wantBytes(t *testing.T, f vfs.File, want []byte, offset int64) {
	t.Helper()
	got := vfs.AlignedBytes(len(want))
	if n, err := f.ReadAt(got, offset); n != len(want) || err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(want), offset, n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("ReadAt(%d bytes, %d): other bytes than written", len(want), offset)
	}
}

func wantSize(t *testing.T, f vfs.File, want int64) {
	t.Helper()
	if got, err := f.Size(); got != want || err != nil {
		t.Fatalf("Size() = %d, %v; want %d", got, err, want)
	}
}

func wantNames(t *testing.T, fsys vfs.FS, dir string, want ...string) {
	t.Helper()
	got, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatalf("ReadDir(%s): %v", dir, err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("ReadDir(%s) = %q; want %q", dir, got, want)
	}
}

// wantError also checks that the error names a path, as all errors of a vfs.FS do.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v; want %v", what, err, want)
	}
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Path == "" {
		t.Fatalf("%s: error %v (%T) does not wrap an *fs.PathError", what, err, err)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func testCreate(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	_, err := fsys.Open(name)
	wantError(t, "Open of nothing", err, fs.ErrNotExist)
	_, err = fsys.OpenFile(name, vfs.Options{Write: true})
	wantError(t, "OpenFile of nothing", err, fs.ErrNotExist)

	f := open(t, fsys, name, vfs.Options{Write: true, Create: true, Exclusive: true})
	if f.Name() != name {
		t.Fatalf("Name() = %q; want %q", f.Name(), name)
	}
	write(t, f, []byte("hello"), 0)
	_, err = fsys.OpenFile(name, vfs.Options{Write: true, Create: true, Exclusive: true})
	wantError(t, "exclusive OpenFile of a file", err, fs.ErrExist)
	_, err = fsys.OpenFile(name, vfs.Options{Write: true, Create: true, Exclusive: true, Direct: true})
	wantError(t, "exclusive direct OpenFile of a file", err, fs.ErrExist)

	g := open(t, fsys, name, writable)
	wantBytes(t, g, []byte("hello"), 0)
	h := open(t, fsys, name, vfs.Options{Write: true, Truncate: true})
	wantSize(t, h, 0)
	wantSize(t, f, 0)
	_, err = fsys.OpenFile(name, vfs.Options{Truncate: true})
	wantError(t, "truncate without write", err, syscall.EINVAL)
	_, err = fsys.OpenFile(filepath.Join(dir, "none", "a"), writable)
	wantError(t, "OpenFile in a missing directory", err, fs.ErrNotExist)
	_, err = fsys.OpenFile(filepath.Join(name, "a"), writable)
	wantError(t, "OpenFile beneath a file", err, syscall.ENOTDIR)
}

func testReadWrite(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	data := pattern(10_000, 1)
	write(t, f, data, 0)
	wantBytes(t, f, data, 0)
	wantBytes(t, f, data[4000:9000], 4000)
	// Overwrite across a page boundary, then beyond the end with a hole.
	write(t, f, pattern(100, 2), 4050)
	copy(data[4050:], pattern(100, 2))
	wantBytes(t, f, data, 0)
	write(t, f, []byte{7}, 20_000)
	wantSize(t, f, 20_001)
	wantBytes(t, f, make([]byte, 10_000), 10_000)

	short := make([]byte, 10)
	if n, err := f.ReadAt(short, 19_999); n != 2 || err != io.EOF {
		t.Fatalf("ReadAt over the end = %d, %v; want 2, EOF", n, err)
	}
	if n, err := f.ReadAt(short, 30_000); n != 0 || err != io.EOF {
		t.Fatalf("ReadAt behind the end = %d, %v; want 0, EOF", n, err)
	}
	if n, err := f.ReadAt(nil, 0); n != 0 || err != nil {
		t.Fatalf("ReadAt of nothing = %d, %v", n, err)
	}
	if n, err := f.WriteAt(nil, 50_000); n != 0 || err != nil {
		t.Fatalf("WriteAt of nothing = %d, %v", n, err)
	}
	wantSize(t, f, 20_001)
	_, err := f.ReadAt(short, -1)
	wantError(t, "ReadAt(-1)", err, syscall.EINVAL)
	_, err = f.WriteAt(short, -1)
	wantError(t, "WriteAt(-1)", err, syscall.EINVAL)
	if err := f.DropCache(0, 20_001); err != nil {
		t.Fatalf("DropCache: %v", err)
	}
	wantBytes(t, f, data, 0)
}

func testTruncate(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	data := pattern(9000, 1)
	write(t, f, data, 0)
	must(t, "Truncate", f.Truncate(5000))
	wantSize(t, f, 5000)
	// What was cut off does not come back.
	must(t, "Truncate", f.Truncate(9000))
	wantBytes(t, f, append(slices.Clone(data[:5000]), make([]byte, 4000)...), 0)
	must(t, "Truncate", f.Truncate(0))
	wantSize(t, f, 0)
	write(t, f, []byte{1}, 4095)
	wantBytes(t, f, make([]byte, 4095), 0)
	wantError(t, "Truncate(-1)", f.Truncate(-1), syscall.EINVAL)
}

func testAllocate(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	must(t, "Allocate", f.Allocate(1<<20))
	wantSize(t, f, 0)
	write(t, f, pattern(6000, 1), 0)
	must(t, "Allocate", f.Allocate(4096))
	wantSize(t, f, 6000)
	wantBytes(t, f, pattern(6000, 1), 0)
	must(t, "Truncate", f.Truncate(6000))
	wantBytes(t, f, pattern(6000, 1), 0)
}

func testSync(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	write(t, f, pattern(6000, 1), 0)
	must(t, "Datasync", f.Datasync())
	write(t, f, pattern(6000, 2), 3000)
	must(t, "Sync", f.Sync())
	must(t, "SyncDir", fsys.SyncDir(dir))
	wantBytes(t, f, pattern(6000, 2), 3000)
	wantError(t, "SyncDir of nothing", fsys.SyncDir(filepath.Join(dir, "none")), fs.ErrNotExist)
	wantError(t, "SyncDir of a file", fsys.SyncDir(f.Name()), syscall.ENOTDIR)
}

func testClosed(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	write(t, f, pattern(100, 1), 0)
	must(t, "Close", f.Close())
	_, err := f.ReadAt(make([]byte, 10), 0)
	wantError(t, "ReadAt", err, fs.ErrClosed)
	_, err = f.WriteAt(make([]byte, 10), 0)
	wantError(t, "WriteAt", err, fs.ErrClosed)
	_, err = f.Size()
	wantError(t, "Size", err, fs.ErrClosed)
	wantError(t, "Sync", f.Sync(), fs.ErrClosed)
	wantError(t, "Datasync", f.Datasync(), fs.ErrClosed)
	wantError(t, "Truncate", f.Truncate(0), fs.ErrClosed)
	wantError(t, "Allocate", f.Allocate(1), fs.ErrClosed)
	wantError(t, "DropCache", f.DropCache(0, 1), fs.ErrClosed)
	wantError(t, "Close", f.Close(), fs.ErrClosed)
	c, d := net.Pipe()
	defer c.Close()
	defer d.Close()
	if n, err := f.SendTo(c, 0, 10); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("SendTo = %d, %v; want 0, closed", n, err)
	}
}

func testReadOnly(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	write(t, open(t, fsys, name, writable), pattern(100, 1), 0)
	f, err := fsys.Open(name)
	must(t, "Open", err)
	defer f.Close()
	wantBytes(t, f, pattern(100, 1), 0)
	_, err = f.WriteAt([]byte{1}, 0)
	wantError(t, "WriteAt", err, syscall.EBADF)
	wantError(t, "Truncate", f.Truncate(0), syscall.EINVAL)
	wantError(t, "Allocate", f.Allocate(4096), syscall.EBADF)
	must(t, "Sync", f.Sync())
}

func testDirect(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f := open(t, fsys, name, vfs.Options{Write: true, Create: true, Exclusive: true, Direct: true})
	data := pattern(3*vfs.BlockSize, 1)
	write(t, f, data, 0)
	wantBytes(t, f, data, 0)
	must(t, "Truncate", f.Truncate(5000))
	// A read over the end of a file that ends within a block.
	got := vfs.AlignedBytes(3 * vfs.BlockSize)
	if n, err := f.ReadAt(got, 0); n != 5000 || err != io.EOF {
		t.Fatalf("ReadAt over the end = %d, %v; want 5000, EOF", n, err)
	}
	if !bytes.Equal(got[:5000], data[:5000]) {
		t.Fatal("ReadAt: other bytes than written")
	}
	g, err := fsys.Open(name)
	must(t, "Open", err)
	defer g.Close()
	wantBytes(t, g, data[:5000], 0)
	sendAndCompare(t, f, 4097, 900, data[4097:4997])
	if !f.Direct() {
		t.Log("direct I/O is refused here; the file is used through the page cache")
		return
	}
	for _, bad := range []struct {
		b      []byte
		offset int64
	}{{data[:100], 0}, {data[:vfs.BlockSize], 1000}, {data[100 : 100+vfs.BlockSize], 0}} {
		// Disks with smaller sectors take more, and tmpfs takes everything; who refuses says EINVAL.
		if _, err := f.WriteAt(bad.b, bad.offset); err != nil {
			wantError(t, "unaligned direct WriteAt", err, syscall.EINVAL)
		}
	}
}

func testDirectory(t *testing.T, fsys vfs.FS, dir string) {
	wantNames(t, fsys, dir)
	sub := filepath.Join(dir, "sub")
	must(t, "Mkdir", fsys.Mkdir(sub))
	wantError(t, "Mkdir again", fsys.Mkdir(sub), fs.ErrExist)
	wantError(t, "Mkdir in a missing directory", fsys.Mkdir(filepath.Join(dir, "x", "y")), fs.ErrNotExist)
	for _, n := range []string{"b", "a", "c"} {
		open(t, fsys, filepath.Join(sub, n), writable).Close()
	}
	wantNames(t, fsys, sub, "a", "b", "c")
	wantNames(t, fsys, dir, "sub")
	if err := fsys.Remove(sub); err == nil {
		t.Fatal("Remove of a full directory succeeded")
	} else {
		wantError(t, "Remove of a full directory", err, syscall.ENOTEMPTY)
	}
	for _, n := range []string{"b", "a", "c"} {
		must(t, "Remove", fsys.Remove(filepath.Join(sub, n)))
	}
	wantError(t, "Remove of nothing", fsys.Remove(filepath.Join(sub, "a")), fs.ErrNotExist)
	must(t, "Remove", fsys.Remove(sub))
	wantNames(t, fsys, dir)
	_, err := fsys.ReadDir(sub)
	wantError(t, "ReadDir of nothing", err, fs.ErrNotExist)
}

func testRemoveOpen(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f := open(t, fsys, name, writable)
	write(t, f, pattern(5000, 1), 0)
	must(t, "Remove", fsys.Remove(name))
	wantNames(t, fsys, dir)
	write(t, f, pattern(5000, 2), 5000)
	wantBytes(t, f, pattern(5000, 1), 0)
	wantBytes(t, f, pattern(5000, 2), 5000)
	must(t, "Sync", f.Sync())
	g := open(t, fsys, name, vfs.Options{Write: true, Create: true, Exclusive: true})
	wantSize(t, g, 0)
}

func testRename(t *testing.T, fsys vfs.FS, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	f := open(t, fsys, a, writable)
	write(t, f, []byte("from"), 0)
	write(t, open(t, fsys, b, writable), []byte("to"), 0)
	must(t, "Rename", fsys.Rename(a, b))
	wantNames(t, fsys, dir, "b")
	g, err := fsys.Open(b)
	must(t, "Open", err)
	defer g.Close()
	wantBytes(t, g, []byte("from"), 0)
	wantSize(t, g, 4)
	wantError(t, "Rename of nothing", fsys.Rename(a, b), fs.ErrNotExist)
	must(t, "Rename to itself", fsys.Rename(b, b))

	sub := filepath.Join(dir, "sub")
	must(t, "Mkdir", fsys.Mkdir(sub))
	must(t, "Rename to another directory", fsys.Rename(b, filepath.Join(sub, "c")))
	wantNames(t, fsys, dir, "sub")
	wantNames(t, fsys, sub, "c")
	must(t, "Rename of a directory", fsys.Rename(sub, filepath.Join(dir, "new")))
	wantNames(t, fsys, filepath.Join(dir, "new"), "c")
	open(t, fsys, a, writable).Close()
	wantError(t, "Rename of a directory over a file", fsys.Rename(filepath.Join(dir, "new"), a), syscall.ENOTDIR)
	wantError(t, "Rename of a file over a directory", fsys.Rename(a, filepath.Join(dir, "new")), syscall.EISDIR)
	wantError(t, "Rename of a directory into itself",
		fsys.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "new", "x")), syscall.EINVAL)
}

func testStat(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	f := open(t, fsys, name, writable)
	write(t, f, pattern(5000, 1), 0)
	info, err := fsys.Stat(name)
	must(t, "Stat", err)
	if info.Name != "a" || info.Size != 5000 || info.Dir || info.Mode != 0o600 || info.ModTime.IsZero() {
		t.Fatalf("Stat = %+v", info)
	}
	parent, err := fsys.Stat(dir)
	must(t, "Stat", err)
	if !parent.Dir || !parent.Mode.IsDir() || parent.Device != info.Device || parent.Inode == info.Inode {
		t.Fatalf("Stat of the directory = %+v, of the file %+v", parent, info)
	}
	// Another way to the same directory has the same pair of numbers.
	again, err := fsys.Stat(filepath.Join(dir, ".") + "/../" + filepath.Base(dir))
	must(t, "Stat", err)
	if again.Device != parent.Device || again.Inode != parent.Inode {
		t.Fatalf("two paths to one directory: %+v and %+v", parent, again)
	}
	must(t, "Rename", fsys.Rename(name, filepath.Join(dir, "b")))
	moved, err := fsys.Stat(filepath.Join(dir, "b"))
	must(t, "Stat", err)
	if diff := cmp.Diff(moved.Inode, info.Inode); diff != "" {
		t.Fatalf("inode after a rename: %s", diff)
	}
	_, err = fsys.Stat(name)
	wantError(t, "Stat of nothing", err, fs.ErrNotExist)
}

func testLock(t *testing.T, fsys vfs.FS, dir string) {
	one, err := fsys.Lock(dir, true)
	must(t, "Lock", err)
	_, err = fsys.Lock(dir, true)
	wantError(t, "second Lock", err, vfs.ErrLocked)
	_, err = fsys.Lock(dir, false)
	wantError(t, "shared Lock beside an exclusive one", err, vfs.ErrLocked)
	must(t, "Close", one.Close())
	two, err := fsys.Lock(dir, false)
	must(t, "shared Lock", err)
	three, err := fsys.Lock(dir, false)
	must(t, "second shared Lock", err)
	_, err = fsys.Lock(dir, true)
	wantError(t, "exclusive Lock beside shared ones", err, vfs.ErrLocked)
	must(t, "Close", two.Close())
	_, err = fsys.Lock(dir, true)
	wantError(t, "exclusive Lock beside a shared one", err, vfs.ErrLocked)
	must(t, "Close", three.Close())
	four, err := fsys.Lock(dir, true)
	must(t, "Lock after all are gone", err)
	must(t, "Close", four.Close())
	if four.Close() == nil {
		t.Fatal("a lock was given back twice")
	}
	_, err = fsys.Lock(filepath.Join(dir, "none"), true)
	wantError(t, "Lock of nothing", err, fs.ErrNotExist)
}

func testSpace(t *testing.T, fsys vfs.FS, dir string) {
	s, err := fsys.Space(dir)
	must(t, "Space", err)
	if s.Total <= 0 || s.Available < 0 || s.Available > s.Total {
		t.Fatalf("Space = %+v", s)
	}
	_, err = fsys.Space(filepath.Join(dir, "none"))
	wantError(t, "Space of nothing", err, fs.ErrNotExist)
}

func testMap(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "block")
	const size = 4 * vfs.BlockSize
	m, err := fsys.Map(name, size)
	must(t, "Map", err)
	if len(m.Bytes()) != size || !vfs.Aligned(m.Bytes(), 0) {
		t.Fatalf("mapping of %d bytes, aligned %v", len(m.Bytes()), vfs.Aligned(m.Bytes(), 0))
	}
	if !bytes.Equal(m.Bytes(), make([]byte, size)) {
		t.Fatal("a new mapping is not all zeros")
	}
	copy(m.Bytes(), pattern(size, 1))
	// Two mappings of one file are the same memory, as far as anybody can tell.
	other, err := fsys.Map(name, size)
	must(t, "second Map", err)
	if !bytes.Equal(other.Bytes(), m.Bytes()) {
		t.Fatal("the second mapping holds other bytes")
	}
	other.Bytes()[5] = 99
	if m.Bytes()[5] != 99 {
		t.Fatal("the first mapping does not see what the second stored")
	}
	must(t, "Close", m.Close())
	must(t, "Close", other.Close())
	if m.Close() == nil {
		t.Fatal("a mapping was closed twice")
	}
	want := pattern(size, 1)
	want[5] = 99
	m, err = fsys.Map(name, 6*vfs.BlockSize)
	must(t, "Map", err)
	if !bytes.Equal(m.Bytes()[:size], want) || !bytes.Equal(m.Bytes()[size:], make([]byte, 2*vfs.BlockSize)) {
		t.Fatal("a grown mapping lost its bytes or is not zero behind them")
	}
	must(t, "Close", m.Close())
	for _, size := range []int{0, -1} {
		_, err = fsys.Map(name, size)
		wantError(t, "Map without bytes", err, syscall.EINVAL)
	}
	_, err = fsys.Map(filepath.Join(dir, "none", "block"), size)
	wantError(t, "Map in a missing directory", err, fs.ErrNotExist)
}

func testMapFile(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "block")
	m, err := fsys.Map(name, 2*vfs.BlockSize)
	must(t, "Map", err)
	copy(m.Bytes(), pattern(2*vfs.BlockSize, 3))
	// The mapping and the file are one.
	f := open(t, fsys, name, writable)
	wantSize(t, f, 2*vfs.BlockSize)
	wantBytes(t, f, pattern(2*vfs.BlockSize, 3), 0)
	write(t, f, []byte{1, 2, 3}, 4095)
	if !bytes.Equal(m.Bytes()[4095:4098], []byte{1, 2, 3}) {
		t.Fatal("the mapping does not see what was written to the file")
	}
	must(t, "Close", m.Close())
	wantBytes(t, f, []byte{1, 2, 3}, 4095)
	m, err = fsys.Map(name, vfs.BlockSize)
	must(t, "Map", err)
	wantSize(t, f, vfs.BlockSize)
	must(t, "Close", m.Close())
}

func testDiscard(t *testing.T, fsys vfs.FS, dir string) {
	const size = 4 * vfs.BlockSize
	m, err := fsys.Map(filepath.Join(dir, "block"), size)
	must(t, "Map", err)
	defer m.Close()
	want := pattern(size, 1)
	copy(m.Bytes(), want)
	must(t, "Discard", m.Discard(vfs.BlockSize, 2*vfs.BlockSize))
	clear(want[vfs.BlockSize : 3*vfs.BlockSize])
	if !bytes.Equal(m.Bytes(), want) {
		t.Fatal("Discard: not zeros, or too many")
	}
	must(t, "Reserve", m.Reserve(vfs.BlockSize, 2*vfs.BlockSize))
	if !bytes.Equal(m.Bytes(), want) {
		t.Fatal("Reserve changed bytes")
	}
	copy(m.Bytes()[vfs.BlockSize:], pattern(vfs.BlockSize, 2))
	must(t, "Discard of nothing", m.Discard(size, 0))
	for _, bad := range [][2]int{{1, vfs.BlockSize}, {0, 100}, {size, vfs.BlockSize}, {-vfs.BlockSize, vfs.BlockSize}} {
		wantError(t, "Discard of a bad range", m.Discard(bad[0], bad[1]), syscall.EINVAL)
		wantError(t, "Reserve of a bad range", m.Reserve(bad[0], bad[1]), syscall.EINVAL)
	}
}

func testErrors(t *testing.T, fsys vfs.FS, dir string) {
	_, err := fsys.OpenFile(dir, vfs.Options{Write: true})
	wantError(t, "OpenFile of a directory for writing", err, syscall.EISDIR)
	open(t, fsys, filepath.Join(dir, "a"), writable)
	_, err = fsys.ReadDir(filepath.Join(dir, "a"))
	wantError(t, "ReadDir of a file", err, syscall.ENOTDIR)
	_, err = fsys.Lock(filepath.Join(dir, "a"), true)
	wantError(t, "Lock of a file", err, syscall.ENOTDIR)
	wantError(t, "Rename into a missing directory",
		fsys.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "x", "a")), fs.ErrNotExist)
	_, err = fsys.Map(dir, 4096)
	wantError(t, "Map of a directory", err, syscall.EISDIR)
}
