// Package rtsp receives one stream of a camera over RTSP 1.0 (RFC 2326) and hands on its samples.
//
// A Client stands for one stream and outlives its sessions: it remembers which transport and which kind of
// authentication worked. Run is one session: connect, OPTIONS, DESCRIBE, SETUP, PLAY, receive, TEARDOWN. The session owns
// the conn (control connection, with interleaved data on it), and a track for each media it set up; a track owns its
// sequence, reorder buffer, depacketizer and clock.
//
// Over TCP one goroutine does everything: it reads at least 64 KiB at a time into one buffer, parses frames and packets
// in place, assembles samples in a buffer of the track and hands them on by reference; between reads it sends keepalives
// and receiver reports, for which read deadlines wake it. Nothing is allocated per packet. Over UDP each socket has a
// reader that hands datagrams to that goroutine through a bounded queue; when it is full, datagrams are left to the
// kernel, which drops them, and that is counted as loss.
//
// Invariants: emit is called from the goroutine of Run alone; nothing is handed on before the first undamaged key sample
// whose parameter sets are known; times count from that sample and, for video without reordering, only grow; a sample's
// Track changes on key samples only. No error text and no log holds a password. Run and Clocks belong to one goroutine
// at a time (Clocks within emit); Stats may be called at any time.
//
// Standards: RFC 2326 (RTSP), RFC 7616, 2617 and 7617 (Digest, Basic), RFC 8866 (SDP), RFC 3550 and 3551 (RTP).
package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// Transport is how media comes: within the RTSP connection or as datagrams.
type Transport int32

// The transports.
const (
	Auto Transport = iota // TCP; UDP if the camera refuses TCP or nothing comes
	TCP
	UDP
)

func (t Transport) String() string {
	switch t {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return ""
}

// Options say what to receive. The zero value of everything but URL is useful.
type Options struct {
	URL      string // rtsp://host[:port]/path or rtsps://; may hold credentials, which are never shown
	Username string // "" takes the URL's, with its password
	Password secret.String

	Transport Transport // default Auto
	Audio     bool      // receive the first sound track that can be recorded
	Metadata  bool      // receive the first ONVIF metadata track

	Timeout    time.Duration // an answer, or a video packet, must come within it; default 10 s
	KeyTimeout time.Duration // the first key sample must come within it; default 30 s

	TLSConfig *tls.Config // for rtsps; nil verifies against the system's certificates

	// Dial connects; nil is net.Dialer. ListenPacket opens the sockets for UDP; nil is net.ListenConfig.
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)

	Now func() time.Time // the server's clock; nil is time.Now

	// Batch tells how long data over TCP may wait in the kernel, so that it can be read in fewer, larger pieces; asked all
	// the time, from the goroutine of Run. nil or 0 is not at all. Samples come that much later: 0 while somebody watches,
	// up to 250 ms while the stream is only recorded.
	Batch func() time.Duration

	// Synced tells whether the kernel calls the server's clock synchronised; Uptime the time since boot. They are asked
	// at the first sample of each session; nil when there is nothing to tell.
	Synced func() (synced, known bool)
	Uptime func() time.Duration
}

const (
	// autoPatience is how long Auto waits for data before it tries the other transport.
	autoPatience = 5 * time.Second
	// farewell is the time that TEARDOWN may take.
	farewell = 2 * time.Second
	// maxRedirects is how many redirections are followed.
	maxRedirects = 5
)

// Client receives one stream.
type Client struct {
	o        Options
	counters counters

	worked Transport // the transport that brought samples last; owned by Run
	slow   bool      // neither transport brought anything in time: be more patient; owned by Run
	scheme scheme    // the authentication that was accepted last; owned by Run

	mu     sync.Mutex
	clocks media.Clocks // guarded by mu
}

// New returns a client.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.KeyTimeout <= 0 {
		o.KeyTimeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.ListenPacket == nil {
		o.ListenPacket = (&net.ListenConfig{}).ListenPacket
	}
	return &Client{o: o, scheme: noScheme}
}

// Stats returns the counts.
func (c *Client) Stats() Stats { return c.counters.stats() }

// Clocks returns the clock readings of the current or last session.
func (c *Client) Clocks() media.Clocks {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clocks
}

// Run receives one session and hands each sample to emit, whose error ends it and comes back wrapped. It returns a
// *recording.Error unless ctx ended (then the cause) or emit failed.
func (c *Client) Run(ctx context.Context, emit func(media.Sample) error) error {
	a, err := parseAddress(c.o.URL)
	if err != nil {
		return fail(recording.Unsupported, "read the camera's URL: %w", err)
	}
	transports := []Transport{c.o.Transport}
	if c.o.Transport == Auto {
		transports = []Transport{TCP, UDP}
		if c.worked == UDP {
			transports = []Transport{UDP, TCP}
		}
	}
	for i, t := range transports {
		c.slow = c.slow || i > 0 // until something comes
		err = c.session(ctx, a, t, i+1 < len(transports), emit)
		var other *otherTransport
		if !errors.As(err, &other) || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("receive from %s: %w", a.host, context.Cause(ctx))
	}
	return err
}

// otherTransport is the error of a session that may do better with the other transport.
type otherTransport struct{ err error }

func (e *otherTransport) Error() string { return e.err.Error() }
func (e *otherTransport) Unwrap() error { return e.err }

// session runs one RTSP session over one transport. mayFall tells that there is another transport to try.
func (c *Client) session(ctx context.Context, a address, t Transport, mayFall bool, emit func(media.Sample) error) (err error) {
	c.mu.Lock()
	c.clocks = media.Clocks{}
	c.mu.Unlock()
	c.counters.transport.Store(int32(t))
	s := newSession(c, a, t, emit)
	defer func() { s.leave(err) }()
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		var status *statusError
		if errors.As(err, &status) && status.answer.status == 461 && mayFall {
			return &otherTransport{err}
		}
		return err
	}
	if mayFall {
		s.patience = min(autoPatience, c.o.Timeout)
		if c.slow {
			s.patience = c.o.Timeout
		}
	}
	if t == UDP {
		err = s.receiveUDP(ctx)
	} else {
		err = s.receiveTCP(ctx)
	}
	if s.samples > 0 {
		c.worked, c.slow = t, false
	}
	return err
}

// authenticated remembers what was accepted, or noScheme when what had been no longer is.
func (c *Client) authenticated(s scheme) { c.scheme = s }
