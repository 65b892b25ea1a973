package camsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// onTheWire has one test for each kind of fault: it shows on the wire.
var onTheWire = map[Kind]func(t *testing.T){
	Loss:         playing(testLoss),
	Reorder:      playing(testReorder),
	Duplicate:    playing(testDuplicate),
	Jitter:       playing(testJitter),
	Burst:        playing(testBurst),
	Stall:        playing(testStall),
	WrapSoon:     idle(testWrapSoon),
	TimeJump:     playing(testTimeJump),
	NewSSRC:      playing(testNewSSRC),
	StartCodes:   playing(testStartCodes),
	ParamsMarker: playing(testParamsMarker),
	NTPZero:      playing(testNTPZero),
	NoReports:    playing(testNoReports),
	Drift:        playing(testDrift),
	ClockStep:    playing(testClockStep),
	Parameters:   playing(testParameters),
	NoKey:        playing(testNoKey),
	LongGOP:      playing(testLongGOP),
	MidGOP:       playing(testMidGOP),
	WrongSDP:     idle(testWrongSDP),
	NoVideo:      idle(testNoVideo),
	CodecName:    idle(testCodecName),
	NoType:       idle(testNoType),
	Redirect:     idle(testRedirect),
	Refuse:       idle(testRefuse),
	NoTransport:  idle(testNoTransport),
	SessionLimit: idle(testSessionLimit),
	Reset:        testReset,
	Close:        playing(testClose),
	HalfOpen:     playing(testHalfOpen),
	Ghost:        playing(testGhost),
	KeepAlive:    playing(testKeepAlive),
	Password:     testPassword,
	Nonce:        testNonce,
	AuthKind:     testAuthKind,
	Reboot:       testReboot,
}

func TestFaults(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(string(k), func(t *testing.T) {
			f := onTheWire[k]
			if f == nil {
				t.Fatal("no test shows this fault on the wire")
			}
			f(t)
		})
	}
}

func TestFaultsAreInTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/guide/camsim.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		row := []byte("\n| `" + string(k))
		if i := bytes.Index(guide, append(row, '`')); i >= 0 {
			continue
		}
		if !bytes.Contains(guide, append(row, '=')) && !bytes.Contains(guide, append(row, '[')) {
			t.Errorf("the guide has no row for %s", k)
		}
	}
}

type bubbleTest func(t *testing.T, srv *Server, c *client)

// playing runs a test with a client that plays, after one second.
func playing(f bubbleTest) func(*testing.T) {
	return func(t *testing.T) {
		bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
			run(1050 * time.Millisecond)
			f(t, srv, c)
		})
	}
}

func idle(f bubbleTest) func(*testing.T) {
	return func(t *testing.T) { o := small(); o.Audio = true; bubble(t, o, false, f) }
}

// sequence tells about the order of sequence numbers on channel 0.
func sequence(c *client) (missing, doubled, backward int) {
	packets := c.packets(0)
	seen := map[uint16]int{}
	low, high := seqOf(packets[0].data), seqOf(packets[0].data)
	last := high
	for i, p := range packets {
		s := seqOf(p.data)
		seen[s]++
		if int16(s-high) > 0 {
			high = s
		}
		if int16(s-low) < 0 {
			low = s
		}
		if i > 0 && int16(s-last) < 0 {
			backward++
		}
		last = s
	}
	for s := low; s != high+1; s++ {
		switch n := seen[s]; {
		case n == 0:
			missing++
		case n > 1:
			doubled++
		}
	}
	return
}

func testLoss(t *testing.T, srv *Server, c *client) {
	set(t, srv, Loss, "20%")
	run(10 * time.Second)
	total := len(c.packets(0))
	missing, doubled, backward := sequence(c)
	if missing < total/10 || missing > total/3 || doubled+backward > 0 {
		t.Errorf("%d of %d missing, %d doubled, %d backward", missing, total, doubled, backward)
	}
	n := srv.Counts().Paths["/cam0"]
	if n.SamplesDamaged == 0 || n.SamplesDamaged+n.SamplesSent != 111 {
		t.Errorf("%d damaged, %d sent", n.SamplesDamaged, n.SamplesSent)
	}
	set(t, srv, Loss, "off")
	c.forget()
	run(3 * time.Second)
	if missing, _, _ := sequence(c); missing > 0 {
		t.Errorf("%d missing after the end of the fault", missing)
	}
}

func testReorder(t *testing.T, srv *Server, c *client) {
	set(t, srv, Reorder, "20")
	run(10 * time.Second)
	set(t, srv, Reorder, "off")
	run(time.Second)
	if missing, doubled, backward := sequence(c); backward < 20 || missing+doubled > 0 {
		t.Errorf("%d missing, %d doubled, %d backward", missing, doubled, backward)
	}
}

func testDuplicate(t *testing.T, srv *Server, c *client) {
	set(t, srv, Duplicate, "20")
	run(10 * time.Second)
	if missing, doubled, backward := sequence(c); doubled < 20 || missing+backward > 0 {
		t.Errorf("%d missing, %d doubled, %d backward", missing, doubled, backward)
	}
}

// schedule tells how late pictures came, and checks that timestamps keep to the schedule.
func schedule(t *testing.T, shots []*shot) (least, most time.Duration) {
	t.Helper()
	for i, s := range shots {
		if want := shots[0].timestamp + 9000*uint32(i); s.timestamp != want {
			t.Fatalf("picture %d has timestamp %d, want %d", i, s.timestamp, want)
		}
		late := s.at.Sub(shots[0].at) - time.Duration(i)*100*time.Millisecond
		least, most = min(least, late), max(most, late)
	}
	return
}

func testJitter(t *testing.T, srv *Server, c *client) {
	set(t, srv, Jitter, "80ms")
	run(20 * time.Second)
	if least, most := schedule(t, c.shots()); least < 0 || most < 40*time.Millisecond || most > 80*time.Millisecond {
		t.Errorf("pictures came from %v to %v late", least, most)
	}
	set(t, srv, Jitter, "off")
	run(time.Second)
	first := c.shots()[0]
	c.forget()
	run(2 * time.Second)
	for _, s := range c.shots() {
		if media := time.Duration(s.timestamp-first.timestamp) * time.Second / 90_000; s.at.Sub(first.at) != media {
			t.Errorf("still late: %v after the first, by timestamp %v", s.at.Sub(first.at), media)
		}
	}
}

func testBurst(t *testing.T, srv *Server, c *client) {
	set(t, srv, Burst, "7s") // longer than a stream may be late otherwise
	run(10 * time.Second)
	shots := c.shots()
	_, most := schedule(t, shots)
	at := map[time.Time]int{}
	for _, s := range shots {
		at[s.at]++
	}
	together := 0
	for _, n := range at {
		together = max(together, n)
	}
	if most < 6900*time.Millisecond || together < 69 || len(shots) != 111 {
		t.Errorf("%d pictures, up to %v late, %d at one instant", len(shots), most, together)
	}
}

func testStall(t *testing.T, srv *Server, c *client) {
	set(t, srv, Stall, "3")
	before := len(c.packets(0))
	run(2900 * time.Millisecond)
	if n := len(c.packets(0)) - before; n > 0 {
		t.Errorf("%d packets during a stall", n)
	}
	c.want(200, "OPTIONS", c.url)
	run(2 * time.Second)
	shots := c.shots()
	hole := uint32(0)
	for i := 1; i < len(shots); i++ {
		hole = max(hole, shots[i].timestamp-shots[i-1].timestamp)
	}
	if missing, _, _ := sequence(c); hole < 2*90_000 || missing > 0 || srv.Counts().Paths["/cam0"].Faults == nil {
		t.Errorf("hole of %d ticks, %d packets missing", hole, missing)
	}
	if on := srv.Counts().Paths["/cam0"].Faults; len(on) > 0 {
		t.Errorf("still on: %v", on)
	}
}

func testWrapSoon(t *testing.T, srv *Server, c *client) {
	set(t, srv, WrapSoon, "3")
	c.play()
	run(6 * time.Second)
	shots := c.shots()
	schedule(t, shots)
	if first, last := shots[0].timestamp, shots[len(shots)-1].timestamp; -first != 3*90_000 || last > first {
		t.Errorf("timestamps from %d to %d", first, last)
	}
	audio := c.packets(2)
	if first, last := timestampOf(audio[0].data), timestampOf(audio[len(audio)-1].data); -first != 3*8000 || last > first {
		t.Errorf("audio timestamps from %d to %d", first, last)
	}
}

func testTimeJump(t *testing.T, srv *Server, c *client) {
	set(t, srv, TimeJump, "-900000")
	run(time.Second)
	jumps := 0
	shots := c.shots()
	for i := 1; i < len(shots); i++ {
		if d := int32(shots[i].timestamp - shots[i-1].timestamp); d == 9000-900_000 {
			jumps++
		} else if d != 9000 {
			t.Errorf("step of %d", d)
		}
	}
	if jumps != 1 {
		t.Errorf("%d jumps", jumps)
	}
}

func testNewSSRC(t *testing.T, srv *Server, c *client) {
	set(t, srv, NewSSRC, "")
	run(6 * time.Second)
	seen := map[uint32]bool{}
	for _, p := range c.packets(0) {
		seen[ssrcOf(p.data)] = true
	}
	r := c.reports(1)
	if len(seen) != 2 || r[0].ssrc == r[len(r)-1].ssrc {
		t.Errorf("%d SSRCs, reports from %08x and %08x", len(seen), r[0].ssrc, r[len(r)-1].ssrc)
	}
}

func testStartCodes(t *testing.T, srv *Server, c *client) {
	set(t, srv, StartCodes, "on")
	c.forget()
	run(2 * time.Second)
	found := 0
	for _, s := range c.shots() {
		if len(s.nals) != 1 {
			t.Errorf("%d units", len(s.nals))
		}
		if units := bytes.Split(s.nals[0], []byte{0, 0, 0, 1}); units[0][0]&0x1f == 7 && len(units) >= 3 {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d key samples with start codes inside", found)
	}
}

func testParamsMarker(t *testing.T, srv *Server, c *client) {
	set(t, srv, ParamsMarker, "")
	c.forget()
	run(2 * time.Second)
	marked := 0
	for _, p := range c.packets(0) {
		if k := p.data[12] & 0x1f; (k == 7 || k == 8) && markerOf(p.data) {
			marked++
		}
	}
	if marked != 4 {
		t.Errorf("%d marked parameter sets", marked)
	}
}

func testNTPZero(t *testing.T, srv *Server, c *client) {
	set(t, srv, NTPZero, "")
	run(6 * time.Second)
	if r := c.reports(1); len(r) != 2 || r[0].ntp == 0 || r[1].ntp != 0 {
		t.Errorf("reports %+v", r)
	}
}

func testNoReports(t *testing.T, srv *Server, c *client) {
	set(t, srv, NoReports, "")
	run(20 * time.Second)
	if r := c.reports(1); len(r) != 1 {
		t.Errorf("%d reports, want the first alone", len(r))
	}
}

func testDrift(t *testing.T, srv *Server, c *client) {
	set(t, srv, Drift, "100000")
	before := len(c.shots())
	run(20 * time.Second)
	shots := c.shots()
	if n := len(shots) - before; n != 220 {
		t.Errorf("%d pictures in 20 s of a clock that is fast by a tenth", n)
	}
	for i := 1; i < len(shots); i++ {
		if shots[i].timestamp-shots[i-1].timestamp != 9000 {
			t.Fatal("timestamps left the camera's clock")
		}
	}
	r := c.reports(1)
	a, b := r[1], r[len(r)-1]
	real, ntp := b.at.Sub(a.at), b.time().Sub(a.time())
	if ratio := float64(ntp) / float64(real); ratio < 1.0999 || ratio > 1.1001 {
		t.Errorf("NTP runs %v times as fast", ratio)
	}
	set(t, srv, Drift, "off")
	before = len(c.shots())
	run(10 * time.Second)
	if n := len(c.shots()) - before; n < 99 || n > 101 {
		t.Errorf("%d pictures in 10 s after the drift", n)
	}
}

func testClockStep(t *testing.T, srv *Server, c *client) {
	set(t, srv, ClockStep, "-1h")
	run(6 * time.Second)
	schedule(t, c.shots())
	r := c.reports(1)
	media := time.Duration(r[1].timestamp-r[0].timestamp) * time.Second / 90_000
	if d := r[1].time().Sub(r[0].time()) - media; d < -time.Hour-time.Millisecond || d > -time.Hour+time.Millisecond {
		t.Errorf("NTP stepped by %v", d)
	}
}

func testParameters(t *testing.T, srv *Server, c *client) {
	old := c.describe().body
	for _, value := range []string{"", "352x288"} {
		before := len(c.shots())
		set(t, srv, Parameters, value)
		run(time.Second)
		shots := c.shots()
		a, b := shots[0].unit(7), shots[before].unit(7)
		if b == nil || bytes.Equal(a, b) {
			t.Fatalf("params=%s: SPS % x, was % x", value, b, a)
		}
		_, was, _ := parseSPS264(a)
		_, is, err := parseSPS264(b)
		if err != nil || (value == "") != (was.width == is.width) || value != "" && is.width != 352 {
			t.Errorf("params=%s: width %d, was %d (%v)", value, is.width, was.width, err)
		}
		if fresh := c.describe().body; fresh == old {
			t.Errorf("params=%s: the SDP is the same", value)
		}
	}
	schedule(t, c.shots())
}

func testNoKey(t *testing.T, srv *Server, c *client) {
	count := func() (keys int) {
		for _, s := range c.shots() {
			if s.has(5) {
				keys++
			}
		}
		return
	}
	before := count()
	set(t, srv, NoKey, "2")
	run(2 * time.Second)
	if n := count(); n != before {
		t.Errorf("%d key samples came", n-before)
	}
	run(2 * time.Second)
	if n := count(); n != before+2 {
		t.Errorf("%d key samples came after two were left out", n-before)
	}
	set(t, srv, NoKey, "")
	run(10 * time.Second)
	if n := count(); n != before+2 {
		t.Errorf("%d key samples came", n-before-2)
	}
	if missing, _, _ := sequence(c); missing > 0 {
		t.Errorf("%d packets missing: the camera never made them", missing)
	}
}

func testLongGOP(t *testing.T, srv *Server, c *client) {
	set(t, srv, LongGOP, "150")
	run(40 * time.Second)
	var keys []int
	for i, s := range c.shots() {
		if s.has(5) {
			keys = append(keys, i)
		}
	}
	if n := len(keys); n < 4 || keys[n-1]-keys[n-2] != 150 {
		t.Errorf("key samples at %v", keys)
	}
}

func testMidGOP(t *testing.T, srv *Server, c *client) {
	set(t, srv, MidGOP, "")
	d := pipe(t, t.Context(), srv, "/cam0")
	d.play()
	run(2 * time.Second)
	shots := d.shots()
	if shots[0].has(5) || len(shots) != 20 {
		t.Errorf("%d pictures, the first one a key sample: %t", len(shots), shots[0].has(5))
	}
	d.nc.Close()
}

func testWrongSDP(t *testing.T, srv *Server, c *client) {
	right := c.describe().body
	for value, wrong := range map[string]func(body string) bool{
		"size":         func(b string) bool { return strings.Contains(b, "sprop-parameter-sets=") && b != right },
		"no-sprop":     func(b string) bool { return !strings.Contains(b, "sprop") && strings.Contains(b, "H264/90000") },
		"garbage":      func(b string) bool { return strings.Contains(b, "!not*base64!") },
		"payload-type": func(b string) bool { return strings.Contains(b, "rtpmap:97 H264") },
		"truncated":    func(b string) bool { return len(b) < len(right) && strings.HasPrefix(right, b) },
	} {
		set(t, srv, WrongSDP, value)
		if b := c.want(200, "DESCRIBE", c.url).body; !wrong(b) {
			t.Errorf("%s:\n%s", value, b)
		}
	}
	set(t, srv, WrongSDP, "off")
	if b := c.describe().body; b != right {
		t.Error("still wrong")
	}
}

func testNoVideo(t *testing.T, srv *Server, c *client) {
	set(t, srv, NoVideo, "")
	if b := c.describe().body; strings.Contains(b, "m=video") || !strings.Contains(b, "m=audio") {
		t.Error(b)
	}
}

func testCodecName(t *testing.T, srv *Server, c *client) {
	set(t, srv, CodecName, "MP4V-ES")
	if b := c.describe().body; !strings.Contains(b, "rtpmap:96 MP4V-ES/90000") || strings.Contains(b, "sprop") {
		t.Error(b)
	}
}

func testNoType(t *testing.T, srv *Server, c *client) {
	set(t, srv, NoType, "")
	if a := c.describe(); a.get("Content-Type") != "" {
		t.Error(a.header)
	}
}

func testRedirect(t *testing.T, srv *Server, c *client) {
	for value, want := range map[string]string{"/cam1": "rtsp://camera/cam1", "rtsp://other:5554/x": "rtsp://other:5554/x"} {
		set(t, srv, Redirect, value)
		if a := c.want(302, "DESCRIBE", c.url); a.get("Location") != want {
			t.Errorf("Location %q, want %q", a.get("Location"), want)
		}
	}
}

func testRefuse(t *testing.T, srv *Server, c *client) {
	for _, status := range []int{404, 401, 503} {
		set(t, srv, Refuse, fmt.Sprint(status))
		if a := c.want(status, "DESCRIBE", c.url); (status == 401) != (a.get("WWW-Authenticate") != "") {
			t.Errorf("%d: %v", status, a.header)
		}
	}
	set(t, srv, Refuse, "off")
	c.want(200, "DESCRIBE", c.url)
}

func testNoTransport(t *testing.T, srv *Server, c *client) {
	url := c.url + "/trackID=0"
	set(t, srv, NoTransport, "tcp")
	c.want(461, "SETUP", url, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	set(t, srv, NoTransport, "udp")
	c.want(461, "SETUP", url, "Transport: RTP/AVP;unicast;client_port=5000-5001")
	a := c.want(200, "SETUP", url, "Transport: RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1")
	if !strings.Contains(a.get("Transport"), "TCP") {
		t.Error(a.get("Transport"))
	}
	set(t, srv, NoTransport, "all")
	c.want(461, "SETUP", url, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
}

func testSessionLimit(t *testing.T, srv *Server, c *client) {
	set(t, srv, SessionLimit, "2")
	c.play()
	d := pipe(t, t.Context(), srv, "/cam0")
	d.play()
	e := pipe(t, t.Context(), srv, "/cam0")
	e.describe()
	transport := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
	e.want(453, "SETUP", e.url+"/trackID=0", transport)
	d.want(200, "TEARDOWN", d.url)
	e.want(200, "SETUP", e.url+"/trackID=0", transport)
	d.nc.Close()
	e.nc.Close()
	run(time.Second)
}

func testClose(t *testing.T, srv *Server, c *client) {
	set(t, srv, Close, "")
	<-c.dead
	if !errors.Is(c.err, io.EOF) && !errors.Is(c.err, io.ErrClosedPipe) {
		t.Error(c.err)
	}
	run(time.Second)
	if x := srv.Counts().Paths["/cam0"].Sessions[0]; x.EndReason != "close" {
		t.Errorf("session ended as %q", x.EndReason)
	}
}

func testReset(t *testing.T) {
	srv, addr := overTCP(t, small())
	c := dial(t, addr, "/cam0")
	c.play()
	set(t, srv, Reset, "")
	<-c.dead
	if !errors.Is(c.err, syscall.ECONNRESET) {
		t.Errorf("connection ended with %v", c.err)
	}
}

func testHalfOpen(t *testing.T, srv *Server, c *client) {
	set(t, srv, HalfOpen, "")
	before := len(c.packets(0))
	c.send("OPTIONS", c.url)
	run(20 * time.Second)
	select {
	case a := <-c.answers:
		t.Errorf("an answer: %+v", a)
	case <-c.dead:
		t.Errorf("the connection ended: %v", c.err)
	default:
	}
	if n := len(c.packets(0)) - before; n > 0 {
		t.Errorf("%d packets", n)
	}
	set(t, srv, HalfOpen, "off")
	c.want(200, "OPTIONS", c.url)
}

func testGhost(t *testing.T, srv *Server, c *client) {
	set(t, srv, Ghost, "")
	ssrc := ssrcOf(c.packets(0)[0].data)
	c.nc.Close()
	run(time.Second)
	d := pipe(t, t.Context(), srv, "/cam0")
	run(time.Second)
	d.play()
	run(2 * time.Second)
	orphans, old, fresh := 0, 0, 0
	for _, p := range d.packets(0) {
		if p.orphan {
			orphans++
		}
		if ssrcOf(p.data) == ssrc {
			old++
		} else {
			fresh++
		}
	}
	if orphans == 0 || old <= orphans || fresh == 0 {
		t.Errorf("%d packets before the first answer, %d of the old session, %d of the new one", orphans, old, fresh)
	}
	if n := srv.Counts().RTSPSessions; n != 2 {
		t.Errorf("%d sessions", n)
	}
	run(40 * time.Second)
	d.do("OPTIONS", d.url)
	run(20 * time.Second)
	if n := srv.Counts().RTSPSessions; n != 1 {
		t.Errorf("%d sessions after the ghost's time", n)
	}
	d.nc.Close()
	set(t, srv, Ghost, "off")
	run(2 * time.Minute)
	if n := srv.Counts().RTSPSessions; n != 0 {
		t.Errorf("%d sessions at the end", n)
	}
}

func testKeepAlive(t *testing.T, srv *Server, c *client) {
	set(t, srv, KeepAlive, "3s")
	before := time.Now()
	c.want(200, "OPTIONS", c.url)
	if d := time.Since(before); d != 3*time.Second {
		t.Errorf("answered after %v", d)
	}
	set(t, srv, KeepAlive, "refuse")
	c.want(501, "GET_PARAMETER", c.url)
	set(t, srv, KeepAlive, "mute")
	c.send("GET_PARAMETER", c.url)
	run(10 * time.Second)
	if len(c.answers) > 0 {
		t.Error("an answer")
	}
	set(t, srv, KeepAlive, "ignore")
	for range 4 {
		run(10 * time.Second)
		c.want(200, "GET_PARAMETER", c.url)
	}
	run(20 * time.Second)
	<-c.dead
	if x := srv.Counts().Paths["/cam0"].Sessions[0]; x.EndReason != "expired" {
		t.Errorf("session ended as %q", x.EndReason)
	}
}

func testReboot(t *testing.T) {
	srv, addr := overTCP(t, small())
	c := dial(t, addr, "/cam0")
	c.play()
	set(t, srv, Reboot, "1h")
	<-c.dead
	if n := srv.Counts(); n.RTSPSessions != 0 || n.Reboots != 1 {
		t.Errorf("%d sessions, %d reboots", n.RTSPSessions, n.Reboots)
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		t.Error("the port is open while the camera is down")
		nc.Close()
	}
	srv, addr = overTCP(t, small())
	set(t, srv, Reboot, "50ms")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		_, err = io.WriteString(nc, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
		buf := make([]byte, 8)
		if _, err2 := io.ReadFull(nc, buf); err == nil && err2 == nil && string(buf) == "RTSP/1.0" {
			nc.Close()
			return
		}
		nc.Close()
	}
	t.Error("the camera did not come back")
}

func TestRebootWithoutListener(t *testing.T) {
	bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
		run(time.Second)
		set(t, srv, Reboot, "10s")
		<-c.dead
		d := pipe(t, t.Context(), srv, "/cam0")
		<-d.dead
		run(11 * time.Second)
		e := pipe(t, t.Context(), srv, "/cam0")
		e.play()
		run(time.Second)
		if first, last := c.shots()[0], e.shots()[0]; len(e.shots()) < 10 || last.at.Sub(first.at) < 11*time.Second {
			t.Error("no pictures after the reboot")
		}
		e.nc.Close()
	})
}

func TestParseFault(t *testing.T) {
	for _, good := range []string{"loss=1.5%", "/cam0/sub:loss=5", "cam3:stall", "burst=2", "drift=-200ppm", "params=640x360", "auth=md5+basic",
		"keepalive=ignore", "redirect=rtsp://h:1/x", "no-key", "no-key=3", "ntp-zero=on", "ts-jump=-5", "nonce", "nonce=4", "stall=off"} {
		if _, err := ParseFault(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "los=1", "loss", "loss=101", "loss=NaN", "jitter=-1s", "jitter=x", "params=1x1", "params=641x480", "auth=plain",
		"keepalive=", "redirect", "no-key=0", "ntp-zero=2", "ts-jump=x", "reset=1", "wrong-sdp=odd", "refuse-transport=sctp", "drift=1e9", "codec=a b"} {
		if _, err := ParseFault(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	f, err := ParseFault("cam0/sub:redirect=rtsp://h/x")
	if want := (PathFault{"/cam0/sub", Fault{Redirect, "rtsp://h/x"}}); err != nil || f != want {
		t.Errorf("%+v, %v", f, err)
	}
}
