package vfstest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"nightjar/internal/store/vfs"
)

// connections makes the kinds of connection that SendTo has to serve, each with its far end.
func connections(t *testing.T) map[string]func() (near, far net.Conn) {
	stream := func(network, address string) func() (net.Conn, net.Conn) {
		return func() (net.Conn, net.Conn) {
			l, err := net.Listen(network, address)
			must(t, "Listen", err)
			defer l.Close()
			near, err := net.Dial(network, l.Addr().String())
			must(t, "Dial", err)
			far, err := l.Accept()
			must(t, "Accept", err)
			return near, far
		}
	}
	return map[string]func() (net.Conn, net.Conn){
		"tcp":  stream("tcp", "127.0.0.1:0"),
		"unix": stream("unix", filepath.Join(t.TempDir(), "s")),
		"pipe": net.Pipe,
	}
}

// sendAndCompare sends over a pipe and compares what arrives.
func sendAndCompare(t *testing.T, f vfs.File, offset, n int64, want []byte) {
	t.Helper()
	near, far := net.Pipe()
	sendOver(t, f, near, far, offset, n, want)
}

func sendOver(t *testing.T, f vfs.File, near, far net.Conn, offset, n int64, want []byte) {
	t.Helper()
	defer far.Close()
	received := make(chan []byte, 1)
	go func() { // ends when near is closed below
		b, _ := io.ReadAll(far)
		received <- b
	}()
	sent, err := f.SendTo(near, offset, n)
	near.Close()
	got := <-received
	if sent != n || err != nil {
		t.Fatalf("SendTo(%d, %d) = %d, %v", offset, n, sent, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("SendTo(%d, %d): %d bytes arrived, and not those of the file", offset, n, len(got))
	}
}

func testSend(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	data := pattern(1<<20+4321, 1)
	write(t, f, data, 0)
	for name, dial := range connections(t) {
		t.Run(name, func(t *testing.T) {
			for _, span := range [][2]int64{{0, int64(len(data))}, {0, 0}, {1, 1}, {4095, 300_000}, {1 << 20, 4321}} {
				near, far := dial()
				sendOver(t, f, near, far, span[0], span[1], data[span[0]:span[0]+span[1]])
			}
		})
	}
	wantBytes(t, f, data, 0)
}

func testSendShort(t *testing.T, fsys vfs.FS, dir string) {
	f := open(t, fsys, filepath.Join(dir, "a"), writable)
	write(t, f, pattern(5000, 1), 0)
	for name, dial := range connections(t) {
		t.Run(name, func(t *testing.T) {
			near, far := dial()
			defer far.Close()
			done := make(chan int64, 1)
			go func() { // ends when near is closed below
				n, _ := io.Copy(io.Discard, far)
				done <- n
			}()
			n, err := f.SendTo(near, 1000, 5000)
			near.Close()
			if n != 4000 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("SendTo beyond the end = %d, %v; want 4000, unexpected EOF", n, err)
			}
			if got := <-done; got != 4000 {
				t.Fatalf("%d bytes arrived; want 4000", got)
			}
			near, far = dial()
			far.Close()
			defer near.Close()
			big := open(t, fsys, filepath.Join(dir, "big-"+name), writable)
			must(t, "Truncate", big.Truncate(64<<20))
			if n, err := big.SendTo(near, 0, 64<<20); err == nil {
				t.Fatalf("SendTo to nobody = %d without error", n)
			}
		})
	}
}
