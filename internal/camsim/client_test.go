package camsim

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// client is a small RTSP client that keeps all it is sent. It shares no parser with the server.
type client struct {
	t       *testing.T
	nc      net.Conn
	url     string
	cseq    int
	session string
	control []string
	headers []string // added to each request
	answers chan *answer
	dead    chan struct{} // closed when the connection has ended
	err     error         // why, after dead

	mu   sync.Mutex
	got  []received
	deaf chan struct{} // not nil: nothing is read until it is closed
}

type received struct {
	channel byte
	data    []byte
	at      time.Time
	orphan  bool // before the first answer
}

type answer struct {
	status int
	header map[string][]string
	body   string
}

func (a *answer) get(name string) string {
	if v := a.header[strings.ToLower(name)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// pipe connects a client to the server without a network.
func pipe(t *testing.T, ctx context.Context, srv *Server, path string) *client {
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(ctx, far)
	}()
	c := newClient(t, near, path)
	t.Cleanup(func() { near.Close(); <-done })
	return c
}

func newClient(t *testing.T, nc net.Conn, path string) *client {
	c := &client{t: t, nc: nc, url: "rtsp://camera" + path, answers: make(chan *answer, 16), dead: make(chan struct{})}
	go c.read()
	return c
}

func (c *client) read() {
	defer close(c.dead)
	br := bufio.NewReader(c.nc)
	answered := false
	for {
		b, err := br.Peek(1)
		if err != nil {
			c.err = err
			return
		}
		if b[0] != '$' {
			a, err := readAnswer(br)
			if err != nil {
				c.err = err
				return
			}
			answered = true
			c.answers <- a
			continue
		}
		var h [4]byte
		io.ReadFull(br, h[:])
		data := make([]byte, binary.BigEndian.Uint16(h[2:]))
		if _, err := io.ReadFull(br, data); err != nil {
			c.err = err
			return
		}
		c.mu.Lock()
		c.got = append(c.got, received{h[1], data, time.Now(), !answered})
		deaf := c.deaf
		c.mu.Unlock()
		if deaf != nil {
			<-deaf
		}
	}
}

func readAnswer(br *bufio.Reader) (*answer, error) {
	a := &answer{header: map[string][]string{}}
	line, err := br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(line, "RTSP/1.0 %d", &a.status); err != nil {
		return nil, fmt.Errorf("status line %q", line)
	}
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		a.header[name] = append(a.header[name], strings.TrimSpace(value))
	}
	n, _ := strconv.Atoi(a.get("content-length"))
	body := make([]byte, n)
	_, err = io.ReadFull(br, body)
	a.body = string(body)
	return a, err
}

// send writes a request without waiting.
func (c *client) send(method, url string, headers ...string) {
	c.t.Helper()
	c.cseq++
	r := fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, c.cseq)
	if c.session != "" {
		r += "Session: " + c.session + "\r\n"
	}
	for _, h := range append(headers, c.headers...) {
		r += h + "\r\n"
	}
	if _, err := io.WriteString(c.nc, r+"\r\n"); err != nil {
		c.t.Fatalf("send %s: %v", method, err)
	}
}

// do sends a request and waits for the answer.
func (c *client) do(method, url string, headers ...string) *answer {
	c.t.Helper()
	c.send(method, url, headers...)
	select {
	case a := <-c.answers:
		if got := a.get("CSeq"); got != strconv.Itoa(c.cseq) {
			c.t.Fatalf("%s: answer has CSeq %q, want %d", method, got, c.cseq)
		}
		return a
	case <-c.dead:
		c.t.Fatalf("%s: connection ended: %v", method, c.err)
		return nil
	}
}

func (c *client) want(status int, method, url string, headers ...string) *answer {
	c.t.Helper()
	a := c.do(method, url, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d", method, url, a.status, status)
	}
	return a
}

// describe fetches the SDP and its control values.
func (c *client) describe() *answer {
	c.t.Helper()
	a := c.want(200, "DESCRIBE", c.url, "Accept: application/sdp")
	c.control = nil
	media := false
	for _, line := range strings.Split(a.body, "\r\n") {
		media = media || strings.HasPrefix(line, "m=")
		if v, ok := strings.CutPrefix(line, "a=control:"); ok && media {
			c.control = append(c.control, v)
		}
	}
	return a
}

// setup sets all tracks up, interleaved.
func (c *client) setup() {
	c.t.Helper()
	for i, v := range c.control {
		a := c.want(200, "SETUP", c.url+"/"+v, fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
		c.session, _, _ = strings.Cut(a.get("Session"), ";")
	}
}

// play does all that it takes.
func (c *client) play() *answer {
	c.t.Helper()
	c.describe()
	c.setup()
	return c.want(200, "PLAY", c.url, "Range: npt=0.000-")
}

// packets returns what came on a channel so far.
func (c *client) packets(channel byte) []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []received
	for _, r := range c.got {
		if r.channel == channel {
			all = append(all, r)
		}
	}
	return all
}

func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = nil
}

func seqOf(p []byte) uint16       { return binary.BigEndian.Uint16(p[2:]) }
func timestampOf(p []byte) uint32 { return binary.BigEndian.Uint32(p[4:]) }
func ssrcOf(p []byte) uint32      { return binary.BigEndian.Uint32(p[8:]) }
func markerOf(p []byte) bool      { return p[1]&0x80 != 0 }

// shot is one picture put together again.
type shot struct {
	timestamp uint32
	at        time.Time // when its first packet came
	nals      [][]byte
	markers   int
}

func (s *shot) has(kind byte) bool {
	for _, u := range s.nals {
		if u[0]&0x1f == kind {
			return true
		}
	}
	return false
}

func (s *shot) unit(kind byte) []byte {
	for _, u := range s.nals {
		if u[0]&0x1f == kind {
			return u
		}
	}
	return nil
}

// shots puts the H.264 pictures of channel 0 together.
func (c *client) shots() []*shot {
	c.t.Helper()
	var all []*shot
	for _, p := range c.packets(0) {
		ts := timestampOf(p.data)
		if len(all) == 0 || all[len(all)-1].timestamp != ts {
			all = append(all, &shot{timestamp: ts, at: p.at})
		}
		s := all[len(all)-1]
		if markerOf(p.data) {
			s.markers++
		}
		payload := p.data[12:]
		if payload[0]&0x1f != 28 {
			s.nals = append(s.nals, payload)
			continue
		}
		if payload[1]&0x80 != 0 {
			s.nals = append(s.nals, []byte{payload[0]&0xe0 | payload[1]&0x1f})
		}
		if len(s.nals) == 0 {
			c.t.Fatal("a fragment without a beginning")
		}
		last := len(s.nals) - 1
		s.nals[last] = append(s.nals[last], payload[2:]...)
	}
	return all
}

// small are options of cheap pictures: 10 a second, a key sample each second, twelve packets or so each.
func small() Options {
	return Options{Width: 320, Height: 240, FPS: 10, GOP: 10, BitRate: 100_000, NoSub: true, PacketSize: 200, Seed: 1}
}

// bubble runs a test in fake time with a server, and one playing client unless connect is false.
func bubble(t *testing.T, o Options, connect bool, f func(t *testing.T, srv *Server, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		srv := New(o)
		if err := srv.Open(); err != nil {
			t.Fatal(err)
		}
		c := pipe(t, ctx, srv, "/cam0")
		if connect {
			c.play()
		}
		f(t, srv, c)
	})
}

// run lets fake time pass.
func run(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// set switches a fault.
func set(t *testing.T, srv *Server, kind Kind, value string) {
	t.Helper()
	if err := srv.SetFault("/cam0", Fault{kind, value}); err != nil {
		t.Fatal(err)
	}
}

// report is what a sender report says.
type report struct {
	ssrc, timestamp, packets, octets uint32
	ntp                              uint64
	at                               time.Time
}

func (c *client) reports(channel byte) []report {
	var all []report
	for _, p := range c.packets(channel) {
		b := p.data
		if len(b) < 28 || b[0] != 0x80 || b[1] != 200 {
			c.t.Fatalf("channel %d: % x is no sender report", channel, b)
		}
		all = append(all, report{
			ssrc: binary.BigEndian.Uint32(b[4:]), ntp: binary.BigEndian.Uint64(b[8:]), timestamp: binary.BigEndian.Uint32(b[16:]),
			packets: binary.BigEndian.Uint32(b[20:]), octets: binary.BigEndian.Uint32(b[24:]), at: p.at,
		})
	}
	return all
}

func (r *report) time() time.Time {
	return time.Unix(int64(r.ntp>>32)-2_208_988_800, int64((r.ntp&0xffff_ffff)*1_000_000_000>>32))
}

// overTCP runs a server on a real port until the test ends.
func overTCP(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv, ln.Addr().String()
}

func dial(t *testing.T, addr, path string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := newClient(t, nc, path)
	c.url = "rtsp://" + addr + path
	return c
}

// testdata returns the path of a file of ../shared/testdata, or skips.
func testdata(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
	p := filepath.Join(dir, "..", "shared", "testdata", name)
	if _, err := os.Stat(p); errors.Is(err, os.ErrNotExist) {
		t.Skipf("shared test data is absent: %s", name)
	}
	return p
}
