package rtsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/rtp"
)

// loop is a connection that answers the handshake and then repeats a second of video as fast as it is read.
type loop struct {
	net.Conn
	answers bytes.Buffer
	body    []byte
	at      int
	write   func(b []byte)
}

func (l *loop) Read(b []byte) (int, error) {
	if l.answers.Len() > 0 {
		return l.answers.Read(b)
	}
	if l.body == nil {
		return 0, io.EOF
	}
	n := 0
	for n < len(b) {
		k := copy(b[n:], l.body[l.at:])
		n += k
		l.at = (l.at + k) % len(l.body)
	}
	return n, nil
}

func (l *loop) Write(b []byte) (int, error)      { l.write(b); return len(b), nil }
func (l *loop) Close() error                     { return nil }
func (l *loop) SetDeadline(time.Time) error      { return nil }
func (l *loop) SetReadDeadline(time.Time) error  { return nil }
func (l *loop) SetWriteDeadline(time.Time) error { return nil }

var errEnough = errors.New("enough")

// newLoopClient returns a client that receives 3 Mb/s video (60 pictures, one of them a key picture, as two seconds of
// 1080p30) from memory. Sequence numbers and timestamps run on for as many pictures as fit into 16 bits.
func newLoopClient() *Client {
	const pictures = 60
	var body []byte
	w := rtp.Packetizer{SSRC: 1, PayloadType: 96}
	for i := 0; w.Sequence < 60_000; i++ {
		slice := append([]byte{0x41, 0x9a}, bytes.Repeat([]byte{0xab}, 9_500)...)
		unit := nals(slice)
		if i%pictures == 0 {
			slice = append([]byte{0x65, 0x88}, bytes.Repeat([]byte{0xab}, 180_000)...)
			unit = nals(decode(fakeSPS), decode(fakePPS), slice)
		}
		w.H264(uint32(3000*i), unit, func(p []byte) error {
			body = append(body, '$', 0, byte(len(p)>>8), byte(len(p)))
			body = append(body, p...)
			return nil
		})
	}
	l := &loop{}
	l.write = func(req []byte) {
		m, _, err := parseMessage(req)
		if err != nil || m == nil {
			return
		}
		l.answers.WriteString("RTSP/1.0 200 OK\r\nCSeq: " + m.get("CSeq") + "\r\nSession: 1\r\n")
		if m.method == "DESCRIBE" {
			sdp := fakeSDP
			l.answers.WriteString("Content-Length: 300\r\n\r\n" + sdp + string(make([]byte, 300-len(sdp))))
			return
		}
		l.answers.WriteString("\r\n")
		switch m.method {
		case "PLAY":
			l.body = body
		case "TEARDOWN":
			l.body = nil
		}
	}
	return New(Options{URL: "rtsp://cam", Transport: TCP, Dial: func(context.Context, string, string) (net.Conn, error) { return l, nil }})
}

func BenchmarkReceiveTCP(b *testing.B) {
	c := newLoopClient()
	b.ReportAllocs()
	b.ResetTimer()
	n, total := 0, int64(0)
	err := c.Run(context.Background(), func(s media.Sample) error {
		total += int64(len(s.Data))
		if n++; n >= b.N {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
	b.SetBytes(total / int64(n))
	b.ReportMetric(float64(c.Stats().Packets)/float64(n), "packets/op")
}

// TestNoAllocationPerPacket receives 5,000 pictures in 45,000 packets and counts what was allocated meanwhile.
func TestNoAllocationPerPacket(t *testing.T) {
	const first, last = 500, 5500
	var before, after runtime.MemStats
	n := 0
	err := newLoopClient().Run(context.Background(), func(media.Sample) error {
		switch n++; n {
		case first:
			runtime.ReadMemStats(&before)
		case last:
			runtime.ReadMemStats(&after)
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if got := after.Mallocs - before.Mallocs; got > (last-first)/100 {
		t.Errorf("%d allocations for %d pictures", got, last-first)
	}
}
