// Package archive keeps recordings: it alone changes catalog rows and sample files together.
//
// Nouns: a Writer is a recording in progress; a directory is one sample file directory with its tail log and open
// blocks; a tick makes durable what its open recordings got since the last one; a recording is complete when it is
// sealed in the tail log, and has its row after the next flush. docs/design/durability.md tells what is durable when.
//
// Invariants: rows have sample files of their size, with their block sums; each sample file belongs to exactly one row,
// garbage row, seal without row, or recording that the log calls open; after an orderly stop every sample file has a row.
// Nothing is unlinked but what a durable entry, of the catalog's garbage or the log's removals, names.
//
// Who does what: ingest goroutines call Begin and the Writer's methods, which copy into memory and never wait for a disk
// (but for Begin of a run, which may wait for the catalog). All writing to a directory is done by
// its one goroutine within Run. Readers may call the other methods at any time, from any goroutine.
//
// A failed write or sync ends the recordings of that directory at what is durable, and never harms another directory.
// The directory is then opened anew, with a new log segment, again and again until that works.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// Options describe an archive. Data, Boot and Now are required.
type Options struct {
	Data     string         // the data directory, where the catalog is
	ReadOnly bool           // list and read only: nothing is recorded, recovered or deleted
	Boot     recording.UUID // of the machine, new with each start of it; tells a killed process from a power cut

	// FS holds the sample file directories; nil: vfs.OS(). CatalogFS holds the data directory; nil: vfs.OS().
	FS        vfs.FS
	CatalogFS vfs.FS

	// Volatile is a directory on a tmpfs for the open blocks, so that they cost no disk writes; "": each sample file
	// directory keeps its own, and the kernel writes them there now and then.
	Volatile string

	// BlockBytes bounds the memory for bytes that are not on disk yet, of all streams, beyond which samples are refused
	// with disk-stalled; 0: 64 MiB. StreamBytes bounds that of one stream; 0: 16 MiB. Both are rounded up to blocks of
	// 256 KiB, of which each recording in progress holds at least one.
	BlockBytes  int64
	StreamBytes int64

	// FlushAfter is how long a complete recording waits for its row at most; 0: 2 min.
	FlushAfter time.Duration

	Now func() time.Time // the server's clock
	Log *slog.Logger     // nil: none
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.CatalogFS == nil {
		o.CatalogFS = vfs.OS()
	}
	if o.BlockBytes == 0 {
		o.BlockBytes = 64 << 20
	}
	if o.StreamBytes == 0 {
		o.StreamBytes = 16 << 20
	}
	if o.FlushAfter == 0 {
		o.FlushAfter = 2 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Archive is all recordings of this server.
type Archive struct {
	o           Options
	fs          vfs.FS
	log         *slog.Logger
	catalog     *catalog.Catalog
	totalBlocks int64
	inUse       atomic.Int64 // blocks handed out, of all directories
	flushNow    chan struct{}

	flushing sync.Mutex // held during a flush; before mu

	mu      sync.Mutex
	streams map[recording.StreamID]*stream         // guarded by mu
	dirs    map[catalog.DirectoryID]*directory     // guarded by mu
	live    map[recording.ID]*Writer               // guarded by mu; not sealed yet
	sealed  map[recording.ID]*catalog.NewRecording // guarded by mu; sealed, without row
	stuck   map[recording.ID]*catalog.NewRecording // guarded by mu; those that the catalog refuses
	gaps    []catalog.Gap                          // guarded by mu; not flushed
	forget  []recording.ID                         // guarded by mu; garbage whose files are gone
	start   func(*directory)                       // guarded by mu; set while Run runs
	stopped bool                                   // guarded by mu; nothing begins any more
	reading map[recording.ID]int                   // guarded by mu; open Samples
	proved  *provedBlocks
}

// stream is what the archive knows of a stream.
type stream struct {
	id     recording.StreamID
	row    catalog.Stream
	camera catalog.Camera
	next   uint32         // the next free id; bound is beyond the last that is reserved
	bound  uint32         //
	cum    media.Duration // media duration of all finished recordings
	writer *Writer        // the recording in progress, if there is one
	usual  atomic.Int64   // bytes to allocate for a recording
}

// Open opens the catalog and all directories and completes what a crash left. A directory that can't be opened is in an
// error state, and its streams fail with disk-missing or disk-error, until Run succeeds in opening it.
func Open(ctx context.Context, o Options) (*Archive, error) {
	if o.Now == nil || o.Boot == (recording.UUID{}) {
		return nil, errors.New("open archive: the clock or the boot id is not given")
	}
	o = o.withDefaults()
	mode := catalog.ReadWrite
	if o.ReadOnly {
		mode = catalog.ReadOnly
	}
	c, err := catalog.Open(ctx, catalog.Options{FS: o.CatalogFS, Dir: o.Data, Mode: mode, Now: o.Now, BootID: fmt.Sprintf("%x", o.Boot[:])})
	if err != nil {
		return nil, err
	}
	a := &Archive{
		o: o, fs: o.FS, log: o.Log, catalog: c, totalBlocks: blocksOf(o.BlockBytes), flushNow: make(chan struct{}, 1),
		streams: make(map[recording.StreamID]*stream), dirs: make(map[catalog.DirectoryID]*directory),
		live: make(map[recording.ID]*Writer), sealed: make(map[recording.ID]*catalog.NewRecording),
		stuck: make(map[recording.ID]*catalog.NewRecording), reading: make(map[recording.ID]int), proved: newProvedBlocks(),
	}
	if err := a.openAll(ctx); err != nil {
		return nil, errors.Join(err, a.shut())
	}
	return a, nil
}

func blocksOf(bytes int64) int64 { return (bytes + taillog.BlockSize - 1) / taillog.BlockSize }

// openAll opens the directories: each is verified and marked, then one transaction notes that the open is complete.
func (a *Archive) openAll(ctx context.Context) error {
	rows, err := a.catalog.Directories(ctx)
	if err != nil {
		return err
	}
	var good []*directory
	var ids []catalog.DirectoryID
	for _, row := range rows {
		d := newDirectory(a, row)
		a.dirs[row.ID] = d
		if err := d.verify(a.openedDirs()); err != nil {
			d.refuse(err)
			continue
		}
		good, ids = append(good, d), append(ids, row.ID)
	}
	if a.o.ReadOnly {
		return nil
	}
	if len(ids) > 0 {
		if err := a.catalog.CompleteDirectories(ctx, ids...); err != nil {
			return err
		}
	}
	for _, d := range good {
		if err := d.complete(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			d.refuse(err)
		}
	}
	return a.flush(ctx)
}

// openedDirs lists the directories that are open, so that none is opened twice.
func (a *Archive) openedDirs() []*sampledir.Dir {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*sampledir.Dir
	for _, d := range a.dirs {
		d.mu.Lock()
		if d.dir != nil {
			list = append(list, d.dir)
		}
		d.mu.Unlock()
	}
	return list
}

// Catalog returns the catalog, where cameras, streams and directories are read and changed.
func (a *Archive) Catalog() *catalog.Catalog { return a.catalog }

// Run does the archive's work: ticks, writes, flushes, unlinks. When ctx ends it finishes what is still recording, with
// reason server-stopped, makes the last tick and flush, and returns. The error is that of the last flush; trouble with a
// directory is not one.
func (a *Archive) Run(ctx context.Context) error {
	if a.o.ReadOnly {
		<-ctx.Done()
		return nil
	}
	var group errgroup.Group
	a.mu.Lock()
	a.start = func(d *directory) { group.Go(func() error { d.run(ctx); return nil }) }
	for _, d := range a.dirs {
		a.start(d)
	}
	a.mu.Unlock()
	a.flushLoop(ctx)
	a.mu.Lock()
	a.start, a.stopped = nil, true
	a.mu.Unlock()
	_ = group.Wait() // its goroutines return nil
	return a.flush(context.WithoutCancel(ctx))
}

// Close closes everything. If Run never ran, what is recorded is finished first.
func (a *Archive) Close() error {
	a.mu.Lock()
	a.stopped = true
	dirs := a.directories()
	a.mu.Unlock()
	var err error
	if !a.o.ReadOnly {
		for _, d := range dirs {
			d.stop()
		}
		err = a.flush(context.Background())
	}
	return errors.Join(err, a.shut())
}

// directories lists them; called with mu held.
func (a *Archive) directories() []*directory {
	var list []*directory
	for _, d := range a.dirs {
		list = append(list, d)
	}
	return list
}

func (a *Archive) shut() error {
	a.mu.Lock()
	dirs := a.directories()
	a.mu.Unlock()
	var errs []error
	for _, d := range dirs {
		errs = append(errs, d.close())
	}
	return errors.Join(append(errs, a.catalog.Close())...)
}

// blocksPaths returns where the open blocks of a directory may be: on the tmpfs, or, if there is none or it is full, in the
// directory itself.
func (a *Archive) blocksPaths(uuid recording.UUID, path string) []string {
	own := filepath.Join(path, "blocks")
	if a.o.Volatile == "" {
		return []string{own}
	}
	return []string{filepath.Join(a.o.Volatile, fmt.Sprintf("nightjar-%x.blocks", uuid[:])), own}
}

// acquire takes n blocks out of the budget.
func (a *Archive) acquire(n int) bool {
	if a.inUse.Add(int64(n)) <= a.totalBlocks {
		return true
	}
	a.inUse.Add(-int64(n))
	return false
}

func (a *Archive) release(n int) { a.inUse.Add(-int64(n)) }

// kick wakes a goroutine that waits on c, if it is not awake already.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
