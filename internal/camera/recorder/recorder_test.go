package recorder

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// hand feeds a recorder sample by sample in synthetic time.
type hand struct {
	t     *testing.T
	s     *site
	r     *Recorder
	track *media.Track
	time  media.Time
	skew  time.Duration // of the wall clock against the monotonic one, after it was set
}

func newHand(t *testing.T) *hand {
	s := newSite(t, 1)
	return &hand{t: t, s: s, r: s.recorder(0), track: videoTrack("first")}
}

// set says that the wall clock was set by d while the monotonic clock went on. A time.Time whose two readings disagree
// can't be made by hand, so the run is made to believe that its wall clock began that much earlier.
func (h *hand) set(d time.Duration) { h.skew += d }

// sample hands on one sample that arrives now.
func (h *hand) sample(key bool, data string) error {
	s := media.Sample{Track: h.track, Time: h.time, Arrival: time.Now(), Data: []byte(data)}
	if key {
		s.Flags = media.Key
	}
	if h.r.writer != nil {
		h.r.clock.wall = h.r.clock.wall.Add(-media.WallDurationOf(h.skew))
		h.skew = 0
	}
	return h.r.Write(s, func() media.Clocks { return media.Clocks{Wall: s.Arrival} })
}

// play sends pictures at 10 a second with a key sample every gop, from a key sample on.
func (h *hand) play(pictures, gop int) {
	h.t.Helper()
	for i := range pictures {
		if err := h.sample(i%gop == 0, "picture"); err != nil {
			h.t.Fatal(err)
		}
		h.next()
	}
}

func (h *hand) next() {
	h.time += media.TicksPerSecond / 10
	time.Sleep(100 * time.Millisecond)
}

// list ends the run and returns everything that was recorded, with blobs.
func (h *hand) list() (list []*recording.Description) {
	h.t.Helper()
	if err := h.r.End(recording.CameraClosed, "end of the script"); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(5 * time.Minute)
	for _, d := range h.s.recordings(0) {
		full, err := h.s.archive.Describe(context.Background(), d.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		list = append(list, full)
	}
	return list
}

// TestParameterChange changes the parameters before, on and after the key sample of a planned rotation: every recording
// names the parameters that its samples need, the run goes on without a gap, and no sample is lost.
func TestParameterChange(t *testing.T) {
	for _, when := range []struct {
		name string
		at   int // pictures before the change
	}{{"before", 560}, {"on", 600}, {"after", 620}} {
		t.Run(when.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHand(t)
				defer h.s.stop()
				// Synthetic time begins on a full minute, and this is the only stream: rotations are due every 600 pictures.
				h.play(when.at, 20)
				h.track = videoTrack("second, of another size")
				h.play(1220-when.at, 20)
				list := h.list()
				samples, run := int32(0), list[0].RunUUID
				for i, d := range list {
					want := "first"
					if samples >= int32(when.at) {
						want = "second, of another size"
					}
					if got := string(d.Tracks[0].Entry.Data); got != want {
						t.Errorf("recording %d names the parameters %q, its samples need %q", i, got, want)
					}
					samples += d.Tracks[0].Samples
					if d.RunUUID != run || i > 0 && d.Start != list[i-1].End() {
						t.Errorf("recording %d is not of the same run without a gap", i)
					}
				}
				if samples != 1220 {
					t.Errorf("%d samples recorded of 1220", samples)
				}
			})
		})
	}
}

// TestParameterChangeWithoutKey ends the run: what follows can't be decoded until a key sample comes.
func TestParameterChangeWithoutKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		h.play(105, 20)
		h.track = videoTrack("second")
		for range 5 {
			if err := h.sample(false, "undecodable"); err != nil {
				t.Fatal(err)
			}
			h.next()
		}
		h.play(100, 20)
		list := h.list()
		if len(list) != 2 || list[0].EndReason != recording.ParameterChange || list[0].Tracks[0].Samples != 105 || list[1].Tracks[0].Samples != 100 {
			t.Fatalf("%d recordings: %+v", len(list), list[0])
		}
		gaps, err := h.s.archive.Catalog().Gaps(context.Background(), h.s.streams[0].ID, 0, 1<<62)
		if err != nil || len(gaps) != 2 || gaps[0].Reason != recording.ParameterChange || gaps[0].Start != list[0].End() || gaps[0].End != list[1].Start {
			t.Errorf("gaps %+v, %v", gaps, err)
		}
	})
}

// TestLongGOP records groups of pictures of minutes, and gives up a recording after five minutes without a key sample.
func TestLongGOP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		h.play(3*1500, 1500) // a key sample every two and a half minutes
		list := h.list()
		if len(list) != 3 {
			t.Fatalf("%d recordings of three groups", len(list))
		}
		for i, d := range list {
			if d.Tracks[0].Samples != 1500 || d.Tracks[0].SyncSamples != 1 {
				t.Errorf("recording %d: %d samples, %d key", i, d.Tracks[0].Samples, d.Tracks[0].SyncSamples)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		h.play(4000, 4000) // six minutes and forty seconds
		h.play(100, 20)
		list := h.list()
		if len(list) != 2 || list[0].EndReason != recording.NoKeySample {
			t.Fatalf("%d recordings, the first ends with %q", len(list), list[0].EndReason)
		}
		if d := list[0].WallDuration; d > 5*minute || d < 4*minute {
			t.Errorf("a recording of %v", d.Std())
		}
	})
}

// TestCameraClockJumps ends the session: times go back further than reordering explains.
func TestCameraClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		h.play(100, 20)
		h.time -= 90_000 * 5
		err := h.sample(true, "from the past")
		var reason *recording.Error
		if !errors.As(err, &reason) || reason.Reason != recording.ClockStep {
			t.Fatalf("got %v", err)
		}
		h.time += 90_000 * 60
		h.play(100, 20)
		list := h.list()
		if len(list) != 2 || list[0].EndReason != recording.ClockStep || list[0].RunUUID == list[1].RunUUID {
			t.Fatalf("%d recordings, the first ends with %q", len(list), list[0].EndReason)
		}
	})
}

// TestServerClockIsSet: a small correction flows in slowly, a step forward begins another run at the new time, a step back
// leaves the run alone.
func TestServerClockIsSet(t *testing.T) {
	for _, c := range []struct {
		name string
		by   time.Duration
		runs int
	}{{"a second forward", time.Second, 1}, {"an hour forward", time.Hour, 2}, {"an hour back", -time.Hour, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHand(t)
				defer h.s.stop()
				h.play(900, 20)
				h.set(c.by)
				h.play(1800, 20)
				list := h.list()
				runs := map[recording.UUID]bool{}
				samples := int32(0)
				for i, d := range list {
					runs[d.RunUUID] = true
					samples += d.Tracks[0].Samples
					if i > 0 && d.Start < list[i-1].End() {
						t.Errorf("recording %d begins %v before its predecessor ends", i, list[i-1].End().Sub(d.Start).Std())
					}
					limit := d.MediaDuration.AsWall()/slew + 1
					if off := d.WallDuration - d.MediaDuration.AsWall(); off > limit || off < -limit {
						t.Errorf("recording %d: wall and media duration differ by %v, more than 500 ppm", i, off.Std())
					}
				}
				if len(runs) != c.runs || samples != 2700 {
					t.Errorf("%d runs with %d samples, want %d with 2700", len(runs), samples, c.runs)
				}
			})
		})
	}
}

// TestOldPicturesFirst settles the start by the least-delayed sample: a camera that begins with what it had stored does
// not make the run begin late.
func TestOldPicturesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		begun := time.Now()
		time.Sleep(2 * time.Second)
		for i := range 20 { // two seconds of pictures at once
			if err := h.sample(i == 0, "stored"); err != nil {
				t.Fatal(err)
			}
			h.time += media.TicksPerSecond / 10
		}
		if got := h.s.recordings(0); len(got) != 0 {
			t.Errorf("listed before its start is settled: %+v", got)
		}
		h.play(100, 20)
		list := h.list()
		if want := media.WallTimeOf(begun); list[0].Start != want {
			t.Errorf("starts %v off", list[0].Start.Sub(want).Std())
		}
	})
}

// TestSoundBesidePictures records a second track from the first picture on.
func TestSoundBesidePictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		sound := &media.Track{Index: 1, Kind: media.Audio, Codec: media.PCMA, ClockRate: 8000, SampleEntry: []byte("alaw"), Channels: 1, BytesPerFrame: 1}
		write := func() {
			s := media.Sample{Track: sound, Flags: media.Key, Time: h.time, Frames: 800, Arrival: time.Now(), Data: make([]byte, 800)}
			if err := h.r.Write(s, func() media.Clocks { return media.Clocks{} }); err != nil {
				t.Fatal(err)
			}
		}
		write() // before the first picture: passed over
		for i := range 300 {
			if err := h.sample(i%20 == 0, "picture"); err != nil {
				t.Fatal(err)
			}
			write()
			h.next()
		}
		list := h.list()
		var samples int32
		for _, d := range list {
			if len(d.Tracks) != 2 {
				t.Fatalf("%d tracks", len(d.Tracks))
			}
			samples += d.Tracks[1].Samples
		}
		if samples != 300 {
			t.Errorf("%d sound samples of 300", samples)
		}
	})
}

// TestArchiveRefuses ends the run with the archive's reason and begins another when it takes samples again; the session
// goes on.
func TestArchiveRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		h.play(100, 20)
		w := h.r.writer
		w.Abandon(recording.DiskError, "scripted") // what follows is refused
		h.play(40, 20)
		h.play(100, 20)
		list := h.list()
		if len(list) != 1 || list[0].Tracks[0].Samples < 100 {
			t.Fatalf("%d recordings", len(list))
		}
		gaps, err := h.s.archive.Catalog().Gaps(context.Background(), h.s.streams[0].ID, 0, 1<<62)
		if err != nil || len(gaps) == 0 || gaps[0].Reason != recording.DiskError || gaps[0].End != list[0].Start {
			t.Errorf("gaps %+v, %v", gaps, err)
		}
	})
}

// TestGapGoesOn continues the gap of an earlier process, with a new entry when the reason changes.
func TestGapGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		defer h.s.stop()
		for _, reason := range []recording.Reason{recording.CameraOffline, recording.CameraOffline, recording.Refused, recording.AuthFailed} {
			if err := h.r.End(reason, "scripted"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		h.play(100, 20)
		start := h.list()[0].Start
		gaps, err := h.s.archive.Catalog().Gaps(context.Background(), h.s.streams[0].ID, 0, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		want := []recording.Reason{recording.CameraOffline, recording.Refused, recording.AuthFailed, recording.CameraClosed}
		if len(gaps) != len(want) {
			t.Fatalf("gaps %+v", gaps)
		}
		for i, g := range gaps[:3] {
			next := start
			if i < 2 {
				next = gaps[i+1].Start
			}
			if g.Reason != want[i] || g.Open || g.End != next {
				t.Errorf("gap %d: %+v", i, g)
			}
		}
	})
}
