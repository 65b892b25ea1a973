package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Chunk is a run of one track's bytes in a sample file that no other track interrupts.
type Chunk struct {
	Track   int   // position in Description.Tracks
	Offset  int64 // in the sample file
	Size    int64
	First   int32 // number of its first sample in the track
	Samples int32
}

// LayoutEncoder builds Track.Layout of a track that is not the first: for each chunk two varints, how many bytes lie
// between the end of the track's previous chunk (or the start of the file) and this one, and how many samples it holds.
// The zero value is an empty layout. Copying the value takes a snapshot, as with IndexEncoder.
type LayoutEncoder struct {
	data    []byte
	gap     uint64 // of the chunk in progress
	samples uint64 // in it; 0 when there is none
	end     int64  // of the track's latest sample in the file
	chunks  int32
}

// Append adds a sample that lies at an offset of the sample file.
func (e *LayoutEncoder) Append(offset int64, size int32) {
	if e.samples == 0 || offset != e.end {
		e.data = e.appendChunk(e.data)
		e.gap, e.samples = uint64(offset-e.end), 0
		e.chunks++
	}
	e.samples++
	e.end = offset + int64(size)
}

func (e *LayoutEncoder) appendChunk(b []byte) []byte {
	if e.samples == 0 {
		return b
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, e.gap), e.samples)
}

// Data returns the layout of the samples so far, in new memory.
func (e *LayoutEncoder) Data() []byte { return e.appendChunk(append([]byte(nil), e.data...)) }

// Chunks returns how many chunks there are.
func (e *LayoutEncoder) Chunks() int32 { return e.chunks }

var errLayout = errors.New("the chunks of the tracks do not fit together")

// cursor walks the chunks of one track.
type cursor struct {
	layout  []byte
	index   IndexIterator
	samples int32 // taken so far
	next    Chunk // the chunk to come; none if next.Samples is 0
}

// advance finds the chunk after next.
func (c *cursor) advance() error {
	end := c.next.Offset + c.next.Size
	c.next.Samples = 0
	if len(c.layout) == 0 {
		if c.index.Next() {
			return errLayout
		}
		return c.index.Err()
	}
	gap, n := binary.Uvarint(c.layout)
	if n <= 0 || gap > 1<<62-uint64(end) {
		return errLayout
	}
	samples, m := binary.Uvarint(c.layout[n:])
	if m <= 0 || samples == 0 || samples > 1<<31-1 {
		return errLayout
	}
	c.layout = c.layout[n+m:]
	c.next.Offset, c.next.Size = end+int64(gap), 0
	c.next.First = c.samples
	for range samples {
		if !c.index.Next() {
			return errors.Join(errLayout, c.index.Err())
		}
		c.next.Size += int64(c.index.Size)
		c.samples++
	}
	c.next.Samples = int32(samples)
	return nil
}

// Chunks calls yield for each chunk of the sample file in file order, until yield returns false. The blobs Index and
// Layout of all tracks must be there. Together the chunks cover the file without a hole.
func (d *Description) Chunks(yield func(Chunk) bool) error {
	if len(d.Tracks) == 0 {
		return errLayout
	}
	first := NewIndexIterator(d.Tracks[0].Index)
	others := make([]cursor, len(d.Tracks)-1)
	for i := range others {
		t := &d.Tracks[i+1]
		others[i] = cursor{layout: t.Layout, index: NewIndexIterator(t.Index), next: Chunk{Track: i + 1}}
		if err := others[i].advance(); err != nil {
			return fmt.Errorf("recording %v: track %d: %w", d.ID, i+1, err)
		}
	}
	samples := int32(0)
	for pos := int64(0); pos < d.Bytes; {
		nearest, limit := -1, d.Bytes
		for i := range others {
			if c := &others[i].next; c.Samples > 0 && c.Offset < limit {
				nearest, limit = i, c.Offset
			}
		}
		if limit < pos {
			return fmt.Errorf("recording %v: %w", d.ID, errLayout)
		}
		var chunk Chunk
		if limit > pos { // what the others leave belongs to the first track
			chunk = Chunk{Offset: pos, First: samples}
			for pos+chunk.Size < limit && first.Next() {
				chunk.Size += int64(first.Size)
				chunk.Samples++
			}
			if pos+chunk.Size != limit {
				return fmt.Errorf("recording %v: %w", d.ID, errors.Join(errLayout, first.Err()))
			}
			samples += chunk.Samples
		} else {
			chunk = others[nearest].next
			if err := others[nearest].advance(); err != nil {
				return fmt.Errorf("recording %v: track %d: %w", d.ID, nearest+1, err)
			}
		}
		if pos += chunk.Size; pos > d.Bytes {
			return fmt.Errorf("recording %v: %w", d.ID, errLayout)
		}
		if !yield(chunk) {
			return nil
		}
	}
	for i := range others {
		if others[i].next.Samples > 0 {
			return fmt.Errorf("recording %v: track %d: %w", d.ID, i+1, errLayout)
		}
	}
	if first.Next() || first.Err() != nil {
		return fmt.Errorf("recording %v: %w", d.ID, errors.Join(errLayout, first.Err()))
	}
	return nil
}
