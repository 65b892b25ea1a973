package camsim

import (
	"time"
)

// clock is a camera's: it counts from the camera's start at a rate that differs from ours by ppm, and believes in a wall
// time of its own.
type clock struct {
	real time.Time     // our clock when the camera's counter stood at cam
	cam  time.Duration // since the start of the camera
	ppm  float64       // how much faster than ours
	wall time.Time     // what the camera believes that it was at counter 0; without monotonic reading
}

func newClock(start time.Time) clock {
	return clock{real: start, wall: start.Round(0).UTC()}
}

// at returns the camera's counter at instant t of ours.
func (c *clock) at(t time.Time) time.Duration {
	d := t.Sub(c.real)
	if c.ppm != 0 {
		d += time.Duration(float64(d) * c.ppm / 1e6)
	}
	return c.cam + d
}

// when returns the instant of ours at which the camera's counter reaches d.
func (c *clock) when(d time.Duration) time.Time {
	d -= c.cam
	if c.ppm != 0 {
		d = time.Duration(float64(d) / (1 + c.ppm/1e6))
	}
	return c.real.Add(d)
}

// drift changes the rate from now on.
func (c *clock) drift(now time.Time, ppm float64) {
	c.cam, c.real, c.ppm = c.at(now), now, ppm
}

// utc returns the camera's wall time at counter d.
func (c *clock) utc(d time.Duration) time.Time { return c.wall.Add(d) }

// step sets the camera's wall clock by d; its counter, and so its RTP timestamps, take no notice.
func (c *clock) step(d time.Duration) { c.wall = c.wall.Add(d) }

// scale returns n units of 1/rate seconds in units of 1/to seconds, rounded down; rate*to must stay below 2^63.
func scale(n, rate, to int64) int64 {
	whole, rest := n/rate, n%rate
	if rest < 0 {
		whole, rest = whole-1, rest+rate
	}
	return whole*to + rest*to/rate
}

// ntpTime converts to the 64-bit format of RFC 3550 section 4, the fraction rounded to the nearest 2^-32 s.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	frac := (uint64(t.Nanosecond())<<32 + 500_000_000) / 1_000_000_000
	return (uint64(t.Unix()+since1900) << 32) + frac
}
