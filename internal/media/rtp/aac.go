package rtp

import (
	"encoding/binary"

	"nightjar/internal/media"
)

// AACParams are the parameters of RFC 3640 section 4.1 that say how access units lie in packets. With all zero, a packet
// carries one unit, or a fragment of one, without header.
type AACParams struct {
	SizeLength          int
	IndexLength         int
	IndexDeltaLength    int
	CTSDeltaLength      int
	DTSDeltaLength      int
	RandomAccess        bool
	StreamStateLength   int
	AuxiliaryDataLength int // auxiliaryDataSizeLength
	ConstantSize        int
	FramesPerUnit       uint32 // in units of the RTP clock; 0 is 1024
}

// AAC takes access units out of packets of mode generic, AAC-lbr and AAC-hbr (RFC 3640).
type AAC struct {
	p    AACParams
	unit Unit

	frag     []byte // fragments of a unit that spans packets
	fragSize int    // how long it will be; 0 when there is none
	loss     bool   // to be flagged on the next unit
}

// NewAAC returns a depacketizer.
func NewAAC(p AACParams) (*AAC, error) {
	for _, n := range []int{
		p.SizeLength, p.IndexLength, p.IndexDeltaLength, p.CTSDeltaLength, p.DTSDeltaLength, p.StreamStateLength, p.AuxiliaryDataLength,
	} {
		if n < 0 || n > 32 {
			return nil, broken("AAC parameters", "length of %d bits", n)
		}
	}
	if p.ConstantSize < 0 || p.ConstantSize > 1<<16 {
		return nil, broken("AAC parameters", "constantSize %d", p.ConstantSize)
	}
	if p.FramesPerUnit == 0 {
		p.FramesPerUnit = 1024
	}
	return &AAC{p: p}, nil
}

func (d *AAC) hasHeader() bool {
	p := &d.p
	return p.SizeLength+p.IndexLength+p.IndexDeltaLength+p.CTSDeltaLength+p.DTSDeltaLength+p.StreamStateLength > 0 || p.RandomAccess
}

// Push implements Depacketizer.
func (d *AAC) Push(p *Packet, lost int, emit Emit) error {
	if lost > 0 {
		d.dropFragment()
		d.loss = true
	}
	err := d.packet(p, emit)
	if _, is := err.(*PacketError); is {
		d.dropFragment()
		d.loss = true
	}
	return err
}

func (d *AAC) dropFragment() {
	if d.fragSize != 0 {
		d.loss = true
	}
	d.frag, d.fragSize = d.frag[:0], 0
}

func (d *AAC) packet(p *Packet, emit Emit) error {
	b := p.Payload
	if len(b) == 0 {
		return nil
	}
	var headers bitReader
	if d.hasHeader() {
		if len(b) < 2 {
			return broken("AAC packet", "%d bytes", len(b))
		}
		bits := int(binary.BigEndian.Uint16(b))
		n := (bits + 7) / 8
		if n > len(b)-2 {
			return broken("AAC packet", "headers of %d bits in %d bytes", bits, len(b)-2)
		}
		headers = bitReader{b: b[2 : 2+n], bits: bits}
		b = b[2+n:]
	}
	if n := d.p.AuxiliaryDataLength; n > 0 {
		aux := bitReader{b: b, bits: 8 * len(b)}
		size, ok := aux.read(n)
		skip := (n + int(size) + 7) / 8
		if !ok || skip > len(b) {
			return broken("AAC packet", "cut auxiliary section")
		}
		b = b[skip:]
	}
	if !d.hasHeader() {
		return d.bare(p, b, emit)
	}
	return d.units(p, &headers, b, emit)
}

// bare handles packets without headers: units of constant size, or one unit whose end the marker bit tells.
func (d *AAC) bare(p *Packet, b []byte, emit Emit) error {
	if n := d.p.ConstantSize; n > 0 {
		ts := p.Timestamp
		for ; len(b) >= n; b = b[n:] {
			if err := d.emit(ts, b[:n], emit); err != nil {
				return err
			}
			ts += d.p.FramesPerUnit
		}
		if len(b) > 0 {
			return broken("AAC packet", "%d bytes behind units of %d", len(b), n)
		}
		return nil
	}
	return d.fragment(p, b, 0, emit)
}

func (d *AAC) units(p *Packet, headers *bitReader, b []byte, emit Emit) error {
	ts := p.Timestamp
	for i := 0; headers.bits > 0; i++ {
		size, err := d.header(headers, i)
		if err != nil {
			return err
		}
		if size > len(b) {
			if i == 0 && headers.bits <= 0 {
				return d.fragment(p, b, size, emit)
			}
			return broken("AAC packet", "unit of %d bytes in %d", size, len(b))
		}
		if d.fragSize != 0 {
			if i == 0 && headers.bits <= 0 && size == d.fragSize {
				return d.fragment(p, b, size, emit) // some senders repeat the whole size in a last short part
			}
			d.dropFragment()
		}
		if err := d.emit(ts, b[:size], emit); err != nil {
			return err
		}
		b = b[size:]
		ts += d.p.FramesPerUnit
	}
	return nil
}

// header reads one AU-header (RFC 3640 section 3.2.1.1).
func (d *AAC) header(r *bitReader, i int) (size int, err error) {
	v, ok := r.read(d.p.SizeLength)
	size = int(v)
	if d.p.SizeLength == 0 {
		size = d.p.ConstantSize
	}
	if i == 0 {
		_, ok2 := r.read(d.p.IndexLength)
		ok = ok && ok2
	} else {
		delta, ok2 := r.read(d.p.IndexDeltaLength)
		ok = ok && ok2
		if ok && delta != 0 {
			return 0, &UnsupportedError{"interleaved AAC (RFC 3640 section 3.2.3.2)"}
		}
	}
	for _, n := range [2]int{d.p.CTSDeltaLength, d.p.DTSDeltaLength} {
		if n == 0 {
			continue
		}
		if flag, _ := r.read(1); flag == 1 {
			_, ok2 := r.read(n)
			ok = ok && ok2
		}
	}
	if d.p.RandomAccess {
		r.read(1)
	}
	_, ok2 := r.read(d.p.StreamStateLength)
	if !ok || !ok2 || size <= 0 {
		return 0, broken("AAC packet", "header %d cut or without size", i+1)
	}
	return size, nil
}

// fragment adds part of a unit of size bytes (0: until the marker bit) that spans packets.
func (d *AAC) fragment(p *Packet, b []byte, size int, emit Emit) error {
	if d.fragSize != 0 && d.unit.Timestamp != p.Timestamp {
		d.dropFragment()
	}
	if size == 0 && p.Marker && len(d.frag) == 0 {
		return d.emit(p.Timestamp, b, emit)
	}
	if len(d.frag)+len(b) > 1<<16 {
		return broken("AAC packet", "unit of more than %d bytes", 1<<16)
	}
	d.unit.Timestamp = p.Timestamp
	d.fragSize = size
	if size == 0 {
		d.fragSize = -1
	}
	d.frag = append(d.frag, b...)
	switch {
	case size > 0 && len(d.frag) > size:
		return broken("AAC packet", "fragments of %d bytes for a unit of %d", len(d.frag), size)
	case size > 0 && len(d.frag) < size, size == 0 && !p.Marker:
		return nil
	}
	d.fragSize = 0
	err := d.emit(p.Timestamp, d.frag, emit)
	d.frag = d.frag[:0]
	return err
}

func (d *AAC) emit(ts uint32, b []byte, emit Emit) error {
	d.unit = Unit{Timestamp: ts, Flags: media.Key, Frames: d.p.FramesPerUnit, Data: b}
	if d.loss {
		d.unit.Flags |= media.AfterLoss
		d.loss = false
	}
	return emit(&d.unit)
}

// bitReader reads bits from the most significant on.
type bitReader struct {
	b    []byte
	at   int
	bits int // that are left
}

func (r *bitReader) read(n int) (uint32, bool) {
	if n > r.bits {
		r.bits = 0
		return 0, false
	}
	r.bits -= n
	v := uint32(0)
	for range n {
		v = v<<1 | uint32(r.b[r.at/8]>>(7-r.at%8)&1)
		r.at++
	}
	return v, true
}
