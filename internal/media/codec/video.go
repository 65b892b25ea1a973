package codec

import (
	"fmt"
	"math"
	"slices"

	"nightjar/internal/media"
)

// defaultAspects are the pixel aspect ratios of the picture sizes that cameras use for a 16:9 picture without saying
// so (D1, CIF and VGA sizes; the list is that of field experience with such cameras). Transposed sizes have the
// transposed ratio.
var defaultAspects = map[[2]uint16][2]uint16{
	{320, 240}: {4, 3},
	{352, 240}: {40, 33},
	{640, 352}: {44, 45},
	{640, 480}: {4, 3},
	{704, 480}: {40, 33},
	{720, 480}: {32, 27},
}

// aspect is the pixel aspect ratio of a picture: what the VUI says, else a default by size. 0, 0 is square.
func aspect(v *VUI, width, height uint16) (h, vert uint16) {
	switch {
	case v.SARWidth == 0:
	case v.SARWidth == v.SARHeight:
		return 0, 0
	default:
		return v.SARWidth, v.SARHeight
	}
	if a, ok := defaultAspects[[2]uint16{width, height}]; ok {
		return a[0], a[1]
	}
	if a, ok := defaultAspects[[2]uint16{height, width}]; ok {
		return a[1], a[0]
	}
	return 0, 0
}

// appendPictureBoxes appends pasp and colr (ISO/IEC 14496-12 sections 12.1.4 and 12.1.5) where they say something.
func appendPictureBoxes(b []byte, h, v uint16, vui *VUI) []byte {
	if h != 0 {
		b = appendBox(b, "pasp", func(b []byte) []byte {
			return be.AppendUint32(be.AppendUint32(b, uint32(h)), uint32(v))
		})
	}
	if vui.Colour {
		b = appendBox(b, "colr", func(b []byte) []byte {
			b = append(b, "nclx"...)
			b = append(b, 0, vui.Primaries, 0, vui.Transfer, 0, vui.Matrix)
			if vui.FullRange {
				return append(b, 0x80)
			}
			return append(b, 0)
		})
	}
	return b
}

// checkSizes refuses sets that the 16-bit lengths and the counts of avcC and hvcC have no room for.
func checkSizes(what string, limit int, sets [][]byte) error {
	if len(sets) > limit {
		return refuse(what, "number of parameter sets", ErrInvalid)
	}
	for _, s := range sets {
		if len(s) > math.MaxUint16 {
			return refuse(what, "size of a parameter set", ErrInvalid)
		}
	}
	return nil
}

// usable keeps the sets that can be parsed: a broken one beside good ones is left out, as decoders do. Without any good
// one the first error is returned.
func usable(sets [][]byte, parse func(nal []byte) error) (good [][]byte, err error) {
	for _, nal := range sets {
		if e := parse(nal); e == nil {
			good = append(good, nal)
		} else if err == nil {
			err = e
		}
	}
	if len(good) > 0 {
		return good, nil
	}
	return nil, err
}

// H264Track describes a track by its parameter sets. The sets may be in either list, with start codes, repeated or glued
// together; a subset SPS is passed over and so is a broken set beside good ones. The facts are those of the first SPS; the
// reorder depth is the greatest of all.
func H264Track(index int, sps, pps [][]byte) (*media.Track, error) {
	var haveSPS, havePPS [][]byte
	collect([][][]byte{sps, pps}, func(nal []byte) *[][]byte {
		switch H264NALType(nal) {
		case H264NALSPS:
			return &haveSPS
		case H264NALPPS:
			return &havePPS
		}
		return nil
	})
	if len(haveSPS) == 0 {
		return nil, refuse("H.264 track", "SPS", ErrNoParameterSets)
	}
	if len(havePPS) == 0 {
		return nil, refuse("H.264 track", "PPS", ErrNoParameterSets)
	}
	var all []H264SPS
	haveSPS, err := usable(haveSPS, func(nal []byte) error {
		s, err := ParseH264SPS(nal)
		if err == nil {
			all = append(all, s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	havePPS, err = usable(havePPS, func(nal []byte) error {
		_, err := ParseH264PPS(nal)
		return err
	})
	if err != nil {
		return nil, err
	}
	first, depth := &all[0], 0
	for _, s := range all {
		depth = max(depth, s.ReorderDepth())
	}
	if err := checkSizes("avcC", 31, haveSPS); err != nil {
		return nil, err
	}
	if err := checkSizes("avcC", 255, havePPS); err != nil {
		return nil, err
	}
	h, v := aspect(&first.VUI, first.Width, first.Height)
	return &media.Track{
		Index: index, Kind: media.Video, Codec: media.H264, ClockRate: media.TicksPerSecond,
		SampleEntry: appendVideoEntry("avc1", first.Width, first.Height, func(b []byte) []byte {
			b = appendAVCC(b, first, haveSPS, havePPS)
			return appendPictureBoxes(b, h, v, &first.VUI)
		}),
		RFC6381: fmt.Sprintf("avc1.%02x%02x%02x", first.Profile, first.Constraints, first.Level),
		Width:   first.Width, Height: first.Height, AspectH: h, AspectV: v,
		FrameDuration: first.FrameDuration(), ReorderDepth: depth,
	}, nil
}

// appendAVCC appends AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1).
func appendAVCC(b []byte, s *H264SPS, sps, pps [][]byte) []byte {
	return appendBox(b, "avcC", func(b []byte) []byte {
		b = append(b, 1, s.Profile, s.Constraints, s.Level, 0xfc|(lengthSize-1), 0xe0|uint8(len(sps)))
		b = appendSets(b, sps)
		b = append(b, uint8(len(pps)))
		b = appendSets(b, pps)
		if s.Profile != 66 && s.Profile != 77 && s.Profile != 88 {
			b = append(b, 0xfc|s.ChromaFormat, 0xf8|(s.BitDepthLuma-8), 0xf8|(s.BitDepthChroma-8), 0)
		}
		return b
	})
}

func appendSets(b []byte, sets [][]byte) []byte {
	for _, s := range sets {
		b = append(be.AppendUint16(b, uint16(len(s))), s...)
	}
	return b
}

// H265Track describes a track by its parameter sets, which may be in any of the lists, with start codes, repeated or
// glued together; sets of other layers than the base layer are passed over and so are broken ones beside good ones. The
// facts are those of the first VPS and SPS.
func H265Track(index int, vps, sps, pps [][]byte) (*media.Track, error) {
	var sets [3][][]byte
	collect([][][]byte{vps, sps, pps}, func(nal []byte) *[][]byte {
		t := H265NALType(nal)
		if !H265ParameterSet(t) || H265Layer(nal) != 0 {
			return nil
		}
		return &sets[t-H265NALVPS]
	})
	for i, name := range [...]string{"VPS", "SPS", "PPS"} {
		if len(sets[i]) == 0 {
			return nil, refuse("H.265 track", name, ErrNoParameterSets)
		}
		if err := checkSizes("hvcC", math.MaxUint16, sets[i]); err != nil {
			return nil, err
		}
	}
	var vpss []H265VPS
	var spss []H265SPS
	tiles, sync := false, false
	parse := func(nal []byte) error {
		switch H265NALType(nal) {
		case H265NALVPS:
			v, err := ParseH265VPS(nal)
			if err == nil {
				vpss = append(vpss, v)
			}
			return err
		case H265NALSPS:
			s, err := ParseH265SPS(nal)
			if err == nil {
				spss = append(spss, s)
			}
			return err
		}
		p, err := ParseH265PPS(nal)
		tiles, sync = tiles || p.Tiles, sync || p.EntropySync
		return err
	}
	for i := range sets {
		var err error
		if sets[i], err = usable(sets[i], parse); err != nil {
			return nil, err
		}
	}
	first, depth := &spss[0], 0
	for _, s := range spss {
		depth = max(depth, s.ReorderDepth())
	}
	h, v := aspect(&first.VUI, first.Width, first.Height)
	return &media.Track{
		Index: index, Kind: media.Video, Codec: media.H265, ClockRate: media.TicksPerSecond,
		SampleEntry: appendVideoEntry("hvc1", first.Width, first.Height, func(b []byte) []byte {
			b = appendHVCC(b, first, parallelism(tiles, sync), sets)
			return appendPictureBoxes(b, h, v, &first.VUI)
		}),
		RFC6381: h265Codecs(&first.Profile),
		Width:   first.Width, Height: first.Height, AspectH: h, AspectV: v,
		FrameDuration: first.FrameDuration(&vpss[0]), ReorderDepth: depth,
	}, nil
}

// parallelism is parallelismType of hvcC: 0 mixed or unknown, 1 slices, 2 tiles, 3 wavefronts. With neither tiles nor
// wavefronts nothing is claimed about slices.
func parallelism(tiles, sync bool) uint8 {
	switch {
	case tiles && !sync:
		return 2
	case sync && !tiles:
		return 3
	}
	return 0
}

// appendHVCC appends HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1).
func appendHVCC(b []byte, s *H265SPS, parallel uint8, sets [3][][]byte) []byte {
	segment := s.VUI.MinSegmentSize
	if segment == 0 {
		parallel = 0 // 8.3.3.1.3: without segmentation the type says nothing
	}
	return appendBox(b, "hvcC", func(b []byte) []byte {
		p := &s.Profile
		tier := uint8(0)
		if p.HighTier {
			tier = 1
		}
		nested := uint8(0)
		if s.TemporalNested {
			nested = 1
		}
		b = append(b, 1, p.Space<<6|tier<<5|p.Profile)
		b = be.AppendUint32(b, p.Compatibility)
		b = append(b, p.Constraints[:]...)
		b = append(b, p.Level)
		b = be.AppendUint16(b, 0xf000|segment)
		b = append(b, 0xfc|parallel, 0xfc|s.ChromaFormat, 0xf8|(s.BitDepthLuma-8), 0xf8|(s.BitDepthChroma-8))
		b = append(b, 0, 0) // avgFrameRate: not given
		b = append(b, s.SubLayers<<3|nested<<2|(lengthSize-1), uint8(len(sets)))
		for i, list := range sets {
			b = append(b, 0x80|uint8(H265NALVPS+i)) // array_completeness 1
			b = be.AppendUint16(b, uint16(len(list)))
			b = appendSets(b, list)
		}
		return b
	})
}

// h265Codecs is the codecs parameter of ISO/IEC 14496-15 annex E.3.
func h265Codecs(p *H265Profile) string {
	space, tier := "", "L"
	if p.Space > 0 {
		space = string(rune('A' + p.Space - 1))
	}
	if p.HighTier {
		tier = "H"
	}
	reversed := uint32(0)
	for i := range 32 {
		reversed |= p.Compatibility >> i & 1 << (31 - i)
	}
	s := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, p.Profile, reversed, tier, p.Level)
	constraints := p.Constraints[:]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for c := range slices.Values(constraints) {
		s += fmt.Sprintf(".%X", c)
	}
	return s
}

// MJPEGTrack describes a track of JPEG pictures: mp4v with object type 0x6c (ISO/IEC 10918-1), which unlike QuickTime's
// jpeg has a registration in ISO files and a codecs parameter.
func MJPEGTrack(index int, width, height uint16) (*media.Track, error) {
	if width == 0 || height == 0 {
		return nil, refuse("MJPEG track", "size", ErrInvalid)
	}
	return &media.Track{
		Index: index, Kind: media.Video, Codec: media.MJPEG, ClockRate: media.TicksPerSecond,
		SampleEntry: appendVideoEntry("mp4v", width, height, func(b []byte) []byte {
			return appendESDS(b, objectJPEG, streamVisual, nil)
		}),
		RFC6381: "mp4v.6C", Width: width, Height: height,
	}, nil
}

// JPEGSize reads the size of a picture from its start-of-frame segment (ISO/IEC 10918-1 section B.2.2).
func JPEGSize(b []byte) (width, height uint16, err error) {
	const what = "JPEG"
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return 0, 0, refuse(what, "SOI", ErrWrongType)
	}
	for b = b[2:]; len(b) >= 4; {
		if b[0] != 0xff {
			return 0, 0, refuse(what, "marker", ErrInvalid)
		}
		marker := b[1]
		if marker == 0xff { // fill byte
			b = b[1:]
			continue
		}
		if marker == 0x01 || marker >= 0xd0 && marker <= 0xd7 { // TEM and RSTm stand alone
			b = b[2:]
			continue
		}
		n := int(be.Uint16(b[2:]))
		if n < 2 || n > len(b)-2 {
			return 0, 0, refuse(what, "segment length", ErrTruncated)
		}
		switch {
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc: // SOFn
			if n < 7 {
				return 0, 0, refuse(what, "SOF", ErrTruncated)
			}
			width, height = be.Uint16(b[7:]), be.Uint16(b[5:])
			if width == 0 || height == 0 { // height 0 would be defined by a DNL segment: not in RTP or by cameras
				return 0, 0, refuse(what, "SOF size", ErrUnsupported)
			}
			return width, height, nil
		case marker == 0xda || marker == 0xd9:
			return 0, 0, refuse(what, "SOF", ErrInvalid)
		}
		b = b[2+n:]
	}
	return 0, 0, refuse(what, "SOF", ErrTruncated)
}
