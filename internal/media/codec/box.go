package codec

import "encoding/binary"

// boxHeader is the size of a box's length and type (ISO/IEC 14496-12 section 4.2).
const boxHeader = 8

var be = binary.BigEndian

// appendBox appends a box whose payload body appends.
func appendBox(dst []byte, kind string, body func([]byte) []byte) []byte {
	at := len(dst)
	dst = append(be.AppendUint32(dst, 0), kind...)
	dst = body(dst)
	be.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// nextBox takes the first box from b. ok is false when nothing is left or the length is wrong.
func nextBox(b []byte) (kind string, payload, rest []byte, ok bool) {
	if len(b) < boxHeader {
		return "", nil, nil, false
	}
	n := be.Uint32(b)
	if n < boxHeader || uint64(n) > uint64(len(b)) {
		return "", nil, nil, false
	}
	return string(b[4:8]), b[boxHeader:n:n], b[n:], true
}

// appendVideoEntry appends a VisualSampleEntry (ISO/IEC 14496-12 section 12.1.3) with the boxes that body appends.
func appendVideoEntry(kind string, width, height uint16, body func([]byte) []byte) []byte {
	return appendBox(nil, kind, func(b []byte) []byte {
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // reserved, data_reference_index
		b = append(b, make([]byte, 16)...)
		b = be.AppendUint16(b, width)
		b = be.AppendUint16(b, height)
		b = be.AppendUint32(b, 0x00480000)    // 72 dpi
		b = be.AppendUint32(b, 0x00480000)    //
		b = append(b, 0, 0, 0, 0, 0, 1)       // reserved, frame_count
		b = append(b, make([]byte, 32)...)    // compressorname
		b = append(b, 0x00, 0x18, 0xff, 0xff) // depth 24, pre_defined -1
		return body(b)
	})
}

// appendAudioEntry appends an AudioSampleEntry of version 0 (ISO/IEC 14496-12 section 12.2.3).
func appendAudioEntry(kind string, channels, sampleSize uint16, rate uint32, body func([]byte) []byte) []byte {
	return appendBox(nil, kind, func(b []byte) []byte {
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // reserved, data_reference_index
		b = append(b, make([]byte, 8)...)
		b = be.AppendUint16(b, channels)
		b = be.AppendUint16(b, sampleSize)
		b = append(b, 0, 0, 0, 0)
		if rate > 0xffff { // 16.16 has no room for it; the decoder's configuration says it
			rate = 0
		}
		b = be.AppendUint32(b, rate<<16)
		if body != nil {
			b = body(b)
		}
		return b
	})
}

// The tags of descriptors (ISO/IEC 14496-1 section 7.2.2.1) and the object types (table 5) that are written here.
const (
	tagES            = 3
	tagDecoderConfig = 4
	tagDecoderInfo   = 5
	tagSLConfig      = 6

	objectAAC  = 0x40
	objectJPEG = 0x6c

	streamVisual = 4
	streamAudio  = 5
)

// appendESDS appends an esds box (ISO/IEC 14496-14 section 5.6) with a decoder configuration; info may be empty.
// Descriptor lengths are written in one byte where they fit, as ISO/IEC 14496-1 section 8.3.3 prefers.
func appendESDS(b []byte, object, stream uint8, info []byte) []byte {
	decoder := []byte{object, stream<<2 | 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // buffer size and bit rates not given
	if len(info) > 0 {
		decoder = appendDescriptor(decoder, tagDecoderInfo, info)
	}
	es := []byte{0, 0, 0} // ES_ID 0 as it must be in a file; no flags, stream priority 0
	es = appendDescriptor(es, tagDecoderConfig, decoder)
	es = appendDescriptor(es, tagSLConfig, []byte{2}) // predefined: reserved for MP4 files
	return appendBox(b, "esds", func(b []byte) []byte {
		b = append(b, 0, 0, 0, 0)
		return appendDescriptor(b, tagES, es)
	})
}

func appendDescriptor(b []byte, tag uint8, payload []byte) []byte {
	b = append(b, tag)
	n := len(payload)
	for shift := 21; shift > 0; shift -= 7 {
		if n>>shift != 0 {
			b = append(b, 0x80|uint8(n>>shift)&0x7f)
		}
	}
	b = append(b, uint8(n)&0x7f)
	return append(b, payload...)
}

// nextDescriptor takes the first descriptor from b.
func nextDescriptor(b []byte) (tag uint8, payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	n, at := 0, 1
	for ; ; at++ {
		if at > 4 || at >= len(b) {
			return 0, nil, nil, false
		}
		n = n<<7 | int(b[at]&0x7f)
		if b[at]&0x80 == 0 {
			break
		}
	}
	at++
	if n > len(b)-at {
		return 0, nil, nil, false
	}
	return b[0], b[at : at+n : at+n], b[at+n:], true
}

// parseESDS reads the object type and the decoder specific information from the payload of an esds box.
func parseESDS(b []byte) (object uint8, info []byte, err error) {
	bad := refuse("esds", "", ErrInvalid)
	if len(b) < 4 {
		return 0, nil, bad
	}
	tag, es, _, ok := nextDescriptor(b[4:])
	if !ok || tag != tagES || len(es) < 3 {
		return 0, nil, bad
	}
	flags, es := es[2], es[3:]
	skip := 0
	if flags&0x80 != 0 { // dependsOn_ES_ID
		skip += 2
	}
	if flags&0x40 != 0 { // URL_Flag
		if len(es) <= skip {
			return 0, nil, bad
		}
		skip += 1 + int(es[skip])
	}
	if flags&0x20 != 0 { // OCR_ES_Id
		skip += 2
	}
	if len(es) < skip {
		return 0, nil, bad
	}
	tag, decoder, _, ok := nextDescriptor(es[skip:])
	if !ok || tag != tagDecoderConfig || len(decoder) < 13 {
		return 0, nil, bad
	}
	if tag, payload, _, ok := nextDescriptor(decoder[13:]); ok && tag == tagDecoderInfo {
		info = payload
	}
	return decoder[0], info, nil
}
