package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

func sortRecordings(list []catalog.NewRecording) {
	slices.SortFunc(list, func(a, b catalog.NewRecording) int { return cmp.Compare(a.ID, b.ID) })
}

// Recordings calls yield, in order of start and id, for each recording of a stream that overlaps [start, end): it begins
// before end and ends after start. Index, Extra, Layout and BlockSums are nil. Recordings with a row, those that wait for
// theirs, and growing ones whose start is settled are listed alike; a growing one lasts as long as it does so far.
func (a *Archive) Recordings(ctx context.Context, stream recording.StreamID, start, end media.WallTime,
	yield func(*recording.Description) bool) error {
	// What is in memory comes first: whatever is flushed from now on is seen twice rather than not at all.
	waiting := a.waiting(stream, start, end)
	twice := make(map[recording.ID]bool, len(waiting))
	for _, d := range waiting {
		twice[d.ID] = true
	}
	more := true
	err := a.catalog.Recordings(ctx, stream, start, end, func(d *recording.Description) bool {
		for more && len(waiting) > 0 && (waiting[0].Start < d.Start || waiting[0].Start == d.Start && waiting[0].ID < d.ID) {
			more = yield(waiting[0])
			waiting = waiting[1:]
		}
		if more && twice[d.ID] {
			i := slices.IndexFunc(waiting, func(w *recording.Description) bool { return w.ID == d.ID })
			if i < 0 {
				return true // it was yielded already
			}
			waiting = slices.Delete(waiting, i, i+1)
		}
		more = more && yield(d)
		return more
	})
	for more && err == nil && len(waiting) > 0 {
		more = yield(waiting[0])
		waiting = waiting[1:]
	}
	return err
}

// waiting lists the recordings of a stream without row that overlap [start, end), by start and id.
func (a *Archive) waiting(stream recording.StreamID, start, end media.WallTime) (list []*recording.Description) {
	a.mu.Lock()
	var writers []*Writer
	for id, w := range a.live {
		if id.Stream() == stream {
			writers = append(writers, w)
		}
	}
	for _, set := range []map[recording.ID]*catalog.NewRecording{a.sealed, a.stuck} {
		for id, r := range set {
			if id.Stream() == stream {
				list = append(list, brief(r.Description))
			}
		}
	}
	a.mu.Unlock()
	for _, w := range writers {
		if d := w.listed(); d != nil {
			list = append(list, d)
		}
	}
	list = slices.DeleteFunc(list, func(d *recording.Description) bool { return d.Start >= end || d.End() <= start })
	slices.SortFunc(list, func(a, b *recording.Description) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Gaps lists the gaps of a stream that overlap [start, end), by start, those that wait for the next flush included. An
// open gap lasts for ever.
func (a *Archive) Gaps(ctx context.Context, stream recording.StreamID, start, end media.WallTime) ([]catalog.Gap, error) {
	a.mu.Lock()
	waiting := slices.Clone(a.gaps)
	a.mu.Unlock()
	list, err := a.catalog.Gaps(ctx, stream, start, end)
	if err != nil {
		return nil, err
	}
	for _, g := range waiting {
		if g.Stream != stream {
			continue
		}
		list = slices.DeleteFunc(list, func(old catalog.Gap) bool { return old.Start == g.Start })
		if g.Start < end && (g.Open || g.End > start) {
			list = append(list, g)
		}
	}
	slices.SortStableFunc(list, func(x, y catalog.Gap) int { return cmp.Compare(x.Start, y.Start) })
	return list, nil
}

// brief returns a copy without blobs.
func brief(d *recording.Description) *recording.Description {
	c := *d
	c.BlockSums = nil
	c.Tracks = slices.Clone(d.Tracks)
	for i := range c.Tracks {
		c.Tracks[i].Index, c.Tracks[i].Extra, c.Tracks[i].Layout = nil, nil, nil
	}
	return &c
}

// listed describes a recording in progress, if it may be listed.
func (w *Writer) listed() *recording.Description {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.startFinal || w.abandoned || w.builder.Tracks() == 0 || w.builder.Samples(0) == 0 {
		return nil
	}
	return w.describeLocked(false)
}

// Growing reports whether a recording is in progress.
func (a *Archive) Growing(id recording.ID) bool {
	a.mu.Lock()
	w := a.live[id]
	a.mu.Unlock()
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended == nil && !w.abandoned
}

// Writing lists the recordings that are not sealed yet, in no order: their sample files may be there without an entry in
// the tail log.
func (a *Archive) Writing() []recording.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make([]recording.ID, 0, len(a.live))
	for id := range a.live {
		ids = append(ids, id)
	}
	return ids
}

// Complete reports whether a recording survives any crash from now on: it is sealed, or has its row.
func (a *Archive) Complete(ctx context.Context, id recording.ID) (bool, error) {
	a.mu.Lock()
	live, sealed := a.live[id] != nil, a.sealed[id] != nil || a.stuck[id] != nil
	a.mu.Unlock()
	if live || sealed {
		return sealed, nil
	}
	_, err := a.catalog.DirectoryOf(ctx, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Describe returns everything about a recording; of a growing one, a snapshot, whose bytes OpenSamples gives. The error is
// catalog.ErrNotFound if there is none.
func (a *Archive) Describe(ctx context.Context, id recording.ID) (*recording.Description, error) {
	a.mu.Lock()
	w, r := a.live[id], a.sealed[id]
	if r == nil {
		r = a.stuck[id]
	}
	a.mu.Unlock()
	switch {
	case r != nil:
		d := *r.Description
		d.Tracks = slices.Clone(d.Tracks)
		return &d, nil
	case w != nil:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.abandoned || w.builder.Tracks() == 0 || w.builder.Samples(0) == 0 {
			return nil, fmt.Errorf("recording %v: %w", id, catalog.ErrNotFound)
		}
		return w.describeLocked(true), nil
	}
	return a.catalog.Describe(ctx, id)
}
