package camsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var testEpoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// fast are options of many pictures, for tests in real time.
func fast() Options {
	o := small()
	o.FPS, o.GOP, o.BitRate = 100, 50, 1_000_000
	return o
}

func TestUDP(t *testing.T) {
	srv, addr := overTCP(t, fast())
	c := dial(t, addr, "/cam0")
	c.describe()
	rtp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer rtp.Close()
	rtcp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer rtcp.Close()
	port := func(c *net.UDPConn) int { return c.LocalAddr().(*net.UDPAddr).Port }
	a := c.want(200, "SETUP", c.url+"/trackID=0", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", port(rtp), port(rtcp)))
	c.session, _, _ = strings.Cut(a.get("Session"), ";")
	var clientPorts [2]int
	var serverPorts [2]int
	var ssrc uint32
	fmt.Sscanf(a.get("Transport"), "RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d;ssrc=%x", &clientPorts[0], &clientPorts[1],
		&serverPorts[0], &serverPorts[1], &ssrc)
	if serverPorts[0]%2 != 0 || serverPorts[1] != serverPorts[0]+1 {
		t.Fatalf("Transport %q", a.get("Transport"))
	}
	play := c.want(200, "PLAY", c.url)
	buf := make([]byte, 2048)
	var first, last []byte
	for range 200 {
		n, from, err := rtp.ReadFromUDP(buf)
		if err != nil {
			t.Fatal(err)
		}
		if from.Port != serverPorts[0] || ssrcOf(buf[:n]) != ssrc {
			t.Fatalf("packet from port %d with SSRC %08x, announced %d and %08x", from.Port, ssrcOf(buf[:n]), serverPorts[0], ssrc)
		}
		last = append(last[:0], buf[:n]...)
		if first == nil {
			first = append(first, buf[:n]...)
		}
	}
	if want := fmt.Sprintf("seq=%d;rtptime=%d", seqOf(first), timestampOf(first)); !strings.Contains(play.get("RTP-Info"), want) {
		t.Errorf("RTP-Info %q lacks %q", play.get("RTP-Info"), want)
	}
	if d := seqOf(last) - seqOf(first); d != 199 {
		t.Errorf("200 packets advance the sequence by %d", d)
	}
	n, from, err := rtcp.ReadFromUDP(buf)
	if err != nil || from.Port != serverPorts[1] || n < 28 || buf[1] != 200 {
		t.Errorf("report of %d bytes from port %d: %v", n, from.Port, err)
	}
	c.want(200, "TEARDOWN", c.url)
	if x := srv.Counts().Paths["/cam0"]; x.SamplesSent == 0 || x.Sessions[0].Transport != "udp" {
		t.Errorf("counts %+v", x)
	}
}

func TestUDPReceiverReports(t *testing.T) {
	srv, addr := overTCP(t, fast())
	c := dial(t, addr, "/cam0")
	rtp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer rtp.Close()
	p := rtp.LocalAddr().(*net.UDPAddr).Port
	a := c.want(200, "SETUP", c.url+"/trackID=0", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", p, p))
	c.session, _, _ = strings.Cut(a.get("Session"), ";")
	c.want(200, "PLAY", c.url)
	var rtcp int
	_, after, _ := strings.Cut(a.get("Transport"), "server_port=")
	fmt.Sscanf(after, "%d-%d", new(int), &rtcp)
	buf := make([]byte, 2048)
	for srv.Counts().Paths["/cam0"].Sessions[0].ReceiverReports == 0 {
		if _, _, err := rtp.ReadFromUDP(buf); err != nil {
			t.Fatal(err)
		}
		rtp.WriteToUDP([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: rtcp})
	}
}

// A client that stops reading is cut off, and costs another one nothing.
func TestSlowClient(t *testing.T) {
	o := fast()
	o.QueueBytes, o.BitRate = 1<<20, 40_000_000
	o.PacketSize = 1400
	srv, addr := overTCP(t, o)
	good := dial(t, addr, "/cam0")
	good.play()
	slow := dial(t, addr, "/cam0")
	slow.nc.(*net.TCPConn).SetReadBuffer(256 << 10)
	slow.deaf = make(chan struct{})
	slow.play()
	ended := func() bool {
		for _, x := range srv.Counts().Paths["/cam0"].Sessions {
			if x.EndReason == "slow" {
				return true
			}
		}
		return false
	}
	deadline := time.Now().Add(20 * time.Second)
	for !ended() {
		if time.Now().After(deadline) {
			t.Fatal("the slow client was never cut off")
		}
		good.do("OPTIONS", good.url)
	}
	close(slow.deaf)
	<-slow.dead
	good.want(200, "TEARDOWN", good.url)
	if missing, doubled, backward := sequence(good); missing+doubled+backward > 0 {
		t.Errorf("the good client: %d missing, %d doubled, %d backward", missing, doubled, backward)
	}
	checkAgainst(t, srv, good)
	checkAgainst(t, srv, slow)
}

// checkAgainst compares what a session was sent, by the server's word, with what the client has: every sample that
// counts as completely written came, and one more at most came in part.
func checkAgainst(t *testing.T, srv *Server, c *client) {
	t.Helper()
	complete := 0
	for _, s := range c.shots() {
		complete += s.markers
	}
	for _, x := range srv.Counts().Paths["/cam0"].Sessions {
		if x.ID != c.session {
			continue
		}
		written := 0
		for _, w := range srv.Written("/cam0") {
			if w.ID == x.ID {
				written = len(w.Samples)
			}
		}
		if int64(written) != x.SamplesSent || x.EndReason == "teardown" && complete != written || complete > written {
			t.Errorf("session %s (%s): %d samples came, %d are said to be written, %d listed", x.ID, x.EndReason, complete, x.SamplesSent, written)
		}
		return
	}
	t.Errorf("no counts of session %s", c.session)
}

func TestControl(t *testing.T) {
	o := small()
	o.Cameras = 2
	bubble(t, o, true, func(t *testing.T, srv *Server, c *client) {
		run(2 * time.Second)
		call := func(method, target, body string) (int, string) {
			w := httptest.NewRecorder()
			srv.Control().ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
			b, _ := io.ReadAll(w.Result().Body)
			return w.Code, string(b)
		}
		var counts Counts
		if code, body := call("GET", "/counts", ""); code != 200 || json.Unmarshal([]byte(body), &counts) != nil {
			t.Fatal(code, body)
		}
		if counts.RTSPSessions != 1 || counts.Paths["/cam0"].SamplesSent != 21 || counts.Paths["/cam1"].SamplesSent != 0 {
			t.Errorf("%+v", counts)
		}
		var written []SessionWritten
		if code, body := call("GET", "/written?path=/cam0", ""); code != 200 || json.Unmarshal([]byte(body), &written) != nil || len(written[0].Samples) != 21 {
			t.Error(code, body)
		}
		if code, body := call("POST", "/faults", `{"path":"/cam0","kind":"loss","value":"5"}`); code != 200 || !strings.Contains(body, `{"path":"/cam0","kind":"loss","value":"5"}`) {
			t.Error(code, body)
		}
		if code, _ := call("POST", "/faults", `{"kind":"stall"}`); code != 200 {
			t.Error(code)
		}
		if _, body := call("GET", "/faults", ""); strings.Count(body, "stall") != 2 || strings.Count(body, "loss") != 1 {
			t.Error(body)
		}
		for target, body := range map[string]string{
			"/faults": `{"kind":"nothing"}`, "/faults?": `{"kind":"loss","value":"x"}`, "/faults??": `{"path":"/cam7","kind":"stall"}`,
			"/faults?a": `{"kind":"stall","valve":"x"}`, "/faults?b": `[`, "/reboot": `{"seconds":-1}`,
		} {
			if code, text := call("POST", target, body); code != http.StatusBadRequest || text == "" {
				t.Errorf("%s %s: %d %s", target, body, code, text)
			}
		}
		if code, _ := call("GET", "/written?path=/x", ""); code != 404 {
			t.Error(code)
		}
		if code, _ := call("POST", "/reboot", `{"seconds":0.5}`); code != 200 {
			t.Error(code)
		}
		<-c.dead
		if x := srv.Counts(); x.Reboots != 1 || x.RTSPSessions != 0 {
			t.Errorf("%+v", x)
		}
	})
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"cameras":  {Cameras: -1},
		"odd size": {Width: 641, Height: 480},
		"rate":     {FPS: 2000},
		"auth":     {Auth: []string{"ntlm"}},
		"password": {Password: "x"},
		"packets":  {PacketSize: 10},
		"fault":    {Faults: []PathFault{{"/cam5", Fault{Stall, ""}}}},
		"file":     {Files: []string{"no-such-file.h264"}},
		"ending":   {Files: []string{"net_test.go"}},
	} {
		if err := New(o).Open(); err == nil {
			t.Errorf("%s: taken", name)
		} else if err := New(o).ServeConn(t.Context(), nopConn{}); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}

type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }
