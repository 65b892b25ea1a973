package camsim

import "errors"

var errBits = errors.New("unit ends too early")

// bitReader reads an RBSP: the bytes of a NAL unit without emulation prevention (ITU-T H.264 section 7.3.1).
type bitReader struct {
	data []byte
	pos  int // in bits
	bad  bool
}

// newBitReader reads at most limit bytes of unit behind its header.
func newBitReader(unit []byte, header, limit int) *bitReader {
	r := &bitReader{}
	if len(unit) < header {
		return r
	}
	zeros := 0
	for _, b := range unit[header:min(len(unit), header+limit)] {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		r.data = append(r.data, b)
	}
	return r
}

func (r *bitReader) bit() int {
	if r.pos>>3 >= len(r.data) {
		r.bad = true
		return 0
	}
	b := r.data[r.pos>>3] >> (7 - r.pos&7) & 1
	r.pos++
	return int(b)
}

func (r *bitReader) bits(n int) int {
	v := 0
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

func (r *bitReader) skip(n int) {
	if r.pos += n; r.pos > 8*len(r.data) {
		r.pos, r.bad = 8*len(r.data), true
	}
}

// ue reads an unsigned Exp-Golomb code of at most 31 bits (ITU-T H.264 section 9.1).
func (r *bitReader) ue() int {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; zeros > 30 || r.bad {
			r.bad = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

func (r *bitReader) se() int {
	v := r.ue()
	if v&1 != 0 {
		return (v + 1) / 2
	}
	return -v / 2
}

func (r *bitReader) err() error {
	if r.bad {
		return errBits
	}
	return nil
}
