package rtsp

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batchInterval is how often the amount to wait for is fitted to the rate at which data comes.
	batchInterval = 2 * time.Second
	// maxBatch keeps well below the smallest receive buffer, so that the camera can always go on sending.
	maxBatch = 64 << 10
	// minBatch is not worth a change.
	minBatch = 4 << 10
)

// batch makes the kernel gather data before it wakes the reader (SO_RCVLOWAT, socket(7)): fewer wake-ups for the same
// bytes, at the price of delay. Most of what it costs to receive a stream are wake-ups.
type batch struct {
	wait  func() time.Duration // Options.Batch
	raw   syscall.RawConn      // nil where the connection is no TCP socket, or nobody wants batches
	since time.Time
	bytes int // since then
	mark  int // bytes that are waited for now; 1 is none
}

// batchFor prepares batches on a connection.
func (s *session) batchFor() batch {
	b := batch{wait: s.o.Batch, mark: 1, since: s.o.Now()}
	if c, ok := s.conn.Conn.(syscall.Conn); ok && b.wait != nil {
		b.raw, _ = c.SyscallConn()
	}
	return b
}

// deadline brings a read deadline forward, so that what waits below the mark does not wait longer than allowed.
func (b *batch) deadline(now, next time.Time) time.Time {
	if b.mark > 1 {
		if t := now.Add(b.wait()); t.Before(next) {
			return t
		}
	}
	return next
}

// read notes n bytes and fits the mark to the rate: as much as comes in two thirds of the time allowed.
func (b *batch) read(n int, now time.Time) {
	if b.raw == nil {
		return
	}
	b.bytes += n
	passed := now.Sub(b.since)
	wait := b.wait()
	if passed < batchInterval && (wait > 0 || b.mark == 1) {
		return
	}
	mark := 1
	if wait > 0 && passed > 0 {
		mark = min(int(float64(b.bytes)*float64(wait)*2/3/float64(passed)), maxBatch)
	}
	b.since, b.bytes = now, 0
	if mark < minBatch {
		mark = 1
	}
	if mark == b.mark || mark > 1 && b.mark > 1 && abs32(mark-b.mark) < b.mark/4 {
		return
	}
	b.set(mark)
}

// set tells the kernel how much to wait for.
func (b *batch) set(mark int) {
	err := b.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, mark) == nil {
			b.mark = mark
		}
	})
	if err != nil {
		b.raw = nil
	}
}

// end makes the kernel wake the reader for any byte again: the answer to TEARDOWN is all that comes.
func (b *batch) end() {
	if b.raw != nil && b.mark > 1 {
		b.set(1)
	}
}

func abs32(n int) int { return max(n, -n) }
