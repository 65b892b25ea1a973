package mp4

import (
	"context"
	"encoding/binary"
	"fmt"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
)

// dataHeader is the length of the movie data's header with a 64-bit length (section 4.2).
const dataHeader = 16

// File lays out a progressive file: ftyp, moov, mdat. data adds the movie data, exactly size bytes of it, to the builder.
func (m *Movie) File(size int64, data func(*virtual.Builder)) (*virtual.File, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("lay out mp4: %w", err)
	}
	head := fileType("isom", 0x200, "isom", "iso2", "iso4", "mp41", "mp42")
	// The chunk offsets hold where the data begins, which depends on how long the tables are, not on what they hold: the
	// tables get the place of a number that is set once the length is known.
	origin := new(int64)
	moov, err := m.moov(origin)
	if err != nil {
		return nil, fmt.Errorf("lay out mp4: %w", err)
	}
	head = append(head, moov...)
	*origin = length(head) + dataHeader
	mdat := append([]byte{0, 0, 0, 1}, "mdat"...)
	mdat = binary.BigEndian.AppendUint64(mdat, uint64(dataHeader+size))
	head = append(head, part{literal: mdat, label: "mdat"})

	var b virtual.Builder
	emit(&b, head)
	data(&b)
	if got := b.Size() - *origin; got != size {
		return nil, fmt.Errorf("lay out mp4: movie data of %d bytes where %d were announced", got, size)
	}
	return b.File()
}

func (m *Movie) moov(origin *int64) ([]part, error) {
	var longest media.Duration
	for i := range m.Tracks {
		longest = max(longest, m.Tracks[i].presentation())
	}
	inside := m.movieHeader(longest + m.Margin)
	for i := range m.Tracks {
		trak, err := m.trak(i, origin)
		if err != nil {
			return nil, fmt.Errorf("track %d: %w", i+1, err)
		}
		inside = append(inside, trak...)
	}
	if length(inside) > 1<<32-9 {
		return nil, ErrTooLong
	}
	return box("moov", inside...), nil
}

func (m *Movie) trak(i int, origin *int64) ([]part, error) {
	t := &m.Tracks[i]
	for _, e := range t.Entries {
		if err := checkEntry(e); err != nil {
			return nil, err
		}
	}
	tables := t.sampleTables(origin)
	if length(tables) > 1<<32-4096 {
		return nil, ErrTooLong
	}
	information := join(t.mediaInformation(), box("stbl", tables...))
	mdia := join(t.mediaHeader(m.Created, t.Duration()), t.handler(), box("minf", information...))
	return box("trak", join(t.trackHeader(m.Created, uint32(i+1), t.presentation()), edits(t.Edits), box("mdia", mdia...))...), nil
}

// sampleTables is the inside of stbl, section 8.5.1.
func (t *Track) sampleTables(origin *int64) []part {
	var samples, sync, chunks int64
	for i := range t.Segments {
		s := &t.Segments[i]
		samples += s.Samples
		sync += s.Sync
		chunks += s.Chunks
	}
	all := t.sampleDescriptions()
	if t.FrameSize > 0 {
		all = append(all, t.constantTimes()...)
	} else {
		all = append(all, t.table("stts", timeToSample, u32(samples), nil)...)
	}
	if t.Composition {
		all = append(all, t.table("ctts", composition, u32(samples), nil)...)
	}
	all = append(all, t.table("stsc", sampleToChunk, u32(chunks), nil)...)
	if t.FrameSize > 0 {
		all = append(all, full("stsz", 0, 0, append(u32(int64(t.FrameSize)), u32(samples)...))...)
	} else {
		all = append(all, t.table("stsz", sampleSize, append(u32(0), u32(samples)...), nil)...)
	}
	all = append(all, t.table("co64", chunkOffset, u32(chunks), origin)...)
	if sync < samples { // without the table every sample is a key sample
		all = append(all, t.table("stss", syncSample, u32(sync), nil)...)
	}
	return all
}

func u32(v int64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

// constantTimes is stts (section 8.6.1.2) for samples of one tick, run-length coded since all of it follows from counts.
func (t *Track) constantTimes() []part {
	var runs []byte
	count := int64(0) // samples of one tick not yet written
	entries := int64(0)
	add := func(n, duration int64) {
		if n > 0 {
			runs = append(append(runs, u32(n)...), u32(duration)...)
			entries++
		}
	}
	for i := range t.Segments {
		s := &t.Segments[i]
		if count += s.Samples; s.Duration > s.Samples {
			add(count-1, 1)
			add(1, 1+s.Duration-s.Samples)
			count = 0
		}
	}
	add(count, 1)
	return full("stts", 0, 0, append(u32(entries), runs...))
}

// kind says which of the sample tables a slice belongs to; entrySize how long one entry is.
type kind uint8

const (
	timeToSample  kind = iota // section 8.6.1.2
	composition               // section 8.6.1.3, version 1: signed offsets
	sampleToChunk             // section 8.7.4
	sampleSize                // section 8.7.3
	chunkOffset               // section 8.7.5
	syncSample                // section 8.6.2
)

var entrySize = [...]int64{timeToSample: 8, composition: 8, sampleToChunk: 12, sampleSize: 4, chunkOffset: 8, syncSample: 4}

func (k kind) entries(s *Segment) int64 {
	switch k {
	case sampleToChunk, chunkOffset:
		return s.Chunks
	case syncSample:
		return s.Sync
	}
	return s.Samples
}

// table is one sample table box: a header and a slice per segment.
func (t *Track) table(name string, k kind, header []byte, origin *int64) []part {
	version := byte(0)
	if k == composition {
		version = 1
	}
	inside := []part{{literal: append([]byte{version, 0, 0, 0}, header...)}}
	sample, chunk := int64(1), int64(1) // numbers count from 1
	for i := range t.Segments {
		s := &t.Segments[i]
		slice := &tableSlice{name: name, kind: k, segment: s, sample: sample, chunk: chunk, origin: origin}
		if n := k.entries(s); n > 0 {
			inside = append(inside, part{table: slice, size: n * entrySize[k]})
		}
		sample += s.Samples
		chunk += s.Chunks
	}
	return box(name, inside...)
}

// tableSlice is one segment's stretch of one sample table.
type tableSlice struct {
	name    string
	kind    kind
	segment *Segment
	sample  int64  // number of the segment's first sample
	chunk   int64  // number of the segment's first chunk
	origin  *int64 // offset of the movie data in the file
}

func (g *tableSlice) String() string { return g.name + " of " + g.segment.Tables.String() }

// Generate makes the slice; it writes no more than was promised and leaves it to the caller to see less.
func (g *tableSlice) Generate(ctx context.Context, dst []byte) ([]byte, error) {
	if g.kind == sampleToChunk || g.kind == chunkOffset {
		return g.chunks(ctx, dst)
	}
	s := g.segment
	number := g.sample
	var bytes, duration, sync int64
	err := s.Tables.Samples(ctx, func(sample Sample) bool {
		if number == g.sample+s.Samples {
			number++
			return false
		}
		bytes += int64(sample.Size)
		duration += int64(sample.Duration)
		switch g.kind {
		case timeToSample:
			dst = binary.BigEndian.AppendUint32(dst, 1)
			dst = binary.BigEndian.AppendUint32(dst, sample.Duration)
		case composition:
			dst = binary.BigEndian.AppendUint32(dst, 1)
			dst = binary.BigEndian.AppendUint32(dst, uint32(sample.Composition))
		case sampleSize:
			dst = binary.BigEndian.AppendUint32(dst, sample.Size)
		case syncSample:
			if sample.Key && sync < s.Sync {
				dst = binary.BigEndian.AppendUint32(dst, uint32(number))
			}
		}
		if sample.Key {
			sync++
		}
		number++
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		what       string
		have, want int64
	}{{"samples", number - g.sample, s.Samples}, {"key samples", sync, s.Sync}, {"bytes", bytes, s.Bytes}, {"duration", duration, s.Duration}} {
		if c.have != c.want {
			return nil, &MismatchError{s.Tables.String(), c.what, c.have, c.want}
		}
	}
	return dst, nil
}

func (g *tableSlice) chunks(ctx context.Context, dst []byte) ([]byte, error) {
	s := g.segment
	number, samples := g.chunk, int64(0)
	err := s.Tables.Chunks(ctx, func(c Chunk) bool {
		if number == g.chunk+s.Chunks {
			number++
			return false
		}
		samples += int64(c.Samples)
		if g.kind == chunkOffset {
			dst = binary.BigEndian.AppendUint64(dst, uint64(*g.origin+s.Data+c.Offset))
		} else {
			dst = binary.BigEndian.AppendUint32(dst, uint32(number))
			dst = binary.BigEndian.AppendUint32(dst, c.Samples)
			dst = binary.BigEndian.AppendUint32(dst, uint32(s.Entry+1))
		}
		number++
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case number-g.chunk != s.Chunks:
		return nil, &MismatchError{s.Tables.String(), "chunks", number - g.chunk, s.Chunks}
	case samples != s.Samples:
		return nil, &MismatchError{s.Tables.String(), "samples in chunks", samples, s.Samples}
	}
	return dst, nil
}
