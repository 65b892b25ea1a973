package camsim

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// transcripts are the descriptions of real cameras, and what camsim makes of their tracks.
var transcripts = map[string]string{
	"rtsp/retina/anjvision_describe.txt":                 "video",
	"rtsp/retina/bunny_describe.txt":                     "audio video",
	"rtsp/retina/dahua_describe_h264_aac_onvif.txt":      "video audio metadata",
	"rtsp/retina/dahua_describe_h265_pcma.txt":           "video audio",
	"rtsp/retina/foscam_describe.txt":                    "video audio",
	"rtsp/retina/gw_main_describe.txt":                   "video audio",
	"rtsp/retina/hikvision_describe.txt":                 "video metadata",
	"rtsp/retina/ipcam_describe.txt":                     "video",
	"rtsp/retina/missing_content_type_describe.txt":      "video audio",
	"rtsp/retina/reolink_describe.txt":                   "video audio",
	"rtsp/retina/response.txt":                           "audio video",
	"rtsp/retina/ubiquiti_sdp.txt":                       "audio none video",
	"sdp/gortsplib_no_origin.sdp":                        "video audio",
	"sdp/gortsplib_unordered_global_attributes.sdp":      "video metadata",
	"sdp/gortsplib_onvif_specification.sdp":              "none audio none",
	"sdp/go2rtc_TestBugSDP3.sdp":                         "video audio none",
	"sdp/gortsplib_issue_mediamtx_85_SONY_SNC_WR630.sdp": "video",
}

func TestTranscripts(t *testing.T) {
	for name, want := range transcripts {
		t.Run(filepath.Base(name), func(t *testing.T) {
			path := testdata(t, name)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			o := small()
			o.Files = []string{path}
			bubble(t, o, false, func(t *testing.T, srv *Server, c *client) {
				a := c.want(200, "DESCRIBE", c.url)
				if !strings.HasSuffix(string(raw), a.body) || a.body == "" {
					t.Errorf("body is not the recorded one:\n%s", a.body)
				}
				checkRecordedHeaders(t, string(raw), a)
				st := srv.streams["/cam0"]
				var feeds []string
				for _, tr := range st.tracks {
					feeds = append(feeds, tr.feed.String())
				}
				if got := strings.Join(feeds, " "); got != want {
					t.Errorf("tracks %s, want %s", got, want)
				}
				playTranscript(t, st, c)
			})
		})
	}
}

// checkRecordedHeaders compares the answer's header fields with the recording.
func checkRecordedHeaders(t *testing.T, raw string, a *answer) {
	t.Helper()
	if !strings.HasPrefix(raw, "RTSP/") {
		return
	}
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	names := 0
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		if name == "CSeq" {
			continue
		}
		names++
		if got := strings.Join(a.header[strings.ToLower(name)], "|"); !strings.Contains(got, strings.TrimSpace(value)) {
			t.Errorf("%s: %q, recorded %q", name, got, value)
		}
	}
	if len(a.header) > names+1 {
		t.Errorf("more header fields than recorded: %v", a.header)
	}
}

// playTranscript sets all tracks up as a client would and waits for their media.
func playTranscript(t *testing.T, st *stream, c *client) {
	t.Helper()
	for i, tr := range st.tracks {
		url := tr.control
		if !strings.Contains(url, "://") {
			url = c.url + "/" + tr.control
		}
		a := c.want(200, "SETUP", url, "Transport: RTP/AVP/TCP;unicast;interleaved="+strconv.Itoa(2*i)+"-"+strconv.Itoa(2*i+1))
		c.session, _, _ = strings.Cut(a.get("Session"), ";")
	}
	c.want(200, "PLAY", c.url)
	run(3 * time.Second)
	for i, tr := range st.tracks {
		packets := c.packets(byte(2 * i))
		if (len(packets) > 0) != (tr.feed != noFeed) {
			t.Errorf("track %d (%s): %d packets", i, tr.feed, len(packets))
		}
		for _, p := range packets {
			if p.data[1]&0x7f != tr.payloadType {
				t.Fatalf("track %d: payload type %d, described %d", i, p.data[1]&0x7f, tr.payloadType)
			}
		}
	}
}

// Every transcript and description is played, or refused with a reason.
func TestEveryTranscript(t *testing.T) {
	for _, dir := range []string{"rtsp/retina", "sdp"} {
		all, err := os.ReadDir(testdata(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			o := small()
			o.Files = []string{testdata(t, filepath.Join(dir, f.Name()))}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				srv := New(o)
				if err := srv.Open(); err != nil {
					t.Logf("%s: %v", f.Name(), err)
					return
				}
				c := pipe(t, ctx, srv, "/cam0")
				c.want(200, "DESCRIBE", c.url)
				if st := srv.streams["/cam0"]; len(st.tracks) > 0 {
					playTranscript(t, st, c)
				}
			})
		}
	}
}

// The answer to PLAY has the camera's shape and our numbers.
func TestRecordedPlayAnswer(t *testing.T) {
	o := small()
	o.Files = []string{testdata(t, "rtsp/retina/reolink_describe.txt")}
	bubble(t, o, false, func(t *testing.T, srv *Server, c *client) {
		c.want(200, "DESCRIBE", c.url)
		for i := range 2 {
			a := c.want(200, "SETUP", c.url+"/trackID="+strconv.Itoa(i+1), "Transport: RTP/AVP/TCP;unicast;interleaved="+strconv.Itoa(2*i)+"-"+strconv.Itoa(2*i+1))
			c.session, _, _ = strings.Cut(a.get("Session"), ";")
		}
		a := c.want(200, "PLAY", c.url)
		run(time.Second)
		if a.get("Server") != "Rtsp Server/2.0" || strings.Contains(a.get("RTP-Info"), "16852") {
			t.Errorf("%v", a.header)
		}
		for i := range 2 {
			p := c.packets(byte(2 * i))[0].data
			want := "url=trackID=" + strconv.Itoa(i+1) + ";seq=" + strconv.Itoa(int(seqOf(p))) + ";rtptime=" + strconv.FormatUint(uint64(timestampOf(p)), 10)
			if !strings.Contains(a.get("RTP-Info"), want) {
				t.Errorf("RTP-Info %q lacks %q", a.get("RTP-Info"), want)
			}
		}
	})
}

func FuzzTranscript(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 12;timeout=3\r\n\r\nv=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:x\r\n"))
	f.Add([]byte("v=0\nm=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000/1\na=fmtp:97 config=1588\nm=video 0 MP2T/AVP 33\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := readTranscript("x.sdp", data)
		if err != nil {
			return
		}
		for _, m := range x.medias {
			if m.rate <= 0 || m.payloadType > 127 || m.channels < 1 {
				t.Fatalf("%+v", m)
			}
			if a := replayAudio(m, &fileSet{}); a != nil {
				a.packet(1, testEpoch)
			}
		}
	})
}
