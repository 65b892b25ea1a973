package codec

// The NAL unit types of H.264 that matter here (ISO/IEC 14496-10 table 7-1).
const (
	H264NALSlice      = 1
	H264NALPartitionA = 2
	H264NALPartitionC = 4
	H264NALIDR        = 5
	H264NALSEI        = 6
	H264NALSPS        = 7
	H264NALPPS        = 8
	H264NALAUD        = 9
	H264NALEndOfSeq   = 10
	H264NALEndOfStrm  = 11
	H264NALFiller     = 12
	H264NALSPSExt     = 13
	H264NALPrefix     = 14
	H264NALSubsetSPS  = 15
)

// H264NALType is the nal_unit_type of a NAL unit; 0, which is unspecified, of an empty one.
func H264NALType(nal []byte) uint8 {
	if len(nal) == 0 {
		return 0
	}
	return nal[0] & 0x1f
}

// H264VCL reports whether a type is one of the coded slice data of a primary or redundant picture of the base layer.
func H264VCL(nalType uint8) bool { return nalType >= H264NALSlice && nalType <= H264NALIDR }

// H264Reference reports whether other pictures may need this NAL unit (nal_ref_idc is not 0).
func H264Reference(nal []byte) bool { return len(nal) > 0 && nal[0]&0x60 != 0 }

// H264ParameterSet reports whether a type is a parameter set or a set's extension.
func H264ParameterSet(nalType uint8) bool {
	return nalType == H264NALSPS || nalType == H264NALPPS || nalType == H264NALSPSExt || nalType == H264NALSubsetSPS
}

// H264FirstSlice reports whether a slice says that it is the first of its picture (first_mb_in_slice is 0). It needs no
// parameter set, but arbitrary slice order and redundant slices deceive it; H264Boundary is not deceived.
func H264FirstSlice(nal []byte) bool { return len(nal) > 1 && nal[1]&0x80 != 0 }

// H264Boundary finds where access units begin in a sequence of NAL units, from their content alone: for sources whose
// markers and timestamps cannot be trusted, and for byte streams. It knows the rules of ISO/IEC 14496-10 sections
// 7.4.1.2.3 and 7.4.1.2.4; of slices whose parameter sets it has not seen it takes H264FirstSlice as the answer. Each
// field of a frame is an access unit of its own. The zero value is ready.
type H264Boundary struct {
	sps   [32]h264Order
	pps   [256]h264Picture
	seen  bool // a slice of the primary picture was seen in the access unit under way
	slice h264Slice
}

// h264Order is what of an SPS the slice header depends on.
type h264Order struct {
	known          bool
	anyOrder       bool // slices may come in any order (Baseline and Extended profiles)
	separatePlanes bool
	frameMBsOnly   bool
	deltaAlwaysNil bool
	orderType      uint8
	frameNumBits   uint8
	orderLsbBits   uint8
}

// h264Picture is what of a PPS the slice header depends on.
type h264Picture struct {
	known, fieldOrder, redundant bool
	sps                          uint8
}

// h264Slice is what of a slice header tells pictures apart.
type h264Slice struct {
	known     bool // the parameter sets were there and the header could be read
	first     bool
	alone     bool // with first: no slice of the same picture can have come before
	redundant bool
	idr       bool
	reference bool
	field     bool
	bottom    bool
	pps       uint8
	frameNum  uint32
	idrID     uint32
	orderLsb  uint32
	delta     [2]int32
}

// Learn takes a parameter set that came on another way, such as in the SDP. Others are ignored.
func (d *H264Boundary) Learn(nal []byte) {
	switch H264NALType(nal) {
	case H264NALSPS:
		if s, err := ParseH264SPS(nal); err == nil {
			d.sps[s.ID] = h264Order{
				known:          true,
				anyOrder:       s.Profile == 88 || s.Profile == 66 && s.Constraints&0x40 == 0,
				separatePlanes: s.SeparatePlanes, frameMBsOnly: s.FrameMBsOnly,
				deltaAlwaysNil: s.DeltaOrderAlwaysNil, orderType: s.PicOrderType,
				frameNumBits: s.Log2MaxFrameNum, orderLsbBits: s.Log2MaxPicOrderLsb,
			}
		}
	case H264NALPPS:
		if p, err := ParseH264PPS(nal); err == nil {
			d.pps[p.ID] = h264Picture{known: true, fieldOrder: p.FieldOrderPresent, redundant: p.RedundantCntPresent, sps: p.SPSID}
		}
	}
}

// Starts reports whether nal is the first NAL unit of an access unit. Every NAL unit must be shown to it once, in order;
// the very first one starts an access unit by definition, which it does not report.
func (d *H264Boundary) Starts(nal []byte) bool {
	switch t := H264NALType(nal); t {
	case H264NALSPS, H264NALPPS:
		d.Learn(nal)
		return d.end()
	case H264NALSEI, H264NALAUD, H264NALPrefix, H264NALSubsetSPS, 16, 17, 18:
		return d.end()
	case H264NALSlice, H264NALPartitionA, H264NALIDR:
		s := d.header(nal, t)
		if s.redundant {
			return false
		}
		starts := d.seen && d.slice.differs(&s)
		d.seen, d.slice = true, s
		return starts
	}
	return false
}

// end reports whether an access unit was under way, which now is over.
func (d *H264Boundary) end() bool {
	was := d.seen
	d.seen = false
	return was
}

// Reset forgets the access unit under way, after a loss; the parameter sets stay.
func (d *H264Boundary) Reset() { d.seen = false }

// differs is section 7.4.1.2.4: whether s belongs to another primary coded picture than the slice before it.
func (p *h264Slice) differs(s *h264Slice) bool {
	if !s.known || !p.known {
		return s.first
	}
	if s.first && s.alone { // also finds consecutive IDR pictures with one idr_pic_id, which some cameras send
		return true
	}
	return p.frameNum != s.frameNum || p.pps != s.pps || p.field != s.field || p.bottom != s.bottom ||
		p.reference != s.reference || p.idr != s.idr || p.idrID != s.idrID ||
		p.orderLsb != s.orderLsb || p.delta != s.delta
}

// header reads a slice header as far as needed (section 7.3.3).
func (d *H264Boundary) header(nal []byte, nalType uint8) h264Slice {
	s := h264Slice{first: H264FirstSlice(nal), idr: nalType == H264NALIDR, reference: H264Reference(nal)}
	r := rbsp(nal[1:])
	r.ue() // first_mb_in_slice
	r.ue() // slice_type
	id := r.ue()
	if r.err != nil || id > 255 {
		return s
	}
	s.pps = uint8(id)
	pps := &d.pps[s.pps]
	sps := &d.sps[pps.sps]
	if !pps.known || !sps.known {
		return s
	}
	if sps.separatePlanes {
		r.u(2) // colour_plane_id
	}
	s.alone = !sps.anyOrder && !sps.separatePlanes
	s.frameNum = r.u(uint(sps.frameNumBits))
	if !sps.frameMBsOnly {
		if s.field = r.flag(); s.field {
			s.bottom = r.flag()
		}
	}
	if s.idr {
		s.idrID = r.ue()
	}
	switch {
	case sps.orderType == 0:
		s.orderLsb = r.u(uint(sps.orderLsbBits))
		if pps.fieldOrder && !s.field {
			s.delta[0] = r.se()
		}
	case sps.orderType == 1 && !sps.deltaAlwaysNil:
		s.delta[0] = r.se()
		if pps.fieldOrder && !s.field {
			s.delta[1] = r.se()
		}
	}
	if pps.redundant {
		s.redundant = r.ue() > 0
	}
	if s.known = r.err == nil; !s.known {
		s.redundant = false
	}
	return s
}
