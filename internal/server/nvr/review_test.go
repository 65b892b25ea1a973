package nvr_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// TestSwitchedOff switches one stream of a camera off and on: the ledger says that nobody wanted it meanwhile, without a
// hole, and the other stream has only the moment of the change.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "sub": sim.url("/cam0/sub"), "transport": "tcp"}, nil)
	until(t, "both send", func() bool { return sent(sim, "/cam0") > 10 && sent(sim, "/cam0/sub") > 10 })
	s.must("PATCH", "/cameras/A/main", fields{"record": false}, nil)
	until(t, "the sub stream is recorded again", func() bool { return len(s.recordings("A/sub")) == 2 })
	sub := s.recordings("A/sub")
	from := sub[0].EndTime90k
	for _, g := range s.gaps("A/sub") {
		if g.StartTime90k != from || g.Reason != "settings-change" || g.EndTime90k == nil {
			t.Fatalf("gap of A/sub: %+v", g)
		}
		from = *g.EndTime90k
	}
	if from != sub[1].StartTime90k { // there may be no gap: the camera begins with a picture from before
		t.Errorf("A/sub is recorded or missing up to %d, then %+v", from, sub)
	}
	all, gaps := s.recordings("A/main"), s.gaps("A/main")
	if len(gaps) != 1 || gaps[0].Reason != "mode-off" || gaps[0].EndTime90k != nil || len(all) != 1 || gaps[0].StartTime90k != all[0].EndTime90k {
		t.Fatalf("gaps of A/main, switched off: %+v after %+v", gaps, all)
	}
	s.must("PATCH", "/cameras/A/main", fields{"record": true}, nil)
	until(t, "the main stream is recorded again", func() bool { return len(s.recordings("A/main")) == 2 })
	at := all[0].EndTime90k
	for i, g := range s.gaps("A/main") {
		if want := []string{"mode-off", "settings-change"}[min(i, 1)]; g.StartTime90k != at || g.EndTime90k == nil || g.Reason != want {
			t.Fatalf("gaps of A/main, switched on: %+v", s.gaps("A/main"))
		}
		at = *g.EndTime90k
	}
	if all = s.recordings("A/main"); at != all[1].StartTime90k {
		t.Errorf("the gaps end at %d, the recording begins at %d", at, all[1].StartTime90k)
	}
}

// TestClockSetBack starts the server with a gap open that begins later than now: it is closed like every other.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	data := dataDirectory(t)
	s := serve(t, data)
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	s.listed("A/main", 5)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), catalog.Options{Dir: data, Now: time.Now, Mode: catalog.ReadWrite})
	if err != nil {
		t.Fatal(err)
	}
	cameras, err := c.Cameras(t.Context())
	if err != nil || len(cameras) != 1 {
		t.Fatal(cameras, err)
	}
	id := cameras[0].Streams[0].ID
	gaps, err := c.Gaps(t.Context(), id, 0, 1<<62)
	if err != nil || len(gaps) != 1 || !gaps[0].Open {
		t.Fatalf("%+v, %v", gaps, err)
	}
	gaps[0].End, gaps[0].Open = gaps[0].Start+1, false
	ahead := media.WallTimeOf(time.Now().Add(time.Hour))
	err = c.Flush(t.Context(), catalog.Batch{Gaps: []catalog.Gap{gaps[0], {Stream: id, Start: ahead, Open: true, Reason: recording.ServerStopped}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s = serve(t, data)
	until(t, "a second recording", func() bool { return len(s.recordings("A/main")) == 2 })
	end := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	var list struct{ Gaps []missing }
	s.must("GET", "/gaps?camera=A&stream=main&end="+end, nil, &list)
	for _, g := range list.Gaps {
		if g.EndTime90k == nil {
			t.Errorf("still open while the camera is recorded: %+v", g)
		}
	}
}

// hangUp sends a request and goes away without waiting for the answer.
func (s *server) hangUp(method, path, body string) {
	s.t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(s.base, "http://"), "/")
	c, err := net.Dial("tcp", host)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(c, "%s /api/v1%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, host, len(body), body)
	c.Close()
}

// TestImpatientClients hang up right after they have asked for a change: it is made all the same or not begun, and the
// camera is recorded as long as it is there.
func TestImpatientClients(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 8, NoSub: true})
	s := serve(t, dataDirectory(t))
	for i := range 8 {
		path := fmt.Sprintf("/cameras/%d", i)
		s.must("POST", "/cameras", fields{"name": fmt.Sprint(i), "main": sim.url(fmt.Sprintf("/cam%d", i)), "transport": "tcp"}, nil)
		until(t, "it is recorded", func() bool { phase, _, _ := s.state(fmt.Sprintf("%d/main", i)); return phase == "recording" })
		s.hangUp("DELETE", path+fmt.Sprintf("?confirm=%d", i), "")
		s.hangUp("PATCH", path+"/main", `{"record": false}`)
		s.hangUp("PATCH", path+"/main", `{"record": true}`)
	}
	until(t, "each camera is gone, recorded or switched off", func() bool {
		for i := range 8 {
			path := fmt.Sprintf("/cameras/%d", i)
			if s.ask("GET", path, nil).status == http.StatusNotFound {
				continue
			}
			var c struct {
				Streams []struct {
					Record bool
					State  struct{ Phase string }
				}
			}
			a := s.ask("GET", path, nil)
			if a.status == http.StatusNotFound {
				continue
			}
			s.must("GET", path, nil, &c)
			if st := c.Streams[0]; st.Record != (st.State.Phase == "recording") {
				return false
			}
		}
		return true
	})
}

// TestSettingsChangesLeaveNoGhosts changes a stream's settings twenty times: the camera is told of each end.
func TestSettingsChangesLeaveNoGhosts(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{})
	s := serve(t, dataDirectory(t))
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "sub": sim.url("/cam0/sub"), "transport": "tcp"}, nil)
	for i := range 20 {
		s.must("PATCH", "/cameras/A/sub", fields{"record": i%2 == 1}, nil)
	}
	until(t, "one session for each stream", func() bool {
		return sim.Counts().RTSPSessions == 2 && sent(sim, "/cam0") > 0 && sent(sim, "/cam0/sub") > 0
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n := sim.Counts().RTSPSessions; n != 0 {
		t.Errorf("%d sessions after the stop", n)
	}
}

// TestStartStop starts and stops the server twenty times beside a camera: nothing stays behind.
func TestStartStop(t *testing.T) {
	sim := simulate(t, camsim.Options{NoSub: true})
	data := dataDirectory(t)
	s := serve(t, data)
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	s.must("POST", "/cameras", fields{"name": "B", "main": "rtsp://127.0.0.1:1/nothing"}, nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	handles := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	until(t, "the camera sees it", func() bool { return sim.Counts().RTSPSessions == 0 })
	goroutines, before := runtime.NumGoroutine(), handles()
	for i := range 20 {
		s := serve(t, data)
		if i%3 == 0 { // else it is stopped while it connects
			until(t, "it is recorded", func() bool { phase, _, _ := s.state("A/main"); return phase == "recording" })
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		until(t, "the camera sees it", func() bool { return sim.Counts().RTSPSessions == 0 })
	}
	until(t, fmt.Sprintf("no more than %d goroutines are left", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
	until(t, fmt.Sprintf("no more than %d handles are open", before), func() bool { return handles() <= before })
}
