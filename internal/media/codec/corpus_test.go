package codec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus reads a file of the shared test data, and skips the test where they are absent.
func corpus(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	root := filepath.Join(dir, "..", "shared", "testdata")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("shared test data are absent: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// streams are the elementary streams with the facts that the index of the test data tells of them (profile, size,
// pictures, keys). Of two streams that begin with pictures whose references are lost, the index counts the 14 and 70
// that can be decoded, and we what is there.
var streams = []struct {
	name          string
	profile       uint8
	width, height uint16
	units, keys   int
	droppable     int
}{
	{"es/exnvr_30fps_10s.h264", 66, 640, 480, 300, 5, 0},
	{"es/h264bitstream_JM_cqm_cabac.264", 100, 352, 288, 100, 1, 0},
	{"es/kvs.h264", 100, 640, 480, 403, 9, 0},
	{"es/membrane/input-10-720p-baseline.h264", 66, 1280, 720, 10, 1, 0},
	{"es/membrane/input-10-720p-main.h264", 77, 1280, 720, 10, 1, 4},
	{"es/membrane/input-100-240p.h264", 100, 320, 240, 100, 1, 49},
	{"es/membrane/input-30-240p-vp-sps-pps.h264", 100, 428, 240, 30, 3, 12},
	{"es/membrane/input-sps-pps-non-idr.h264", 66, 1440, 796, 19, 2, 0},
	{"es/openh264/BA1_FT_C.264", 66, 352, 288, 299, 2, 0},
	{"es/openh264/BAMQ1_JVC_C.264", 66, 176, 144, 30, 1, 0},
	{"es/openh264/BA_MW_D.264", 66, 176, 144, 100, 4, 0},
	{"es/openh264/BA_MW_D_IDR_LOST.264", 66, 176, 144, 97, 3, 0},
	{"es/openh264/CVPCMNL1_SVA_C.264", 77, 352, 288, 30, 1, 0},
	{"es/openh264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", 77, 640, 320, 9, 2, 7},
	{"es/openh264/MIDR_MW_D.264", 66, 176, 144, 100, 2, 0},
	{"es/openh264/MPS_MW_A.264", 66, 176, 144, 150, 5, 0},
	{"es/openh264/NRF_MW_E.264", 66, 176, 144, 100, 4, 66},
	{"es/openh264/SVA_FM1_E.264", 66, 176, 144, 17, 1, 0},
	{"es/openh264/SarVui.264", 66, 176, 144, 17, 1, 0},
	{"es/openh264/Zhling_1280x720.264", 66, 1280, 720, 19, 1, 9},
	{"es/openh264/test_scalinglist_jm.264", 100, 320, 192, 5, 1, 0},
	{"es/smolrtsp_openipc.h264", 100, 480, 270, 812, 13, 322},
	{"media/mp4ff/4pics.264", 100, 1920, 1080, 4, 1, 0},
	{"media/mp4ff/hevc.265", 1, 1920, 1080, 50, 1, 25},
	{"es/exnvr_30fps_10s.h265", 1, 640, 480, 300, 5, 0},
	{"es/kvs.h265", 1, 640, 360, 403, 9, 0},
	{"es/membrane/input-10-1920x1080.h265", 1, 1920, 1080, 10, 1, 0},
	{"es/membrane/input-32-640x360-main.h265", 1, 640, 360, 33, 4, 14},
	{"es/membrane/input-60-640x480-variable-parameters.h265", 1, 640, 480, 60, 6, 24},
}

// assembled is what an elementary stream was found to hold.
type assembled struct {
	units, keys, droppable, slices int
	sets                           [3][][]byte // VPS, SPS, PPS
}

// assemble divides a byte stream into access units and examines each.
func assemble(t testing.TB, stream []byte, h265 bool) assembled {
	t.Helper()
	var a assembled
	var au []byte
	var u Unit
	var starts func([]byte) bool
	if h265 {
		starts = new(H265Boundary).Starts
	} else {
		starts = new(H264Boundary).Starts
	}
	flush := func() {
		var err error
		if h265 {
			err = u.AnalyzeH265(au, 0)
		} else {
			err = u.AnalyzeH264(au)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range u.Sets() {
			i := 1
			if h265 {
				i = int(H265NALType(s) - H265NALVPS)
			} else if H264NALType(s) == H264NALPPS {
				i = 2
			}
			a.sets[i] = append(a.sets[i], append([]byte(nil), s...))
		}
		a.slices += u.Slices
		if u.Slices > 0 {
			a.units++
		}
		if u.Key {
			a.keys++
		}
		if u.Droppable {
			a.droppable++
		}
		if u.MoreSets || u.AUDs > 1 {
			t.Errorf("access unit %d has too many sets or delimiters", a.units)
		}
		au = au[:0]
	}
	SplitAnnexB(stream, func(nal []byte) {
		if starts(nal) {
			flush()
		}
		au = AppendNAL(au, nal)
	})
	flush()
	return a
}

func TestElementaryStreams(t *testing.T) {
	for _, c := range streams {
		t.Run(filepath.Base(c.name), func(t *testing.T) {
			h265 := strings.HasSuffix(c.name, "265")
			a := assemble(t, corpus(t, c.name), h265)
			if a.units != c.units || a.keys != c.keys || a.droppable != c.droppable {
				t.Errorf("%d access units, %d keys, %d droppable (%d slices); want %d, %d, %d",
					a.units, a.keys, a.droppable, a.slices, c.units, c.keys, c.droppable)
			}
			if h265 {
				track, err := H265Track(0, a.sets[0], a.sets[1], a.sets[2])
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%+v", track)
				s, err := ParseH265SPS(a.sets[1][0])
				if err != nil || s.Profile.Profile != c.profile || s.Incomplete || s.VUI.Broken {
					t.Errorf("SPS %+v, %v", s, err)
				}
				if track.Width != c.width || track.Height != c.height {
					t.Errorf("%dx%d, want %dx%d", track.Width, track.Height, c.width, c.height)
				}
				return
			}
			track, err := H264Track(0, a.sets[1], a.sets[2])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", track)
			s, err := ParseH264SPS(a.sets[1][0])
			if err != nil || s.Profile != c.profile || s.VUI.Broken {
				t.Errorf("SPS %+v, %v", s, err)
			}
			if track.Width != c.width || track.Height != c.height {
				t.Errorf("%dx%d, want %dx%d", track.Width, track.Height, c.width, c.height)
			}
		})
	}
}

func TestStreamsWithoutParameterSets(t *testing.T) {
	a := assemble(t, corpus(t, "es/membrane/input-10-no-pps-sps.h264"), false)
	if _, err := H264Track(0, a.sets[1], a.sets[2]); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("H.264: %v", err)
	}
	t.Logf("%+v", a)
	a = assemble(t, corpus(t, "es/membrane/input-10-no-vps-sps-pps.h265"), true)
	if _, err := H265Track(0, a.sets[0], a.sets[1], a.sets[2]); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("H.265: %v", err)
	}
	t.Logf("%+v", a)
}
