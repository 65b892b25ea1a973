// Package mp4test reads progressive and fragmented mp4 files for tests: a small reader of ISO/IEC 14496-12 that shares no
// code with the writer and believes nothing. It refuses boxes that do not fill their parents exactly, counts that differ
// between the sample tables, chunks out of order or outside of the movie data, and samples that overlap.
//
// Parse gives a File with its Tracks, each with all Samples (place, decoding and presentation time) and its edits;
// Track.Presented applies the edits as a player does. Everything is a plain value. For tests only.
package mp4test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// File is a parsed file.
type File struct {
	Bytes     []byte
	Timescale uint32
	Duration  uint64
	Created   uint64 // seconds since 1904
	Tracks    []Track
	Data      []Range // movie data
}

// Range is a stretch of the file.
type Range struct{ Start, End uint64 }

// Track is one track.
type Track struct {
	ID           uint32
	Handler      string
	Timescale    uint32
	Duration     uint64   // of the media, in Timescale
	Presentation uint64   // of the track header, in the movie's time scale
	Entries      [][]byte // sample entry boxes
	Width        uint32   // 16.16
	Height       uint32
	Edits        []Edit
	Samples      []Sample
	Chunks       int
	TimeEntries  int // entries of the time-to-sample table
}

// Edit is an entry of the edit list.
type Edit struct {
	Duration uint64
	Media    int64
}

// Sample is one sample.
type Sample struct {
	Offset, Size uint64
	Decode       int64
	Composition  int64 // offset
	Duration     int64
	Key          bool
	Entry        int // from 0 on
	Data         []byte
}

// Presented is a sample as a player shows it, on the movie's time line.
type Presented struct {
	Sample     int     // number in Track.Samples
	Start, End float64 // seconds
}

// Presented applies the edit list: which samples are shown from when to when, in order of presentation. A sample is
// shown until the next one in presentation order; the last one as long as it lasts, or with reordering, where durations
// are of decoding, until the edit ends.
func (f *File) Presented(t *Track) []Presented {
	list := t.Edits
	if len(list) == 0 {
		list = []Edit{{Duration: t.Duration * uint64(f.Timescale) / uint64(t.Timescale)}}
	}
	order := make([]int, len(t.Samples))
	for i := range order {
		order[i] = i
	}
	at := func(i int) int64 { return t.Samples[i].Decode + t.Samples[i].Composition }
	reordered := slices.ContainsFunc(t.Samples, func(s Sample) bool { return s.Composition != t.Samples[0].Composition })
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(at(a), at(b)) })
	var out []Presented
	var now float64
	for _, e := range list {
		length := float64(e.Duration) / float64(f.Timescale)
		if e.Media >= 0 {
			begin := float64(e.Media) / float64(t.Timescale)
			for n, i := range order {
				start := float64(at(i))/float64(t.Timescale) - begin
				end := start + float64(t.Samples[i].Duration)/float64(t.Timescale)
				if n+1 == len(order) && reordered {
					end = max(end, length)
				}
				if n+1 < len(order) {
					end = float64(at(order[n+1]))/float64(t.Timescale) - begin
				}
				if end <= 0 && (start < 0 || n+1 < len(order)) || start >= length && length > 0 {
					continue
				}
				out = append(out, Presented{i, now + max(start, 0), now + min(end, length)})
			}
		}
		now += length
	}
	return out
}

type parser struct {
	file *File
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// box is the payload of one box and where the box lies in the file.
type box struct {
	name    string
	payload []byte
	offset  uint64 // of the payload
}

// boxes splits b, which begins at offset in the file.
func (p *parser) boxes(b []byte, offset uint64) (all []box) {
	for len(b) > 0 && p.err == nil {
		if len(b) < 8 {
			p.fail("%d bytes left over at %d", len(b), offset)
			return all
		}
		size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		name := string(b[4:8])
		if size == 1 && len(b) >= 16 {
			size, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < head || size > uint64(len(b)) {
			p.fail("box %q at %d says %d bytes, %d are there", name, offset, size, len(b))
			return all
		}
		all = append(all, box{name, b[head:size], offset + head})
		b, offset = b[size:], offset+size
	}
	return all
}

// child returns the only box of that name.
func (p *parser) child(in box, name string, optional bool) (box, bool) {
	var found []box
	for _, b := range p.boxes(in.payload, in.offset) {
		if b.name == name {
			found = append(found, b)
		}
	}
	if len(found) > 1 || len(found) == 0 && !optional {
		p.fail("%d boxes %q in %q", len(found), name, in.name)
	}
	if len(found) != 1 {
		return box{name: name}, false
	}
	return found[0], true
}

func (p *parser) path(in box, names ...string) box {
	for _, n := range names {
		in, _ = p.child(in, n, false)
	}
	return in
}

// cursor reads numbers from a full box.
type cursor struct {
	p       *parser
	name    string
	b       []byte
	version byte
	flags   uint32
}

func (p *parser) full(b box) *cursor {
	c := &cursor{p: p, name: b.name, b: b.payload}
	v := c.u32()
	c.version, c.flags = byte(v>>24), v&0xffffff
	return c
}

func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.p.fail("box %q ends too soon", c.name)
		return make([]byte, n)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }
func (c *cursor) u64() uint64 { return binary.BigEndian.Uint64(c.take(8)) }

// word reads 64 bits in version 1 and 32 bits in version 0.
func (c *cursor) word() uint64 {
	if c.version == 1 {
		return c.u64()
	}
	return uint64(c.u32())
}

// count reads an entry count and sees that exactly so many entries of that size follow.
func (c *cursor) count(size int) int {
	n := int(c.u32())
	if c.p.err == nil && n*size != len(c.b) {
		c.p.fail("box %q: %d entries of %d bytes in %d bytes", c.name, n, size, len(c.b))
	}
	if c.p.err != nil {
		return 0
	}
	return n
}

// Parse reads a whole file.
func Parse(b []byte) (*File, error) {
	p := &parser{file: &File{Bytes: b}}
	top := p.boxes(b, 0)
	if len(top) == 0 || top[0].name != "ftyp" {
		return nil, errors.New("does not begin with ftyp")
	}
	root := box{name: "file", payload: b}
	moov, _ := p.child(root, "moov", false)
	for _, t := range top {
		if t.name == "mdat" {
			p.file.Data = append(p.file.Data, Range{t.offset, t.offset + uint64(len(t.payload))})
		}
	}
	mvhd := p.full(p.path(moov, "mvhd"))
	p.file.Created = mvhd.word()
	mvhd.word()
	p.file.Timescale = mvhd.u32()
	p.file.Duration = mvhd.word()
	for _, t := range p.boxes(moov.payload, moov.offset) {
		if t.name == "trak" {
			p.track(t)
		}
	}
	if mvex, ok := p.child(moov, "mvex", true); ok {
		p.fragments(top, mvex)
	}
	p.overlaps()
	if p.err != nil {
		return nil, p.err
	}
	return p.file, nil
}

// overlaps refuses two samples on the same bytes and fills in the data.
func (p *parser) overlaps() {
	var all []Range
	for i := range p.file.Tracks {
		t := &p.file.Tracks[i]
		for j := range t.Samples {
			s := &t.Samples[j]
			end := s.Offset + s.Size
			if !slices.ContainsFunc(p.file.Data, func(r Range) bool { return r.Start <= s.Offset && end <= r.End }) {
				p.fail("track %d sample %d at %d+%d lies outside of the movie data", t.ID, j, s.Offset, s.Size)
				return
			}
			s.Data = p.file.Bytes[s.Offset:end:end]
			all = append(all, Range{s.Offset, end})
		}
	}
	slices.SortFunc(all, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	var used, total uint64
	for i, r := range all {
		used += r.End - r.Start
		if i > 0 && all[i-1].End > r.Start {
			p.fail("two samples share the bytes at %d", r.Start)
		}
	}
	for _, r := range p.file.Data {
		total += r.End - r.Start
	}
	if used != total {
		p.fail("movie data of %d bytes, samples of %d", total, used)
	}
}

func (p *parser) track(trak box) {
	var t Track
	tkhd := p.full(p.path(trak, "tkhd"))
	tkhd.word()
	tkhd.word()
	t.ID = tkhd.u32()
	tkhd.u32()
	t.Presentation = tkhd.word()
	tkhd.take(8 + 2 + 2 + 2 + 2 + 36)
	t.Width, t.Height = tkhd.u32(), tkhd.u32()
	if edts, ok := p.child(trak, "edts", true); ok {
		elst := p.full(p.path(edts, "elst"))
		for range elst.count(20) {
			t.Edits = append(t.Edits, Edit{elst.u64(), int64(elst.u64())})
			if rate := elst.u32(); rate != 0x10000 {
				p.fail("edit with rate %x", rate)
			}
		}
	}
	mdia := p.path(trak, "mdia")
	mdhd := p.full(p.path(mdia, "mdhd"))
	mdhd.word()
	mdhd.word()
	t.Timescale = mdhd.u32()
	t.Duration = mdhd.word()
	hdlr := p.full(p.path(mdia, "hdlr"))
	hdlr.u32()
	t.Handler = string(hdlr.take(4))
	minf := p.path(mdia, "minf")
	header := map[string]string{"vide": "vmhd", "soun": "smhd", "meta": "nmhd"}[t.Handler]
	p.path(minf, header)
	dref := p.full(p.path(minf, "dinf", "dref"))
	if n := dref.u32(); n != 1 {
		p.fail("%d data references", n)
	}
	p.tables(&t, p.path(minf, "stbl"))
	p.file.Tracks = append(p.file.Tracks, t)
}

// tables reads the sample tables and joins them.
func (p *parser) tables(t *Track, stbl box) {
	stsdBox := p.path(stbl, "stsd")
	stsd := p.full(stsdBox)
	n := stsd.u32()
	for _, e := range p.boxes(stsd.b, stsdBox.offset+8) {
		t.Entries = append(t.Entries, p.file.Bytes[e.offset-8:e.offset+uint64(len(e.payload))])
	}
	if int(n) != len(t.Entries) {
		p.fail("stsd of %d entries says %d", len(t.Entries), n)
	}
	sizes := p.sizes(stbl)
	if p.err != nil {
		return
	}
	t.Samples = make([]Sample, len(sizes))
	for i, size := range sizes {
		t.Samples[i].Size = uint64(size)
	}
	p.times(t, stbl)
	p.keys(t, stbl)
	p.places(t, stbl)
	var sum int64
	for i := range t.Samples {
		sum += t.Samples[i].Duration
	}
	if p.err == nil && uint64(sum) != t.Duration && len(t.Samples) > 0 {
		p.fail("durations sum up to %d, mdhd says %d", sum, t.Duration)
	}
}

func (p *parser) sizes(stbl box) []uint32 {
	stsz := p.full(p.path(stbl, "stsz"))
	constant := stsz.u32()
	if constant == 0 {
		var all []uint32
		for range stsz.count(4) {
			all = append(all, stsz.u32())
		}
		return all
	}
	n := stsz.u32()
	if len(stsz.b) != 0 || n > 1<<27 {
		p.fail("stsz of constant size, %d samples, %d bytes left", n, len(stsz.b))
		return nil
	}
	return slices.Repeat([]uint32{constant}, int(n))
}

func (p *parser) times(t *Track, stbl box) {
	stts := p.full(p.path(stbl, "stts"))
	i, decode := 0, int64(0)
	for range stts.count(8) {
		t.TimeEntries++
		n, d := stts.u32(), stts.u32()
		if n == 0 {
			p.fail("stts entry for no sample")
		}
		for range n {
			if i == len(t.Samples) {
				p.fail("stts covers more than %d samples", i)
				return
			}
			t.Samples[i].Decode, t.Samples[i].Duration = decode, int64(d)
			decode += int64(d)
			i++
		}
	}
	if i != len(t.Samples) {
		p.fail("stts covers %d of %d samples", i, len(t.Samples))
	}
	b, ok := p.child(stbl, "ctts", true)
	if !ok {
		return
	}
	ctts := p.full(b)
	i = 0
	for range ctts.count(8) {
		n, offset := ctts.u32(), ctts.u32()
		for range n {
			if i == len(t.Samples) {
				p.fail("ctts covers more than %d samples", i)
				return
			}
			t.Samples[i].Composition = int64(offset)
			if ctts.version == 1 {
				t.Samples[i].Composition = int64(int32(offset))
			}
			i++
		}
	}
	if i != len(t.Samples) {
		p.fail("ctts covers %d of %d samples", i, len(t.Samples))
	}
}

func (p *parser) keys(t *Track, stbl box) {
	b, ok := p.child(stbl, "stss", true)
	if !ok {
		for i := range t.Samples {
			t.Samples[i].Key = true
		}
		return
	}
	stss := p.full(b)
	last := 0
	for range stss.count(4) {
		n := int(stss.u32())
		if n <= last || n > len(t.Samples) {
			p.fail("stss: sample %d after %d, of %d", n, last, len(t.Samples))
			return
		}
		t.Samples[n-1].Key = true
		last = n
	}
}

// places joins stsc and co64.
func (p *parser) places(t *Track, stbl box) {
	co64 := p.full(p.path(stbl, "co64"))
	var offsets []uint64
	for range co64.count(8) {
		offsets = append(offsets, co64.u64())
	}
	t.Chunks = len(offsets)
	stsc := p.full(p.path(stbl, "stsc"))
	type run struct{ first, samples, entry uint32 }
	var runs []run
	for range stsc.count(12) {
		r := run{stsc.u32(), stsc.u32(), stsc.u32()}
		if len(runs) == 0 && r.first != 1 || len(runs) > 0 && r.first <= runs[len(runs)-1].first || r.entry < 1 || int(r.entry) > len(t.Entries) {
			p.fail("stsc entry %v of %d entries", r, len(t.Entries))
			return
		}
		runs = append(runs, r)
	}
	sample := 0
	for i, offset := range offsets {
		for len(runs) > 1 && int(runs[1].first) == i+1 {
			runs = runs[1:]
		}
		if len(runs) == 0 || int(runs[0].first) > i+1 {
			p.fail("chunk %d is not in stsc", i+1)
			return
		}
		for range runs[0].samples {
			if sample == len(t.Samples) {
				p.fail("chunks hold more than %d samples", sample)
				return
			}
			s := &t.Samples[sample]
			s.Offset, s.Entry = offset, int(runs[0].entry-1)
			offset += s.Size
			sample++
		}
	}
	if sample != len(t.Samples) || len(runs) > 1 {
		p.fail("chunks hold %d of %d samples; %d entries of stsc left", sample, len(t.Samples), len(runs)-1)
	}
}
