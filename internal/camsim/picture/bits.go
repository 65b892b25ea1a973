package picture

import "math/bits"

// bitWriter collects the bits of one RBSP, most significant bit first (ITU-T H.264 section 7.2).
type bitWriter struct {
	buf []byte
	acc uint64 // the last n bits written, right-aligned; what stands above them is stale
	n   uint   // bits in acc that are not in buf yet, at most 7 between calls
}

func (w *bitWriter) reset() {
	w.buf = w.buf[:0]
	w.acc, w.n = 0, 0
}

// put writes the low size bits of v, at most 32.
func (w *bitWriter) put(v uint32, size uint) {
	w.acc = w.acc<<size | uint64(v)&(1<<size-1)
	w.n += size
	for w.n >= 8 {
		w.n -= 8
		w.buf = append(w.buf, byte(w.acc>>w.n))
	}
}

func (w *bitWriter) flag(b bool) {
	if b {
		w.put(1, 1)
		return
	}
	w.put(0, 1)
}

// ue writes an unsigned Exp-Golomb code (section 9.1); v is below 2^31 here, so that the code word fits two puts.
func (w *bitWriter) ue(v uint32) {
	size := uint(bits.Len32(v + 1))
	if size > 1 {
		w.put(0, size-1)
	}
	w.put(v+1, size)
}

// se writes a signed Exp-Golomb code (section 9.1.1).
func (w *bitWriter) se(v int32) {
	if v > 0 {
		w.ue(uint32(2*v - 1))
		return
	}
	w.ue(uint32(-2 * v))
}

func (w *bitWriter) code(c codeWord) { w.put(uint32(c.bits), uint(c.size)) }

// align writes zero bits up to the next byte boundary (pcm_alignment_zero_bit).
func (w *bitWriter) align() {
	if w.n != 0 {
		w.put(0, 8-w.n)
	}
}

// trailing writes rbsp_trailing_bits (section 7.3.2.11).
func (w *bitWriter) trailing() {
	w.put(1, 1)
	w.align()
}

// appendNAL appends the NAL unit of an RBSP: header byte, then the bytes with emulation prevention (section 7.4.1.1).
func appendNAL(dst []byte, header byte, rbsp []byte) []byte {
	dst = append(dst, header)
	zeros := 0
	from := 0
	for i, b := range rbsp {
		if zeros >= 2 && b <= 3 {
			dst = append(dst, rbsp[from:i]...)
			dst = append(dst, 3)
			from = i
			zeros = 0
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return append(dst, rbsp[from:]...)
}
