package retention

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Store is where the recordings are: rows are read from the catalog, deletions go through whoever owns rows and files.
type Store interface {
	// Streams lists all streams with their limits.
	Streams(ctx context.Context) ([]catalog.Stream, error)
	// Directories lists the sample file directories.
	Directories(ctx context.Context) ([]catalog.Directory, error)
	// StreamUsage totals a stream by directory.
	StreamUsage(ctx context.Context, stream recording.StreamID) (map[catalog.DirectoryID]catalog.Usage, error)
	// Oldest lists the first recordings of a stream in a directory.
	Oldest(ctx context.Context, stream recording.StreamID, dir catalog.DirectoryID, n int) ([]catalog.Brief, error)
	// Garbage lists the deleted sample files that still take room.
	Garbage(ctx context.Context, dir catalog.DirectoryID) ([]catalog.Garbage, error)
}

// Options are what a Runner needs.
type Options struct {
	Store Store
	// Delete deletes recordings, rows first, then files.
	Delete func(ctx context.Context, ids []recording.ID, reason recording.Reason) error
	// Space tells how full the file system of a directory is. It fails for a directory that is not open: where a disk is
	// not mounted, the path leads to another file system, whose lack of room is no reason to delete.
	Space func(dir catalog.Directory) (vfs.Space, error)
	// Now is the server's clock.
	Now func() time.Time
	// ClockUncertain tells whether the clock was never synchronised in this boot; nil: it always was.
	ClockUncertain func() bool
	// OnShort is told after each round which directories lack room that no deletion can make, in bytes; nil: nobody is.
	OnShort func(map[catalog.DirectoryID]int64)
	Log     *slog.Logger // nil: slog.Default()
}

// Runner keeps the limits.
type Runner struct {
	options Options
	wake    chan struct{}
}

const (
	every     = 10 * time.Second
	firstLook = 16   // recordings of a stream and directory that a plan sees at first; about a batch
	widest    = 1024 // and at most, when much must go
	atOnce    = 256  // recordings of one deletion
)

// New returns a Runner; Run starts it.
func New(o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Runner{options: o, wake: make(chan struct{}, 1)}
}

// Wake asks for a look at once: after limits were changed, or when a disk runs full.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// Run keeps the limits until ctx ends. Errors are logged and tried again at the next round.
func (r *Runner) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := r.Once(ctx); err != nil && ctx.Err() == nil {
			r.options.Log.Error("retention failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-r.wake:
		}
	}
}

// Once deletes until the limits hold. It ends, because each turn but the last deletes something.
func (r *Runner) Once(ctx context.Context) error {
	for n := firstLook; ; n = min(4*n, widest) {
		state, err := r.state(ctx, n)
		if err != nil {
			return err
		}
		result := Plan(state, r.now())
		if err := r.carryOut(ctx, result.Deletions); err != nil {
			return err
		}
		if result.More && len(result.Deletions) > 0 {
			continue
		}
		if r.options.OnShort != nil {
			r.options.OnShort(result.Short)
		}
		return nil
	}
}

func (r *Runner) now() media.WallTime { return media.WallTimeOf(r.options.Now()) }

func (r *Runner) carryOut(ctx context.Context, list []Deletion) error {
	if len(list) == 0 {
		return nil
	}
	var bytes int64
	for part := list; len(part) > 0; {
		n := min(len(part), atOnce)
		ids := make([]recording.ID, n)
		for i, d := range part[:n] {
			ids[i] = d.ID
			bytes += d.DiskBytes
		}
		if err := r.options.Delete(ctx, ids, recording.Retention); err != nil {
			return fmt.Errorf("delete %d recordings: %w", n, err)
		}
		part = part[n:]
	}
	r.options.Log.Debug("retention deleted", "recordings", len(list), "bytes", bytes, "cause", list[0].Cause)
	return nil
}

// state reads what Plan looks at, with at most n recordings of each stream and directory.
func (r *Runner) state(ctx context.Context, n int) (*State, error) {
	var s State
	if r.options.ClockUncertain != nil {
		s.ClockUncertain = r.options.ClockUncertain()
	}
	streams, err := r.options.Store.Streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	for _, row := range streams {
		stream := Stream{ID: row.ID, MaxBytes: row.RetainBytes}
		if row.RetainDays != nil {
			stream.MaxAge = media.WallDuration(*row.RetainDays) * day
		}
		if stream.Parts, err = r.parts(ctx, row.ID, n); err != nil {
			return nil, fmt.Errorf("recordings of stream %d: %w", row.ID, err)
		}
		s.Streams = append(s.Streams, stream)
	}
	dirs, err := r.options.Store.Directories(ctx)
	if err != nil {
		return nil, fmt.Errorf("list directories: %w", err)
	}
	for _, row := range dirs {
		d := Directory{ID: row.ID, MinFree: row.MinFree}
		space, err := r.options.Space(row)
		d.Total, d.Available, d.Missing = space.Total, space.Available, err != nil
		garbage, err := r.options.Store.Garbage(ctx, row.ID)
		if err != nil {
			return nil, fmt.Errorf("garbage of directory %d: %w", row.ID, err)
		}
		for _, g := range garbage {
			d.Pending += catalog.DiskBytes(g.Bytes)
		}
		s.Directories = append(s.Directories, d)
	}
	return &s, nil
}

func (r *Runner) parts(ctx context.Context, stream recording.StreamID, n int) ([]Part, error) {
	use, err := r.options.Store.StreamUsage(ctx, stream)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for dir, u := range use {
		if u.Recordings == 0 {
			continue
		}
		oldest, err := r.options.Store.Oldest(ctx, stream, dir, n)
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{Directory: dir, Use: u, Oldest: oldest})
	}
	return parts, nil
}
