package camsim

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"
)

// expand is G.711 backwards, by the decision values of ITU-T G.711 tables 1 and 2.
func expand(b byte, muLaw bool) int {
	if muLaw {
		b = ^b
		v := ((int(b&15)<<1 + 33) << (b >> 4 & 7)) - 33
		if b&0x80 != 0 {
			v = -v
		}
		return v * 4
	}
	b ^= 0x55
	v := int(b&15)<<1 + 1
	if e := b >> 4 & 7; e > 0 {
		v = (v + 32) << (e - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return v * 8
}

func TestG711(t *testing.T) {
	for x, want := range map[int16][2]byte{0: {0xd5, 0xff}, -1: {0x55, 0x7f}, 32767: {0xaa, 0x80}, -32768: {0x2a, 0x00}} {
		if a, u := aLaw(x), muLawOf(x); a != want[0] || u != want[1] {
			t.Errorf("%d: A-law %02x, mu-law %02x, want % x", x, a, u, want)
		}
	}
	for x := -32000; x <= 32000; x += 7 {
		for _, muLaw := range []bool{false, true} {
			b := aLaw(int16(x))
			if muLaw {
				b = muLawOf(int16(x))
			}
			size := x
			if size < 0 {
				size = -size
			}
			if d := expand(b, muLaw) - x; d > size/16+16 || -d > size/16+16 {
				t.Fatalf("%d (mu-law %t) comes back as %d", x, muLaw, expand(b, muLaw))
			}
		}
	}
}

func TestToneBeepsAtFullSeconds(t *testing.T) {
	tone := newTone(false)
	// A packet of 40 ms that begins 20 ms before a full second, and one that begins 90 ms after.
	p := append([]byte(nil), tone.packet(0, testEpoch.Add(-20*time.Millisecond))...)
	loud := func(b []byte) (n int) {
		for _, x := range b {
			if v := expand(x, false); v > 4000 || v < -4000 {
				n++
			}
		}
		return
	}
	if loud(p[:160]) != 0 || loud(p[160:]) < 80 {
		t.Errorf("%d loud before the second, %d after", loud(p[:160]), loud(p[160:]))
	}
	if p = tone.packet(1, testEpoch.Add(90*time.Millisecond)); loud(p[:80]) < 40 || loud(p[80:]) != 0 {
		t.Errorf("%d loud within the beep, %d after", loud(p[:80]), loud(p[80:]))
	}
}

func wav(tag, channels, bits int, rate uint32, data []byte) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	b = append(b, byte(tag), 0, byte(channels), 0, byte(rate), byte(rate>>8), byte(rate>>16), 0, 0, 0, 0, 0, 0, 0, byte(bits), 0)
	b = append(b, "LIST\x01\x00\x00\x00x\x00data"...)
	return append(append(b, byte(len(data)), byte(len(data)>>8), 0, 0), data...)
}

func TestAudioFiles(t *testing.T) {
	ramp := make([]byte, 2000)
	for i := range ramp {
		ramp[i] = byte(i)
	}
	for _, test := range []struct {
		name  string
		data  []byte
		want  string
		first []byte // of packet 1
	}{
		{"x.alaw", ramp, "PCMA/8000/1 type 8, 320 frames", ramp[320:322]},
		{"x.ulaw", ramp, "PCMU/8000/1 type 0, 320 frames", ramp[320:322]},
		{"x.l16", ramp, "L16/8000/1 type 97, 160 frames", ramp[320:322]},
		{"x.wav", wav(1, 1, 16, 16000, ramp), "L16/16000/1 type 97, 320 frames", []byte{ramp[641], ramp[640]}},
		{"x.wav", wav(1, 2, 16, 44100, ramp), "L16/44100/2 type 10, 325 frames", []byte{ramp[1301], ramp[1300]}},
		{"x.wav", wav(6, 1, 8, 8000, ramp), "PCMA/8000/1 type 8, 320 frames", ramp[320:322]},
		{"x.wav", wav(7, 1, 8, 8000, ramp), "PCMU/8000/1 type 0, 320 frames", ramp[320:322]},
	} {
		a, err := readAudio(test.name, test.data)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		f := a.format()
		if got := fmt.Sprintf("%s/%d/%d type %d, %d frames", f.encoding, f.rate, f.channels, f.payloadType(), f.frames); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if p := a.packet(1, testEpoch); !bytes.HasPrefix(p, test.first) {
			t.Errorf("%s: packet 1 begins % x, want % x", test.name, p[:2], test.first)
		}
	}
	for _, bad := range [][]byte{nil, []byte("RIFF"), wav(3, 1, 32, 8000, ramp), wav(1, 0, 16, 8000, ramp), wav(1, 1, 16, 8000, nil)} {
		if _, err := readAudio("x.wav", bad); err == nil {
			t.Errorf("% x was taken", bad)
		}
	}
	for _, bad := range [][]byte{nil, {0xff, 0xf1, 0x60, 0x40, 0, 0x20, 0xfc}, ramp} {
		if _, err := readAudio("x.aac", bad); err == nil {
			t.Errorf("% x was taken as AAC", bad)
		}
	}
}

func TestAACOnTheWire(t *testing.T) {
	path := testdata(t, "media/androidx/bbb_1ch_8kHz_aac_lc.aac")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := small()
	o.Files = []string{path}
	bubble(t, o, false, func(t *testing.T, srv *Server, c *client) {
		c.play()
		run(5 * time.Second)
		var es, unit []byte
		n := 0
		for _, p := range c.packets(2) { // 200 bytes each: units come in fragments
			if ts := timestampOf(p.data) - timestampOf(c.packets(2)[0].data); ts != uint32(1024*n) {
				t.Fatalf("unit %d has timestamp %d", n, ts)
			}
			b := p.data[12:]
			unit = append(unit, b[4:]...)
			if size := int(b[2])<<5 | int(b[3])>>3; b[0] != 0 || b[1] != 16 || markerOf(p.data) != (size == len(unit)) {
				t.Fatalf("unit %d: AU header % x, %d bytes so far", n, b[:4], len(unit))
			}
			if markerOf(p.data) {
				es, unit, n = append(es, unit...), nil, n+1
			}
		}
		// What came is the file's access units: without its headers of 7 bytes.
		var want []byte
		for at := 0; len(want) < len(es); at %= len(data) { // it loops
			size := int(data[at+3]&3)<<11 | int(data[at+4])<<3 | int(data[at+5])>>5
			want = append(want, data[at+7:at+size]...)
			at += size
		}
		if !bytes.Equal(es, want) || len(es) < 5000 {
			t.Errorf("%d bytes of AAC are not those of the file", len(es))
		}
	})
}
