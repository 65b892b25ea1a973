package dial_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/sys/dial"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		addr      string
		rule      dial.Rule // without Loopback
		confirmed dial.Rule // with it
	}{
		{"192.168.1.10:554", "", ""},
		{"10.0.0.1:80", "", ""},
		{"100.64.0.1:80", "", ""},
		{"198.51.100.7:554", "", ""},
		{"[2001:db8::1]:554", "", ""},
		{"[fd12:3456::1]:554", "", ""},
		{"127.0.0.1:80", dial.Loopback, ""},
		{"127.255.255.254:80", dial.Loopback, ""},
		{"[::1]:80", dial.Loopback, ""},
		{"[::ffff:127.0.0.1]:80", dial.Loopback, ""},
		{"[64:ff9b::7f00:1]:80", dial.Loopback, ""},
		{"[::7f00:1]:80", dial.Loopback, ""},
		{"[2002:7f00:1::]:80", dial.Loopback, ""},
		{"0.0.0.0:80", dial.Unspecified, dial.Unspecified},
		{"0.1.2.3:80", dial.Unspecified, dial.Unspecified},
		{"[::]:80", dial.Unspecified, dial.Unspecified},
		{"[::ffff:0.0.0.0]:80", dial.Unspecified, dial.Unspecified},
		{"169.254.1.1:80", dial.LinkLocal, dial.LinkLocal},
		{"[fe80::1]:80", dial.LinkLocal, dial.LinkLocal},
		{"[fe80::1%eth0]:80", dial.LinkLocal, dial.LinkLocal},
		{"[febf::1]:80", dial.LinkLocal, dial.LinkLocal},
		{"[64:ff9b::a9fe:101]:80", dial.LinkLocal, dial.LinkLocal},
		{"169.254.169.254:80", dial.Metadata, dial.Metadata},
		{"[::ffff:169.254.169.254]:80", dial.Metadata, dial.Metadata},
		{"[64:ff9b::a9fe:a9fe]:80", dial.Metadata, dial.Metadata},
		{"[2002:a9fe:a9fe::1]:80", dial.Metadata, dial.Metadata},
		{"[fd00:ec2::254]:80", dial.Metadata, dial.Metadata},
		{"[fd00:ec2::254%eth0]:80", dial.Metadata, dial.Metadata},
		{"100.100.100.200:80", dial.Metadata, dial.Metadata},
		{"224.0.0.1:80", dial.Multicast, dial.Multicast},
		{"239.255.255.250:3702", dial.Multicast, dial.Multicast},
		{"[ff02::c]:3702", dial.Multicast, dial.Multicast},
		{"255.255.255.255:80", dial.Broadcast, dial.Broadcast},
	} {
		addr := netip.MustParseAddrPort(tc.addr)
		for _, loopback := range []bool{false, true} {
			want := tc.rule
			if loopback {
				want = tc.confirmed
			}
			err := (&dial.Dialer{Loopback: loopback}).Check(addr)
			var denied *dial.Error
			switch {
			case want == "" && err != nil:
				t.Errorf("%s, loopback %v: %v", tc.addr, loopback, err)
			case want != "" && (!errors.As(err, &denied) || denied.Rule != want):
				t.Errorf("%s, loopback %v: %v; want rule %s", tc.addr, loopback, err, want)
			case want != "" && !strings.Contains(err.Error(), string(want)):
				t.Errorf("%s: the error %q does not name the rule", tc.addr, err)
			}
		}
	}
}

func TestOwnListener(t *testing.T) {
	own := func(addrs ...string) func() []netip.AddrPort {
		return func() (out []netip.AddrPort) {
			for _, a := range addrs {
				out = append(out, netip.MustParseAddrPort(a))
			}
			return out
		}
	}
	// An address of this machine that is not loopback, if it has one.
	machine := ""
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			machine = p.Addr().String()
		}
	}
	type row struct {
		own, addr string
		denied    bool
	}
	rows := []row{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1:8080", "127.0.0.2:8080", false},
		{"127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true},
		{"[::]:8080", "127.0.0.1:8080", true},
		{"0.0.0.0:8080", "[::1]:8080", true},
		{"0.0.0.0:8080", "198.51.100.7:8080", false},
		{"192.168.1.2:8080", "192.168.1.2:8080", true},
	}
	if machine != "" {
		rows = append(rows, row{"[::]:8080", machine + ":8080", true}, row{"[::]:8080", machine + ":554", false})
	}
	for _, tc := range rows {
		d := dial.Dialer{Loopback: true, Own: own("192.0.2.9:1", tc.own)}
		err := d.Check(netip.MustParseAddrPort(tc.addr))
		var denied *dial.Error
		if got := errors.As(err, &denied) && denied.Rule == dial.Own; got != tc.denied || err != nil && !got {
			t.Errorf("listener %s, dial %s: %v; want denied %v", tc.own, tc.addr, err, tc.denied)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestDial(t *testing.T) {
	l := listen(t)
	var d dial.Dialer
	conn, err := d.Dial("tcp", l.Addr().String())
	if err == nil {
		conn.Close()
		t.Fatal("loopback was dialled without confirmation")
	}
	if cause := dial.CauseOf(err); cause != dial.Denied {
		t.Errorf("cause %q of %v", cause, err)
	}
	conn, err = d.Confirmed().Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("confirmed loopback: %v", err)
	}
	conn.Close()
	if d.Loopback {
		t.Error("Confirmed changed the Dialer itself")
	}
	if _, err := d.Confirmed().Dial("unix", "/nonexistent"); dial.CauseOf(err) != dial.Denied {
		t.Errorf("unix socket: %v", err)
	}
	if _, err := d.Confirmed().Dial("ip4:icmp", "127.0.0.1"); err == nil {
		t.Error("a raw socket was opened")
	}
}

// nameServer answers A questions with the address that answer gives, and counts them.
func nameServer(t *testing.T, answer func(n int32) netip.Addr) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	var count atomic.Int32
	serve := func(pc net.Conn) {
		var length [2]byte
		if _, err := io.ReadFull(pc, length[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(pc, q); err != nil {
			return
		}
		end := 12
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5
		r := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
		if q[end-3] == 1 { // type A
			if ip := answer(count.Add(1)); ip.IsValid() {
				r[7] = 1
				r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				r = append(r, ip.AsSlice()...)
			} else {
				r[3] |= 3 // no such name
			}
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(r)))
		pc.Write(append(length[:], r...))
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // ends with the exchange, as the resolver closes its side
			defer far.Close()
			serve(far)
		}()
		return near, nil
	}}, &count
}

func TestRebinding(t *testing.T) {
	l := listen(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	// A harmless address when somebody checks, loopback when it counts: the address that is used is the one that is checked.
	resolver, count := nameServer(t, func(n int32) netip.Addr {
		if n == 1 {
			return netip.MustParseAddr("198.51.100.7")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	if ips, err := resolver.LookupNetIP(context.Background(), "ip4", "camera.test."); err != nil || ips[0].String() != "198.51.100.7" {
		t.Fatalf("first answer: %v, %v", ips, err)
	}
	d := dial.Dialer{Resolver: resolver}
	_, err := d.Dial("tcp", "camera.test.:"+port)
	var denied *dial.Error
	if !errors.As(err, &denied) || denied.Rule != dial.Loopback || count.Load() < 2 {
		t.Fatalf("after %d questions: %v; want a refusal of loopback", count.Load(), err)
	}
	conn, err := d.Confirmed().Dial("tcp", "camera.test.:"+port)
	if err != nil {
		t.Fatalf("confirmed: %v", err)
	}
	conn.Close()
}

func TestCause(t *testing.T) {
	none, _ := nameServer(t, func(int32) netip.Addr { return netip.Addr{} })
	d := dial.Dialer{Loopback: true, Resolver: none}
	_, err := d.Dial("tcp", "camera.test.:554")
	if cause := dial.CauseOf(err); cause != dial.DNS {
		t.Errorf("no such name: cause %q of %v", cause, err)
	}
	l := listen(t)
	l.Close()
	_, err = d.Dial("tcp", l.Addr().String())
	if cause := dial.CauseOf(err); cause != dial.Refused {
		t.Errorf("closed port: cause %q of %v", cause, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = d.DialContext(ctx, "tcp", "198.51.100.7:554")
	if cause := dial.CauseOf(err); cause != dial.Canceled {
		t.Errorf("cancelled: cause %q of %v", cause, err)
	}
	past, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	_, err = d.DialContext(past, "tcp", "198.51.100.7:554")
	if cause := dial.CauseOf(err); cause != dial.Offline {
		t.Errorf("no answer in time: cause %q of %v", cause, err)
	}

	near, far := net.Pipe()
	defer far.Close()
	near.SetDeadline(time.Unix(1, 0))
	_, err = near.Read(make([]byte, 1))
	if cause := dial.CauseOf(err); cause != dial.Timeout {
		t.Errorf("read after the deadline: cause %q of %v", cause, err)
	}

	dialErr := func(n syscall.Errno) error {
		return fmt.Errorf("connect: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", n)})
	}
	readErr := func(n syscall.Errno) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", n)}
	}
	for _, tc := range []struct {
		err  error
		want dial.Cause
	}{
		{nil, dial.Other},
		{io.ErrUnexpectedEOF, dial.Other},
		{dialErr(syscall.EHOSTUNREACH), dial.Offline},
		{dialErr(syscall.ENETUNREACH), dial.Offline},
		{dialErr(syscall.ETIMEDOUT), dial.Offline},
		{dialErr(syscall.ECONNRESET), dial.Refused},
		{readErr(syscall.ECONNRESET), dial.Closed},
		{readErr(syscall.EPIPE), dial.Closed},
		{readErr(syscall.ETIMEDOUT), dial.Timeout},
		{readErr(syscall.EHOSTUNREACH), dial.Offline},
		{&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}, dial.DNS},
	} {
		if got := dial.CauseOf(tc.err); got != tc.want {
			t.Errorf("CauseOf(%v) = %q; want %q", tc.err, got, tc.want)
		}
	}
}

// FuzzCheck looks for a way to write a refused IPv4 address that is not refused.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{169, 254, 169, 254})
	f.Add([]byte{10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 4 {
			return
		}
		var d dial.Dialer
		v4 := [4]byte(b)
		want := d.Check(netip.AddrPortFrom(netip.AddrFrom4(v4), 80))
		forms := []netip.Addr{
			netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: v4[0], 13: v4[1], 14: v4[2], 15: v4[3]}),
			netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 12: v4[0], 13: v4[1], 14: v4[2], 15: v4[3]}),
			netip.AddrFrom16([16]byte{0: 0x20, 1: 0x02, 2: v4[0], 3: v4[1], 4: v4[2], 5: v4[3]}),
		}
		for _, form := range forms {
			if got := d.Check(netip.AddrPortFrom(form, 80)); (got == nil) != (want == nil) {
				t.Errorf("%v: %v, but %v: %v", netip.AddrFrom4(v4), want, form, got)
			}
		}
	})
}
