package rtsp

import (
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

// The limits of what passes for one clock.
const (
	// maxJump is how far a timestamp may be ahead of the time that passed.
	maxJump = media.Duration(10 * media.TicksPerSecond)
	// maxSlip is how far back a timestamp of a stream without reordering may be; it is then put behind its predecessor.
	maxSlip = media.Duration(media.TicksPerSecond / 10)
	// pictureSpan is taken for the distance of pictures when the stream does not say it.
	pictureSpan = media.Duration(media.TicksPerSecond / 5)
	// slew is the reciprocal of the rate at which a track that runs away from the video is brought back.
	slew = 500
)

// timeline puts the samples of all tracks on one clock, whose origin is the timestamp of the first video sample.
type timeline struct {
	started bool
	video0  *track
	first   uint32    // its timestamp
	began   time.Time // when it arrived

	last     media.Time // of the latest video sample
	lastSeen time.Time

	others [3]offset // of the other tracks, by index
}

// offset is what is added to a track's own clock.
type offset struct {
	known  bool
	base   media.Duration
	target media.Duration // what sender reports say base should be; followed slowly
	aimed  bool
	last   media.Time
	seen   time.Time // when the latest sample came
}

// begin is called for the first key sample.
func (s *session) begin(t *track, timestamp uint32) {
	s.timeline = timeline{started: true, video0: t, first: timestamp, began: t.arrival, lastSeen: t.arrival}
	t.clock = rtp.Clock{}
	t.clock.Start(timestamp)
	c := s.c
	c.mu.Lock()
	c.clocks.Wall = t.arrival
	if c.o.Synced != nil {
		if synced, known := c.o.Synced(); known {
			c.clocks.Synced = &synced
		}
	}
	if c.o.Uptime != nil {
		c.clocks.Uptime = c.o.Uptime()
	}
	c.mu.Unlock()
	s.reported(t)
}

// reported takes a track's latest sender report into account.
func (s *session) reported(t *track) {
	tl := &s.timeline
	if !tl.started || t.sender.at.IsZero() {
		return
	}
	if t == tl.video0 {
		at := tl.at(t.sender.timestamp)
		s.c.mu.Lock()
		s.c.clocks.SenderNTP, s.c.clocks.SenderTime = t.sender.at, at
		s.c.mu.Unlock()
	}
	for _, other := range s.tracks {
		if other == tl.video0 || !tl.others[other.index].known {
			continue
		}
		if target, ok := tl.bySenders(other); ok {
			o := &tl.others[other.index]
			o.target, o.aimed = target, true
		}
	}
}

// at returns the media time of a video timestamp near the latest one.
func (tl *timeline) at(timestamp uint32) media.Time {
	ticks, _ := tl.video0.clock.Peek(timestamp)
	return media.Time(media.Rescale(ticks, media.TicksPerSecond, int64(tl.video0.f.rate)))
}

// video returns the time of the next video sample in decoding order.
func (tl *timeline) video(t *track, timestamp uint32) (media.Time, error) {
	ticks, _ := t.clock.Unwrap(timestamp)
	at := media.Time(media.Rescale(ticks, media.TicksPerSecond, int64(t.f.rate)))
	passed := media.DurationOf(t.arrival.Sub(tl.lastSeen))
	step := at.Sub(tl.last)
	if step > maxJump && step-passed > maxJump {
		return 0, fail(recording.ClockStep, "receive %s: the camera's clock jumped %v ahead while %v passed", t.uri,
			step.Std().Round(time.Millisecond), passed.Std().Round(time.Millisecond))
	}
	if back := -step; back > tl.backLimit(t) {
		return 0, fail(recording.ClockStep, "receive %s: the camera's clock jumped %v back", t.uri, back.Std().Round(time.Millisecond))
	}
	if t.track.ReorderDepth == 0 && step <= 0 && at != 0 {
		at = tl.last.Add(1)
	}
	tl.last, tl.lastSeen = at, t.arrival
	return at, nil
}

// backLimit is how far back the next picture may lie.
func (tl *timeline) backLimit(t *track) media.Duration {
	depth := media.Duration(t.track.ReorderDepth)
	if depth == 0 {
		return maxSlip
	}
	span := pictureSpan
	if t.track.FrameDuration > 0 {
		span = 2 * t.track.FrameDuration // two fields, or a stream at half the rate that it declares
	}
	return max(depth*span, maxSlip)
}

// other returns the time of the next sample of sound or metadata; negative when it is from before the first video sample.
// A jump of such a clock does not end the session: the track is aligned anew by arrival.
func (tl *timeline) other(t *track, timestamp uint32) media.Time {
	o := &tl.others[t.index]
	ticks, _ := t.clock.Unwrap(timestamp)
	own := media.Time(media.Rescale(ticks, media.TicksPerSecond, int64(t.f.rate)))
	if !o.known {
		o.known, o.base = true, tl.align(t, timestamp, own)
		o.last, o.seen = -1<<62, t.arrival
	}
	passed := media.DurationOf(t.arrival.Sub(o.seen))
	if step := own.Add(o.base).Sub(o.last); o.last > -1<<62 && (step < -maxJump/10 || step > maxJump && step-passed > maxJump) {
		o.base = tl.byArrival(t, own)
		o.aimed = false
	}
	if o.aimed && o.target != o.base {
		most := max(passed/slew, 1)
		o.base += min(max(o.target-o.base, -most), most)
	}
	at := own.Add(o.base)
	if at <= o.last {
		at = o.last.Add(1)
	}
	o.last, o.seen = at, t.arrival
	return at
}

// align finds what to add to a track's clock: what the camera's answer to PLAY says if the packets agree with it, else
// what sender reports say, else the moment of arrival.
func (tl *timeline) align(t *track, timestamp uint32, own media.Time) media.Duration {
	v := tl.video0
	if v.info.hasTime && t.info.hasTime && near(tl.first, v.info.rtptime, v.f.rate) && near(timestamp, t.info.rtptime, t.f.rate) {
		// The two rtptimes are the same instant (RFC 2326 section 12.33).
		at := ticks90(timestamp, t.info.rtptime, t.f.rate) - ticks90(tl.first, v.info.rtptime, v.f.rate)
		if target, ok := tl.bySenders(t); !ok || abs(target-(at-media.Duration(own))) < maxJump {
			return at - media.Duration(own)
		}
	}
	if base, ok := tl.bySenders(t); ok {
		return base
	}
	return tl.byArrival(t, own)
}

// byArrival takes the delays of both tracks to be the same.
func (tl *timeline) byArrival(t *track, own media.Time) media.Duration {
	now := tl.last.Add(media.DurationOf(t.arrival.Sub(tl.lastSeen)))
	return now.Sub(own)
}

// bySenders compares the sender reports of both tracks: timestamps of the same instant of the camera's clock.
func (tl *timeline) bySenders(t *track) (media.Duration, bool) {
	v := tl.video0
	if v.sender.at.IsZero() || t.sender.at.IsZero() || !t.clock.Started() {
		return 0, false
	}
	apart := t.sender.at.Sub(v.sender.at)
	if apart > time.Minute || apart < -time.Minute {
		return 0, false // two clocks, or one that was set in between
	}
	ticks, _ := t.clock.Peek(t.sender.timestamp)
	own := media.Time(media.Rescale(ticks, media.TicksPerSecond, int64(t.f.rate)))
	base := tl.at(v.sender.timestamp).Add(media.DurationOf(apart)).Sub(own)
	// Reports that put the tracks far apart although they arrive together are wrong.
	if o := &tl.others[t.index]; o.known && abs(base-o.base) > maxJump || !o.known && abs(base-tl.byArrival(t, tl.ownNow(t))) > maxJump {
		return 0, false
	}
	return base, true
}

// ownNow is the latest time of a track's own clock.
func (tl *timeline) ownNow(t *track) media.Time {
	return media.Time(media.Rescale(t.clock.Ticks(), media.TicksPerSecond, int64(t.f.rate)))
}

// near tells whether two timestamps are within what may pass between PLAY and the first packet.
func near(a, b, rate uint32) bool { return abs(ticks90(a, b, rate)) <= maxJump }

// ticks90 is a - b in ticks of 90 kHz.
func ticks90(a, b, rate uint32) media.Duration {
	return media.Duration(media.Rescale(int64(int32(a-b)), media.TicksPerSecond, int64(max(rate, 1))))
}

func abs(d media.Duration) media.Duration {
	if d < 0 {
		return -d
	}
	return d
}
