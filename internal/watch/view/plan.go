package view

import (
	"context"
	"math"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
)

// plan is a view laid out in time: which samples, at which times, in which tracks.
type plan struct {
	request  Request
	builder  *Builder
	spans    []*span
	composed bool // video has composition offsets

	start, end media.WallTime
	origin     int64 // of the presentation, on the video's time line (composition times)
	length     media.Duration
	growing    bool
	tracks     []*line
}

// line is one track of the file.
type line struct {
	kind   media.Kind
	entry  recording.SampleEntry // of its first samples
	nth    int                   // among the tracks of its kind in a recording
	takes  []*take
	begins int64 // presentation time of its first sample, in ticks of its clock rate; may be negative
	movie  mp4.Track
}

// fresh is how long after its end a recording is still read anew: it may be listed as growing and end meanwhile.
const fresh media.WallDuration = 2 * 60 * media.TicksPerSecond

func (b *Builder) plan(ctx context.Context, r Request) (*plan, error) {
	now := media.WallTimeOf(b.now())
	if r.End == 0 {
		r.End = math.MaxInt64
	}
	if r.Start >= r.End {
		return nil, ErrOrder
	}
	if r.Start > now {
		return nil, ErrFuture
	}
	p := &plan{request: r, builder: b}
	if err := p.list(ctx, now); err != nil {
		return nil, err
	}
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	if len(p.spans) == 0 {
		return nil, ErrEmpty
	}
	p.layPictures()
	for _, s := range p.spans {
		p.addLines(s)
	}
	p.laySounds()
	p.layData()
	return p, nil
}

// list finds the recordings. The latest are described at once and for good: they may still grow.
func (p *plan) list(ctx context.Context, now media.WallTime) error {
	var tooMany bool
	err := p.builder.archive.Recordings(ctx, p.request.Stream, p.request.Start, p.request.End, func(d *recording.Description) bool {
		if len(p.spans) == p.builder.max {
			tooMany = true
			return false
		}
		if len(d.Tracks) > 0 && d.Tracks[0].Kind == media.Video && d.Tracks[0].Samples > 0 {
			own := *d
			own.Tracks = slices.Clone(d.Tracks)
			p.spans = append(p.spans, &span{builder: p.builder, d: &own, to: whole})
		}
		return true
	})
	if tooMany {
		return ErrTooLong
	}
	if err != nil {
		return err
	}
	slices.SortStableFunc(p.spans, func(a, b *span) int {
		if a.d.Start != b.d.Start {
			return compare(a.d.Start < b.d.Start)
		}
		return compare(a.d.ID < b.d.ID)
	})
	for i, s := range p.spans {
		if s.d.End().Add(fresh) < now && !p.builder.archive.Growing(s.d.ID) {
			continue
		}
		growing := p.builder.archive.Growing(s.d.ID)
		d, err := p.builder.blobs.describe(ctx, s.d.ID)
		if err != nil {
			return err
		}
		if len(d.Tracks) == 0 || d.Tracks[0].Samples == 0 {
			continue // as it was listed
		}
		s.d, s.held = d, true
		if growing {
			p.growing = true
			heard := i > 0 && p.spans[i-1].d.RunUUID == d.RunUUID && hasSound(p.spans[i-1].d)
			s.to = stable(d, !p.request.NoAudio, heard)
		}
	}
	return nil
}

func compare(less bool) int {
	if less {
		return -1
	}
	return 1
}

// stable is up to when the samples of a growing recording are settled: the newest picture's duration is still open, and
// pictures shown after its decoding may still come before it. Sound that is wanted and lags behind the pictures (or that
// was heard in the recording before and not yet in this one) is waited for, but not for longer than patience: it may have
// stopped.
func stable(d *recording.Description, wanted, heard bool) media.Duration {
	lead := d.Tracks[0].StartOffset
	newest := func(t *recording.Track) int64 {
		index := recording.NewIndexIterator(t.Index)
		for index.Next() {
		}
		return index.Start
	}
	settled := max(media.Duration(newest(&d.Tracks[0]))-lead, 0)
	limit := settled - patience
	if wanted && heard && !hasSound(d) {
		settled = limit
	}
	for i := range d.Tracks {
		if t := &d.Tracks[i]; t.Kind == media.Audio && wanted {
			at := media.Duration(media.Rescale(newest(t), media.TicksPerSecond, int64(t.Entry.ClockRate))) + t.StartOffset - lead
			settled = min(settled, max(at, limit))
		}
	}
	return max(settled, 0)
}

func hasSound(d *recording.Description) bool {
	return slices.ContainsFunc(d.Tracks, func(t recording.Track) bool { return t.Kind == media.Audio })
}

const patience media.Duration = 2 * media.TicksPerSecond

// take decides for each recording which samples are taken, and drops those without any.
func (p *plan) take(ctx context.Context) error {
	for _, s := range p.spans {
		t := &s.d.Tracks[0]
		p.composed = p.composed || t.Entry.ReorderDepth > 0 || t.StartOffset != 0
	}
	var taken []*span
	for _, s := range p.spans {
		if at := p.request.Start.Sub(s.d.Start); at > 0 {
			s.from = min(at.AsMedia(), s.d.MediaDuration) // tick for tick: see the package comment
		}
		if to := p.request.End.Sub(s.d.Start).AsMedia(); p.request.End < s.d.End() && to < s.d.MediaDuration {
			s.to = min(s.to, to)
		}
		if s.from >= s.d.MediaDuration && s.from > 0 || s.from >= s.to {
			continue
		}
		some, err := p.takeFrom(ctx, s, len(taken) == 0)
		if err != nil {
			return err
		}
		if some {
			taken = append(taken, s)
		}
	}
	p.spans = taken
	return nil
}

// takeFrom fills in one span. Only the first of a view is cut to the very picture.
func (p *plan) takeFrom(ctx context.Context, s *span, first bool) (bool, error) {
	wanted := func(track int) bool {
		switch s.d.Tracks[track].Kind {
		case media.Audio:
			return !p.request.NoAudio && s.d.Tracks[track].Samples > 0
		case media.Metadata:
			return p.request.Metadata && s.d.Tracks[track].Samples > 0
		}
		return false
	}
	if !s.cut() {
		s.takeAll(0)
		s.takes[0].composed = p.composed
		for i := 1; i < len(s.d.Tracks); i++ {
			if wanted(i) {
				s.takeAll(i)
			}
		}
		return true, nil
	}
	d, err := s.describe(ctx)
	if err != nil {
		return false, err
	}
	if some, err := s.takePictures(d, first, p.composed); !some || err != nil {
		return false, err
	}
	for i := 1; i < len(d.Tracks); i++ {
		if wanted(i) {
			if err := s.takeSounds(d, i); err != nil {
				return false, err
			}
		}
	}
	return true, s.countChunks(d)
}

// longestStretch keeps the durations of samples below 2^31 ticks, with room for the longest that a recording can hold.
const longestStretch = 1<<31 - 1<<25

// layPictures gives every span its place on the video's time line. The decoding of a sample begins at its span's base
// plus what the durations before it in the recording add up to.
func (p *plan) layPictures() {
	first := p.spans[0]
	first.base = -first.takes[0].start - first.takes[0].squeezed
	p.origin = first.base + int64(first.from) + first.lead()
	p.start = first.d.Start.Add(first.from.AsWall())
	missing := int64(0) // what gaps longer than a sample can last have lost
	for i, s := range p.spans[1:] {
		before := p.spans[i]
		s.base = before.stop() - s.takes[0].start // a later span may begin within its recording
		if p.request.Gaps == Close || before.d.RunUUID == s.d.RunUUID && before.d.RunOffset+1 == s.d.RunOffset {
			continue
		}
		due := p.origin + int64(s.d.Start.Sub(p.start).AsMedia()) - s.lead() - missing
		if gap := due - s.base; gap > 0 {
			stretch := min(gap, longestStretch)
			missing += gap - stretch
			before.takes[0].stretch += stretch
			s.base += stretch
		}
	}
	last := p.spans[len(p.spans)-1]
	stop := last.stop()
	p.end = min(last.d.End(), p.request.End)
	if last.to != whole {
		p.end = last.d.Start.Add(last.to.AsWall())
		stop = last.base + int64(last.to)
	}
	p.length = media.Duration(stop + last.lead() - p.origin)
}

// stop is where the decoding of the span's last picture ends on the video's time line.
func (s *span) stop() int64 {
	t := s.takes[0]
	return s.base + t.start + t.sum + t.stretch
}

// layData gives every span its place in the movie data.
func (p *plan) layData() {
	at := int64(0)
	for _, s := range p.spans {
		s.data = at
		at += s.size()
	}
}

// margin is what the movie header says too much: up to two pictures' time, for GStreamer 1.22, which ends a file of one
// track after a key sample once media time, before the edit list, has reached the length of the movie.
func (p *plan) margin() media.Duration {
	tail := p.spans[len(p.spans)-1].takes[0].tail
	if len(p.tracks) == 1 && (tail > 0 && tail <= p.origin || int64(p.length) <= p.origin) {
		return media.Duration(p.origin)
	}
	return 0
}

// file builds the virtual file.
func (p *plan) file() (*virtual.File, error) {
	movie := &mp4.Movie{Created: p.start, Margin: p.margin()}
	size := int64(0)
	for _, s := range p.spans {
		size += s.size()
	}
	for _, l := range p.tracks {
		l.build(p)
		movie.Tracks = append(movie.Tracks, l.movie)
	}
	return movie.File(size, func(b *virtual.Builder) {
		for _, s := range p.spans {
			s.addData(b)
		}
	})
}
