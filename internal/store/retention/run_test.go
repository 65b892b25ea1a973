package retention

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// disk is a small model of a store: a disk, streams that record a minute at a time, deletions that free room late.
type disk struct {
	mu      sync.Mutex // guards all below while Run is at work
	total   int64
	floor   int64
	streams []catalog.Stream
	rows    []catalog.Brief
	garbage []catalog.Garbage
	next    map[recording.StreamID]uint32
	fail    error
	calls   int
}

func (d *disk) Streams(context.Context) ([]catalog.Stream, error) { return d.streams, nil }

func (d *disk) Directories(context.Context) ([]catalog.Directory, error) {
	return []catalog.Directory{{ID: 1, Path: "/media/a", MinFree: &d.floor}}, nil
}

func (d *disk) StreamUsage(_ context.Context, s recording.StreamID) (map[catalog.DirectoryID]catalog.Usage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var u catalog.Usage
	for _, b := range d.rows {
		if b.ID.Stream() == s {
			u = u.Add(catalog.Usage{Recordings: 1, Bytes: b.Bytes, DiskBytes: catalog.DiskBytes(b.Bytes), Duration: b.Duration})
		}
	}
	return map[catalog.DirectoryID]catalog.Usage{1: u}, nil
}

func (d *disk) Oldest(_ context.Context, s recording.StreamID, _ catalog.DirectoryID, n int) (list []catalog.Brief, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.rows {
		if b.ID.Stream() == s && len(list) < n {
			list = append(list, b)
		}
	}
	return list, nil
}

func (d *disk) Garbage(context.Context, catalog.DirectoryID) ([]catalog.Garbage, error) {
	return d.garbage, nil
}

func (d *disk) delete(_ context.Context, ids []recording.ID, reason recording.Reason) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.fail != nil {
		return d.fail
	}
	for _, id := range ids {
		i := slices.IndexFunc(d.rows, func(b catalog.Brief) bool { return b.ID == id })
		if i < 0 {
			return errors.New("deleted what is not there")
		}
		d.garbage = append(d.garbage, catalog.Garbage{ID: id, Reason: reason, Bytes: d.rows[i].Bytes})
		d.rows = slices.Delete(d.rows, i, i+1)
	}
	return nil
}

func (d *disk) space(catalog.Directory) (vfs.Space, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.total
	for _, b := range d.rows {
		free -= catalog.DiskBytes(b.Bytes)
	}
	for _, g := range d.garbage {
		free -= catalog.DiskBytes(g.Bytes)
	}
	return vfs.Space{Total: d.total, Available: free}, nil
}

// record adds one minute to each stream.
func (d *disk) record(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.garbage = nil // the files are unlinked by now
	for _, s := range d.streams {
		d.next[s.ID]++
		d.rows = append(d.rows, catalog.Brief{
			ID: recording.NewID(s.ID, d.next[s.ID]), Directory: 1, Start: media.WallTimeOf(now) - media.WallTime(minute), Duration: minute,
			Bytes: int64(s.ID) * mb,
		})
	}
}

func (d *disk) runner() *Runner {
	return New(Options{
		Store: d, Delete: d.delete, Space: d.space, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// TestMonth records a month of minutes on a disk that holds a day or so, and looks after each minute whether the
// limits hold: bytes of one stream, age of another, the floor for all.
func TestMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, days := int64(300*mb), 1
		d := &disk{total: 3000 * mb, floor: 200 * mb, next: make(map[recording.StreamID]uint32), streams: []catalog.Stream{
			{ID: 1}, {ID: 2, RetainBytes: &limit}, {ID: 3, RetainDays: &days},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		r := d.runner()
		go func() { done <- r.Run(ctx) }()
		lowest := d.total
		for range 4000 {
			time.Sleep(time.Minute)
			synctest.Wait()
			d.record(time.Now())
			r.Wake()
			synctest.Wait()
			free, _ := d.space(catalog.Directory{})
			pending := int64(0)
			garbage, _ := d.Garbage(ctx, 1)
			for _, g := range garbage {
				pending += catalog.DiskBytes(g.Bytes)
			}
			lowest = min(lowest, free.Available+pending)
			use, _ := d.StreamUsage(ctx, 2)
			if free.Available+pending < d.floor || use[1].DiskBytes > limit {
				t.Fatalf("free %d, stream 2 has %d", free.Available+pending, use[1].DiskBytes)
			}
		}
		if lowest > d.floor+d.floor/2 {
			t.Errorf("never less than %d free: the disk is not used", lowest)
		}
		one, _ := d.Oldest(ctx, 1, 1, 1)
		three, _ := d.Oldest(ctx, 3, 1, 1)
		if gap := one[0].Start.Sub(three[0].Start); max(gap, -gap) > 2*minute {
			t.Errorf("one camera begins %v after the other", gap.Std())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestOnceManyRounds needs far more deletions than one look shows.
func TestOnceManyRounds(t *testing.T) {
	limit := int64(10 * mb)
	d := &disk{total: 1 << 40, next: make(map[recording.StreamID]uint32), streams: []catalog.Stream{{ID: 1, RetainBytes: &limit}}}
	now := time.Now()
	for i := range 5000 {
		d.record(now.Add(time.Duration(i) * time.Minute))
	}
	if err := d.runner().Once(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(d.rows); n > 10 || n < 8 {
		t.Errorf("%d recordings left", n)
	}
	if d.calls > 40 {
		t.Errorf("%d deletions", d.calls)
	}
}

// TestRunGoesOn meets an error and tries again at the next round.
func TestRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := int64(0)
		d := &disk{total: 1 << 40, next: make(map[recording.StreamID]uint32), streams: []catalog.Stream{{ID: 1, RetainBytes: &limit}}}
		for range 5 {
			d.record(time.Now())
		}
		d.fail = errors.New("disk on fire")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.runner().Run(ctx) }()
		synctest.Wait()
		if d.calls != 1 || len(d.rows) != 5 {
			t.Errorf("%d calls, %d rows", d.calls, len(d.rows))
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		time.Sleep(every)
		synctest.Wait()
		if len(d.rows) != KeepLast {
			t.Errorf("%d rows after the second round", len(d.rows))
		}
		cancel()
		<-done
	})
}

// TestShortIsReported tells who listens that a disk lacks room.
func TestShortIsReported(t *testing.T) {
	d := &disk{total: 100 * mb, floor: 1000 * mb, next: make(map[recording.StreamID]uint32), streams: []catalog.Stream{{ID: 1}}}
	d.record(time.Now())
	r := d.runner()
	var short map[catalog.DirectoryID]int64
	r.options.OnShort = func(m map[catalog.DirectoryID]int64) { short = m }
	if err := r.Once(context.Background()); err != nil || short[1] != 901*mb {
		t.Errorf("short %v, %v", short, err)
	}
}
