// Package taillog keeps, for one sample file directory, the append-only record of how far the sample files being written
// are good and what finished recordings contain; and the open blocks, the memory that survives a killed process.
//
// Nouns: a segment is one file of the log; a record is one framed, checksummed unit in it; a batch is what one Append
// makes durable. An entry is one step in the life of a recording (begin, track, sample, start, end, abandon). Entries
// get to disk within progress records of batches; until then they are pending frames in open blocks, beside the bytes
// they speak of. Replaying a recording's entries gives a Recording, whatever they were read from. A seal is the
// whole recording.Description of a finished recording; a removal says that a recording is deleted or was given up.
//
// Invariants: what a progress record or seal claims was durable in the sample file before the record was written. Each
// segment begins by carrying over all that is still needed of those before it, so a replay reads one segment. A failed
// write or sync ends the log for good: the caller starts a new segment. A damaged record costs itself only.
//
// Log's methods are for one goroutine. Blocks may be used by many; Pending is its owner's. Formats:
// docs/format/tail-log.md and docs/format/open-block.md.
package taillog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"nightjar/internal/store/recording"
)

// Identity says who writes.
type Identity struct {
	Directory recording.UUID
	Boot      recording.UUID // of the machine; tells a killed process from a power cut
	Open      recording.UUID
	OpenID    uint32
}

const (
	segmentVersion = 1
	headerSize     = 128
	frameSize      = 24
	recordAlign    = 8

	// maxRecord is more than a record can reasonably hold: all entries of a recording, or all its indexes.
	maxRecord = 64 << 20
)

var (
	segmentMagic = [16]byte{'n', 'i', 'g', 'h', 't', 'j', 'a', 'r', ' ', 't', 'a', 'i', 'l', ' ', 'l', 'o'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

const recordMagic = 0x524c544e // "NTLR"

// recordType says what a record holds.
type recordType uint8

const (
	progressRecord recordType = 1 + iota // how far one recording is good
	sealRecord                           // the description of a finished recording
	removedRecord                        // ids that are deleted or given up
	carriedRecord                        // the carry-over at the head of the segment is complete
)

// SegmentHeader is the head of a segment.
type SegmentHeader struct {
	Number   uint32
	Identity Identity
	Sequence uint64 // of the first record
	Created  int64  // seconds since 1970, by the server's clock; for people
	salt     uint32 // random; seeds all checksums, so that remains of another segment never pass
}

func (h *SegmentHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic[:])
	le := binary.LittleEndian
	le.PutUint32(b[16:], segmentVersion)
	le.PutUint32(b[20:], h.Number)
	copy(b[24:], h.Identity.Directory[:])
	copy(b[40:], h.Identity.Boot[:])
	copy(b[56:], h.Identity.Open[:])
	le.PutUint32(b[72:], h.Identity.OpenID)
	le.PutUint32(b[76:], h.salt)
	le.PutUint64(b[80:], h.Sequence)
	le.PutUint64(b[88:], uint64(h.Created))
	le.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

var errSegmentHeader = errors.New("bad segment header")

func parseSegmentHeader(b []byte) (h SegmentHeader, err error) {
	le := binary.LittleEndian
	if len(b) < headerSize || [16]byte(b) != segmentMagic || crc32.Checksum(b[:headerSize-4], castagnoli) != le.Uint32(b[headerSize-4:]) {
		return h, errSegmentHeader
	}
	if v := le.Uint32(b[16:]); v != segmentVersion {
		return h, fmt.Errorf("segment of version %d, this program knows %d: use the version that wrote it, or a later one", v, segmentVersion)
	}
	h.Number = le.Uint32(b[20:])
	h.Identity = Identity{
		Directory: recording.UUID(b[24:40]), Boot: recording.UUID(b[40:56]), Open: recording.UUID(b[56:72]), OpenID: le.Uint32(b[72:]),
	}
	h.salt = le.Uint32(b[76:])
	h.Sequence, h.Created = le.Uint64(b[80:]), int64(le.Uint64(b[88:]))
	return h, nil
}

func newSalt() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return binary.LittleEndian.Uint32(b[:])
}

const segmentPrefix = "tail-"

// SegmentName returns the name of a segment's file.
func SegmentName(number uint32) string { return fmt.Sprintf("%s%08x", segmentPrefix, number) }

// ParseSegmentName is the inverse of SegmentName.
func ParseSegmentName(name string) (number uint32, ok bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, 16, 32)
	return uint32(v), err == nil && SegmentName(uint32(v)) == name
}

// appendRecord appends a framed record: magic, payload length, sequence, type, checksum, payload, padding.
func appendRecord(b []byte, salt uint32, sequence uint64, typ recordType, payload func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameSize)...)
	b = payload(b)
	frame, body := b[start:start+frameSize], b[start+frameSize:]
	le := binary.LittleEndian
	le.PutUint32(frame, recordMagic)
	le.PutUint32(frame[4:], uint32(len(body)))
	le.PutUint64(frame[8:], sequence)
	frame[16] = byte(typ)
	le.PutUint32(frame[20:], recordSum(salt, frame, body))
	for len(b)%recordAlign != 0 {
		b = append(b, 0)
	}
	return b
}

func recordSum(salt uint32, frame, body []byte) uint32 {
	var seed [4]byte
	binary.LittleEndian.PutUint32(seed[:], salt)
	sum := crc32.Update(crc32.Update(0, castagnoli, seed[:]), castagnoli, frame[:20])
	return crc32.Update(sum, castagnoli, body)
}

// DamageError says where a segment holds something that is neither a record nor a torn end.
type DamageError struct {
	Segment string
	Offset  int64
	Size    int64 // bytes that could not be read as records
	Problem string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("tail log segment %s: %d bytes at offset %d: %s", e.Segment, e.Size, e.Offset, e.Problem)
}

// record is one record as the scanner found it.
type record struct {
	typ      recordType
	sequence uint64
	offset   int64 // of the frame in the segment
	payload  []byte
}

// scanner walks the records of a segment. A record that is not valid ends the walk, unless a valid one of higher
// sequence follows somewhere: then what lies between is damage, as a crash leaves nothing valid behind a torn record.
type scanner struct {
	r        io.ReaderAt
	size     int64
	header   SegmentHeader
	name     string
	pos      int64 // where the next record begins
	next     uint64
	buf      []byte // bytes of the segment from bufStart on
	bufStart int64
	damage   []*DamageError
}

const scanWindow = 256 << 10

func newScanner(r io.ReaderAt, size int64, name string) (*scanner, error) {
	s := &scanner{r: r, size: size, name: name}
	b, err := s.bytes(0, headerSize)
	if err != nil {
		return nil, err
	}
	if s.header, err = parseSegmentHeader(b); err != nil {
		return nil, err
	}
	s.pos, s.next = headerSize, s.header.Sequence
	return s, nil
}

// bytes returns up to n bytes at an offset, fewer at the end of the segment; valid until the next call.
func (s *scanner) bytes(offset int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-offset))
	if n <= 0 {
		return nil, nil
	}
	if offset < s.bufStart || offset+int64(n) > s.bufStart+int64(len(s.buf)) {
		want := int(min(int64(max(n, scanWindow)), s.size-offset))
		if cap(s.buf) < want {
			s.buf = make([]byte, want)
		}
		s.buf = s.buf[:want]
		got, err := s.r.ReadAt(s.buf, offset)
		if err != nil && !(errors.Is(err, io.EOF) && got == want) {
			s.buf = s.buf[:0]
			return nil, fmt.Errorf("read tail log segment %s at %d: %w", s.name, offset, err)
		}
		s.bufStart = offset
	}
	return s.buf[offset-s.bufStart:][:n], nil
}

// scan returns the next valid record; ok is false at the end. The payload is valid until the next call.
func (s *scanner) scan() (rec record, ok bool, err error) {
	start := s.pos
	for at := s.pos; at+frameSize <= s.size; at += recordAlign {
		rec, ok, err = s.at(at)
		if err != nil || !ok {
			if err != nil {
				return record{}, false, err
			}
			continue
		}
		if at != start {
			s.damage = append(s.damage, &DamageError{Segment: s.name, Offset: start, Size: at - start, Problem: "no valid record"})
		} else if rec.sequence != s.next {
			s.damage = append(s.damage, &DamageError{Segment: s.name, Offset: start, Problem: fmt.Sprintf("records %d to %d are missing", s.next, rec.sequence-1)})
		}
		s.next = rec.sequence + 1
		return rec, true, nil
	}
	return record{}, false, nil
}

// at reads the record at an offset, if there is a valid one, and moves behind it.
func (s *scanner) at(offset int64) (record, bool, error) {
	frame, err := s.bytes(offset, frameSize)
	if err != nil || len(frame) < frameSize {
		return record{}, false, err
	}
	le := binary.LittleEndian
	length := le.Uint32(frame[4:])
	if le.Uint32(frame) != recordMagic || length > maxRecord || int64(length) > s.size-offset-frameSize || le.Uint64(frame[8:]) < s.next {
		return record{}, false, nil
	}
	whole, err := s.bytes(offset, frameSize+int(length))
	if err != nil {
		return record{}, false, err
	}
	if recordSum(s.header.salt, whole[:frameSize], whole[frameSize:]) != le.Uint32(whole[20:]) {
		return record{}, false, nil
	}
	end := offset + frameSize + int64(length)
	s.pos = (end + recordAlign - 1) / recordAlign * recordAlign
	return record{typ: recordType(whole[16]), sequence: le.Uint64(whole[8:]), offset: offset, payload: whole[frameSize:]}, true, nil
}
