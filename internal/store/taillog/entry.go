package taillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Kinds of entries: the first byte. A byte with the top bit set is a sample: its track and flags are in the other bits.
const (
	beginEntry   = 1 + iota // the description as it is known at the begin
	trackEntry              // another track
	startEntry              // a better, or the final, start
	endEntry                // the recording is finished
	abandonEntry            // it is given up
	heldEntry               // a sample with its bytes, which are not in the sample file yet; pending frames only
	sampleEntry  = 0x80     // 1tttffff: the sample's track and flags; its bytes are the next of the sample file
)

// MaxTracks bounds the tracks of a recording: three bits of a sample entry.
const MaxTracks = 8

// End is how a recording ends.
type End struct {
	At              media.Time // decode time of what follows
	Guess           bool       // nothing is known to follow
	WallDuration    media.WallDuration
	StartCorrection media.WallDuration
	Reason          recording.Reason
	Detail          string
}

// AppendBegin appends the entry that begins a recording: all of d that is not about samples.
func AppendBegin(b []byte, d *recording.Description, startFinal bool) []byte {
	return recording.AppendDescription(append(b, beginEntry, boolByte(startFinal)), d)
}

// AppendTrack appends the entry that announces the next track.
func AppendTrack(b []byte, kind media.Kind, entry *recording.SampleEntry, usual int64) []byte {
	return recording.AppendEntry(binary.AppendVarint(append(b, trackEntry, byte(kind)), usual), entry)
}

// AppendStart appends the entry that moves a recording's start.
func AppendStart(b []byte, start media.WallTime, final bool) []byte {
	return binary.AppendVarint(append(b, startEntry, boolByte(final)), int64(start))
}

// AppendEnd appends the entry that ends a recording.
func AppendEnd(b []byte, e *End) []byte {
	b = append(b, endEntry, boolByte(e.Guess))
	b = binary.AppendVarint(b, int64(e.At))
	b = binary.AppendVarint(b, int64(e.WallDuration))
	b = binary.AppendVarint(b, int64(e.StartCorrection))
	b = append(binary.AppendUvarint(b, uint64(len(e.Reason))), e.Reason...)
	return append(b, e.Detail...)
}

// AppendAbandon appends the entry that gives a recording up.
func AppendAbandon(b []byte) []byte { return append(b, abandonEntry) }

// AppendSample appends the entry of a sample whose bytes follow those of the builder's samples in the sample file. It
// comes before the sample is added to the builder.
func AppendSample(b []byte, builder *recording.Builder, s *recording.SampleInfo) []byte {
	b = append(b, sampleEntry|byte(s.Track)<<4|byte(s.Flags)&0x0f)
	previous := media.Time(0)
	if builder.Samples(s.Track) > 0 {
		previous = builder.LastDecode(s.Track)
	}
	return appendSampleRest(b, builder.Kind(s.Track), s, previous)
}

// AppendHeld appends the entry of a sample that waits for its chunk, with its bytes.
func AppendHeld(b []byte, kind media.Kind, s *recording.SampleInfo, data []byte) []byte {
	b = append(b, heldEntry, sampleEntry|byte(s.Track)<<4|byte(s.Flags)&0x0f)
	return append(appendSampleRest(b, kind, s, 0), data...)
}

func appendSampleRest(b []byte, kind media.Kind, s *recording.SampleInfo, previous media.Time) []byte {
	b = binary.AppendUvarint(b, uint64(s.Size))
	b = binary.AppendVarint(b, int64(s.Decode-previous))
	switch kind {
	case media.Video:
		return binary.AppendVarint(b, int64(s.Composition))
	case media.Audio:
		return binary.AppendUvarint(b, uint64(s.Frames))
	}
	return b
}

// ErrEntry is wrapped by the errors about entries that make no sense.
var ErrEntry = errors.New("bad entry")

// parseSample reads the sample of a sample entry or of a held one (then previous is 0). rest is what follows it.
func parseSample(b []byte, builder *recording.Builder, held bool) (s recording.SampleInfo, rest []byte, err error) {
	if len(b) == 0 || b[0]&sampleEntry == 0 {
		return s, nil, fmt.Errorf("%w: not a sample", ErrEntry)
	}
	s.Track, s.Flags = int(b[0]>>4&7), media.Flags(b[0]&0x0f)
	if s.Track >= builder.Tracks() {
		return s, nil, fmt.Errorf("%w: no track %d", ErrEntry, s.Track)
	}
	r := reader{rest: b[1:]}
	size := r.uvarint()
	delta := r.varint()
	switch builder.Kind(s.Track) {
	case media.Video:
		s.Composition = media.Duration(r.varint())
	case media.Audio:
		frames := r.uvarint()
		s.Frames = uint32(frames)
		r.bad = r.bad || frames > math.MaxUint32
	}
	if r.bad || size > math.MaxInt32 {
		return s, nil, fmt.Errorf("%w: sample", ErrEntry)
	}
	s.Size, s.Decode = int32(size), media.Time(delta)
	if !held && builder.Samples(s.Track) > 0 {
		s.Decode += builder.LastDecode(s.Track)
	}
	return s, r.rest, nil
}

func parseEnd(b []byte) (*End, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: end", ErrEntry)
	}
	e := &End{Guess: b[0] != 0}
	r := reader{rest: b[1:]}
	e.At = media.Time(r.varint())
	e.WallDuration = media.WallDuration(r.varint())
	e.StartCorrection = media.WallDuration(r.varint())
	e.Reason = recording.Reason(r.take(r.uvarint()))
	e.Detail = string(r.rest)
	if r.bad || b[0] > 1 {
		return nil, fmt.Errorf("%w: end", ErrEntry)
	}
	return e, nil
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// reader takes varints off a slice and remembers failure.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
