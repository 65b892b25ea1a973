package picture

import "time"

// Geometry and levels of the strip.
const (
	StripBits  = 88 // bits, one macroblock each
	stripBlack = 16
	stripWhite = 235
)

// Strip returns what a picture's strip says: the sample number in bytes 0 to 3, UTC milliseconds since 1970 in bytes 4
// to 9, both big-endian, and in byte 10 the CRC-8 of the ten before it.
func Strip(number uint32, utc time.Time) [StripBits / 8]byte {
	ms := uint64(utc.UnixMilli())
	s := [StripBits / 8]byte{
		byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number),
		byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms),
	}
	s[10] = crc8(s[:10])
	return s
}

// crc8 has the polynomial x^8+x^2+x+1 (0x07), starts at 0, takes bits from the most significant on and is not inverted.
func crc8(p []byte) byte {
	var c byte
	for _, b := range p {
		c ^= b
		for range 8 {
			if c&0x80 != 0 {
				c = c<<1 ^ 0x07
			} else {
				c <<= 1
			}
		}
	}
	return c
}
