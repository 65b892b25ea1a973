package rtp

// Defaults of Reorder.
const (
	DefaultReorderPackets = 128
	DefaultReorderBytes   = 256 << 10
)

// Reorder puts the packets of one source back into order. A packet that comes in order passes without being copied:
// Add returns InOrder and the caller uses its own bytes. Others are copied and held until what is before them came, or
// until the bounds are reached, or until the caller's patience ends (Skip).
type Reorder struct {
	MaxPackets int // the most packets held; 0 is DefaultReorderPackets
	MaxBytes   int // the most bytes held; 0 is DefaultReorderBytes

	seq   Sequence
	held  []heldPacket // sorted by number; at most MaxPackets
	bytes int
	free  [][]byte // buffers to use again
	out   []byte   // the buffer that Next handed out last
	skip  bool
	odd   uint16 // number of the latest packet that was far off
	odds  int    // packets in a row that continue from odd
}

type heldPacket struct {
	number int64
	data   []byte
}

// Stats returns the counts. Lost counts what Next reported as missing, less what then came late.
func (r *Reorder) Stats() Sequence {
	return r.seq
}

// Reset drops what is held and begins a new sequence with the next packet. The counts go on.
func (r *Reorder) Reset() {
	r.drop()
	r.seq.Reset()
	r.odds, r.skip = 0, false
}

// Held returns how many packets wait for an earlier one.
func (r *Reorder) Held() int { return len(r.held) }

// First returns the extended number of the earliest packet that waits; meaningless when none does.
func (r *Reorder) First() int64 {
	if len(r.held) == 0 {
		return 0
	}
	return r.held[0].number
}

// Add takes a packet. On InOrder and Restart the caller handles b at once; in any case it then calls Next until that
// has nothing more. On Gap the packet was copied and waits. Duplicate and Late packets are dropped.
func (r *Reorder) Add(seq uint16, b []byte) Arrival {
	if !r.seq.Started() {
		arrival, _ := r.seq.Add(seq)
		return arrival
	}
	ext := r.seq.Extend(seq)
	distance := ext - r.seq.Next()
	switch {
	case distance == 0:
		r.odds = 0
		r.seq.Add(seq)
		return InOrder
	case distance < -maxMisorder || distance > maxDropout:
		return r.farOff(seq)
	case distance < 0:
		arrival, _ := r.seq.Add(seq)
		return arrival
	}
	r.odds = 0
	return r.hold(ext, b)
}

// farOff restarts the sequence once two packets in a row agree on a new place (RFC 3550 appendix A.1).
func (r *Reorder) farOff(seq uint16) Arrival {
	if r.odds == 0 || seq != r.odd+1 {
		r.odd, r.odds = seq, 1
		return Duplicate
	}
	r.odds = 0
	r.drop()
	arrival, _ := r.seq.Add(seq)
	return arrival
}

func (r *Reorder) hold(number int64, b []byte) Arrival {
	at := len(r.held)
	for at > 0 && r.held[at-1].number > number {
		at--
	}
	if at > 0 && r.held[at-1].number == number {
		r.seq.Duplicates++
		return Duplicate
	}
	var buf []byte
	if n := len(r.free); n > 0 {
		buf, r.free = r.free[n-1], r.free[:n-1]
	}
	buf = append(buf[:0], b...)
	r.held = append(r.held, heldPacket{})
	copy(r.held[at+1:], r.held[at:])
	r.held[at] = heldPacket{number, buf}
	r.bytes += len(buf)
	return Gap
}

// Next returns the next packet that need not wait, and how many before it are lost. The bytes are valid until the next
// call of Next or Add.
func (r *Reorder) Next() (b []byte, lost int, ok bool) {
	r.recycle(r.out)
	r.out = nil
	if len(r.held) == 0 {
		r.skip = false
		return nil, 0, false
	}
	first := r.held[0]
	if first.number != r.seq.Next() && !r.skip && !r.full() {
		return nil, 0, false
	}
	r.skip = false
	copy(r.held, r.held[1:])
	r.held = r.held[:len(r.held)-1]
	r.bytes -= len(first.data)
	_, lost = r.seq.Add(uint16(first.number))
	r.out = first.data
	return first.data, lost, true
}

// Skip gives up waiting for the packets before the earliest one held; Next then returns it.
func (r *Reorder) Skip() { r.skip = len(r.held) > 0 }

func (r *Reorder) full() bool {
	packets, bytes := r.MaxPackets, r.MaxBytes
	if packets == 0 {
		packets = DefaultReorderPackets
	}
	if bytes == 0 {
		bytes = DefaultReorderBytes
	}
	return len(r.held) >= packets || r.bytes >= bytes
}

func (r *Reorder) drop() {
	for _, h := range r.held {
		r.recycle(h.data)
	}
	r.held, r.bytes = r.held[:0], 0
}

// recycle keeps a buffer for later, unless it is unusually large: what is kept must not outgrow the bounds.
func (r *Reorder) recycle(b []byte) {
	if b != nil && cap(b) <= 2048 {
		r.free = append(r.free, b)
	}
}
