package camsim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pictures and key samples of real streams, as other decoders count them (INDEX.md of the shared test data).
var realStreams = []struct {
	name           string
	pictures, keys int
	reordered      bool
}{
	{"exnvr_30fps_10s.h264", 300, 5, false},
	{"exnvr_30fps_10s.h265", 300, 5, false},
	{"kvs.h264", 403, 9, false},
	{"kvs.h265", 403, 9, false},
	{"smolrtsp_openipc.h264", 812, 13, true},
	{"membrane/input-100-240p.h264", 100, 1, true},
	{"membrane/input-10-720p-main.h264", 10, 1, true},
	{"membrane/input-30-240p-vp-sps-pps.h264", 30, 3, true},
	{"membrane/input-32-640x360-main.h265", 33, 4, true},
	{"membrane/input-60-640x480-variable-parameters.h265", 60, 6, true},
	{"membrane/input-10-1920x1080.h265", 10, 1, false},
	{"openh264/BA1_FT_C.264", 299, -1, false},
	{"openh264/BA_MW_D.264", 100, -1, false},
	{"openh264/MIDR_MW_D.264", 100, -1, false},
	{"openh264/NRF_MW_E.264", 100, -1, false},
	{"openh264/MPS_MW_A.264", 150, -1, false},
	{"openh264/BAMQ1_JVC_C.264", 30, -1, false},
	{"openh264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", 9, 2, true},
	{"h264bitstream_JM_cqm_cabac.264", 100, 1, false},
}

func TestReadRealStreams(t *testing.T) {
	for _, test := range realStreams {
		t.Run(test.name, func(t *testing.T) {
			data, err := os.ReadFile(testdata(t, "es/"+test.name))
			if err != nil {
				t.Fatal(err)
			}
			e, err := readElementary(data, strings.HasSuffix(test.name, "265"))
			if err != nil {
				t.Fatal(err)
			}
			keys, reordered := 0, false
			shown := make([]bool, len(e.units))
			for i, u := range e.units {
				if u.key {
					keys++
				}
				reordered = reordered || u.display != i
				if u.display-e.depth > i {
					t.Errorf("picture %d would be shown before it is sent", i)
				}
				shown[u.display] = true
			}
			if len(e.units) != test.pictures || test.keys >= 0 && keys != test.keys || reordered != test.reordered {
				t.Errorf("%d pictures, %d keys, reordered %t; want %d, %d, %t", len(e.units), keys, reordered, test.pictures, test.keys, test.reordered)
			}
			for i, ok := range shown {
				if !ok {
					t.Errorf("no picture has the display position %d", i)
				}
			}
			if len(e.sets) == 0 {
				t.Error("no parameter sets")
			}
		})
	}
}

// Every elementary stream is played or refused with a reason.
func TestEveryStream(t *testing.T) {
	root := testdata(t, "es")
	filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "4") && !strings.HasSuffix(name, "5") {
			return err
		}
		if set, err := readFiles([]string{name}); err != nil {
			t.Logf("%s: %v", d.Name(), err)
		} else if len(set.video.units) == 0 {
			t.Errorf("%s: no pictures and no error", d.Name())
		}
		return nil
	})
}

// order of presentation of a hand-made sequence: I0 P4 B2 b1 b3 | I0 P1
func TestArrange(t *testing.T) {
	e := &elementary{units: []accessUnit{
		{key: true, restart: true}, {order: 8}, {order: 4}, {order: 2}, {order: 6}, {key: true, restart: true}, {order: 2},
	}}
	e.arrange()
	want := []int{0, 4, 2, 1, 3, 5, 6}
	for i, u := range e.units {
		if u.display != want[i] {
			t.Errorf("picture %d is shown at %d, want %d", i, u.display, want[i])
		}
	}
	if e.depth != 3 || !e.hasKey {
		t.Errorf("depth %d", e.depth)
	}
	l := &looped{es: e}
	l.restart(100)
	for n, want := range map[int64]int64{100: 97, 101: 101, 106: 103, 107: 104, 108: 108} {
		if got := l.ticks(n, 1) / 90_000; got != want {
			t.Errorf("sample %d is shown at %d, want %d", n, got, want)
		}
	}
	if first, _ := l.entry(101); first != 105 {
		t.Errorf("entry at %d, want 105", first)
	}
	l.picture(100, newClock(testEpoch).wall, false)
	l.picture(103, newClock(testEpoch).wall, false) // 101 and 102 were never made
	if l.position(103) != 1 {
		t.Errorf("position %d", l.position(103))
	}
}

func TestUnwrap(t *testing.T) {
	for _, x := range []struct{ lsb, previous, want int }{
		{2, 0, 2}, {0, 14, 16}, {14, 16, 14}, {15, 0, -1}, {7, 0, 7}, {8, 0, 8}, {1, 30, 33},
	} {
		if got := unwrap(x.lsb, 4, x.previous); got != x.want {
			t.Errorf("lsb %d after %d: %d, want %d", x.lsb, x.previous, got, x.want)
		}
	}
}

func FuzzElementary(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x67\x42\xc0\x1e\xd9\x00\xa0\x47\xfe\xc8\x00\x00\x01\x68\xce\x38\x80\x00\x00\x01\x65\x88\x84\x00"), false)
	f.Add([]byte("\x00\x00\x00\x01\x40\x01\x0c\x00\x00\x01\x26\x01\xaf\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, h265 bool) {
		e, err := readElementary(data, h265)
		if err != nil {
			return
		}
		shown := make([]bool, len(e.units))
		for i, u := range e.units {
			if len(u.nals) == 0 || shown[u.display] || u.display-e.depth > i {
				t.Fatalf("unit %d: %d NAL units, display %d, depth %d", i, len(u.nals), u.display, e.depth)
			}
			shown[u.display] = true
		}
	})
}

func FuzzAudioFile(f *testing.F) {
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x04\x00\x00\x00abcd"))
	f.Add([]byte{0xff, 0xf1, 0x60, 0x40, 1, 0x20, 0xfc, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"x.wav", "x.aac"} {
			a, err := readAudio(name, data)
			if err != nil {
				continue
			}
			if fm := a.format(); fm.frames < 1 || fm.rate < 1 {
				t.Fatalf("%+v", fm)
			}
			for m := range int64(5) {
				a.packet(m, testEpoch)
			}
		}
	})
}
