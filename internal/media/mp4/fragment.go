package mp4

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/media/virtual"
)

// Init returns the initialisation segment for fragments of the movie's tracks: ftyp and moov without samples (section
// 8.8). Segments and Edits are not looked at.
func (m *Movie) Init() ([]byte, error) {
	inside := m.movieHeader(0)
	var extends []part
	for i := range m.Tracks {
		t := &m.Tracks[i]
		for _, e := range t.Entries {
			if err := checkEntry(e); err != nil {
				return nil, fmt.Errorf("make initialisation segment: track %d: %w", i+1, err)
			}
		}
		tables := join(t.sampleDescriptions(), full("stts", 0, 0, u32(0)), full("stsc", 0, 0, u32(0)),
			full("stsz", 0, 0, make([]byte, 8)), full("co64", 0, 0, u32(0)))
		information := join(t.mediaInformation(), box("stbl", tables...))
		mdia := join(t.mediaHeader(m.Created, 0), t.handler(), box("minf", information...))
		inside = append(inside, box("trak", join(t.trackHeader(m.Created, uint32(i+1), 0), box("mdia", mdia...))...)...)
		trex := append(u32(int64(i+1)), u32(1)...) // the first sample entry, no other defaults
		extends = append(extends, full("trex", 0, 0, append(trex, make([]byte, 12)...))...)
	}
	inside = append(inside, box("mvex", extends...)...)
	// Safari wants iso5 among the compatible brands; signed composition offsets need iso6.
	return flatten(join(fileType("iso6", 0, "iso5", "iso6", "mp41"), box("moov", inside...))), nil
}

// Flags of a sample in a track run (section 8.8.3.1).
const (
	keyFlags   = 2 << 24           // depends on no other
	otherFlags = 1<<24 | 1<<16     // depends on others, no sync sample
	runFlags   = 0x1 | 0x100       // data offset, durations
	runPerItem = 0x200 | 0x400     // sizes, flags
	runOffsets = 0x800             // composition offsets
	maxData    = math.MaxInt32 / 2 // data offsets are signed 32-bit numbers counted from moof
)

// Fragment lays out a media segment: one moof and its mdat, sizes from counts as in File. decode gives the decode time of
// each track's first sample, in its time scale; tracks without Segments are left out. Samples of constant frames are not
// known here: FrameSize must be 0. data adds the movie data, exactly size bytes.
func (m *Movie) Fragment(sequence uint32, decode []int64, size int64, data func(*virtual.Builder)) (*virtual.File, error) {
	if len(decode) != len(m.Tracks) {
		return nil, fmt.Errorf("lay out fragment: %d decode times for %d tracks", len(decode), len(m.Tracks))
	}
	inside := full("mfhd", 0, 0, u32(int64(sequence)))
	origin := new(int64)
	for i := range m.Tracks {
		t := &m.Tracks[i]
		if len(t.Segments) == 0 {
			continue
		}
		if err := t.validate(); err != nil {
			return nil, fmt.Errorf("lay out fragment: track %d: %w", i+1, err)
		}
		if t.FrameSize > 0 || decode[i] < 0 {
			return nil, fmt.Errorf("lay out fragment: track %d: %w", i+1, errors.New("constant frames, or before the beginning"))
		}
		at := decode[i]
		for k := range t.Segments {
			inside = append(inside, t.trackFragment(uint32(i+1), at, &t.Segments[k], origin)...)
			at += t.Segments[k].Duration
		}
	}
	if size > maxData || length(inside) > maxData {
		return nil, fmt.Errorf("lay out fragment: %w", ErrTooLong)
	}
	moof := box("moof", inside...)
	*origin = length(moof) + 8
	mdat := append(u32(8+size), "mdat"...) // 32 bits: Safari refuses 64-bit lengths here
	var b virtual.Builder
	emit(&b, append(moof, part{literal: mdat, label: "mdat"}))
	data(&b)
	if got := b.Size() - *origin; got != size {
		return nil, fmt.Errorf("lay out fragment: data of %d bytes where %d were announced", got, size)
	}
	return b.File()
}

// trackFragment is traf with one run per chunk. The decode time stands before the runs: Safari wants that order.
func (t *Track) trackFragment(id uint32, decode int64, s *Segment, origin *int64) []part {
	tfhd := full("tfhd", 0, 0x20002, append(u32(int64(id)), u32(int64(s.Entry+1))...)) // offsets from moof; sample entry
	tfdt := full("tfdt", 1, 0, binary.BigEndian.AppendUint64(nil, uint64(decode)))
	runs := &trackRuns{segment: s, origin: origin, composition: t.Composition}
	return box("traf", join(tfhd, tfdt, []part{{table: runs, size: s.Chunks*runHeader + s.Samples*runs.item()}})...)
}

// runHeader is the length of trun without its samples: box header, version and flags, count, data offset.
const runHeader = 8 + 4 + 4 + 4

// trackRuns makes the trun boxes of a segment (section 8.8.8).
type trackRuns struct {
	segment     *Segment
	origin      *int64 // of the data, counted from moof
	composition bool
}

func (g *trackRuns) String() string { return "trun of " + g.segment.Tables.String() }

// item is the length of one sample's entry.
func (g *trackRuns) item() int64 {
	if g.composition {
		return 16
	}
	return 12
}

// Generate makes all runs.
func (g *trackRuns) Generate(ctx context.Context, dst []byte) ([]byte, error) {
	s := g.segment
	samples := make([]Sample, 0, s.Samples)
	bytes, duration := int64(0), int64(0)
	err := s.Tables.Samples(ctx, func(sample Sample) bool {
		samples = append(samples, sample)
		bytes += int64(sample.Size)
		duration += int64(sample.Duration)
		return int64(len(samples)) <= s.Samples
	})
	switch {
	case err != nil:
		return nil, err
	case int64(len(samples)) != s.Samples:
		return nil, &MismatchError{s.Tables.String(), "samples", int64(len(samples)), s.Samples}
	case bytes != s.Bytes:
		return nil, &MismatchError{s.Tables.String(), "bytes", bytes, s.Bytes}
	case duration != s.Duration:
		return nil, &MismatchError{s.Tables.String(), "duration", duration, s.Duration}
	}
	flags := uint32(runFlags | runPerItem)
	if g.composition {
		flags |= runOffsets
	}
	short := false
	err = s.Tables.Chunks(ctx, func(c Chunk) bool {
		if short = int64(c.Samples) > int64(len(samples)); short {
			return false
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(runHeader+int64(c.Samples)*g.item()))
		dst = append(dst, "trun"...)
		dst = binary.BigEndian.AppendUint32(dst, 1<<24|flags) // version 1: signed composition offsets
		dst = binary.BigEndian.AppendUint32(dst, c.Samples)
		dst = binary.BigEndian.AppendUint32(dst, uint32(*g.origin+s.Data+c.Offset))
		for i := range samples[:c.Samples] {
			dst = g.appendItem(dst, &samples[i])
		}
		samples = samples[c.Samples:]
		return true
	})
	if err == nil && (short || len(samples) > 0) {
		err = &MismatchError{s.Tables.String(), "samples in chunks", s.Samples - int64(len(samples)), s.Samples}
	}
	return dst, err
}

func (g *trackRuns) appendItem(dst []byte, s *Sample) []byte {
	dst = binary.BigEndian.AppendUint32(dst, s.Duration)
	dst = binary.BigEndian.AppendUint32(dst, s.Size)
	flags := uint32(otherFlags)
	if s.Key {
		flags = keyFlags
	}
	dst = binary.BigEndian.AppendUint32(dst, flags)
	if g.composition {
		dst = binary.BigEndian.AppendUint32(dst, uint32(s.Composition))
	}
	return dst
}
