package recorder

import (
	"fmt"
	"slices"

	"nightjar/internal/media"
)

// maxReorder bounds the pictures that may be out of order (ISO/IEC 14496-10 A.3.1: a decoded picture buffer holds 16).
const maxReorder = 16

// reorder gives samples that arrive in decoding order their decode times. RTP tells only when a picture is shown; with a
// reorder depth of d, the decode time of the i-th sample is the (i−d)-th smallest presentation time, which is known as
// soon as the i-th sample is there: a later sample that is shown earlier would exceed the depth. So nothing is held back,
// decode times never go back, and without reordering (d = 0) they are the presentation times themselves.
//
// Many encoders announce a picture buffer but reorder nothing, so the depth starts at what the parameters say for certain
// and grows when a presentation time steps back, up to the announced bound. The decode times of the group of pictures in
// which that is noticed are a few ticks apart; presentation times are exact always.
type reorder struct {
	depth   int          // pictures of delay between presentation order and decode times
	pending []media.Time // presentation times not yet used as decode times, ascending; at most depth+1
	shown   media.Time   // the latest presentation time that was used
	last    media.Time   // decode time of the previous sample
	begun   bool
	count   int // samples of this run so far
}

// errBackwards says that a presentation time lies further back than reordering explains.
type errBackwards struct{ time, last media.Time }

func (e *errBackwards) Error() string {
	return fmt.Sprintf("the camera's clock went back by %v", e.last.Sub(e.time).Std())
}

// next returns the decode time and the composition offset (presentation − decode) of a sample presented at time.
// bound is the most pictures that may be reordered (Track.ReorderDepth), usual the stream's usual picture duration.
// A sample with the timestamp of its predecessor is moved by one tick.
func (r *reorder) next(time media.Time, bound int, usual media.Duration) (decode media.Time, composition media.Duration, err error) {
	if !r.begun {
		// What an earlier run of the stream taught about its depth holds for this one: the delay is there from the start.
		r.begun, r.count, r.pending = true, 0, r.pending[:0]
		r.last = time.Add(-usual*media.Duration(r.depth)) - max(1, media.Time(usual))
		r.shown = r.last
		if r.depth == 0 {
			r.last = time - 1
		}
	}
	if time == r.last && r.depth == 0 {
		time++
	}
	at, _ := slices.BinarySearch(r.pending, time)
	after := len(r.pending) - at // earlier samples that are shown later
	if time < r.shown {
		after++
	}
	if after > 0 {
		bound = min(bound, maxReorder)
		if bound == 0 || r.last.Sub(time) > media.Duration(bound+2)*max(usual, second/5) {
			return 0, 0, &errBackwards{time, r.last}
		}
		r.depth = max(r.depth, min(bound, after))
	}
	r.pending = slices.Insert(r.pending, at, time)
	decode = r.last + 1
	if len(r.pending) > r.depth {
		r.shown = r.pending[0]
		decode = max(decode, r.shown)
		r.pending = slices.Delete(r.pending, 0, 1)
	} else if r.count < r.depth && r.last < time {
		decode = r.last + max(1, media.Time(usual))
	}
	r.count++
	r.last = decode
	return decode, time.Sub(decode), nil
}

// restart forgets the run but keeps the depth that it taught.
func (r *reorder) restart() { r.begun = false }
