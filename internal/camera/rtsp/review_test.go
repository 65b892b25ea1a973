package rtsp

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/media"
)

// TestDescriptionBounds takes descriptions that are as long as a message may be and mean nothing: more sections and
// payload types than any camera has are left out, and with them the work of relating each to each.
func TestDescriptionBounds(t *testing.T) {
	sections := "v=0\r\n" + strings.Repeat("m=video 0 RTP/AVP 96\r\n", maxBody/22)
	d, err := parseDescription([]byte(sections))
	if err != nil || len(d.media) > 64 {
		t.Errorf("%d sections, %v", len(d.media), err)
	}
	payloads := "m=video 0 RTP/AVP" + strings.Repeat(" 96", maxBody/4) + "\r\na=rtpmap:96 H264/90000\r\n"
	if d, err = parseDescription([]byte(payloads)); err != nil || len(d.media[0].payloads) > 128 {
		t.Errorf("%d payload types, %v", len(d.media[0].payloads), err)
	}
	if name, rate, _ := d.media[0].encoding(96); name != "h264" || rate != 90000 {
		t.Errorf("first payload type: %s %d", name, rate)
	}
}

// TestAddressErrorsKeepPasswords reads URLs whose passwords hold what a URL must not: no part of them may be shown.
func TestAddressErrorsKeepPasswords(t *testing.T) {
	for _, url := range []string{
		"rtsp://admin:tops3cret/more@192.0.2.1/live", "rtsp://admin:tops3cret?more@192.0.2.1/live",
		"rtsp://admin:tops3cret more@192.0.2.1/live", "tops3cret:more@192.0.2.1", "rtsp://admin:12/tops3cret@192.0.2.1/live",
	} {
		c := New(Options{URL: url, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "tops3cret"}
		}})
		err := c.Run(t.Context(), func(media.Sample) error { return nil })
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestFarewellWaitsForNoBatch lets the camera send so much that data is gathered in the kernel, then stops: the answer to
// TEARDOWN is smaller than any batch and must wake the reader by itself.
func TestFarewellWaitsForNoBatch(t *testing.T) {
	f := newFake()
	mark := make(chan int, 1)
	var socket syscall.RawConn
	var once sync.Once
	f.handle = func(_ *fakeConn, m *message) bool {
		if m.method == "TEARDOWN" {
			once.Do(func() {
				socket.Control(func(fd uintptr) {
					n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
					if err != nil {
						n = -1
					}
					mark <- n
				})
			})
		}
		return false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			f.serve(&fakeConn{Conn: c, f: f, writing: make(chan struct{}, 1)})
		}
	}()
	f.stream = func(c *fakeConn) {
		pictures := newSource(c)
		for i := uint32(0); pictures.picture(i*900, i%25 == 0) == nil; i++ {
			<-time.After(4 * time.Millisecond)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	c := New(Options{
		URL: "rtsp://" + l.Addr().String() + "/x", Transport: TCP, Batch: func() time.Duration { return 200 * time.Millisecond },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				socket, err = c.(*net.TCPConn).SyscallConn()
			}
			return c, err
		},
	})
	batched := false
	err = c.Run(ctx, func(media.Sample) error {
		socket.Control(func(fd uintptr) {
			n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
			batched = err == nil && n > 1
		})
		if batched || time.Since(began) > 10*time.Second {
			cancel()
			return errors.New("enough")
		}
		return nil
	})
	cancel()
	if !batched {
		t.Fatalf("no batch was formed: %v", err)
	}
	if got := <-mark; got != 1 {
		t.Errorf("at TEARDOWN the kernel waits for %d bytes", got)
	}
}
