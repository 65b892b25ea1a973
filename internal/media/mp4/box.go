package mp4

import (
	"encoding/binary"
	"fmt"
	"math"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
)

// part is a piece of a box: bytes, or a table of known size.
type part struct {
	literal []byte
	label   string
	table   virtual.Generator
	size    int64 // of the table
}

func (p *part) length() int64 {
	if p.table != nil {
		return p.size
	}
	return int64(len(p.literal))
}

func length(parts []part) (n int64) {
	for i := range parts {
		n += parts[i].length()
	}
	return n
}

// box puts a header (section 4.2) before the parts. Boxes longer than 32 bits do not occur: Track.validate bounds them.
func box(name string, parts ...part) []part {
	header := binary.BigEndian.AppendUint32(nil, uint32(8+length(parts)))
	header = append(header, name...)
	return append([]part{{literal: header, label: name}}, parts...)
}

// full is a box with version and flags.
func full(name string, version byte, flags uint32, payload []byte) []part {
	b := binary.BigEndian.AppendUint32(nil, uint32(version)<<24|flags)
	return box(name, part{literal: append(b, payload...)})
}

// join is the concatenation of boxes, for the inside of another.
func join(boxes ...[]part) (all []part) {
	for _, b := range boxes {
		all = append(all, b...)
	}
	return all
}

// emit adds parts to a file, neighbouring literals as one slice.
func emit(b *virtual.Builder, parts []part) {
	var literal []byte
	label := ""
	flush := func() {
		b.Literal(label, literal)
		literal, label = nil, ""
	}
	for i := range parts {
		p := &parts[i]
		if p.table != nil {
			flush()
			b.Generated(p.size, p.table)
			continue
		}
		literal = append(literal, p.literal...)
		if p.label != "" && label != "" {
			label += " "
		}
		label += p.label
	}
	flush()
}

// flatten returns the bytes of parts that hold no tables.
func flatten(parts []part) (b []byte) {
	for i := range parts {
		b = append(b, parts[i].literal...)
	}
	return b
}

// epoch is 1904-01-01T00:00:00Z, where the times of these headers count from, in seconds before 1970.
const epoch = 2_082_844_800

func seconds1904(t media.WallTime) uint64 { return uint64(t.Time().Unix() + epoch) }

// unity is the transformation matrix that changes nothing (section 6.2.2).
var unity = [9]uint32{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000}

func appendMatrix(b []byte) []byte {
	for _, v := range unity {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func fileType(major string, minor uint32, brands ...string) []part {
	b := binary.BigEndian.AppendUint32([]byte(major), minor)
	for _, brand := range brands {
		b = append(b, brand...)
	}
	return box("ftyp", part{literal: b})
}

// movieHeader is mvhd, section 8.2.2.
func (m *Movie) movieHeader(duration media.Duration) []part {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, seconds1904(m.Created))
	b = binary.BigEndian.AppendUint64(b, seconds1904(m.Created))
	b = binary.BigEndian.AppendUint32(b, media.TicksPerSecond)
	b = binary.BigEndian.AppendUint64(b, uint64(duration))
	b = binary.BigEndian.AppendUint32(b, 0x10000) // rate 1
	b = binary.BigEndian.AppendUint16(b, 0x100)   // volume 1
	b = append(b, make([]byte, 2+8)...)
	b = appendMatrix(b)
	b = append(b, make([]byte, 6*4)...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Tracks)+1)) // next track
	return full("mvhd", 1, 0, b)
}

// trackHeader is tkhd, section 8.3.2.
func (t *Track) trackHeader(created media.WallTime, id uint32, duration media.Duration) []part {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, seconds1904(created))
	b = binary.BigEndian.AppendUint64(b, seconds1904(created))
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, make([]byte, 4)...)
	b = binary.BigEndian.AppendUint64(b, uint64(duration))
	b = append(b, make([]byte, 8+2+2)...) // reserved, layer, alternate group
	volume := uint16(0)
	if t.Kind == media.Audio {
		volume = 0x100
	}
	b = binary.BigEndian.AppendUint16(b, volume)
	b = append(b, make([]byte, 2)...)
	b = appendMatrix(b)
	width, height := t.display()
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return full("tkhd", 1, 3, b) // enabled, in the movie
}

// display returns the size at which pictures are shown, as 16.16 fixed point numbers: anamorphic ones are widened.
func (t *Track) display() (width, height uint32) {
	width, height = uint32(t.Width)<<16, uint32(t.Height)<<16
	if t.AspectH != 0 && t.AspectV != 0 {
		width = uint32(min(uint64(width)*uint64(t.AspectH)/uint64(t.AspectV), math.MaxUint32))
	}
	return width, height
}

// edits is edts with elst version 1, sections 8.6.5 and 8.6.6.
func edits(list []Edit) []part {
	if len(list) == 0 {
		return nil
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(list)))
	for _, e := range list {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Duration))
		b = binary.BigEndian.AppendUint64(b, uint64(e.MediaTime))
		b = binary.BigEndian.AppendUint32(b, 0x10000) // rate 1
	}
	return box("edts", full("elst", 1, 0, b)...)
}

// mediaHeader is mdhd, section 8.4.2.
func (t *Track) mediaHeader(created media.WallTime, duration int64) []part {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, seconds1904(created))
	b = binary.BigEndian.AppendUint64(b, seconds1904(created))
	b = binary.BigEndian.AppendUint32(b, t.Timescale)
	b = binary.BigEndian.AppendUint64(b, uint64(duration))
	b = binary.BigEndian.AppendUint16(b, 0x55c4) // language und
	b = append(b, 0, 0)
	return full("mdhd", 1, 0, b)
}

// handler is hdlr (section 8.4.3), mediaInformation the header of minf that goes with it (section 12) and dinf.
func (t *Track) handler() []part {
	kind, name := "vide", "Video"
	switch t.Kind {
	case media.Audio:
		kind, name = "soun", "Audio"
	case media.Metadata:
		kind, name = "meta", "Metadata"
	}
	b := append(make([]byte, 4), kind...)
	b = append(b, make([]byte, 12)...)
	b = append(b, name...)
	return full("hdlr", 0, 0, append(b, 0))
}

func (t *Track) mediaInformation() []part {
	var header []part
	switch t.Kind {
	case media.Audio:
		header = full("smhd", 0, 0, make([]byte, 4))
	case media.Metadata:
		header = full("nmhd", 0, 0, nil)
	default:
		header = full("vmhd", 0, 1, make([]byte, 8))
	}
	self := full("url ", 0, 1, nil)                      // flag 1: the data is in this file
	one := part{literal: []byte{0, 0, 0, 0, 0, 0, 0, 1}} // version, flags, number of entries
	return join(header, box("dinf", box("dref", append([]part{one}, self...)...)...))
}

// sampleDescriptions is stsd, section 8.5.2.
func (t *Track) sampleDescriptions() []part {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(t.Entries)))
	for _, e := range t.Entries {
		b = append(b, e...)
	}
	return full("stsd", 0, 0, b)
}

// checkEntry reports whether b is one whole box.
func checkEntry(b []byte) error {
	if len(b) < 16 || uint64(binary.BigEndian.Uint32(b)) != uint64(len(b)) {
		return fmt.Errorf("sample entry of %d bytes is not one box", len(b))
	}
	return nil
}
