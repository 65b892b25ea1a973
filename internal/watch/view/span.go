package view

import (
	"context"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
)

// span is one recording's share of a view.
type span struct {
	builder *Builder
	d       *recording.Description // from rows, or with the blobs if held
	held    bool

	from, to media.Duration // which part, from the first picture on; to is whole for everything
	base     int64          // where the decode time of the first sample of the recording lies on the video's time line
	data     int64          // offset in the movie data
	takes    []*take
}

// whole as span.to means up to the end of the recording.
const whole = media.Duration(math.MaxInt64)

// take is the samples of one track that a view takes from one recording.
type take struct {
	span  *span
	track int   // position in Description.Tracks
	first int32 // number of the first sample taken
	count int32
	sync  int32
	chunk int32 // how many chunks, whole or cut, hold them
	skip  int64 // bytes of the track before them
	bytes int64
	start int64 // durations before them, in ticks of the track
	sum   int64 // their durations as stored

	lead     int32 // how many samples at the beginning are only decoded; each lasts one tick,
	pause    int64 // and the last of them so many
	squeezed int64 // by how much that shortens them together
	tail     int64 // durations from the end of the last key sample on; 0 if nothing follows it, or it is not known
	stretch  int64 // how much longer, or shorter, the last ones last
	frames   int64 // not 0: samples are PCM frames of that many bytes
	composed bool  // the track has composition offsets
}

func (s *span) describe(ctx context.Context) (*recording.Description, error) {
	if s.held {
		return s.d, nil
	}
	d, err := s.builder.blobs.describe(ctx, s.d.ID)
	if err == nil && len(d.Tracks) != len(s.d.Tracks) {
		err = fmt.Errorf("recording %v has %d tracks, %d were listed", s.d.ID, len(d.Tracks), len(s.d.Tracks))
	}
	return d, err
}

// lead is how long after the first decode time the first picture is presented.
func (s *span) lead() int64 { return int64(s.d.Tracks[0].StartOffset) }

// cut reports whether only a part is taken.
func (s *span) cut() bool { return s.from > 0 || s.to != whole }

// complete reports whether the whole sample file is part of the view as it is.
func (s *span) complete() bool { return !s.cut() && len(s.takes) == len(s.d.Tracks) }

// size returns the bytes of the span.
func (s *span) size() (n int64) {
	for _, t := range s.takes {
		n += t.bytes
	}
	return n
}

// takeAll takes all samples of a track, from the row alone.
func (s *span) takeAll(track int) {
	t := &s.d.Tracks[track]
	s.takes = append(s.takes, &take{span: s, track: track, count: t.Samples, sync: t.SyncSamples, chunk: t.Chunks, bytes: t.Bytes, sum: t.Duration})
}

// takePictures takes the pictures of a part: those from the key sample on that comes at or before the picture standing at
// from. d has the blobs. With exact, from moves to the beginning of that picture, else to the key sample. It returns
// false if there are none.
func (s *span) takePictures(d *recording.Description, exact, composed bool) (bool, error) {
	t := &d.Tracks[0]
	index, extra := recording.NewIndexIterator(t.Index), recording.NewExtraIterator(t.Extra)
	taken := &take{span: s, composed: composed}
	last := int32(-1)
	stands, key := int64(math.MinInt64), int64(0) // when the picture standing at from, and the key sample, are shown
	var sync, syncBefore, syncLast int32
	end, keyEnd := int64(0), int64(0)
	for index.Next() {
		extra.Next()
		shown := index.Start + int64(extra.Composition) - s.lead()
		if shown <= int64(s.from) {
			if index.Key {
				taken.first, taken.skip, taken.start = index.Sample, index.Offset, index.Start
				syncBefore, key = sync, shown
			}
			stands = max(stands, shown)
		}
		if index.Key {
			sync++
		}
		if s.to == whole || shown < int64(s.to) {
			last, syncLast, end = index.Sample, sync, index.Start+int64(index.Duration)
			taken.bytes = index.Offset + int64(index.Size)
			if index.Key {
				keyEnd = end
			}
		}
	}
	if err := errors.Join(index.Err(), extra.Err()); err != nil {
		return false, fmt.Errorf("recording %v: %w", d.ID, err)
	}
	if last < taken.first || last < 0 {
		return false, nil
	}
	taken.count, taken.bytes, taken.sum = last-taken.first+1, taken.bytes-taken.skip, end-taken.start
	taken.sync, taken.tail = syncLast-syncBefore, end-keyEnd
	if s.from = media.Duration(key); exact {
		s.from = media.Duration(stands)
		taken.squeeze(t, stands+s.lead())
	}
	if !composed && s.to != whole && end > int64(s.to) {
		taken.stretch = int64(s.to) - end
	}
	s.takes = append(s.takes, taken)
	return true, nil
}

// squeeze finds the samples that are only decoded, before any that is shown at or after from (counted from the decoding
// of the recording's first), and takes away most of their time: the edit list skips them, but the less time they take,
// the less it matters how well a player follows edit lists. All last one tick but the last, with which they come to the
// time of the last two: GStreamer shows a picture if its usual duration reaches into what is presented, and ffmpeg would
// guess another rate if the pictures shown were off the beat.
func (t *take) squeeze(track *recording.Track, from int64) {
	index, extra := recording.NewIndexIterator(track.Index), recording.NewExtraIterator(track.Extra)
	var before [2]int64 // durations of the two samples before
	for index.Next() {
		extra.Next()
		switch {
		case index.Sample < t.first:
			continue
		case index.Start+int64(extra.Composition) < from:
			before[0], before[1] = before[1], int64(index.Duration)
			continue
		case index.Sample > t.first && index.Start <= from:
			t.lead = index.Sample - t.first
			if t.lead == 1 {
				before[0] = before[1]
			}
			t.pause = max(before[0]+before[1]-int64(t.lead-1), 1)
			t.squeezed = index.Start - t.start - int64(t.lead-1) - t.pause
		}
		return
	}
}

// takeSounds takes the samples of a track other than the first that overlap the part.
func (s *span) takeSounds(d *recording.Description, track int) error {
	t := &d.Tracks[track]
	rate := int64(t.Entry.ClockRate)
	ticks := func(v media.Duration) int64 { return scale(s.lead()+int64(v)-int64(t.StartOffset), rate) }
	from, to := ticks(s.from), int64(math.MaxInt64)
	if s.from == 0 {
		from = math.MinInt64
	}
	if s.to != whole {
		to = ticks(s.to)
	}
	index := recording.NewIndexIterator(t.Index)
	taken := &take{span: s, track: track}
	for index.Next() {
		if index.Start+int64(index.Duration) <= from {
			continue
		}
		if index.Start >= to {
			break
		}
		if taken.count == 0 {
			taken.first, taken.skip, taken.start = index.Sample, index.Offset, index.Start
		}
		taken.count++
		if index.Key {
			taken.sync++
		}
		taken.bytes += int64(index.Size)
		taken.sum += int64(index.Duration)
	}
	if err := index.Err(); err != nil {
		return fmt.Errorf("recording %v track %d: %w", d.ID, track, err)
	}
	if taken.count > 0 {
		s.takes = append(s.takes, taken)
	}
	return nil
}

// countChunks finds out how many chunks hold the samples of a part.
func (s *span) countChunks(d *recording.Description) error {
	return s.pieces(d, func(t *take, _, _, _ int64, _ int32) bool { t.chunk++; return true })
}

// pieces yields the chunks of the sample file, cut to what is taken, in file order: where each lies in the sample file
// and in the span, its bytes, and its samples.
func (s *span) pieces(d *recording.Description, yield func(t *take, offset, at, bytes int64, samples int32) bool) error {
	before := make([]int64, len(d.Tracks)) // bytes of each track before the chunk
	at := int64(0)
	return d.Chunks(func(c recording.Chunk) bool {
		begin := before[c.Track]
		before[c.Track] += c.Size
		for _, t := range s.takes {
			if t.track != c.Track {
				continue
			}
			from, to := max(begin, t.skip), min(begin+c.Size, t.skip+t.bytes)
			samples := min(c.First+c.Samples, t.first+t.count) - max(c.First, t.first)
			if from >= to || samples <= 0 {
				continue
			}
			if !yield(t, c.Offset+from-begin, at, to-from, samples) {
				return false
			}
			at += to - from
		}
		return true
	})
}

// sampleFile is the opener of a recording's bytes.
type sampleFile struct {
	archive Archive
	id      recording.ID
}

func (f *sampleFile) Open(context.Context) (virtual.Source, error) {
	return f.archive.OpenSamples(f.id)
}

func (f *sampleFile) String() string { return fmt.Sprintf("recording %v", f.id) }

// addData adds the span's bytes to the movie data.
func (s *span) addData(b *virtual.Builder) {
	if s.complete() {
		b.External(s.d.Bytes, &sampleFile{s.builder.archive, s.d.ID}, 0)
		return
	}
	b.Nested(s.size(), s)
}

// File lays out the bytes of a span that is not the whole sample file.
func (s *span) File(ctx context.Context) (*virtual.File, error) {
	d, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	var b virtual.Builder
	file := &sampleFile{s.builder.archive, s.d.ID}
	err = s.pieces(d, func(_ *take, offset, _, bytes int64, _ int32) bool {
		b.External(bytes, file, offset)
		return true
	})
	if err != nil {
		return nil, err
	}
	return b.File()
}

func (s *span) String() string {
	text := fmt.Sprintf("recording %v:", s.d.ID)
	for _, t := range s.takes {
		text += fmt.Sprintf(" %v samples %d-%d", s.d.Tracks[t.track].Kind, t.first, t.first+t.count-1)
	}
	return text
}
