//go:build linux

package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/store/vfs"
)

// smallMemory mounts a tmpfs of 16 pages and 8 inodes.
func smallMemory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=8"); err != nil {
		t.Skipf("mounting a small tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestFullMemory fills a tmpfs: a mapping that found room can be stored into to its last byte, and what finds none is an
// error and not a signal.
func TestFullMemory(t *testing.T) {
	dir, fsys := smallMemory(t), vfs.OS()
	m, err := fsys.Map(filepath.Join(dir, "a"), 12*vfs.BlockSize)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := fsys.Map(filepath.Join(dir, "b"), 12*vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Map without room: %v", err)
	}
	if names, err := fsys.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("a failed Map left %q, %v", names, err)
	}
	f, err := fsys.OpenFile(filepath.Join(dir, "c"), vfs.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.WriteAt(make([]byte, 8*vfs.BlockSize), 0)
	if n != 4*vfs.BlockSize || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt into a full file system = %d, %v", n, err)
	}
	if err := f.Allocate(8 * vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Allocate in a full file system: %v", err)
	}
	for i := range m.Bytes() {
		m.Bytes()[i] = 1 // a SIGBUS here ends the test
	}
	if s, err := fsys.Space(dir); err != nil || s.Available != 0 || s.Total != 16*vfs.BlockSize || s.Type != unix.TMPFS_MAGIC {
		t.Errorf("Space = %+v, %v", s, err)
	}

	// Pages given back are there for others, and then missing here.
	if err := m.Discard(0, 4*vfs.BlockSize); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 4*vfs.BlockSize), 4*vfs.BlockSize); err != nil {
		t.Errorf("no room after Discard: %v", err)
	}
	if err := m.Reserve(0, 4*vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Reserve without room: %v", err)
	}
	// A mapping that cannot grow stays as it was.
	if _, err := fsys.Map(filepath.Join(dir, "a"), 40*vfs.BlockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Map that grows without room: %v", err)
	}
	if info, err := fsys.Stat(filepath.Join(dir, "a")); err != nil || info.Size != 12*vfs.BlockSize {
		t.Errorf("a failed Map left %+v, %v", info, err)
	}
	for i := range 10 {
		err = fsys.Mkdir(filepath.Join(dir, string(rune('k'+i))))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Mkdir without inodes: %v", err)
	}
}

// TestSendToStalled sends to somebody who does not read: the deadline of the connection ends it, and the file is closed
// only when the call is over.
func TestSendToStalled(t *testing.T) {
	f, err := vfs.OS().OpenFile(filepath.Join(t.TempDir(), "a"), vfs.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()

	type result struct {
		n   int64
		err error
	}
	done := make(chan result)
	go func() { // ends by the deadline
		n, err := f.SendTo(near, 0, 64<<20)
		done <- result{n, err}
	}()
	if _, err := io.ReadFull(far, make([]byte, 1000)); err != nil {
		t.Fatal(err) // the call is on its way now
	}
	f.Close()
	near.SetWriteDeadline(time.Unix(1, 0))
	r := <-done
	if !errors.Is(r.err, os.ErrDeadlineExceeded) || r.n < 1000 || r.n >= 64<<20 {
		t.Errorf("SendTo = %d, %v", r.n, r.err)
	}
}

// wrapped is a connection that does not offer its descriptor and counts, as TLS would.
type wrapped struct {
	net.Conn
	writes []int
}

func (w *wrapped) Write(b []byte) (int, error) {
	w.writes = append(w.writes, len(b))
	return len(b), nil
}

func TestSendToInLargeReads(t *testing.T) {
	f, err := vfs.OS().OpenFile(filepath.Join(t.TempDir(), "a"), vfs.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("x"), 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	var w wrapped
	if n, err := f.SendTo(&w, 0, 1<<20); n != 1<<20 || err != nil {
		t.Fatalf("SendTo = %d, %v", n, err)
	}
	if len(w.writes) != 8 || w.writes[0] != 128<<10 {
		t.Errorf("writes of %v bytes", w.writes)
	}
}

// TestDirectIsAsked opens a direct file with O_EXCL where direct I/O may be refused: the file must be made once, and usable.
func TestDirectIsAsked(t *testing.T) {
	f, err := vfs.OS().OpenFile(filepath.Join(t.TempDir(), "a"), vfs.Options{Write: true, Create: true, Exclusive: true, Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := vfs.AlignedBytes(vfs.BlockSize)
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if !f.Direct() {
		t.Skip("this file system refuses direct I/O")
	}
	if _, err := f.WriteAt(b[:100], 0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a write of 100 bytes to a direct file: %v", err)
	}
}
