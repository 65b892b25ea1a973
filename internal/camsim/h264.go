package camsim

import "errors"

// sps264 is what slice headers and picture order counts need of a sequence parameter set.
type sps264 struct {
	frameNumBits  int
	pocType       int
	pocBits       int
	separate      bool // colour planes
	framesOnly    bool
	width, height int
}

// parseSPS264 reads ITU-T H.264 section 7.3.2.1.1 up to frame_mbs_only_flag.
func parseSPS264(u []byte) (id int, s sps264, err error) {
	r := newBitReader(u, 1, 1024)
	profile := r.bits(8)
	r.skip(16)
	id = r.ue()
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma := r.ue()
		if chroma == 3 {
			s.separate = r.bit() == 1
		}
		r.ue()
		r.ue()
		r.bit()
		if r.bit() == 1 {
			lists := 8
			if chroma == 3 {
				lists = 12
			}
			skipScaling(r, lists)
		}
	}
	s.frameNumBits = r.ue() + 4
	s.pocType = r.ue()
	switch s.pocType {
	case 0:
		s.pocBits = r.ue() + 4
	case 1:
		r.bit()
		r.se()
		r.se()
		for n := r.ue(); n > 0 && !r.bad; n-- {
			r.se()
		}
	}
	r.ue()
	r.bit()
	w, h := r.ue()+1, r.ue()+1
	s.framesOnly = r.bit() == 1
	s.width, s.height = 16*w, 16*h
	if s.frameNumBits > 16 || s.pocBits > 16 || s.pocType > 2 {
		r.bad = true
	}
	return id, s, r.err()
}

// skipScaling reads the scaling lists of section 7.3.2.1.1.1.
func skipScaling(r *bitReader, lists int) {
	for i := range lists {
		if r.bit() == 0 {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := 8, 8
		for j := 0; j < size && !r.bad; j++ {
			if next != 0 {
				next = (last + r.se() + 256) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
}

// slice264 is the part of a slice header that tells pictures apart (section 7.4.1.2.4).
type slice264 struct {
	first            int
	pps              int
	frameNum         int
	idr              bool
	idrID            int
	reference        bool
	pocLSB           int
	known            bool // the parameter sets were there
	pocType, pocBits int
}

// cutter264 finds access units of H.264. Picture order counts of types 1 and 2 are taken as decoding order, which type 2
// demands and type 1 streams of cameras do. BUG: memory_management_control_operation 5 does not restart the count.
type cutter264 struct {
	sps  map[int]sps264
	pps  map[int]int // picture parameter set to sequence parameter set
	last slice264
	any  bool

	key, restart bool
	order        int
	reference    int // order of the previous reference picture
}

var errFields = errors.New("field pictures (interlaced video) are not played")

func (c *cutter264) look(u []byte) (role, error) {
	switch t := u[0] & 0x1f; t {
	case 1, 5:
		return c.slice(u, t == 5)
	case 7:
		if id, s, err := parseSPS264(u); err == nil {
			if c.sps == nil {
				c.sps = map[int]sps264{}
			}
			c.sps[id] = s
		}
		return startsUnit, nil
	case 8:
		r := newBitReader(u, 1, 32)
		id, sps := r.ue(), r.ue()
		if c.pps == nil {
			c.pps = map[int]int{}
		}
		c.pps[id] = sps
		return startsUnit, nil
	case 6, 9, 14, 15, 16, 17, 18:
		return startsUnit, nil
	}
	return belongs, nil
}

func (c *cutter264) slice(u []byte, idr bool) (role, error) {
	s, err := c.parseSlice(u, idr)
	if err != nil {
		return belongs, err
	}
	fresh := !c.any || s.differs(&c.last)
	c.last, c.any = s, true
	if !fresh {
		return belongs, nil
	}
	c.key, c.restart = idr, idr
	if s.known && s.pocType == 0 {
		if idr {
			c.reference = 0
		}
		c.order = unwrap(s.pocLSB, s.pocBits, c.reference)
		if s.reference {
			c.reference = c.order
		}
	} else if c.order++; idr {
		c.order = 0
	}
	return startsPicture, nil
}

func (c *cutter264) picture() (key, restart bool, order int) { return c.key, c.restart, c.order }

// parseSlice reads section 7.3.3 up to pic_order_cnt_lsb.
func (c *cutter264) parseSlice(u []byte, idr bool) (slice264, error) {
	r := newBitReader(u, 1, 64)
	s := slice264{idr: idr, reference: u[0]&0x60 != 0}
	s.first = r.ue()
	r.ue()
	s.pps = r.ue()
	spsID, ok := c.pps[s.pps]
	sps, ok2 := c.sps[spsID]
	if !ok || !ok2 || r.bad {
		return s, nil // without parameter sets only first_mb_in_slice tells pictures apart
	}
	s.known, s.pocType, s.pocBits = true, sps.pocType, sps.pocBits
	if sps.separate {
		r.bits(2)
	}
	s.frameNum = r.bits(sps.frameNumBits)
	if !sps.framesOnly && r.bit() == 1 {
		return s, errFields
	}
	if idr {
		s.idrID = r.ue()
	}
	if sps.pocType == 0 {
		s.pocLSB = r.bits(sps.pocBits)
	}
	return s, nil
}

// differs reports whether s begins another picture than the one of p.
func (s *slice264) differs(p *slice264) bool {
	if !s.known || !p.known {
		return s.first == 0
	}
	return s.frameNum != p.frameNum || s.pps != p.pps && s.first == 0 || s.reference != p.reference || s.idr != p.idr ||
		s.idrID != p.idrID || s.pocLSB != p.pocLSB
}
