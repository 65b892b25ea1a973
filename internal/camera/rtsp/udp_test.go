package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

// udpFake is a fake on a real socket that sends datagrams.
type udpFake struct {
	*fake
	sockets [2]*net.UDPConn // RTP and RTCP of the video
	client  [2]*net.UDPAddr
}

func newUDPFake(t *testing.T) (*udpFake, string) {
	t.Helper()
	f := &udpFake{fake: newFake()}
	f.sdp = strings.Split(fakeSDP, "m=audio")[0]
	for i := range f.sockets {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		f.sockets[i] = c
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.group.Go(func() { f.serve(&fakeConn{Conn: c, f: f.fake, writing: make(chan struct{}, 1)}) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		for _, c := range f.sockets {
			c.Close()
		}
		f.group.Wait()
	})
	f.handle = f.setUp
	return f, ln.Addr().String()
}

// setUp answers SETUP for UDP; TCP is refused.
func (f *udpFake) setUp(c *fakeConn, m *message) bool {
	if m.method != "SETUP" {
		return false
	}
	_, ports, ok := strings.Cut(m.get("Transport"), "client_port=")
	if !ok {
		c.answer(m, 461, "")
		return true
	}
	a, b, _ := numberPair(ports, 65535)
	f.client = [2]*net.UDPAddr{{IP: net.IPv4(127, 0, 0, 1), Port: a}, {IP: net.IPv4(127, 0, 0, 1), Port: b}}
	c.answer(m, 200, "", "Session: "+f.id, fmt.Sprintf("Transport: %s;server_port=%d-%d;ssrc=00000001", m.get("Transport"),
		portOf(f.sockets[0]), portOf(f.sockets[1])))
	return true
}

func TestUDP(t *testing.T) {
	f, address := newUDPFake(t)
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	defer stranger.Close()
	f.stream = func(c *fakeConn) {
		w := rtp.Packetizer{SSRC: 1, PayloadType: 96, Sequence: 65530}
		slice := append([]byte{0x41, 0x9a}, make([]byte, 3000)...)
		for i := range slice[2:] {
			slice[2+i] = 0xab
		}
		var packets [][]byte
		for i := range 12 {
			unit := nals(slice)
			if i == 0 {
				unit = nals(decode(fakeSPS), decode(fakePPS), []byte{0x65, 0x88, 1, 2})
			}
			w.H264(uint32(3600*i), unit, func(b []byte) error {
				packets = append(packets, append([]byte(nil), b...))
				return nil
			})
		}
		// Three packets for each picture, as for the first. Some out of order, one twice, one not at all, one forged.
		packets[4], packets[5] = packets[5], packets[4]
		for i, b := range packets {
			switch i {
			case 10:
				f.sockets[0].WriteToUDP(b, f.client[0])
			case 16:
				continue
			case 20:
				forged := append([]byte(nil), b...)
				forged[12] = 0xff
				stranger.WriteToUDP(forged, f.client[0])
			}
			f.sockets[0].WriteToUDP(b, f.client[0])
		}
		f.sockets[1].WriteToUDP(rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1, NTP: 1 << 63, Timestamp: 3600}), f.client[1])
	}
	c := New(Options{URL: "rtsp://" + address + "/stream", Transport: Auto})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var r received
	err = c.Run(ctx, func(s media.Sample) error {
		r.emit(s)
		if r.samples[media.Video] == 11 { // the twelfth ends with its marker bit too, but one more may wait for the lost one
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || reasonOf(err) != "" {
		t.Errorf("%v", err)
	}
	s := c.Stats()
	if s.Lost != 1 || s.Duplicates != 1 || s.Late != 0 || s.Foreign != 0 || s.Broken > 1 || s.Damaged != 1 || s.Transport != "udp" {
		t.Errorf("%+v", s)
	}
	for i, flags := range r.flags {
		if want := map[int]media.Flags{0: media.Key, 5: media.Damaged}[i]; flags != want {
			t.Errorf("picture %d: flags %b, want %b", i, flags, want)
		}
	}
	if got := f.requests(); got != "OPTIONS DESCRIBE SETUP OPTIONS DESCRIBE SETUP PLAY TEARDOWN" {
		t.Errorf("%s", got)
	}
	// Both holes were punched.
	for i, socket := range f.sockets {
		socket.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 100)
		n, from, err := socket.ReadFromUDP(b)
		if err != nil || from.Port != f.client[i].Port || n == 0 {
			t.Errorf("socket %d: %d bytes from %v, %v", i, n, from, err)
		}
	}
	// What worked is remembered: no more SETUP over TCP.
	f.stream = nil
	if err := c.Run(expired(t, 300*time.Millisecond), r.emit); reasonOf(err) != "" {
		t.Errorf("%v", err)
	}
	if got := f.requests(); !strings.HasSuffix(got, "TEARDOWN OPTIONS DESCRIBE SETUP PLAY TEARDOWN") {
		t.Errorf("%s", got)
	}
}

func expired(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	t.Cleanup(cancel)
	return ctx
}

// The control connection dies: there is nothing left to say goodbye on, so another is made for it.
func TestUDPGoodbyeOnAnotherConnection(t *testing.T) {
	f, address := newUDPFake(t)
	f.stream = func(c *fakeConn) { c.Close() }
	c := New(Options{URL: "rtsp://" + address + "/stream", Transport: UDP})
	err := c.Run(context.Background(), nil)
	if reasonOf(err) != recording.CameraClosed {
		t.Errorf("%v", err)
	}
	if got := f.requests(); got != "OPTIONS DESCRIBE SETUP PLAY TEARDOWN" {
		t.Errorf("%s", got)
	}
}

func TestUDPRefused(t *testing.T) {
	f, address := newUDPFake(t)
	f.handle = func(c *fakeConn, m *message) bool {
		if m.method == "SETUP" {
			c.answer(m, 461, "")
		}
		return m.method == "SETUP"
	}
	err := New(Options{URL: "rtsp://" + address + "/stream", Transport: UDP}).Run(context.Background(), nil)
	if reasonOf(err) != recording.Unsupported || !strings.Contains(err.Error(), "461") {
		t.Errorf("%v", err)
	}
}
