// Package sampledir opens the directories that hold sample files, normally one per disk, and makes sure that each is
// the one its catalog means.
//
// A directory holds the file "meta" (512 bytes, docs/format/directory-meta.md), one sample file per recording named by
// recording.ID.FileName, and the segments of the tail log. The meta file carries the identities of catalog and
// directory and the last opens; comparing them with the catalog's row detects every mix-up of disks, copies and backups
// that the storage design lists. Each is reported as a *MismatchError, before anything is written.
//
// The protocol of opening for writing has three steps, because a transaction of the catalog stands between the writes
// to the meta file; a crash between any two of them leaves a pair that opens again:
//
//	dir, err := Open(fs, path, expect, ReadWrite)  // lock, compare; writes nothing
//	err = dir.MarkInProgress(open)                 // meta: last complete = the catalog's, in progress = open
//	…                                              // catalog: last complete = open, all directories in one transaction
//	err = dir.MarkComplete()                       // meta: last complete = open
//
// A directory is registered by Create, catalog row, MarkComplete; and given up by Delete (after its last sample file),
// catalog row. The meta file is rewritten in place (docs/adr/0001-meta-in-place.md), which works on a full disk. A
// failed write or sync of it is final: the Dir takes no further marks and must be closed.
//
// The lock is flock(2) on the directory: exclusive for writing, shared for reading. A Dir's methods may be called
// concurrently, except Close, which comes last.
package sampledir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Mode says what a directory is opened for.
type Mode int

// The modes. Any number of readers share a directory; a writer has it alone. Unlocked reads without a lock of its own:
// for a process that holds the lock through another Dir.
const (
	ReadOnly Mode = iota
	ReadWrite
	Unlocked
)

// Expect is what the catalog knows of a directory.
type Expect struct {
	CatalogUUID      recording.UUID
	DirUUID          recording.UUID
	LastCompleteOpen *OpenRef // nil if the catalog never completed an open of it
	Beside           []*Dir   // directories opened before, none of which may be this one under another path
}

// Dir is an open, locked and verified directory.
type Dir struct {
	fsys   vfs.FS
	path   string
	uuid   recording.UUID
	mode   Mode
	device uint64
	inode  uint64
	lock   io.Closer

	mu     sync.Mutex
	meta   Meta     // guarded by mu
	file   vfs.File // guarded by mu; the meta file, open for writing in mode ReadWrite
	failed error    // guarded by mu; the failed write after which the meta file's state is unknown
	base   *OpenRef // what MarkInProgress keeps as last complete: the catalog's view at Open
}

// Open locks a directory and compares it with what the catalog expects. It writes nothing; in mode ReadWrite the caller
// goes on with MarkInProgress.
func Open(fsys vfs.FS, path string, want Expect, mode Mode) (*Dir, error) {
	d, err := lockDir(fsys, path, mode, want.Beside)
	if err != nil {
		return nil, err
	}
	if err := d.load(&want); err != nil {
		d.lock.Close()
		return nil, err
	}
	d.base = want.LastCompleteOpen
	return d, nil
}

// OpenAlone locks a directory for reading without knowing its catalog: what the meta file says is believed.
func OpenAlone(fsys vfs.FS, path string) (*Dir, error) {
	d, err := lockDir(fsys, path, ReadOnly, nil)
	if err != nil {
		return nil, err
	}
	if err := d.load(nil); err != nil {
		d.lock.Close()
		return nil, err
	}
	return d, nil
}

// Create makes a directory that exists, and that no catalog keeps recordings in, one of the given catalog: it gets a new
// UUID and a meta file with open in progress. The caller adds the catalog's row and then calls MarkComplete.
func Create(fsys vfs.FS, path string, catalog recording.UUID, open OpenRef, beside ...*Dir) (*Dir, error) {
	d, err := lockDir(fsys, path, ReadWrite, beside)
	if err != nil {
		return nil, err
	}
	d.meta = Meta{Catalog: catalog, Dir: newUUID(), InProgress: &open}
	d.uuid = d.meta.Dir
	if err := d.create(); err != nil {
		d.lock.Close()
		return nil, err
	}
	return d, nil
}

// lockDir finds and locks a directory.
func lockDir(fsys vfs.FS, path string, mode Mode, beside []*Dir) (*Dir, error) {
	info, err := fsys.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &MismatchError{
			Path: path, What: Missing, Err: err,
			Hint: "mount the disk, correct the path, or make the directory if it is to be a new one",
		}
	case errors.Is(err, fs.ErrPermission):
		return nil, &MismatchError{Path: path, What: NotWritable, Err: err, Hint: ownerHint}
	case err != nil:
		return nil, fmt.Errorf("look at sample file directory %s: %w", path, err)
	case !info.Dir:
		return nil, &MismatchError{Path: path, What: NotDirectory, Hint: "give the path of a directory"}
	}
	for _, other := range beside {
		if other.device == info.Device && other.inode == info.Inode {
			return nil, &MismatchError{
				Path: path, What: Twice, Have: "the directory that is open as " + other.path,
				Hint: "two paths lead to one directory (a symbolic link or a bind mount): keep one of them",
			}
		}
	}
	if mode == Unlocked {
		return &Dir{fsys: fsys, path: path, mode: mode, device: info.Device, inode: info.Inode, lock: noLock{}}, nil
	}
	lock, err := fsys.Lock(path, mode == ReadWrite)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, &MismatchError{
			Path: path, What: InUse, Err: err,
			Hint: "another server or tool works on it: stop that one, or ask the running server",
		}
	case errors.Is(err, fs.ErrPermission):
		return nil, &MismatchError{Path: path, What: NotWritable, Err: err, Hint: ownerHint}
	case err != nil:
		return nil, fmt.Errorf("lock sample file directory %s: %w", path, err)
	}
	return &Dir{fsys: fsys, path: path, mode: mode, device: info.Device, inode: info.Inode, lock: lock}, nil
}

// noLock is the lock of mode Unlocked.
type noLock struct{}

func (noLock) Close() error { return nil }

const ownerHint = "let the server's user own the directory, and mount the disk for writing"

// load reads and verifies the meta file, and in mode ReadWrite makes sure that it and new files can be written. Without
// expectations the file is only read.
func (d *Dir) load(want *Expect) error {
	data, err := d.readMeta()
	if errors.Is(err, fs.ErrNotExist) {
		return d.noMeta(want, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return &MismatchError{Path: d.path, What: NotWritable, Err: err, Hint: ownerHint}
	}
	if err != nil {
		return err
	}
	m, err := ParseMeta(data)
	if err != nil {
		return d.badMeta(err)
	}
	if want != nil {
		if err := verify(d.path, m, want); err != nil {
			return err
		}
	}
	d.meta, d.uuid = *m, m.Dir
	if d.mode != ReadWrite {
		return nil
	}
	return d.openMeta()
}

// openMeta opens the meta file for writing and tries whether the directory takes new files.
func (d *Dir) openMeta() error {
	file, err := d.fsys.OpenFile(d.metaPath(), vfs.Options{Write: true})
	if err == nil {
		if err = d.tryCreate(); err == nil {
			d.file = file
			return nil
		}
		file.Close()
	}
	if readOnly(err) {
		return &MismatchError{Path: d.path, What: NotWritable, Err: err, Hint: ownerHint}
	}
	return fmt.Errorf("open meta of sample file directory %s for writing: %w", d.path, err)
}

// tryName is a file made and removed again to see whether the directory takes new files.
const tryName = "write-test"

func (d *Dir) tryCreate() error {
	name := filepath.Join(d.path, tryName)
	f, err := d.fsys.OpenFile(name, vfs.Options{Write: true, Create: true})
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil // full, but not forbidden: it must open so that room can be made
	}
	if err != nil {
		return err
	}
	f.Close()
	return d.fsys.Remove(name)
}

func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// noMeta says what a directory without a meta file probably is.
func (d *Dir) noMeta(want *Expect, cause error) error {
	e := &MismatchError{Path: d.path, What: NoMeta, Want: "a sample file directory", Err: cause}
	if want != nil {
		e.Want = "directory " + uuidString(want.DirUUID)
	}
	names, err := d.fsys.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("list sample file directory %s: %w", d.path, err)
	}
	switch ids, _ := sampleFiles(names); {
	case len(ids) > 0:
		e.Have = fmt.Sprintf("%d sample files", len(ids))
		e.Hint = "the meta file was lost: restore it, or rebuild the directory"
	case len(names) == 0:
		e.Have = "an empty directory"
		e.Hint = "the disk is probably not mounted: mount it"
	default:
		e.Have = fmt.Sprintf("%d other files, %s among them", len(names), names[0])
		e.Hint = "the disk is not mounted, or another one is mounted here: mount the right one"
	}
	return e
}

// badMeta says what an unreadable meta file is.
func (d *Dir) badMeta(err error) error {
	e := &MismatchError{Path: d.path, Err: err}
	switch {
	case errors.Is(err, errMetaBlank):
		e.What, e.Hint = Unfinished, "this directory was never registered completely: add it again, or mount the right disk"
	case errors.Is(err, errMetaSize):
		e.What, e.Hint = WrongSize, "the file system lost part of it: check the disk, then rebuild the directory"
	case errors.Is(err, errMetaForeign):
		e.What, e.Hint = ForeignFormat, "another program keeps recordings here: choose another directory, or adopt it"
	case errors.Is(err, errMetaNewer):
		e.What, e.Hint = NewerVersion, "use the version of the program that wrote it, or a later one"
	default:
		e.What, e.Hint = Torn, "the disk did not keep a whole sector: check the disk, then rebuild the directory"
	}
	return e
}

// create verifies that the directory is free and writes its first meta file.
func (d *Dir) create() error {
	names, err := d.fsys.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("list sample file directory %s: %w", d.path, err)
	}
	if err := d.checkFree(names); err != nil {
		return err
	}
	file, err := d.fsys.OpenFile(d.metaPath(), vfs.Options{Write: true, Create: true})
	if readOnly(err) {
		return &MismatchError{Path: d.path, What: NotWritable, Err: err, Hint: ownerHint}
	}
	if err != nil {
		return fmt.Errorf("create meta of sample file directory %s: %w", d.path, err)
	}
	d.file = file
	if err := d.writeMeta(d.meta); err != nil {
		file.Close()
		return err
	}
	// Datasync made the bytes durable; a new file's name needs its directory too.
	if err := d.fsys.SyncDir(d.path); err != nil {
		file.Close()
		return fmt.Errorf("sync sample file directory %s: %w", d.path, err)
	}
	return nil
}

// checkFree makes sure that no catalog may miss the directory once it is ours.
func (d *Dir) checkFree(names []string) error {
	if ids, _ := sampleFiles(names); len(ids) > 0 {
		return &MismatchError{
			Path: d.path, What: HasFiles, Have: fmt.Sprintf("%d sample files", len(ids)), Want: "none",
			Hint: "choose another directory, or rebuild this one",
		}
	}
	data, err := d.readMeta()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := ParseMeta(data)
	if errors.Is(err, errMetaBlank) {
		return nil // an earlier Create was cut short
	}
	if err != nil {
		return d.badMeta(err)
	}
	if m.LastComplete != nil {
		return &MismatchError{
			Path: d.path, What: Registered,
			Have: "catalog " + uuidString(m.Catalog) + ", last complete " + m.LastComplete.String(),
			Hint: "remove it from that catalog first, or choose another directory",
		}
	}
	return nil
}

// MarkInProgress is the first write of an open: the meta file names the open under way beside the last complete one.
func (d *Dir) MarkInProgress(open OpenRef) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.meta
	m.LastComplete, m.InProgress = d.base, &open
	return d.writeMeta(m)
}

// MarkComplete is the last write of an open, after the catalog's transaction: what was in progress is complete.
func (d *Dir) MarkComplete() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.meta.InProgress == nil {
		return fmt.Errorf("complete the open of sample file directory %s: none is in progress", d.path)
	}
	m := d.meta
	m.LastComplete, m.InProgress = m.InProgress, nil
	if err := d.writeMeta(m); err != nil {
		return err
	}
	d.base = m.LastComplete
	return nil
}

// Delete takes the directory back to the state after Create, once all sample files are gone, so that any catalog may
// register it again. The caller then deletes the catalog's row; until that is done the directory still opens.
func (d *Dir) Delete(open OpenRef) error {
	ids, _, err := d.Files()
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return &MismatchError{
			Path: d.path, What: HasFiles, Have: fmt.Sprintf("%d sample files, %s among them", len(ids), ids[0].FileName()),
			Want: "none", Hint: "delete its recordings first",
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.meta
	m.LastComplete, m.InProgress = nil, &open
	return d.writeMeta(m)
}

// writeMeta replaces the meta file's content in place. Called with mu held, or before the Dir is shared.
func (d *Dir) writeMeta(m Meta) error {
	switch {
	case d.failed != nil:
		return fmt.Errorf("write meta of sample file directory %s: an earlier write failed: %w", d.path, d.failed)
	case d.file == nil:
		return fmt.Errorf("write meta of sample file directory %s: it is open read-only", d.path)
	}
	_, err := d.file.WriteAt(EncodeMeta(&m), 0)
	if err == nil {
		err = d.file.Datasync()
	}
	if err != nil {
		d.failed = err
		return fmt.Errorf("write meta of sample file directory %s: %w", d.path, err)
	}
	d.meta = m
	return nil
}

// Close gives the lock back.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.file != nil {
		err = d.file.Close()
		d.file = nil
	}
	return errors.Join(err, d.lock.Close())
}

// Path returns the path it was opened by.
func (d *Dir) Path() string { return d.path }

// UUID returns the directory's identity.
func (d *Dir) UUID() recording.UUID { return d.uuid }

// Mode returns what it was opened for.
func (d *Dir) Mode() Mode { return d.mode }

// FS returns the file system it is on.
func (d *Dir) FS() vfs.FS { return d.fsys }

// Meta returns what the meta file holds.
func (d *Dir) Meta() Meta {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta
}

// Join returns the path of a file in the directory.
func (d *Dir) Join(name string) string { return filepath.Join(d.path, name) }

// Files lists the directory: the ids of the sample files, ascending, and all other names but the meta file's.
func (d *Dir) Files() (ids []recording.ID, others []string, err error) {
	names, err := d.fsys.ReadDir(d.path)
	if err != nil {
		return nil, nil, fmt.Errorf("list sample file directory %s: %w", d.path, err)
	}
	ids, others = sampleFiles(names)
	return ids, others, nil
}

func sampleFiles(names []string) (ids []recording.ID, others []string) {
	for _, name := range names {
		if id, ok := recording.ParseFileName(name); ok {
			ids = append(ids, id)
		} else if name != MetaName {
			others = append(others, name)
		}
	}
	slices.Sort(ids)
	return ids, others
}

// readMeta reads the whole meta file, whatever its size, up to twice the size it should have.
func (d *Dir) readMeta() ([]byte, error) {
	f, err := d.fsys.Open(d.metaPath())
	if err != nil {
		return nil, fmt.Errorf("open meta of sample file directory %s: %w", d.path, err)
	}
	defer f.Close()
	data := make([]byte, 2*MetaSize)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read meta of sample file directory %s: %w", d.path, err)
	}
	return data[:n], nil
}

func (d *Dir) metaPath() string { return filepath.Join(d.path, MetaName) }

// newUUID returns a random UUID (RFC 9562 section 5.4). crypto/rand does not fail.
func newUUID() (u recording.UUID) {
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
