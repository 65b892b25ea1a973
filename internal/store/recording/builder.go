package recording

import (
	"fmt"
	"math"

	"nightjar/internal/media"
)

// SampleInfo is what is known about a sample beside its bytes.
type SampleInfo struct {
	Track       int // position in Description.Tracks; 0 is the video
	Flags       media.Flags
	Decode      media.Time
	Composition media.Duration // presentation minus decoding time; video only
	Frames      uint32         // how long an audio sample lasts by its own content, in ticks of the track's clock rate; 0 elsewhere
	Size        int32
}

// Builder turns the samples of a recording, in the order of the sample file, into the tracks of its Description. The same
// builder serves while recording and when a crash is repaired from the tail log. It touches no bytes of samples.
//
// The duration of a sample is the distance to its successor in the track, so the last one of each track stays open until
// Describe is told, or guesses, what follows.
type Builder struct {
	tracks []trackBuilder
	bytes  int64
	last   int // track of the latest sample
}

type trackBuilder struct {
	kind   media.Kind
	entry  SampleEntry
	index  IndexEncoder
	extra  ExtraEncoder
	layout LayoutEncoder
	chunks int32

	first            media.Time // decode time of the first sample
	firstComposition media.Duration
	usual            int64 // duration of the latest sample whose successor is known, or the nominal one, or 0
	open             SampleInfo
	samples          int32 // the open one included
	loss             bool
}

// AddTrack announces a track; the first is the video. usual is the duration to guess with until one is known (0: none).
func (b *Builder) AddTrack(kind media.Kind, entry SampleEntry, usual int64) int {
	b.tracks = append(b.tracks, trackBuilder{kind: kind, entry: entry, usual: usual})
	return len(b.tracks) - 1
}

// Tracks returns how many tracks were announced.
func (b *Builder) Tracks() int { return len(b.tracks) }

// Kind returns the kind of a track.
func (b *Builder) Kind(track int) media.Kind { return b.tracks[track].kind }

// Bytes returns the size of the sample file so far.
func (b *Builder) Bytes() int64 { return b.bytes }

// Samples returns how many samples a track has.
func (b *Builder) Samples(track int) int32 { return b.tracks[track].samples }

// LastDecode returns the decode time of a track's latest sample; it must have one.
func (b *Builder) LastDecode(track int) media.Time { return b.tracks[track].open.Decode }

// Save copies the state into a Builder that is used for nothing else; Restore copies it back. Between the two only one
// of them may go on.
func (b *Builder) Save(into *Builder) {
	into.tracks = append(into.tracks[:0], b.tracks...)
	into.bytes, into.last = b.bytes, b.last
}

// Check reports why a sample could not be added, without adding it.
func (b *Builder) Check(s SampleInfo) error {
	if s.Track < 0 || s.Track >= len(b.tracks) {
		return fmt.Errorf("no track %d", s.Track)
	}
	t := &b.tracks[s.Track]
	switch {
	case s.Size <= 0:
		return fmt.Errorf("sample %d of track %d: size %d out of range", t.samples, s.Track, s.Size)
	case s.Composition < math.MinInt32 || s.Composition > math.MaxInt32:
		return fmt.Errorf("sample %d of track %d: composition offset %d out of range", t.samples, s.Track, s.Composition)
	case t.samples == 0 && s.Flags&media.Key == 0:
		return fmt.Errorf("the first sample of track %d is not a key sample", s.Track)
	case s.Track > 0 && b.tracks[0].samples == 0:
		return fmt.Errorf("track %d begins before the video", s.Track)
	case t.samples == math.MaxInt32:
		return fmt.Errorf("too many samples in track %d", s.Track)
	}
	if t.samples == 0 {
		return nil
	}
	d := t.distance(s.Decode)
	if t.kind == media.Video && s.Decode <= t.open.Decode || s.Decode < t.open.Decode || d > MaxSampleDuration {
		return fmt.Errorf("sample %d of track %d: decode time goes from %d to %d", t.samples, s.Track, t.open.Decode, s.Decode)
	}
	return nil
}

// Add adds the sample whose bytes follow in the sample file.
func (b *Builder) Add(s SampleInfo) error {
	if err := b.Check(s); err != nil {
		return err
	}
	t := &b.tracks[s.Track]
	if t.samples == 0 {
		t.first, t.firstComposition = s.Decode, s.Composition
	} else if err := t.close(t.distance(s.Decode), true); err != nil {
		return err
	}
	if s.Track > 0 {
		t.layout.Append(b.bytes, s.Size)
	} else if t.samples == 0 || b.last != 0 {
		t.chunks++
	}
	t.open = s
	t.samples++
	t.loss = t.loss || s.Flags&(media.Damaged|media.AfterLoss) != 0
	b.last = s.Track
	b.bytes += int64(s.Size)
	return nil
}

// close puts the open sample into the index.
func (t *trackBuilder) close(duration int64, known bool) error {
	if err := t.index.Append(duration, t.open.Size, t.open.Flags&media.Key != 0); err != nil {
		return err
	}
	t.extra.Append(t.open.Flags, int32(t.open.Composition))
	if known && duration > 0 {
		t.usual = duration
	}
	return nil
}

// distance returns the duration of the open sample, given its successor's decode time, in ticks of the track's clock
// rate. Elsewhere than in video the sum of the durations follows the decode times without accumulating rounding, yet a
// sample that says itself how long it lasts is believed as long as the decode times agree but for their rounding.
func (t *trackBuilder) distance(next media.Time) int64 {
	if t.entry.ClockRate == media.TicksPerSecond {
		d := int64(next.Sub(t.first)) - t.index.Duration()
		if t.kind != media.Video {
			d = max(d, 1)
		}
		return d
	}
	rate := int64(t.entry.ClockRate)
	d := max(media.Rescale(int64(next.Sub(t.first)), rate, media.TicksPerSecond)-t.index.Duration(), 1)
	if own := int64(t.open.Frames); own > 0 && abs(d-own) <= 1+rate/media.TicksPerSecond {
		return own
	}
	return d
}

func abs(v int64) int64 { return max(v, -v) }

// guess returns the duration of the open sample when nothing followed it.
func (t *trackBuilder) guess() int64 {
	if t.open.Frames > 0 && t.kind == media.Audio {
		return int64(t.open.Frames)
	}
	if t.usual > 0 {
		return t.usual
	}
	return max(int64(t.entry.ClockRate)/25, 1) // 25 pictures a second is as good a guess as any
}

// UsualDuration returns what Describe would guess for the last video sample.
func (b *Builder) UsualDuration() media.Duration {
	if len(b.tracks) == 0 {
		return 0
	}
	return media.Duration(b.tracks[0].guess())
}

// Describe fills in what follows from the samples: Tracks, Bytes, MediaDuration and the flags HasLoss and
// LastDurationGuessed. end is the decode time of what follows the last video sample; guessed says that nothing is known
// to follow. The builder can go on afterwards. Tracks without samples are left out. blobs says whether Index, Extra and
// Layout are wanted.
func (b *Builder) Describe(d *Description, end media.Time, guessed, blobs bool) {
	d.Bytes = b.bytes
	d.Flags &^= HasLoss | LastDurationGuessed
	d.Tracks = nil
	for i := range b.tracks {
		t := b.tracks[i] // a snapshot that can be closed
		if t.samples == 0 {
			continue
		}
		duration := int64(end.Sub(t.open.Decode))
		if i > 0 || guessed || duration < 0 || duration > MaxSampleDuration {
			duration = t.guess()
			if i == 0 {
				d.Flags |= LastDurationGuessed
			}
		}
		track := Track{
			Kind: t.kind, Entry: t.entry,
			StartOffset: t.first.Sub(b.tracks[0].first) + t.firstComposition,
			Samples:     t.samples, SyncSamples: t.index.SyncSamples(), Chunks: t.chunks,
			Bytes: t.index.Bytes() + int64(t.open.Size), Duration: t.index.Duration() + duration,
		}
		if t.open.Flags&media.Key != 0 {
			track.SyncSamples++
		}
		if i > 0 {
			track.Chunks = t.layout.Chunks()
		} else {
			d.MediaDuration = media.Duration(track.Duration)
		}
		if t.loss {
			d.Flags |= HasLoss
		}
		if blobs {
			t.index.data = append(make([]byte, 0, len(t.index.data)+10), t.index.data...)
			if err := t.close(duration, false); err != nil {
				panic(fmt.Sprintf("recording %v track %d: %v", d.ID, i, err)) // Check refused all that could lead here
			}
			track.Index, track.Extra = t.index.Data(), t.extra.Data()
			if i > 0 {
				track.Layout = t.layout.Data()
			}
		}
		d.Tracks = append(d.Tracks, track)
	}
}

// EntryOf returns the stored form of a track's coding parameters.
func EntryOf(t *media.Track) SampleEntry {
	return SampleEntry{
		Codec: t.Codec, ClockRate: t.ClockRate, Data: t.SampleEntry, RFC6381: t.RFC6381,
		Width: t.Width, Height: t.Height, AspectH: t.AspectH, AspectV: t.AspectV,
		Channels: t.Channels, BytesPerFrame: t.BytesPerFrame, ReorderDepth: uint8(min(max(t.ReorderDepth, 0), math.MaxUint8)),
	}
}
