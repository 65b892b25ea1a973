package codec

import "nightjar/internal/media"

// VUI is what the video usability information of an SPS says (annex E of H.264 and H.265).
type VUI struct {
	Present bool
	// Broken: it ends too early or contradicts itself. Everything before that place is kept, the rest is unset; some
	// cameras write it wrong while their pictures are fine.
	Broken bool

	SARWidth, SARHeight uint16 // sample aspect ratio; 0 when unspecified

	FullRange bool
	Colour    bool // the three that follow are given (ISO/IEC 23091-2)
	Primaries uint8
	Transfer  uint8
	Matrix    uint8

	UnitsInTick, TimeScale uint32 // 0 when not given
	FixedRate              bool   // H.264 fixed_frame_rate_flag
	FieldSequence          bool   // H.265 field_seq_flag: every picture is a field

	Restriction    bool   // the bitstream restriction is given
	MaxReorder     uint8  // H.264 max_num_reorder_frames
	MaxDecBuffer   uint8  // H.264 max_dec_frame_buffering
	MinSegmentSize uint16 // H.265 min_spatial_segmentation_idc
}

// sampleAspects is table E-1 of both standards, from aspect_ratio_idc 1 on.
var sampleAspects = [...][2]uint16{
	{1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11},
	{80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

const extendedSAR = 255

// parseDisplay reads what both standards begin their VUI with, up to and including the chroma location.
func (v *VUI) parseDisplay(r *bitReader) {
	if r.flag() { // aspect_ratio_info_present_flag
		switch idc := r.u(8); {
		case idc == extendedSAR:
			w, h := uint16(r.u(16)), uint16(r.u(16))
			if w != 0 && h != 0 { // E.2.1: either 0 means unspecified
				v.SARWidth, v.SARHeight = w, h
			}
		case idc >= 1 && int(idc) <= len(sampleAspects):
			v.SARWidth, v.SARHeight = sampleAspects[idc-1][0], sampleAspects[idc-1][1]
		}
	}
	if r.flag() { // overscan_info_present_flag
		r.u(1)
	}
	if r.flag() { // video_signal_type_present_flag
		r.u(3) // video_format
		v.FullRange = r.flag()
		if r.flag() {
			v.Primaries, v.Transfer, v.Matrix = uint8(r.u(8)), uint8(r.u(8)), uint8(r.u(8))
			v.Colour = r.err == nil
		}
	}
	if r.flag() { // chroma_loc_info_present_flag
		r.max("chroma_sample_loc_type_top_field", 5)
		r.max("chroma_sample_loc_type_bottom_field", 5)
	}
}

// parseH264 reads vui_parameters of ISO/IEC 14496-10 section E.1.1.
func (v *VUI) parseH264(r *bitReader) {
	v.Present = true
	v.parseDisplay(r)
	if r.flag() {
		units, scale, fixed := r.u(32), r.u(32), r.flag()
		if r.err == nil {
			v.UnitsInTick, v.TimeScale, v.FixedRate = units, scale, fixed
		}
	}
	nal := r.flag()
	if nal {
		skipH264HRD(r)
	}
	vcl := r.flag()
	if vcl {
		skipH264HRD(r)
	}
	if nal || vcl {
		r.u(1) // low_delay_hrd_flag
	}
	r.u(1)        // pic_struct_present_flag
	if r.flag() { // bitstream_restriction_flag
		r.u(1)                                // motion_vectors_over_pic_boundaries_flag
		r.max("max_bytes_per_pic_denom", 255) // 16 by the standard; nothing here depends on it
		r.max("max_bits_per_mb_denom", 255)
		r.max("log2_max_mv_length_horizontal", 255)
		r.max("log2_max_mv_length_vertical", 255)
		reorder := r.max("max_num_reorder_frames", 16)
		buffer := r.max("max_dec_frame_buffering", 16)
		if reorder > buffer {
			r.fail("max_num_reorder_frames", ErrInvalid)
		}
		if r.err == nil {
			v.Restriction, v.MaxReorder, v.MaxDecBuffer = true, uint8(reorder), uint8(buffer)
		}
	}
	v.Broken = r.err != nil
}

func skipH264HRD(r *bitReader) {
	n := r.max("cpb_cnt_minus1", 31)
	r.u(8) // bit_rate_scale, cpb_size_scale
	for range n + 1 {
		r.ue()
		r.ue()
		r.u(1)
	}
	r.u(20) // three delay lengths and time_offset_length
}

// parseH265 reads vui_parameters of ISO/IEC 23008-2 section E.2.1.
func (v *VUI) parseH265(r *bitReader, subLayers int) {
	v.Present = true
	v.parseDisplay(r)
	r.u(1) // neutral_chroma_indication_flag
	v.FieldSequence = r.flag()
	r.u(1)        // frame_field_info_present_flag
	if r.flag() { // default_display_window_flag: a hint that players ignore
		for range 4 {
			r.ue()
		}
	}
	if r.flag() { // vui_timing_info_present_flag
		units, scale := r.u(32), r.u(32)
		if r.err == nil {
			v.UnitsInTick, v.TimeScale = units, scale
		}
		if r.flag() {
			r.ue() // vui_num_ticks_poc_diff_one_minus1
		}
		if r.flag() {
			skipH265HRD(r, subLayers)
		}
	}
	if r.flag() { // bitstream_restriction_flag
		r.u(3)
		size := r.max("min_spatial_segmentation_idc", 4095)
		for range 4 {
			r.ue()
		}
		if r.err == nil {
			v.Restriction, v.MinSegmentSize = true, uint16(size)
		}
	}
	v.Broken = r.err != nil
}

// skipH265HRD passes over hrd_parameters(1, subLayers-1) of ISO/IEC 23008-2 section E.2.2.
func skipH265HRD(r *bitReader, subLayers int) {
	nal, vcl := r.flag(), r.flag()
	subPicture := false
	if nal || vcl {
		if subPicture = r.flag(); subPicture {
			r.u(19)
		}
		r.u(8) // bit_rate_scale, cpb_size_scale
		if subPicture {
			r.u(4)
		}
		r.u(15) // three lengths
	}
	for range subLayers {
		general := r.flag()
		within := general || r.flag()
		lowDelay := false
		if within {
			r.ue() // elemental_duration_in_tc_minus1
		} else {
			lowDelay = r.flag()
		}
		n := uint32(0)
		if !lowDelay {
			n = r.max("cpb_cnt_minus1", 31)
		}
		for _, present := range [2]bool{nal, vcl} {
			for i := uint32(0); present && i <= n && r.err == nil; i++ {
				r.ue()
				r.ue()
				if subPicture {
					r.ue()
					r.ue()
				}
				r.u(1)
			}
		}
	}
}

// pictureTicks converts a duration of units/scale seconds to ticks, to the nearest. What no camera does (more than 1,000
// pictures a second, or fewer than one in a minute) is a VUI filled with nonsense, and unknown: 0.
func pictureTicks(units, scale uint64) media.Duration {
	if units == 0 || scale == 0 {
		return 0
	}
	d := (units*media.TicksPerSecond + scale/2) / scale
	if d < media.TicksPerSecond/1000 || d > 60*media.TicksPerSecond {
		return 0
	}
	return media.Duration(d)
}
