package codec

// The NAL unit types of H.265 that matter here (ISO/IEC 23008-2 table 7-1).
const (
	H265NALRASLR     = 9
	H265NALLastNonRA = 15 // RSV_VCL_R15, the last type below the IRAP pictures
	H265NALBLAWLP    = 16
	H265NALBLANLP    = 18
	H265NALIDRWRADL  = 19
	H265NALIDRNLP    = 20
	H265NALCRA       = 21
	H265NALLastIRAP  = 23
	H265NALLastVCL   = 31
	H265NALVPS       = 32
	H265NALSPS       = 33
	H265NALPPS       = 34
	H265NALAUD       = 35
	H265NALPrefixSEI = 39
	H265NALSuffixSEI = 40
)

// IRAP is the kind of a random access point of H.265.
type IRAP uint8

// The kinds of random access points. CRA and BLA pictures may be followed by leading pictures that cannot be decoded
// when decoding begins there.
const (
	NoIRAP IRAP = iota
	IDR
	CRA
	BLA
	ReservedIRAP // types 22 and 23: an IRAP picture of a kind not yet defined
)

func (k IRAP) String() string {
	switch k {
	case IDR:
		return "IDR"
	case CRA:
		return "CRA"
	case BLA:
		return "BLA"
	case ReservedIRAP:
		return "reserved IRAP"
	}
	return "none"
}

// h265Header is the size of the NAL unit header.
const h265Header = 2

// reservedType is what H265NALType gives for units too short to have a type: unspecified.
const h265Unspecified = 63

// H265NALType is the nal_unit_type of a NAL unit; 63, which is unspecified, of one without a whole header.
func H265NALType(nal []byte) uint8 {
	if len(nal) < h265Header {
		return h265Unspecified
	}
	return nal[0] >> 1 & 0x3f
}

// H265Layer is nuh_layer_id: 0 for the base layer, the only one that is decoded by players.
func H265Layer(nal []byte) uint8 {
	if len(nal) < h265Header {
		return 0
	}
	return nal[0]&1<<5 | nal[1]>>3
}

// H265TemporalID is the temporal sub-layer, from 0.
func H265TemporalID(nal []byte) uint8 {
	if len(nal) < h265Header || nal[1]&7 == 0 {
		return 0
	}
	return nal[1]&7 - 1
}

// H265IRAP tells the kind of random access point that a NAL unit type belongs to.
func H265IRAP(nalType uint8) IRAP {
	switch {
	case nalType >= H265NALBLAWLP && nalType <= H265NALBLANLP:
		return BLA
	case nalType == H265NALIDRWRADL || nalType == H265NALIDRNLP:
		return IDR
	case nalType == H265NALCRA:
		return CRA
	case nalType > H265NALCRA && nalType <= H265NALLastIRAP:
		return ReservedIRAP
	}
	return NoIRAP
}

// H265VCL reports whether a type is a coded slice segment.
func H265VCL(nalType uint8) bool { return nalType <= H265NALLastVCL }

// H265RASL reports whether a type is a random access skipped leading picture: not decodable when decoding began at the
// CRA or BLA picture before it.
func H265RASL(nalType uint8) bool { return nalType == H265NALRASLR || nalType == H265NALRASLR-1 }

// H265SubLayerNonReference reports whether no picture of the same temporal sub-layer needs one of this type: the even
// types below 16 (table 7-1).
func H265SubLayerNonReference(nalType uint8) bool {
	return nalType < H265NALLastNonRA && nalType%2 == 0
}

// H265ParameterSet reports whether a type is a VPS, SPS or PPS.
func H265ParameterSet(nalType uint8) bool { return nalType >= H265NALVPS && nalType <= H265NALPPS }

// H265FirstSlice is first_slice_segment_in_pic_flag of a slice segment.
func H265FirstSlice(nal []byte) bool { return len(nal) > h265Header && nal[h265Header]&0x80 != 0 }

// H265Boundary finds where access units begin in a sequence of NAL units (ISO/IEC 23008-2 section 7.4.2.4.4). The zero
// value is ready.
type H265Boundary struct {
	seen bool // a slice segment was seen in the access unit under way
}

// Starts reports whether nal is the first NAL unit of an access unit. Every NAL unit must be shown to it once, in order;
// the very first one starts an access unit by definition, which it does not report. Other layers than the base layer
// never start one.
func (d *H265Boundary) Starts(nal []byte) bool {
	if H265Layer(nal) != 0 {
		return false
	}
	t := H265NALType(nal)
	switch {
	case H265VCL(t):
		starts := d.seen && H265FirstSlice(nal)
		d.seen = true
		return starts
	case t >= H265NALVPS && t <= H265NALAUD, t == H265NALPrefixSEI, t >= 41 && t <= 44, t >= 48 && t <= 55:
		was := d.seen
		d.seen = false
		return was
	}
	return false
}

// Reset forgets the access unit under way, after a loss.
func (d *H265Boundary) Reset() { d.seen = false }
