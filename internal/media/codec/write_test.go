package codec

// bitWriter writes what bitReader reads, for tests.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) u(n int, v uint32) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
	return w
}

func (w *bitWriter) ue(v uint32) *bitWriter {
	n := 0
	for (v+1)>>(n+1) != 0 {
		n++
	}
	return w.u(n, 0).u(n+1, v+1)
}

func (w *bitWriter) se(v int32) *bitWriter {
	if v > 0 {
		return w.ue(uint32(2*v - 1))
	}
	return w.ue(uint32(-2 * v))
}

// nal ends the payload with its stop bit and gives the NAL unit with emulation prevention.
func (w *bitWriter) nal(header ...byte) []byte {
	w.u(1, 1)
	return escape(header, w.b)
}

func escape(header, payload []byte) []byte {
	out := append([]byte(nil), header...)
	zeros := 0
	for _, c := range payload {
		if zeros >= 2 && c <= 3 {
			out, zeros = append(out, 3), 0
		}
		out = append(out, c)
		if zeros++; c != 0 {
			zeros = 0
		}
	}
	return out
}

// sps264 describes an H.264 SPS to be written.
type sps264 struct {
	profile, constraints, level uint8
	chroma                      uint32
	orderType                   uint32
	refs                        uint32
	width, height               uint32 // in macroblocks and map units
	fields                      bool
	crop                        [4]uint32 // left, right, top, bottom
	vui                         func(w *bitWriter)
}

func (s sps264) nal() []byte {
	w := new(bitWriter)
	w.u(8, uint32(s.profile)).u(8, uint32(s.constraints)).u(8, uint32(s.level)).ue(0)
	if highProfile264(s.profile) {
		w.ue(s.chroma)
		if s.chroma == 3 {
			w.u(1, 0)
		}
		w.ue(0).ue(0).u(1, 0).u(1, 1) // bit depths, bypass, scaling matrix
		lists := 8
		if s.chroma == 3 {
			lists = 12
		}
		for i := range lists {
			switch {
			case i%3 == 0:
				w.u(1, 0)
			case i%3 == 1:
				w.u(1, 1).se(-8) // use the default list
			case i < 6:
				w.u(1, 1)
				for range 16 {
					w.se(1)
				}
			default:
				w.u(1, 1)
				for range 64 {
					w.se(1)
				}
			}
		}
	}
	w.ue(0).ue(s.orderType)
	switch s.orderType {
	case 0:
		w.ue(2)
	case 1:
		w.u(1, 0).se(-3).se(4).ue(2).se(1).se(-1)
	}
	w.ue(s.refs).u(1, 0).ue(s.width - 1).ue(s.height - 1)
	if s.fields {
		w.u(1, 0).u(1, 1)
	} else {
		w.u(1, 1)
	}
	w.u(1, 1)
	if s.crop != [4]uint32{} {
		w.u(1, 1)
		for _, c := range s.crop {
			w.ue(c)
		}
	} else {
		w.u(1, 0)
	}
	if s.vui != nil {
		w.u(1, 1)
		s.vui(w)
	} else {
		w.u(1, 0)
	}
	return w.nal(0x67)
}
