package rtsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// readBuffer holds at least one interleaved frame (64 KiB and 4 bytes) and leaves as much room for a read behind it.
	readBuffer = 160 << 10
	minRead    = 64 << 10

	// maxJunk is how many bytes that belong to no message are skipped in a row before a connection is given up.
	maxJunk = 256 << 10

	writeTimeout = 5 * time.Second
)

// conn is the control connection, with the interleaved data on it (RFC 2326 section 10.12). Its reading side is owned by
// one goroutine. Frames are parsed in place: they are valid until the next call of fill.
type conn struct {
	net.Conn
	now func() time.Time

	buf     []byte
	r, w    int // what was read and not yet parsed is buf[r:w]
	junk    int // bytes skipped since the last message
	skipped int64
	arrival time.Time // of what was read last
	known   func(channel byte) bool

	mu       sync.Mutex
	canceled bool // guarded by mu: deadlines are in the past for ever
	leaving  bool // guarded by mu: the farewell has begun, the context no longer matters

	until time.Time // the read deadline that is set, owned by the reading side
}

func newConn(nc net.Conn, now func() time.Time) *conn {
	return &conn{Conn: nc, now: now, buf: make([]byte, readBuffer), known: func(byte) bool { return false }}
}

// watch makes reads and writes fail as soon as ctx ends. The function it returns ends that.
func (c *conn) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.leaving {
			c.canceled = true
			c.SetDeadline(time.Unix(1, 0))
		}
	})
}

// revive allows a farewell after the context has ended.
func (c *conn) revive(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled, c.leaving = false, true
	c.until = deadline
	c.SetDeadline(deadline)
}

func (c *conn) readDeadline(t time.Time) {
	if t.Equal(c.until) {
		return // to change a timer may wake another thread
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.canceled {
		c.until = t
		c.SetReadDeadline(t)
	}
}

// send writes one message or frame.
func (c *conn) send(b []byte) error {
	c.mu.Lock()
	if !c.canceled {
		c.SetWriteDeadline(c.now().Add(writeTimeout))
	}
	c.mu.Unlock()
	_, err := c.Write(b)
	return err
}

// fill reads more.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if len(c.buf)-c.w < minRead {
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	}
	if c.w == len(c.buf) {
		return errors.New("a message is too long")
	}
	n, err := c.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		c.arrival = c.now()
		return nil
	}
	return err
}

// item is what next found.
type item uint8

const (
	nothing item = iota // more bytes are needed
	frame               // interleaved data
	control             // a message
)

// next takes the next frame or message off the buffer.
func (c *conn) next() (kind item, channel byte, data []byte, m *message, err error) {
	for c.r < c.w {
		b := c.buf[c.r:c.w]
		switch {
		case b[0] == '$':
			if len(b) < 4 {
				return nothing, 0, nil, nil, nil
			}
			n := int(b[2])<<8 | int(b[3])
			if c.junk > 0 && !c.known(b[1]) {
				break // not likely a frame
			}
			if len(b) < 4+n {
				return nothing, 0, nil, nil, nil
			}
			c.r += 4 + n
			c.junk = 0
			return frame, b[1], b[4 : 4+n : 4+n], nil, nil
		case b[0] == '\r' || b[0] == '\n' || b[0] == ' ':
			c.r++ // between messages
			continue
		case couldBeMessage(b):
			m, n, err := parseMessage(b)
			if err == nil && n == 0 {
				return nothing, 0, nil, nil, nil
			}
			if err == nil {
				c.r += n
				c.junk = 0
				return control, 0, nil, m, nil
			}
			if c.junk == 0 && !errors.Is(err, errNotRTSP) {
				return nothing, 0, nil, nil, err
			}
		}
		if err := c.skip(); err != nil {
			return nothing, 0, nil, nil, err
		}
	}
	return nothing, 0, nil, nil, nil
}

// couldBeMessage tells whether b begins with the first line of a message, as far as it is there.
func couldBeMessage(b []byte) bool {
	if n := min(len(b), 5); string(b[:n]) == "RTSP/"[:n] {
		return true
	}
	line, _, whole := bytes.Cut(b[:min(len(b), 1024)], []byte("\n"))
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !isMethod(string(method)) || len(method) > 20 {
		return false
	}
	return !ok || !whole || bytes.Contains(rest, []byte("RTSP/"))
}

// skip looks for the next thing that may be a frame or a message. Cameras drop the rest of a frame when their buffers
// overflow; some answer to several connections at once.
func (c *conn) skip() error {
	start := c.r
	c.r++
	for c.r < c.w && c.buf[c.r] != '$' && c.buf[c.r] != 'R' {
		c.r++
	}
	c.junk += c.r - start
	c.skipped += int64(c.r - start)
	if c.junk > maxJunk {
		return fmt.Errorf("%w: %d bytes that are neither data nor messages", errNotRTSP, c.junk)
	}
	return nil
}
