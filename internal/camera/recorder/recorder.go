// Package recorder makes recordings out of the samples of a stream.
//
// A run begins with the first key sample and lasts until End, a jump of the camera's clock, or trouble with the disk. It
// is cut into recordings of about a minute at key samples: at the first one at or after the stream's planned rotation
// instant (Slot), at each change of parameters, and never later than five minutes. Every end of a run is stored with its
// reason, and the time until the next run begins becomes an entry of the gap ledger.
//
// Time: the camera's clock gives durations, the server's the start. The least-delayed sample of the first five seconds
// settles when the run began; afterwards each recording begins exactly where the one before it ended, and what the two
// clocks disagree by flows into the wall durations, at most 500 ppm (see clock).
//
// A Recorder belongs to the goroutine that receives the stream; no method may be called concurrently with another.
// Nothing here waits for a disk: the archive takes samples into memory or refuses them.
package recorder

import (
	"fmt"
	"log/slog"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// Options describe the recorder of one stream.
type Options struct {
	Archive *archive.Archive
	Stream  recording.StreamID
	Slot    func() Slot // the stream's place among those that record; asked at each rotation. nil for the only one
	NewUUID func() recording.UUID
	Now     func() time.Time // the wall clock; nil for time.Now
	Log     *slog.Logger     // nil for none

	// Gap is what an earlier process left open: it goes on until the first run begins or a reason of our own takes over.
	Gap *catalog.Gap
}

// Recorder turns samples into recordings; see the package.
type Recorder struct {
	o Options

	// The run, while there is one.
	run       recording.UUID
	offset    uint32 // recordings of the run so far
	clock     clock
	order     reorder
	track     *media.Track   // of the video samples of the current recording
	usual     media.Duration // how long a picture usually lasts
	writer    *archive.Writer
	firstTime media.Time // decode time of its first video sample
	last      media.Time // latest presentation time
	samples   int        // video samples of the run

	// Between runs.
	gap     *catalog.Gap   // begun, end not known yet
	retryAt time.Time      // no recording is begun before, after the archive refused one
	ended   media.WallTime // of the latest run
	// since is when the recorder was made: what is missing before the first run is missing from then on. 0 once there was
	// a run or a gap.
	since media.WallTime
}

// New returns a recorder; it writes nothing before the first key sample.
func New(o Options) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{o: o, gap: o.Gap}
	if r.gap != nil {
		r.ended = r.gap.Start
	} else {
		r.since = media.WallTimeOf(o.Now())
	}
	return r
}

// Write records one sample. Samples before a key sample are passed over. Trouble with the archive ends the run, with its
// reason, and is not an error: the stream goes on and is recorded again as soon as the archive takes it. An error is
// returned only for what the session itself must end for: a camera whose clock jumped.
func (r *Recorder) Write(s media.Sample, clocks func() media.Clocks) error {
	if s.Track.Kind != media.Video {
		r.appendOther(&s)
		return nil
	}
	if r.writer == nil {
		return r.first(&s, clocks)
	}
	if moved := r.clock.stepped(s.Arrival); moved >= step {
		r.end(recording.ClockStep, fmt.Sprintf("the server's clock was set forward by %v", moved.Std().Round(time.Millisecond)), &s)
		return r.first(&s, clocks)
	}
	decode, composition, err := r.order.next(s.Time, s.Track.ReorderDepth, r.usual)
	if err != nil {
		r.end(recording.ClockStep, err.Error(), nil)
		return &recording.Error{Reason: recording.ClockStep, Err: err}
	}
	if r.due(&s) {
		r.cut(&s, decode)
		if r.writer == nil {
			return r.first(&s, clocks)
		}
	}
	if decode.Sub(r.firstTime) >= longest {
		r.end(recording.NoKeySample, "no key sample came for five minutes", &s)
		return nil
	}
	r.append(&s, decode, composition)
	return nil
}

// due reports whether the recording ends before s: s is a key sample at or after the planned instant, or brings other
// parameters.
func (r *Recorder) due(s *media.Sample) bool {
	if s.Track != r.track && !sameEntry(s.Track, r.track) {
		return true
	}
	r.track = s.Track
	if !s.Key() {
		return false
	}
	// Planned anew each time: cameras may have come or gone. By the media clock, so that a late packet moves no cut.
	return r.clock.start.Add(r.clock.duration(s.Time)) >= r.slot().next(r.clock.start)
}

// cut finishes the recording and begins the next of the run with s.
func (r *Recorder) cut(s *media.Sample, decode media.Time) {
	if !s.Key() {
		r.end(recording.ParameterChange, "the picture's parameters changed between key samples", s)
		return
	}
	r.finish(archive.End{At: decode, WallDuration: r.clock.duration(s.Time), StartCorrection: r.clock.correction()})
	r.clock.next(s)
	r.offset++
	r.begin(s, decode, nil, true)
}

// first begins a run with s if it is a key sample and the archive takes it.
func (r *Recorder) first(s *media.Sample, clocks func() media.Clocks) error {
	if !s.Key() || s.Arrival.Before(r.retryAt) {
		return nil
	}
	r.clock.begin(s, r.ended)
	r.order.restart()
	r.run, r.offset = r.o.NewUUID(), 0
	r.usual, r.last, r.samples = s.Track.FrameDuration, s.Time, 0
	decode, composition, err := r.order.next(s.Time, s.Track.ReorderDepth, r.usual)
	if err != nil {
		return &recording.Error{Reason: recording.ClockStep, Err: err}
	}
	readings := clocks()
	r.begin(s, decode, &readings, false)
	if r.writer == nil {
		return nil
	}
	r.append(s, decode, composition)
	return nil
}

// begin opens the next recording at s; r.writer stays nil if the archive refuses.
func (r *Recorder) begin(s *media.Sample, decode media.Time, clocks *media.Clocks, final bool) {
	b := archive.Begin{
		Stream: r.o.Stream, Run: r.run, RunOffset: r.offset, Start: r.clock.start, StartFinal: final, Video: *s.Track, Clocks: clocks,
	}
	if clocks != nil && clocks.Synced != nil && !*clocks.Synced {
		b.Flags |= recording.UnsyncedClock
	}
	w, err := r.o.Archive.Begin(b)
	if err != nil {
		r.writer = nil
		r.trouble(err, s)
		return
	}
	r.writer, r.track, r.firstTime = w, s.Track, decode
}

// append hands a video sample to the archive.
func (r *Recorder) append(s *media.Sample, decode media.Time, composition media.Duration) {
	if r.clock.sample(s) {
		r.writer.SetStart(r.clock.start, r.clock.settled)
		if r.clock.settled {
			r.closeGap(r.clock.start)
		}
	}
	err := r.writer.Append(archive.Sample{Track: s.Track, Flags: s.Flags, Decode: decode, Composition: composition, Data: s.Data})
	if err != nil {
		r.trouble(err, s)
		return
	}
	r.measure(s)
}

// appendOther hands an audio or metadata sample to the archive, beside the video of a run.
func (r *Recorder) appendOther(s *media.Sample) {
	if r.writer == nil {
		return
	}
	if err := r.writer.Append(archive.Sample{Track: s.Track, Flags: s.Flags, Decode: s.Time, Frames: s.Frames, Data: s.Data}); err != nil {
		r.trouble(err, s)
	}
}
