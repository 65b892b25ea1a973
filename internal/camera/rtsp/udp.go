package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

const (
	// udpQueue is how many datagrams wait between the sockets' readers and the session. Together with their buffers it
	// is the bound of what a session over UDP holds outside the kernel.
	udpQueue = 512
	// maxDatagram is the largest datagram taken. Cameras keep below an Ethernet frame; some send jumbo frames.
	maxDatagram = 9216
	// socketBuffer is what the kernel is asked to hold for each socket: a key picture arrives in a burst.
	socketBuffer = 1 << 20
	// reorderPatience is how long an out-of-order packet waits for what is before it.
	reorderPatience = 200 * time.Millisecond
	// portTries is how often a pair of ports is looked for.
	portTries = 32
)

// datagrams is the pair of sockets of one track: RTP on an even port, RTCP on the next (RFC 3550 section 11).
type datagrams struct {
	sockets [2]net.PacketConn
	ports   [2]int
	peer    [2]*net.UDPAddr // where the camera sends from, as it said; nil when it did not
	sources []net.IP        // datagrams of others are dropped; none takes all
}

// datagram is one that was read.
type datagram struct {
	track   *track
	control bool
	buf     *[]byte // of a pool
	n       int
	at      time.Time
}

// listen opens the sockets.
func (t *track) listen(ctx context.Context) error {
	var last error
	for range portTries {
		first, err := t.s.o.ListenPacket(ctx, "udp", ":0")
		if err != nil {
			return fmt.Errorf("open a UDP port: %w", err)
		}
		port := portOf(first)
		even, odd := port, port+1
		if port%2 == 1 {
			even, odd = port-1, port
		}
		other := even + odd - port
		second, err := t.s.o.ListenPacket(ctx, "udp", fmt.Sprintf(":%d", other))
		if err != nil {
			first.Close()
			last = err
			continue
		}
		if port != even {
			first, second = second, first
		}
		t.udp = &datagrams{sockets: [2]net.PacketConn{first, second}, ports: [2]int{even, odd}}
		for _, c := range t.udp.sockets {
			if b, ok := c.(interface{ SetReadBuffer(int) error }); ok {
				b.SetReadBuffer(socketBuffer) // the kernel gives what it may
			}
		}
		return nil
	}
	return fmt.Errorf("open a pair of UDP ports: %w", last)
}

func portOf(c net.PacketConn) int {
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.Port
	}
	return 0
}

func (d *datagrams) close() {
	for _, c := range d.sockets {
		c.Close()
	}
}

// aim notes where the camera sends from. What it calls its source is believed as a sender, but nothing is sent there: that
// would let a camera make us send to others.
func (t *track) aim(got transport) {
	host := t.s.hostOf()
	if host == nil {
		return
	}
	t.udp.sources = append(t.udp.sources, host)
	if ip := net.ParseIP(got.source); ip != nil && !ip.IsUnspecified() && !ip.Equal(host) {
		t.udp.sources = append(t.udp.sources, ip)
	}
	if got.serverPorts {
		for i, p := range got.server {
			t.udp.peer[i] = &net.UDPAddr{IP: host, Port: int(p)}
		}
	}
}

// punch sends something to where data will come from, so that firewalls and address translators on the way let it in.
func (t *track) punch() {
	if t.udp == nil {
		return
	}
	if to := t.udp.peer[0]; to != nil {
		p := rtp.Packet{PayloadType: t.payload, SSRC: t.s.ssrc}
		t.udp.sockets[0].WriteTo(p.AppendHeader(nil), to) // refused or not: it has done its work
	}
	t.udp.sendControl(rtp.AppendReceiverReport(nil, t.s.ssrc))
}

func (d *datagrams) sendControl(b []byte) {
	if to := d.peer[1]; to != nil {
		d.sockets[1].WriteTo(b, to) // reports may be lost
	}
}

// receiveUDP receives until something ends the session. It owns the readers it starts: they end when the sockets close
// or the context it gives them ends, and it returns after they have.
func (s *session) receiveUDP(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &udpReaders{queue: make(chan datagram, udpQueue), control: make(chan struct{}), parsed: make(chan struct{})}
	r.pool.New = func() any { b := make([]byte, maxDatagram); return &b }
	var readers sync.WaitGroup
	for _, t := range s.tracks {
		for i := range t.udp.sockets {
			readers.Go(func() { r.read(ctx, t, i, s.o.Now) })
		}
	}
	s.conn.readDeadline(time.Time{})
	readers.Go(func() { r.watch(ctx, s.conn) })
	err := s.pump(ctx, r)
	cancel()
	for _, t := range s.tracks {
		for _, c := range t.udp.sockets {
			c.SetReadDeadline(time.Unix(1, 0))
		}
	}
	s.conn.readDeadline(time.Unix(1, 0))
	readers.Wait()
	return s.ended(err)
}

// udpReaders are the goroutines that read for a session over UDP.
type udpReaders struct {
	queue   chan datagram
	control chan struct{} // the connection's reader put something into its buffer
	parsed  chan struct{} // the session has parsed it
	err     error         // of the connection, set before control is closed
	pool    sync.Pool
}

// read reads one socket.
func (r *udpReaders) read(ctx context.Context, t *track, i int, now func() time.Time) {
	for ctx.Err() == nil {
		p := r.pool.Get().(*[]byte)
		n, from, err := t.udp.sockets[i].ReadFrom(*p)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil || !t.udp.accepts(from) {
			r.pool.Put(p) // an ICMP message about something sent, or a stranger
			continue
		}
		select {
		case r.queue <- datagram{t, i == 1, p, n, now()}:
		case <-ctx.Done():
			return
		}
	}
}

// accepts tells whether a datagram is from the camera.
func (d *datagrams) accepts(from net.Addr) bool {
	if len(d.sources) == 0 {
		return true
	}
	a, ok := from.(*net.UDPAddr)
	return ok && slices.ContainsFunc(d.sources, a.IP.Equal)
}

// watch reads the control connection. The buffer is handed to and fro: the session parses while watch waits.
func (r *udpReaders) watch(ctx context.Context, c *conn) {
	defer close(r.control)
	for {
		if r.err = c.fill(); r.err != nil {
			return
		}
		select {
		case r.control <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case <-r.parsed:
		case <-ctx.Done():
			return
		}
	}
}

// pump handles what the readers bring.
func (s *session) pump(ctx context.Context, r *udpReaders) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	control := r.control
	var lost error // of the control connection
	for {
		select {
		case d := <-r.queue:
			err := s.datagram(&d)
			r.pool.Put(d.buf)
			if err != nil {
				return err
			}
		case _, open := <-control:
			if !open {
				// Some cameras close the connection and go on sending; then silence will end the session.
				control, lost = nil, r.err
				s.keepalive = s.o.Now().Add(24 * time.Hour)
				if s.lastVideo.IsZero() {
					return lost
				}
				break
			}
			if err := s.parse(); err != nil {
				return err
			}
			select {
			case r.parsed <- struct{}{}:
			case <-ctx.Done():
			}
		case <-timer.C:
			now := s.o.Now()
			if err := s.skipMissing(now); err != nil {
				return err
			}
			next, err := s.due(now)
			if err != nil {
				var r *recording.Error
				if lost != nil && errors.As(err, &r) && r.Reason == recording.Timeout {
					return lost
				}
				return err
			}
			timer.Reset(min(max(next.Sub(now), time.Millisecond), reorderPatience/2))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *session) datagram(d *datagram) error {
	b := (*d.buf)[:d.n]
	if d.control {
		d.track.report(b, d.at)
		return nil
	}
	return d.track.datagram(b, d.at)
}

// skipMissing gives up packets that others have waited for long enough.
func (s *session) skipMissing(now time.Time) error {
	for _, t := range s.tracks {
		if t.reorder.Held() == 0 {
			t.waiting = time.Time{}
			continue
		}
		if first := t.reorder.First(); t.waiting.IsZero() || t.waitingFor != first {
			t.waiting, t.waitingFor = now, first
			continue
		}
		if now.Sub(t.waiting) < reorderPatience {
			continue
		}
		t.reorder.Skip()
		t.waiting = time.Time{}
		if err := t.drain(now); err != nil {
			return err
		}
	}
	return nil
}
