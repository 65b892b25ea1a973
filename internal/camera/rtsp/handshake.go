package rtsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// open does everything up to and including PLAY.
func (s *session) open(ctx context.Context) error {
	d, base, err := s.describe(ctx)
	if err != nil {
		return err
	}
	p, err := choose(d, s.o.Audio, s.o.Metadata)
	if err != nil {
		return explain("DESCRIBE "+s.address.uri, err)
	}
	s.aggregate = joinControl(base, d.control)
	if err := s.setUp(ctx, base, p); err != nil {
		return err
	}
	return s.play(ctx)
}

// describe asks what there is, following redirections.
func (s *session) describe(ctx context.Context) (*description, string, error) {
	for range maxRedirects {
		if err := s.options(ctx); err != nil {
			return nil, "", err
		}
		m, err := s.do(ctx, "DESCRIBE", s.address.uri, header{"Accept", "application/sdp"})
		var status *statusError
		if errors.As(err, &status) && status.answer.status/100 == 3 && status.answer.get("Location") != "" {
			if err := s.redirect(ctx, status.answer.get("Location")); err != nil {
				return nil, "", err
			}
			continue
		}
		if err != nil {
			return nil, "", explain("DESCRIBE "+s.address.uri, err)
		}
		d, err := parseDescription(m.body)
		if err != nil {
			return nil, "", fail(recording.ProtocolError, "DESCRIBE %s: %w", s.address.uri, err)
		}
		if id := m.get("Session"); id != "" {
			s.id, s.timeout = parseSession(id)
			s.id = "" // a session that DESCRIBE names (Wowza) begins with SETUP all the same
		}
		return d, baseURL(m, s.address.uri), nil
	}
	return nil, "", fail(recording.ProtocolError, "DESCRIBE %s: more than %d redirections", s.first.uri, maxRedirects)
}

// options asks what the camera can do. Whatever it answers is good enough; only a dead connection or refused credentials
// are not.
func (s *session) options(ctx context.Context) error {
	m, err := s.do(ctx, "OPTIONS", s.address.uri)
	var status *statusError
	if err != nil && !errors.As(err, &status) {
		return explain("OPTIONS "+s.address.uri, err)
	}
	if err == nil {
		s.parameter = strings.Contains(strings.ToUpper(m.get("Public")), "GET_PARAMETER")
	}
	return nil
}

// redirect goes to another place. Credentials are told to the same host alone.
func (s *session) redirect(ctx context.Context, location string) error {
	to, err := parseAddress(location)
	if err != nil {
		return fail(recording.ProtocolError, "DESCRIBE %s: the camera redirects to %s: %w", s.address.uri, location, err)
	}
	if s.address.tls && !to.tls {
		return fail(recording.ProtocolError, "DESCRIBE %s: the camera redirects from an encrypted to an open connection", s.address.uri)
	}
	same := to.dial == s.address.dial && to.tls == s.address.tls
	if !s.first.sameHost(&to) {
		s.auth = newCredentials("", secret.String{}, noScheme)
	}
	s.address = to
	if same {
		return nil
	}
	s.disconnect()
	return s.connect(ctx)
}

// setUp sets up the tracks of a plan. Without sound or metadata the video is still worth having.
func (s *session) setUp(ctx context.Context, base string, p plan) error {
	controls := map[string]bool{}
	for _, f := range []*format{p.video, p.audio, p.metadata} {
		if f == nil {
			continue
		}
		uri := joinControl(base, f.control)
		if f.kind != media.Video && controls[uri] {
			continue // two media can't be told apart by one URL
		}
		controls[uri] = true
		err := s.setUpTrack(ctx, uri, f)
		if err == nil {
			continue
		}
		var status *statusError
		if f.kind == media.Video || !errors.As(err, &status) {
			return explain("SETUP "+uri, err)
		}
	}
	for i, t := range s.tracks {
		t.index = i
	}
	return nil
}

func (s *session) setUpTrack(ctx context.Context, uri string, f *format) error {
	t := newTrack(s, f, uri)
	want := ""
	if s.over == UDP {
		if err := t.listen(ctx); err != nil {
			return err
		}
		want = fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", t.udp.ports[0], t.udp.ports[1])
	} else {
		t.channel = byte(2 * len(s.tracks))
		t.control = t.channel + 1
		want = fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", t.channel, t.control)
	}
	m, err := s.do(ctx, "SETUP", uri, header{"Transport", want})
	if err != nil {
		t.close()
		return err
	}
	if v := m.get("Session"); v != "" {
		s.id, s.timeout = parseSession(v)
	}
	got := parseTransport(m.get("Transport"))
	if got.hasSSRC {
		t.announce(got.ssrc)
	}
	s.tracks = append(s.tracks, t)
	if s.over == UDP {
		if got.tcp || got.multicast {
			return refuse("the camera answers a request for UDP with %q", m.get("Transport"))
		}
		t.aim(got)
		return nil
	}
	if got.channels {
		t.channel, t.control = got.interleaved[0], got.interleaved[1]
	}
	if got.serverPorts && !got.channels && !got.tcp {
		return &statusError{"SETUP", &message{status: 461, reason: "(it offers UDP where TCP was asked for)"}}
	}
	return nil
}

// play starts the flow.
func (s *session) play(ctx context.Context) error {
	s.playing = true
	for _, t := range s.tracks {
		t.punch()
	}
	m, err := s.do(ctx, "PLAY", s.aggregate, header{"Range", "npt=0.000-"})
	if err != nil {
		return explain("PLAY "+s.aggregate, err)
	}
	if v := m.get("Session"); v != "" {
		if id, timeout := parseSession(v); id == s.id && strings.Contains(strings.ToLower(v), "timeout") {
			s.timeout = timeout
		}
	}
	for _, info := range parseRTPInfo(m.get("RTP-Info")) {
		for _, t := range s.tracks {
			if controlMatches(info.url, t.uri) {
				t.info = info
				if info.hasSSRC {
					t.announce(info.ssrc)
				}
			}
		}
	}
	told := clockRange(m.get("Range"))
	if told.IsZero() {
		told = parseDate(m.get("Date"))
	}
	s.c.mu.Lock()
	s.c.clocks.PlayTime = told
	s.c.mu.Unlock()
	now := s.o.Now()
	s.played = now
	s.keepalive = now.Add(s.keepaliveInterval())
	s.report = now.Add(reportInterval)
	return nil
}

// keepaliveInterval is half of what the camera allows, 30 s at most.
func (s *session) keepaliveInterval() time.Duration {
	return max(min(s.timeout/2, 30*time.Second), time.Second)
}
