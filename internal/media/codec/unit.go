package codec

import "nightjar/internal/media"

// unitSets is how many parameter sets of an access unit a Unit can point to. A camera sends three.
const unitSets = 16

// Unit is what an access unit is found to hold. Analyze methods overwrite all of it; it can be used again and again, and
// what it points to lies within the access unit.
//
// Only an IDR picture (H.264) or an IRAP picture (H.265) makes a key. A recovery point SEI does not: decoding can begin
// there, but pictures until the recovery point are not right, and what follows may refer to what is before it, so that a
// recording must not begin with one. Streams with periodic intra refresh and no IDR pictures therefore have no keys.
type Unit struct {
	Key       bool
	Droppable bool // no other access unit needs it
	IRAP      IRAP // H.265: the kind of key
	RASL      bool // H.265: not decodable when decoding began at the preceding key
	Slices    int  // NAL units with coded slice data of the base layer; 0: no picture
	AUDs      int  // access unit delimiters; more than one: access units were run together
	SEIs      int
	NALs      int

	// MoreSets: the unit has more parameter sets than Sets can hold; the rest must be looked for with NextNAL.
	MoreSets bool
	sets     [unitSets][]byte
	n        int
}

// Sets are the parameter sets of the base layer in order: VPS, SPS and PPS NAL units. A subset SPS is passed over.
func (u *Unit) Sets() [][]byte { return u.sets[:u.n] }

// HasSets reports whether the access unit has parameter sets.
func (u *Unit) HasSets() bool { return u.n > 0 }

// Flags are the flags of a sample with this access unit, as far as its content tells them.
func (u *Unit) Flags() media.Flags {
	f := media.Flags(0)
	if u.Key {
		f |= media.Key
	}
	if u.Droppable {
		f |= media.Droppable
	}
	return f
}

func (u *Unit) add(nal []byte) {
	if u.n == unitSets {
		u.MoreSets = true
		return
	}
	u.sets[u.n] = nal
	u.n++
}

// AnalyzeH264 examines an access unit of H.264. An error means that a length is wrong; what stands before it is kept.
func (u *Unit) AnalyzeH264(unit []byte) error {
	*u = Unit{}
	reference := false
	for len(unit) > 0 {
		nal, rest, ok := NextNAL(unit)
		if !ok {
			return refuse("access unit", "NAL unit length", ErrTruncated)
		}
		unit = rest
		u.NALs++
		switch t := H264NALType(nal); {
		case H264VCL(t):
			u.Slices++
			u.Key = u.Key || t == H264NALIDR
			reference = reference || H264Reference(nal)
		case t == H264NALSPS || t == H264NALPPS:
			u.add(nal)
		case t == H264NALSEI:
			u.SEIs++
		case t == H264NALAUD:
			u.AUDs++
		}
	}
	u.Droppable = u.Slices > 0 && !reference && !u.Key
	return nil
}

// AnalyzeH265 examines an access unit of H.265; maxTemporalID is that of the SPS. A picture is droppable if it is in the
// highest temporal sub-layer and is no reference within it. An error means that a length is wrong; what stands before it
// is kept.
func (u *Unit) AnalyzeH265(unit []byte, maxTemporalID uint8) error {
	*u = Unit{}
	needed := false
	for len(unit) > 0 {
		nal, rest, ok := NextNAL(unit)
		if !ok {
			return refuse("access unit", "NAL unit length", ErrTruncated)
		}
		unit = rest
		u.NALs++
		if H265Layer(nal) != 0 {
			continue
		}
		switch t := H265NALType(nal); {
		case H265VCL(t):
			u.Slices++
			if kind := H265IRAP(t); kind != NoIRAP {
				u.Key, u.IRAP = true, kind
			}
			u.RASL = u.RASL || H265RASL(t)
			needed = needed || !H265SubLayerNonReference(t) || H265TemporalID(nal) < maxTemporalID
		case H265ParameterSet(t):
			u.add(nal)
		case t == H265NALPrefixSEI || t == H265NALSuffixSEI:
			u.SEIs++
		case t == H265NALAUD:
			u.AUDs++
		}
	}
	u.Droppable = u.Slices > 0 && !needed
	return nil
}
