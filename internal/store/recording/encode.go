package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"nightjar/internal/media"
)

// descriptionVersion is the first byte of an encoded Description. 1: the fields of docs/format/tail-log.md.
const descriptionVersion = 1

// Fields of an encoded Description, Track, SampleEntry and Clocks. Numbers are never reused.
const (
	fID = iota + 1
	fCameraUUID
	fStreamUUID
	fCameraName
	fStreamName
	fOpenID
	fOpenUUID
	fRunUUID
	fRunOffset
	fStart
	fWallDuration
	fMediaDuration
	fPrevMediaDuration
	fStartCorrection
	fFlags
	fEndReason
	fEndDetail
	fBytes
	fTrack
	fBlockSums
	fClocks
)

const (
	tKind = iota + 1
	tEntry
	tStartOffset
	tSamples
	tSyncSamples
	tChunks
	tBytes
	tDuration
	tIndex
	tExtra
	tLayout
)

const (
	eCodec = iota + 1
	eClockRate
	eData
	eRFC6381
	eWidth
	eHeight
	eAspectH
	eAspectV
	eChannels
	eBytesPerFrame
	eReorderDepth
)

const (
	cWall = iota + 1
	cSynced
	cUptime
	cPlayTime
	cSenderNTP
	cSenderTime
)

// AppendDescription appends the encoding of d that the tail log seals: a version byte, then fields, each a number, a
// length and the value; fields of zero value are left out, so every Description has exactly one encoding. Integers are
// zigzag varints. Instants of Clocks lose their time zone and monotonic reading.
func AppendDescription(b []byte, d *Description) []byte {
	e := encoder{b: append(b, descriptionVersion)}
	e.int(fID, int64(d.ID))
	e.uuid(fCameraUUID, d.CameraUUID)
	e.uuid(fStreamUUID, d.StreamUUID)
	e.bytes(fCameraName, []byte(d.CameraName))
	e.bytes(fStreamName, []byte(d.StreamName))
	e.int(fOpenID, int64(d.OpenID))
	e.uuid(fOpenUUID, d.OpenUUID)
	e.uuid(fRunUUID, d.RunUUID)
	e.int(fRunOffset, int64(d.RunOffset))
	e.int(fStart, int64(d.Start))
	e.int(fWallDuration, int64(d.WallDuration))
	e.int(fMediaDuration, int64(d.MediaDuration))
	e.int(fPrevMediaDuration, int64(d.PrevMediaDuration))
	e.int(fStartCorrection, int64(d.StartCorrection))
	e.int(fFlags, int64(d.Flags))
	e.bytes(fEndReason, []byte(d.EndReason))
	e.bytes(fEndDetail, []byte(d.EndDetail))
	e.int(fBytes, d.Bytes)
	for i := range d.Tracks {
		e.always(fTrack, appendTrack(nil, &d.Tracks[i]))
	}
	sums := make([]byte, 0, 4*len(d.BlockSums))
	for _, s := range d.BlockSums {
		sums = binary.LittleEndian.AppendUint32(sums, s)
	}
	e.bytes(fBlockSums, sums)
	if d.Clocks != nil {
		e.always(fClocks, appendClocks(nil, d.Clocks))
	}
	return e.b
}

func appendTrack(b []byte, t *Track) []byte {
	e := encoder{b: b}
	e.int(tKind, int64(t.Kind))
	e.bytes(tEntry, AppendEntry(nil, &t.Entry))
	e.int(tStartOffset, int64(t.StartOffset))
	e.int(tSamples, int64(t.Samples))
	e.int(tSyncSamples, int64(t.SyncSamples))
	e.int(tChunks, int64(t.Chunks))
	e.int(tBytes, t.Bytes)
	e.int(tDuration, t.Duration)
	e.bytes(tIndex, t.Index)
	e.bytes(tExtra, t.Extra)
	e.bytes(tLayout, t.Layout)
	return e.b
}

// AppendEntry appends the encoding of a sample entry, fields as in AppendDescription.
func AppendEntry(b []byte, s *SampleEntry) []byte {
	e := encoder{b: b}
	e.bytes(eCodec, []byte(s.Codec))
	e.int(eClockRate, int64(s.ClockRate))
	e.bytes(eData, s.Data)
	e.bytes(eRFC6381, []byte(s.RFC6381))
	e.int(eWidth, int64(s.Width))
	e.int(eHeight, int64(s.Height))
	e.int(eAspectH, int64(s.AspectH))
	e.int(eAspectV, int64(s.AspectV))
	e.int(eChannels, int64(s.Channels))
	e.int(eBytesPerFrame, int64(s.BytesPerFrame))
	e.int(eReorderDepth, int64(s.ReorderDepth))
	return e.b
}

func appendClocks(b []byte, c *media.Clocks) []byte {
	e := encoder{b: b}
	e.time(cWall, c.Wall)
	if c.Synced != nil {
		v := int64(1)
		if *c.Synced {
			v = 2
		}
		e.int(cSynced, v)
	}
	e.int(cUptime, int64(c.Uptime))
	e.time(cPlayTime, c.PlayTime)
	e.time(cSenderNTP, c.SenderNTP)
	e.int(cSenderTime, int64(c.SenderTime))
	return e.b
}

type encoder struct{ b []byte }

func (e *encoder) always(field byte, v []byte) {
	e.b = append(binary.AppendUvarint(append(e.b, field), uint64(len(v))), v...)
}

func (e *encoder) bytes(field byte, v []byte) {
	if len(v) > 0 {
		e.always(field, v)
	}
}

func (e *encoder) uuid(field byte, v UUID) {
	if v != (UUID{}) {
		e.always(field, v[:])
	}
}

func (e *encoder) int(field byte, v int64) {
	if v == 0 {
		return
	}
	var buf [binary.MaxVarintLen64]byte
	e.always(field, buf[:binary.PutVarint(buf[:], v)])
}

func (e *encoder) time(field byte, t time.Time) {
	if t.IsZero() {
		return
	}
	var buf [2 * binary.MaxVarintLen64]byte
	n := binary.PutVarint(buf[:], t.Unix())
	n += binary.PutUvarint(buf[n:], uint64(t.Nanosecond()))
	e.always(field, buf[:n])
}

// ErrDescription is wrapped by every error of ParseDescription and ParseEntry.
var ErrDescription = errors.New("not an encoded description")

// ParseDescription is the inverse of AppendDescription. It takes exactly what that function writes.
func ParseDescription(b []byte) (*Description, error) {
	if len(b) == 0 || b[0] != descriptionVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrDescription)
	}
	d := new(Description)
	p := parser{rest: b[1:], repeated: fTrack}
	for p.next() {
		parseDescriptionField(&p, d)
	}
	if p.bad {
		return nil, fmt.Errorf("%w: field %d", ErrDescription, p.field)
	}
	return d, nil
}

func parseDescriptionField(p *parser, d *Description) {
	switch p.field {
	case fID:
		d.ID = ID(p.int(math.MinInt64, math.MaxInt64))
	case fCameraUUID:
		d.CameraUUID = p.uuid()
	case fStreamUUID:
		d.StreamUUID = p.uuid()
	case fCameraName:
		d.CameraName = string(p.value)
	case fStreamName:
		d.StreamName = string(p.value)
	case fOpenID:
		d.OpenID = uint32(p.int(0, math.MaxUint32))
	case fOpenUUID:
		d.OpenUUID = p.uuid()
	case fRunUUID:
		d.RunUUID = p.uuid()
	case fRunOffset:
		d.RunOffset = uint32(p.int(0, math.MaxUint32))
	case fStart:
		d.Start = media.WallTime(p.int(math.MinInt64, math.MaxInt64))
	case fWallDuration:
		d.WallDuration = media.WallDuration(p.int(math.MinInt64, math.MaxInt64))
	case fMediaDuration:
		d.MediaDuration = media.Duration(p.int(math.MinInt64, math.MaxInt64))
	case fPrevMediaDuration:
		d.PrevMediaDuration = media.Duration(p.int(math.MinInt64, math.MaxInt64))
	case fStartCorrection:
		d.StartCorrection = media.WallDuration(p.int(math.MinInt64, math.MaxInt64))
	case fFlags:
		d.Flags = RecordingFlags(p.int(0, math.MaxUint32))
	case fEndReason:
		d.EndReason = Reason(p.value)
	case fEndDetail:
		d.EndDetail = string(p.value)
	case fBytes:
		d.Bytes = p.int(0, math.MaxInt64)
	case fTrack:
		d.Tracks = append(d.Tracks, parseTrack(p))
	case fBlockSums:
		if len(p.value)%4 != 0 {
			p.bad = true
		}
		for v := p.value; len(v) >= 4; v = v[4:] {
			d.BlockSums = append(d.BlockSums, binary.LittleEndian.Uint32(v))
		}
	case fClocks:
		d.Clocks = parseClocks(p)
	default:
		p.bad = true
	}
}

func parseTrack(outer *parser) Track {
	var t Track
	p := parser{rest: outer.value}
	for p.next() {
		switch p.field {
		case tKind:
			t.Kind = media.Kind(p.int(0, math.MaxUint8))
		case tEntry:
			entry, err := ParseEntry(p.value)
			t.Entry, p.bad = entry, p.bad || err != nil
		case tStartOffset:
			t.StartOffset = media.Duration(p.int(math.MinInt64, math.MaxInt64))
		case tSamples:
			t.Samples = int32(p.int(0, math.MaxInt32))
		case tSyncSamples:
			t.SyncSamples = int32(p.int(0, math.MaxInt32))
		case tChunks:
			t.Chunks = int32(p.int(0, math.MaxInt32))
		case tBytes:
			t.Bytes = p.int(0, math.MaxInt64)
		case tDuration:
			t.Duration = p.int(0, math.MaxInt64)
		case tIndex:
			t.Index = p.copied()
		case tExtra:
			t.Extra = p.copied()
		case tLayout:
			t.Layout = p.copied()
		default:
			p.bad = true
		}
	}
	outer.bad = outer.bad || p.bad
	return t
}

// ParseEntry is the inverse of AppendEntry.
func ParseEntry(b []byte) (SampleEntry, error) {
	var s SampleEntry
	p := parser{rest: b}
	for p.next() {
		switch p.field {
		case eCodec:
			s.Codec = media.Codec(p.value)
		case eClockRate:
			s.ClockRate = uint32(p.int(0, math.MaxUint32))
		case eData:
			s.Data = p.copied()
		case eRFC6381:
			s.RFC6381 = string(p.value)
		case eWidth:
			s.Width = uint16(p.int(0, math.MaxUint16))
		case eHeight:
			s.Height = uint16(p.int(0, math.MaxUint16))
		case eAspectH:
			s.AspectH = uint16(p.int(0, math.MaxUint16))
		case eAspectV:
			s.AspectV = uint16(p.int(0, math.MaxUint16))
		case eChannels:
			s.Channels = uint8(p.int(0, math.MaxUint8))
		case eBytesPerFrame:
			s.BytesPerFrame = uint16(p.int(0, math.MaxUint16))
		case eReorderDepth:
			s.ReorderDepth = uint8(p.int(0, math.MaxUint8))
		default:
			p.bad = true
		}
	}
	if p.bad {
		return SampleEntry{}, fmt.Errorf("%w: sample entry field %d", ErrDescription, p.field)
	}
	return s, nil
}

func parseClocks(outer *parser) *media.Clocks {
	c := new(media.Clocks)
	p := parser{rest: outer.value}
	for p.next() {
		switch p.field {
		case cWall:
			c.Wall = p.time()
		case cSynced:
			synced := p.int(1, 2) == 2
			c.Synced = &synced
		case cUptime:
			c.Uptime = time.Duration(p.int(math.MinInt64, math.MaxInt64))
		case cPlayTime:
			c.PlayTime = p.time()
		case cSenderNTP:
			c.SenderNTP = p.time()
		case cSenderTime:
			c.SenderTime = media.Time(p.int(math.MinInt64, math.MaxInt64))
		default:
			p.bad = true
		}
	}
	outer.bad = outer.bad || p.bad
	return c
}

// parser walks fields. Whatever the encoder would not have written sets bad: fields out of order, zero values, varints
// longer than needed, values out of range.
type parser struct {
	rest     []byte
	field    byte
	repeated byte // the one field that may follow itself
	value    []byte
	bad      bool
}

func (p *parser) next() bool {
	if p.bad || len(p.rest) == 0 {
		return false
	}
	field := p.rest[0]
	size, n := shortestUvarint(p.rest[1:])
	if n <= 0 || size > uint64(len(p.rest)-1-n) || field < p.field || field == p.field && field != p.repeated {
		p.bad = true
		return false
	}
	p.field, p.value = field, p.rest[1+n:][:size]
	p.rest = p.rest[1+n+int(size):]
	if size == 0 && field != p.repeated && field != fClocks {
		p.bad = true
	}
	return true
}

func (p *parser) int(low, high int64) int64 {
	u, n := shortestUvarint(p.value)
	v := int64(u>>1) ^ -int64(u&1)
	if n != len(p.value) || v == 0 || v < low || v > high {
		p.bad = true
		return 0
	}
	return v
}

func (p *parser) uuid() (id UUID) {
	if len(p.value) != len(id) || string(p.value) == string(id[:]) {
		p.bad = true
		return id
	}
	return UUID(p.value)
}

func (p *parser) copied() []byte { return append([]byte(nil), p.value...) }

func (p *parser) time() time.Time {
	u, n := shortestUvarint(p.value)
	if n <= 0 {
		p.bad = true
		return time.Time{}
	}
	nsec, m := shortestUvarint(p.value[n:])
	t := time.Unix(int64(u>>1)^-int64(u&1), int64(min(nsec, 1e9))).UTC()
	if m <= 0 || n+m != len(p.value) || nsec >= 1e9 || t.IsZero() {
		p.bad = true
	}
	return t
}

// shortestUvarint is binary.Uvarint that refuses encodings longer than needed.
func shortestUvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n > 1 && b[n-1] == 0 {
		return 0, -1
	}
	return v, n
}
