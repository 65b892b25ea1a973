package codec

import (
	"errors"
	"testing"

	"nightjar/internal/media"
)

func TestParameterSetsOfStreams(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes int // access units after which the track is another one
		first   [2]uint16
		last    [2]uint16
	}{
		{"es/exnvr_30fps_10s.h264", 1, [2]uint16{640, 480}, [2]uint16{640, 480}},
		{"es/kvs.h265", 1, [2]uint16{640, 360}, [2]uint16{640, 360}},
		{"es/membrane/input-60-640x480-variable-parameters.h265", 3, [2]uint16{640, 480}, [2]uint16{640, 480}},
		{"es/membrane/input-30-240p-vp-sps-pps.h264", 2, [2]uint16{428, 240}, [2]uint16{428, 240}},
		{"es/openh264/MPS_MW_A.264", 1, [2]uint16{176, 144}, [2]uint16{176, 144}},
	} {
		codec := media.H264
		starts := new(H264Boundary).Starts
		if c.name[len(c.name)-1] == '5' {
			codec, starts = media.H265, new(H265Boundary).Starts
		}
		sets := NewParameterSets(codec)
		changes := 0
		var first, last [2]uint16
		var au []byte
		var u Unit
		flush := func() {
			var err error
			if codec == media.H265 {
				err = u.AnalyzeH265(au, sets.MaxTemporalID())
			} else {
				err = u.AnalyzeH264(au)
			}
			if err != nil {
				t.Fatal(err)
			}
			if sets.Update(&u) {
				changes++
				track, err := sets.Track(0)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if last = [2]uint16{track.Width, track.Height}; changes == 1 {
					first = last
				}
				if !u.Key {
					t.Errorf("%s: change %d is not on a key", c.name, changes)
				}
			}
			if sets.Update(&u) {
				t.Errorf("%s: the same sets again are a change", c.name)
			}
			au = au[:0]
		}
		SplitAnnexB(corpus(t, c.name), func(nal []byte) {
			if starts(nal) {
				flush()
			}
			au = AppendNAL(au, nal)
		})
		flush()
		if changes != c.changes || first != c.first || last != c.last {
			t.Errorf("%s: %d changes, %v to %v", c.name, changes, first, last)
		}
	}
}

func TestParameterSets(t *testing.T) {
	small := sps264{profile: 77, level: 30, refs: 1, width: 20, height: 15}
	large := small
	large.width, large.height = 40, 30
	pps := []byte{0x68, 0xce, 0x3c, 0x80}
	glued := append(append([]byte{0, 0, 0, 1}, small.nal()...), append([]byte{0, 0, 1}, pps...)...)

	p := NewParameterSets(media.H264)
	if _, err := p.Track(0); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("nothing learnt: %v", err)
	}
	if !p.LearnAll([][]byte{glued}) || p.LearnAll([][]byte{small.nal(), pps}) {
		t.Error("what is new")
	}
	if track, err := p.Track(0); err != nil || track.Width != 320 {
		t.Errorf("%+v, %v", track, err)
	}
	if p.Learn(small.nal()[:7]) || p.Learn([]byte{0x65, 0x88}) || p.Learn(nil) || p.Learn([]byte{0x6f, 1, 2, 3, 4}) {
		t.Error("something that is no good set changed something")
	}
	if !p.Learn(append(large.nal(), 0, 0)) || p.Learn(large.nal()) {
		t.Error("a set with the same id")
	}
	track, err := p.Track(0)
	if err != nil || track.Width != 640 {
		t.Errorf("%+v, %v", track, err)
	}
	if e, err := ParseSampleEntry(track.SampleEntry); err != nil || len(e.SPS) != 1 {
		t.Errorf("the replaced set is still there: %+v, %v", e, err)
	}
	same := large.nal()
	if got := testing.AllocsPerRun(50, func() { p.Learn(same) }); got != 0 {
		t.Errorf("%v allocations for a known set", got)
	}
	if _, err := NewParameterSets(media.MJPEG).Track(0); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a codec without sets: %v", err)
	}
	h265 := NewParameterSets(media.H265)
	h265.LearnAll([][]byte{exampleVPS, sps265()})
	if h265.MaxTemporalID() != 2 {
		t.Errorf("highest sub-layer %d", h265.MaxTemporalID())
	}
}
