package recorder

import (
	"time"

	"nightjar/internal/media"
)

const (
	// settling is how much of a run its start is judged by: a camera may begin with old pictures, and the network may be
	// slow at first; the least-delayed sample of this span tells when the run began.
	settling media.Duration = 5 * second
	// slew is the largest share by which a recording's wall duration may differ from its media duration: 500 ppm.
	slew = 2000
	// step is how far the server's clock may move against its own monotonic clock before that is a step and not a
	// correction.
	step media.WallDuration = 2 * second
)

// clock ties the media clock of one run to the server's clock. The server's side is the wall clock read once, carried on
// by the monotonic clock, so that setting the clock does not tear a run; what was set flows in at 500 ppm.
type clock struct {
	origin    time.Time      // arrival of the first sample, with its monotonic reading
	wall      media.WallTime // the wall clock at origin
	first     media.Time     // presentation time of the first sample
	settled   bool           // start will not move any more
	start     media.WallTime // start of the current recording
	media     media.Time     // media time that start stands for
	floor     media.WallTime // end of the run before, if old pictures could make this one begin before it
	least     media.WallTime // earliest start that a sample of the current recording spoke for
	haveLeast bool
}

// begin starts the clock of a run with its first sample. Cameras begin a session with pictures from before it, which the
// run that ended just before may hold already: two runs never overlap. A run that ended much later than now ended by a
// clock that has been set back since; there is nothing to keep clear of.
func (c *clock) begin(s *media.Sample, ended media.WallTime) {
	*c = clock{origin: s.Arrival, wall: media.WallTimeOf(s.Arrival), first: s.Time, media: s.Time}
	c.start = c.wall
	if ended < c.wall.Add(minute) {
		c.floor = ended
		c.start = max(c.start, ended)
	}
}

// local returns what the server's clock says of an arrival.
func (c *clock) local(arrival time.Time) media.WallTime {
	return c.wall.Add(media.WallDurationOf(arrival.Sub(c.origin)))
}

// stepped returns how far the wall clock moved against the monotonic clock since the run began.
func (c *clock) stepped(arrival time.Time) media.WallDuration {
	return media.WallTimeOf(arrival).Sub(c.local(arrival))
}

// sample lets one sample speak: it was taken no later than it arrived, so the recording began no later than its arrival
// less the media time that lies between. It reports whether that moved or settled the start of the run.
func (c *clock) sample(s *media.Sample) (changed bool) {
	// The camera's clock is read as ours, tick for tick: over one recording the two differ by less than the slew.
	spoken := c.local(s.Arrival).Add(-s.Time.Sub(c.media).AsWall())
	if !c.haveLeast || spoken < c.least {
		c.least, c.haveLeast = spoken, true
	}
	if c.settled {
		return false
	}
	if start := max(c.least, c.floor); start < c.start {
		c.start, changed = start, true
	}
	c.settled = s.Time.Sub(c.first) >= settling
	return changed || c.settled
}

// correction is how far the least-delayed sample's word lies after the start that the run's arithmetic gives.
func (c *clock) correction() media.WallDuration {
	if !c.haveLeast {
		return 0
	}
	return c.least.Sub(c.start)
}

// duration returns the wall duration of the current recording if it ends at media time end: its media duration, drawn
// towards the server's clock by at most 500 ppm.
func (c *clock) duration(end media.Time) media.WallDuration {
	d := end.Sub(c.media).AsWall()
	limit := d / slew
	return d + min(max(c.correction(), -limit), limit)
}

// next moves on to the recording that begins with s. What the wall clock was set by meanwhile, if it is less than a
// step, is taken over here and flows into the recordings that follow.
func (c *clock) next(s *media.Sample) {
	c.start, c.media = c.start.Add(c.duration(s.Time)), s.Time
	c.haveLeast, c.settled = false, true
	if moved := c.stepped(s.Arrival); moved > -step && moved < step {
		c.wall = c.wall.Add(moved)
	}
}
