package camsim

// sps265 is what slice headers need of a sequence parameter set of H.265.
type sps265 struct {
	separate bool // colour planes
	pocBits  int
}

// pps265 is what slice headers need of a picture parameter set of H.265.
type pps265 struct {
	sps           int
	outputFlag    bool // pic_output_flag is present
	extraBits     int
	dependentBits bool
}

// parseSPS265 reads ITU-T H.265 section 7.3.2.2.1 up to log2_max_pic_order_cnt_lsb_minus4.
func parseSPS265(u []byte) (id int, s sps265, err error) {
	r := newBitReader(u, 2, 1024)
	r.skip(4)
	layers := r.bits(3) // sps_max_sub_layers_minus1
	r.skip(1)
	skipProfile(r, layers)
	id = r.ue()
	if r.ue() == 3 {
		s.separate = r.bit() == 1
	}
	r.ue()
	r.ue()
	if r.bit() == 1 { // conformance window
		for range 4 {
			r.ue()
		}
	}
	r.ue()
	r.ue()
	s.pocBits = r.ue() + 4
	if s.pocBits > 16 {
		r.bad = true
	}
	return id, s, r.err()
}

// skipProfile reads profile_tier_level (section 7.3.3).
func skipProfile(r *bitReader, layers int) {
	r.skip(88 + 8)
	if layers == 0 {
		return
	}
	var profile, level [8]bool
	for i := range 8 { // the flags of layers above are followed by reserved bits up to eight
		p, l := r.bit() == 1, r.bit() == 1
		if i < layers {
			profile[i], level[i] = p, l
		}
	}
	for i := range layers {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}

// parsePPS265 reads section 7.3.2.3.1 up to num_extra_slice_header_bits.
func parsePPS265(u []byte) (id int, p pps265, err error) {
	r := newBitReader(u, 2, 64)
	id = r.ue()
	p.sps = r.ue()
	p.dependentBits = r.bit() == 1
	p.outputFlag = r.bit() == 1
	p.extraBits = r.bits(3)
	return id, p, r.err()
}

// cutter265 finds access units of H.265.
type cutter265 struct {
	sps map[int]sps265
	pps map[int]pps265
	any bool

	key, restart bool
	order        int
	reference    int // order of the previous picture of temporal layer 0 that is neither leading nor non-reference
}

func (c *cutter265) look(u []byte) (role, error) {
	if len(u) < 3 {
		return belongs, nil
	}
	t := u[0] >> 1 & 0x3f
	switch {
	case t < 32:
		if u[2]&0x80 == 0 { // first_slice_segment_in_pic_flag
			return belongs, nil
		}
		c.slice(u, t)
		return startsPicture, nil
	case t == 33:
		if id, s, err := parseSPS265(u); err == nil {
			if c.sps == nil {
				c.sps = map[int]sps265{}
			}
			c.sps[id] = s
		}
		return startsUnit, nil
	case t == 34:
		if id, p, err := parsePPS265(u); err == nil {
			if c.pps == nil {
				c.pps = map[int]pps265{}
			}
			c.pps[id] = p
		}
		return startsUnit, nil
	case t == 32 || t == 35 || t == 39 || t >= 41 && t <= 44 || t >= 48 && t <= 55: // section 7.4.2.4.4
		return startsUnit, nil
	}
	return belongs, nil
}

// slice reads section 7.3.6.1 up to slice_pic_order_cnt_lsb and computes the order (section 8.3.1).
func (c *cutter265) slice(u []byte, t byte) {
	r := newBitReader(u, 2, 64)
	irap := t >= 16 && t <= 23
	idr := t == 19 || t == 20
	r.bit()
	if irap {
		r.bit()
	}
	p, ok := c.pps[r.ue()]
	s, ok2 := c.sps[p.sps]
	c.key = irap
	c.restart = idr || t >= 16 && t <= 18 || irap && !c.any // IDR, BLA, or a CRA that begins the sequence
	c.any = true
	if !ok || !ok2 {
		if c.order++; c.restart {
			c.order = 0
		}
		return
	}
	r.skip(p.extraBits)
	r.ue()
	if p.outputFlag {
		r.bit()
	}
	if s.separate {
		r.bits(2)
	}
	lsb := 0
	if !idr {
		lsb = r.bits(s.pocBits)
	}
	if c.restart {
		c.order = lsb
	} else {
		c.order = unwrap(lsb, s.pocBits, c.reference)
	}
	// Leading pictures (6-9) and sub-layer non-reference pictures (even types below 16) do not count.
	if u[1]&7 == 1 && !(t >= 6 && t <= 9) && !(t < 16 && t%2 == 0) {
		c.reference = c.order
	}
}

func (c *cutter265) picture() (key, restart bool, order int) { return c.key, c.restart, c.order }
