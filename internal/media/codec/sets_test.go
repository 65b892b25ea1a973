package codec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/media"
)

func TestH264SPSFiles(t *testing.T) {
	for _, c := range []struct {
		name           string
		profile, level uint8
		width, height  uint16
		duration       media.Duration
		reorder        int
		interlaced     bool
		fixed          bool
	}{
		{"1280x720", 100, 31, 1280, 720, 3000, 2, false, false},
		{"1920x1080", 100, 41, 1920, 1080, 3600, 4, true, true},
		{"1920x1080_baseline", 66, 40, 1920, 1080, 3000, 0, false, false},
		{"1920x1080_nvenc_hrd", 100, 42, 1920, 1080, 1500, 4, false, true},
		{"1920x1080_nvidia", 100, 40, 1920, 1080, 3000, 2, false, false},
		{"352x288", 100, 12, 352, 288, 6000, 0, false, true},
		{"hikvision", 100, 32, 1280, 960, 3600, 4, false, true},
		{"scaling_matrix", 100, 50, 2560, 1440, 4500, 0, false, true},
	} {
		s, err := ParseH264SPS(corpus(t, "nal/h264sps_"+c.name+".nal"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s.Profile != c.profile || s.Level != c.level || s.Width != c.width || s.Height != c.height ||
			s.FrameDuration() != c.duration || s.ReorderDepth() != c.reorder || s.Interlaced() != c.interlaced ||
			s.VUI.FixedRate != c.fixed || s.VUI.Broken || s.ChromaFormat != 1 || s.BitDepthLuma != 8 {
			t.Errorf("%s: %+v, duration %d, reorder %d", c.name, s, s.FrameDuration(), s.ReorderDepth())
		}
	}
}

func TestH265SPSFiles(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height uint16
		chroma, depth uint8
		duration      media.Duration
		reorder       int
		codecs        string
	}{
		{"10_bit", 1920, 1080, 1, 10, 3003, 2, "hvc1.2.4.H120.90"},
		{"1280x720", 1280, 720, 3, 12, 3000, 0, "hvc1.4.10.L93.98.8"},
		{"1920x1080", 1920, 1080, 1, 8, 3000, 2, "hvc1.1.6.L120.90"},
		{"1920x800", 1920, 800, 1, 8, 3754, 2, "hvc1.1.6.L120.90"},
		{"long_term_ref_pics_present_flag", 1280, 720, 1, 8, 1800, 0, "hvc1.1.6.L93.B0"},
		{"nvenc", 1920, 1080, 1, 8, 1500, 0, "hvc1.1.2.L123"},
	} {
		s, err := ParseH265SPS(corpus(t, "nal/h265sps_"+c.name+".nal"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s.Width != c.width || s.Height != c.height || s.ChromaFormat != c.chroma || s.BitDepthLuma != c.depth ||
			s.FrameDuration(nil) != c.duration || s.ReorderDepth() != c.reorder || h265Codecs(&s.Profile) != c.codecs ||
			s.Incomplete || s.VUI.Broken {
			t.Errorf("%s: %+v, duration %d, %s", c.name, s, s.FrameDuration(nil), h265Codecs(&s.Profile))
		}
	}
}

// TestByteStreamFiles: the byte streams of the shared test data are H.265 with parameter sets, one IDR picture each.
func TestByteStreamFiles(t *testing.T) {
	for name, want := range map[string]string{
		"go2rtc_TestDahua.annexb":            "[35 32 33 34 19] keys 1 2560x1440",
		"go2rtc_TestFFmpegHEVC2.annexb":      "[32 33 34 39 20] keys 1 1280x720",
		"go2rtc_TestFFmpegMPEGTSHEVC.annexb": "[35 32 33 34 39 20] keys 1 1280x720",
	} {
		b := corpus(t, "nal/"+name)
		var types []uint8
		SplitAnnexB(b, func(nal []byte) { types = append(types, H265NALType(nal)) })
		a := assemble(t, b, true)
		got := fmt.Sprintf("%v keys %d", types, a.keys)
		if track, err := H265Track(0, a.sets[0], a.sets[1], a.sets[2]); err == nil {
			got += fmt.Sprintf(" %dx%d", track.Width, track.Height)
		} else {
			got += " " + err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

var spropSets = regexp.MustCompile(`sprop-(parameter-sets|vps|sps|pps)=([^;\s]*)`)

// TestSDPFiles: what the SDPs of cameras say of their video.
func TestSDPFiles(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"sdp/go2rtc_TestBugSDP1.sdp", "avc1.42001e 1280x720 0:0 0 0"},
		{"sdp/go2rtc_TestBugSDP2.sdp", "avc1.42001f 1280x720 0:0 0 0"},
		{"sdp/go2rtc_TestBugSDP3.sdp", "avc1.640033 2560x1920 0:0 0 9"},
		{"sdp/go2rtc_TestBugSDP4.sdp", "avc1.640016 640x480 4:3 6000 6"},
		{"sdp/gortsplib_desc_multiple_formats_for_each_media_2.sdp", "avc1.4d002a 1920x1080 0:0 0 0"},
		{"sdp/gortsplib_desc_one_format_for_each_media_absolute.sdp", "avc1.640028 1920x1080 0:0 0 0"},
		{"sdp/gortsplib_issue_gortsplib_201_invalid_origin.sdp", "avc1.64c028 1920x1080 0:0 0 0"},
		{"sdp/gortsplib_issue_gortsplib_271_Mercury_cameras.sdp", "avc1.4d001f 1280x720 0:0 4500 5"},
		{"sdp/gortsplib_issue_mediamtx_115_RR_bitrate.sdp", "avc1.640028 1280x960 0:0 0 0"},
		{"sdp/gortsplib_issue_mediamtx_2128_Vurix_NVR.sdp", "avc1.640028 1920x1080 0:0 4500 4"},
		{"sdp/gortsplib_issue_mediamtx_227_Hik_Media_Server.sdp", "avc1.4d401e 704x480 40:33 7500 6"},
		{"sdp/gortsplib_issue_mediamtx_2558_decimal_numbers_in_origin.sdp", "avc1.4d0033 1920x1080 0:0 0 16"},
		{"sdp/gortsplib_issue_mediamtx_5008_Uniview_IPC2122LB_SF28K_A.sdp", "avc1.640028 1920x1080 0:0 6000 0"},
		{"sdp/gortsplib_issue_mediamtx_75_LiveReporter_App.sdp", "avc1.64001e 640x480 4:3 0 6"},
		{"sdp/gortsplib_issue_mediamtx_85_SONY_SNC_WR630.sdp", "avc1.640028 1920x1080 0:0 7200 0"},
		{"sdp/gortsplib_issue_mediamtx_948_TIAS_bitrate.sdp", "avc1.64001f 384x830 0:0 0 14"},
		{"sdp/gortsplib_no_origin.sdp", "hvc1.1.6.L120.B0 1334x750 0:0 0 0"},
		{"sdp/gortsplib_no_timing.sdp", "hvc1.1.6.L120.B0 1334x750 0:0 0 0"},
		{"sdp/gortsplib_unordered_global_attributes.sdp", "avc1.4d001e 640x360 0:0 0 0"},
		{"rtsp/retina/anjvision_describe.txt", "hvc1.1.2.L153 1280x704 0:0 0 0"},
		{"rtsp/retina/bunny_describe.txt", "avc1.42c01e 240x160 0:0 3750 0"},
		{"rtsp/retina/dahua_describe_h264_aac_onvif.txt", "avc1.64001e 704x480 40:33 6000 6"},
		{"rtsp/retina/dahua_describe_h265_pcma.txt", "hvc1.1.6.L90.B0 704x480 40:33 7500 0"},
		{"rtsp/retina/foscam_describe.txt", "avc1.4d001f 1280x720 0:0 0 0"},
		{"rtsp/retina/gw_main_describe.txt", "avc1.4d002a 1920x1080 0:0 0 0"},
		{"rtsp/retina/hikvision_describe.txt", "avc1.4d0029 1920x1080 0:0 3000 4"},
		{"rtsp/retina/ipcam_describe.txt", "avc1.4d0020 1280x960 0:0 4500 0"},
		{"rtsp/retina/missing_content_type_describe.txt", "avc1.64000d 320x180 0:0 3000 2"},
		{"rtsp/retina/reolink_describe.txt", "avc1.640033 2560x1440 0:0 0 12"},
		{"rtsp/retina/ubiquiti_sdp.txt", "avc1.4d402a 1920x1080 0:0 2000 0"},
	} {
		if got := describeSets(t, string(corpus(t, c.name))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestCameraFmtp: two cameras whose H.265 sets parsers have stumbled over. The Tenda's VPS has the timing, the Xiaomi's
// SPS has predicted reference picture sets before a VUI.
func TestCameraFmtp(t *testing.T) {
	lines := strings.Split(string(corpus(t, "sdp/README_fmtp_hevc_cameras.txt")), "\n")
	want := []string{"hvc1.1.6.L63.90 640x368 0:0 4500 0", "hvc1.1.6.L186 2304x1296 0:0 0 0"}
	for _, line := range lines {
		if !strings.Contains(line, "sprop-sps") {
			continue
		}
		if got := describeSets(t, line); got != want[0] {
			t.Errorf("%s, want %s", got, want[0])
		}
		want = want[1:]
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
	xiaomi, err := base64.StdEncoding.DecodeString("QgEBAWAAAAMAAAMAAAMAAAMAuqABICAFEf5a7kSIi/Lc1AQEBAI=")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseH265SPS(xiaomi)
	if err != nil || s.VUI.Broken || !s.VUI.Colour || s.VUI.Primaries != 1 || s.VUI.Matrix != 1 {
		t.Errorf("the VUI after predicted sets: %+v, %v", s, err)
	}
	if _, err := ParseH265SPS(append(xiaomi, 0x35)); err != nil {
		t.Errorf("a trailing byte: %v", err)
	}
}

// describeSets builds the track of the parameter sets in an SDP.
func describeSets(t *testing.T, text string) string {
	t.Helper()
	var sets [][]byte
	h265 := false
	for _, m := range spropSets.FindAllStringSubmatch(text, -1) {
		h265 = h265 || m[1] != "parameter-sets"
		for _, s := range strings.Split(m[2], ",") {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, b)
		}
	}
	var track *media.Track
	var err error
	if h265 {
		track, err = H265Track(0, sets, nil, nil)
	} else {
		track, err = H264Track(0, sets, nil)
	}
	if err != nil {
		return err.Error()
	}
	again, err := TrackOf(0, track.SampleEntry)
	if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", track) {
		t.Errorf("read back as %+v, %v; want %+v", again, err, track)
	}
	return fmt.Sprintf("%s %dx%d %d:%d %d %d", track.RFC6381, track.Width, track.Height, track.AspectH, track.AspectV,
		track.FrameDuration, track.ReorderDepth)
}

func timing(units, scale, fixed uint32) func(*bitWriter) {
	return func(w *bitWriter) {
		w.u(4, 0).u(1, 1).u(32, units).u(32, scale).u(1, fixed).u(4, 0)
	}
}

func TestH264SPSFacts(t *testing.T) {
	base := sps264{profile: 100, level: 40, chroma: 1, refs: 1, width: 120, height: 68}
	for _, c := range []struct {
		name          string
		change        func(s *sps264)
		width, height uint16
		reorder       int
		duration      media.Duration
	}{
		{"high", func(*sps264) {}, 1920, 1088, 4, 0},
		{"cropped", func(s *sps264) { s.crop = [4]uint32{0, 0, 0, 4} }, 1920, 1080, 4, 0},
		{"cropped fields", func(s *sps264) { s.fields, s.height, s.crop = true, 34, [4]uint32{0, 0, 0, 2} }, 1920, 1080, 4, 0},
		{"cropped 4:4:4", func(s *sps264) { s.profile, s.chroma, s.crop = 244, 3, [4]uint32{1, 0, 0, 8} }, 1919, 1080, 4, 0},
		{"cropped 4:2:2", func(s *sps264) { s.profile, s.chroma, s.crop = 122, 2, [4]uint32{1, 0, 0, 8} }, 1918, 1080, 4, 0},
		{"monochrome", func(s *sps264) { s.chroma, s.crop = 0, [4]uint32{0, 1, 7, 1} }, 1919, 1080, 4, 0},
		{"main", func(s *sps264) { s.profile = 77 }, 1920, 1088, 4, 0},
		{"baseline", func(s *sps264) { s.profile = 66 }, 1920, 1088, 0, 0},
		{"output order", func(s *sps264) { s.orderType = 2 }, 1920, 1088, 0, 0},
		{"order type 1", func(s *sps264) { s.orderType = 1 }, 1920, 1088, 4, 0},
		{"intra profile", func(s *sps264) { s.profile, s.constraints = 110, 0x10 }, 1920, 1088, 0, 0},
		{"level 1b", func(s *sps264) { s.profile, s.constraints, s.level, s.width, s.height = 77, 0x10, 11, 11, 9 }, 176, 144, 4, 0},
		{"level 1.1", func(s *sps264) { s.profile, s.level, s.width, s.height = 77, 11, 11, 9 }, 176, 144, 9, 0},
		{"level too low", func(s *sps264) { s.level, s.refs = 10, 2 }, 1920, 1088, 2, 0},
		{"25 pictures", func(s *sps264) { s.vui = timing(1, 50, 1) }, 1920, 1088, 4, 3600},
		{"nonsense rate", func(s *sps264) { s.vui = timing(1, 1<<31, 0) }, 1920, 1088, 4, 0},
		{"no scale", func(s *sps264) { s.vui = timing(1, 0, 0) }, 1920, 1088, 4, 0},
	} {
		s := base
		c.change(&s)
		got, err := ParseH264SPS(s.nal())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Width != c.width || got.Height != c.height || got.ReorderDepth() != c.reorder ||
			got.FrameDuration() != c.duration || got.VUI.Broken {
			t.Errorf("%s: %+v, reorder %d, duration %d", c.name, got, got.ReorderDepth(), got.FrameDuration())
		}
	}
}

func TestSampleAspectRatio(t *testing.T) {
	spec := sps264{profile: 77, level: 30, refs: 1, width: 45, height: 30} // 720x480
	for idc := range uint32(256) {
		spec.vui = func(w *bitWriter) {
			w.u(1, 1).u(8, idc)
			if idc == 255 {
				w.u(16, 7).u(16, 5)
			}
			w.u(8, 0)
		}
		track, err := H264Track(0, [][]byte{spec.nal(), {0x68, 0xce, 0x3c, 0x80}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := [2]uint16{32, 27} // the default of this size
		switch {
		case idc == 1:
			want = [2]uint16{}
		case idc == 255:
			want = [2]uint16{7, 5}
		case idc > 1 && idc <= 16:
			want = sampleAspects[idc-1]
		}
		if got := [2]uint16{track.AspectH, track.AspectV}; got != want {
			t.Errorf("aspect_ratio_idc %d: %v, want %v", idc, got, want)
		}
	}
	if got := [2]uint16{}; true {
		if got[0], got[1] = aspect(&VUI{}, 480, 720); got != [2]uint16{27, 32} {
			t.Errorf("upright picture: %v", got)
		}
		if got[0], got[1] = aspect(&VUI{}, 1920, 1080); got != [2]uint16{} {
			t.Errorf("1080p: %v", got)
		}
	}
}

// TestBrokenVUI: pictures do not depend on the VUI, so that a set that ends within it is used as far as it goes.
func TestBrokenVUI(t *testing.T) {
	spec := sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30, vui: timing(1, 50, 1)}
	nal := spec.nal()
	whole, err := ParseH264SPS(nal)
	if err != nil || whole.VUI.Broken || whole.FrameDuration() != 3600 {
		t.Fatalf("%+v, %v", whole, err)
	}
	for n := len(nal) - 2; n > 10; n-- {
		s, err := ParseH264SPS(nal[:n])
		if err != nil || s.Width != 640 || !s.VUI.Broken {
			t.Errorf("%d of %d bytes: %+v, %v", n, len(nal), s, err)
		}
	}
}

func TestRefusedSets(t *testing.T) {
	good := sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30}
	huge, cropped := good, good
	huge.width = maxDimension/16 + 1
	cropped.crop = [4]uint32{160, 160, 0, 0}
	hikvision := corpus(t, "nal/h265sps_1920x1080.nal")
	layer := append([]byte{hikvision[0], hikvision[1] | 8}, hikvision[2:]...)
	for _, c := range []struct {
		name string
		nal  []byte
		h265 bool
		want error
	}{
		{"empty", nil, false, ErrTruncated},
		{"a PPS", []byte{0x68, 0xce, 0x3c, 0x80}, false, ErrWrongType},
		{"a subset SPS", append([]byte{0x6f}, good.nal()[1:]...), false, ErrSubsetSPS},
		{"cut", good.nal()[:6], false, ErrTruncated},
		{"too large", huge.nal(), false, ErrInvalid},
		{"cropped away", cropped.nal(), false, ErrInvalid},
		{"all ones", []byte{0x67, 0xff, 0xff, 0xff, 0xff}, false, ErrTruncated},
		{"endless code", []byte{0x67, 77, 0, 30, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3}, false, ErrInvalid},
		{"empty", nil, true, ErrTruncated},
		{"a slice", []byte{0x26, 0x01, 0xaf}, true, ErrWrongType},
		{"cut", hikvision[:15], true, ErrTruncated},
		{"another layer", layer, true, ErrUnsupported},
	} {
		var err error
		if c.h265 {
			_, err = ParseH265SPS(c.nal)
		} else {
			_, err = ParseH264SPS(c.nal)
		}
		var parse *ParseError
		if !errors.Is(err, c.want) || !errors.As(err, &parse) || parse.What == "" {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if !errors.Is(ErrSubsetSPS, ErrUnsupported) {
		t.Error("a subset SPS is something unsupported")
	}
}

func TestMissingSets(t *testing.T) {
	sps, pps := sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30}.nal(), []byte{0x68, 0xce, 0x3c, 0x80}
	if _, err := H264Track(0, [][]byte{sps}, nil); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("without PPS: %v", err)
	}
	if _, err := H264Track(0, nil, [][]byte{pps}); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("without SPS: %v", err)
	}
	if _, err := H265Track(0, nil, nil, nil); !errors.Is(err, ErrNoParameterSets) {
		t.Errorf("H.265: %v", err)
	}
	if _, err := H264Track(0, [][]byte{sps[:6]}, [][]byte{pps}); !errors.Is(err, ErrTruncated) {
		t.Errorf("a broken SPS alone: %v", err)
	}

	// The same sets glued together, doubled, with start codes, with a broken and a subset SPS beside them.
	want, err := H264Track(0, [][]byte{sps}, [][]byte{pps})
	if err != nil {
		t.Fatal(err)
	}
	glued := append([]byte{0, 0, 0, 1}, sps...)
	glued = append(append(glued, 0, 0, 1), pps...)
	glued = append(glued, 0, 0)
	subset := append([]byte{0x6f}, sps[1:]...)
	got, err := H264Track(0, [][]byte{glued, sps[:6], subset, sps, nil}, nil)
	if err != nil || string(got.SampleEntry) != string(want.SampleEntry) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestH264PPSFields(t *testing.T) {
	for kind := range uint32(7) {
		w := new(bitWriter)
		w.ue(3).ue(1).u(1, 1).u(1, 1).ue(2).ue(kind) // three slice groups
		switch kind {
		case 0:
			w.ue(4).ue(5).ue(6)
		case 2:
			w.ue(0).ue(9).ue(10).ue(19)
		case 3, 4, 5:
			w.u(1, 1).ue(7)
		case 6:
			w.ue(98)
			for range 99 {
				w.u(2, 2)
			}
		}
		w.ue(0).ue(0).u(3, 0).se(-2).se(1).se(0).u(1, 1).u(1, 0).u(1, 1)
		p, err := ParseH264PPS(w.nal(0x68))
		want := H264PPS{ID: 3, SPSID: 1, CABAC: true, FieldOrderPresent: true, SliceGroups: 3, RedundantCntPresent: true}
		if err != nil || p != want {
			t.Errorf("map type %d: %+v, %v", kind, p, err)
		}
	}
}
