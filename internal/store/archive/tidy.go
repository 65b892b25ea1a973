package archive

import (
	"context"
	"slices"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
)

// tidy looks at the older segments of the log. A segment is kept for as long as a recording that is sealed in it exists,
// so that the directory alone suffices to rebuild the catalog; what it held beside the seals is thrown away once, and
// the seals of deleted recordings when they are half of it. Trouble is no more than logged: nothing depends on it.
func (d *directory) tidy() {
	ctx := context.Background()
	for _, number := range d.toTidy() {
		if err := d.tidySegment(ctx, number); err != nil {
			d.a.log.Warn("tail log segment could not be tidied up", "dir", d.row.Path, "segment", taillog.SegmentName(number), "err", err)
		}
	}
}

// tidyAtOnce is how many of the oldest segments are looked at each time, and how many of the others in turn: reading all
// of them each hour would be work that grows with the archive.
const tidyAtOnce = 4

func (d *directory) toTidy() []uint32 {
	segments := d.log.Segments()
	segments = segments[:len(segments)-1]
	if len(segments) <= 2*tidyAtOnce+1 {
		return segments
	}
	list := append([]uint32{segments[len(segments)-1]}, segments[:tidyAtOnce]...)
	others := segments[tidyAtOnce : len(segments)-1]
	for range tidyAtOnce {
		d.turn++
		list = append(list, others[d.turn%len(others)])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (d *directory) tidySegment(ctx context.Context, number uint32) error {
	var ids []recording.ID
	damage, err := d.log.Seals(number, func(s taillog.Seal) error {
		ids = append(ids, s.ID)
		return nil
	})
	if err != nil || len(damage) > 0 {
		return err // damaged ones are left as they are
	}
	exists, err := d.existing(ctx, ids)
	if err != nil {
		return err
	}
	before, compacted := d.kept[number]
	switch {
	case len(exists) == 0:
		delete(d.kept, number)
		return d.log.Remove(number)
	case !compacted || len(exists) <= before/2:
		if err := d.log.Compact(number, func(id recording.ID) bool { return exists[id] }, d.a.o.Now()); err != nil {
			return err
		}
		d.kept[number] = len(exists)
	}
	return nil
}

// existing returns those of the ids that have a row, or wait for it.
func (d *directory) existing(ctx context.Context, ids []recording.ID) (map[recording.ID]bool, error) {
	exists := make(map[recording.ID]bool, len(ids))
	for _, id := range ids {
		exists[id] = true
	}
	missing, err := d.a.catalog.Missing(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range missing {
		delete(exists, id)
	}
	for _, w := range d.unflushed() {
		exists[w.ID] = true
	}
	return exists, nil
}
