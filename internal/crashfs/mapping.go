package crashfs

import (
	"io/fs"
	"slices"
	"syscall"

	"nightjar/internal/store/vfs"
)

// mapping is real memory, the same for all mappings of a file. The file learns of stores into it when somebody looks:
// reads, syncs, the end of a mapping, crashes, and each operation while recording.
type mapping struct {
	fs     *FS
	node   *node
	name   string
	bytes  []byte
	closed bool // guarded by fs.mu
}

// Map makes or opens a file of size bytes and maps it.
func (f *FS) Map(name string, size int) (vfs.Mapping, error) {
	var m *mapping
	err := f.run(Op{Kind: Map, Path: name, Size: int64(size)}, func() (err error) {
		m, err = f.mapFile(name, size)
		return err
	}, nil)
	if err != nil {
		if m != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			m.release()
		}
		return nil, err
	}
	return m, nil
}

func (f *FS) mapFile(name string, size int) (*mapping, error) {
	if size <= 0 {
		return nil, syscall.EINVAL
	}
	h, err := f.open(name, vfs.Options{Write: true, Create: true})
	if err != nil {
		return nil, err
	}
	n := h.node
	if n.maps > 0 {
		f.catchMapping(n)
	}
	if f.roomFor(n, 0, int64(size)) < int64(size) {
		fresh := n.cur.size == 0 && n.opens == 1
		h.release()
		if parent, base, err := f.findDir(name); err == nil && fresh {
			f.effect(effect{kind: effUnlink, parent: parent.id, name: base})
		}
		return nil, syscall.ENOSPC
	}
	if n.cur.size != int64(size) {
		f.effect(effect{kind: effResize, node: n.id, size: int64(size)})
	}
	f.effect(effect{kind: effReserve, node: n.id, size: int64(size)})
	if size < len(n.mem) {
		clear(n.mem[size:])
	}
	if cap(n.mem) < size {
		// A mapping that is longer than its older brothers gets memory of its own; nobody maps one file at two lengths.
		n.mem = vfs.AlignedBytes((size + pageSize - 1) / pageSize * pageSize)
		n.cur.readAt(n.mem, 0) // a whole number of pages, which is what cap(n.mem) stays
	}
	n.mem = n.mem[:size]
	if n.maps == 0 {
		f.mapped = append(f.mapped, n)
	}
	n.maps++
	return &mapping{fs: f, node: n, name: name, bytes: n.mem[:size:size]}, nil
}

func (m *mapping) Bytes() []byte { return m.bytes }

func (m *mapping) Discard(offset, n int) error {
	return m.on(Discard, offset, n, func() error {
		m.fs.catchMapping(m.node)
		m.fs.effect(effect{kind: effPunch, node: m.node.id, offset: int64(offset), size: int64(n)})
		clear(m.bytes[offset : offset+n])
		return nil
	})
}

func (m *mapping) Reserve(offset, n int) error {
	return m.on(Reserve, offset, n, func() error {
		if m.fs.roomFor(m.node, int64(offset), int64(n)) < int64(n) {
			return syscall.ENOSPC
		}
		m.fs.effect(effect{kind: effReserve, node: m.node.id, offset: int64(offset), size: int64(n)})
		return nil
	})
}

func (m *mapping) on(kind Kind, offset, n int, do func() error) error {
	return m.fs.run(Op{Kind: kind, Path: m.name, Offset: int64(offset), Size: int64(n)}, func() error {
		switch {
		case m.closed:
			return fs.ErrClosed
		case offset < 0 || n < 0 || offset > len(m.bytes)-n || offset%pageSize != 0 || n%pageSize != 0:
			return syscall.EINVAL
		case n == 0:
			return nil
		}
		return do()
	}, nil)
}

// Close ends the mapping; what was stored is in the file.
func (m *mapping) Close() error {
	return m.fs.run(Op{Kind: Close, Path: m.name}, func() error {
		if m.closed {
			return fs.ErrClosed
		}
		m.release()
		return nil
	}, nil)
}

func (m *mapping) release() {
	m.fs.catchMapping(m.node)
	m.closed = true
	m.bytes = nil
	m.node.opens--
	if m.node.maps--; m.node.maps == 0 {
		m.node.mem = nil
		m.fs.mapped = slices.DeleteFunc(m.fs.mapped, func(n *node) bool { return n == m.node })
	}
	m.fs.disk.release(m.node)
}
