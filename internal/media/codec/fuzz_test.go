package codec

import (
	"bytes"
	"testing"

	"nightjar/internal/media"
)

func FuzzH264SPS(f *testing.F) {
	f.Add(sps264{profile: 100, level: 40, chroma: 1, refs: 1, width: 120, height: 68, crop: [4]uint32{0, 0, 0, 4}, vui: timing(1, 50, 1)}.nal())
	f.Add(sps264{profile: 244, level: 40, chroma: 3, orderType: 1, refs: 1, width: 120, height: 34, fields: true}.nal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseH264SPS(b)
		if err != nil {
			return
		}
		if s.Width == 0 || s.Height == 0 || int(s.Width) > int(s.WidthMBs)*16 || int(s.Height) > int(s.HeightMBs)*16 {
			t.Errorf("size %+v", s)
		}
		if d := s.ReorderDepth(); d < 0 || d > 16 {
			t.Errorf("reorder depth %d", d)
		}
		if d := s.FrameDuration(); d < 0 || d > 60*media.TicksPerSecond {
			t.Errorf("duration %d", d)
		}
		roundTrip(t, func() (*media.Track, error) { return H264Track(0, [][]byte{b}, [][]byte{{0x68, 0xce, 0x3c, 0x80}}) })
	})
}

func FuzzH264PPS(f *testing.F) {
	f.Add([]byte{0x68, 0xce, 0x3c, 0x80})
	f.Add([]byte{0x68, 0xeb, 0xc3, 0xcb, 0x22, 0xc0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseH264PPS(b); err == nil && (p.SPSID > 31 || p.SliceGroups < 1 || p.SliceGroups > 8) {
			t.Errorf("%+v", p)
		}
	})
}

var exampleVPS = []byte{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0x95, 0x98, 0x09}

func FuzzH265Sets(f *testing.F) {
	f.Add(exampleVPS, sps265(), []byte{0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40})
	f.Fuzz(func(t *testing.T, vps, sps, pps []byte) {
		if v, err := ParseH265VPS(vps); err == nil && (v.SubLayers < 1 || v.SubLayers > 7) {
			t.Errorf("%+v", v)
		}
		if p, err := ParseH265PPS(pps); err == nil && (p.ID > 63 || p.SPSID > 15) {
			t.Errorf("%+v", p)
		}
		if s, err := ParseH265SPS(sps); err == nil {
			if s.Width == 0 || s.Height == 0 || s.Width > s.CodedWidth || s.Height > s.CodedHeight || s.MaxReorder > 15 {
				t.Errorf("%+v", s)
			}
		}
		roundTrip(t, func() (*media.Track, error) { return H265Track(0, [][]byte{vps}, [][]byte{sps}, [][]byte{pps}) })
	})
}

// roundTrip: what a track's sample entry says gives the same sample entry.
func roundTrip(t *testing.T, build func() (*media.Track, error)) {
	t.Helper()
	track, err := build()
	if err != nil {
		return
	}
	e, err := ParseSampleEntry(track.SampleEntry)
	if err != nil {
		t.Fatalf("%x: %v", track.SampleEntry, err)
	}
	var again *media.Track
	if e.Codec == media.H264 {
		again, err = H264Track(0, e.SPS, e.PPS)
	} else {
		again, err = H265Track(0, e.VPS, e.SPS, e.PPS)
	}
	if err != nil || !bytes.Equal(again.SampleEntry, track.SampleEntry) || again.RFC6381 != track.RFC6381 {
		t.Errorf("%x became %+v, %v", track.SampleEntry, again, err)
	}
}

func FuzzSplitAnnexB(f *testing.F) {
	f.Add([]byte("\x00\x00\x01a\x00\x00\x00\x01b\x00\x00\x03\x01c\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		prefixed := ToLengthPrefixed(nil, b)
		stream, err := ToAnnexB(nil, prefixed)
		if err != nil {
			t.Fatal(err)
		}
		if again := ToLengthPrefixed(nil, stream); !bytes.Equal(again, prefixed) {
			t.Errorf("%x became %x", prefixed, again)
		}
		SplitAnnexB(b, func(nal []byte) {
			if len(nal) == 0 || HasStartCode(nal) || nal[len(nal)-1] == 0 {
				t.Errorf("unit %x", nal)
			}
		})
	})
}

func FuzzAccessUnit(f *testing.F) {
	f.Add(ToLengthPrefixed(nil, []byte("\x00\x00\x01\x67a\x00\x00\x01\x68b\x00\x00\x01\x65\x88")), uint8(0))
	f.Add([]byte{0, 0, 0, 3, 0x26, 1, 0x80, 0, 0, 0, 9}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, maxTemporalID uint8) {
		var u, again Unit
		for _, analyze := range []func(*Unit) error{
			func(u *Unit) error { return u.AnalyzeH264(b) },
			func(u *Unit) error { return u.AnalyzeH265(b, maxTemporalID) },
		} {
			err := analyze(&u)
			if u.Droppable && u.Key || u.Key && u.Slices == 0 || u.Slices+u.SEIs+u.AUDs+len(u.Sets()) > u.NALs {
				t.Errorf("%+v", u)
			}
			if analyze(&again); err == nil && again.Flags() != u.Flags() {
				t.Errorf("second time %+v", again)
			}
			if stream, e := ToAnnexB(nil, b); (e == nil) != (err == nil) || e == nil && len(stream) != len(b) {
				t.Errorf("%v, but %v", err, e)
			}
		}
	})
}

func FuzzBoundary(f *testing.F) {
	stream := append([]byte{0, 0, 1}, sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30}.nal()...)
	stream = append(stream, "\x00\x00\x01\x68\xce\x3c\x80\x00\x00\x01"...)
	stream = append(append(stream, slice264(0x65, 0, 0, 0, 0)...), 0, 0, 1)
	f.Add(append(stream, slice264(0x41, 0, 1, 0, 2)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d4 H264Boundary
		var d5 H265Boundary
		first := true
		SplitAnnexB(b, func(nal []byte) {
			if (d4.Starts(nal) || d5.Starts(nal)) && first {
				t.Error("the first unit begins a second access unit")
			}
			first = false
		})
	})
}

func FuzzAudioSpecificConfig(f *testing.F) {
	for _, s := range []string{"1190", "2b098800", "130856e59d4880", "f8e63000", "17805dc010"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := AACTrack(1, b)
		if err != nil {
			return
		}
		c, err := ParseAudioSpecificConfig(b)
		if err != nil || AACFrames(&c) == 0 || c.Channels == 0 || track.ClockRate == 0 {
			t.Errorf("%+v, %v", c, err)
		}
		if again, err := TrackOf(1, track.SampleEntry); err != nil || again.RFC6381 != track.RFC6381 || !bytes.Equal(again.SampleEntry, track.SampleEntry) {
			t.Errorf("%+v became %+v, %v", track, again, err)
		}
	})
}

func FuzzADTS(f *testing.F) {
	f.Add([]byte{0xff, 0xf1, 0xac, 0x40, 0x48, 0x3f, 0xfc})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseADTS(b)
		if err != nil {
			return
		}
		asc, err := h.AudioSpecificConfig()
		if err != nil {
			return
		}
		c, err := ParseAudioSpecificConfig(asc)
		if err != nil || c.ObjectType != h.ObjectType || c.SampleRate != h.SampleRate || c.ChannelConfig != h.ChannelConfig {
			t.Errorf("%+v became %+v, %v", h, c, err)
		}
	})
}

func FuzzLATM(f *testing.F) {
	f.Add(unhex(f, "400026203fc0"), []byte{3, 1, 2, 3})
	f.Add(unhex(f, "400026203fc0"), append([]byte{0x20, 0, 0x13, 0x10, 0x1f, 0xe0}, 3, 1, 2, 3))
	f.Fuzz(func(t *testing.T, config, element []byte) {
		total := 0
		count := func(u []byte) { total += len(u) }
		c, err := ParseStreamMuxConfig(config)
		if err == nil {
			if inner, err := ParseAudioSpecificConfig(c.ASC); err != nil && inner.ObjectType != 0 {
				t.Errorf("%x: %v", c.ASC, err)
			}
			_ = c.Split(element, count)
			if total > len(element) {
				t.Errorf("%d bytes of %d", total, len(element))
			}
		} else {
			c = nil
		}
		total = 0
		_, _ = SplitWithConfig(c, element, count)
		if total > len(element) {
			t.Errorf("%d bytes of %d", total, len(element))
		}
	})
}

func FuzzOpusFrames(f *testing.F) {
	f.Add([]byte{0x7b, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := OpusFrames(b); err == nil && (n < 120 || n > 5760 || n%120 != 0) {
			t.Errorf("%d", n)
		}
	})
}

func FuzzG726Swap(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6}, uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		got := bytes.Clone(b)
		G726Swap(got, n)
		if n == 4 { // swapping half bytes twice changes nothing
			if G726Swap(got, n); !bytes.Equal(got, b) {
				t.Errorf("%x became %x", b, got)
			}
		}
	})
}

func FuzzSampleEntry(f *testing.F) {
	for _, track := range examples(f) {
		f.Add(track.SampleEntry)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := TrackOf(3, b)
		if err != nil {
			return
		}
		again, err := TrackOf(3, track.SampleEntry)
		if err != nil || again.Codec != track.Codec || again.RFC6381 != track.RFC6381 || !bytes.Equal(again.SampleEntry, b) {
			t.Errorf("%+v became %+v, %v", track, again, err)
		}
	})
}

func FuzzJPEGSize(f *testing.F) {
	f.Add(unhex(f, "ffd8ffe000044a46ffc0000b0801e0028001011100"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, h, err := JPEGSize(b); err == nil && (w == 0 || h == 0) {
			t.Errorf("%dx%d", w, h)
		}
	})
}
