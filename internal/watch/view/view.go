// Package view turns a span of a stream into a file: it finds the recordings that the span touches, decides which samples
// of each are presented and when, and lays them out as a virtual file in which a byte is only made or read when asked for.
//
// Nouns: a Request names the span; a plan is the row of spans (recordings, whole or cut) that answers it; the result is a
// *virtual.File with an Info. Builder holds what requests share: the archive and a cache of sample indexes, bounded in
// bytes.
//
// # Which samples, and when
//
// A recording's Start is the instant of the first picture in presentation order. Within a recording, wall time and media
// time advance tick for tick from there; the ≤ 500 ppm by which wall and media duration differ falls at the recording's
// end. (A rescale would move the instants of a growing recording's samples when it ends, and with them the bytes of views
// already handed out.) There is no rounding anywhere in video; positions of audio are rounded to the nearest tick of its
// clock rate, each time anew from the recording's start, so that errors do not add up.
//
// Presented are all pictures whose interval overlaps [start, end): the first is the one that stands at start, from its
// beginning on (Info.Start, less than one picture before the requested start); the last begins before end and lasts until
// end. Decoding begins at the key sample at or before start; what lies between is in the file, in next to no time, and is
// skipped by the edit list. Audio samples are taken when they overlap the span, and the edit list trims the first and the
// last.
//
// Time in the file is the camera's clock within a run. Between runs (and where recordings were deleted) there is a gap:
// with Keep the last sample before it lasts until the next run begins, so that each run stands where the wall clock says,
// for gaps up to 6 h 31 min, the longest that players take; with Close it is left out. Runs that overlap follow one another.
//
// # What is read
//
// Whole recordings are sized from rows alone; index blobs are read for the recordings at the ends of the span (and the
// latest few, which may still grow), and otherwise only for those whose tables or interleaved bytes are in the range served.
// A recording in progress is taken as it is when the view is built, without its newest sample, whose duration is open.
//
// A Builder may be used by several goroutines at once. No goroutines are started. The file's format is drawn in
// docs/format/view-mp4.md.
package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
)

// The ways in which a request can be impossible. All but ErrEmpty and ErrStream are ErrInvalid.
var (
	ErrInvalid = errors.New("impossible span")
	ErrOrder   = fmt.Errorf("%w: the start must lie before the end", ErrInvalid)
	ErrFuture  = fmt.Errorf("%w: it lies in the future", ErrInvalid)
	ErrTooLong = fmt.Errorf("%w: it is too long for one file", ErrInvalid)
	ErrEmpty   = errors.New("nothing was recorded in the span")
	ErrStream  = errors.New("there is no such stream") // for whoever resolves names to stream ids
)

// Archive is what a view needs of the archive; the methods are those of archive.Archive (see Of).
type Archive interface {
	// Recordings yields the recordings that overlap [start, end) in time order; blobs may be missing.
	Recordings(ctx context.Context, stream recording.StreamID, start, end media.WallTime, yield func(*recording.Description) bool) error
	// Describe returns a recording with all blobs, a growing one as it is at the moment.
	Describe(ctx context.Context, id recording.ID) (*recording.Description, error)
	// Growing reports whether a recording is in progress.
	Growing(id recording.ID) bool
	// OpenSamples opens the bytes of a recording. The source may be a virtual.Sender.
	OpenSamples(id recording.ID) (virtual.Source, error)
}

// Gaps says what becomes of the time between runs.
type Gaps uint8

// The treatments of gaps.
const (
	Keep  Gaps = iota // the last picture before the gap stands until the next run begins
	Close             // runs follow each other
)

// Request names a view.
type Request struct {
	Stream     recording.StreamID
	Start, End media.WallTime // half-open; an End of 0 means everything from Start on
	Gaps       Gaps
	NoAudio    bool
	Metadata   bool // with the metadata tracks, which players do not know
}

// Info tells what a view came out as.
type Info struct {
	// Start is the instant that the file's time 0 stands for: the beginning of the picture that stands at the requested
	// start, or of the first after it.
	// End is the instant at which the last picture ends; a view of [Start, End) is this one for ever, or until something
	// in it is deleted.
	Start, End media.WallTime
	Duration   media.Duration // of the presentation
	Recordings int
	Samples    int64  // pictures in the file, those before Start included
	Growing    bool   // a recording in progress is part of it
	MediaType  string // of the file, with its codecs
	ETag       string // strong, with its quotes
	Codecs     []media.Codec
}

// Options of a Builder.
type Options struct {
	// CacheBytes bounds the sample indexes kept in memory; 0 means 4 MiB (about 11 hours of one stream).
	CacheBytes int64
	// MaxRecordings bounds the recordings of one view; 0 means 20,000 (about two weeks).
	MaxRecordings int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Builder builds views over one archive.
type Builder struct {
	archive Archive
	blobs   *blobCache
	max     int
	now     func() time.Time
}

// New returns a Builder.
func New(a Archive, o Options) *Builder {
	if o.CacheBytes == 0 {
		o.CacheBytes = 4 << 20
	}
	if o.MaxRecordings == 0 {
		o.MaxRecordings = 20_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Builder{archive: a, blobs: newBlobCache(a, o.CacheBytes), max: o.MaxRecordings, now: o.Now}
}

// Build lays out a progressive mp4 file. The errors that a caller may tell apart are those of this package; others are
// failures of the archive.
func (b *Builder) Build(ctx context.Context, r Request) (*virtual.File, Info, error) {
	p, err := b.plan(ctx, r)
	if err != nil {
		return nil, Info{}, fmt.Errorf("build view of stream %d: %w", r.Stream, err)
	}
	f, err := p.file()
	if err != nil {
		return nil, Info{}, fmt.Errorf("build view of stream %d: %w", r.Stream, err)
	}
	return f, p.info(), nil
}
