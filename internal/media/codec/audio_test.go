package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"nightjar/internal/media"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAudioSpecificConfig(t *testing.T) {
	for _, c := range []struct {
		in     string
		codecs string
		rate   uint32 // of the track
		chans  uint8
		frames uint32
	}{
		// What the SDPs of the shared test data have.
		{"1210", "mp4a.40.2", 44100, 2, 1024},
		{"1490", "mp4a.40.2", 12000, 2, 1024},
		{"1408", "mp4a.40.2", 16000, 1, 1024},
		{"1188", "mp4a.40.2", 48000, 1, 1024},
		{"1588", "mp4a.40.2", 8000, 1, 1024},
		{"1190", "mp4a.40.2", 48000, 2, 1024},
		{"1388", "mp4a.40.2", 22050, 1, 1024},
		{"119056e500", "mp4a.40.2", 48000, 2, 1024}, // the extension says that there is no SBR
		{"118856e500", "mp4a.40.2", 48000, 1, 1024},
		// Forms of the standard.
		{"2b098800", "mp4a.40.5", 48000, 1, 2048},       // hierarchical SBR, core at 24 kHz
		{"eb098800", "mp4a.40.29", 48000, 2, 2048},      // hierarchical SBR and PS
		{"131056e598", "mp4a.40.2", 48000, 2, 2048},     // SBR in the extension
		{"130856e59d4880", "mp4a.40.2", 48000, 2, 2048}, // SBR and PS in the extension
		{"1214", "mp4a.40.2", 44100, 2, 960},            // short frames
		{"1780bb8010", "mp4a.40.2", 96000, 2, 1024},     // explicit rate
		{"17805dc010", "mp4a.40.2", 48000, 2, 1024},     // explicit rate 48,000
		{"b98800", "mp4a.40.23", 48000, 1, 512},         // AAC-LD
		{"b98c00", "mp4a.40.23", 48000, 1, 480},
		{"f8e63000", "mp4a.40.39", 48000, 1, 480}, // AAC-ELD
		{"f8e62000", "mp4a.40.39", 48000, 1, 512},
		{"f8ec21a0", "mp4a.40.39", 48000, 1, 1024}, // AAC-ELD with SBR, core at 24 kHz
	} {
		track, err := AACTrack(1, unhex(t, c.in))
		if c.codecs == "" {
			if err == nil {
				t.Errorf("%s: not refused", c.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		config, err := ParseAudioSpecificConfig(unhex(t, c.in))
		if err != nil || track.RFC6381 != c.codecs || track.ClockRate != c.rate || track.Channels != c.chans || AACFrames(&config) != c.frames {
			t.Errorf("%s: %+v, %+v, %d frames, %v", c.in, track, config, AACFrames(&config), err)
		}
		again, err := TrackOf(1, track.SampleEntry)
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", track) {
			t.Errorf("%s: read back as %+v, %v", c.in, again, err)
		}
	}
}

func TestProgramConfig(t *testing.T) {
	w := new(bitWriter)
	w.u(5, 2).u(4, 3).u(4, 0).u(3, 0)                 // AAC-LC, 48 kHz, channels below
	w.u(4, 0).u(2, 1).u(4, 3)                         // tag, object type, rate
	w.u(4, 2).u(4, 0).u(4, 1).u(2, 1).u(3, 1).u(4, 0) // front, side, back, LFE, data, coupling
	w.u(1, 1).u(4, 0).u(1, 0).u(1, 1).u(3, 0)         // mixdown
	w.u(5, 0).u(5, 16).u(5, 16).u(4, 0).u(4, 0)       // a centre, two pairs, LFE, data
	for w.n%8 != 0 {
		w.u(1, 0)
	}
	w.u(8, 2).u(16, 0x6869)
	c, err := ParseAudioSpecificConfig(w.b)
	if err != nil || c.Channels != 6 || c.SampleRate != 48000 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRefusedAudioSpecificConfig(t *testing.T) {
	for in, want := range map[string]error{
		"":         ErrTruncated,
		"12":       ErrTruncated,
		"1690":     ErrInvalid,     // rate index 13
		"1248":     ErrInvalid,     // channel configuration 9
		"0a10":     ErrUnsupported, // wrong: object type 1 is AAC Main and fine; see below
		"4210":     ErrUnsupported, // CELP
		"f94c8000": ErrUnsupported, // USAC
		"2b0a1000": ErrUnsupported, // SBR at a rate that is no multiple
	} {
		_, err := AACTrack(1, unhex(t, in))
		if in == "0a10" {
			if err != nil {
				t.Errorf("AAC Main: %v", err)
			}
			continue
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", in, err, want)
		}
	}
}

func TestADTSFile(t *testing.T) {
	b := corpus(t, "media/androidx/bbb_1ch_8kHz_aac_lc.aac")
	units, config := 0, "" // the encoder that made the file calls its profile SSR
	for len(b) > 0 {
		h, err := ParseADTS(b)
		if err != nil {
			t.Fatalf("frame %d: %v", units, err)
		}
		if h.FrameSize > len(b) {
			t.Fatalf("frame %d of %d bytes is cut", units, h.FrameSize)
		}
		asc, err := h.AudioSpecificConfig()
		if err != nil {
			t.Fatal(err)
		}
		config = hex.EncodeToString(asc)
		units += h.Blocks
		b = b[h.FrameSize:]
	}
	if units != 25 || config != "1d88" {
		t.Errorf("%d access units of configuration %s", units, config)
	}
	for _, in := range []string{"", "fff15c40", "00f15c4000fffc", "fff17c4000fffc", "fff15c40003ffc"} {
		if _, err := ParseADTS(unhex(t, in)); err == nil {
			t.Errorf("%s: not refused", in)
		}
	}
	h, err := ParseADTS(unhex(t, "fff050001a1ffc"))
	if err != nil || h.HeaderSize != 9 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := h.AudioSpecificConfig(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("channel configuration 0: %v", err)
	}
}

func TestLATM(t *testing.T) {
	// RFC 6416 section 7.3.1: AAC-LC, 24 kHz, mono in 6 channels' clothing are other examples; this is the usual one.
	c, err := ParseStreamMuxConfig(unhex(t, "400026203fc0"))
	if err != nil || c.Config.SampleRate != 24000 || c.Config.Channels != 2 || c.SubFrames != 1 || !bytes.Equal(c.ASC[:2], []byte{0x13, 0x10}) {
		t.Fatalf("%+v, %v", c, err)
	}
	long := bytes.Repeat([]byte{7}, 300)
	element := append([]byte{255, 45}, long...)
	var got [][]byte
	keep := func(u []byte) { got = append(got, append([]byte(nil), u...)) }
	if err := c.Split(element, keep); err != nil || len(got) != 1 || !bytes.Equal(got[0], long) {
		t.Errorf("%d units, %v", len(got), err)
	}
	if err := c.Split(element[:200], keep); !errors.Is(err, ErrTruncated) {
		t.Errorf("a cut element: %v", err)
	}

	// Version 1 with its lengths, SBR in the extension, two sub-frames, other data, checksum; in band.
	w := new(bitWriter)
	mux := func() {
		w.u(1, 1).u(1, 0).u(2, 0).u(8, 0xff).u(1, 1).u(6, 1).u(4, 0).u(3, 0)
		w.u(2, 0).u(8, 44)
		for _, b := range unhex(t, "131056e598") {
			w.u(8, uint32(b))
		}
		w.u(4, 0).u(3, 0).u(8, 0xff).u(1, 1).u(2, 0).u(8, 5).u(1, 1).u(8, 0x5a)
	}
	w.u(1, 0)
	mux()
	w.u(8, 2).u(8, 0xaa).u(8, 0xbb).u(8, 1).u(8, 0xcc).u(5, 0)
	got = nil
	c, err = SplitWithConfig(nil, w.b, keep)
	if err != nil || fmt.Sprintf("%x", got) != "[aabb cc]" || c.SubFrames != 2 || c.Config.OutputRate != 48000 || !c.Config.SBR {
		t.Fatalf("%+v, %x, %v", c, got, err)
	}
	if _, err := AACTrack(1, c.ASC); err != nil {
		t.Errorf("the configuration inside: %v", err)
	}
	w = new(bitWriter)
	w.u(1, 1).u(8, 0).u(8, 1).u(8, 0xdd)
	got = nil
	if same, err := SplitWithConfig(c, w.b, keep); err != nil || same != c || fmt.Sprintf("%x", got) != "[ dd]" {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := SplitWithConfig(nil, w.b, keep); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("no configuration yet: %v", err)
	}
	if same, err := SplitWithConfig(c, []byte{0x00, 0x00}, keep); err == nil || same != c {
		t.Errorf("a broken configuration: %v", err)
	}
	for _, in := range []string{"", "40", "c0", "0000", "4012", "4000262030ff"} {
		if c, err := ParseStreamMuxConfig(unhex(t, in)); err == nil && in != "4000262030ff" {
			t.Errorf("%s: %+v", in, c)
		}
	}
}

func TestOpus(t *testing.T) {
	// Every configuration with one frame: RFC 6716 table 2, in tenths of a millisecond.
	tenths := []uint32{
		100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 100, 200,
		25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200,
	}
	for config, want := range tenths {
		for code, count := range []uint32{1, 2, 2} {
			got, err := OpusFrames([]byte{byte(config<<3 | code)})
			if err != nil || got != want*count*48/10 {
				t.Errorf("configuration %d code %d: %d, %v", config, code, got, err)
			}
		}
	}
	if got, err := OpusFrames([]byte{3<<3 | 3, 2}); err != nil || got != 5760 {
		t.Errorf("120 ms: %d, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {3}, {3, 0}, {3<<3 | 3, 3}, {0xff, 0x3f}} {
		if got, err := OpusFrames(bad); err == nil {
			t.Errorf("%x lasts %d", bad, got)
		}
	}
	if OpusChannels([]byte{4}) != 2 || OpusChannels([]byte{3}) != 1 || OpusChannels(nil) != 1 {
		t.Error("channels")
	}
}

func TestPCM(t *testing.T) {
	alaw := corpus(t, "audio/kvs.alaw")
	if got := G711Frames(alaw, 1); got != 160_000 {
		t.Errorf("%d instants of G.711", got)
	}
	if G711Frames(alaw[:321], 2) != 160 || L16Frames(alaw[:642], 2) != 160 || L16Frames(alaw, 0) != 0 {
		t.Error("instants of several channels")
	}
	for bitsPerCode, want := range map[uint8]uint32{2: 160, 3: 106, 4: 80, 5: 64, 0: 0} {
		if got := G726Frames(alaw[:40], bitsPerCode); got != want {
			t.Errorf("%d bits: %d instants", bitsPerCode, got)
		}
	}
}

func TestG726Swap(t *testing.T) {
	for n := 2; n <= 5; n++ {
		var lsb uint64
		msb := new(bitWriter)
		for i := range 8 {
			code := uint32(i*7+3) & (1<<n - 1)
			lsb |= uint64(code) << (i * n)
			msb.u(n, code)
		}
		payload := make([]byte, 0, 2*n)
		for range 2 {
			for i := range n {
				payload = append(payload, byte(lsb>>(8*i)))
			}
		}
		G726Swap(payload, uint8(n))
		if !bytes.Equal(payload, append(bytes.Clone(msb.b), msb.b...)) {
			t.Errorf("%d bits: %x, want twice %x", n, payload, msb.b)
		}
	}
	odd := []byte{0x21, 0x43, 0x65, 0x87, 0xba} // of 4 bits: whole bytes, no whole group at the end
	if G726Swap(odd, 4); !bytes.Equal(odd, []byte{0x12, 0x34, 0x56, 0x78, 0xab}) {
		t.Errorf("%x", odd)
	}
}

func TestRefusedTracks(t *testing.T) {
	refused := func(track *media.Track, err error) {
		t.Helper()
		var parse *ParseError
		if track != nil || !errors.As(err, &parse) {
			t.Errorf("%+v, %v", track, err)
		}
	}
	refused(G711Track(1, media.PCMU, 0, 1))
	refused(G711Track(1, media.PCMU, 8000, 0))
	refused(G711Track(1, media.AAC, 8000, 1))
	refused(L16Track(1, 96000, 2))
	refused(G726Track(1, 6))
	refused(OpusTrack(1, 3))
	refused(MJPEGTrack(0, 0, 480))
	refused(ONVIFMetadataTrack(1, "vnd.onvif.metadata.zip"))
	refused(AACTrack(1, nil))
}

func TestJPEGSize(t *testing.T) {
	const soi, app, sof = "ffd8", "ffe000044a46", "ffc0000b0801e0028001011100"
	for _, c := range []struct {
		in   string
		w, h uint16
		want error
	}{
		{soi + app + sof, 640, 480, nil},
		{soi + "ffff" + app[2:] + "ff01" + sof, 640, 480, nil},
		{soi + "ffc40002" + "ffc2000b0801e0028001011100", 640, 480, nil},
		{soi, 0, 0, ErrWrongType},
		{"474946383961", 0, 0, ErrWrongType},
		{soi + app, 0, 0, ErrTruncated},
		{soi + "ffe0ffff", 0, 0, ErrTruncated},
		{soi + "ffe00001", 0, 0, ErrTruncated},
		{soi + "ffc00004ffff", 0, 0, ErrTruncated},
		{soi + "ffc0000b0800000280010111", 0, 0, ErrTruncated},
		{soi + "ffc0000b080000028001011100", 0, 0, ErrUnsupported},
		{soi + "ffda0002", 0, 0, ErrInvalid},
		{soi + "00c00002", 0, 0, ErrInvalid},
	} {
		w, h, err := JPEGSize(unhex(t, c.in))
		if w != c.w || h != c.h || !errors.Is(err, c.want) {
			t.Errorf("%s: %dx%d, %v", c.in, w, h, err)
		}
	}
}
