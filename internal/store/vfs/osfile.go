//go:build linux

package vfs

import (
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// osFile is a file of the machine. The os.File keeps the descriptor's number from being given to another file while a
// call is on its way; all calls go through raw.Control, which counts them.
type osFile struct {
	file   *os.File
	raw    syscall.RawConn
	direct bool
}

func openOS(name string, flags int) (*osFile, error) {
	file, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &osFile{file: file, raw: raw}, nil
}

// makeDirect sets O_DIRECT; a file system that does not know it says EINVAL and is used through the page cache.
func (f *osFile) makeDirect() error {
	err := f.do("set direct", func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_DIRECT)
		if err == unix.EINVAL || err == unix.EOPNOTSUPP {
			return nil
		}
		f.direct = err == nil
		return err
	})
	return err
}

// do runs one system call on the descriptor, again after each interruption.
func (f *osFile) do(op string, call func(fd int) error) error {
	var err error
	if f.raw.Control(func(fd uintptr) { err = retry(func() error { return call(int(fd)) }) }) != nil {
		err = fs.ErrClosed
	}
	return pathError(op, f.Name(), err)
}

func (f *osFile) Name() string { return f.file.Name() }

func (f *osFile) Direct() bool { return f.direct }

func (f *osFile) Close() error { return f.file.Close() }

// ReadAt ends at the first short read of a direct file that stops off a block boundary: that is the end of the file, and
// to ask for more there would be refused.
func (f *osFile) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, pathError("read", f.Name(), unix.EINVAL)
	}
	done := 0
	for done < len(b) {
		n := 0
		err := f.do("read", func(fd int) (err error) {
			n, err = unix.Pread(fd, b[done:], offset+int64(done))
			return err
		})
		if err != nil {
			return done, err
		}
		done += n
		if n == 0 || f.direct && done < len(b) && done%BlockSize != 0 {
			return done, io.EOF
		}
	}
	return done, nil
}

// WriteAt completes short writes; the error of the call that wrote nothing says why one was short.
func (f *osFile) WriteAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, pathError("write", f.Name(), unix.EINVAL)
	}
	done := 0
	for done < len(b) {
		n := 0
		err := f.do("write", func(fd int) (err error) {
			n, err = unix.Pwrite(fd, b[done:], offset+int64(done))
			return err
		})
		if err != nil {
			return done, err
		}
		done += n
		if n == 0 || f.direct && done < len(b) && done%BlockSize != 0 {
			return done, pathError("write", f.Name(), io.ErrShortWrite)
		}
	}
	return done, nil
}

func (f *osFile) Size() (int64, error) {
	var st unix.Stat_t
	err := f.do("stat", func(fd int) error { return unix.Fstat(fd, &st) })
	return st.Size, err
}

func (f *osFile) Sync() error { return f.do("fsync", unix.Fsync) }

func (f *osFile) Datasync() error { return f.do("fdatasync", unix.Fdatasync) }

func (f *osFile) Truncate(size int64) error {
	return f.do("truncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

func (f *osFile) Allocate(size int64) error {
	if size <= 0 {
		return nil
	}
	return f.do("allocate", func(fd int) error {
		err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, size)
		if cannotAllocate(err) {
			return nil
		}
		return err
	})
}

func (f *osFile) DropCache(offset, n int64) error {
	return f.do("fadvise", func(fd int) error { return unix.Fadvise(fd, offset, n, unix.FADV_DONTNEED) })
}

// cannotAllocate tells a file system that has no fallocate(2) from one that is full.
func cannotAllocate(err error) bool { return err == unix.EOPNOTSUPP || err == unix.ENOSYS }
