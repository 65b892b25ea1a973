package camsim

import (
	"errors"
	"time"
)

// setFault switches a fault and carries out what happens once.
func (s *stream) setFault(f Fault) error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.faults.set(f); err != nil {
		return err
	}
	if t := s.faults.ends[f.Kind]; t != nil {
		t.Stop()
		delete(s.faults.ends, f.Kind)
	}
	if s.faults.stallFor > 0 && f.Kind == Stall {
		s.endLater(Stall, s.faults.stallFor)
	}
	if s.faults.once.fresh && s.opened {
		return s.renew(s.enc.width, s.enc.height)
	}
	return s.once(s.faults.once, now)
}

// endLater switches a fault off after d.
func (s *stream) endLater(k Kind, d time.Duration) {
	if s.faults.ends == nil {
		s.faults.ends = map[Kind]*time.Timer{}
	}
	s.faults.ends[k] = time.AfterFunc(d, func() { s.setFault(Fault{k, "off"}) })
}

// once carries out what a fault does at once. Called under s.mu.
func (s *stream) once(o once, now time.Time) error {
	switch o.kind {
	case Burst:
		s.hold = now.Add(o.d)
	case Drift:
		s.clock.drift(now, o.f)
	case ClockStep:
		s.clock.step(o.d)
	case TimeJump:
		s.eachOutlet(func(x *outlet) { x.offset += uint32(o.n) })
	case NewSSRC:
		s.eachOutlet(func(x *outlet) { x.ssrc = s.rng.Uint32() })
	case Parameters:
		return s.changeParameters(o.w, o.h)
	case Reset, Close:
		for _, x := range s.sessions {
			if x.conn != nil {
				x.conn.fail(string(o.kind), o.kind == Reset)
			}
		}
	case Nonce:
		for _, x := range s.sessions {
			if x.conn != nil {
				x.conn.renewNonce()
			}
		}
	}
	return nil
}

func (s *stream) eachOutlet(f func(*outlet)) {
	for _, x := range s.sessions {
		for _, o := range x.outlets {
			f(o)
		}
	}
}

// changeParameters gives the stream new parameter sets: another level, or with a size other than 0x0 another encoder.
func (s *stream) changeParameters(w, h int) error {
	if err := s.open(); err != nil {
		return err
	}
	g, ok := s.video.(*generated)
	if !ok {
		return errors.New("parameter change: the stream's pictures come from a file")
	}
	if w == 0 {
		g.nextLevel()
		s.forceKey = true
		return nil
	}
	return s.renew(w, h)
}

// renew replaces the encoder. The first picture of the new one is a key sample.
func (s *stream) renew(w, h int) error {
	old, ok := s.video.(*generated)
	if !ok {
		return nil
	}
	g, err := newGenerated(s.pictureOptions(w, h))
	if err != nil {
		return err
	}
	g.level = old.level
	s.video, s.enc.width, s.enc.height = g, w, h
	return nil
}
