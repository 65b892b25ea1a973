package camsim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// reportInterval is the time between sender reports of a track (RFC 3550 section 6.2 recommends 5 seconds).
const reportInterval = 5 * time.Second

// mostBehind is how late a stream may be before it leaves samples out.
const mostBehind = 5 * time.Second

// phases is the number of instants within a picture's interval over which the streams are spread. Waking up costs more
// than making a picture, so streams share instants where there are many.
const phases = 4

// encoding describes the generated pictures of a stream.
type encoding struct {
	width, height, fps, gop, bitRate int
}

// stream is one feed of a camera: sources, clock, faults, and the sessions that play it. Its goroutine lives while a
// session plays.
type stream struct {
	srv   *Server
	path  string
	index int // among all streams: staggers the clocks
	enc   encoding
	phase time.Duration // of sample 0 behind the camera's start

	mu        sync.Mutex // guards all that follows
	opened    bool
	broken    error // why the sources could not be opened
	video     videoSource
	audio     audioSource
	meta      bool
	replay    *transcript
	tracks    []*track
	clock     clock
	rng       *rand.Rand
	faults    faults
	sessions  []*session // playing
	setups    int        // sessions set up, playing or not
	past      []*session // ended, latest last
	forgotten Totals     // of those that ended before
	running   bool
	wake      chan struct{}

	next, nextAudio, nextMeta int64         // numbers of the next samples
	lateness                  time.Duration // of the next video sample, by fault Jitter
	hold                      time.Time     // nothing is sent before, by fault Burst
	forceKey                  bool
	skipped                   int64 // samples left out because the stream was too late

	made, out packets // the packets of one sample, before and after the faults
	scratch   []byte
}

func newStream(srv *Server, path string, index, of int, enc encoding) *stream {
	s := &stream{
		srv: srv, path: path, index: index, enc: enc, clock: newClock(srv.start),
		rng:  rand.New(rand.NewPCG(uint64(srv.o.Seed), uint64(index))),
		wake: make(chan struct{}, 1),
	}
	interval := time.Second / time.Duration(enc.fps)
	s.phase = interval * time.Duration(index*phases/of) / phases
	return s
}

// due returns the camera's counter at which video sample n is due.
func (s *stream) due(n int64) time.Duration {
	return s.phase + time.Duration(scale(n, int64(s.enc.fps), int64(time.Second)))
}

// dueAudio returns the counter at which audio packet m is complete.
func (s *stream) dueAudio(m int64) time.Duration {
	f := s.audio.format()
	return s.phase + time.Duration(scale((m+1)*int64(f.frames), int64(f.rate), int64(time.Second)))
}

func (s *stream) dueMeta(k int64) time.Duration { return s.phase + time.Duration(k)*time.Second }

// begin adds a session, which becomes a playing one, and returns the RTP-Info of its outlets. The answer to PLAY must be
// queued in the same critical section.
func (s *stream) begin(x *session, now time.Time) {
	if !s.running {
		s.resume(now)
	}
	for _, o := range x.outlets {
		switch o.track.feed {
		case videoFeed:
			o.first = s.next
			if s.faults.midGOP || s.faults.noKey != 0 {
				break
			}
			if first, ok := s.video.entry(s.next); ok {
				o.first = first
			} else {
				s.forceKey = true
			}
		case audioFeed:
			o.first = s.nextAudio
		case metadataFeed:
			o.first = s.nextMeta
		}
		if s.faults.wrapSoon > 0 {
			ahead := int64(s.faults.wrapSoon) * o.track.rate
			o.offset = uint32(-ahead - s.ticks(o, o.first))
		}
		o.report = now
	}
	x.playing = true
	s.sessions = append(s.sessions, x)
	if !s.running {
		s.running = true
		s.srv.group.Go(s.run)
	}
}

// resume sets the counters to the first samples that are due from now on.
func (s *stream) resume(now time.Time) {
	at := s.clock.at(now) - s.phase
	s.next = ceilScale(at, int64(s.enc.fps))
	if s.audio != nil {
		f := s.audio.format()
		s.nextAudio = max(0, scale(int64(at), int64(time.Second), int64(f.rate))/int64(f.frames))
	}
	s.nextMeta = int64(at/time.Second) + 1
	s.lateness = 0
	if s.video != nil {
		s.video.restart(s.next)
	}
}

// ceilScale returns the number of the first of rate samples a second that is not before d.
func ceilScale(d time.Duration, rate int64) int64 {
	if d <= 0 {
		return 0
	}
	n := scale(int64(d), int64(time.Second), rate)
	for time.Duration(scale(n, rate, int64(time.Second))) < d {
		n++
	}
	return n
}

// ticks returns the timestamp of sample n of an outlet's track, before the session's offset.
func (s *stream) ticks(o *outlet, n int64) int64 {
	switch o.track.feed {
	case videoFeed:
		return s.video.ticks(n, int64(s.enc.fps))
	case audioFeed:
		return n * int64(s.audio.format().frames)
	}
	return n * o.track.rate
}

// remove takes a session out of those playing.
func (s *stream) remove(x *session) {
	x.playing = false
	for i, y := range s.sessions {
		if x == y {
			s.sessions = append(s.sessions[:i], s.sessions[i+1:]...)
			break
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the stream's goroutine: it sends what is due until no session plays.
func (s *stream) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if len(s.sessions) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		wait := s.step()
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// step sends all samples that are due, in the order of their times, and returns how long the next one is away.
func (s *stream) step() time.Duration {
	now := time.Now()
	if now.Before(s.hold) {
		return s.hold.Sub(now)
	}
	for {
		f, at := s.earliest()
		if wait := at.Sub(now); wait > 0 {
			if now = time.Now(); at.After(now) {
				s.hold = time.Time{}
				return at.Sub(now)
			}
		} else if -wait > mostBehind && s.hold.IsZero() {
			s.skip(now)
			continue
		}
		switch f {
		case videoFeed:
			s.sendVideo(now)
		case audioFeed:
			s.sendAudio(now)
		case metadataFeed:
			s.sendMetadata(now)
		}
	}
}

// earliest returns what is due next, and when by our clock.
func (s *stream) earliest() (feed, time.Time) {
	f, at := noFeed, time.Time{}
	consider := func(g feed, t time.Time) {
		if f == noFeed || t.Before(at) {
			f, at = g, t
		}
	}
	if s.video != nil {
		consider(videoFeed, s.clock.when(s.due(s.next)+s.lateness))
	}
	if s.audio != nil {
		consider(audioFeed, s.clock.when(s.dueAudio(s.nextAudio)))
	}
	if s.meta || f == noFeed {
		consider(metadataFeed, s.clock.when(s.dueMeta(s.nextMeta)))
	}
	return f, at
}

// skip leaves out what should have been sent long ago.
func (s *stream) skip(now time.Time) {
	before := s.next
	s.resume(now)
	s.skipped += s.next - before
	for _, x := range s.sessions {
		for _, o := range x.outlets {
			if o.track.feed == videoFeed {
				if first, ok := s.video.entry(s.next); ok {
					o.first = first
				} else {
					o.first, s.forceKey = s.next, true
				}
			}
		}
	}
}

// sendVideo makes the next picture and sends it to all who play it.
func (s *stream) sendVideo(now time.Time) {
	n := s.next
	s.next++
	s.lateness = 0
	if s.faults.jitter > 0 {
		s.lateness = time.Duration(s.rng.Int64N(int64(s.faults.jitter) + 1))
	}
	if s.faults.stall || s.faults.halfOpen {
		return
	}
	due := s.due(n)
	c := s.video.picture(n, s.clock.utc(due), s.forceKey)
	s.forceKey = false
	if c.key && s.faults.noKey != 0 {
		if s.faults.noKey > 0 {
			if s.faults.noKey--; s.faults.noKey == 0 {
				delete(s.faults.text, NoKey)
			}
		}
		return
	}
	x := sent{feed: videoFeed, number: n, key: c.key}
	for _, u := range c.nals {
		x.bytes += 4 + len(u)
	}
	s.made.reset()
	s.packetise(c)
	s.send(x, n, due, now)
}

// packetise fills made with the packets of a picture.
func (s *stream) packetise(c coded) {
	z := packetiser{payloadType: s.payloadType(videoFeed), max: s.srv.o.PacketSize, h265: s.video.codec() == "H265"}
	nals := c.nals
	if s.faults.startCodes {
		s.scratch = s.scratch[:0]
		for i, u := range nals {
			if i > 0 {
				s.scratch = append(s.scratch, 0, 0, 0, 1)
			}
			s.scratch = append(s.scratch, u...)
		}
		nals = [][]byte{s.scratch}
	}
	for i, u := range nals {
		before := s.made.len()
		z.nal(&s.made, u, i == len(nals)-1)
		if s.faults.paramsMarker && isParameterSet(u, z.h265) && s.made.len() > before {
			s.made.at(s.made.len() - 1)[framing+1] |= 0x80
		}
	}
}

func (s *stream) payloadType(f feed) byte {
	for _, t := range s.tracks {
		if t.feed == f {
			return t.payloadType
		}
	}
	return 0
}

func (s *stream) sendAudio(now time.Time) {
	m := s.nextAudio
	s.nextAudio++
	if s.faults.stall || s.faults.halfOpen {
		return
	}
	f := s.audio.format()
	start := s.dueAudio(m - 1)
	payload := s.audio.packet(m, s.clock.utc(start))
	z := packetiser{payloadType: s.payloadType(audioFeed), max: s.srv.o.PacketSize}
	s.made.reset()
	if f.aac {
		z.aac(&s.made, payload)
	} else {
		z.raw(&s.made, payload)
	}
	s.send(sent{feed: audioFeed, number: m, key: true, bytes: len(payload)}, m, start, now)
}

func (s *stream) sendMetadata(now time.Time) {
	k := s.nextMeta
	s.nextMeta++
	if !s.meta || s.faults.stall || s.faults.halfOpen {
		return
	}
	due := s.dueMeta(k)
	s.scratch = appendMetadata(s.scratch[:0], s.clock.utc(due), k)
	z := packetiser{payloadType: s.payloadType(metadataFeed), max: s.srv.o.PacketSize}
	s.made.reset()
	z.xml(&s.made, s.scratch)
	s.send(sent{feed: metadataFeed, number: k, key: true, bytes: len(s.scratch)}, k, due, now)
}

// send hands the packets in made to every session that plays the track.
func (s *stream) send(x sent, n int64, captured time.Duration, now time.Time) {
	for _, y := range s.sessions {
		for _, o := range y.outlets {
			if o.track.feed != x.feed || n < o.first {
				continue
			}
			timestamp := o.offset + uint32(s.ticks(o, n))
			s.out.reset()
			s.addReport(y, o, captured, o.offset+uint32(s.capturedTicks(o, n)), now)
			reports := s.out.len()
			x.whole = s.arrange(o, timestamp)
			x.wire = len(s.out.buf)
			s.emit(y, o, x, reports, now)
		}
	}
}

// capturedTicks is the timestamp that belongs to the instant at which sample n is due. Only with B pictures it differs
// from the sample's own.
func (s *stream) capturedTicks(o *outlet, n int64) int64 {
	if o.track.feed == videoFeed {
		return scale(n, int64(s.enc.fps), 90_000)
	}
	return s.ticks(o, n)
}

// addReport puts a sender report in front when one is due.
func (s *stream) addReport(y *session, o *outlet, captured time.Duration, timestamp uint32, now time.Time) {
	if s.faults.noReports || now.Before(o.report) {
		return
	}
	o.report = now.Add(reportInterval)
	ntp := ntpTime(s.clock.utc(captured))
	if s.faults.ntpZero {
		ntp = 0
	}
	s.out.start = append(s.out.start, len(s.out.buf))
	s.out.buf = senderReport(s.out.buf, o.channel[1], o.ssrc, ntp, timestamp, o.packets, o.octets)
}

// arrange copies the packets from made to out, addressed to the outlet, as the faults will have it. It reports whether
// every packet is among those sent by now or held back for later.
func (s *stream) arrange(o *outlet, timestamp uint32) bool {
	f := &s.faults
	whole := true
	odd := f.loss > 0 || f.reorder > 0 || f.duplicate > 0 || o.held != nil
	for i := range s.made.len() {
		p := s.made.at(i)
		seq := o.seq
		o.seq++
		o.packets++
		o.octets += uint32(len(p) - framing - rtpHeader)
		if !odd {
			address(s.out.add(p), o.channel[0], seq, timestamp, o.ssrc)
			continue
		}
		if s.chance(f.loss) {
			whole = false
			continue
		}
		if o.held == nil && s.chance(f.reorder) {
			o.held = append([]byte(nil), p...)
			address(o.held, o.channel[0], seq, timestamp, o.ssrc)
			continue
		}
		address(s.out.add(p), o.channel[0], seq, timestamp, o.ssrc)
		if s.chance(f.duplicate) {
			address(s.out.add(p), o.channel[0], seq, timestamp, o.ssrc)
		}
		if o.held != nil {
			s.out.add(o.held)
			o.held = nil
		}
	}
	return whole
}

func (s *stream) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// emit sends out to one session.
func (s *stream) emit(y *session, o *outlet, x sent, reports int, now time.Time) {
	if o.udp == nil {
		if y.conn != nil {
			y.conn.enqueue(s.out.buf, y, x)
		}
		return
	}
	for i := range s.out.len() {
		p := s.out.at(i)[framing:]
		// A lost datagram is the network's affair; an unreachable client shows as a session that expires.
		if i < reports {
			o.udp.rtcp.WriteToUDPAddrPort(p, o.udp.clientTC)
		} else {
			o.udp.rtp.WriteToUDPAddrPort(p, o.udp.clientRTP)
		}
	}
	x.wire -= framing * s.out.len()
	y.wrote(x, time.Now())
}

// rtpInfo is the RTP-Info header (RFC 2326 section 12.33) of a session about to play.
func (s *stream) rtpInfo(x *session, base string) string {
	var v string
	for _, o := range x.outlets {
		if o.track.feed == noFeed {
			continue
		}
		if v != "" {
			v += ","
		}
		timestamp := o.offset + uint32(s.ticks(o, o.first))
		v += fmt.Sprintf("url=%s;seq=%d;rtptime=%d", trackURL(base, o.track.control), o.seq, timestamp)
	}
	return v
}
