// Package vfs is the only door to the disk: the storage engine reaches files through FS and File and through nothing
// else, so that tests can put a file system behind it that loses, tears and refuses (package crashfs).
//
// OS is the real one (Linux). All names are absolute or relative to the process's working directory, as given; a
// directory's entries become durable by SyncDir, a file's bytes by Sync or Datasync, and nothing else makes anything
// durable. Errors wrap *fs.PathError and the system's error number, so errors.Is works with fs.ErrNotExist,
// fs.ErrExist, syscall.ENOSPC and their like. A failed sync is final: whoever sees one gives the file up.
//
// All methods may be called concurrently; writes to overlapping ranges of one file are the caller's to order.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"time"
)

// BlockSize is the alignment of direct I/O: offset, length and memory address of writes to a Direct file are multiples
// of it. It covers every disk with sectors of 512 or 4,096 bytes.
const BlockSize = 4096

// ErrLocked is returned by Lock when another process, or another Lock of this one, holds the directory.
var ErrLocked = errors.New("locked by another process")

// FS is a file system.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenFile opens a file as the options say.
	OpenFile(name string, opts Options) (File, error)
	// Mkdir makes one directory, mode 0700. Its parent must exist.
	Mkdir(name string) error
	// Remove unlinks a file or an empty directory.
	Remove(name string) error
	// Rename moves a file, replacing the target.
	Rename(from, to string) error
	// ReadDir lists the names in a directory, sorted, without "." and "..".
	ReadDir(name string) ([]string, error)
	// Stat describes a file or directory, that which a symbolic link names.
	Stat(name string) (Info, error)
	// SyncDir makes the entries of a directory durable (fsync of the directory).
	SyncDir(name string) error
	// Lock takes flock(2) on the directory itself, without waiting; Close of the result gives it back. Two shared locks
	// go together, an exclusive one with none. The error is ErrLocked when somebody else has it.
	Lock(dir string, exclusive bool) (io.Closer, error)
	// Space tells how full the file system of a directory is.
	Space(dir string) (Space, error)
	// Map makes or opens a file, sets its length to size (more than 0) and maps it shared and writable: what is stored
	// in the mapping outlives the process (not the machine). A new or grown file reads as zeros. The space is reserved,
	// so a full file system is ENOSPC here and not a fault later.
	Map(name string, size int) (Mapping, error)
}

// Options say how OpenFile opens.
type Options struct {
	Write     bool // else read only
	Create    bool // make it if it does not exist, mode 0600
	Exclusive bool // with Create: fail with fs.ErrExist if it does
	Truncate  bool // with Write: cut an existing file to nothing
	Direct    bool // O_DIRECT if the file system takes it; File.Direct tells
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name returns the name it was opened by.
	Name() string
	// Direct reports whether offset, length and address of reads and writes must be multiples of BlockSize.
	Direct() bool
	// Size returns the file's length in bytes.
	Size() (int64, error)
	// Sync makes bytes and metadata durable (fsync).
	Sync() error
	// Datasync makes bytes and what is needed to read them durable (fdatasync).
	Datasync() error
	// Truncate sets the file's length.
	Truncate(size int64) error
	// Allocate reserves disk space for [0, size) without changing the file's length (fallocate, keep size). Where the
	// file system cannot, it does nothing and returns nil.
	Allocate(size int64) error
	// DropCache tells the kernel that the pages of [offset, offset+n) will not be needed again soon.
	DropCache(offset, n int64) error
	// SendTo sends n bytes from offset on to conn without moving any file offset: by sendfile(2) on a plain TCP or Unix
	// connection, by large reads otherwise. It returns how many bytes were sent; fewer than n only with an error
	// (io.ErrUnexpectedEOF when the file is shorter).
	SendTo(conn net.Conn, offset, n int64) (int64, error)
}

// Info describes a file or directory.
type Info struct {
	Name    string
	Size    int64
	Dir     bool
	Device  uint64 // st_dev and st_ino: two paths with the same pair are the same thing
	Inode   uint64
	ModTime time.Time
	Mode    fs.FileMode
}

// Space is what statfs(2) tells of a file system.
type Space struct {
	Total     int64 // bytes
	Available int64 // bytes that may still be written without the blocks reserved for root
	Type      int64 // f_type
}

// Mapping is a shared memory mapping of a file.
type Mapping interface {
	// Bytes is the mapping itself, page aligned; invalid after Close.
	Bytes() []byte
	// Discard gives the pages of a range, multiples of BlockSize, back to the system; they read as zeros afterwards.
	// To store into them again is allowed, but on a full file system it can be the end of the process (SIGBUS): Reserve
	// them first.
	Discard(offset, n int) error
	// Reserve takes the pages of a discarded range, multiples of BlockSize, again; the error is ENOSPC when there are
	// none. Map has reserved the whole file.
	Reserve(offset, n int) error
	// Close unmaps it; the file stays.
	Close() error
}
