//go:build linux

package vfs

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS returns the file system of the machine. It holds no state: all values of it are the same.
func OS() FS { return osFS{} }

type osFS struct{}

func (o osFS) Open(name string) (File, error) { return o.OpenFile(name, Options{}) }

// OpenFile asks for direct I/O by fcntl(2) after the file is open, not by a flag of open(2): where a file system refuses
// O_DIRECT, open(2) has already made the file when it says EINVAL, and a second try with O_EXCL would fail.
func (osFS) OpenFile(name string, opts Options) (File, error) {
	flags := unix.O_RDONLY
	if opts.Write {
		flags = unix.O_RDWR
	}
	if opts.Create {
		flags |= unix.O_CREAT
		if opts.Exclusive {
			flags |= unix.O_EXCL
		}
	}
	if opts.Truncate {
		if !opts.Write {
			return nil, pathError("open", name, unix.EINVAL)
		}
		flags |= unix.O_TRUNC
	}
	f, err := openOS(name, flags)
	if err != nil {
		return nil, err
	}
	if opts.Direct {
		if err := f.makeDirect(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (osFS) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Rename(from, to string) error {
	err := retry(func() error { return unix.Rename(from, to) })
	return pathError("rename", from+" to "+to, err)
}

func (osFS) ReadDir(name string) ([]string, error) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, pathError("readdir", name, unwrapPath(err))
	}
	slices.Sort(names)
	return names, nil
}

func (osFS) Stat(name string) (Info, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	out := Info{Name: info.Name(), Size: info.Size(), Dir: info.IsDir(), ModTime: info.ModTime(), Mode: info.Mode()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		out.Device, out.Inode = uint64(sys.Dev), uint64(sys.Ino)
	}
	return out, nil
}

func (osFS) SyncDir(name string) error {
	dir, err := openOS(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.do("fsync directory", unix.Fsync)
}

// Lock opens the directory for each call: flock(2) belongs to the open file description, so that two calls of one
// process exclude each other just as two processes do. The lock goes with the description, hence with the process.
func (osFS) Lock(dir string, exclusive bool) (io.Closer, error) {
	f, err := openOS(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	err = f.do("lock", func(fd int) error {
		err := unix.Flock(fd, how|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			return ErrLocked
		}
		return err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (osFS) Space(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return Space{}, pathError("statfs", dir, err)
	}
	unit := int64(st.Frsize)
	if unit == 0 {
		unit = int64(st.Bsize)
	}
	return Space{Total: int64(st.Blocks) * unit, Available: int64(st.Bavail) * unit, Type: int64(st.Type)}, nil
}

// retry repeats a system call that a signal interrupted; Go's own preemption signals do that too.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// unwrapPath takes the path off an error that gets another one.
func unwrapPath(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}
