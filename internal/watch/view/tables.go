package view

import (
	"context"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
	"nightjar/internal/store/recording"
)

// segment is the take as mp4 sees it.
func (t *take) segment(entry int) mp4.Segment {
	s := mp4.Segment{
		Entry: entry, Samples: int64(t.count), Sync: int64(t.sync), Chunks: int64(t.chunk), Bytes: t.bytes,
		Duration: t.duration(), Data: t.span.data, Tables: t,
	}
	if t.frames > 0 {
		s.Samples = t.bytes / t.frames
		s.Sync = s.Samples
	}
	return s
}

// duration is what the samples last together, in ticks of the track.
func (t *take) duration() int64 { return t.sum - t.squeezed + t.stretch }

func (t *take) String() string {
	return fmt.Sprintf("recording %v, %v samples %d-%d", t.span.d.ID, t.span.d.Tracks[t.track].Kind, t.first, t.first+t.count-1)
}

// Samples yields the samples as stored, with the adjustments of the plan.
func (t *take) Samples(ctx context.Context, yield func(mp4.Sample) bool) error {
	d, err := t.span.describe(ctx)
	if err != nil {
		return err
	}
	track := &d.Tracks[t.track]
	var shorter []int64
	if t.stretch < 0 {
		if shorter, err = t.shortened(track); err != nil {
			return err
		}
	}
	index, extra := recording.NewIndexIterator(track.Index), recording.NewExtraIterator(track.Extra)
	end := t.first + t.count
	for index.Next() {
		extra.Next()
		n := index.Sample
		if n < t.first {
			continue
		}
		if n == end {
			break
		}
		duration, composition := t.lasts(&index), int32(0)
		if t.composed && n >= t.first+t.lead {
			composition = extra.Composition
		}
		switch {
		case t.stretch < 0:
			duration = shorter[n-t.first]
		case n == end-1:
			duration += t.stretch
		}
		if duration < 0 || duration > math.MaxUint32 {
			return fmt.Errorf("%v: sample %d: duration %d", t, n, duration)
		}
		if !yield(mp4.Sample{Duration: uint32(duration), Size: uint32(index.Size), Composition: composition, Key: index.Key}) {
			return nil
		}
	}
	if err := errors.Join(index.Err(), extra.Err()); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	return nil
}

// lasts is the duration of a sample, but for the stretch.
func (t *take) lasts(index *recording.IndexIterator) int64 {
	switch n := index.Sample - t.first; {
	case n >= t.lead:
		return int64(index.Duration)
	case n == t.lead-1:
		return t.pause
	}
	return 1
}

// shortened returns the durations of all samples when the last ones are shortened by -stretch together, each to one tick
// at least.
func (t *take) shortened(track *recording.Track) ([]int64, error) {
	all := make([]int64, 0, t.count)
	index := recording.NewIndexIterator(track.Index)
	for index.Next() && index.Sample < t.first+t.count {
		if index.Sample >= t.first {
			all = append(all, t.lasts(&index))
		}
	}
	if err := index.Err(); err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	if len(all) != int(t.count) {
		return nil, &mp4.MismatchError{Segment: t.String(), What: "samples", Have: int64(len(all)), Want: int64(t.count)}
	}
	excess := -t.stretch
	for i := len(all) - 1; i >= 0 && excess > 0; i-- {
		m := min(excess, max(all[i]-1, 0))
		all[i] -= m
		excess -= m
	}
	return all, nil
}

// Chunks yields where the samples lie within the span.
func (t *take) Chunks(ctx context.Context, yield func(mp4.Chunk) bool) error {
	d, err := t.span.describe(ctx)
	if err != nil {
		return err
	}
	complete := t.span.complete()
	return t.span.pieces(d, func(of *take, offset, at, bytes int64, samples int32) bool {
		if of != t {
			return true
		}
		if complete {
			at = offset
		}
		if t.frames > 0 {
			return yield(mp4.Chunk{Offset: at, Samples: uint32(bytes / t.frames)})
		}
		return yield(mp4.Chunk{Offset: at, Samples: uint32(samples)})
	})
}

// scale converts ticks of 90 kHz to ticks of rate, rounded to the nearest, halves up.
func scale(v, rate int64) int64 {
	if rate == media.TicksPerSecond {
		return v
	}
	v = v*rate*2 + media.TicksPerSecond
	q := v / (2 * media.TicksPerSecond)
	if v%(2*media.TicksPerSecond) < 0 {
		q--
	}
	return q
}
