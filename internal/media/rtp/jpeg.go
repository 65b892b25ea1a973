package rtp

import (
	"encoding/binary"

	"nightjar/internal/media"
)

// JPEG assembles pictures (RFC 2435) and writes the headers that the payload format leaves out (ITU-T T.81 annex B).
type JPEG struct {
	// Width and Height are used where a packet says 0, which stands for more than 2,040 (from the SDP); 0 if unknown.
	Width, Height uint16

	unit Unit
	buf  []byte
	ts   uint32
	open bool
	head int  // bytes of buf before the first byte of the scan
	skip bool // the rest of the picture is of no use
	loss bool

	q      uint8 // the Q value that the stored tables belong to
	tables []byte
}

// NewJPEG returns a depacketizer.
func NewJPEG() *JPEG { return &JPEG{} }

// jpegHeader is the main and restart header (RFC 2435 sections 3.1.1 to 3.1.7).
type jpegHeader struct {
	offset        int
	kind          uint8
	q             uint8
	width, height uint16
	restart       uint16
	tables        []byte
	scan          []byte
}

// Push implements Depacketizer.
func (d *JPEG) Push(p *Packet, lost int, emit Emit) error {
	if d.open && (lost > 0 || p.Timestamp != d.ts) {
		// A picture without its end can't be told from one that ends early: it is given up, and the next one says so.
		d.open, d.loss = false, true
		d.skip = p.Timestamp == d.ts
	} else if lost > 0 {
		d.loss = true
	}
	if p.Timestamp != d.ts {
		d.skip = false
	}
	d.ts = p.Timestamp
	if d.skip {
		return nil
	}
	err := d.packet(p, emit)
	if _, is := err.(*PacketError); is {
		d.open, d.loss, d.skip = false, true, !p.Marker
	}
	return err
}

func (d *JPEG) packet(p *Packet, emit Emit) error {
	h, err := parseJPEG(p.Payload)
	if err != nil {
		return err
	}
	if !d.open {
		if h.offset != 0 {
			return broken("JPEG packet", "the beginning of the picture is not there")
		}
		if err := d.start(&h); err != nil {
			return err
		}
	} else if h.offset != len(d.buf)-d.head {
		return broken("JPEG packet", "offset %d, expected %d", h.offset, len(d.buf)-d.head)
	}
	if len(d.buf)+len(h.scan) > MaxUnit {
		return broken("JPEG packet", "picture of more than %d bytes", MaxUnit)
	}
	d.buf = append(d.buf, h.scan...)
	if !p.Marker {
		return nil
	}
	d.open = false
	if n := len(d.buf); d.buf[n-2] != 0xff || d.buf[n-1] != 0xd9 {
		d.buf = append(d.buf, 0xff, 0xd9) // EOI
	}
	d.unit.Timestamp, d.unit.Data, d.unit.Flags = p.Timestamp, d.buf, media.Key
	if d.loss {
		d.unit.Flags |= media.AfterLoss
		d.loss = false
	}
	return emit(&d.unit)
}

func parseJPEG(b []byte) (jpegHeader, error) {
	if len(b) < 8 {
		return jpegHeader{}, broken("JPEG packet", "%d bytes", len(b))
	}
	h := jpegHeader{
		offset: int(binary.BigEndian.Uint32(b) & 0xffffff),
		kind:   b[4],
		q:      b[5],
		width:  uint16(b[6]) * 8,
		height: uint16(b[7]) * 8,
	}
	b = b[8:]
	if h.kind >= 64 && h.kind <= 127 {
		if len(b) < 4 {
			return h, broken("JPEG packet", "cut restart header")
		}
		h.restart = binary.BigEndian.Uint16(b)
		b = b[4:]
	}
	if h.q >= 128 && h.offset == 0 {
		if len(b) < 4 {
			return h, broken("JPEG packet", "cut quantization header")
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return h, broken("JPEG packet", "tables of %d bytes in %d", n, len(b)-4)
		}
		if b[1] != 0 {
			return h, &UnsupportedError{"JPEG quantization tables of 16 bits (RFC 2435 section 3.1.8)"}
		}
		h.tables = b[4 : 4+n]
		b = b[4+n:]
	}
	h.scan = b
	return h, nil
}

// start writes everything up to the scan.
func (d *JPEG) start(h *jpegHeader) error {
	if h.kind&0x3f > 1 || h.kind > 127 {
		return &UnsupportedError{"JPEG type other than 0, 1, 64 and 65 (RFC 2435 section 4.1)"}
	}
	if err := d.quantization(h); err != nil {
		return err
	}
	width, height := h.width, h.height
	if width == 0 {
		width = d.Width
	}
	if height == 0 {
		height = d.Height
	}
	if width == 0 || height == 0 {
		return broken("JPEG packet", "picture of unknown size (wider or higher than 2,040)")
	}
	d.unit.Width, d.unit.Height = width, height
	b := append(d.buf[:0], 0xff, 0xd8) // SOI
	half := len(d.tables) / 2
	if half < 64 {
		half = len(d.tables)
	}
	b = appendJPEGTable(b, 0, d.tables[:half])
	second := uint8(0) // selector of the chrominance table
	if half < len(d.tables) {
		second = 1
		b = appendJPEGTable(b, 1, d.tables[half:])
	}
	if h.restart != 0 {
		b = append(b, 0xff, 0xdd, 0, 4, byte(h.restart>>8), byte(h.restart))
	}
	sampling := byte(0x21) // type 0: 4:2:2
	if h.kind&1 != 0 {
		sampling = 0x22 // type 1: 4:2:0
	}
	b = append(b, 0xff, 0xc0, 0, 17, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 3,
		1, sampling, 0, 2, 0x11, second, 3, 0x11, second)
	for i, table := range jpegHuffman {
		b = append(b, 0xff, 0xc4, 0, byte(19+len(table.symbols)), jpegHuffmanClass[i])
		b = append(b, table.counts[:]...)
		b = append(b, table.symbols...)
	}
	b = append(b, 0xff, 0xda, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0)
	d.buf, d.head, d.open = b, len(b), true
	return nil
}

func appendJPEGTable(b []byte, id byte, table []byte) []byte {
	b = append(b, 0xff, 0xdb, 0, 67, id)
	return append(b, table[:64]...)
}

// quantization finds the tables for a picture: computed for Q 1 to 99, in band or remembered for 128 to 254, in band
// for 255 (RFC 2435 sections 3.1.8 and 4.2).
func (d *JPEG) quantization(h *jpegHeader) error {
	switch {
	case h.q >= 128 && len(h.tables) > 0:
		if len(h.tables) < 64 || len(h.tables)%64 != 0 {
			return broken("JPEG packet", "quantization tables of %d bytes", len(h.tables))
		}
		d.tables = append(d.tables[:0], h.tables[:min(len(h.tables), 128)]...)
		d.q = h.q
	case h.q >= 128:
		if d.q != h.q || h.q == 255 || len(d.tables) == 0 {
			return broken("JPEG packet", "quantization tables for Q %d never came", h.q)
		}
	case h.q == 0 || h.q >= 100:
		return broken("JPEG packet", "Q %d is reserved", h.q)
	case d.q != h.q:
		factor := 200 - 2*int(h.q)
		if h.q < 50 {
			factor = 5000 / int(h.q)
		}
		d.tables = d.tables[:0]
		for _, base := range [2]*[64]byte{&jpegLuma, &jpegChroma} {
			for _, v := range base {
				d.tables = append(d.tables, byte(min(max((int(v)*factor+50)/100, 1), 255)))
			}
		}
		d.q = h.q
	}
	return nil
}
