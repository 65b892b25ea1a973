package crashfs

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"syscall"

	"nightjar/internal/store/vfs"
)

// file is an open handle.
type file struct {
	fs     *FS
	node   *node
	name   string
	write  bool
	direct bool
	closed bool // guarded by fs.mu
}

// on runs one operation on the open file.
func (h *file) on(op Op, do func() error, fail func(action)) error {
	op.Path = h.name
	return h.fs.run(op, func() error {
		if h.closed {
			return fs.ErrClosed
		}
		return do()
	}, func(a action) {
		if fail != nil && !h.closed {
			fail(a)
		}
	})
}

func (h *file) Name() string { return h.name }

func (h *file) Direct() bool { return h.direct }

func (h *file) ReadAt(b []byte, offset int64) (n int, err error) {
	err = h.on(Op{Kind: Read, Offset: offset, Size: int64(len(b))}, func() error {
		if offset < 0 || h.direct && !vfs.Aligned(b, offset) {
			return syscall.EINVAL
		}
		h.catch()
		n = h.node.cur.readAt(b, offset)
		if n < len(b) {
			return io.EOF
		}
		return nil
	}, nil)
	if err != nil && err != io.EOF {
		return 0, err
	}
	return n, err
}

func (h *file) WriteAt(b []byte, offset int64) (n int, err error) {
	err = h.on(Op{Kind: Write, Offset: offset, Size: int64(len(b))}, func() (err error) {
		n, err = h.writeAt(b, offset)
		return err
	}, func(a action) {
		if a.short > 0 {
			n, _ = h.writeAt(b[:min(a.short, len(b))], offset)
		}
	})
	return n, err
}

func (h *file) writeAt(b []byte, offset int64) (int, error) {
	switch {
	case !h.write:
		return 0, syscall.EBADF
	case offset < 0 || h.direct && !vfs.Aligned(b, offset):
		return 0, syscall.EINVAL
	case len(b) == 0:
		return 0, nil
	}
	h.catch()
	n := int(h.fs.roomFor(h.node, offset, int64(len(b))))
	if n > 0 {
		h.fs.effect(effect{kind: effWrite, node: h.node.id, offset: offset, data: slices.Clone(b[:n])})
		if offset < int64(len(h.node.mem)) {
			copy(h.node.mem[offset:], b[:n])
		}
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// catch brings the file up to date with its mappings.
func (h *file) catch() {
	if h.node.maps > 0 {
		h.fs.catchMapping(h.node)
	}
}

func (h *file) Size() (size int64, err error) {
	err = h.on(Op{Kind: Stat}, func() error {
		size = h.node.cur.size
		return nil
	}, nil)
	return size, err
}

func (h *file) Sync() error { return h.sync(Sync) }

func (h *file) Datasync() error { return h.sync(Datasync) }

func (h *file) sync(kind Kind) error {
	return h.on(Op{Kind: kind}, func() error {
		h.catch()
		h.fs.effect(effect{kind: effSync, node: h.node.id})
		return nil
	}, func(action) {
		h.catch()
		h.fs.effect(effect{kind: effSyncFailed, node: h.node.id})
	})
}

func (h *file) Truncate(size int64) error {
	return h.on(Op{Kind: Truncate, Size: size}, func() error {
		if !h.write || size < 0 {
			return syscall.EINVAL
		}
		h.catch()
		h.fs.effect(effect{kind: effResize, node: h.node.id, size: size})
		if size < int64(len(h.node.mem)) {
			clear(h.node.mem[size:])
		}
		return nil
	}, nil)
}

func (h *file) Allocate(size int64) error {
	return h.on(Op{Kind: Allocate, Size: size}, func() error {
		switch {
		case !h.write:
			return syscall.EBADF
		case size <= 0:
			return nil
		case h.fs.roomFor(h.node, 0, size) < size:
			return syscall.ENOSPC
		}
		h.fs.effect(effect{kind: effReserve, node: h.node.id, size: size})
		return nil
	}, nil)
}

func (h *file) DropCache(offset, n int64) error {
	return h.on(Op{Kind: DropCache, Offset: offset, Size: n}, func() error { return nil }, nil)
}

// SendTo is one operation of the trace; a failure is injected before the first byte.
func (h *file) SendTo(conn net.Conn, offset, n int64) (int64, error) {
	err := h.on(Op{Kind: Send, Offset: offset, Size: n}, func() error {
		if offset < 0 || n < 0 {
			return syscall.EINVAL
		}
		h.catch()
		return nil
	}, nil)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, min(n, 128<<10))
	sent := int64(0)
	for sent < n {
		b := buf[:min(n-sent, int64(len(buf)))]
		h.fs.mu.Lock()
		got := h.node.cur.readAt(b, offset+sent)
		h.fs.mu.Unlock()
		if got == 0 {
			return sent, fmt.Errorf("send %s: %w", h.name, io.ErrUnexpectedEOF)
		}
		m, err := conn.Write(b[:got])
		sent += int64(m)
		if err != nil {
			return sent, fmt.Errorf("send %s: %w", h.name, err)
		}
	}
	return sent, nil
}

func (h *file) Close() error {
	return h.on(Op{Kind: Close}, func() error {
		h.release()
		return nil
	}, func(action) { h.release() }) // as on Linux: a failed close has closed
}

func (h *file) release() {
	h.closed = true
	h.node.opens--
	h.fs.disk.release(h.node)
}
