package rtp

import "nightjar/internal/media"

// Payload hands on every packet's payload as a sample of its own: G.711, G.726, L16 (RFC 3551 section 4.5) and Opus
// (RFC 7587 section 4.2).
type Payload struct {
	unit   Unit
	frames func(payload []byte) uint32
}

// NewPayload returns a depacketizer for sound of constant size: bits for one instant of all channels (8 for G.711 with
// one channel, 16 for L16, 2 to 5 for G.726).
func NewPayload(bitsPerFrame int) *Payload {
	bits := max(bitsPerFrame, 1)
	return &Payload{frames: func(b []byte) uint32 { return uint32(len(b) * 8 / bits) }}
}

// NewOpus returns a depacketizer for Opus; its clock is 48 kHz whatever was coded.
func NewOpus() *Payload { return &Payload{frames: opusFrames} }

// Push implements Depacketizer.
func (d *Payload) Push(p *Packet, lost int, emit Emit) error {
	d.unit.Flags |= media.Key
	if lost > 0 {
		d.unit.Flags |= media.AfterLoss
	}
	if len(p.Payload) == 0 {
		return nil
	}
	d.unit.Timestamp, d.unit.Data, d.unit.Frames = p.Timestamp, p.Payload, d.frames(p.Payload)
	err := emit(&d.unit)
	d.unit = Unit{}
	return err
}

// opusFrames returns how long an Opus packet lasts at 48 kHz (RFC 6716 sections 3.1 and 3.2).
func opusFrames(b []byte) uint32 {
	config := b[0] >> 3
	var frame uint32
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [4]uint32{480, 960, 1920, 2880}[config%4]
	case config < 16: // hybrid: 10, 20 ms
		frame = [2]uint32{480, 960}[config%2]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = [4]uint32{120, 240, 480, 960}[config%4]
	}
	count := uint32(1)
	switch b[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(b) < 2 {
			return 0
		}
		count = uint32(b[1] & 0x3f)
	}
	if n := count * frame; n <= 5760 { // at most 120 ms
		return n
	}
	return 0
}

// Document assembles ONVIF metadata: an XML document may span packets and ends with the marker bit (ONVIF Streaming
// Specification section 5.2.1.1). One that a change of the timestamp ends is handed on as well, as cameras forget the bit.
type Document struct {
	unit Unit
	buf  []byte
	open bool
}

// NewDocument returns a depacketizer.
func NewDocument() *Document { return &Document{} }

// Push implements Depacketizer.
func (d *Document) Push(p *Packet, lost int, emit Emit) error {
	if d.open && lost > 0 {
		d.unit.Flags |= media.Damaged
	}
	if d.open && p.Timestamp != d.unit.Timestamp {
		if err := d.flush(emit); err != nil {
			return err
		}
	}
	if !d.open {
		d.open = true
		d.unit.Timestamp = p.Timestamp
		d.unit.Flags |= media.Key
		if lost > 0 {
			d.unit.Flags |= media.AfterLoss
		}
	}
	if len(d.buf)+len(p.Payload) > MaxUnit {
		d.unit.Flags |= media.Damaged
		return broken("ONVIF metadata", "document of more than %d bytes", MaxUnit)
	}
	d.buf = append(d.buf, p.Payload...)
	if p.Marker {
		return d.flush(emit)
	}
	return nil
}

func (d *Document) flush(emit Emit) error {
	d.open = false
	u := d.unit
	u.Data = d.buf
	d.unit, d.buf = Unit{}, d.buf[:0]
	if len(u.Data) == 0 {
		d.unit.Flags = u.Flags & media.AfterLoss
		return nil
	}
	// The copy on the stack would escape through emit; the field does not.
	keep := d.unit
	d.unit = u
	err := emit(&d.unit)
	d.unit = keep
	return err
}
