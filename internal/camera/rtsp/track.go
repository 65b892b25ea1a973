package rtsp

import (
	"bytes"
	"errors"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/codec"
	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

// maxForeign is how many packets of one unknown sender in a row are ignored before it is taken for ours: encoders that
// start anew choose a new SSRC, sessions of others that cameras mix in stop soon.
const maxForeign = 16

// track is one media of a session. Owned by the goroutine of Run.
type track struct {
	s      *session
	f      *format
	uri    string // its control URL
	index  int    // of the media.Track
	track  *media.Track
	depack rtp.Depacketizer
	take   rtp.Emit // the method value of unit, made once

	channel, control byte // over TCP
	udp              *datagrams
	reorder          rtp.Reorder // over UDP
	waiting          time.Time   // since when the first packet held waits; zero when none does
	waitingFor       int64       // its number
	sequence         rtp.Sequence
	reported         rtp.Sequence // what of sequence was added to the counters

	payload uint8 // type expected
	others  int   // packets of other types while none of the expected came

	ssrc       uint32
	locked     bool // ssrc is known
	announced  uint32
	hasNamed   bool
	foreign    uint32 // the sender of the latest foreign packets
	foreignRun int

	info      rtpInfo
	broken    bool // a new sequence begins with the next packet
	reception rtp.Reception
	sender    senderReport
	now       rtp.Packet // the packet being handled; here so that it is not allocated
	arrival   time.Time  // of it

	clock   rtp.Clock
	sets    *codec.ParameterSets
	changed bool  // sets differ from those of track
	setErr  error // why parameter sets that came can't be used
	width   uint16
	height  uint16
}

// senderReport is the latest report with a clock in it.
type senderReport struct {
	at        time.Time // by the camera's clock; zero when there is none
	timestamp uint32
}

func newTrack(s *session, f *format, uri string) *track {
	t := &track{
		s: s, f: f, uri: uri, track: f.track, depack: f.open(), payload: f.payload, sets: codec.NewParameterSets(f.codec),
	}
	t.sets.LearnAll(f.sets)
	t.take = t.unit
	return t
}

func (t *track) announce(ssrc uint32) { t.announced, t.hasNamed = ssrc, true }

// packet handles the bytes of an RTP packet that came over TCP.
func (t *track) packet(b []byte, arrival time.Time) error {
	if !t.parse(b) {
		return nil
	}
	kind, lost := t.sequence.Add(t.now.Sequence)
	t.count()
	switch kind {
	case rtp.Duplicate, rtp.Late:
		return nil
	case rtp.Restart:
		lost = 1 // nobody knows how many
	}
	return t.push(lost, arrival)
}

// datagram handles the bytes of an RTP packet that came over UDP.
func (t *track) datagram(b []byte, arrival time.Time) error {
	if !t.parse(b) {
		return nil
	}
	kind := t.reorder.Add(t.now.Sequence, b)
	var err error
	switch kind {
	case rtp.InOrder:
		err = t.push(0, arrival)
	case rtp.Restart:
		err = t.push(1, arrival)
	}
	if err != nil {
		return err
	}
	return t.drain(arrival)
}

// drain handles packets that waited for others.
func (t *track) drain(arrival time.Time) error {
	defer func() {
		t.sequence = t.reorder.Stats()
		t.count()
	}()
	for {
		b, lost, ok := t.reorder.Next()
		if !ok {
			return nil
		}
		if t.now, _ = rtp.Parse(b); t.now.Payload == nil {
			continue // can't be: it was parsed before
		}
		if err := t.push(lost, arrival); err != nil {
			return err
		}
	}
}

// count brings the client's counters up to date.
func (t *track) count() {
	c, now, was := &t.s.c.counters, &t.sequence, &t.reported
	if d := now.Lost - was.Lost; d != 0 {
		c.lost.Add(int64(d))
		was.Lost = now.Lost
	}
	if d := now.Late - was.Late; d != 0 {
		c.late.Add(int64(d))
		was.Late = now.Late
	}
	if d := now.Duplicates - was.Duplicates; d != 0 {
		c.duplicates.Add(int64(d))
		was.Duplicates = now.Duplicates
	}
}

// parse reads a packet's header into now and tells whether it is one of this track.
func (t *track) parse(b []byte) bool {
	c := &t.s.c.counters
	var err error
	if t.now, err = rtp.Parse(b); err != nil {
		c.broken.Add(1)
		return false
	}
	if !t.expects(&t.now) {
		c.foreign.Add(1)
		return false
	}
	c.packets.Add(1)
	c.bytes.Add(int64(len(b)))
	return true
}

// expects checks payload type and sender. Geovision repeats packets under another type; others announce one type and send
// another.
func (t *track) expects(p *rtp.Packet) bool {
	if p.PayloadType != t.payload {
		t.others++
		if t.sequence.Started() || t.reorder.Held() > 0 || t.others < maxForeign {
			return false
		}
		t.payload = p.PayloadType
	}
	switch {
	case !t.locked, p.SSRC != t.ssrc && t.hasNamed && p.SSRC == t.announced:
		t.lock(p.SSRC)
	case p.SSRC == t.ssrc:
		t.foreignRun = 0
	default:
		if p.SSRC != t.foreign {
			t.foreign, t.foreignRun = p.SSRC, 0
		}
		if t.foreignRun++; t.foreignRun < maxForeign {
			return false
		}
		t.lock(p.SSRC)
	}
	return true
}

// lock makes ssrc ours. What came from another before is another sequence.
func (t *track) lock(ssrc uint32) {
	if t.locked {
		t.sequence.Reset()
		t.reorder.Reset()
		t.broken = true
	}
	t.ssrc, t.locked, t.foreignRun = ssrc, true, 0
	t.reception.SSRC = ssrc
	t.sender = senderReport{}
}

// push hands the packet in now to the depacketizer.
func (t *track) push(lost int, arrival time.Time) error {
	p := &t.now
	t.arrival = arrival
	if t.f.kind == media.Video {
		t.s.lastVideo = arrival
	}
	if t.broken {
		t.broken, lost = false, lost+1 // nobody knows how many
	}
	t.reception.Arrived(p.Timestamp, arrival, t.f.rate)
	err := t.depack.Push(p, lost, t.take)
	if err == nil {
		return nil
	}
	var broken *rtp.PacketError
	if errors.As(err, &broken) {
		t.s.c.counters.broken.Add(1)
		return nil
	}
	var unsupported *rtp.UnsupportedError
	if errors.As(err, &unsupported) {
		return explain("receive "+t.uri, err)
	}
	return err
}

// unit makes a sample of what the depacketizer assembled.
func (t *track) unit(u *rtp.Unit) error {
	if t.f.kind == media.Video {
		return t.picture(u)
	}
	return t.sound(u)
}

func (t *track) picture(u *rtp.Unit) error {
	if u.Sets {
		t.learn(u.Data)
	}
	if t.f.codec == media.MJPEG && (u.Width != t.width || u.Height != t.height) {
		if err := t.resize(u.Width, u.Height); err != nil {
			return nil
		}
	}
	key := u.Flags&media.Key != 0
	tl := &t.s.timeline
	if !tl.started {
		if !key || u.Flags&media.Damaged != 0 {
			return nil
		}
		t.renew()
		if t.track == nil {
			return nil
		}
		t.s.begin(t, u.Timestamp)
	} else if key {
		t.renew()
	}
	at, err := tl.video(t, u.Timestamp)
	if err != nil {
		return err
	}
	if at < 0 {
		return nil // before the first key sample in output, so it needs pictures from before it
	}
	return t.hand(u, at, 0)
}

func (t *track) sound(u *rtp.Unit) error {
	tl := &t.s.timeline
	if !tl.started || t.track == nil {
		return nil
	}
	at := tl.other(t, u.Timestamp)
	if at < 0 {
		return nil
	}
	if t.f.adapt != nil {
		t.f.adapt(u.Data)
	}
	frames := u.Frames
	if t.f.rate != t.track.ClockRate && frames != 0 {
		frames = scaleFrames(frames, t.f.rate, t.track.ClockRate)
	}
	return t.hand(u, at, frames)
}

func (t *track) hand(u *rtp.Unit, at media.Time, frames uint32) error {
	c := &t.s.c.counters
	c.samples[t.f.kind].Add(1)
	if u.Flags&media.Damaged != 0 {
		c.damaged.Add(1)
	}
	t.s.samples++
	err := t.s.emit(media.Sample{Track: t.track, Flags: u.Flags, Time: at, Frames: frames, Arrival: t.arrival, Data: u.Data})
	if err != nil {
		return &handed{err}
	}
	return nil
}

// handed is an error of the receiver of samples.
type handed struct{ err error }

func (h *handed) Error() string { return "hand on a sample: " + h.err.Error() }
func (h *handed) Unwrap() error { return h.err }

// resize describes a JPEG track by the size that its packets tell.
func (t *track) resize(width, height uint16) error {
	made, err := codec.MJPEGTrack(t.index, width, height)
	if err != nil {
		t.setErr = err
		return err
	}
	t.track, t.width, t.height = made, width, height
	return nil
}

// learn takes the parameter sets of a unit. Ordinarily they are those in force, and nothing is allocated. Cameras (Reolink)
// have zero bytes behind a set in one place and not in the other; those do not count.
func (t *track) learn(unit []byte) {
	for {
		nal, rest, ok := codec.NextNAL(unit)
		if !ok {
			return
		}
		unit = rest
		if t.sets.Learn(nal) {
			t.changed = true
		}
	}
}

// renew makes a new track of parameter sets that changed, at a key sample. If they can't be used, what was known stays.
func (t *track) renew() {
	if !t.changed {
		return
	}
	t.changed = false
	made, err := t.sets.Track(t.index)
	if t.setErr = err; err != nil {
		return
	}
	if t.track == nil || !bytes.Equal(t.track.SampleEntry, made.SampleEntry) {
		t.track = made
	}
}

// report handles RTCP. Whatever is broken in it is passed over.
func (t *track) report(b []byte, arrival time.Time) {
	for len(b) > 0 {
		p, rest, err := rtp.NextControl(b)
		if err != nil {
			return
		}
		b = rest
		if p.Type != rtp.TypeSenderReport {
			continue
		}
		sr, err := p.SenderReport()
		// Some cameras name another source in their reports than in their packets (Tapo): without anything better to go
		// by, packets and reports on one channel are of one sender.
		if err != nil || !t.locked {
			continue
		}
		t.reception.Reported(sr, arrival)
		if at := rtp.NTPTime(sr.NTP); !at.IsZero() {
			t.sender = senderReport{at, sr.Timestamp}
			t.s.reported(t)
		}
	}
}

// close gives back what the track holds outside memory.
func (t *track) close() {
	if t.udp != nil {
		t.udp.close()
	}
}

// noKey says what was missing for a first sample.
func (t *track) noKey(within time.Duration) error {
	switch {
	case t.setErr != nil:
		return fail(recording.NoKeySample, "receive %s: no picture that can be decoded alone within %v; the parameter sets can't be read: %w", t.uri, within, t.setErr)
	case t.track == nil:
		return fail(recording.NoKeySample, "receive %s: no picture with parameter sets within %v", t.uri, within)
	}
	return fail(recording.NoKeySample, "receive %s: no picture that can be decoded alone within %v", t.uri, within)
}
