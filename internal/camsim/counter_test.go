package camsim_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// received is what a counter was sent until it had enough; as Counts tells it from the other side.
type received struct {
	samples, keySamples, bytes, sampleBytes int64
	lost                                    int // gaps of the sequence numbers
}

// counter is an RTSP client that does nothing but count, and write the video as a byte stream. It is written apart from
// the server and from every other client.
type counter struct {
	t       testing.TB
	conn    net.Conn
	r       *bufio.Reader
	url     string
	cseq    int
	session string
	got     received
	file    io.Writer

	next  int // expected sequence number; -1: any
	wire  int64
	body  int64
	isKey bool
}

// count plays the video of rawURL over TCP until it has so many samples, then takes all that comes before the answer to
// TEARDOWN. file receives the byte stream.
func count(t testing.TB, rawURL string, samples int64, file io.Writer) received {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &counter{t: t, conn: conn, r: bufio.NewReaderSize(conn, 256<<10), url: rawURL, next: -1, file: file}
	_, description := c.ask("DESCRIBE", rawURL, "Accept: application/sdp")
	track := ""
	_, video, _ := strings.Cut(description, "m=video")
	for line := range strings.Lines(video) {
		if control, ok := strings.CutPrefix(line, "a=control:"); ok {
			track = strings.TrimSpace(control)
			break
		}
	}
	if !strings.Contains(track, "://") {
		track = rawURL + "/" + track
	}
	header, _ := c.ask("SETUP", track, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	c.session, _, _ = strings.Cut(header.Get("Session"), ";")
	c.ask("PLAY", rawURL)
	for asked := time.Now(); c.got.samples < samples; {
		if time.Since(asked) > 20*time.Second {
			asked = time.Now()
			c.ask("GET_PARAMETER", rawURL) // a sign of life: sessions expire
		}
		if !c.interleaved() {
			t.Fatal("an answer to no request")
		}
	}
	c.ask("TEARDOWN", rawURL)
	return c.got
}

// ask sends a request and counts what comes before its answer.
func (c *counter) ask(method, target string, headers ...string) (textproto.MIMEHeader, string) {
	c.t.Helper()
	c.cseq++
	lines := append([]string{method + " " + target + " RTSP/1.0", "CSeq: " + strconv.Itoa(c.cseq)}, headers...)
	if c.session != "" {
		lines = append(lines, "Session: "+c.session)
	}
	if _, err := io.WriteString(c.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for c.interleaved() {
	}
	text := textproto.NewReader(c.r)
	status, err := text.ReadLine()
	if err != nil || !strings.HasPrefix(status, "RTSP/1.0 200 ") {
		c.t.Fatalf("%s: %q, %v", method, status, err)
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		c.t.Fatal(err)
	}
	length, _ := strconv.Atoi(header.Get("Content-Length"))
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.t.Fatal(err)
	}
	return header, string(body)
}

// interleaved takes one packet if one is next.
func (c *counter) interleaved() bool {
	c.t.Helper()
	first, err := c.r.Peek(1)
	if err != nil {
		c.t.Fatal(err)
	}
	if first[0] != '$' {
		return false
	}
	var head [4]byte
	io.ReadFull(c.r, head[:])
	packet := make([]byte, binary.BigEndian.Uint16(head[2:]))
	if _, err := io.ReadFull(c.r, packet); err != nil {
		c.t.Fatal(err)
	}
	if head[1] != 0 {
		c.got.bytes += int64(4 + len(packet))
		return true
	}
	if len(packet) < 14 || packet[0] != 0x80 { // version 2, no padding, no extension, no sources
		c.t.Fatalf("packet % x…", packet[:min(len(packet), 14)])
	}
	sequence := int(binary.BigEndian.Uint16(packet[2:]))
	if c.next >= 0 && sequence != c.next {
		c.got.lost++
	}
	c.next = (sequence + 1) & 0xffff
	c.wire += int64(4 + len(packet))
	c.unpack(packet[12:])
	if packet[1]&0x80 != 0 {
		c.got.samples++
		if c.isKey {
			c.got.keySamples++
		}
		c.got.bytes += c.wire
		c.got.sampleBytes += c.body
		c.wire, c.body, c.isKey = 0, 0, false
	}
	return true
}

// unpack takes the payload of RFC 6184: a NAL unit, several of them (STAP-A) or a part of one (FU-A).
func (c *counter) unpack(p []byte) {
	c.t.Helper()
	switch kind := p[0] & 0x1f; {
	case kind >= 1 && kind <= 23:
		c.nal(p)
	case kind == 24:
		for p = p[1:]; len(p) > 2; {
			n := int(binary.BigEndian.Uint16(p))
			c.nal(p[2 : 2+n])
			p = p[2+n:]
		}
	case kind == 28:
		if p[1]&0x80 != 0 {
			c.nal([]byte{p[0]&0xe0 | p[1]&0x1f})
		}
		c.body += int64(len(p) - 2)
		c.write(p[2:])
	default:
		c.t.Fatalf("payload of kind %d", kind)
	}
}

// nal takes a NAL unit or the beginning of one.
func (c *counter) nal(p []byte) {
	c.isKey = c.isKey || p[0]&0x1f == 5
	c.body += int64(4 + len(p))
	c.write([]byte{0, 0, 0, 1})
	c.write(p)
}

func (c *counter) write(p []byte) {
	if _, err := c.file.Write(p); err != nil {
		c.t.Fatal(fmt.Errorf("write byte stream: %w", err))
	}
}
