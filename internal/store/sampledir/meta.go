package sampledir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"nightjar/internal/store/recording"
)

// MetaName is the name of the meta file in its directory.
const MetaName = "meta"

// MetaSize is the size of the meta file: one sector, so that rewriting it in place replaces all or nothing on every
// disk that keeps its sectors whole.
const MetaSize = 512

// metaVersion is the newest format this program reads and the one it writes. 1: as docs/format/directory-meta.md.
const metaVersion = 1

// The field numbers of DirMeta. 1-4 are the seed's; 14 and 15 are ours, at the end of the one-byte tags, out of the way
// of whatever the seed's format may grow.
const (
	fieldDB         = 1
	fieldDir        = 2
	fieldComplete   = 3
	fieldInProgress = 4
	fieldVersion    = 14
	fieldCRC        = 15

	fieldOpenID   = 1
	fieldOpenUUID = 2
)

// Wire types of the protocol buffers encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenRef names one opening of the catalog for writing.
type OpenRef struct {
	ID   uint32
	UUID recording.UUID
}

func (o OpenRef) String() string { return fmt.Sprintf("open %d (%s)", o.ID, uuidString(o.UUID)) }

// Meta is the content of the meta file.
type Meta struct {
	Catalog      recording.UUID
	Dir          recording.UUID
	LastComplete *OpenRef // the last open known to be in the catalog as completed; nil if there was none
	InProgress   *OpenRef // the open under way, if it is another; it has written no data yet
}

// Errors of ParseMeta, told apart because the way out differs.
var (
	errMetaBlank   = errors.New("nothing but zeros: its creation was cut short")
	errMetaSize    = errors.New("wrong size")
	errMetaTorn    = errors.New("checksum or structure broken")
	errMetaForeign = errors.New("no checksum: written by another program")
	errMetaNewer   = errors.New("written by a newer version")
)

// EncodeMeta returns the 512 bytes of the meta file.
func EncodeMeta(m *Meta) []byte {
	var msg []byte
	msg = appendBytes(msg, fieldDB, m.Catalog[:])
	msg = appendBytes(msg, fieldDir, m.Dir[:])
	if m.LastComplete != nil {
		msg = appendBytes(msg, fieldComplete, encodeOpen(m.LastComplete))
	}
	if m.InProgress != nil {
		msg = appendBytes(msg, fieldInProgress, encodeOpen(m.InProgress))
	}
	msg = appendVarint(msg, fieldVersion, metaVersion)
	msg = append(msg, fieldCRC<<3|wireFixed32, 0, 0, 0, 0)
	out := binary.AppendUvarint(make([]byte, 0, MetaSize), uint64(len(msg)))
	out = append(out, msg...)
	end := len(out)
	out = out[:MetaSize] // the rest is zero: the array is fresh
	binary.LittleEndian.PutUint32(out[end-4:], crc32.Checksum(out, castagnoli))
	return out
}

// ParseMeta is the inverse of EncodeMeta. Unknown fields are passed over, as the protocol buffers encoding wants it.
func ParseMeta(data []byte) (*Meta, error) {
	if blank(data) && len(data) <= MetaSize {
		return nil, errMetaBlank
	}
	if len(data) != MetaSize {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", errMetaSize, len(data), MetaSize)
	}
	length, n := binary.Uvarint(data)
	if n <= 0 || length == 0 || length > uint64(MetaSize-n) {
		return nil, fmt.Errorf("%w: message length", errMetaTorn)
	}
	var p metaParser
	err := eachField(data[n:n+int(length)], func(f field) error { return p.field(f, n) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMetaTorn, err)
	case !p.hasCRC && p.seen&(1<<fieldDB|1<<fieldDir|1<<fieldVersion) == 1<<fieldDB|1<<fieldDir && blank(data[n+int(length):]):
		return nil, errMetaForeign
	case !p.hasCRC:
		return nil, fmt.Errorf("%w: no checksum", errMetaTorn)
	}
	sum := append([]byte(nil), data...)
	clear(sum[p.crcAt : p.crcAt+4])
	if got := crc32.Checksum(sum, castagnoli); got != p.crc {
		return nil, fmt.Errorf("%w: CRC32C is %08x, the file says %08x", errMetaTorn, got, p.crc)
	}
	switch {
	case p.version > metaVersion:
		return nil, fmt.Errorf("%w: format %d, this program knows %d", errMetaNewer, p.version, metaVersion)
	case p.seen&(1<<fieldDB|1<<fieldDir) != 1<<fieldDB|1<<fieldDir || p.version == 0:
		return nil, fmt.Errorf("%w: a field is missing", errMetaTorn)
	}
	return &p.meta, nil
}

type metaParser struct {
	meta    Meta
	seen    uint
	version uint64
	hasCRC  bool
	crc     uint32
	crcAt   int
}

func (p *metaParser) field(f field, base int) error {
	if f.number < 16 {
		p.seen |= 1 << f.number
	}
	switch f.number {
	case fieldDB:
		return parseUUID(f, &p.meta.Catalog)
	case fieldDir:
		return parseUUID(f, &p.meta.Dir)
	case fieldComplete:
		return parseOpen(f, &p.meta.LastComplete)
	case fieldInProgress:
		return parseOpen(f, &p.meta.InProgress)
	case fieldVersion:
		if f.wire != wireVarint {
			return errors.New("version of the wrong type")
		}
		p.version = f.value
	case fieldCRC:
		if f.wire != wireFixed32 {
			return errors.New("checksum of the wrong type")
		}
		p.hasCRC, p.crc, p.crcAt = true, uint32(f.value), base+f.at
	}
	return nil
}

func encodeOpen(o *OpenRef) []byte {
	return appendBytes(appendVarint(nil, fieldOpenID, uint64(o.ID)), fieldOpenUUID, o.UUID[:])
}

func parseOpen(f field, out **OpenRef) error {
	if f.wire != wireBytes {
		return errors.New("open of the wrong type")
	}
	var o OpenRef
	var has uint
	err := eachField(f.bytes, func(f field) error {
		switch {
		case f.number == fieldOpenID && f.wire == wireVarint && f.value != 0 && f.value <= 0xffffffff:
			o.ID, has = uint32(f.value), has|1
		case f.number == fieldOpenUUID:
			has |= 2
			return parseUUID(f, &o.UUID)
		case f.number == fieldOpenID:
			return errors.New("open with a bad number")
		}
		return nil
	})
	if err == nil && has != 3 {
		err = errors.New("open without number or uuid")
	}
	*out = &o
	return err
}

func parseUUID(f field, out *recording.UUID) error {
	if f.wire != wireBytes || len(f.bytes) != len(out) {
		return errors.New("uuid of the wrong size")
	}
	copy(out[:], f.bytes)
	return nil
}

// field is one field of a protocol buffers message.
type field struct {
	number int
	wire   int
	value  uint64 // wireVarint, wireFixed32, wireFixed64
	bytes  []byte // wireBytes
	at     int    // offset of the value in the message
}

func eachField(msg []byte, yield func(field) error) error {
	for pos := 0; pos < len(msg); {
		tag, n := binary.Uvarint(msg[pos:])
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errors.New("bad tag")
		}
		pos += n
		f := field{number: int(tag >> 3), wire: int(tag & 7), at: pos}
		rest := msg[pos:]
		switch f.wire {
		case wireVarint:
			if f.value, n = binary.Uvarint(rest); n <= 0 {
				return errors.New("bad varint")
			}
		case wireFixed32:
			if n = 4; len(rest) >= n {
				f.value = uint64(binary.LittleEndian.Uint32(rest))
			}
		case wireFixed64:
			if n = 8; len(rest) >= n {
				f.value = binary.LittleEndian.Uint64(rest)
			}
		case wireBytes:
			size, m := binary.Uvarint(rest)
			if m <= 0 || size > uint64(len(rest)-m) {
				return errors.New("bad length")
			}
			f.bytes, n = rest[m:m+int(size)], m+int(size)
		default:
			return errors.New("unknown wire type")
		}
		if n > len(rest) {
			return errors.New("cut short")
		}
		if err := yield(f); err != nil {
			return err
		}
		pos += n
	}
	return nil
}

func appendBytes(b []byte, number int, data []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

func appendVarint(b []byte, number int, v uint64) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|wireVarint)
	return binary.AppendUvarint(b, v)
}

func blank(data []byte) bool {
	for _, c := range data {
		if c != 0 {
			return false
		}
	}
	return true
}

func uuidString(u recording.UUID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
