package camsim

import (
	"fmt"
	"sync"
	"time"
)

// feed says what a track carries from the stream.
type feed uint8

const (
	noFeed feed = iota // a track of a transcript that we cannot fill
	videoFeed
	audioFeed
	metadataFeed
)

func (f feed) String() string { return [...]string{"none", "video", "audio", "metadata"}[f] }

// track is one media description of a stream.
type track struct {
	control     string // the a=control value
	feed        feed
	payloadType byte
	rate        int64 // RTP ticks a second
}

// session is an RTSP session (RFC 2326 section 3.4): some tracks of one stream on their way to one client.
type session struct {
	id     string
	srv    *Server
	stream *stream
	expiry *time.Timer // nil: never

	// Guarded by stream.mu.
	conn    *conn // the connection it belongs to; nil for a ghost before the next connection
	outlets []*outlet
	playing bool
	ended   bool
	ghost   bool

	countMu sync.Mutex // guards what follows
	counts  SessionCounts
	log     []written
}

// outlet is one track of a session with its transport and RTP state. Guarded by stream.mu.
type outlet struct {
	track   *track
	index   int // of the track in its stream
	channel [2]byte
	udp     *udpPair // nil: interleaved

	ssrc    uint32
	seq     uint16
	offset  uint32 // of the timestamps
	first   int64  // the first sample to send
	packets uint32
	octets  uint32
	report  time.Time // when the next sender report is due
	held    []byte    // a packet that fault Reorder keeps back
}

// outlet returns the session's outlet for a track, nil if the track was not set up.
func (s *session) outlet(index int) *outlet {
	for _, o := range s.outlets {
		if o.index == index {
			return o
		}
	}
	return nil
}

// transport names what the session sends over.
func (s *session) transport() string {
	if len(s.outlets) > 0 && s.outlets[0].udp != nil {
		return "udp"
	}
	return "tcp"
}

// header is the Session header of answers.
func (s *session) header() string {
	if t := s.srv.o.SessionTimeout; t > 0 {
		return fmt.Sprintf("%s;timeout=%d", s.id, int(t.Seconds()))
	}
	return s.id
}

// touch puts off the session's expiry.
func (s *session) touch() {
	if s.expiry != nil {
		s.expiry.Reset(s.srv.o.SessionTimeout)
	}
}

// reported takes note of a receiver report, a sign of life unless fault KeepAlive ignores it.
func (s *session) reported() {
	s.countMu.Lock()
	s.counts.ReceiverReports++
	s.countMu.Unlock()
	s.stream.mu.Lock()
	counts := s.stream.faults.keepAlive != "ignore" && !s.ended
	s.stream.mu.Unlock()
	if counts {
		s.touch()
	}
}

// mark stands in a connection's queue where a sample ends.
type mark struct {
	end     int // offset in the queue
	session *session
	sample  sent
}

// sent describes a sample on its way.
type sent struct {
	feed   feed
	number int64
	key    bool
	whole  bool // no packet was left out by a fault
	wire   int  // bytes with headers
	bytes  int  // NAL units with 4 bytes of length each, or the payload
}

// wrote counts a sample of which the socket has taken the last byte.
func (s *session) wrote(x sent, at time.Time) {
	s.countMu.Lock()
	defer s.countMu.Unlock()
	c := &s.counts
	c.BytesSent += int64(x.wire)
	if x.feed == noFeed {
		return
	}
	if !x.whole {
		c.SamplesDamaged++
		return
	}
	switch x.feed {
	case videoFeed:
		if c.SamplesSent == 0 {
			c.FirstSample = x.number
		}
		c.SamplesSent++
		c.LastSample = x.number
		c.SampleBytesSent += int64(x.bytes)
		if x.key {
			c.KeySamplesSent++
		}
	case audioFeed:
		c.AudioSamplesSent++
	case metadataFeed:
		c.MetadataSamplesSent++
	}
	s.remember(written{x.number, at.UnixNano(), x.feed})
}

// written is Written as it is kept.
type written struct {
	number int64
	at     int64 // nanoseconds since 1970
	feed   feed
}

// Bounds of what is kept about written samples.
const (
	keepWritten    = 60 * time.Second
	maxWritten     = 1 << 16
	compactWritten = 1024
	pastSessions   = 16 // of a stream whose counts are kept
	pastWritten    = 4  // of those whose samples are kept too
)

// remember keeps w, and forgets what is older than keepWritten whenever the log has grown well beyond it.
func (s *session) remember(w written) {
	if len(s.log) == cap(s.log) && len(s.log) >= compactWritten {
		i := 0
		for i < len(s.log) && (w.at-s.log[i].at > int64(keepWritten) || len(s.log)-i >= maxWritten) {
			i++
		}
		s.log = append(s.log[:0], s.log[i:]...)
	}
	s.log = append(s.log, w)
}

// list returns the log.
func (s *session) list() []Written {
	s.countMu.Lock()
	defer s.countMu.Unlock()
	all := make([]Written, len(s.log))
	for i, w := range s.log {
		all[i] = Written{w.feed.String(), w.number, time.Unix(0, w.at).UTC()}
	}
	return all
}

// snapshot returns the counts as they are.
func (s *session) snapshot() SessionCounts {
	s.countMu.Lock()
	defer s.countMu.Unlock()
	return s.counts
}
