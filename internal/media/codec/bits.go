package codec

import "math"

// bitReader reads a bit string from the most significant bit on. With escaped set it passes over the emulation prevention
// bytes of a NAL unit (ISO/IEC 14496-10 section 7.4.1) as it goes, so that nothing is copied. The first failure sticks:
// from then on every read gives 0.
type bitReader struct {
	b       []byte
	at      int  // next byte to load
	zeros   int  // zero bytes right before at
	cur     byte // the loaded byte
	left    uint // its unread bits
	escaped bool
	read    int // bits read so far
	err     error
	field   string
}

// rbsp reads the payload of a NAL unit that begins at b.
func rbsp(b []byte) bitReader { return bitReader{b: b, escaped: true} }

func (r *bitReader) fail(field string, err error) {
	if r.err == nil {
		r.err, r.field = err, field
	}
}

// wrap gives the sticky failure its position.
func (r *bitReader) wrap(what string) error {
	if r.err == nil {
		return nil
	}
	return &ParseError{What: what, Field: r.field, Bit: r.read, Err: r.err}
}

func (r *bitReader) load() bool {
	if r.err != nil {
		return false
	}
	if r.escaped && r.zeros >= 2 && r.at < len(r.b) && r.b[r.at] == 3 {
		r.at, r.zeros = r.at+1, 0
	}
	if r.at >= len(r.b) {
		r.fail("", ErrTruncated)
		return false
	}
	r.cur = r.b[r.at]
	r.at++
	r.left = 8
	if r.cur == 0 {
		r.zeros++
	} else {
		r.zeros = 0
	}
	return true
}

// u reads an unsigned number of n ≤ 32 bits.
func (r *bitReader) u(n uint) uint32 {
	var v uint32
	for n > 0 {
		if r.left == 0 && !r.load() {
			return 0
		}
		take := min(n, r.left)
		r.left -= take
		v = v<<take | uint32(r.cur>>r.left)&(1<<take-1)
		n -= take
		r.read += int(take)
	}
	if r.err != nil {
		return 0
	}
	return v
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

// skip passes over n bits.
func (r *bitReader) skip(n int) {
	for ; n >= 32 && r.err == nil; n -= 32 {
		r.u(32)
	}
	if r.err == nil {
		r.u(uint(n))
	}
}

// ue reads ue(v) (ISO/IEC 14496-10 section 9.1). The value 2^32-1 is refused like a longer code: nothing uses it.
func (r *bitReader) ue() uint32 {
	n := uint(0)
	for r.err == nil && r.u(1) == 0 {
		if n++; n > 31 {
			r.fail("", ErrInvalid)
		}
	}
	if r.err != nil {
		return 0
	}
	return 1<<n - 1 + r.u(n)
}

// se reads se(v) (ISO/IEC 14496-10 section 9.1.1).
func (r *bitReader) se() int32 {
	k := r.ue()
	v := int64(k+1) / 2
	if k == math.MaxUint32 {
		v = 0
	}
	if k%2 == 0 {
		v = -v
	}
	return int32(v)
}

// max reads ue(v) and refuses what is greater than limit.
func (r *bitReader) max(field string, limit uint32) uint32 {
	v := r.ue()
	if v > limit {
		r.fail(field, ErrInvalid)
	}
	if r.err != nil {
		if r.field == "" {
			r.field = field
		}
		return 0
	}
	return v
}

// rest tells how many bits are unread, of data without emulation prevention.
func (r *bitReader) rest() int {
	if r.err != nil {
		return 0
	}
	return (len(r.b)-r.at)*8 + int(r.left)
}

// copyBits returns the bits [from, to) of b, the last byte filled with zeros.
func copyBits(b []byte, from, to int) []byte {
	out := make([]byte, (to-from+7)/8)
	for i := range out {
		at := from + i*8
		v := uint16(b[at/8]) << 8
		if at/8+1 < len(b) {
			v |= uint16(b[at/8+1])
		}
		out[i] = byte(v >> (8 - at%8))
	}
	if tail := (to - from) % 8; tail != 0 {
		out[len(out)-1] &= 0xff << (8 - tail)
	}
	return out
}
