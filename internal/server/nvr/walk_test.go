package nvr_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim"
)

// TestWalk records two streams and plays a span of one back by every HTTP way.
func TestWalk(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 2, Audio: true, NoSub: true})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp", "audio": true}, nil)
	s.must("POST", "/cameras", fields{"name": "B", "main": sim.url("/cam1"), "transport": "tcp"}, nil)
	r := s.listed("A/main", 60)[0]
	s.listed("B/main", 30)
	if r.Codec != "h264" || r.Width != 320 || r.Height != 192 || !r.Growing || r.Audio == "" {
		t.Errorf("recording of A: %+v", r)
	}

	open := s.ask("GET", fmt.Sprintf("/cameras/A/main/view.mp4?start=%dt", r.StartTime90k), nil)
	if open.status != http.StatusTemporaryRedirect {
		t.Fatalf("view without an end: %d %s", open.status, open.body)
	}
	pinned := s.base + "/cameras/A/main/" + open.header.Get("Location")
	if !strings.HasPrefix(open.header.Get("Location"), "view.mp4?") {
		t.Errorf("Location %q", open.header.Get("Location"))
	}
	whole := s.ask("GET", pinned, nil)
	if whole.status != http.StatusOK || whole.header.Get("Content-Type") == "" || len(whole.body) < 10_000 {
		t.Fatalf("pinned view: %d, %d bytes", whole.status, len(whole.body))
	}
	again := s.ask("GET", pinned, nil)
	if !bytes.Equal(again.body, whole.body) || again.header.Get("ETag") != whole.header.Get("ETag") {
		t.Error("the pinned view changed while the recording grew")
	}

	tag := whole.header.Get("ETag")
	if tag == "" || strings.HasPrefix(tag, "W/") {
		t.Errorf("ETag %q is not strong", tag)
	}
	part := s.ask("GET", pinned, nil, "Range", "bytes=1000-2999", "If-Range", tag)
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, whole.body[1000:3000]) {
		t.Errorf("range: %d, %d bytes", part.status, len(part.body))
	}
	if want := fmt.Sprintf("bytes 1000-2999/%d", len(whole.body)); part.header.Get("Content-Range") != want {
		t.Errorf("Content-Range %q, want %q", part.header.Get("Content-Range"), want)
	}
	tail := s.ask("GET", pinned, nil, "Range", "bytes=-500")
	if tail.status != http.StatusPartialContent || !bytes.Equal(tail.body, whole.body[len(whole.body)-500:]) {
		t.Errorf("last 500 bytes: %d, %d bytes", tail.status, len(tail.body))
	}
	if a := s.ask("GET", pinned, nil, "If-None-Match", tag); a.status != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", a.status)
	}
	if a := s.ask("GET", pinned, nil, "Range", "bytes=0-9", "If-Range", `"other"`); a.status != http.StatusOK {
		t.Errorf("If-Range with another tag: %d", a.status)
	}
	if a := s.ask("GET", pinned, nil, "Range", fmt.Sprintf("bytes=%d-", len(whole.body))); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("range behind the end: %d", a.status)
	}
	head := s.ask("HEAD", pinned, nil)
	if head.status != http.StatusOK || len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) {
		t.Errorf("HEAD: %d, Content-Length %s of %d", head.status, head.header.Get("Content-Length"), len(whole.body))
	}
	if a := s.ask("GET", strings.Replace(pinned, "view.mp4", "view.mp4.txt", 1), nil); a.status != http.StatusOK || !bytes.Contains(a.body, []byte("moov")) {
		t.Errorf("view.mp4.txt: %d %.200s", a.status, a.body)
	}
	silent := s.ask("GET", pinned+"&audio=none", nil)
	if silent.status != http.StatusOK || bytes.Contains(silent.body, []byte("soun")) || !bytes.Contains(whole.body, []byte("soun")) {
		t.Errorf("audio=none: %d, and the sound is still or never there", silent.status)
	}
}

// TestViewRefusals holds the sentences for spans that there are not.
func TestViewRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": "rtsp://127.0.0.1:1/x"}, nil)
	for _, c := range []struct {
		status     int
		path, says string
	}{
		{404, "/cameras/none/main/view.mp4?start=now", "there is no camera"},
		{404, "/cameras/A/sub/view.mp4?start=now", "no stream"},
		{400, "/cameras/A/main/view.mp4?start=yesternight", "is no time"},
		{400, "/cameras/A/main/recordings?start=now&end=-1m", "the span is empty"},
		{404, "/cameras/A/main/span?start=-1m&end=now", "nothing of A/main is recorded"},
		{400, "/cameras/A/main/recordings?limit=0", "choose 1 to"},
		{400, "/cameras/A/main/recordings?after=x", "previous page"},
		{404, "/nothing", "no such resource"},
	} {
		if got := s.refused(c.status, "GET", c.path, nil); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q in it", c.path, got, c.says)
		}
	}
}

// TestGaps reboots the camera, lets it refuse, and looks for the entries with their reasons; the other camera goes on.
func TestGaps(t *testing.T) {
	t.Parallel()
	sim, other := simulate(t, camsim.Options{NoSub: true}), simulate(t, camsim.Options{NoSub: true})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	s.must("POST", "/cameras", fields{"name": "B", "main": other.url("/cam0"), "transport": "tcp"}, nil)
	until(t, "both send", func() bool { return sent(sim, "/cam0") > 15 && sent(other, "/cam0") > 15 })
	sim.Reboot(500 * time.Millisecond)
	until(t, "A is recorded again", func() bool {
		all := s.recordings("A/main")
		return len(all) == 2 && all[1].Growing && all[1].VideoSamples > 0
	})
	all, gaps := s.recordings("A/main"), s.gaps("A/main")
	at := all[0].EndTime90k
	for i, g := range gaps { // one for each reason, each where the one before it ended
		if g.StartTime90k != at || g.EndTime90k == nil || g.Detail == "" || g.Reason != []string{"camera-closed", "refused"}[min(i, 1)] {
			t.Fatalf("gaps of A after %d: %+v", at, gaps)
		}
		at = *g.EndTime90k
	}
	if len(gaps) == 0 || at != all[1].StartTime90k || all[0].EndReason != "camera-closed" || all[0].EndDetail == "" || all[0].Run == all[1].Run {
		t.Errorf("after a reboot: gaps %+v between recordings %+v", gaps, all)
	}

	if err := sim.SetFault("/cam0", camsim.Fault{Kind: camsim.Refuse, Value: "404"}); err != nil {
		t.Fatal(err)
	}
	if err := sim.SetFault("/cam0", camsim.Fault{Kind: camsim.Close}); err != nil {
		t.Fatal(err)
	}
	until(t, "A says why it does not record", func() bool {
		phase, reason, detail := s.state("A/main")
		return phase == "waiting" && reason == "not-found" && detail != ""
	})
	gaps = s.gaps("A/main")
	if last := gaps[len(gaps)-1]; last.EndTime90k != nil {
		t.Errorf("the gap that goes on has an end: %+v", last)
	}
	ready := strings.TrimSuffix(s.base, "/api/v1") + "/readyz"
	if text := s.refused(503, "GET", ready, nil); !strings.Contains(text, "A/main") || strings.Contains(text, "B/main") {
		t.Errorf("readyz: %q", text)
	}
	before := s.samples("B/main")
	s.listed("B/main", before+10)
	if g := s.gaps("B/main"); len(g) != 0 || len(s.recordings("B/main")) != 1 {
		t.Errorf("B has gaps: %+v", g)
	}
}

// TestParameterChange lets the picture's size change: a new recording of the same run, with the sample entry of the new
// size and without a gap.
func TestParameterChange(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	s.listed("A/main", 10)
	for i, change := range []struct {
		value         string
		width, height int
	}{{"480x272", 480, 272}, {"", 480, 272}} {
		if err := sim.SetFault("/cam0", camsim.Fault{Kind: camsim.Parameters, Value: change.value}); err != nil {
			t.Fatal(err)
		}
		until(t, "a new recording", func() bool {
			all := s.recordings("A/main")
			return len(all) == i+2 && all[i+1].VideoSamples > 0
		})
		all := s.recordings("A/main")
		was, is := all[i], all[i+1]
		if was.Run != is.Run || is.RunOffset != was.RunOffset+1 || was.EndTime90k != is.StartTime90k {
			t.Errorf("change %d: %+v after %+v", i, is, was)
		}
		if is.Width != change.width || is.Height != change.height || is.RFC6381 == was.RFC6381 {
			t.Errorf("change %d: %dx%d %s after %s", i, is.Width, is.Height, is.RFC6381, was.RFC6381)
		}
	}
	if g := s.gaps("A/main"); len(g) != 0 {
		t.Errorf("gaps: %+v", g)
	}
}

// TestLiveChanges adds and removes cameras beside one that records: it has no gap and no new run.
func TestLiveChanges(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 3, NoSub: true})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	s.listed("A/main", 10)
	s.must("POST", "/cameras", fields{"name": "B", "main": sim.url("/cam1"), "transport": "tcp"}, nil)
	s.must("POST", "/cameras", fields{"name": "C", "main": sim.url("/cam2"), "transport": "tcp"}, nil)
	until(t, "both send", func() bool { return sent(sim, "/cam1") > 10 && sent(sim, "/cam2") > 10 })
	if text := s.refused(409, "DELETE", "/cameras/B", nil); !strings.Contains(text, "confirm=B") {
		t.Errorf("removal without confirmation: %q", text)
	}
	if text := s.refused(409, "POST", "/cameras", fields{"name": "A", "main": sim.url("/cam1")}); text == "" {
		t.Error("a second camera A was taken")
	}
	s.must("DELETE", "/cameras/B?confirm=B", nil, nil)
	s.refused(404, "GET", "/cameras/B", nil)
	until(t, "camsim sees the session end", func() bool { return sim.Counts().RTSPSessions == 2 })
	before := s.samples("A/main")
	all := s.listed("A/main", before+10)
	if len(all) != 1 || len(s.gaps("A/main")) != 0 {
		t.Errorf("A was disturbed: %+v, gaps %+v", all, s.gaps("A/main"))
	}
	// Every sample that camsim has sent is there, but for those under way.
	all0 := sent(sim, "/cam0")
	until(t, "all that was sent is recorded", func() bool { return int64(s.samples("A/main")) >= all0 })
}

// TestRestart stops the server and starts it again: the gap that was open ends when the recording goes on.
func TestRestart(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	data := dataDirectory(t)
	s := serve(t, data)
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	until(t, "it sends", func() bool { return sent(sim, "/cam0") > 20 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	until(t, "the camera's latest group of pictures is one from after the stop", func() bool { return time.Since(stopped) > time.Second })
	s = serve(t, data)
	until(t, "a second recording", func() bool { return len(s.recordings("A/main")) == 2 })
	all, gaps := s.recordings("A/main"), s.gaps("A/main")
	if all[0].EndReason != "server-stopped" || all[0].Growing || !all[1].Growing {
		t.Errorf("recordings after a restart: %+v", all)
	}
	if len(gaps) != 1 || gaps[0].Reason != "server-stopped" || gaps[0].EndTime90k == nil ||
		gaps[0].StartTime90k != all[0].EndTime90k || *gaps[0].EndTime90k != all[1].StartTime90k {
		t.Errorf("gaps after a restart: %+v between %+v", gaps, all)
	}
	// The span over the gap plays, with the clock going on through it or with the gap closed up.
	span := fmt.Sprintf("/cameras/A/main/view.mp4?start=%dt&end=%dt", all[0].StartTime90k, all[1].StartTime90k+30_000)
	until(t, "the view across the restart", func() bool { return s.ask("GET", span, nil).status == http.StatusOK })
	kept, closed := s.ask("GET", span, nil), s.ask("GET", span+"&gaps=close", nil)
	if closed.status != http.StatusOK || bytes.Equal(kept.body, closed.body) {
		t.Errorf("gaps=close: %d, and the same file", closed.status)
	}
}

// sent tells how many video samples a stream of a simulated camera has sent.
func sent(sim *simulated, path string) int64 { return sim.Counts().Paths[path].SamplesSent }
