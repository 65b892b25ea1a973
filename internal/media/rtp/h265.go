package rtp

import "encoding/binary"

// The NAL unit types of RFC 7798 section 1.1.4 and ITU-T H.265 table 7-1 that matter here.
const (
	h265IRAPFirst = 16
	h265IRAPLast  = 21
	h265LastSlice = 31
	h265VPS       = 32
	h265PPS       = 34
	h265AP        = 48
	h265FU        = 49
	h265PACI      = 50
)

// H265 assembles access units (RFC 7798), without decoding order numbers (sprop-max-don-diff 0).
type H265 struct {
	au   accessUnit
	skip bool

	maxTemporal uint8 // the highest temporal sub-layer seen
	keys        int   // key pictures seen; layers are known once a whole GOP went by
}

// NewH265 returns a depacketizer. maxDonDiff is the value of sprop-max-don-diff: other than 0, packets carry decoding
// order numbers, which are not read.
func NewH265(maxDonDiff int) (*H265, error) {
	if maxDonDiff > 0 {
		return nil, &UnsupportedError{"H.265 packets with decoding order numbers (sprop-max-don-diff, RFC 7798 section 4.4)"}
	}
	d := &H265{}
	d.au.init(d.inspect)
	return d, nil
}

func (d *H265) inspect(nal []byte) nalInfo {
	if len(nal) < 3 {
		return nalInfo{whole: true}
	}
	kind := nal[0] >> 1 & 0x3f
	if kind > h265LastSlice {
		return nalInfo{set: kind >= h265VPS && kind <= h265PPS, whole: true}
	}
	temporal := nal[1]&7 - 1
	key := kind >= h265IRAPFirst && kind <= h265IRAPLast
	first := nal[2]&0x80 != 0 // first_slice_segment_in_pic_flag, ITU-T H.265 section 7.3.6.1
	if temporal < 7 {
		d.maxTemporal = max(d.maxTemporal, temporal)
	}
	if key && first {
		d.keys++
	}
	return nalInfo{
		slice: true,
		first: first,
		key:   key,
		// Even types below 16 are not used for reference within their sub-layer; in the highest, by nothing at all.
		disposable: kind < h265IRAPFirst && kind%2 == 0 && d.keys > 1 && temporal == d.maxTemporal,
		whole:      key,
	}
}

// Push implements Depacketizer.
func (d *H265) Push(p *Packet, lost int, emit Emit) error {
	if lost > 0 {
		d.skip = false
	}
	if err := d.au.begin(p, lost, emit); err != nil {
		return err
	}
	broken := d.payload(p.Payload)
	if broken != nil {
		d.au.damage()
	}
	if err := d.au.end(p, emit); err != nil {
		return err
	}
	return broken
}

func (d *H265) payload(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) < 2 {
		return broken("H.265 packet", "%d bytes", len(b))
	}
	switch kind := b[0] >> 1 & 0x3f; {
	case kind == h265AP:
		return d.aggregate(b[2:])
	case kind == h265FU:
		return d.fragment(b)
	case kind == h265PACI:
		return &UnsupportedError{"H.265 PACI packets (RFC 7798 section 4.4.4)"}
	case kind > h265PACI:
		return broken("H.265 packet", "type %d is not defined", kind)
	}
	d.au.whole(b)
	return nil
}

// aggregate reads the units of an aggregation packet (RFC 7798 section 4.4.2).
func (d *H265) aggregate(b []byte) error {
	for len(b) > 0 {
		if len(b) < 2 {
			return broken("H.265 aggregation packet", "%d bytes behind the last unit", len(b))
		}
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if n > len(b) {
			return broken("H.265 aggregation packet", "unit of %d bytes in %d", n, len(b))
		}
		if n > 0 {
			d.au.whole(b[:n])
		}
		b = b[n:]
	}
	return nil
}

// fragment reads one part of a NAL unit (RFC 7798 section 4.4.3).
func (d *H265) fragment(b []byte) error {
	if len(b) < 3 {
		return broken("H.265 fragment", "%d bytes", len(b))
	}
	start, end := b[2]&0x80 != 0, b[2]&0x40 != 0
	switch {
	case start:
		d.skip = false
		d.au.startNAL()
		d.au.add(b[0]&0x81|b[2]&0x3f<<1, b[1])
	case d.au.nal < 0:
		if !d.skip {
			d.skip = true
			d.au.damage()
			return broken("H.265 fragment", "the beginning of the unit is not there")
		}
		d.au.damage()
		return nil
	}
	d.au.extend(b[3:])
	if end {
		d.au.endNAL()
	}
	return nil
}
