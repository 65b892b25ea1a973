package onvif

import (
	"context"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recording returns a file of ../shared/testdata/onvif, or skips.
func recording(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
	p := filepath.Join(dir, "..", "shared", "testdata", "onvif", name)
	if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("shared test data is absent: onvif/%s", name)
	}
	return p
}

// unpacked unpacks a .tar.xz with the tar of the machine, or skips.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	p, dir := recording(t, name), t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-xf", p).CombinedOutput(); err != nil {
		t.Skipf("tar with xz: %v %s", err, out)
	}
	return dir
}

func open(t *testing.T, name string) *asking {
	t.Helper()
	r, err := OpenReplay(name)
	if err != nil {
		t.Fatal(err)
	}
	return &asking{t: t, h: r}
}

// Each recorded device is asked, and says what INDEX.md and its own files say of it.
func TestReplayOfRecordedDevices(t *testing.T) {
	for _, c := range []struct {
		file       string
		operations int // at least
		model      string
		service    string // its address on the media service, rewritten
		profiles   int
		stream     string
	}{
		{"nvt_axis.tar.xz", 50, "Q6045-E", "http://10.0.0.7:8080/onvif/services", 2, "rtsp://"},
		{"nvt_hikvision-fixed.tar.xz", 50, "DS-2CD2012-I", "http://10.0.0.7:8080/onvif/Media", 2, "rtsp://"},
		{"bosch_flexidome_5100i_xmlcapture.tar.gz", 8, "FLEXIDOME", "http://10.0.0.7:8080/onvif/media_service", 1, "rtsp://"},
	} {
		t.Run(c.file, func(t *testing.T) {
			p := ""
			if strings.HasSuffix(c.file, ".xz") {
				p = unpacked(t, c.file)
			} else {
				p = recording(t, c.file)
			}
			a := open(t, p)
			if n := len(a.h.(*Replay).Operations()); n < c.operations {
				t.Errorf("%d operations: %q", n, a.h.(*Replay).Operations())
			}
			if got := a.ask("<tds:GetDeviceInformation/>").text("Model"); !strings.Contains(got, c.model) {
				t.Errorf("model %q", got)
			}
			if got := a.ask("<tds:GetCapabilities/>").text("Capabilities", "Media", "XAddr"); got != c.service {
				t.Errorf("media at %q", got)
			}
			profiles := a.ask("<trt:GetProfiles/>")
			if len(profiles.Children) < c.profiles {
				t.Errorf("%d profiles", len(profiles.Children))
			}
			if got := a.ask("<trt:GetStreamUri/>").text("MediaUri", "Uri"); !strings.HasPrefix(got, c.stream) || strings.Contains(got, "10.0.0.7") {
				t.Errorf("stream at %q", got)
			}
			a.refused("<tds:NeverRecorded/>", 500, "ter:ActionNotSupported")
		})
	}
}

// Every answer of every recording can be got, with the namespaces and the words it was recorded with.
func TestReplayGivesEveryAnswer(t *testing.T) {
	dir := unpacked(t, "nvt_axis.tar.xz")
	a := open(t, dir)
	answers := 0
	for name, s := range a.h.(*Replay).byName {
		for range s.all {
			if name.Local == "PullMessages" {
				continue
			}
			code, n := a.post("/onvif/x", `<`+name.Local+` xmlns="`+name.Space+`"/>`)
			answers++
			if n.Name.Local != name.Local+"Response" && n.Name.Local != "Fault" || (n.Name.Local == "Fault") != (code >= 400) {
				t.Errorf("%v: %d %s", name, code, n.Name.Local)
			}
		}
	}
	if answers < 50 {
		t.Errorf("%d answers", answers)
	}
}

// The Bosch camera was asked for several profiles: who asks for one gets that one.
func TestReplayAnswersTheSameArguments(t *testing.T) {
	a := open(t, recording(t, "bosch_flexidome_5100i_xmlcapture.tar.gz"))
	s := a.h.(*Replay).byName[xml.Name{Space: nsMedia, Local: "GetStreamUri"}]
	if s == nil || len(s.all) < 2 {
		t.Fatalf("GetStreamUri was recorded %v times", s)
	}
	for _, i := range []int{1, 0, 1, len(s.all) - 1} {
		x := s.all[i]
		got, _ := a.h.(*Replay).find(x.request)
		if got != x {
			t.Errorf("asked for %s and got the answer to %s", dump(x.request), dump(got.request))
		}
	}
}

func TestReplayOfEventTraffic(t *testing.T) {
	const pull = "<tev:PullMessages><tev:Timeout>PT5S</tev:Timeout><tev:MessageLimit>10</tev:MessageLimit></tev:PullMessages>"
	t.Run("hikvision refuses", func(t *testing.T) {
		a := open(t, recording(t, "events/hikvision_pullpoint_notauthorized.jsonl"))
		for range 5 {
			a.refused("<tev:CreatePullPointSubscription/>", 400, "ter:NotAuthorized")
		}
	})
	t.Run("reolink", func(t *testing.T) {
		a := open(t, recording(t, "events/reolink_bullet.jsonl"))
		n := a.ask("<tev:CreatePullPointSubscription/>").text("SubscriptionReference", "Address")
		if !strings.HasPrefix(n, "http://10.0.0.7:8080/onvif/PullSubManager?Idx=") {
			t.Errorf("pull point at %q", n)
		}
		if n := a.ask(pull); n.child("NotificationMessage") == nil {
			t.Errorf("%s", dump(n))
		}
		a.ask("<tds:GetServices/>")
	})
	t.Run("dahua", func(t *testing.T) {
		p := recording(t, "events/dahua_dh_sd4a425db_hny_20260219.jsonl")
		inBubble(t, func(t *testing.T) {
			a := open(t, p)
			topics := map[string]bool{}
			for range 51 {
				_, n := a.post("/x", pull)
				for _, c := range n.Children {
					topics[plainTopic(c.text("Topic"))] = true
				}
			}
			if !topics["RuleEngine/CellMotionDetector/Motion"] || !topics["VideoSource/MotionAlarm"] {
				t.Errorf("topics %v", topics)
			}
			before := time.Now()
			a.post("/x", pull)
			if waited := time.Since(before); waited != 5*time.Second {
				t.Errorf("waited %v when the recording was at its end", waited)
			}
		})
	})
}

func TestReplayOfAnswersAlone(t *testing.T) {
	a := open(t, recording(t, "go2rtc"))
	if got := a.ask("<tds:GetCapabilities/>").text("Capabilities", "Device", "XAddr"); got != "http://10.0.0.7:8080/onvif/device_service" {
		t.Errorf("device at %q", got)
	}
	if got := a.ask("<trt:GetStreamUri/>").text("MediaUri", "Uri"); !strings.HasPrefix(got, "rtsp://192.168.1.123:554/") {
		t.Errorf("stream at %q", got)
	}
	for range 2 {
		if got := a.ask("<trt:GetSnapshotUri/>").text("MediaUri", "Uri"); !strings.HasPrefix(got, "http://10.0.0.7:8080/onvifsnapshot/") {
			t.Errorf("snapshot at %q", got)
		}
	}
}

func TestRecordingsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "absent"):        "no such file",
		write("a.tar.xz", "x"):              "unpack it with `tar xf`",
		write("a.tar.gz", "x"):              "unpack",
		write("a.jsonl", "{}\n{"):           "line 2",
		write("b.xml", "<a/>"):              "no SOAP answers",
		filepath.Dir(write("c/readme", "")): "no SOAP answers",
	} {
		if _, err := OpenReplay(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// A refusal that was recorded beside an answer is left out, one that stands alone is given.
func TestReplayRefusesAsRecorded(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"media/GetOSDs.Request.xml": "<trt:GetOSDs/>", "media/GetOSDs.Error.xml": sender("no", "ter:X").body(),
		"core/GetUsers.Error.xml":     (&fault{code: "Receiver", reason: "broken"}).body(),
		"media/GetProfiles.Error.xml": sender("no", "ter:Y").body(), "media/GetProfiles.Response.xml": "<trt:GetProfilesResponse/>",
		"media/GetProfiles.Request.xml": "<trt:GetProfiles/>",
	} {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, envelope("", "", content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := open(t, dir)
	a.refused("<trt:GetOSDs/>", 400, "ter:X")
	a.ask("<trt:GetProfiles/>")
	a.ask("<trt:GetProfiles/>")
	code, n := a.post("/x", "<tds:GetUsers/>")
	if code != 500 || n.text("Code", "Value") != "s:Receiver" {
		t.Errorf("%d %s", code, dump(n))
	}
	if got := a.h.(*Replay).Operations(); !slices.Contains(got, "GetUsers") {
		t.Errorf("%q", got)
	}
}

// A client that leaves while the recording has nothing more to say is let go.
func TestReplayLetsGo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newReplay([]*exchange{newExchange(nil, envelope("", "", "<tev:PullMessagesResponse/>"), "")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		for range 2 {
			q := httptest.NewRequestWithContext(ctx, "POST", "/x", strings.NewReader(envelopeStart+
				"<s:Body><tev:PullMessages><tev:Timeout>PT1M</tev:Timeout></tev:PullMessages></s:Body></s:Envelope>"))
			r.ServeHTTP(httptest.NewRecorder(), q)
		}
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("held for %v", waited)
		}
	})
}

// Answers to the same arguments come in turn, past those to other arguments.
func TestReplayTakesTurns(t *testing.T) {
	made := func(arg, answer string) *exchange {
		return newExchange(envelope("", "", "<trt:GetProfile><trt:ProfileToken>"+arg+"</trt:ProfileToken></trt:GetProfile>"),
			envelope("", "", "<trt:GetProfileResponse>"+answer+"</trt:GetProfileResponse>"), "")
	}
	a := &asking{t: t, h: newReplay([]*exchange{made("a", "a1"), made("b", "b1"), made("a", "a2")})}
	for i, want := range []string{"a:a1", "a:a2", "b:b1", "a:a1", "b:b1", "a:a2", "c:a1", "c:b1"} {
		arg, answer, _ := strings.Cut(want, ":")
		if got := a.ask("<trt:GetProfile><trt:ProfileToken>" + arg + "</trt:ProfileToken></trt:GetProfile>").Text; got != answer {
			t.Errorf("%d: asked for %s, got %s, want %s", i, arg, got, answer)
		}
	}
}
