package judge

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// lumaOf spreads the bits of a strip in hexadecimal.
func lumaOf(t testing.TB, strip string, black, white byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(strip)
	if err != nil {
		t.Fatal(err)
	}
	var luma []byte
	for i := range len(b) * 8 {
		if b[i/8]>>(7-i%8)&1 != 0 {
			luma = append(luma, white)
		} else {
			luma = append(luma, black)
		}
	}
	return luma
}

const goodStrip = "01020304019cb73d3271c9"

func TestReadStrip(t *testing.T) {
	if c := checksum([]byte("123456789")); c != 0xF4 {
		t.Errorf("check value %#x, want 0xf4", c)
	}
	want := Strip{0x01020304, time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), true}
	for _, levels := range [][2]byte{{16, 235}, {0, 255}, {80, 176}} {
		if got := ReadStrip(lumaOf(t, goodStrip, levels[0], levels[1])); got != want {
			t.Errorf("levels %v: %+v, want %+v", levels, got, want)
		}
	}
	for name, luma := range map[string][]byte{
		"a wrong bit":   lumaOf(t, "01020305019cb73d3271c9", 16, 235),
		"a wrong check": lumaOf(t, "01020304019cb73d3271c8", 16, 235),
		"grey bits":     lumaOf(t, goodStrip, 100, 150),
		"too short":     lumaOf(t, goodStrip, 16, 235)[:87],
		"nothing":       nil,
	} {
		if s := ReadStrip(luma); s.OK {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestFollow(t *testing.T) {
	good := []Strip{{Number: 7, OK: true}, {Number: 8, OK: true}, {Number: 9, OK: true}}
	if err := Follow(good); err != nil {
		t.Error(err)
	}
	if Follow([]Strip{good[0], good[2]}) == nil || Follow([]Strip{good[0], {Number: 8}}) == nil {
		t.Error("a gap or an unreadable strip passes")
	}
}

func TestReadPGM(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("P5\n2 3\n255\nabcdefP5\n1 1\n255\ng"))
	for _, want := range []string{"abcdef", "g"} {
		if b, err := readPGM(r); string(b) != want || err != nil {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
	if _, err := readPGM(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for _, bad := range []string{"P6\n1 1\n255\na", "P5\n2 2\n255\nabc", "P5\n0 1\n255\n", "P5\n1 1\n65535\nab", "P5\n99999 1\n255\n", "P5\n"} {
		if b, err := readPGM(bufio.NewReader(strings.NewReader(bad))); err == nil || err == io.EOF {
			t.Errorf("%q: %q, %v", bad, b, err)
		}
	}
}

func FuzzReadPGM(f *testing.F) {
	f.Add([]byte("P5\n2 3\n255\nabcdef"))
	f.Add([]byte("P5\n-2 3\n255\nabcdef"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := readPGM(bufio.NewReader(bytes.NewReader(in)))
		if err == nil && !bytes.Contains(in, b) {
			t.Errorf("%q yields %q", in, b)
		}
	})
}

// video makes what VLC's yuv output writes.
func video(t testing.TB, width, height int, strips ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "I420 W%d H%d F30:1 Ip A1:1\n", width, height)
	for _, s := range strips {
		plane := bytes.Repeat([]byte{77}, width*height)
		for k, v := range lumaOf(t, s, 16, 235) {
			for y := range 16 {
				for x := range 16 {
					plane[(k/(width/16)*16+y)*width+k%(width/16)*16+x] = v
				}
			}
		}
		b.WriteString("FRAME\n")
		b.Write(plane)
		b.Write(make([]byte, 2*((width+1)/2)*((height+1)/2)))
	}
	return b.Bytes()
}

func TestReadVideo(t *testing.T) {
	for _, size := range [][2]int{{178, 145}, {176, 128}, {1408, 16}, {17, 1408}} {
		whole := video(t, size[0], size[1], goodStrip, goodStrip)
		var got []Strip
		keep := func(s Strip) error { got = append(got, s); return nil }
		if err := readVideo(bufio.NewReader(bytes.NewReader(whole)), keep); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		if len(got) != 2 || !got[0].OK || got[0] != got[1] || got[0].Number != 0x01020304 {
			t.Errorf("%v: %+v", size, got)
		}
		if err := readVideo(bufio.NewReader(bytes.NewReader(whole[:len(whole)-1])), keep); err == nil {
			t.Errorf("%v: half a picture passes", size)
		}
		enough := func(Strip) error { return errEnough }
		if err := readVideo(bufio.NewReader(bytes.NewReader(whole)), enough); !errors.Is(err, errEnough) {
			t.Errorf("%v: %v, want the error of the callee", size, err)
		}
	}
	for _, bad := range []string{"I420\n", "W1", "I420 W0 H10\n", "I420 W176 H128\nPICTURE\n", "I420 W15 H128\nFRAME\n", "I420 W176 H16\nFRAME\n"} {
		if err := readVideo(bufio.NewReader(strings.NewReader(bad)), func(Strip) error { return nil }); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzReadVideo(f *testing.F) {
	f.Add(video(f, 176, 128, goodStrip))
	f.Add([]byte("I420 W-1 H5\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		readVideo(bufio.NewReader(bytes.NewReader(in)), func(Strip) error { n++; return nil })
		if n > len(in)/(88*256) {
			t.Errorf("%d pictures in %d bytes", n, len(in))
		}
	})
}

func TestParseProbe(t *testing.T) {
	const said = `{"packets_and_frames":[
	{"type":"packet","stream_index":1,"pts":-512,"pts_time":"-0.5","dts":-1024,"duration":512,"size":"77","pos":"48","flags":"KD"},
	{"type":"frame","stream_index":1},{"type":"packet","stream_index":0,"size":"5","flags":"__"}],
	"streams":[{"index":1,"codec_type":"audio","codec_name":"aac","sample_rate":"48000","channels":2,"nb_read_frames":"9","duration":"1.5","tags":{"a":"b"}}],
	"format":{"format_name":"mov","duration":"N/A","size":"123"}}`
	p, err := parseProbe([]byte(said))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := p.Audio()
	if !ok || a.SampleRate != 48000 || a.Channels != 2 || a.Frames != 9 || a.Duration != 1500*time.Millisecond || a.StartTime != -1 || a.Tags["a"] != "b" {
		t.Errorf("stream: %+v", a)
	}
	want := []Packet{{Stream: 1, PTS: -512, DTS: -1024, Duration: 512, Time: -500 * time.Millisecond, Position: 48, Size: 77, Key: true, Discard: true},
		{PTS: NoTime, DTS: NoTime, Time: -1, Position: -1, Size: 5}}
	if fmt.Sprint(p.Packets) != fmt.Sprint(want) {
		t.Errorf("packets: %+v, want %+v", p.Packets, want)
	}
	if p.Format.Duration != -1 || p.Format.Size != 123 || len(p.Of(1)) != 1 {
		t.Errorf("format: %+v", p.Format)
	}
	if _, ok := p.Video(); ok {
		t.Error("video found in sound")
	}
	if _, err := parseProbe([]byte("{")); err == nil {
		t.Error("half an answer passes")
	}
}

func FuzzParseProbe(f *testing.F) {
	f.Add([]byte(`{"packets":[{"pts":1,"flags":"K"}],"streams":[{}],"format":{}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if p, err := parseProbe(in); err != nil && len(p.Streams)+len(p.Packets) > 0 {
			t.Error("an answer beside the error")
		}
	})
}

func TestHead(t *testing.T) {
	var h head
	for range 10_000 {
		io.WriteString(&h, "0123456789")
	}
	if s := h.String(); len(s) > headSize+100 || !strings.HasSuffix(s, "and 83616 bytes more") {
		t.Errorf("%d bytes kept: …%s", len(s), s[len(s)-40:])
	}
}

func TestNeed(t *testing.T) {
	for setting, want := range map[string]string{
		"":  "skip: judges missing: no-such-program-here, ffmpeg-of-another-world",
		"1": "fatal: judges missing, and " + RequireEnv + "=1: no-such-program-here, ffmpeg-of-another-world",
	} {
		t.Setenv(RequireEnv, setting)
		r := &recorder{TB: t}
		func() {
			defer func() { recover() }()
			Need(r, "no-such-program-here", "ffmpeg-of-another-world")
		}()
		if r.said != want {
			t.Errorf("set to %q: %q, want %q", setting, r.said, want)
		}
	}
}

// recorder notes how a helper ends a test.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.said = "skip: " + fmt.Sprintf(format, args...)
	panic("skip")
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.said = "fatal: " + fmt.Sprintf(format, args...)
	panic("fatal")
}
