package rtsp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/media"
)

// summary writes down what would be set up: codec, payload type, size or rate, control URL.
func summary(body []byte, base string) string {
	d, err := parseDescription(body)
	if err != nil {
		return err.Error()
	}
	p, err := choose(d, true, true)
	if err != nil {
		return err.Error()
	}
	var parts []string
	for _, f := range []*format{p.video, p.audio, p.metadata} {
		if f == nil {
			continue
		}
		s := fmt.Sprintf("%s %d", f.codec, f.payload)
		switch {
		case f.track == nil:
			s += " ?"
		case f.kind == media.Video:
			s += fmt.Sprintf(" %dx%d", f.track.Width, f.track.Height)
		case f.kind == media.Audio:
			s += fmt.Sprintf(" %d/%d", f.rate, f.track.Channels)
		}
		parts = append(parts, s+" "+joinControl(base, f.control))
	}
	return strings.Join(parts, "; ")
}

// What the descriptions of shared/testdata say, as their readers checked it: for each file what would be set up, or why
// nothing can be.
var summaries = map[string]string{
	"anjvision_describe.txt":                                      "h265 96 1280x704 rtsp://192.168.1.10:554/stream0/trackID=1",
	"bunny_describe.txt":                                          "h264 97 240x160 rtsp://wowzaec2demo.streamlock.net/vod/mp4:BigBuckBunny_115k.mov/trackID=2; aac 96 12000/2 rtsp://wowzaec2demo.streamlock.net/vod/mp4:BigBuckBunny_115k.mov/trackID=1",
	"dahua_describe_h264_aac_onvif.txt":                           "h264 96 704x480 rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif/trackID=0; aac 97 48000/1 rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif/trackID=1; onvif-metadata 107 rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif/trackID=4",
	"dahua_describe_h265_pcma.txt":                                "h265 98 704x480 rtsp://cam-driveway/cam/realmonitor?channel=1&subtype=2/trackID=0; pcma 8 8000/1 rtsp://cam-driveway/cam/realmonitor?channel=1&subtype=2/trackID=1",
	"foscam_describe.txt":                                         "h264 96 1280x720 rtsp://192.168.5.107:65534/videoMain/track1; pcmu 0 8000/1 rtsp://192.168.5.107:65534/videoMain/track2",
	"gw_main_describe.txt":                                        "h264 96 1920x1080 rtsp://192.168.1.110:5050/H264?channel=1&subtype=0&unicast=true&proto=Onvif/video; pcmu 8 8000/1 rtsp://192.168.1.110:5050/H264?channel=1&subtype=0&unicast=true&proto=Onvif/audio",
	"hikvision_describe.txt":                                      "h264 96 1920x1080 rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1; onvif-metadata 107 rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=3?transportmode=unicast&profile=Profile_1",
	"ipcam_describe.txt":                                          "h264 96 1280x960 rtsp://c/s/trackID=1",
	"missing_content_type_describe.txt":                           "h264 96 320x180 rtsp://c/s/streamid=0; aac 97 48000/2 rtsp://c/s/streamid=1",
	"reolink_describe.txt":                                        "h264 96 2560x1440 rtsp://192.168.5.206/h264Preview_01_main/trackID=1; aac 97 16000/1 rtsp://192.168.5.206/h264Preview_01_main/trackID=2",
	"ubiquiti_sdp.txt":                                            "h264 97 1920x1080 rtsp://c/s/trackID=2; aac 96 48000/1 rtsp://c/s/trackID=0",
	"go2rtc_TestBugSDP1.sdp":                                      "h264 96 1280x720 rtsp://c/s/track0; aac 97 8000/1 rtsp://c/s/track1",
	"go2rtc_TestBugSDP2.sdp":                                      "h264 96 1280x720 rtsp://c/s/track0; pcma 8 8000/1 rtsp://c/s/track1",
	"go2rtc_TestBugSDP3.sdp":                                      "h264 96 2560x1920 rtsp://c/s/track1; aac 97 16000/1 rtsp://c/s/track2",
	"go2rtc_TestBugSDP4.sdp":                                      "h264 96 640x480 rtsp://c/s/track1; pcma 8 8000/1 rtsp://c/s/track2",
	"gortsplib_desc_key_mgmt_in_session.sdp":                      "the camera's video can't be recorded: transport protocol RTP/SAVP is not supported",
	"gortsplib_desc_multiple_formats_for_each_media.sdp":          "the camera's video can't be recorded: transport protocol UDP/TLS/RTP/SAVPF is not supported",
	"gortsplib_desc_multiple_formats_for_each_media_2.sdp":        "h264 96 1920x1080 rtsp://c/s",
	"gortsplib_desc_one_format_for_each_media_absolute.sdp":       "h264 97 1920x1080 rtsp://10.0.100.50/profile5/media.smp/trackID=v; pcmu 0 8000/1 rtsp://10.0.100.50/profile5/media.smp/trackID=a",
	"gortsplib_desc_one_format_for_each_media_relative.sdp":       "h264 97 1920x1080 rtsp://c/s/trackID=1; pcmu 0 8000/1 rtsp://c/s/trackID=2",
	"gortsplib_desc_onvif_back_channel.sdp":                       "mjpeg 26 ? rtsp://192.168.0.1/video; pcmu 0 8000/1 rtsp://192.168.0.1/audio",
	"gortsplib_desc_ulpfec_rfc5109.sdp":                           "the camera's video can't be recorded: coding \"h261\" is not supported",
	"gortsplib_full.sdp":                                          "the camera's video can't be recorded: coding \"h263-1998\" is not supported",
	"gortsplib_issue_gortsplib_116_IOI_trk_101.sdp":               "the camera's video can't be recorded: coding \"mp4v-es\" is not supported",
	"gortsplib_issue_gortsplib_201_invalid_origin.sdp":            "h264 96 1920x1080 rtsp://c/s/track1; aac 97 48000/2 rtsp://c/s/track2",
	"gortsplib_issue_gortsplib_271_Mercury_cameras.sdp":           "h264 96 1280x720 rtsp://c/s/track1; pcma 8 8000/1 rtsp://c/s/track2",
	"gortsplib_issue_gortsplib_879_AJA_encoder.sdp":               "the camera's video can't be recorded: payload type 96 is not described",
	"gortsplib_issue_mediamtx_1119_fritzbox_6660_Cable.sdp":       "the camera's video can't be recorded: coding \"mp2t\" is not supported",
	"gortsplib_issue_mediamtx_115_RR_bitrate.sdp":                 "h264 96 1280x960 rtsp://c/s; aac 96 22050/1 rtsp://c/s",
	"gortsplib_issue_mediamtx_120_MP2T_in_protocol.sdp":           "the camera's video can't be recorded: transport protocol MP2T/AVP is not supported",
	"gortsplib_issue_mediamtx_2128_Vurix_NVR.sdp":                 "h264 96 1920x1080 rtsp://10.10.10.10:5556/vurix/1414/0/video",
	"gortsplib_issue_mediamtx_227_Hik_Media_Server.sdp":           "h264 96 704x480 rtsp://c/s/trackID=video",
	"gortsplib_issue_mediamtx_2558_decimal_numbers_in_origin.sdp": "h264 96 1920x1080 rtsp://c/s",
	"gortsplib_issue_mediamtx_5008_Uniview_IPC2122LB_SF28K_A.sdp": "h264 105 1920x1080 rtsp://10.0.0.1/media/video1/video; onvif-metadata 107 rtsp://10.0.0.1/media/video1/metadata",
	"gortsplib_issue_mediamtx_75_LiveReporter_App.sdp":            "h264 96 640x480 rtsp://c/s/streamid=0; aac 97 48000/1 rtsp://c/s/streamid=1",
	"gortsplib_issue_mediamtx_85_SONY_SNC_WR630.sdp":              "h264 105 1920x1080 rtsp://c/s/trackID=1",
	"gortsplib_issue_mediamtx_948_TIAS_bitrate.sdp":               "h264 96 384x830 rtsp://c/s/trackid=1",
	"gortsplib_no_origin.sdp":                                     "h265 96 1334x750 rtsp://c/s/streamid=0; aac 97 44100/2 rtsp://c/s/streamid=1",
	"gortsplib_no_timing.sdp":                                     "h265 96 1334x750 rtsp://c/s/streamid=0; aac 97 44100/2 rtsp://c/s/streamid=1",
	"gortsplib_onvif_specification.sdp":                           "mjpeg 26 ? rtsp://192.168.0.1/video; pcmu 0 8000/1 rtsp://192.168.0.1/audio",
	"gortsplib_unordered_global_attributes.sdp":                   "h264 96 640x360 rtsp://c/s?ctype=video; onvif-metadata 106 rtsp://c/s?ctype=app106",
	"vzvca_camera.sdp":                                            "the camera's video can't be recorded: coding \"mp4v-es\" is not supported",
	"vzvca_h264.sdp":                                              "h264 96 ? rtsp://c/s",
}

func TestCaptureDescriptions(t *testing.T) {
	seen := 0
	for _, dir := range []string{"rtsp/retina", "sdp", "pcap"} {
		entries, err := os.ReadDir(sharedDir(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(sharedDir(t, dir), e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			base := "rtsp://c/s"
			switch {
			case strings.Contains(e.Name(), "_describe"):
				m, _, err := parseMessage(b)
				if err != nil {
					t.Fatal(err)
				}
				base, b = baseURL(m, base), m.body
			case !strings.HasSuffix(e.Name(), "sdp.txt") && !strings.HasSuffix(e.Name(), ".sdp"):
				continue
			}
			seen++
			if got, want := summary(b, base), summaries[e.Name()]; got != want {
				t.Errorf("%s:\n got %s\nwant %s", e.Name(), got, want)
			}
		}
	}
	if seen != len(summaries) {
		t.Errorf("%d descriptions, expected %d", seen, len(summaries))
	}
}

func TestDescriptions(t *testing.T) {
	const sets = "sprop-parameter-sets=Z00AKZpkA8ARPyzUBAQFAAADA+gAAOpgBA==,aO48gA=="
	video := "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 " + sets + "\na=control:v\n"
	sound := func(lines string) string { return video + "m=audio 0 RTP/AVP 97\na=control:a\n" + lines }
	const seen = "h264 96 1920x1080 c/v"
	for name, c := range map[string]struct{ in, want string }{
		"nothing":          {"v=0\n", "the description names no media"},
		"garbage":          {"\x00\xff\nm\nm=\na=\n=\n", "the camera offers no video"},
		"sound only":       {"m=audio 0 RTP/AVP 0\n", "the camera offers no video"},
		"no payload":       {"m=video 0 RTP/AVP\n", "the camera's video can't be recorded: no payload type is given"},
		"second video":     {"m=video 0 RTP/AVP 31\n" + video, seen},
		"second format":    {"m=video 0 RTP/AVP 99 96\na=rtpmap:99 VP8/90000\na=rtpmap:96 H264/90000\na=control:v\n", "h264 96 ? c/v"},
		"DON":              {"m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=fmtp:96 sprop-max-don-diff=2\n", "the camera's video can't be recorded: unsupported: H.265 packets with decoding order numbers (sprop-max-don-diff, RFC 7798 section 4.4)"},
		"broken sets":      {"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets=!!,AA==\na=control:v\n", "h264 96 ? c/v"},
		"sets unpadded":    {strings.ReplaceAll(video, "=\na", "\na"), seen},
		"way back":         {sound("a=sendonly\na=rtpmap:97 PCMU/8000\n"), seen},
		"L16":              {sound("a=rtpmap:97 L16/16000/2\n"), seen + "; l16 97 16000/2 c/a"},
		"Opus":             {sound("a=rtpmap:97 opus/48000/2\n"), seen + "; opus 97 48000/2 c/a"},
		"G.726":            {sound("a=rtpmap:97 G726-32/8000\n"), seen + "; g726 97 8000/1 c/a"},
		"G.726 in AAL2":    {sound("a=rtpmap:97 AAL2-G726-24/8000\n"), seen + "; g726 97 8000/1 c/a"},
		"G.726 unknown":    {sound("a=rtpmap:97 G726-99/8000\n"), seen},
		"G.723":            {sound("a=rtpmap:97 G723/8000\n"), seen},
		"AAC unconfigured": {sound("a=rtpmap:97 mpeg4-generic/8000\n"), seen},
		"AAC odd lengths":  {sound("a=rtpmap:97 mpeg4-generic/8000\na=fmtp:97 config=1588;sizelength=99\n"), seen},
		"LATM":             {sound("a=rtpmap:97 MP4A-LATM/44100/2\na=fmtp:97 cpresent=0;config=400024203fc0\n"), seen + "; aac 97 44100/2 c/a"},
		"LATM in band":     {sound("a=rtpmap:97 MP4A-LATM/44100\na=fmtp:97 config=400024203fc0\n"), seen},
		"gzip metadata":    {video + "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata.gzip/90000\n", seen},
		"CR LF":            {strings.ReplaceAll(video, "\n", "\r\n"), seen},
	} {
		if got := summary([]byte(c.in), "c"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
