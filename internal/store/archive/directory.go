package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// directory is one sample file directory.
type directory struct {
	a      *Archive
	row    catalog.Directory
	wakeUp chan struct{}
	early  atomic.Bool   // somebody wants a tick ahead of time
	quit   chan struct{} // closed by RemoveDirectory
	done   chan struct{} // closed when run has returned

	mu       sync.Mutex
	err      *recording.Error // guarded by mu; why nothing can be recorded at the moment
	closed   bool             // guarded by mu
	writers  []*Writer        // guarded by mu; those not sealed, by id within each stream
	removals []recording.ID   // guarded by mu; garbage whose files are to be unlinked
	blocks   *taillog.Blocks  // guarded by mu until set, then never changed

	// Owned by run, and by Open and Close outside of it.
	blocksName string
	dir        *sampledir.Dir // written with mu held; openedDirs looks at it
	log        *taillog.Log
	logStarted time.Time
	page       []byte
	batch      taillog.Batch
	doomed     []recording.ID // removals on their way into the log and off the disk
	dropped    []recording.ID // recordings given up, whose files are to be unlinked
	turn       int            // which of the older segments is next to be tidied up
	kept       map[uint32]int // by segment of the log: how many of its seals had a recording when last looked at
}

func newDirectory(a *Archive, row catalog.Directory) *directory {
	return &directory{
		a: a, row: row, wakeUp: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		page: vfs.AlignedBytes(vfs.BlockSize), kept: make(map[uint32]int),
	}
}

// verify locks the directory, compares it with the catalog, and marks the open as in progress.
func (d *directory) verify(beside []*sampledir.Dir) error {
	mode := sampledir.ReadWrite
	if d.a.o.ReadOnly {
		mode = sampledir.ReadOnly
	}
	dir, err := sampledir.Open(d.a.fs, d.row.Path, sampledir.Expect{
		CatalogUUID: d.a.catalog.UUID(), DirUUID: d.row.UUID, LastCompleteOpen: d.row.LastCompleteOpen, Beside: beside,
	}, mode)
	if err != nil {
		return err
	}
	if mode == sampledir.ReadWrite {
		if err := dir.MarkInProgress(d.a.catalog.CurrentOpen().OpenRef); err != nil {
			return errors.Join(err, dir.Close())
		}
	}
	d.setDir(dir)
	return nil
}

func (d *directory) setDir(dir *sampledir.Dir) {
	d.mu.Lock()
	d.dir = dir
	d.mu.Unlock()
}

// complete goes on after the catalog noted the open: mark, recovery.
func (d *directory) complete(ctx context.Context) error {
	ref := d.a.catalog.CurrentOpen().OpenRef
	d.row.LastCompleteOpen = &ref
	if err := d.dir.MarkComplete(); err != nil {
		return err
	}
	if err := d.recover(ctx); err != nil {
		return fmt.Errorf("recover sample file directory %s: %w", d.row.Path, err)
	}
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	return nil
}

// refuse puts the directory into its error state.
func (d *directory) refuse(err error) {
	e := classify(err)
	d.a.log.Error("sample file directory can't be used", "dir", d.row.Path, "reason", e.Reason, "err", err)
	d.mu.Lock()
	d.err = e
	d.mu.Unlock()
	d.release()
}

// release gives the lock and the log back.
func (d *directory) release() {
	if d.log != nil {
		_ = d.log.Close()
		d.log = nil
	}
	if d.dir != nil {
		_ = d.dir.Close()
		d.setDir(nil)
	}
}

// Err returns why a directory can't record at the moment; nil if it can, or is unknown.
func (a *Archive) Err(id catalog.DirectoryID) error {
	a.mu.Lock()
	d := a.dirs[id]
	a.mu.Unlock()
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		return nil
	}
	return d.err
}

// classify finds the reason for trouble with a disk.
func classify(err error) *recording.Error {
	var known *recording.Error
	var mismatch *sampledir.MismatchError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &recording.Error{Reason: recording.DiskFull, Err: err}
	case errors.As(err, &mismatch), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return &recording.Error{Reason: recording.DiskMissing, Err: err}
	}
	return &recording.Error{Reason: recording.DiskError, Err: err}
}

// add takes a new recording in.
func (d *directory) add(w *Writer, video *media.Track) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	if d.closed {
		return &recording.Error{Reason: recording.DiskMissing, Err: fmt.Errorf("%s is not used any more", d.row.Path)}
	}
	w.open(video)
	d.writers = append(d.writers, w)
	return nil
}

// wake tells the directory's goroutine that there is something to write, or that a tick is wanted.
func (d *directory) wake(tick bool) {
	if tick {
		d.early.Store(true)
	}
	kick(d.wakeUp)
}

// Pauses between attempts to open a directory that failed.
const (
	retryFull  = time.Second
	retryOther = 5 * time.Second
)

// run writes, ticks and unlinks until ctx ends.
func (d *directory) run(ctx context.Context) {
	defer close(d.done)
	tick := time.NewTimer(d.row.Tick.Std())
	defer tick.Stop()
	for {
		timeout := false
		select {
		case <-ctx.Done():
			d.stop()
			return
		case <-d.quit:
			return
		case <-d.wakeUp:
		case <-tick.C:
			timeout = true
		}
		d.mu.Lock()
		failed := d.err
		d.mu.Unlock()
		due := d.early.Swap(false) || timeout
		pause := d.row.Tick.Std()
		switch {
		case failed != nil && timeout:
			pause = retryOther
			if failed.Reason == recording.DiskFull {
				pause = retryFull
			}
			d.reopen(ctx)
		case failed != nil:
			continue
		case due:
			d.tick()
			d.rotate()
			d.mu.Lock()
			if d.err != nil {
				pause = 0 // try at once to open it anew
			}
			d.mu.Unlock()
		default:
			d.writeFull()
			continue
		}
		tick.Reset(pause)
	}
}

// stop finishes what is still recording and makes the last tick.
func (d *directory) stop() {
	d.mu.Lock()
	d.closed = true
	writers := append([]*Writer(nil), d.writers...)
	failed := d.err
	d.mu.Unlock()
	for _, w := range writers {
		_ = w.Finish(End{Guess: true, Reason: recording.ServerStopped, Detail: "the server was stopped"}) // returns nil
	}
	if failed == nil && d.log != nil {
		d.tick()
	}
}

// close gives everything back. Run is over.
func (d *directory) close() error {
	d.mu.Lock()
	d.closed = true
	blocks := d.blocks
	clean := len(d.writers) == 0
	for _, w := range d.writers {
		w.closeFile()
	}
	d.mu.Unlock()
	var err error
	if blocks != nil {
		err = blocks.Close()
		if clean { // what is not sealed yet may need them
			if e := d.a.fs.Remove(d.blocksName); err == nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		}
	}
	d.release()
	return err
}

func (d *directory) join(id recording.ID) string { return filepath.Join(d.row.Path, id.FileName()) }
