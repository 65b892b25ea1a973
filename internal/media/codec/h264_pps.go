package codec

import "math/bits"

// H264PPS is what a picture parameter set of ISO/IEC 14496-10 section 7.3.2.2 says up to redundant_pic_cnt_present_flag:
// all that concerns the division into access units. What follows is not looked at.
type H264PPS struct {
	ID                  uint8
	SPSID               uint8
	CABAC               bool
	FieldOrderPresent   bool // bottom_field_pic_order_in_frame_present_flag
	SliceGroups         uint8
	RedundantCntPresent bool
}

const whatPPS264 = "H.264 PPS"

// ParseH264PPS parses a picture parameter set with its NAL unit header.
func ParseH264PPS(nal []byte) (H264PPS, error) {
	var p H264PPS
	if len(nal) < 2 {
		return p, refuse(whatPPS264, "", ErrTruncated)
	}
	if H264NALType(nal) != H264NALPPS {
		return p, refuse(whatPPS264, "nal_unit_type", ErrWrongType)
	}
	r := rbsp(nal[1:])
	p.ID = uint8(r.max("pic_parameter_set_id", 255))
	p.SPSID = uint8(r.max("seq_parameter_set_id", 31))
	p.CABAC = r.flag()
	p.FieldOrderPresent = r.flag()
	p.SliceGroups = uint8(r.max("num_slice_groups_minus1", 7)) + 1
	if p.SliceGroups > 1 {
		skipSliceGroups(&r, uint32(p.SliceGroups))
	}
	r.max("num_ref_idx_l0_default_active_minus1", 31)
	r.max("num_ref_idx_l1_default_active_minus1", 31)
	r.u(3) // weighted_pred_flag, weighted_bipred_idc
	for range 3 {
		r.se() // pic_init_qp_minus26, pic_init_qs_minus26, chroma_qp_index_offset
	}
	r.u(2) // deblocking_filter_control_present_flag, constrained_intra_pred_flag
	p.RedundantCntPresent = r.flag()
	if err := r.wrap(whatPPS264); err != nil {
		return H264PPS{}, err
	}
	return p, nil
}

func skipSliceGroups(r *bitReader, groups uint32) {
	switch kind := r.max("slice_group_map_type", 6); kind {
	case 0:
		for range groups {
			r.ue() // run_length_minus1
		}
	case 2:
		for range groups - 1 {
			r.ue() // top_left
			r.ue() // bottom_right
		}
	case 3, 4, 5:
		r.u(1) // slice_group_change_direction_flag
		r.ue() // slice_group_change_rate_minus1
	case 6:
		n := r.max("pic_size_in_map_units_minus1", maxDimension/16*(maxDimension/16)-1) + 1
		r.skip(int(n) * bits.Len32(groups-1))
	}
}
