package rtp

import (
	"bytes"
	"encoding/binary"
)

// The NAL unit types of RFC 6184 section 5.2 and ITU-T H.264 table 7-1 that matter here.
const (
	h264IDR    = 5
	h264SEI    = 6
	h264SPS    = 7
	h264PPS    = 8
	h264STAPA  = 24
	h264STAPB  = 25
	h264MTAP16 = 26
	h264MTAP24 = 27
	h264FUA    = 28
	h264FUB    = 29
)

// H264 assembles access units (RFC 6184). Decoding order numbers are ignored: packets come in decoding order.
//
// Key pictures are IDR pictures and those with a recovery point SEI message (ITU-T H.264 section D.2.8): cameras with
// open GOPs or periodic intra refresh send an IDR picture at most once, and decoding must be able to begin later too.
type H264 struct {
	au   accessUnit
	skip bool // within the fragments of a NAL unit whose beginning is not there
}

// NewH264 returns a depacketizer.
func NewH264() *H264 {
	d := &H264{}
	d.au.init(inspectH264)
	return d
}

func inspectH264(nal []byte) nalInfo {
	kind := nal[0] & 0x1f
	switch kind {
	case 1, 2, h264IDR:
		return nalInfo{
			slice: true,
			// first_mb_in_slice is 0 when its Exp-Golomb code is the single bit 1 (ITU-T H.264 section 7.3.3).
			first:      len(nal) > 1 && nal[1]&0x80 != 0,
			key:        kind == h264IDR,
			disposable: nal[0]&0x60 == 0,
			whole:      kind == h264IDR,
		}
	case 3, 4: // data partitions B and C carry on a slice
		return nalInfo{disposable: true, whole: true}
	}
	return nalInfo{
		set:      kind == h264SPS || kind == h264PPS,
		recovery: kind == h264SEI && hasRecoveryPoint(nal[1:]),
		whole:    true,
	}
}

// hasRecoveryPoint looks for the recovery point among SEI messages (ITU-T H.264 section 7.3.2.3). Emulation prevention
// bytes are not taken out: they can shift what follows a long message, but encoders put this short one first.
func hasRecoveryPoint(b []byte) bool {
	const recoveryPoint = 6
	for len(b) >= 2 {
		var v [2]int // type and size
		for i := range v {
			for len(b) > 0 && b[0] == 0xff {
				v[i] += 255
				b = b[1:]
			}
			if len(b) == 0 {
				return false
			}
			v[i] += int(b[0])
			b = b[1:]
		}
		if v[0] == recoveryPoint {
			return true
		}
		if v[1] > len(b) {
			return false
		}
		b = b[v[1]:]
	}
	return false
}

// Push implements Depacketizer.
func (d *H264) Push(p *Packet, lost int, emit Emit) error {
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

func (d *H264) payload(b []byte) error {
	if len(b) == 0 {
		return nil // some cameras fill with empty packets
	}
	switch kind := b[0] & 0x1f; kind {
	case 0, 30, 31:
		if bytes.HasPrefix(b, startCode) || bytes.HasPrefix(b, []byte{0, 0, 0, 1}) {
			break // left in by the camera; the unit is split there
		}
		return broken("H.264 packet", "type %d is not defined", kind)
	case h264STAPA:
		return d.aggregate("STAP-A", b[1:])
	case h264STAPB:
		if len(b) < 3 {
			return broken("STAP-B", "%d bytes", len(b))
		}
		return d.aggregate("STAP-B", b[3:])
	case h264MTAP16:
		return &UnsupportedError{"H.264 MTAP16 packets (RFC 6184 section 5.7.2)"}
	case h264MTAP24:
		return &UnsupportedError{"H.264 MTAP24 packets (RFC 6184 section 5.7.2)"}
	case h264FUA:
		return d.fragment("FU-A", b, 2)
	case h264FUB:
		return d.fragment("FU-B", b, 4)
	}
	d.au.whole(b)
	return nil
}

// aggregate reads the units of a STAP, each after its size in 16 bits (RFC 6184 section 5.7.1).
func (d *H264) aggregate(what string, b []byte) error {
	for len(b) > 0 {
		if len(b) < 2 {
			return broken(what, "%d bytes behind the last unit", len(b))
		}
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if n > len(b) {
			return broken(what, "unit of %d bytes in %d", n, len(b))
		}
		if n > 0 {
			d.au.whole(b[:n])
		}
		b = b[n:]
	}
	return nil
}

// fragment reads one part of a NAL unit (RFC 6184 section 5.8). The reserved bit is ignored (Longse sets it), as is a
// type that changes within the unit (Tiandy).
func (d *H264) fragment(what string, b []byte, header int) error {
	if len(b) < 2 {
		return broken(what, "%d bytes", len(b))
	}
	start, end := b[1]&0x80 != 0, b[1]&0x40 != 0
	if what == "FU-B" && !start {
		header = 2 // the decoding order number is in the first fragment alone
	}
	if len(b) < header {
		return broken(what, "%d bytes", len(b))
	}
	switch {
	case start:
		d.skip = false
		d.au.startNAL()
		d.au.add(b[0]&0xe0 | b[1]&0x1f)
	case d.au.nal < 0:
		if !d.skip {
			d.skip = true
			d.au.damage()
			return broken(what, "the beginning of the unit is not there")
		}
		d.au.damage()
		return nil
	}
	d.au.extend(b[header:])
	if end {
		d.au.endNAL()
	}
	return nil
}
