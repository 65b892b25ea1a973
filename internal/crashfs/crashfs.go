// Package crashfs is a vfs.FS in memory that knows what was synced, for tests of everything that writes: it makes the
// states that a power cut or a killed process would leave, and it refuses, delays and forgets on demand.
//
// # What a power cut may leave
//
// Crash, CrashAt and States keep what was durable and decide about the rest unit by unit (see Unit), independently and
// in any combination, as if nothing but a sync ordered anything:
//
//   - A file's bytes and length are durable after Sync or Datasync. Each later write is lost, kept, or torn at 512 or
//     4,096 bytes; the growth that it brought is a unit of its own (so a file may be longer than its data: zeros), and a
//     growth may stop half-way. A Truncate is lost or kept.
//   - A name is durable after SyncDir of its directory. Each later create, remove or rename is lost or kept as a whole; a
//     rename is never half done, and if it joins two directories both must be synced. A file whose name was lost is
//     gone, whatever was synced in it: Sync of a new file does not make its name durable. Options.Journal models
//     what ext4 does instead: names change in order, and Sync of a changed file covers all names changed before.
//   - Of a mapping each page is the old or a new one. On a mount marked Volatile (a tmpfs) nothing survives.
//   - A failed Sync or Datasync (an injected error without Happened) leaves the pending units of the file in limbo, as
//     Linux does when it marks pages clean that it could not write: reads go on to see them, no later sync that succeeds
//     makes them durable, and a power cut may take any of them. A failed SyncDir does the same to names.
//   - Space reserved by Allocate is given back.
//
// Kill is the end of the process alone: all writes stay, mappings included, locks and handles are gone; what was not
// synced is still to be lost by a later Crash.
//
// # What it refuses
//
// Inject has rules for errors, short writes, stalls, and errors of calls that did happen. Mounts have a capacity in
// bytes and inodes (ENOSPC), a device number of their own (rename across: EXDEV), and may refuse direct I/O. A Direct
// file takes only what is aligned to vfs.BlockSize in offset, length and memory address, and says EINVAL else.
//
// The rules are checked against a real ext4 whose power is cut (TestExt4).
//
// All methods may be called concurrently, those of the result of a crash too: the copies share nothing that changes.
// Memory that other goroutines store into mappings while Crash, Kill or a recorded operation looks at them is read as it
// happens to be, as a power cut would. Nothing starts goroutines.
package crashfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightjar/internal/store/vfs"
)

// Options describe a new file system; zero is a strict one without bounds.
type Options struct {
	MountOptions // of "/"
	// Journal models a journalling file system: a power cut keeps a beginning of the sequence of name changes, and a Sync
	// of a file or SyncDir of a directory, if that one changed, makes all earlier name changes durable. Without it names
	// are independent of each other and of files, which is harsher.
	Journal bool
	// Now gives modification times; nil: time.Now.
	Now func() time.Time
}

// MountOptions describe one file system of the tree.
type MountOptions struct {
	Volatile bool   // a tmpfs: empty after a power cut
	Capacity int64  // bytes, counted in pages of 4,096; 0: no bound
	Inodes   int64  // files and directories; 0: no bound
	NoDirect bool   // Direct files are opened, but use the page cache
	Device   uint64 // st_dev; 0: one that no other mount has
}

// FS is a file system in memory.
type FS struct {
	opts Options

	mu         sync.Mutex
	disk       *disk             // guarded by mu
	aliases    map[string]string // guarded by mu
	locks      map[nodeID]int    // guarded by mu; -1: exclusive, else the number of shared ones
	mapped     []*node           // guarded by mu; files with mappings
	injections []*Injection      // guarded by mu
	recorder   *recorder         // guarded by mu; nil: nothing is recorded
	seq        int               // guarded by mu; operations begun
	origin     string
}

// New makes an empty file system with some directories, which are durable.
func New(dirs ...string) *FS { return NewWith(Options{}, dirs...) }

// NewWith is New with options.
func NewWith(opts Options, dirs ...string) *FS {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Device == 0 {
		opts.Device = 1
	}
	f := newFS(opts, newDisk(opts), map[string]string{}, "new")
	for _, d := range dirs {
		f.MkdirAll(d)
	}
	return f
}

func newFS(opts Options, d *disk, aliases map[string]string, origin string) *FS {
	return &FS{opts: opts, disk: d, aliases: maps.Clone(aliases), locks: map[nodeID]int{}, origin: origin}
}

// Origin says how the state came about, for messages of failed tests: "new", "killed after 17", "after 17: lost write …".
func (f *FS) Origin() string { return f.origin }

// MkdirAll makes a directory and those above it, durable at once; it is no operation of the trace. It panics if a file
// is in the way.
func (f *FS) MkdirAll(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mkdirAll(name)
}

func (f *FS) mkdirAll(name string) *node {
	n := f.disk.nodes[rootID]
	for _, part := range split(f.clean(name)) {
		id, ok := n.entries[part]
		if !ok {
			id = f.disk.next
			f.effect(effect{kind: effCreate, node: id, dir: true, parent: n.id, name: part})
			f.effect(effect{kind: effSyncDir, node: n.id})
		}
		n = f.disk.nodes[id]
		if !n.dir {
			panic(fmt.Sprintf("crashfs: %s is a file", f.disk.path(n)))
		}
	}
	return n
}

// Mount makes name the root of a file system of its own, empty. The directory is made if need be.
func (f *FS) Mount(name string, opts MountOptions) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.mkdirAll(name)
	if len(n.entries) > 0 {
		panic(fmt.Sprintf("crashfs: mount on %s, which is not empty", f.disk.path(n)))
	}
	if opts.Device == 0 {
		opts.Device = uint64(len(f.disk.mounts)) + 1
	}
	n.mount = len(f.disk.mounts)
	f.disk.mounts = append(f.disk.mounts, &mount{MountOptions: opts, point: n.id})
	if f.recorder != nil {
		panic("crashfs: Mount after Record")
	}
}

// Alias makes name another way to target, as a bind mount or a symbolic link does. Neither need exist.
func (f *FS) Alias(name, target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aliases[path.Clean("/"+name)] = path.Clean("/" + target)
}

// SetCapacity changes the bounds of the mount that holds name; 0: none.
func (f *FS) SetCapacity(name string, bytes, inodes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if err != nil {
		panic(fmt.Sprintf("crashfs: capacity of %s: %v", name, err))
	}
	m := f.disk.mounts[n.mount]
	m.Capacity, m.Inodes = bytes, inodes
}

// effect changes the disk and remembers how.
func (f *FS) effect(e effect) {
	e.seq, e.at = f.seq, f.opts.Now()
	f.disk.apply(e)
	if f.recorder != nil {
		f.recorder.effects = append(f.recorder.effects, e)
	}
}

func (f *FS) clean(name string) string {
	name = path.Clean("/" + name)
	for alias, target := range f.aliases {
		if name == alias || strings.HasPrefix(name, alias+"/") {
			return target + name[len(alias):]
		}
	}
	return name
}

// find walks to a file or directory.
func (f *FS) find(name string) (*node, error) {
	n := f.disk.nodes[rootID]
	for _, part := range split(f.clean(name)) {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		id, ok := n.entries[part]
		if !ok {
			return nil, syscall.ENOENT
		}
		n = f.disk.nodes[id]
	}
	return n, nil
}

// findDir walks to the directory that holds name, or would.
func (f *FS) findDir(name string) (dir *node, base string, err error) {
	full := f.clean(name)
	if full == "/" {
		return nil, "", syscall.EBUSY
	}
	dir, err = f.find(path.Dir(full))
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return dir, path.Base(full), err
}

// roomFor says how many of n bytes at offset the node's mount can still take.
func (f *FS) roomFor(nd *node, offset, n int64) int64 {
	m := f.disk.mounts[nd.mount]
	if m.Capacity == 0 {
		return n
	}
	free := m.Capacity/pageSize - m.used
	for at := offset; at < offset+n; at = (at/pageSize + 1) * pageSize {
		if free -= f.disk.missing(nd, at, 1); free < 0 {
			return at - offset
		}
	}
	return n
}

func (f *FS) roomForInode(mountIndex int) error {
	if m := f.disk.mounts[mountIndex]; m.Inodes > 0 && m.usedInodes >= m.Inodes {
		return syscall.ENOSPC
	}
	return nil
}

func split(clean string) []string {
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// wrap gives an error its operation and path; the end of a file stays what io.ReaderAt asks for.
func wrap(op Op, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: string(op.Kind), Path: op.Path, Err: err}
}

var _ vfs.FS = (*FS)(nil)
