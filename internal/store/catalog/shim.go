package catalog

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	sqlitevfs "github.com/ncruces/go-sqlite3/vfs"

	"nightjar/internal/store/vfs"
)

// shim lets SQLite reach its files through a vfs.FS, so that the file system of a crash test holds the catalog beside
// the sample files. Locks are no-ops: the data directory is locked and there is one connection.
type shim struct {
	fsys vfs.FS
	dir  string
}

func (s *shim) Open(name string, flags sqlitevfs.OpenFlag) (sqlitevfs.File, sqlitevfs.OpenFlag, error) {
	if name == "" {
		return nil, flags, sqlite3.CANTOPEN // temporary files live in memory
	}
	write := flags&sqlitevfs.OPEN_READWRITE != 0
	create := flags&sqlitevfs.OPEN_CREATE != 0
	_, err := s.fsys.Stat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := s.fsys.OpenFile(name, vfs.Options{Write: write, Create: create})
	if err != nil {
		return nil, flags, sqlite3.CANTOPEN
	}
	file := &shimFile{File: f, shim: s}
	// The name of a new journal must be durable before what it holds is counted on, like SQLite's own unix VFS does it.
	file.syncDir = isNew && flags&(sqlitevfs.OPEN_WAL|sqlitevfs.OPEN_MAIN_JOURNAL) != 0
	return file, flags, nil
}

func (s *shim) Delete(name string, syncDir bool) error {
	err := s.fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return sqlite3.IOERR_DELETE_NOENT
	}
	if err != nil {
		return sqlite3.IOERR_DELETE
	}
	if syncDir {
		if err := s.fsys.SyncDir(s.dir); err != nil {
			return sqlite3.IOERR_DIR_FSYNC
		}
	}
	return nil
}

func (s *shim) Access(name string, _ sqlitevfs.AccessFlag) (bool, error) {
	_, err := s.fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, sqlite3.IOERR_ACCESS
	}
	return true, nil
}

func (s *shim) FullPathname(name string) (string, error) { return filepath.Clean(name), nil }

// shimFile is an open file of SQLite.
type shimFile struct {
	vfs.File
	shim    *shim
	syncDir bool
	lock    sqlitevfs.LockLevel
}

func (f *shimFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, sqlite3.IOERR_READ
	}
	return n, err
}

func (f *shimFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err != nil {
		return n, sqlite3.IOERR_WRITE
	}
	return n, nil
}

func (f *shimFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return sqlite3.IOERR_TRUNCATE
	}
	return nil
}

func (f *shimFile) Sync(flags sqlitevfs.SyncFlag) error {
	sync := f.File.Sync
	if flags&sqlitevfs.SYNC_DATAONLY != 0 {
		sync = f.File.Datasync
	}
	if err := sync(); err != nil {
		return sqlite3.IOERR_FSYNC
	}
	if f.syncDir {
		if err := f.shim.fsys.SyncDir(f.shim.dir); err != nil {
			return sqlite3.IOERR_DIR_FSYNC
		}
		f.syncDir = false
	}
	return nil
}

func (f *shimFile) Lock(lock sqlitevfs.LockLevel) error   { f.lock = lock; return nil }
func (f *shimFile) Unlock(lock sqlitevfs.LockLevel) error { f.lock = lock; return nil }
func (f *shimFile) CheckReservedLock() (bool, error)      { return f.lock >= sqlitevfs.LOCK_RESERVED, nil }
func (f *shimFile) SectorSize() int                       { return vfs.BlockSize }

// DeviceCharacteristics claims what SQLite's own access to Linux claims, so that the same pages are written: bytes beside
// those written are safe when the power fails. No atomic writes, no safe append.
func (f *shimFile) DeviceCharacteristics() sqlitevfs.DeviceCharacteristic {
	return sqlitevfs.IOCAP_POWERSAFE_OVERWRITE
}
