package rtp

// Step says how a timestamp lies to the one before it.
type Step uint8

// The kinds of step.
const (
	Forward   Step = iota // the same or later, within MaxForward
	Backward              // earlier, within MaxBackward: a picture that precedes in output and follows in decoding
	JumpAhead             // later by more than MaxForward
	JumpBack              // earlier by more than MaxBackward
)

func (s Step) String() string {
	switch s {
	case Forward:
		return "forward"
	case Backward:
		return "backward"
	case JumpAhead:
		return "jump ahead"
	case JumpBack:
		return "jump back"
	}
	return "unknown"
}

// Clock unwraps the 32-bit timestamps of one source to a line of ticks that begins at 0 (RFC 3550 section 5.1: the
// first value is random, wraps are ordinary).
type Clock struct {
	MaxForward  int64 // in ticks; 0 is half the circle
	MaxBackward int64 // in ticks; 0 allows none

	started bool
	last    uint32
	ticks   int64
}

// Unwrap returns the ticks of timestamp ts since the first one, and the kind of step to it. After a jump the clock has
// followed it: the next timestamp is compared with this one.
func (c *Clock) Unwrap(ts uint32) (int64, Step) {
	if !c.started {
		c.started, c.last = true, ts
		return 0, Forward
	}
	t, step := c.Peek(ts)
	c.last, c.ticks = ts, t
	return t, step
}

// Peek returns what Unwrap would, without following.
func (c *Clock) Peek(ts uint32) (int64, Step) {
	if !c.started {
		return 0, Forward
	}
	delta := int64(int32(ts - c.last))
	step := Forward
	switch {
	case delta < 0 && -delta > c.MaxBackward:
		step = JumpBack
	case delta < 0:
		step = Backward
	case c.MaxForward > 0 && delta > c.MaxForward:
		step = JumpAhead
	}
	return c.ticks + delta, step
}

// Start sets the timestamp that is 0 ticks. It does nothing once a timestamp was unwrapped.
func (c *Clock) Start(ts uint32) {
	if !c.started {
		c.started, c.last = true, ts
	}
}

// Started reports whether the clock has its origin.
func (c *Clock) Started() bool { return c.started }

// Ticks returns the ticks of the timestamp that was unwrapped last.
func (c *Clock) Ticks() int64 { return c.ticks }
