package camsim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is one TCP connection (or pipe) of a client: one goroutine reads and answers requests, one writes what the
// answers and the streams put into the queue. A sample that finds the queue empty goes straight into the socket, as far
// as that takes it without waiting: waking the writer for each picture would cost more than the picture.
type conn struct {
	srv *Server
	nc  net.Conn
	raw syscall.RawConn // of a TCP connection; nil: everything goes through the queue
	try func(fd uintptr) bool

	// Owned by the reader.
	stream *stream // the one that the latest request was about
	nonce  string
	uses   int // requests granted with nonce

	mu       sync.Mutex
	changed  *sync.Cond
	pending  []byte // what is to be written
	marks    []mark // where samples end in pending
	busy     bool   // the writer has taken a queue and not finished it
	direct   []byte // what try is to write
	taken    int    // what try has written
	closed   bool   // nothing is queued any more
	reason   string // why it was closed by us
	finished chan struct{}
}

func newConn(srv *Server, nc net.Conn) *conn {
	c := &conn{srv: srv, nc: nc, nonce: srv.nonce(), finished: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	if t, ok := nc.(*net.TCPConn); ok {
		c.raw, _ = t.SyscallConn() // fails only without a connection
		c.try = func(fd uintptr) bool {
			n, err := syscall.Write(int(fd), c.direct) // the descriptor does not block
			if err != nil {
				n = 0 // full, or broken: the writer will see it
			}
			c.taken = n
			return true
		}
	}
	return c
}

// serve answers requests until the connection ends; it returns when the writer has ended too.
func (c *conn) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.fail("server-stopped", false) })
	defer stop()
	go c.write() // ends when c is closed; waited for below
	err := c.read(ctx)
	c.shut()
	<-c.finished
	c.nc.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || c.why() != "" {
		err = nil
	}
	return err
}

func (c *conn) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// read is the reader's loop.
func (c *conn) read(ctx context.Context) error {
	br := bufio.NewReaderSize(c.nc, 4096)
	scratch := make([]byte, 1<<16)
	for {
		in, err := readIncoming(br, scratch)
		var ne net.Error
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), errors.As(err, &ne):
			return err
		default: // what came is no request
			c.send(&response{status: 400})
			return fmt.Errorf("connection from %v: %w", c.nc.RemoteAddr(), err)
		}
		if in.request == nil {
			c.srv.rtcpFrom(c)
			continue
		}
		c.handle(ctx, in.request)
	}
}

// send queues an answer.
func (c *conn) send(r *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.pending = r.append(c.pending)
	c.changed.Signal()
}

// enqueue queues the packets of a sample. A full queue closes the connection; one sample always has room.
func (c *conn) enqueue(b []byte, s *session, x sent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.raw != nil && !c.busy && len(c.pending) == 0 {
		c.direct, c.taken = b, 0
		if err := c.raw.Write(c.try); err != nil {
			c.taken = 0
		}
		if b = b[c.taken:]; len(b) == 0 {
			s.wrote(x, time.Now())
			return
		}
	}
	if len(c.pending) > 0 && len(c.pending)+len(b) > c.srv.o.QueueBytes {
		c.failLocked("slow", false)
		return
	}
	c.pending = append(c.pending, b...)
	c.marks = append(c.marks, mark{len(c.pending), s, x})
	c.changed.Signal()
}

// write is the writer: it takes all that is queued and writes it at once.
func (c *conn) write() {
	defer close(c.finished)
	var buf []byte
	var marks []mark
	for {
		c.mu.Lock()
		c.busy = false
		for len(c.pending) == 0 && !c.closed {
			c.changed.Wait()
		}
		if len(c.pending) == 0 {
			c.mu.Unlock()
			return
		}
		buf, c.pending = c.pending, buf[:0]
		marks, c.marks = c.marks, marks[:0]
		c.busy = true
		c.mu.Unlock()

		err := c.nc.SetWriteDeadline(time.Now().Add(c.srv.o.WriteTimeout))
		n := 0
		if err == nil {
			n, err = c.nc.Write(buf)
			c.nc.SetWriteDeadline(time.Time{})
		}
		c.settle(marks, n)
		if err != nil {
			reason := "closed"
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				reason = "slow"
			}
			c.fail(reason, false)
			return
		}
		if cap(buf) > 1<<20 { // an unusual pile-up; do not keep it
			buf = nil
		}
	}
}

// settle counts the samples that lie within the n bytes written.
func (c *conn) settle(marks []mark, n int) {
	if len(marks) == 0 {
		return
	}
	now := time.Now()
	for i := range marks {
		if marks[i].end <= n {
			marks[i].session.wrote(marks[i].sample, now)
		}
		marks[i].session = nil
	}
}

// fail closes the connection for a reason, with a TCP reset if asked.
func (c *conn) fail(reason string, reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(reason, reset)
}

func (c *conn) failLocked(reason string, reset bool) {
	if c.reason == "" {
		c.reason = reason
	}
	c.closed = true
	c.pending, c.marks = nil, nil
	if t, ok := c.nc.(*net.TCPConn); ok && reset {
		t.SetLinger(0)
	}
	c.nc.Close()
	c.changed.Signal()
}

// shut lets the writer write what is queued and end.
func (c *conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	c.changed.Signal()
}

// pause waits for d, or until ctx ends.
func (c *conn) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
