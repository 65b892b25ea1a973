package codec

// H265Profile is the general part of profile_tier_level (ISO/IEC 23008-2 section 7.3.3).
type H265Profile struct {
	Space         uint8 // general_profile_space
	HighTier      bool
	Profile       uint8   // general_profile_idc
	Compatibility uint32  // general_profile_compatibility_flag[0] is the most significant bit
	Constraints   [6]byte // from general_progressive_source_flag on
	Level         uint8   // general_level_idc: 30 times the level
}

func (p *H265Profile) parse(r *bitReader, subLayers int) {
	p.Space, p.HighTier, p.Profile = uint8(r.u(2)), r.flag(), uint8(r.u(5))
	p.Compatibility = r.u(32)
	for i := range p.Constraints {
		p.Constraints[i] = uint8(r.u(8))
	}
	p.Level = uint8(r.u(8))
	if subLayers < 2 {
		return
	}
	var profile, level [8]bool
	for i := range subLayers - 1 {
		profile[i], level[i] = r.flag(), r.flag()
	}
	r.skip(2 * (9 - subLayers)) // reserved_zero_2bits up to the eighth
	for i := range subLayers - 1 {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}

// H265VPS is what a video parameter set says of the base layer (ISO/IEC 23008-2 section 7.3.2.1).
type H265VPS struct {
	ID             uint8
	SubLayers      uint8 // vps_max_sub_layers_minus1 + 1
	TemporalNested bool
	Profile        H265Profile

	UnitsInTick, TimeScale uint32 // 0 when not given
}

const (
	whatVPS265 = "H.265 VPS"
	whatSPS265 = "H.265 SPS"
	whatPPS265 = "H.265 PPS"
)

// h265Payload checks the header of a parameter set and gives a reader for what follows it.
func h265Payload(nal []byte, nalType uint8, what string) (bitReader, error) {
	if len(nal) < h265Header+1 {
		return bitReader{}, refuse(what, "", ErrTruncated)
	}
	if H265NALType(nal) != nalType {
		return bitReader{}, refuse(what, "nal_unit_type", ErrWrongType)
	}
	if H265Layer(nal) != 0 {
		return bitReader{}, refuse(what, "nuh_layer_id", ErrUnsupported)
	}
	return rbsp(nal[h265Header:]), nil
}

// ParseH265VPS parses a video parameter set with its NAL unit header. What follows the timing is not looked at; timing
// that cannot be read counts as not given, as some cameras end the set before it.
func ParseH265VPS(nal []byte) (H265VPS, error) {
	r, err := h265Payload(nal, H265NALVPS, whatVPS265)
	if err != nil {
		return H265VPS{}, err
	}
	var v H265VPS
	v.ID = uint8(r.u(4))
	r.u(8) // vps_base_layer_internal_flag, vps_base_layer_available_flag, vps_max_layers_minus1
	v.SubLayers = uint8(r.u(3)) + 1
	if v.SubLayers > 7 {
		r.fail("vps_max_sub_layers_minus1", ErrInvalid)
	}
	v.TemporalNested = r.flag()
	r.u(16) // vps_reserved_0xffff_16bits
	v.Profile.parse(&r, int(v.SubLayers))
	if err := r.wrap(whatVPS265); err != nil {
		return H265VPS{}, err
	}
	v.parseTiming(&r)
	return v, nil
}

func (v *H265VPS) parseTiming(r *bitReader) {
	first := int(v.SubLayers) - 1
	if r.flag() { // vps_sub_layer_ordering_info_present_flag
		first = 0
	}
	for range int(v.SubLayers) - first {
		for range 3 {
			r.ue()
		}
	}
	layers := int(r.u(6)) + 1
	sets := int(r.max("vps_num_layer_sets_minus1", 1023))
	r.skip(sets * layers)
	if r.flag() {
		units, scale := r.u(32), r.u(32)
		if r.err == nil {
			v.UnitsInTick, v.TimeScale = units, scale
		}
	}
}

// H265PPS is what a picture parameter set says up to entropy_coding_sync_enabled_flag (ISO/IEC 23008-2 section
// 7.3.2.3.1). What follows, such as scaling lists, is not looked at: nothing that is stored depends on it.
type H265PPS struct {
	ID                uint8
	SPSID             uint8
	DependentSegments bool
	ExtraHeaderBits   uint8
	Tiles             bool
	EntropySync       bool
}

// ParseH265PPS parses a picture parameter set with its NAL unit header.
func ParseH265PPS(nal []byte) (H265PPS, error) {
	r, err := h265Payload(nal, H265NALPPS, whatPPS265)
	if err != nil {
		return H265PPS{}, err
	}
	var p H265PPS
	p.ID = uint8(r.max("pps_pic_parameter_set_id", 63))
	p.SPSID = uint8(r.max("pps_seq_parameter_set_id", 15))
	p.DependentSegments = r.flag()
	r.u(1) // output_flag_present_flag
	p.ExtraHeaderBits = uint8(r.u(3))
	r.u(2) // sign_data_hiding_enabled_flag, cabac_init_present_flag
	r.max("num_ref_idx_l0_default_active_minus1", 14)
	r.max("num_ref_idx_l1_default_active_minus1", 14)
	r.se()        // init_qp_minus26
	r.u(2)        // constrained_intra_pred_flag, transform_skip_enabled_flag
	if r.flag() { // cu_qp_delta_enabled_flag
		r.max("diff_cu_qp_delta_depth", 3)
	}
	r.se() // pps_cb_qp_offset
	r.se() // pps_cr_qp_offset
	r.u(4) // slice chroma offsets, weighted_pred_flag, weighted_bipred_flag, transquant_bypass_enabled_flag
	p.Tiles, p.EntropySync = r.flag(), r.flag()
	if err := r.wrap(whatPPS265); err != nil {
		return H265PPS{}, err
	}
	return p, nil
}
