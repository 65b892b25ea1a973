// Package mp4 lays out ISO base media files (ISO/IEC 14496-12) over samples that lie elsewhere. It knows counts, byte
// totals and iterators; recordings, files and clocks are its callers' matter.
//
// Nouns: a Movie has Tracks, a Track has Segments one after the other on its media timeline, and a Segment has Tables,
// which yield what the sample tables say of each sample and chunk. The movie data is the caller's too: Segment.Data says
// where in it a segment's part begins.
//
// Invariant: every length in the file follows from the counts in Segment alone. The time-to-sample table therefore holds
// one entry per sample, the composition offsets likewise, and the sample-to-chunk table one entry per chunk; nothing is
// run-length coded. So Movie.File reads no Tables, and a range of the file reads those of the segments in the range.
// When Tables then yield other counts, sums or sizes than the Segment said, the range fails (*MismatchError or
// *virtual.LengthError) instead of shifting a byte.
//
// The time scale of the movie is 90 kHz, that of a track is its own. All headers are of version 1 (64-bit times), chunk
// offsets and the length of the movie data are 64 bits wide. docs/format/view-mp4.md draws the file.
//
// All functions are pure; Tables may be called by several goroutines at once. No goroutines are started.
package mp4

import (
	"context"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/media"
)

// ErrTooLong is returned for movies whose tables do not fit their 32-bit counts and lengths (hundreds of days).
var ErrTooLong = errors.New("too many samples for one mp4 file")

// Sample is what the sample tables say of one sample.
type Sample struct {
	Duration    uint32 // in the track's time scale
	Size        uint32 // bytes
	Composition int32  // presentation time minus decoding time, in the track's time scale
	Key         bool
}

// Chunk is a run of samples of one track that lie back to back.
type Chunk struct {
	Offset  int64 // of its first byte, counted from Segment.Data
	Samples uint32
}

// Tables yields the samples and chunks of one segment, in order, the same ones each time. Its String names the segment.
type Tables interface {
	Samples(ctx context.Context, yield func(Sample) bool) error
	Chunks(ctx context.Context, yield func(Chunk) bool) error
	fmt.Stringer
}

// Segment is a stretch of a track whose samples come from one place.
type Segment struct {
	Entry    int   // which of Track.Entries describes its samples, from 0 on
	Samples  int64 // at least 1
	Sync     int64 // how many of them are key samples
	Chunks   int64
	Bytes    int64
	Duration int64 // sum of the sample durations, in the track's time scale
	Data     int64 // offset in the movie data of what Chunk.Offset counts from
	Tables   Tables
}

// Edit is one entry of an edit list (section 8.6.6).
type Edit struct {
	Duration  media.Duration
	MediaTime int64 // in the track's time scale; Empty for a pause before the track begins
}

// Empty as Edit.MediaTime means that nothing of the track is presented meanwhile.
const Empty = -1

// Track is one track of a movie.
type Track struct {
	Kind      media.Kind
	Timescale uint32
	Entries   [][]byte // sample entry boxes

	// Composition says that presentation times differ from decoding times: a composition offset table is written.
	Composition bool

	// FrameSize, if not 0, says that every sample is FrameSize bytes and lasts one tick of the time scale (PCM, G.711):
	// sizes and durations then take a few bytes instead of twelve per sample. What Segment.Duration exceeds
	// Segment.Samples by, the last sample of the segment lasts longer. Tables.Samples is not called.
	FrameSize uint32

	Segments []Segment
	Edits    []Edit // none: the track is presented from its first sample to its last

	Width, Height    uint16 // video: picture size
	AspectH, AspectV uint16 // video: pixel aspect ratio; 0 is square
}

// Duration returns the sum of the durations of all samples, in the track's time scale.
func (t *Track) Duration() (sum int64) {
	for i := range t.Segments {
		sum += t.Segments[i].Duration
	}
	return sum
}

// presentation returns how long the track is presented.
func (t *Track) presentation() (sum media.Duration) {
	if len(t.Edits) == 0 {
		return media.Duration(media.Rescale(t.Duration(), media.TicksPerSecond, int64(t.Timescale)))
	}
	for _, e := range t.Edits {
		sum += e.Duration
	}
	return sum
}

// Movie is a whole file.
type Movie struct {
	Created media.WallTime
	Tracks  []Track

	// Margin is added to the movie header's duration, which otherwise is that of the longest track: for players that
	// take it for the end of the media and not of the presentation.
	Margin media.Duration
}

// MismatchError tells that a segment's tables contradict its counts.
type MismatchError struct {
	Segment    string
	What       string // "samples", "bytes", "duration"…
	Have, Want int64
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: %s of the index are %d, the recording says %d", e.Segment, e.What, e.Have, e.Want)
}

// maxCounted bounds what has an entry in a table, so that no table reaches 4 GiB (12 bytes an entry at most).
const maxCounted = 1 << 28

func (m *Movie) validate() error {
	for i := range m.Tracks {
		if err := m.Tracks[i].validate(); err != nil {
			return fmt.Errorf("track %d: %w", i+1, err)
		}
	}
	return nil
}

func (t *Track) validate() error {
	var samples, chunks int64
	if t.Timescale == 0 || len(t.Segments) == 0 {
		return errors.New("without time scale or segments")
	}
	for i := range t.Segments {
		s := &t.Segments[i]
		switch {
		case s.Samples < 1 || s.Chunks < 1 || s.Chunks > s.Samples || s.Sync < 0 || s.Sync > s.Samples:
			return fmt.Errorf("segment %v of %d samples, %d key samples, %d chunks", s.Tables, s.Samples, s.Sync, s.Chunks)
		case s.Bytes < 0 || s.Duration < 0 || s.Data < 0:
			return fmt.Errorf("segment %v of %d bytes, duration %d, at %d", s.Tables, s.Bytes, s.Duration, s.Data)
		case s.Entry < 0 || s.Entry >= len(t.Entries):
			return fmt.Errorf("segment %v has sample entry %d of %d", s.Tables, s.Entry, len(t.Entries))
		case t.FrameSize > 0 && (s.Bytes != s.Samples*int64(t.FrameSize) || s.Duration < s.Samples):
			return fmt.Errorf("segment %v of %d samples of %d bytes has %d bytes, duration %d", s.Tables, s.Samples, t.FrameSize, s.Bytes, s.Duration)
		}
		samples += s.Samples
		chunks += s.Chunks
		if chunks > maxCounted || samples > maxCounted && t.FrameSize == 0 || samples > math.MaxUint32 {
			return ErrTooLong
		}
	}
	return nil
}
