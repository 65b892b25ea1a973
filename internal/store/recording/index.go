package recording

import (
	"fmt"
	"math"
)

// IndexEncoder builds a sample index (the `video_index` of the storage design; docs/format/sample-index.md): two varints
// for each sample, the first holding how its duration differs from the previous sample's and whether it is a key sample,
// the second how its size differs from that of the previous sample of the same sort. The zero value is an empty index.
// Copying the value takes a snapshot: what is appended later to the one does not show in the other, as long as only one
// of the two goes on.
type IndexEncoder struct {
	data         []byte
	duration     int64
	bytes        int64
	samples      int32
	syncSamples  int32
	prevDuration int32
	prevKey      int32
	prevOther    int32
}

// MaxSampleDuration bounds the duration of one sample: differences, doubled by the sign and again by the key flag, are
// stored in 32 bits.
const MaxSampleDuration = 1<<30 - 1

// Append adds a sample: its duration in ticks of the track's clock rate (0 is legal for the last one only) and its size.
func (e *IndexEncoder) Append(duration int64, size int32, key bool) error {
	switch {
	case duration < 0 || duration > MaxSampleDuration:
		return fmt.Errorf("sample %d: duration %d out of range", e.samples, duration)
	case size <= 0:
		return fmt.Errorf("sample %d: size %d out of range", e.samples, size)
	case e.samples == 0 && !key:
		return fmt.Errorf("the first sample is not a key sample")
	case e.samples > 0 && e.prevDuration == 0:
		return fmt.Errorf("sample %d follows one without duration", e.samples)
	case e.samples == math.MaxInt32:
		return fmt.Errorf("too many samples")
	}
	first := zigzag32(int32(duration)-e.prevDuration) << 1
	previous := &e.prevOther
	if key {
		first |= 1
		previous = &e.prevKey
		e.syncSamples++
	}
	e.data = appendUvarint32(appendUvarint32(e.data, first), zigzag32(size-*previous))
	*previous = size
	e.prevDuration = int32(duration)
	e.duration += duration
	e.bytes += int64(size)
	e.samples++
	return nil
}

// Data returns the index so far; the caller does not change it.
func (e *IndexEncoder) Data() []byte { return e.data[:len(e.data):len(e.data)] }

// Samples returns how many samples were appended.
func (e *IndexEncoder) Samples() int32 { return e.samples }

// SyncSamples returns how many of them are key samples.
func (e *IndexEncoder) SyncSamples() int32 { return e.syncSamples }

// Bytes returns the sum of their sizes.
func (e *IndexEncoder) Bytes() int64 { return e.bytes }

// Duration returns the sum of their durations.
func (e *IndexEncoder) Duration() int64 { return e.duration }

// IndexError says where a sample index (or one of the blobs beside it) stops making sense.
type IndexError struct {
	Sample  int32 // counted from 0
	Problem string
}

func (e *IndexError) Error() string {
	return fmt.Sprintf("sample index: sample %d: %s", e.Sample, e.Problem)
}

// IndexIterator walks a sample index. It is used by value, allocates nothing, and copying it keeps a place:
//
//	it := recording.NewIndexIterator(track.Index)
//	for it.Next() { … it.Start, it.Duration, it.Offset, it.Size, it.Key … }
//	if err := it.Err(); err != nil { … }
type IndexIterator struct {
	rest      []byte
	Start     int64 // sum of the durations of the samples before this one
	Offset    int64 // sum of their sizes
	Duration  int32
	Size      int32
	prevKey   int32
	prevOther int32
	Sample    int32 // number of this sample, from 0; -1 before the first Next
	Key       bool
	err       *IndexError
}

// NewIndexIterator returns an iterator that stands before the first sample.
func NewIndexIterator(index []byte) IndexIterator { return IndexIterator{rest: index, Sample: -1} }

// Next goes to the next sample. It returns false at the end and at an error.
func (it *IndexIterator) Next() bool {
	if len(it.rest) == 0 || it.err != nil {
		return false
	}
	first, n := uvarint32(it.rest)
	if n <= 0 {
		return it.fail("bad varint")
	}
	second, m := uvarint32(it.rest[n:])
	if m <= 0 {
		return it.fail("bad or missing varint")
	}
	it.Start += int64(it.Duration)
	it.Offset += int64(it.Size)
	duration := int64(it.Duration) + int64(unzigzag32(first>>1))
	previous := &it.prevOther
	if it.Key = first&1 != 0; it.Key {
		previous = &it.prevKey
	}
	size := int64(*previous) + int64(unzigzag32(second))
	switch {
	case duration < 0:
		return it.fail("negative duration")
	case duration > MaxSampleDuration:
		return it.fail("duration out of range")
	case it.Sample >= 0 && it.Duration == 0:
		return it.fail("follows a sample without duration")
	case size <= 0 || size > math.MaxInt32:
		return it.fail("size out of range")
	case it.Sample < 0 && !it.Key:
		return it.fail("the first is not a key sample")
	case it.Sample == math.MaxInt32-1:
		return it.fail("too many samples")
	}
	it.Sample++
	it.Duration, it.Size = int32(duration), int32(size)
	*previous = it.Size
	it.rest = it.rest[n+m:]
	return true
}

func (it *IndexIterator) fail(problem string) bool {
	it.err = &IndexError{Sample: it.Sample + 1, Problem: problem}
	return false
}

// Err returns what stopped the iteration, or nil at a clean end.
func (it *IndexIterator) Err() error {
	if it.err == nil {
		return nil
	}
	return it.err
}

// CheckIndex walks a track's index and reports whether it is sound and agrees with the track's counts.
func CheckIndex(t *Track) error {
	it := NewIndexIterator(t.Index)
	var samples, syncSamples int32
	for it.Next() {
		samples++
		if it.Key {
			syncSamples++
		}
	}
	if it.err != nil {
		return it.err
	}
	bytes, duration := it.Offset+int64(it.Size), it.Start+int64(it.Duration)
	if samples != t.Samples || syncSamples != t.SyncSamples || bytes != t.Bytes || duration != t.Duration {
		return &IndexError{Sample: samples, Problem: fmt.Sprintf(
			"holds %d samples, %d key samples, %d bytes, duration %d; stated were %d, %d, %d, %d",
			samples, syncSamples, bytes, duration, t.Samples, t.SyncSamples, t.Bytes, t.Duration)}
	}
	return nil
}

func zigzag32(v int32) uint32 { return uint32(v)<<1 ^ uint32(v>>31) }

func unzigzag32(v uint32) int32 { return int32(v>>1) ^ -int32(v&1) }

func appendUvarint32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// uvarint32 reads a varint of at most 32 bits. It returns n <= 0 when the bytes end too soon or hold more than that.
func uvarint32(b []byte) (v uint32, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint32(b[0]&0x7f) | uint32(b[1])<<7, 2
	}
	for i := range min(len(b), 5) {
		c := b[i]
		if i == 4 && c > 0x0f {
			return 0, -1
		}
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
