package rtp

import "nightjar/internal/media"

// LATMParams are what the StreamMuxConfig in the SDP says (RFC 6416 section 7.4, cpresent=0).
type LATMParams struct {
	Subframes     int    // numSubFrames + 1; 0 is 1
	FramesPerUnit uint32 // in units of the RTP clock; 0 is 1024
}

// LATM takes access units out of AudioMuxElements without configuration (RFC 6416 section 6, ISO/IEC 14496-3 section
// 1.7.3): one program, one layer, frame lengths in whole bytes.
type LATM struct {
	p    LATMParams
	unit Unit
	buf  []byte // an element that spans packets
	open bool
	ts   uint32
	loss bool
}

// NewLATM returns a depacketizer.
func NewLATM(p LATMParams) *LATM {
	p.Subframes = max(p.Subframes, 1)
	if p.FramesPerUnit == 0 {
		p.FramesPerUnit = 1024
	}
	return &LATM{p: p}
}

// Push implements Depacketizer.
func (d *LATM) Push(p *Packet, lost int, emit Emit) error {
	if lost > 0 || d.open && p.Timestamp != d.ts {
		d.loss = true
		d.open, d.buf = false, d.buf[:0]
	}
	if p.Marker && !d.open {
		return d.element(p.Timestamp, p.Payload, emit)
	}
	if len(d.buf)+len(p.Payload) > 1<<16 {
		d.open, d.buf, d.loss = false, d.buf[:0], true
		return broken("LATM packet", "element of more than %d bytes", 1<<16)
	}
	d.open, d.ts = true, p.Timestamp
	d.buf = append(d.buf, p.Payload...)
	if !p.Marker {
		return nil
	}
	err := d.element(p.Timestamp, d.buf, emit)
	d.open, d.buf = false, d.buf[:0]
	return err
}

func (d *LATM) element(ts uint32, b []byte, emit Emit) error {
	for i := 0; i < d.p.Subframes && len(b) > 0; i++ {
		n, header := 0, 0
		for {
			if header >= len(b) {
				d.loss = true
				return broken("LATM packet", "cut length")
			}
			step := int(b[header])
			header++
			n += step
			if step != 255 {
				break
			}
		}
		b = b[header:]
		if n > len(b) || n == 0 {
			d.loss = true
			return broken("LATM packet", "unit of %d bytes in %d", n, len(b))
		}
		d.unit = Unit{Timestamp: ts, Flags: media.Key, Frames: d.p.FramesPerUnit, Data: b[:n]}
		if d.loss {
			d.unit.Flags |= media.AfterLoss
			d.loss = false
		}
		if err := emit(&d.unit); err != nil {
			return err
		}
		b = b[n:]
		ts += d.p.FramesPerUnit
	}
	return nil
}
