//go:build linux

package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

type osMapping struct {
	file  *osFile
	bytes []byte
}

// Map reserves the whole file before it maps it: storing into a hole of a full file system would be a SIGBUS, here it
// is ENOSPC.
func (osFS) Map(name string, size int) (Mapping, error) {
	if size <= 0 {
		return nil, pathError("map", name, unix.EINVAL)
	}
	_, statErr := os.Lstat(name)
	f, err := openOS(name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	m, err := mapFile(f, size)
	if err != nil {
		f.Close()
		if os.IsNotExist(statErr) {
			os.Remove(name)
		}
		return nil, err
	}
	return m, nil
}

func mapFile(f *osFile, size int) (*osMapping, error) {
	before, err := f.Size()
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	m := &osMapping{file: f}
	if err := m.reserve(0, int64(size)); err != nil {
		if before < int64(size) {
			// The caller gets the error of the reservation; the length is put back as far as it can be.
			f.Truncate(before)
		}
		return nil, err
	}
	err = f.do("mmap", func(fd int) (err error) {
		m.bytes, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *osMapping) Bytes() []byte { return m.bytes }

func (m *osMapping) reserve(offset, n int64) error {
	return m.file.do("reserve", func(fd int) error {
		err := unix.Fallocate(fd, 0, offset, n)
		if cannotAllocate(err) {
			return nil
		}
		return err
	})
}

func (m *osMapping) Reserve(offset, n int) error {
	if !m.inside(offset, n) {
		return pathError("reserve", m.file.Name(), unix.EINVAL)
	}
	if n == 0 {
		return nil
	}
	return m.reserve(int64(offset), int64(n))
}

// Discard punches a hole; where the file system cannot, it stores zeros, which reads the same and costs the memory.
func (m *osMapping) Discard(offset, n int) error {
	if !m.inside(offset, n) {
		return pathError("discard", m.file.Name(), unix.EINVAL)
	}
	if n == 0 {
		return nil
	}
	return m.file.do("discard", func(fd int) error {
		err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(offset), int64(n))
		if cannotAllocate(err) {
			clear(m.bytes[offset : offset+n])
			return nil
		}
		return err
	})
}

func (m *osMapping) inside(offset, n int) bool {
	return offset >= 0 && n >= 0 && offset <= len(m.bytes)-n && offset%BlockSize == 0 && n%BlockSize == 0
}

func (m *osMapping) Close() error {
	if m.bytes == nil {
		return os.ErrClosed
	}
	err := unix.Munmap(m.bytes)
	m.bytes = nil
	if closeErr := m.file.Close(); err == nil {
		err = closeErr
	}
	return pathError("unmap", m.file.Name(), unwrapPath(err))
}
