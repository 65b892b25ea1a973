package recorder

import (
	"bytes"
	"errors"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// retryPause is how long the recorder waits before it asks an archive again that refused: space may be there by then.
const retryPause = time.Second

// slot returns the stream's place among those that record.
func (r *Recorder) slot() Slot {
	if r.o.Slot == nil {
		return Slot{0, 1}
	}
	return r.o.Slot()
}

// sameEntry reports whether two tracks decode alike.
func sameEntry(a, b *media.Track) bool { return bytes.Equal(a.SampleEntry, b.SampleEntry) }

// measure keeps an eye on how long a picture usually lasts: first what the parameters say, then a running mean of what is seen,
// in which single holes weigh little.
func (r *Recorder) measure(s *media.Sample) {
	if seen := s.Time.Sub(r.last); r.samples > 0 && seen > 0 {
		if r.usual == 0 {
			r.usual = seen
		}
		r.usual += (min(seen, 2*r.usual) - r.usual) / 8
	}
	r.last = max(r.last, s.Time)
	r.samples++
	r.since = 0
}

// end closes the run, if there is one, and begins a gap. next is the sample that does not belong to the run any more, nil
// if nothing followed.
func (r *Recorder) end(reason recording.Reason, detail string, next *media.Sample) {
	if r.writer == nil {
		return
	}
	if r.samples == 0 { // the run began with a sample that was refused: it never was
		r.finish(archive.End{Guess: true, Reason: reason, Detail: detail})
		r.openGap(r.clock.start, reason, detail)
		return
	}
	if !r.clock.settled {
		r.clock.settled = true
		r.writer.SetStart(r.clock.start, true)
		r.closeGap(r.clock.start)
	}
	e := archive.End{Guess: true, Reason: reason, Detail: detail, StartCorrection: r.clock.correction()}
	after := r.last.Add(r.usual)
	if next != nil && next.Time > r.last && next.Time.Sub(r.last) <= 4*max(r.usual, 1) {
		after = next.Time
	}
	e.WallDuration = r.clock.duration(after)
	r.finish(e)
	r.ended = r.clock.start.Add(e.WallDuration)
	r.openGap(r.ended, reason, detail)
}

// finish hands the recording over; the archive's own trouble with it is reported by the archive.
func (r *Recorder) finish(e archive.End) {
	if err := r.writer.Finish(e); err != nil {
		r.o.Log.Error("recording could not be finished", "recording", r.writer.ID(), "err", err)
	}
	r.writer = nil
}

// trouble ends the run because the archive refused something.
func (r *Recorder) trouble(err error, s *media.Sample) {
	reason, detail := recording.DiskError, err.Error()
	var known *recording.Error
	if errors.As(err, &known) {
		reason = known.Reason
	}
	r.retryAt = s.Arrival.Add(retryPause)
	if r.writer != nil {
		r.end(reason, detail, nil)
		return
	}
	r.openGap(r.clock.start, reason, detail) // the recording that was refused would have begun there
}

// End closes the run because the session ended, and begins or continues the gap: what is missing from now on is missing
// for reason, until the next run begins.
func (r *Recorder) End(reason recording.Reason, detail string) error {
	if r.writer != nil {
		r.end(reason, detail, nil)
		return nil
	}
	r.openGap(media.WallTimeOf(r.o.Now()), reason, detail)
	return nil
}

// Missing tells why nothing is recorded although samples come: the archive refuses them, or no key sample came for too
// long. It is empty while they are recorded.
func (r *Recorder) Missing() (reason recording.Reason, detail string) {
	if r.writer != nil || r.gap == nil {
		return "", ""
	}
	return r.gap.Reason, r.gap.Detail
}

// openGap begins a gap at instant at, or, where one is open already, goes on with another reason.
func (r *Recorder) openGap(at media.WallTime, reason recording.Reason, detail string) {
	if r.gap != nil {
		if r.gap.Reason == reason {
			return
		}
		r.closeGap(at)
	} else if r.since != 0 {
		at = min(at, r.since)
	}
	r.since = 0
	r.gap = &catalog.Gap{Stream: r.o.Stream, Start: at, Open: true, Reason: reason, Detail: detail}
	r.store(*r.gap)
}

// closeGap ends the gap at the start of a run. A run that begins before the gap does leaves no gap.
func (r *Recorder) closeGap(at media.WallTime) {
	if r.gap == nil {
		return
	}
	r.gap.End, r.gap.Open = max(at, r.gap.Start), false
	r.store(*r.gap)
	r.gap = nil
}

func (r *Recorder) store(g catalog.Gap) {
	if err := r.o.Archive.Gap(g); err != nil {
		r.o.Log.Error("gap could not be noted", "stream", r.o.Stream, "reason", g.Reason, "err", err)
	}
}
