package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/media"
)

// unbase decodes a value of an SDP's sprop parameters.
func unbase(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// examples are the tracks whose sample entries docs/format/sample-entries.md shows. The parameter sets are those of
// cameras, from the SDPs that gortsplib's and retina's tests publish (MIT).
func examples(t testing.TB) map[string]*media.Track {
	t.Helper()
	tracks := make(map[string]*media.Track)
	add := func(name string, track *media.Track, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tracks[name] = track
	}
	track, err := H264Track(0, [][]byte{unbase(t, "Z01AHppmBYHv81BgYGQAAA+gAAF3ABA=")}, [][]byte{unbase(t, "aO48gA==")})
	add("avc1", track, err)
	track, err = H264Track(0, [][]byte{{
		0x67, 0x64, 0x00, 0x1e, 0xac, 0xb2, 0x01, 0x40, 0x7b, 0x60, 0x2d, 0x41, 0x80, 0x41, 0x50, 0x00,
		0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x28, 0xf1, 0x62, 0xe4, 0x80,
	}}, [][]byte{{0x68, 0xeb, 0xc3, 0xcb, 0x22, 0xc0}})
	add("avc1 high", track, err)
	track, err = H265Track(0,
		[][]byte{unbase(t, "QAEMAf//AWAAAAMAAAMAAAMAAAMAuqwJ")},
		[][]byte{unbase(t, "QgEBAWAAAAMAAAMAAAMAAAMAuqABICAFEf5a7kSIi/Lc1AQEBAI=")},
		[][]byte{unbase(t, "RAHA8oSJAzJA")})
	add("hvc1", track, err)
	track, err = MJPEGTrack(0, 320, 240)
	add("mp4v", track, err)
	track, err = AACTrack(1, []byte{0x11, 0x90})
	add("mp4a", track, err)
	track, err = G711Track(1, media.PCMU, 8000, 1)
	add("ulaw", track, err)
	track, err = G711Track(1, media.PCMA, 8000, 1)
	add("alaw", track, err)
	track, err = L16Track(1, 16000, 2)
	add("twos", track, err)
	track, err = G726Track(1, 4)
	add("ms 45", track, err)
	track, err = OpusTrack(1, 2)
	add("Opus", track, err)
	track, err = ONVIFMetadataTrack(2, "vnd.onvif.metadata")
	add("metx", track, err)
	track, err = ONVIFMetadataTrack(2, "VND.ONVIF.METADATA.GZIP")
	add("metx gzip", track, err)
	return tracks
}

var (
	hexBlocks = regexp.MustCompile("(?s)```hex ([^\n]+)\n(.*?)```")
	notHex    = regexp.MustCompile(`#[^\n]*|\s`)
)

// TestFormatPage: the sample entries on the format's page are the ones that are written.
func TestFormatPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "format", "sample-entries.md"))
	if err != nil {
		t.Fatal(err)
	}
	tracks := examples(t)
	seen := make(map[string]bool)
	for _, m := range hexBlocks.FindAllStringSubmatch(string(page), -1) {
		name, want := m[1], notHex.ReplaceAllString(m[2], "")
		seen[name] = true
		if tracks[name] == nil {
			t.Errorf("the page shows an entry %q that no test makes", name)
		} else if got := hex.EncodeToString(tracks[name].SampleEntry); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	for name := range tracks {
		if !seen[name] {
			t.Errorf("the page does not show %q", name)
		}
	}
}

func TestExampleTracks(t *testing.T) {
	want := map[string]media.Track{
		"avc1":      {Codec: media.H264, RFC6381: "avc1.4d401e", Width: 704, Height: 480, AspectH: 40, AspectV: 33, FrameDuration: 7500, ReorderDepth: 6},
		"avc1 high": {Codec: media.H264, RFC6381: "avc1.64001e", Width: 640, Height: 480, FrameDuration: 3600},
		"hvc1":      {Codec: media.H265, RFC6381: "hvc1.1.6.L186", Width: 2304, Height: 1296},
		"mp4v":      {Codec: media.MJPEG, RFC6381: "mp4v.6C", Width: 320, Height: 240},
		"mp4a":      {Codec: media.AAC, RFC6381: "mp4a.40.2", ClockRate: 48000, Channels: 2},
		"ulaw":      {Codec: media.PCMU, RFC6381: "ulaw", ClockRate: 8000, Channels: 1, BytesPerFrame: 1},
		"alaw":      {Codec: media.PCMA, RFC6381: "alaw", ClockRate: 8000, Channels: 1, BytesPerFrame: 1},
		"twos":      {Codec: media.L16, RFC6381: "twos", ClockRate: 16000, Channels: 2, BytesPerFrame: 4},
		"ms 45":     {Codec: media.G726, ClockRate: 8000, Channels: 1},
		"Opus":      {Codec: media.Opus, RFC6381: "opus", ClockRate: 48000, Channels: 2},
		"metx":      {Codec: media.ONVIFMetadata, RFC6381: "metx"},
		"metx gzip": {Codec: media.ONVIFMetadata, RFC6381: "metx"},
	}
	for name, got := range examples(t) {
		w := want[name]
		w.SampleEntry, w.Index, w.Kind = got.SampleEntry, got.Index, media.Kind(got.Index+1)
		if w.ClockRate == 0 {
			w.ClockRate = media.TicksPerSecond
		}
		if g := fmt.Sprintf("%+v", *got); g != fmt.Sprintf("%+v", w) {
			t.Errorf("%s: %s\nwant %+v", name, g, w)
		}
		again, err := TrackOf(got.Index, got.SampleEntry)
		if err != nil || fmt.Sprintf("%+v", *again) != fmt.Sprintf("%+v", *got) {
			t.Errorf("%s: read back as %+v, %v", name, again, err)
		}
	}
}

// TestOtherWritersEntry reads a sample entry that another recorder wrote, and writes the same from its parameter sets but
// for the colour box, which that recorder left out.
func TestOtherWritersEntry(t *testing.T) {
	data := corpus(t, "media/moonfire/avc1.bin")
	e, err := ParseSampleEntry(data)
	if err != nil || e.Width != 1920 || e.Height != 1080 || len(e.SPS) != 1 || len(e.PPS) != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	track, err := H264Track(0, e.SPS, e.PPS)
	if err != nil || track.RFC6381 != "avc1.4d0029" || track.FrameDuration != 3000 {
		t.Fatalf("%+v, %v", track, err)
	}
	want := append(bytes.Clone(data), unhex(t, "00000013636f6c726e636c7800010001000100")...)
	be.PutUint32(want, uint32(len(want)))
	if !bytes.Equal(track.SampleEntry, want) {
		t.Errorf("wrote %x\nwant  %x", track.SampleEntry, want)
	}
	if again, err := TrackOf(0, data); err != nil || !bytes.Equal(again.SampleEntry, data) || again.ReorderDepth != track.ReorderDepth {
		t.Errorf("taken as it is: %+v, %v", again, err)
	}
}

// TestEntriesOfFiles reads the sample entries in MP4 files of other writers.
func TestEntriesOfFiles(t *testing.T) {
	for name, want := range map[string]string{
		"media/onvif-simulator/short_h264.mp4": "avc1 320x240 0 1 1",
		"media/androidx/sample_video_only.mp4": "avc1 1080x720 0 1 1",
		"media/mp4parser/foreman-hevc-384.mp4": "hev1: not supported",
		"media/androidx/h265_bframes.mp4":      "hev1: not supported",
	} {
		b := corpus(t, name)
		got := ""
		for _, kind := range []string{"avc1", "hvc1", "hev1"} {
			for i := bytes.Index(b, []byte("stsd")); i >= 0 && i+16 < len(b); {
				entry := b[i+12:]
				if string(entry[4:8]) == kind && int(be.Uint32(entry)) <= len(entry) {
					e, err := ParseSampleEntry(entry[:be.Uint32(entry)])
					got = fmt.Sprintf("%s %dx%d %d %d %d", e.Format, e.Width, e.Height, len(e.VPS), len(e.SPS), len(e.PPS))
					if errors.Is(err, ErrUnsupported) {
						got = kind + ": not supported"
					} else if err != nil {
						got = err.Error()
					} else if _, err := TrackOf(0, entry[:be.Uint32(entry)]); err != nil {
						got = err.Error()
					}
				}
				next := bytes.Index(b[i+4:], []byte("stsd"))
				if next < 0 {
					break
				}
				i += 4 + next
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestDamagedEntries cuts and changes each example: every outcome but a panic is fine, and a cut one is refused.
func TestDamagedEntries(t *testing.T) {
	for name, track := range examples(t) {
		for n := range len(track.SampleEntry) {
			cut := bytes.Clone(track.SampleEntry[:n])
			if _, err := ParseSampleEntry(cut); err == nil {
				t.Errorf("%s: %d bytes are taken", name, n)
			}
			if n >= boxHeader {
				be.PutUint32(cut, uint32(n))
				_, _ = TrackOf(0, cut)
			}
			changed := bytes.Clone(track.SampleEntry)
			changed[n] ^= 0xff
			_, _ = TrackOf(0, changed)
		}
	}
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"unknown", "0000000866726565", ErrUnsupported},
		{"two boxes", "00000008667265650000000866726565", ErrTruncated},
		{"other namespace", "0000001e6d65747800000000000000010075726e3a6f746865720000" + "0000", ErrUnsupported},
	} {
		if _, err := ParseSampleEntry(unhex(t, c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDescriptorLengths(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 1 << 21} {
		b := appendDescriptor(nil, 5, make([]byte, n))
		tag, payload, rest, ok := nextDescriptor(append(b, 9))
		if !ok || tag != 5 || len(payload) != n || len(rest) != 1 {
			t.Errorf("%d bytes: %d, %v", n, len(payload), ok)
		}
	}
	// Four-byte lengths and optional fields, as other writers have them.
	es := unhex(t, "00000000"+"0380808020"+"0000e0"+"0001"+"026162"+"0002"+"0480808011"+"40150000000000000000000000"+"05021190")
	object, info, err := parseESDS(es)
	if err != nil || object != objectAAC || hex.EncodeToString(info) != "1190" {
		t.Errorf("%x %x %v", object, info, err)
	}
	if _, _, _, ok := nextDescriptor(unhex(t, strings.Repeat("ff", 6))); ok {
		t.Error("an endless length is taken")
	}
}
