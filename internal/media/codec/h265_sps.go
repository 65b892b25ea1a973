package codec

import "nightjar/internal/media"

// H265SPS is a sequence parameter set of the base layer (ISO/IEC 23008-2 section 7.3.2.2).
type H265SPS struct {
	ID             uint8
	VPSID          uint8
	SubLayers      uint8 // sps_max_sub_layers_minus1 + 1
	TemporalNested bool
	Profile        H265Profile

	ChromaFormat   uint8 // chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	SeparatePlanes bool
	BitDepthLuma   uint8
	BitDepthChroma uint8

	CodedWidth, CodedHeight uint16
	Width, Height           uint16 // within the conformance window, in luma samples
	MaxReorder              uint8  // sps_max_num_reorder_pics of the highest sub-layer

	// Incomplete: the set could not be followed up to its VUI, so that VUI is unset; the fields above are sound.
	Incomplete bool
	VUI        VUI
}

// ParseH265SPS parses a sequence parameter set with its NAL unit header. What follows the VUI is not looked at.
func ParseH265SPS(nal []byte) (H265SPS, error) {
	r, err := h265Payload(nal, H265NALSPS, whatSPS265)
	if err != nil {
		return H265SPS{}, err
	}
	var s H265SPS
	s.VPSID = uint8(r.u(4))
	s.SubLayers = uint8(r.u(3)) + 1
	if s.SubLayers > 7 {
		r.fail("sps_max_sub_layers_minus1", ErrInvalid)
	}
	s.TemporalNested = r.flag()
	if r.err == nil {
		s.Profile.parse(&r, int(s.SubLayers))
	}
	s.ID = uint8(r.max("sps_seq_parameter_set_id", 15))
	s.parseSize(&r)
	s.BitDepthLuma = uint8(r.max("bit_depth_luma_minus8", 8)) + 8
	s.BitDepthChroma = uint8(r.max("bit_depth_chroma_minus8", 8)) + 8
	orderBits := uint(r.max("log2_max_pic_order_cnt_lsb_minus4", 12)) + 4
	s.parseReorder(&r)
	if err := r.wrap(whatSPS265); err != nil {
		return H265SPS{}, err
	}
	if vui := skipToVUI(&r, orderBits); vui {
		s.VUI.parseH265(&r, int(s.SubLayers))
	} else {
		s.Incomplete = r.err != nil
	}
	return s, nil
}

func (s *H265SPS) parseSize(r *bitReader) {
	s.ChromaFormat = uint8(r.max("chroma_format_idc", 3))
	if s.ChromaFormat == 3 {
		s.SeparatePlanes = r.flag()
	}
	width := r.max("pic_width_in_luma_samples", maxDimension)
	height := r.max("pic_height_in_luma_samples", maxDimension)
	if width == 0 || height == 0 {
		r.fail("pic_width_in_luma_samples", ErrInvalid)
	}
	s.CodedWidth, s.CodedHeight = uint16(width), uint16(height)
	if r.flag() { // conformance_window_flag
		unitX, unitY := uint32(1), uint32(1) // SubWidthC, SubHeightC
		if s.ChromaFormat == 1 || s.ChromaFormat == 2 {
			unitX = 2
		}
		if s.ChromaFormat == 1 {
			unitY = 2
		}
		left := r.max("conf_win_left_offset", maxDimension)
		right := r.max("conf_win_right_offset", maxDimension)
		top := r.max("conf_win_top_offset", maxDimension)
		bottom := r.max("conf_win_bottom_offset", maxDimension)
		cropX, cropY := unitX*(left+right), unitY*(top+bottom)
		if r.err == nil && (cropX >= width || cropY >= height) {
			r.fail("conformance_window", ErrInvalid)
			return
		}
		width, height = width-cropX, height-cropY
	}
	s.Width, s.Height = uint16(width), uint16(height)
}

func (s *H265SPS) parseReorder(r *bitReader) {
	first := int(s.SubLayers) - 1
	if r.flag() { // sps_sub_layer_ordering_info_present_flag
		first = 0
	}
	for range int(s.SubLayers) - first {
		r.max("sps_max_dec_pic_buffering_minus1", 15)
		s.MaxReorder = uint8(r.max("sps_max_num_reorder_pics", 15))
		r.ue() // sps_max_latency_increase_plus1
	}
}

// skipToVUI passes over the coding tools and gives vui_parameters_present_flag.
func skipToVUI(r *bitReader, orderBits uint) bool {
	for range 6 {
		r.ue() // four block sizes, two transform depths
	}
	if r.flag() { // scaling_list_enabled_flag
		if r.flag() { // sps_scaling_list_data_present_flag
			skipH265ScalingLists(r)
		}
	}
	r.u(2)        // amp_enabled_flag, sample_adaptive_offset_enabled_flag
	if r.flag() { // pcm_enabled_flag
		r.u(8)
		r.ue()
		r.ue()
		r.u(1)
	}
	skipRefPicSets(r)
	if r.flag() { // long_term_ref_pics_present_flag
		n := r.max("num_long_term_ref_pics_sps", 32)
		for range n {
			r.u(orderBits + 1)
		}
	}
	r.u(2) // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
	return r.flag()
}

// skipH265ScalingLists passes over scaling_list_data (section 7.3.4).
func skipH265ScalingLists(r *bitReader) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3 // also with 4:4:4: the chroma lists of 32x32 are inferred (section 7.4.5)
		}
		for matrix := 0; matrix < 6 && r.err == nil; matrix += step {
			if !r.flag() { // scaling_list_pred_mode_flag
				r.ue()
				continue
			}
			if size > 1 {
				r.se()
			}
			for range min(64, 1<<(4+2*size)) {
				r.se()
			}
		}
	}
}

// skipRefPicSets passes over the short-term reference picture sets (section 7.3.7), whose lengths depend on each other
// where a set is predicted from the one before it.
func skipRefPicSets(r *bitReader) {
	n := r.max("num_short_term_ref_pic_sets", 64)
	previous := uint32(0) // NumDeltaPocs of the set before
	for i := uint32(0); i < n && r.err == nil; i++ {
		if i > 0 && r.flag() { // inter_ref_pic_set_prediction_flag
			r.u(1) // delta_rps_sign
			r.ue() // abs_delta_rps_minus1
			count := uint32(0)
			for range previous + 1 {
				kept := r.flag() // used_by_curr_pic_flag
				if !kept {
					kept = r.flag() // use_delta_flag
				}
				if kept {
					count++
				}
			}
			previous = count
		} else {
			negative, positive := r.max("num_negative_pics", 16), r.max("num_positive_pics", 16)
			previous = negative + positive
			for range previous {
				r.ue() // delta_poc_minus1
				r.u(1) // used_by_curr_pic_flag
			}
		}
		if previous > 32 {
			r.fail("short_term_ref_pic_set", ErrInvalid)
		}
	}
}

// FrameDuration is the nominal duration of a picture by the VUI, or by a VPS (nil if there is none). 0 when neither says.
func (s *H265SPS) FrameDuration(vps *H265VPS) media.Duration {
	if d := pictureTicks(uint64(s.VUI.UnitsInTick), uint64(s.VUI.TimeScale)); d != 0 || vps == nil {
		return d
	}
	return pictureTicks(uint64(vps.UnitsInTick), uint64(vps.TimeScale))
}

// ReorderDepth is the most pictures that precede another in decoding and follow it in output.
func (s *H265SPS) ReorderDepth() int { return int(s.MaxReorder) }

// MaxTemporalID is the highest temporal sub-layer that the stream may have.
func (s *H265SPS) MaxTemporalID() uint8 { return s.SubLayers - 1 }

// Interlaced reports whether the VUI says that pictures are fields.
func (s *H265SPS) Interlaced() bool { return s.VUI.FieldSequence }
