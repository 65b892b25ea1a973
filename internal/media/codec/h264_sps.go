package codec

import "nightjar/internal/media"

// maxDimension bounds the picture sizes that are believed: beyond every level of either standard.
const maxDimension = 1 << 15

// H264SPS is a sequence parameter set of ISO/IEC 14496-10 section 7.3.2.1.
type H264SPS struct {
	Profile     uint8 // profile_idc
	Constraints uint8 // constraint_set0_flag is the most significant bit
	Level       uint8 // level_idc
	ID          uint8

	ChromaFormat   uint8 // chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	SeparatePlanes bool
	BitDepthLuma   uint8
	BitDepthChroma uint8

	Log2MaxFrameNum     uint8
	PicOrderType        uint8 // pic_order_cnt_type
	Log2MaxPicOrderLsb  uint8 // with type 0
	DeltaOrderAlwaysNil bool  // with type 1: delta_pic_order_always_zero_flag
	MaxRefFrames        uint8

	WidthMBs, HeightMBs uint16 // of frames, before cropping
	FrameMBsOnly        bool
	Width, Height       uint16 // cropped, in luma samples

	VUI VUI
}

const whatSPS264 = "H.264 SPS"

// ParseH264SPS parses a sequence parameter set with its NAL unit header. A subset SPS gives ErrSubsetSPS.
func ParseH264SPS(nal []byte) (H264SPS, error) {
	var s H264SPS
	if len(nal) < 4 {
		return s, refuse(whatSPS264, "", ErrTruncated)
	}
	switch H264NALType(nal) {
	case H264NALSPS:
	case H264NALSubsetSPS:
		return s, refuse(whatSPS264, "nal_unit_type", ErrSubsetSPS)
	default:
		return s, refuse(whatSPS264, "nal_unit_type", ErrWrongType)
	}
	r := rbsp(nal[1:])
	s.Profile, s.Constraints, s.Level = uint8(r.u(8)), uint8(r.u(8)), uint8(r.u(8))
	s.ID = uint8(r.max("seq_parameter_set_id", 31))
	s.parseFormat(&r)
	s.Log2MaxFrameNum = uint8(r.max("log2_max_frame_num_minus4", 12)) + 4
	s.parseOrder(&r)
	s.MaxRefFrames = uint8(r.max("max_num_ref_frames", 16))
	r.u(1) // gaps_in_frame_num_value_allowed_flag
	s.parseSize(&r)
	vui := r.flag()
	if err := r.wrap(whatSPS264); err != nil {
		return H264SPS{}, err
	}
	if vui {
		s.VUI.parseH264(&r)
	}
	return s, nil
}

// highProfile264 tells whether a profile's SPS has the chroma format and what follows it (section 7.3.2.1.1).
func highProfile264(profile uint8) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

func (s *H264SPS) parseFormat(r *bitReader) {
	s.ChromaFormat, s.BitDepthLuma, s.BitDepthChroma = 1, 8, 8
	if !highProfile264(s.Profile) {
		return
	}
	s.ChromaFormat = uint8(r.max("chroma_format_idc", 3))
	if s.ChromaFormat == 3 {
		s.SeparatePlanes = r.flag()
	}
	s.BitDepthLuma = uint8(r.max("bit_depth_luma_minus8", 6)) + 8
	s.BitDepthChroma = uint8(r.max("bit_depth_chroma_minus8", 6)) + 8
	r.u(1)        // qpprime_y_zero_transform_bypass_flag
	if r.flag() { // seq_scaling_matrix_present_flag
		lists := 8
		if s.ChromaFormat == 3 {
			lists = 12
		}
		skipH264ScalingLists(r, lists)
	}
}

// skipH264ScalingLists passes over the first n scaling lists (section 7.3.2.1.1.1).
func skipH264ScalingLists(r *bitReader, n int) {
	for i := range n {
		if !r.flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for j := 0; j < size && next != 0 && r.err == nil; j++ {
			next = (last + r.se() + 256) & 255
			if next != 0 {
				last = next
			}
		}
	}
}

func (s *H264SPS) parseOrder(r *bitReader) {
	s.PicOrderType = uint8(r.max("pic_order_cnt_type", 2))
	switch s.PicOrderType {
	case 0:
		s.Log2MaxPicOrderLsb = uint8(r.max("log2_max_pic_order_cnt_lsb_minus4", 12)) + 4
	case 1:
		s.DeltaOrderAlwaysNil = r.flag()
		r.se()
		r.se()
		n := r.max("num_ref_frames_in_pic_order_cnt_cycle", 255)
		for range n {
			r.se()
		}
	}
}

func (s *H264SPS) parseSize(r *bitReader) {
	w := r.max("pic_width_in_mbs_minus1", maxDimension/16-1) + 1
	h := r.max("pic_height_in_map_units_minus1", maxDimension/16-1) + 1
	s.FrameMBsOnly = r.flag()
	unitX, unitY := uint32(1), uint32(1) // CropUnitX, CropUnitY (equations 7-19 to 7-22)
	if !s.SeparatePlanes {
		if s.ChromaFormat == 1 || s.ChromaFormat == 2 {
			unitX = 2
		}
		if s.ChromaFormat == 1 {
			unitY = 2
		}
	}
	if !s.FrameMBsOnly {
		if h *= 2; h > maxDimension/16 {
			r.fail("pic_height_in_map_units_minus1", ErrInvalid)
		}
		unitY *= 2
		r.u(1) // mb_adaptive_frame_field_flag
	}
	r.u(1) // direct_8x8_inference_flag
	width, height := w*16, h*16
	if r.flag() {
		left := r.max("frame_crop_left_offset", maxDimension)
		right := r.max("frame_crop_right_offset", maxDimension)
		top := r.max("frame_crop_top_offset", maxDimension)
		bottom := r.max("frame_crop_bottom_offset", maxDimension)
		cropX, cropY := unitX*(left+right), unitY*(top+bottom)
		if cropX >= width || cropY >= height {
			r.fail("frame_cropping", ErrInvalid)
			return
		}
		width, height = width-cropX, height-cropY
	}
	s.WidthMBs, s.HeightMBs = uint16(w), uint16(h)
	s.Width, s.Height = uint16(width), uint16(height)
}

// Interlaced reports whether pictures may be coded as fields or with field macroblocks.
func (s *H264SPS) Interlaced() bool { return !s.FrameMBsOnly }

// FrameDuration is the nominal duration of a frame: two field ticks (section E.2.1). 0 when the VUI gives none.
func (s *H264SPS) FrameDuration() media.Duration {
	return pictureTicks(2*uint64(s.VUI.UnitsInTick), uint64(s.VUI.TimeScale))
}

// ReorderDepth is max_num_reorder_frames, or what section E.2.1 infers without it: 0 where the profile has no B pictures
// or none that move, otherwise the size of the decoded picture buffer.
func (s *H264SPS) ReorderDepth() int {
	const set3 = 0x10 // constraint_set3_flag
	switch {
	case s.VUI.Restriction:
		return int(s.VUI.MaxReorder)
	case s.Profile == 66, s.PicOrderType == 2, s.MaxRefFrames == 0:
		return 0
	case s.Constraints&set3 != 0:
		switch s.Profile {
		case 44, 86, 100, 110, 122, 244: // intra profiles
			return 0
		}
	}
	return s.dpbFrames()
}

// dpbMBs264 is MaxDpbMbs of table A-1 by level_idc.
var dpbMBs264 = map[uint8]int{
	9: 396, 10: 396, 11: 900, 12: 2376, 13: 2376, 20: 2376, 21: 4752, 22: 8100, 30: 8100, 31: 18000, 32: 20480,
	40: 32768, 41: 32768, 42: 34816, 50: 110400, 51: 184320, 52: 184320, 60: 696320, 61: 696320, 62: 696320,
}

// dpbFrames is MaxDpbFrames (section A.3.1 item h).
func (s *H264SPS) dpbFrames() int {
	limit, ok := dpbMBs264[s.Level]
	if s.Level == 11 && s.Constraints&0x10 != 0 && !highProfile264(s.Profile) { // level 1b
		limit = dpbMBs264[10]
	}
	if !ok {
		return 16
	}
	// A level too low for the size, as some cameras write it, would leave no room for the references.
	return min(max(limit/(int(s.WidthMBs)*int(s.HeightMBs)), int(s.MaxRefFrames)), 16)
}
