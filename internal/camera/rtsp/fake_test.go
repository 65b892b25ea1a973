package rtsp

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/rtp"
)

// fake is a camera behind net.Pipe: it answers every request well unless handle does so first, and runs stream on a
// goroutine of its own once PLAY was answered.
type fake struct {
	sdp    string
	public string
	id     string // the Session header
	play   []string
	handle func(c *fakeConn, m *message) bool
	stream func(c *fakeConn)

	start time.Time
	mu    sync.Mutex
	log   []string // requests, guarded by mu
	dials []string // addresses, guarded by mu
	group sync.WaitGroup
}

// fakeConn is one connection to a fake.
type fakeConn struct {
	net.Conn
	f       *fake
	writing chan struct{} // holds one token while somebody writes; a mutex would stop the bubble's clock
}

const fakeSDP = "v=0\r\ns=x\r\nt=0 0\r\na=control:*\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + fakeSPS + "," + fakePPS + "\r\na=control:trackID=1\r\n" +
	"m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n"

// Parameter sets of a Hikvision camera, 1920x1080, and of a Reolink, 2560x1440.
const (
	fakeSPS  = "Z00AKZpkA8ARPyzUBAQFAAADA+gAAOpgBA=="
	fakePPS  = "aO48gA=="
	otherSPS = "Z2QAM6zoAoALWQ=="
	otherPPS = "aO48MA=="
)

func newFake() *fake {
	return &fake{sdp: fakeSDP, public: "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN", id: "12345678;timeout=60", start: time.Now()}
}

func (f *fake) dial(_ context.Context, _, address string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, address)
	f.mu.Unlock()
	ours, theirs := net.Pipe()
	f.group.Go(func() { f.serve(&fakeConn{Conn: theirs, f: f, writing: make(chan struct{}, 1)}) })
	return ours, nil
}

// serve reads all the time, as a socket's buffer does, and leaves the answering to another goroutine.
func (f *fake) serve(c *fakeConn) {
	requests := make(chan *message, 100)
	f.group.Go(func() {
		for m := range requests {
			f.request(c, m)
		}
	})
	defer close(requests)
	defer c.Close()
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		if err != nil {
			return
		}
		for len(buf) > 0 {
			if buf[0] == '$' {
				if len(buf) < 4 || len(buf) < 4+int(binary.BigEndian.Uint16(buf[2:])) {
					break
				}
				size := 4 + int(binary.BigEndian.Uint16(buf[2:]))
				f.note("RTCP " + controlTypes(buf[4:size]))
				buf = buf[size:]
				continue
			}
			m, n, err := parseMessage(buf)
			if err != nil || n == 0 {
				break
			}
			buf = buf[n:]
			if m.request {
				f.note(m.method)
			}
			requests <- m
		}
	}
}

func controlTypes(b []byte) string {
	var out []string
	for len(b) > 0 {
		p, rest, err := rtp.NextControl(b)
		if err != nil {
			return "broken"
		}
		out = append(out, fmt.Sprint(p.Type))
		b = rest
	}
	return strings.Join(out, "+")
}

func (f *fake) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf("%v %s", time.Since(f.start).Round(time.Second), s))
}

// requests returns the log without times and RTCP.
func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, l := range f.log {
		if _, s, _ := strings.Cut(l, " "); !strings.HasPrefix(s, "RTCP") {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func (f *fake) request(c *fakeConn, m *message) {
	if f.handle != nil && f.handle(c, m) {
		return
	}
	switch m.method {
	case "OPTIONS":
		c.answer(m, 200, "", "Public: "+f.public)
	case "DESCRIBE":
		c.answer(m, 200, f.sdp, "Content-Type: application/sdp", "Content-Base: "+m.uri+"/")
	case "SETUP":
		c.answer(m, 200, "", "Session: "+f.id, "Transport: "+m.get("Transport"))
	case "PLAY":
		c.answer(m, 200, "", append([]string{"Session: " + f.id, "Date: Fri, 20 Nov 2026 13:30:51 GMT"}, f.play...)...)
		if f.stream != nil {
			f.group.Go(func() { f.stream(c) })
		}
	case "GET_PARAMETER", "TEARDOWN":
		c.answer(m, 200, "")
	}
}

func (c *fakeConn) write(b []byte) {
	c.writing <- struct{}{}
	c.Write(b)
	<-c.writing
}

func (c *fakeConn) answer(m *message, status int, body string, headers ...string) {
	b := fmt.Appendf(nil, "RTSP/1.0 %d X\r\nCSeq: %s\r\n", status, m.get("CSeq"))
	for _, h := range headers {
		b = fmt.Appendf(b, "%s\r\n", h)
	}
	if body != "" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	c.write(fmt.Appendf(b, "\r\n%s", body))
}

// frame sends interleaved data.
func (c *fakeConn) frame(channel byte, b []byte) error {
	out := append([]byte{'$', channel, byte(len(b) >> 8), byte(len(b))}, b...)
	c.writing <- struct{}{}
	_, err := c.Write(out)
	<-c.writing
	return err
}

// source sends video and sound as a camera does.
type source struct {
	c            *fakeConn
	video, audio rtp.Packetizer
	sps, pps     string
}

func newSource(c *fakeConn) *source {
	return &source{
		c: c, sps: fakeSPS, pps: fakePPS,
		video: rtp.Packetizer{SSRC: 1, PayloadType: 96, Sequence: 65500},
		audio: rtp.Packetizer{SSRC: 2, PayloadType: 8, Sequence: 7},
	}
}

func nals(units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(u))), u...)
	}
	return b
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// picture sends one of 3,000 bytes.
func (s *source) picture(ts uint32, key bool) error {
	slice := append([]byte{0x41, 0x9a}, make([]byte, 3000)...)
	for i := range slice[2:] {
		slice[2+i] = 0xab
	}
	unit := nals(slice)
	if key {
		slice[0], slice[1] = 0x65, 0x88
		unit = nals(decode(s.sps), decode(s.pps), slice)
	}
	return s.video.H264(ts, unit, func(b []byte) error { return s.c.frame(0, b) })
}

func (s *source) sound(ts uint32) error {
	return s.audio.Payload(ts, make([]byte, 320), false, func(b []byte) error { return s.c.frame(2, b) })
}

// run sends pictures at 25 a second, a key picture each second, and sound, for a while; then it goes on to say nothing.
func (s *source) run(seconds int, video0, audio0 uint32) {
	for i := range seconds * 25 {
		if s.picture(video0+uint32(3600*i), i%25 == 0) != nil || s.sound(audio0+uint32(320*i)) != nil {
			return
		}
		<-time.After(40 * time.Millisecond)
	}
}

// received is what a session brought.
type received struct {
	samples [4]int
	keys    int
	tracks  []*media.Track // of video, each once
	first   [4]media.Time
	last    [4]media.Time
	flags   []media.Flags // of video
}

func (r *received) emit(s media.Sample) error {
	k := s.Track.Kind
	if r.samples[k] == 0 {
		r.first[k] = s.Time
	}
	r.samples[k]++
	r.last[k] = s.Time
	if k == media.Video {
		r.flags = append(r.flags, s.Flags)
		if s.Key() {
			r.keys++
		}
		if n := len(r.tracks); n == 0 || r.tracks[n-1] != s.Track {
			r.tracks = append(r.tracks, s.Track)
		}
	}
	return nil
}

// play runs a session within a bubble against a client for at most limit.
func play(t *testing.T, limit time.Duration, setup func(f *fake, o *Options), check func(t *testing.T, f *fake, c *Client, r *received, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := Options{URL: "rtsp://cam/stream", Audio: true, Transport: TCP, Dial: f.dial}
		if setup != nil {
			setup(f, &o)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		c := New(o)
		var r received
		err := c.Run(ctx, r.emit)
		f.group.Wait()
		check(t, f, c, &r, err)
	})
}
