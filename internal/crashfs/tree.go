package crashfs

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"nightjar/internal/store/vfs"
)

// Open opens a file for reading.
func (f *FS) Open(name string) (vfs.File, error) { return f.OpenFile(name, vfs.Options{}) }

// OpenFile opens a file as the options say. Its kind in the trace is Create if the file was made or should have been.
func (f *FS) OpenFile(name string, opts vfs.Options) (vfs.File, error) {
	kind := Open
	f.mu.Lock()
	if _, err := f.find(name); opts.Create && (err != nil || opts.Exclusive) {
		kind = Create
	}
	f.mu.Unlock()
	var h *file
	err := f.run(Op{Kind: kind, Path: name}, func() (err error) {
		h, err = f.open(name, opts)
		return err
	}, nil)
	if err != nil {
		if h != nil { // it happened, but nobody got the handle
			f.mu.Lock()
			defer f.mu.Unlock()
			h.release()
		}
		return nil, err
	}
	return h, nil
}

func (f *FS) open(name string, opts vfs.Options) (*file, error) {
	if opts.Truncate && !opts.Write {
		return nil, syscall.EINVAL
	}
	n, err := f.find(name)
	switch {
	case err == nil && opts.Create && opts.Exclusive:
		return nil, syscall.EEXIST
	case err == nil && n.dir:
		return nil, syscall.EISDIR
	case err == nil:
		n.opens++
	case err == syscall.ENOENT && opts.Create:
		if n, err = f.create(name, false); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if opts.Truncate {
		f.effect(effect{kind: effResize, node: n.id, size: 0})
		clear(n.mem)
	}
	direct := opts.Direct && !f.disk.mounts[n.mount].NoDirect
	return &file{fs: f, node: n, name: name, write: opts.Write, direct: direct}, nil
}

// create makes a file, opened at once, or a directory.
func (f *FS) create(name string, dir bool) (*node, error) {
	parent, base, err := f.findDir(name)
	if err != nil {
		return nil, err
	}
	if _, ok := parent.entries[base]; ok {
		return nil, syscall.EEXIST
	}
	if err := f.roomForInode(parent.mount); err != nil {
		return nil, err
	}
	id := f.disk.next
	f.effect(effect{kind: effCreate, node: id, dir: dir, parent: parent.id, name: base, opening: !dir})
	return f.disk.nodes[id], nil
}

// Mkdir makes one directory.
func (f *FS) Mkdir(name string) error {
	return f.run(Op{Kind: Mkdir, Path: name}, func() error {
		if f.clean(name) == "/" {
			return syscall.EEXIST
		}
		_, err := f.create(name, true)
		return err
	}, nil)
}

// Remove unlinks a file or an empty directory.
func (f *FS) Remove(name string) error {
	return f.run(Op{Kind: Remove, Path: name}, func() error {
		n, err := f.find(name)
		if err != nil {
			return err
		}
		parent, base, err := f.findDir(name)
		switch {
		case err != nil:
			return err
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		case f.disk.mounts[n.mount].point == n.id:
			return syscall.EBUSY
		}
		f.effect(effect{kind: effUnlink, parent: parent.id, name: base})
		return nil
	}, nil)
}

// Rename moves a file or directory, replacing the target.
func (f *FS) Rename(from, to string) error {
	return f.run(Op{Kind: Rename, Path: from, To: to}, func() error { return f.rename(from, to) }, nil)
}

func (f *FS) rename(from, to string) error {
	n, err := f.find(from)
	if err != nil {
		return err
	}
	fromDir, fromName, err := f.findDir(from)
	if err != nil {
		return err
	}
	toDir, toName, err := f.findDir(to)
	if err != nil {
		return err
	}
	if fromDir.mount != toDir.mount || n.mount != fromDir.mount {
		return syscall.EXDEV
	}
	for up := toDir; up != nil; up = f.disk.nodes[up.at.dir] {
		if up == n {
			return syscall.EINVAL
		}
	}
	if target := f.disk.nodes[toDir.entries[toName]]; target != nil {
		switch {
		case target == n:
			return nil
		case target.dir && !n.dir:
			return syscall.EISDIR
		case !target.dir && n.dir:
			return syscall.ENOTDIR
		case len(target.entries) > 0:
			return syscall.ENOTEMPTY
		}
	}
	f.effect(effect{kind: effRename, node: n.id, parent: fromDir.id, name: fromName, to: toDir.id, toName: toName})
	return nil
}

// ReadDir lists the names in a directory, sorted.
func (f *FS) ReadDir(name string) (names []string, err error) {
	err = f.run(Op{Kind: ReadDir, Path: name}, func() error {
		n, err := f.findKind(name, true)
		if err == nil {
			names = slices.Sorted(maps.Keys(n.entries))
		}
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return names, nil
}

// findKind finds a directory, or a file.
func (f *FS) findKind(name string, dir bool) (*node, error) {
	n, err := f.find(name)
	switch {
	case err != nil:
		return nil, err
	case dir && !n.dir:
		return nil, syscall.ENOTDIR
	case !dir && n.dir:
		return nil, syscall.EISDIR
	}
	return n, nil
}

// Stat describes a file or directory.
func (f *FS) Stat(name string) (info vfs.Info, err error) {
	err = f.run(Op{Kind: Stat, Path: name}, func() error {
		n, err := f.find(name)
		if err != nil {
			return err
		}
		parts := split(f.clean(name))
		info = vfs.Info{Name: "/", Dir: n.dir, Device: f.disk.mounts[n.mount].Device, Inode: uint64(n.id),
			ModTime: n.modified, Mode: 0o600}
		if len(parts) > 0 {
			info.Name = parts[len(parts)-1]
		}
		if n.dir {
			info.Mode = 0o700 | fs.ModeDir
		} else {
			info.Size = n.cur.size
		}
		return nil
	}, nil)
	if err != nil {
		return vfs.Info{}, err
	}
	return info, nil
}

// SyncDir makes the entries of a directory durable.
func (f *FS) SyncDir(name string) error {
	return f.run(Op{Kind: SyncDir, Path: name}, func() error {
		n, err := f.findKind(name, true)
		if err == nil {
			f.effect(effect{kind: effSyncDir, node: n.id})
		}
		return err
	}, func(action) {
		if n, err := f.findKind(name, true); err == nil {
			f.effect(effect{kind: effSyncDirFailed, node: n.id})
		}
	})
}

// Lock takes the lock of a directory.
func (f *FS) Lock(name string, exclusive bool) (io.Closer, error) {
	var l *lock
	err := f.run(Op{Kind: Lock, Path: name}, func() error {
		n, err := f.findKind(name, true)
		if err != nil {
			return err
		}
		held := f.locks[n.id]
		switch {
		case held < 0, exclusive && held > 0:
			return vfs.ErrLocked
		case exclusive:
			f.locks[n.id] = -1
		default:
			f.locks[n.id] = held + 1
		}
		n.opens++
		l = &lock{fs: f, node: n}
		return nil
	}, nil)
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, err
	}
	return l, nil
}

type lock struct {
	fs     *FS
	node   *node
	closed bool // guarded by fs.mu
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.closed {
		return fs.ErrClosed
	}
	l.closed = true
	if held := l.fs.locks[l.node.id]; held > 1 {
		l.fs.locks[l.node.id] = held - 1
	} else {
		delete(l.fs.locks, l.node.id)
	}
	l.node.opens--
	l.fs.disk.release(l.node)
	return nil
}

// unbounded is the size of a mount without capacity.
const unbounded = 1 << 50

// Space tells how full the mount of a directory is. A mount marked Volatile has the type of tmpfs, others that of ext4.
func (f *FS) Space(name string) (s vfs.Space, err error) {
	err = f.run(Op{Kind: Space, Path: name}, func() error {
		n, err := f.find(name)
		if err != nil {
			return err
		}
		m := f.disk.mounts[n.mount]
		s = vfs.Space{Total: m.Capacity, Type: 0xef53}
		if m.Volatile {
			s.Type = 0x01021994
		}
		if m.Capacity == 0 {
			s.Total = unbounded
		}
		s.Available = max(0, s.Total-m.used*pageSize)
		return nil
	}, nil)
	if err != nil {
		return vfs.Space{}, err
	}
	return s, nil
}
