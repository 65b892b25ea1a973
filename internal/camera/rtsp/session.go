package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// session is one RTSP session. All of it is owned by the goroutine of Run.
type session struct {
	c       *Client
	o       *Options
	address address
	first   address // what the URL said, before redirections
	over    Transport
	emit    func(media.Sample) error

	conn      *conn
	stop      func() bool // ends the watch on the context
	auth      *credentials
	cseq      int
	pending   map[int]string // methods of requests whose answers nobody waits for, by CSeq
	id        string         // of the RTSP session; "" before SETUP
	timeout   time.Duration  // of the RTSP session
	parameter bool           // GET_PARAMETER is offered
	aggregate string         // the URL that PLAY and TEARDOWN name
	out       []byte         // what is being written
	challenge bool           // a 401 is being answered

	tracks   []*track
	playing  bool // PLAY was sent: data may be ours
	leaving  bool // data is no longer wanted
	samples  int64
	timeline timeline

	patience  time.Duration // nothing within it: try the other transport; 0 is never
	played    time.Time     // when PLAY was answered
	lastVideo time.Time     // when the latest video packet came; zero before
	keepalive time.Time     // when the next one is due
	report    time.Time     // when the next receiver report is due
	ssrc      uint32        // ours
}

// reportInterval is how often receiver reports are sent (RFC 3550 section 6.2).
const reportInterval = 5 * time.Second

func newSession(c *Client, a address, t Transport, emit func(media.Sample) error) *session {
	s := &session{
		c: c, o: &c.o, address: a, first: a, over: t, emit: emit, pending: map[int]string{}, timeout: defaultSessionTimeout, aggregate: a.uri,
	}
	user, password := c.o.Username, c.o.Password
	if user == "" && a.hasUser {
		user, password = a.user, a.password
	}
	s.ssrc = rand.Uint32()
	s.auth = newCredentials(user, password, c.scheme)
	return s
}

// connect opens the control connection.
func (s *session) connect(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	nc, err := s.o.Dial(dialing, "tcp", s.address.dial)
	if err != nil {
		return dialError(s.address.dial, err)
	}
	if s.address.tls {
		config := s.o.TLSConfig.Clone()
		if config == nil {
			config = &tls.Config{}
		}
		if config.ServerName == "" {
			config.ServerName = s.address.host
		}
		t := tls.Client(nc, config)
		if err := t.HandshakeContext(dialing); err != nil {
			nc.Close()
			return dialError(s.address.dial, err)
		}
		nc = t
	}
	s.conn = newConn(nc, s.o.Now)
	s.conn.known = s.knows
	s.stop = s.conn.watch(ctx)
	return nil
}

func (s *session) disconnect() {
	if s.conn != nil {
		s.stop()
		s.conn.Close()
		s.conn = nil
	}
}

func (s *session) knows(channel byte) bool {
	for _, t := range s.tracks {
		if t.channel == channel || t.control == channel {
			return true
		}
	}
	return false
}

// send writes one request and returns its number.
func (s *session) send(method, uri string, headers []header) (int, error) {
	s.cseq++
	if v := s.auth.header(method, uri); v != "" {
		headers = append(headers, header{"Authorization", v})
	}
	if s.id != "" {
		headers = append(headers, header{"Session", s.id})
	}
	s.out = appendRequest(s.out[:0], method, uri, s.cseq, headers)
	return s.cseq, s.conn.send(s.out)
}

// do sends a request and waits for its answer, proving who we are when asked to. An answer other than 2xx is a
// *statusError. Data that comes meanwhile is handled.
func (s *session) do(ctx context.Context, method, uri string, headers ...header) (*message, error) {
	headers = headers[:len(headers):len(headers)]
	renewed := false
	for {
		m, err := s.roundTrip(method, uri, headers)
		if err != nil && s.challenge && s.id == "" && networkReason(err) == recording.CameraClosed {
			// The camera closed the connection behind its challenge.
			s.challenge = false
			s.disconnect()
			if err := s.connect(ctx); err != nil {
				return nil, err
			}
			continue
		}
		s.challenge = false
		if err != nil {
			return nil, err
		}
		switch {
		case m.status == 401:
			had := s.auth.current.scheme
			first := !s.auth.chosen
			if !s.auth.answer(parseChallenges(m.all("WWW-Authenticate")), renewed) {
				return nil, s.refused(m)
			}
			renewed = renewed || !first && had == s.auth.current.scheme
			s.challenge = true
		case m.status >= 200 && m.status < 300:
			s.auth.accepted()
			if s.auth.proven {
				s.c.authenticated(s.auth.current.scheme)
			}
			return m, nil
		default:
			return nil, &statusError{method, m}
		}
	}
}

// refused says why no proof is left to give.
func (s *session) refused(m *message) error {
	s.c.authenticated(noScheme)
	switch {
	case s.auth.user == "":
		return fail(recording.AuthFailed, "%s: the camera asks for a user name and password", s.address.host)
	case !s.auth.chosen:
		return fail(recording.AuthFailed, "%s: the camera asks for an authentication that is not known: %s", s.address.host,
			strings.Join(m.all("WWW-Authenticate"), ", "))
	}
	return fail(recording.AuthFailed, "%s: the camera refuses the user name or password", s.address.host)
}

func (s *session) roundTrip(method, uri string, headers []header) (*message, error) {
	cseq, err := s.send(method, uri, headers)
	if err != nil {
		return nil, err
	}
	return s.await(cseq, s.o.Now().Add(s.o.Timeout))
}

// await reads until the answer to request cseq is there.
func (s *session) await(cseq int, deadline time.Time) (*message, error) {
	for {
		for {
			kind, channel, data, m, err := s.conn.next()
			if err != nil {
				return nil, err
			}
			if kind == nothing {
				break
			}
			if kind == frame {
				if err := s.frame(channel, data); err != nil {
					return nil, err
				}
				continue
			}
			if m.request {
				if err := s.serve(m); err != nil {
					return nil, err
				}
			} else if s.answers(m, cseq) {
				return m, nil
			}
		}
		if s.conn.now().After(deadline) {
			return nil, os.ErrDeadlineExceeded
		}
		s.conn.readDeadline(deadline)
		if err := s.conn.fill(); err != nil {
			return nil, err
		}
	}
}

// answers tells whether m is the answer to request cseq. Answers to keepalives may come in between; apart from those, and
// from answers to requests that were given up, a camera's only answer is the one to the request just made, whatever
// number it has or lacks.
func (s *session) answers(m *message, cseq int) bool {
	n, ok := m.cseq()
	if !ok || n == cseq {
		return true
	}
	if _, known := s.pending[n]; known {
		delete(s.pending, n)
		return false
	}
	return n > cseq || n <= 0
}

// serve answers a request that the camera makes.
func (s *session) serve(m *message) error {
	status, reason := 200, "OK"
	switch m.method {
	case "OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE":
	case "TEARDOWN", "REDIRECT":
		return fail(recording.CameraClosed, "%s: the camera ended the session (%s)", s.address.host, m.method)
	default:
		status, reason = 501, "Not Implemented"
	}
	s.out = appendResponse(s.out[:0], status, reason, m.get("CSeq"))
	return s.conn.send(s.out)
}

// frame handles interleaved data (RFC 2326 section 10.12). What is on a channel of no track, or comes before PLAY, is of
// somebody else: some cameras mix up the connections of sessions that ended badly (live555 before 2017).
func (s *session) frame(channel byte, b []byte) error {
	if !s.playing || s.leaving || s.over != TCP {
		return nil
	}
	for _, t := range s.tracks {
		switch channel {
		case t.channel:
			return t.packet(b, s.conn.arrival)
		case t.control:
			t.report(b, s.conn.arrival)
			return nil
		}
	}
	return nil
}

// leave says goodbye, so that the camera does not go on sending to nobody, and closes what is open.
func (s *session) leave(cause error) {
	s.leaving = true
	if s.conn != nil && s.id != "" {
		if err := s.goodbye(); err != nil && s.over == UDP && !errors.Is(err, os.ErrDeadlineExceeded) {
			// The datagrams do not end with the connection: say it on another.
			s.disconnect()
			ctx, cancel := context.WithTimeout(context.Background(), farewell)
			if s.connect(ctx) == nil {
				s.goodbye()
			}
			cancel()
		}
	}
	for _, t := range s.tracks {
		t.close()
	}
	if s.conn != nil {
		s.c.counters.skipped.Add(s.conn.skipped)
	}
	s.disconnect()
}

// goodbye sends TEARDOWN and waits a little for the answer.
func (s *session) goodbye() error {
	s.stop()
	deadline := s.o.Now().Add(farewell)
	s.conn.revive(deadline)
	if s.over == TCP && s.playing {
		s.byes()
		s.conn.revive(deadline)
	}
	s.cseq++
	headers := []header{{"Session", s.id}}
	if v := s.auth.header("TEARDOWN", s.aggregate); v != "" {
		headers = append(headers, header{"Authorization", v})
	}
	if _, err := s.conn.Write(appendRequest(nil, "TEARDOWN", s.aggregate, s.cseq, headers)); err != nil {
		return err
	}
	_, err := s.await(s.cseq, deadline)
	return err
}

// hostOf returns the camera's address as its connection has it; nil when it is no IP connection.
func (s *session) hostOf() net.IP {
	if a, ok := s.conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP
	}
	return nil
}
