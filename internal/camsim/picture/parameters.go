package picture

import (
	"fmt"
)

// quantiser is the QP of every macroblock: at 28 an Intra_16x16 DC level of 1 moves the whole macroblock by exactly 1
// in luma and a chroma DC level by exactly 2 (sections 8.5.10 to 8.5.12).
const quantiser = 28

// frameNumBits is the size of frame_num.
const frameNumBits = 8

// level is a row of table A-1.
type level struct {
	idc     uint8
	rate    int // MaxMBPS
	size    int // MaxFS
	buffer  int // MaxDpbMbs
	bitRate int // MaxBR, in 1,000 bits/s
}

var levels = []level{
	{10, 1485, 99, 396, 64}, {11, 3000, 396, 900, 192}, {12, 6000, 396, 2376, 384}, {13, 11880, 396, 2376, 768},
	{20, 11880, 396, 2376, 2000}, {21, 19800, 792, 4752, 4000}, {22, 20250, 1620, 8100, 4000},
	{30, 40500, 1620, 8100, 10000}, {31, 108000, 3600, 18000, 14000}, {32, 216000, 5120, 20480, 20000},
	{40, 245760, 8192, 32768, 20000}, {41, 245760, 8192, 32768, 50000}, {42, 522240, 8704, 34816, 50000},
	{50, 589824, 22080, 110400, 135000}, {51, 983040, 36864, 184320, 240000}, {52, 2073600, 36864, 184320, 240000},
	{60, 4177920, 139264, 696320, 240000}, {61, 8355840, 139264, 696320, 480000}, {62, 16711680, 139264, 696320, 800000},
}

// levelFor finds the lowest level that allows the pictures (section A.3.1).
func levelFor(o *Options) (uint8, error) {
	w, h := (o.Width+15)/16, (o.Height+15)/16
	rate := (int64(w*h)*int64(o.FPS) + int64(o.FPSDen) - 1) / int64(o.FPSDen)
	for _, l := range levels {
		if w*h <= l.size && w*w <= 8*l.size && h*h <= 8*l.size && rate <= int64(l.rate) && o.BitRate <= l.bitRate*1000 {
			return l.idc, nil
		}
	}
	return 0, fmt.Errorf("make H.264 of %dx%d at %d/%d pictures and %d bits a second: above level 6.2",
		o.Width, o.Height, o.FPS, o.FPSDen, o.BitRate)
}

// sequenceParameters makes the SPS NAL unit (sections 7.3.2.1.1 and E.1.1): Constrained Baseline, picture order by
// decoding order, one reference picture.
func sequenceParameters(o *Options, levelIDC uint8) []byte {
	var w bitWriter
	w.put(66, 8)
	w.put(0xC0, 8) // constraint_set0_flag, constraint_set1_flag
	w.put(uint32(levelIDC), 8)
	w.ue(0)
	w.ue(frameNumBits - 4)
	w.ue(2) // pic_order_cnt_type
	w.ue(1) // max_num_ref_frames
	w.flag(false)
	mbW, mbH := (o.Width+15)/16, (o.Height+15)/16
	w.ue(uint32(mbW - 1))
	w.ue(uint32(mbH - 1))
	w.flag(true) // frame_mbs_only_flag
	w.flag(true) // direct_8x8_inference_flag
	right, bottom := (mbW*16-o.Width)/2, (mbH*16-o.Height)/2
	w.flag(right+bottom > 0)
	if right+bottom > 0 {
		w.ue(0)
		w.ue(uint32(right))
		w.ue(0)
		w.ue(uint32(bottom))
	}
	w.flag(true)
	usability(&w, o)
	w.trailing()
	return appendNAL(nil, 0x67, w.buf)
}

// usability writes the VUI: square pixels, BT.709, timing, no reordering.
func usability(w *bitWriter, o *Options) {
	w.flag(true)
	w.put(1, 8)   // aspect_ratio_idc 1:1
	w.flag(false) // overscan_info_present_flag
	w.flag(true)  // video_signal_type_present_flag
	w.put(5, 3)
	w.flag(false) // video_full_range_flag
	w.flag(true)
	w.put(1, 8)
	w.put(1, 8)
	w.put(1, 8)
	w.flag(false) // chroma_loc_info_present_flag
	w.flag(true)  // timing_info_present_flag
	w.put(uint32(o.FPSDen), 32)
	w.put(uint32(2*o.FPS), 32)
	w.flag(true)  // fixed_frame_rate_flag
	w.flag(false) // nal_hrd_parameters_present_flag
	w.flag(false) // vcl_hrd_parameters_present_flag
	w.flag(false) // pic_struct_present_flag
	w.flag(true)  // bitstream_restriction_flag
	w.flag(true)  // motion_vectors_over_pic_boundaries_flag
	w.ue(0)
	w.ue(0)
	w.ue(16)
	w.ue(16)
	w.ue(0) // max_num_reorder_frames
	w.ue(1) // max_dec_frame_buffering
}

// pictureParameters makes the PPS NAL unit (section 7.3.2.2).
func pictureParameters() []byte {
	var w bitWriter
	w.ue(0)
	w.ue(0)
	w.flag(false) // CAVLC
	w.flag(false)
	w.ue(0) // one slice group
	w.ue(0)
	w.ue(0)
	w.flag(false)
	w.put(0, 2)
	w.se(quantiser - 26)
	w.se(0)
	w.se(0)
	w.flag(true)  // deblocking_filter_control_present_flag
	w.flag(true)  // constrained_intra_pred_flag
	w.flag(false) // redundant_pic_cnt_present_flag
	w.trailing()
	return appendNAL(nil, 0x68, w.buf)
}

// sliceHeader writes the header of the one slice of a picture (section 7.3.3).
func (e *Encoder) sliceHeader(w *bitWriter, key, droppable bool) {
	w.ue(0)
	if key {
		w.ue(7)
	} else {
		w.ue(5)
	}
	w.ue(0)
	w.put(e.frameNum, frameNumBits)
	if key {
		w.ue(e.idrID)
		w.put(0, 2) // no_output_of_prior_pics_flag, long_term_reference_flag
	} else {
		w.put(0, 2) // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0
		if !droppable {
			w.put(0, 1) // adaptive_ref_pic_marking_mode_flag
		}
	}
	w.se(0) // slice_qp_delta
	w.ue(1) // disable_deblocking_filter_idc
}
