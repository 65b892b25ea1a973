//go:build linux

package vfs

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// sendChunk bounds one sendfile(2), so that a fast receiver does not keep one thread in the kernel for long.
	sendChunk = 4 << 20
	// copyChunk is the read size where sendfile(2) cannot be used.
	copyChunk = 128 << 10
)

var copyBuffers = sync.Pool{New: func() any {
	b := AlignedBytes(copyChunk)
	return &b
}}

// SendTo uses sendfile(2) on every connection that offers its descriptor (syscall.Conn). A wrapper that has to see the
// bytes, as TLS does, does not offer it and gets them by Write.
func (f *osFile) SendTo(conn net.Conn, offset, n int64) (int64, error) {
	if offset < 0 || n < 0 {
		return 0, pathError("send", f.Name(), unix.EINVAL)
	}
	if sc, ok := conn.(syscall.Conn); ok && !f.direct && n > 0 {
		raw, err := sc.SyscallConn()
		if err == nil {
			sent, err := f.sendFile(raw, offset, n)
			if sent > 0 || !cannotSend(err) {
				return sent, wrapSend(f.Name(), err)
			}
		}
	}
	sent, err := CopyTo(conn, f, offset, n)
	return sent, wrapSend(f.Name(), err)
}

// sendFile blocks in the poller, not in the kernel, while the connection takes no bytes; its write deadline holds.
func (f *osFile) sendFile(conn syscall.RawConn, offset, n int64) (sent int64, err error) {
	closed := f.raw.Control(func(in uintptr) {
		var callErr error
		waitErr := conn.Write(func(out uintptr) bool {
			for sent < n {
				at := offset + sent
				m, err := unix.Sendfile(int(out), int(in), &at, int(min(n-sent, sendChunk)))
				switch {
				case err == unix.EINTR:
				case err == unix.EAGAIN:
					return false
				case err != nil:
					callErr = err
					return true
				case m == 0:
					callErr = io.ErrUnexpectedEOF
					return true
				default:
					sent += int64(m)
				}
			}
			return true
		})
		err = callErr
		if waitErr != nil {
			err = waitErr
		}
	})
	if closed != nil {
		return sent, net.ErrClosed
	}
	return sent, err
}

// cannotSend tells that this pair of file and connection does not go together, before any byte was sent.
func cannotSend(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP
}

func wrapSend(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("send %s: %w", name, err)
}

// CopyTo sends n bytes of f from offset on to conn by reads of 128 KiB, aligned as Direct files need it.
func CopyTo(conn net.Conn, f File, offset, n int64) (int64, error) {
	pooled := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(pooled)
	sent := int64(0)
	for sent < n {
		// The first read starts at the block boundary before the offset.
		start := (offset + sent) / BlockSize * BlockSize
		skip := int(offset + sent - start)
		got, err := f.ReadAt(*pooled, start)
		if err != nil && err != io.EOF {
			return sent, err
		}
		if got <= skip {
			return sent, io.ErrUnexpectedEOF
		}
		b := (*pooled)[skip:got]
		if int64(len(b)) > n-sent {
			b = b[:n-sent]
		}
		m, err := conn.Write(b)
		sent += int64(m)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
