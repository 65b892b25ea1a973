package rtsp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

// receiveTCP reads until something ends the session.
func (s *session) receiveTCP(ctx context.Context) error {
	batch := s.batchFor()
	defer batch.end()
	for {
		if err := s.parse(); err != nil {
			return s.ended(err)
		}
		now := s.conn.now()
		next, err := s.due(now)
		if err != nil {
			return s.ended(err)
		}
		s.conn.readDeadline(batch.deadline(now, next))
		had := s.conn.w - s.conn.r
		err = s.conn.fill()
		batch.read(s.conn.w-s.conn.r-had, now)
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil) {
			return s.ended(err)
		}
	}
}

// parse handles everything whole that was read.
func (s *session) parse() error {
	for {
		kind, channel, data, m, err := s.conn.next()
		switch {
		case err != nil:
			return err
		case kind == nothing:
			return nil
		case kind == frame:
			err = s.frame(channel, data)
		default:
			err = s.message(m)
		}
		if err != nil {
			return err
		}
	}
}

// message handles what the camera says while data flows.
func (s *session) message(m *message) error {
	if m.request {
		return s.serve(m)
	}
	n, ok := m.cseq()
	method := s.pending[n]
	if ok {
		delete(s.pending, n)
	}
	switch {
	case m.status == 401 && method != "":
		// The nonce grew old; some cameras (Axis) ask again in the middle of a session.
		if s.auth.answer(parseChallenges(m.all("WWW-Authenticate")), false) {
			return s.alive()
		}
	case m.status >= 400 && method == "GET_PARAMETER":
		s.parameter = false // next time OPTIONS
	}
	return nil
}

// ended makes the error of Run of what ended the flow.
func (s *session) ended(err error) error {
	var other *otherTransport
	if errors.As(err, &other) {
		return err
	}
	return explain("receive from "+s.address.uri, err)
}

// due does what is to be done by now, and returns when to come back.
func (s *session) due(now time.Time) (time.Time, error) {
	if err := s.silence(now); err != nil {
		return now, err
	}
	if !now.Before(s.keepalive) {
		s.keepalive = now.Add(s.keepaliveInterval())
		if err := s.alive(); err != nil {
			return now, err
		}
	}
	if !now.Before(s.report) {
		s.report = now.Add(reportInterval)
		if err := s.reports(now); err != nil {
			return now, err
		}
	}
	next := s.keepalive
	for _, t := range [2]time.Time{s.report, s.silentAt()} {
		if t.Before(next) {
			next = t
		}
	}
	if !s.timeline.started {
		if t := s.played.Add(s.o.KeyTimeout); t.Before(next) {
			next = t
		}
	}
	return next, nil
}

// silentAt is when the camera has been silent for too long.
func (s *session) silentAt() time.Time {
	if s.lastVideo.IsZero() && s.patience > 0 {
		return s.played.Add(s.patience)
	}
	last := s.played
	if s.lastVideo.After(last) {
		last = s.lastVideo
	}
	return last.Add(s.o.Timeout)
}

// silence checks whether what should come comes.
func (s *session) silence(now time.Time) error {
	if !now.Before(s.silentAt()) {
		if s.lastVideo.IsZero() {
			err := fail(recording.Timeout, "receive from %s: the camera accepted PLAY over %v but sent no video", s.address.uri, s.over)
			if s.patience > 0 {
				return &otherTransport{err}
			}
			return err
		}
		return fail(recording.Timeout, "receive from %s: no video for %v", s.address.uri, s.o.Timeout)
	}
	if !s.timeline.started && !now.Before(s.played.Add(s.o.KeyTimeout)) {
		return s.tracks[0].noKey(s.o.KeyTimeout)
	}
	return nil
}

// maxPending bounds how many keepalives a camera may leave unanswered and still have recognised.
const maxPending = 16

// alive sends a keepalive. Whether the camera answers does not matter (GW Security does not).
func (s *session) alive() error {
	method := "OPTIONS"
	if s.parameter {
		method = "GET_PARAMETER"
	}
	cseq, err := s.send(method, s.aggregate, nil)
	if err != nil {
		return err
	}
	if len(s.pending) >= maxPending {
		clear(s.pending)
	}
	s.pending[cseq] = method
	return nil
}

// reports sends a receiver report for each track (RFC 3550 section 6.4.2).
func (s *session) reports(now time.Time) error {
	for _, t := range s.tracks {
		if !t.locked {
			continue
		}
		s.out = append(s.out[:0], '$', t.control, 0, 0)
		s.out = rtp.AppendReceiverReport(s.out, s.ssrc, t.reception.Block(&t.sequence, now))
		s.out = rtp.AppendDescription(s.out, s.ssrc, "nightjar")
		if err := s.sendControl(t); err != nil {
			return err
		}
	}
	return nil
}

// byes says that no more will be received.
func (s *session) byes() {
	for _, t := range s.tracks {
		s.out = append(s.out[:0], '$', t.control, 0, 0)
		s.out = rtp.AppendReceiverReport(s.out, s.ssrc)
		s.out = rtp.AppendBye(s.out, s.ssrc)
		if s.sendControl(t) != nil {
			return
		}
	}
}

// sendControl sends the RTCP packet in s.out behind the four bytes of an interleaved header.
func (s *session) sendControl(t *track) error {
	if t.udp != nil {
		t.udp.sendControl(s.out[4:])
		return nil
	}
	n := len(s.out) - 4
	s.out[2], s.out[3] = byte(n>>8), byte(n)
	if err := s.conn.send(s.out); err != nil {
		return fmt.Errorf("send a receiver report: %w", err)
	}
	return nil
}
