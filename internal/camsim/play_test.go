package camsim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPlayExactly(t *testing.T) {
	o := small()
	o.Audio = true
	o.Metadata = true
	bubble(t, o, false, func(t *testing.T, srv *Server, c *client) {
		run(1234 * time.Millisecond) // the schedule does not begin with the session
		p := c.play()
		run(10 * time.Second)

		shots := c.shots()
		if len(shots) != 100 {
			t.Fatalf("%d pictures in 10 s, want 100", len(shots))
		}
		start := srv.start
		for i, s := range shots {
			if i > 0 && s.timestamp-shots[i-1].timestamp != 9000 {
				t.Errorf("picture %d: timestamp steps by %d, want 9000", i, s.timestamp-shots[i-1].timestamp)
			}
			n := 13 + i // the first after 1.234 s
			if want := start.Add(time.Duration(n) * 100 * time.Millisecond); !s.at.Equal(want) {
				t.Errorf("picture %d came at %v, want %v", i, s.at, want)
			}
			if s.markers != 1 {
				t.Errorf("picture %d has %d markers", i, s.markers)
			}
			if key := i%10 == 0; key != s.has(5) || key != s.has(7) || key != s.has(8) {
				t.Errorf("picture %d: key %t, want %t, with parameter sets", i, s.has(5), key)
			}
		}
		for i, p := range c.packets(0) {
			if first := c.packets(0)[0]; seqOf(p.data) != seqOf(first.data)+uint16(i) || ssrcOf(p.data) != ssrcOf(first.data) {
				t.Fatalf("packet %d: sequence %d, SSRC %08x", i, seqOf(p.data), ssrcOf(p.data))
			}
		}
		checkInfo(t, c, p)
		checkReports(t, srv, c)
		checkAudio(t, c)
		if docs := c.packets(4); len(docs) < 30 || !strings.HasPrefix(string(docs[0].data[12:]), "<?xml") {
			t.Errorf("%d metadata packets", len(docs))
		}
		checkCounts(t, srv, c)
	})
}

// checkInfo compares RTP-Info with the first packets.
func checkInfo(t *testing.T, c *client, play *answer) {
	t.Helper()
	for i, channel := range []byte{0, 2, 4} {
		first := c.packets(channel)[0].data
		want := fmt.Sprintf("url=%s/trackID=%d;seq=%d;rtptime=%d", c.url, i, seqOf(first), timestampOf(first))
		if !strings.Contains(play.get("RTP-Info"), want) {
			t.Errorf("RTP-Info %q lacks %q", play.get("RTP-Info"), want)
		}
	}
}

// checkReports compares the pairs of NTP and RTP time with the pictures.
func checkReports(t *testing.T, srv *Server, c *client) {
	t.Helper()
	first := c.shots()[0]
	reports := c.reports(1)
	if len(reports) != 2 {
		t.Fatalf("%d sender reports in 10 s, want 2", len(reports))
	}
	for _, r := range reports {
		media := time.Duration(r.timestamp-first.timestamp) * time.Second / 90_000
		wall := r.time().Sub(first.at)
		if d := media - wall; d < -time.Microsecond || d > time.Microsecond {
			t.Errorf("report: RTP says %v after the first picture, NTP %v", media, wall)
		}
	}
	packets, octets := 0, 0
	for _, p := range c.packets(0) {
		if p.at.Before(reports[1].at) {
			packets++
			octets += len(p.data) - 12
		}
	}
	if r := reports[1]; r.packets != uint32(packets) || r.octets != uint32(octets) {
		t.Errorf("report counts %d packets and %d octets, came %d and %d", r.packets, r.octets, packets, octets)
	}
}

func checkAudio(t *testing.T, c *client) {
	t.Helper()
	packets := c.packets(2)
	if len(packets) != 250 {
		t.Errorf("%d audio packets of 40 ms in 10 s", len(packets))
	}
	// The report ties audio timestamps to UTC: the loud instants are the first 100 ms of each second.
	r := c.reports(3)[0]
	loud, wrong := 0, 0
	for _, p := range packets {
		for i, b := range p.data[12:] {
			since := int64(int32(timestampOf(p.data) + uint32(i) - r.timestamp))
			utc := r.time().Add(time.Duration(since)*125*time.Microsecond + time.Nanosecond)
			level := b ^ 0x55&0x7f
			isLoud := level&0x7f > 0x50
			inBeep := utc.Nanosecond() < 100_000_000
			if isLoud {
				loud++
			}
			if isLoud && !inBeep {
				wrong++
			}
		}
	}
	if loud < 5000 || wrong > 0 {
		t.Errorf("%d loud instants, %d of them outside the beeps", loud, wrong)
	}
}

// checkCounts compares what the server says that it sent with what came.
func checkCounts(t *testing.T, srv *Server, c *client) {
	t.Helper()
	n := srv.Counts().Paths["/cam0"]
	bytes, wire := 0, 0
	for _, s := range c.shots() {
		for _, u := range s.nals {
			bytes += 4 + len(u)
		}
	}
	for channel := range byte(6) {
		for _, p := range c.packets(channel) {
			wire += 4 + len(p.data)
		}
	}
	want := Totals{SamplesSent: 100, KeySamplesSent: 10, AudioSamplesSent: 250, MetadataSamplesSent: 10,
		BytesSent: int64(wire), SampleBytesSent: int64(bytes), FirstSample: 13, LastSample: 112}
	if n.Totals != want {
		t.Errorf("counts\n got %+v\nwant %+v", n.Totals, want)
	}
	w := srv.Written("/cam0")
	if len(w) != 1 || len(w[0].Samples) != 360 {
		t.Fatalf("written: %d sessions", len(w))
	}
	i := 0
	for _, x := range w[0].Samples {
		if x.Kind == "video" {
			if s := c.shots()[i]; x.Number != int64(13+i) || !x.At.Equal(s.at) {
				t.Errorf("sample %d was written at %v, came at %v", x.Number, x.At, s.at)
			}
			i++
		}
	}
}

func TestWrittenIsBounded(t *testing.T) {
	o := small()
	o.SessionTimeout = -1
	bubble(t, o, true, func(t *testing.T, srv *Server, c *client) {
		for range 15 {
			run(time.Minute)
			c.forget()
		}
		w := srv.Written("/cam0")[0].Samples
		if len(w) < 600 || len(w) > 4000 {
			t.Errorf("%d samples remembered after 15 minutes", len(w))
		}
		if n := srv.Counts().Paths["/cam0"].SamplesSent; n != 9_001 { // the instants at both ends count
			t.Errorf("%d samples in 15 minutes", n)
		}
	})
}

func TestSessionsShareOnePicture(t *testing.T) {
	bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
		run(1500 * time.Millisecond)
		d := pipe(t, t.Context(), srv, "/cam0")
		d.play()
		run(2 * time.Second)
		a, b := c.shots(), d.shots()
		if len(b) != 20 || !b[0].has(5) {
			t.Fatalf("second session: %d pictures", len(b))
		}
		a = a[len(a)-20:]
		for i := range b {
			if fmt.Sprint(a[i].nals) != fmt.Sprint(b[i].nals) {
				t.Errorf("picture %d differs between sessions", i)
			}
		}
		if ssrcOf(c.packets(0)[0].data) == ssrcOf(d.packets(0)[0].data) {
			t.Error("two sessions have one SSRC")
		}
		if n := srv.Counts(); n.RTSPSessions != 2 || n.Connections != 2 {
			t.Errorf("%d sessions, %d connections", n.RTSPSessions, n.Connections)
		}
	})
}

func TestPauseAndTeardown(t *testing.T) {
	bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
		run(time.Second)
		c.want(200, "PAUSE", c.url)
		before := len(c.shots())
		run(3 * time.Second)
		if n := len(c.shots()); n != before {
			t.Errorf("%d pictures during a pause", n-before)
		}
		c.want(200, "PLAY", c.url)
		run(time.Second)
		shots := c.shots()
		if len(shots) <= before || !shots[before].has(5) {
			t.Error("no key sample after a pause")
		}
		if last, next := c.packets(0)[0].data, shots[before].timestamp; next-timestampOf(last) < 3*90_000 {
			t.Error("the timestamp stood still during a pause")
		}
		c.want(200, "TEARDOWN", c.url)
		before = len(c.shots())
		run(time.Second)
		if n := len(c.shots()); n != before {
			t.Errorf("%d pictures after TEARDOWN", n-before)
		}
		c.want(454, "PLAY", c.url)
		x := srv.Counts().Paths["/cam0"].Sessions[0]
		if x.EndReason != "teardown" || x.Ended == nil {
			t.Errorf("session ended as %q", x.EndReason)
		}
	})
}

func TestSessionTimeout(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		keep    func(c *client)
		lives   bool
		header  string
	}{
		{"silent", 10 * time.Second, func(*client) {}, false, ";timeout=10"},
		{"options", 10 * time.Second, func(c *client) { c.want(200, "OPTIONS", c.url) }, true, ";timeout=10"},
		{"get parameter", 10 * time.Second, func(c *client) { c.want(200, "GET_PARAMETER", c.url) }, true, ";timeout=10"},
		{"set parameter", 10 * time.Second, func(c *client) { c.want(200, "SET_PARAMETER", c.url) }, true, ";timeout=10"},
		{"receiver report", 10 * time.Second, func(c *client) { c.nc.Write([]byte{'$', 1, 0, 8, 0x80, 201, 0, 1, 0, 0, 0, 1}) }, true, ";timeout=10"},
		{"never", -1, func(*client) {}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := small()
			o.SessionTimeout = test.timeout
			bubble(t, o, false, func(t *testing.T, srv *Server, c *client) {
				if h := c.play().get("Session"); h != c.session+test.header {
					t.Errorf("Session header %q", h)
				}
				for range 5 {
					run(6 * time.Second)
					if test.lives {
						test.keep(c)
					}
				}
				if got := srv.Counts().RTSPSessions == 1; got != test.lives {
					t.Errorf("session lives: %t", got)
				}
				if !test.lives {
					<-c.dead
					if r := srv.Counts().Paths["/cam0"].Sessions[0].EndReason; r != "expired" {
						t.Errorf("ended as %q", r)
					}
				}
			})
		})
	}
}

func TestRequestsRefused(t *testing.T) {
	bubble(t, small(), false, func(t *testing.T, _ *Server, c *client) {
		tcp := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
		c.want(404, "DESCRIBE", "rtsp://camera/cam9")
		c.want(404, "DESCRIBE", "rtsp://camera/")
		c.want(404, "SETUP", c.url+"/trackID=7", tcp)
		c.want(454, "PLAY", c.url)
		c.want(501, "ANNOUNCE", c.url)
		c.want(400, "SETUP", c.url+"/trackID=0", "Transport: RTP/AVP/TCP;interleaved=a-b")
		c.want(461, "SETUP", c.url+"/trackID=0", "Transport: RTP/SAVP;unicast;client_port=4-5")
		c.want(461, "SETUP", c.url+"/trackID=0", "Transport: RTP/AVP;multicast")
		c.want(461, "SETUP", c.url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=6000-6001") // a pipe has no address
		c.want(454, "SETUP", c.url+"/trackID=0", tcp, "Session: 12345678")
		c.want(200, "DESCRIBE", c.url+"?profile=1")
		c.want(200, "SETUP", c.url+"?profile=1/trackID=0", tcp)
		if got := c.want(200, "OPTIONS", "*").get("Public"); got != public {
			t.Errorf("Public: %s", got)
		}
		fmt.Fprintf(c.nc, "NONSENSE\r\n\r\n")
		if a := <-c.answers; a.status != 400 {
			t.Errorf("nonsense was answered %d", a.status)
		}
		<-c.dead
	})
}

func TestSkipsWhatIsTooLate(t *testing.T) {
	bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
		run(time.Second)
		st := srv.streams["/cam0"]
		st.mu.Lock() // as if the machine had slept for 20 s
		st.clock.real = st.clock.real.Add(-20 * time.Second)
		st.mu.Unlock()
		run(2 * time.Second)
		n := srv.Counts().Paths["/cam0"]
		if n.SkippedSamples < 150 || n.SamplesSent > 60 {
			t.Errorf("%d left out, %d sent", n.SkippedSamples, n.SamplesSent)
		}
		shots := c.shots()
		for i := 1; i < len(shots); i++ {
			if shots[i].timestamp-shots[i-1].timestamp > 9000 && !shots[i].has(5) {
				t.Error("no key sample after the hole")
			}
		}
	})
}
