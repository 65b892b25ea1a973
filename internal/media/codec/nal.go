package codec

import (
	"bytes"
	"encoding/binary"
)

// lengthSize is the length field before every NAL unit of a stored sample (lengthSizeMinusOne 3).
const lengthSize = 4

var startCode = []byte{0, 0, 1}

// SplitAnnexB calls yield for each NAL unit of a byte stream (ISO/IEC 14496-10 annex B). Start codes may have 3 or 4
// bytes, zero bytes around units do not belong to them, empty units are passed over. Bytes before the first start code
// are a unit too, so that a unit as it came from a packet, in which a camera left start codes, is split as well.
// The units lie within b and have no capacity beyond their end.
func SplitAnnexB(b []byte, yield func(nal []byte)) {
	for len(b) > 0 {
		unit := b
		if i := bytes.Index(b, startCode); i >= 0 {
			unit, b = b[:i], b[i+len(startCode):]
		} else {
			b = nil
		}
		if unit = trimZeros(unit); len(unit) > 0 {
			yield(unit)
		}
	}
}

// trimZeros removes trailing zero bytes: no NAL unit ends with one (ISO/IEC 14496-10 section 7.4.1).
func trimZeros(unit []byte) []byte {
	n := len(unit)
	for n > 0 && unit[n-1] == 0 {
		n--
	}
	return unit[:n:n]
}

// HasStartCode reports whether a NAL unit has a start code in it, which no correct one has: it must be split.
func HasStartCode(nal []byte) bool { return bytes.Contains(nal, startCode) }

// AppendNAL appends a NAL unit after its length in 4 bytes.
func AppendNAL(dst, nal []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(nal)))
	return append(dst, nal...)
}

// ToLengthPrefixed appends the NAL units of a byte stream to dst, each after its length.
func ToLengthPrefixed(dst, annexB []byte) []byte {
	SplitAnnexB(annexB, func(nal []byte) { dst = AppendNAL(dst, nal) })
	return dst
}

// ToAnnexB appends the NAL units of an access unit to dst, each after a start code of 4 bytes. It is the inverse of
// ToLengthPrefixed.
func ToAnnexB(dst, unit []byte) ([]byte, error) {
	for len(unit) > 0 {
		nal, rest, ok := NextNAL(unit)
		if !ok {
			return dst, refuse("access unit", "NAL unit length", ErrTruncated)
		}
		dst = append(append(dst, 0, 0, 0, 1), nal...)
		unit = rest
	}
	return dst, nil
}

// NextNAL takes the first NAL unit from an access unit. ok is false when nothing is left or the length is wrong.
func NextNAL(unit []byte) (nal, rest []byte, ok bool) {
	if len(unit) < lengthSize {
		return nil, unit, false
	}
	n := binary.BigEndian.Uint32(unit)
	if uint64(n) > uint64(len(unit)-lengthSize) {
		return nil, unit, false
	}
	end := lengthSize + int(n)
	return unit[lengthSize:end:end], unit[end:], true
}

// collect sorts the NAL units of parameter set lists by type, whichever list they stand in: start codes are removed,
// sets that a camera glued together are parted, repeated ones left out.
func collect(lists [][][]byte, sort func(nal []byte) *[][]byte) {
	for _, list := range lists {
		for _, set := range list {
			SplitAnnexB(set, func(nal []byte) {
				to := sort(nal)
				if to == nil {
					return
				}
				for _, have := range *to {
					if bytes.Equal(have, nal) {
						return
					}
				}
				*to = append(*to, nal)
			})
		}
	}
}
