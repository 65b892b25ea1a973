package recorder

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// ledger lists the gaps of the first stream that have a length, after all was flushed.
func (s *site) ledger() (list []catalog.Gap) {
	s.t.Helper()
	time.Sleep(5 * time.Minute)
	gaps, err := s.archive.Catalog().Gaps(context.Background(), s.streams[0].ID, 0, 1<<62)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range gaps {
		if g.Open || g.End > g.Start {
			list = append(list, g)
		}
	}
	return list
}

// TestNeverReached adds a camera that is only found to be unreachable after ten seconds: those are missing too.
func TestNeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		defer s.stop()
		began := media.WallTimeOf(time.Now())
		r := s.recorder(0)
		time.Sleep(10 * time.Second)
		r.End(recording.CameraOffline, "no answer")
		time.Sleep(time.Minute)
		r.End(recording.CameraOffline, "no answer")
		r.End(recording.ServerStopped, "the server was stopped")
		list := s.ledger()
		if len(list) != 2 || list[0].Start != began || list[0].Reason != recording.CameraOffline || list[0].End != list[1].Start || !list[1].Open {
			t.Errorf("began %d, gaps %+v", began, list)
		}
	})
}

// TestFirstSampleRefused lets the archive refuse the very first sample of a run (it is larger than all memory): what is
// missing is one unbroken row of gaps up to the run that works.
func TestFirstSampleRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		defer s.stop()
		r := s.recorder(0)
		began := media.WallTimeOf(time.Now())
		r.End(recording.Refused, "not yet")
		clocks := func() media.Clocks { return media.Clocks{Wall: time.Now()} }
		track := videoTrack("entry")
		track.FrameDuration = 9000
		time.Sleep(time.Second)
		if err := r.Write(media.Sample{Track: track, Time: 0, Arrival: time.Now(), Flags: media.Key, Data: make([]byte, 20<<20)}, clocks); err != nil {
			t.Error(err)
		}
		for i := range 100 {
			time.Sleep(100 * time.Millisecond)
			sample := media.Sample{Track: track, Time: media.Time(9000 * (i + 1)), Arrival: time.Now(), Data: payload}
			if i%10 == 0 {
				sample.Flags = media.Key
			}
			if err := r.Write(sample, clocks); err != nil {
				t.Error(err)
			}
		}
		r.End(recording.ServerStopped, "end of the test")
		list, kept := s.ledger(), s.recordings(0)
		if len(kept) != 1 {
			t.Fatalf("recordings: %+v", kept)
		}
		at := began
		for _, g := range list {
			if g.Start == kept[0].Start {
				break
			}
			if g.Start != at {
				t.Errorf("a hole in the ledger: %d ticks before %+v", g.Start-at, g)
			}
			if at = g.End; at >= kept[0].Start {
				break
			}
		}
		if at != kept[0].Start {
			t.Errorf("gaps end at %d, the recording begins at %d: %+v", at, kept[0].Start, list)
		}
	})
}

// TestRotationRefused lets the archive take no further recording at a rotation: the gap begins where the recording before
// it ends, however late the sample of the rotation came.
func TestRotationRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closed := newSite(t, 1), newSite(t, 1)
		defer s.stop()
		closed.stop()
		r := s.recorder(0)
		f := feed{track: videoTrack("entry"), rate: 10, gop: 20, duration: time.Minute}
		f.run(t, r)
		for r.slot().next(r.clock.start) > r.clock.start.Add(r.clock.duration(r.last+9000)) {
			t.Fatal("the rotation is not due")
		}
		time.Sleep(time.Second)
		r.o.Archive = closed.archive
		sample := media.Sample{Track: f.track, Time: 60*second + 777, Arrival: time.Now(), Flags: media.Key, Data: payload}
		if err := r.Write(sample, func() media.Clocks { return media.Clocks{} }); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
		kept := s.recordings(0)
		if len(kept) != 1 || r.gap == nil || r.gap.Start != kept[0].End() {
			t.Errorf("gap %+v after %+v", r.gap, kept)
		}
	})
}

// TestOldPicturesAfterReconnect lets the camera begin each session with the two seconds of pictures before it, as many
// do: recordings never overlap.
func TestOldPicturesAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		defer s.stop()
		r := s.recorder(0)
		track := videoTrack("entry")
		for session := range 3 {
			for i := range 100 {
				if i > 20 {
					time.Sleep(100 * time.Millisecond)
				}
				sample := media.Sample{Track: track, Time: media.Time(9000 * i), Arrival: time.Now(), Data: payload}
				if i%10 == 0 {
					sample.Flags = media.Key
				}
				if err := r.Write(sample, func() media.Clocks { return media.Clocks{Wall: time.Now()} }); err != nil {
					t.Error(err)
				}
			}
			r.End(recording.CameraClosed, "the camera closed the connection")
			time.Sleep(time.Duration(session) * 500 * time.Millisecond)
			if session == 1 { // another process goes on
				gap := r.gap
				r = s.recorder(0)
				r.gap, r.ended = gap, New(Options{Gap: gap, Now: time.Now}).ended
			}
		}
		time.Sleep(5 * time.Minute)
		kept := s.recordings(0)
		if len(kept) != 3 {
			t.Fatalf("recordings: %+v", kept)
		}
		for i := 1; i < len(kept); i++ {
			if kept[i].Start < kept[i-1].End() {
				t.Errorf("recording %d begins %d ticks before the end of the one before it", i, kept[i-1].End()-kept[i].Start)
			}
		}
	})
}
