package archive

import (
	"cmp"
	"context"
	"math"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// outages says, for each stream that records into the directory, what the crash left untold in the gap ledger: a gap that
// was open is closed by the first recording that began in it, and from the last recording's end on something is missing,
// because of the crash, until the next one begins.
func (r *recovery) outages(ctx context.Context) ([]catalog.Gap, error) {
	if !r.state.Found {
		return nil, nil // a new directory
	}
	c := r.d.a.catalog
	streams, err := c.Streams(ctx)
	if err != nil {
		return nil, err
	}
	var gaps []catalog.Gap
	for _, s := range streams {
		if s.Directory != r.d.row.ID {
			continue
		}
		list, err := c.Gaps(ctx, s.ID, math.MaxInt64-1, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(g catalog.Gap) bool { return !g.Open })
		recovered := r.of(s.ID)
		var end media.WallTime
		if n := len(recovered); n > 0 {
			end = recovered[n-1].End()
		} else if len(list) == 0 {
			if end, err = r.lastEnd(ctx, s.ID); err != nil {
				return nil, err
			}
		}
		for _, g := range r.lost { // told on their own
			if g.Stream == s.ID {
				end = max(end, g.End)
			}
		}
		for _, g := range list {
			if i := slices.IndexFunc(recovered, func(d *recording.Description) bool { return d.Start >= g.Start }); i >= 0 {
				g.End, g.Open = recovered[i].Start, false
				gaps = append(gaps, g)
			}
		}
		still := slices.ContainsFunc(list, func(g catalog.Gap) bool { return g.Start >= end })
		if end != 0 && !still {
			gaps = append(gaps, catalog.Gap{Stream: s.ID, Start: end, Open: true, Reason: r.reason, Detail: r.detail()})
		}
	}
	return gaps, nil
}

// of lists what was recovered of a stream, by start.
func (r *recovery) of(stream recording.StreamID) (list []*recording.Description) {
	for _, d := range r.complete {
		if d.ID.Stream() == stream {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *recording.Description) int { return cmp.Compare(a.Start, b.Start) })
	return list
}

// lastEnd returns the end of a stream's latest recording by its row; 0 if it has none. It looks back ever further.
func (r *recovery) lastEnd(ctx context.Context, stream recording.StreamID) (end media.WallTime, err error) {
	const day = 24 * 3600 * media.TicksPerSecond
	now := media.WallTimeOf(r.d.a.o.Now())
	from, to := now-day, media.WallTime(math.MaxInt64)
	for span := media.WallTime(day); end == 0 && span <= 4096*day && err == nil; span *= 8 {
		err = r.d.a.catalog.Recordings(ctx, stream, from, to, func(d *recording.Description) bool {
			end = max(end, d.End())
			return true
		})
		from, to = from-span, from
	}
	return end, err
}
