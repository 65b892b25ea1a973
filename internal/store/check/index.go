package check

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"nightjar/internal/store/recording"
)

// counts is what an index adds up to.
type counts struct {
	samples, syncSamples int32
	bytes, duration      int64
}

// compareIndex decodes the sample index of a track (docs/format/sample-index.md) and compares it with the track's row.
// It is written anew from the format, so that a mistake of the encoder's own reader is found here.
func compareIndex(t *recording.Track) error {
	got, err := addIndex(t.Index)
	if err != nil {
		return err
	}
	want := counts{t.Samples, t.SyncSamples, t.Bytes, t.Duration}
	if got != want {
		return fmt.Errorf("the index adds up to %d samples, %d key samples, %d bytes, duration %d; the row says %d, %d, %d, %d",
			got.samples, got.syncSamples, got.bytes, got.duration, want.samples, want.syncSamples, want.bytes, want.duration)
	}
	return nil
}

func addIndex(index []byte) (sum counts, err error) {
	var duration int64
	var sizes [2]int64 // of the last key sample and the last other one
	for len(index) > 0 {
		a, n := binary.Uvarint(index)
		if n <= 0 {
			return sum, errors.New("the index ends within a number")
		}
		b, m := binary.Uvarint(index[n:])
		if m <= 0 {
			return sum, errors.New("the index ends within a number")
		}
		if a > math.MaxUint32 || b > math.MaxUint32 || n > 5 || m > 5 {
			return sum, errors.New("the index holds a number beyond 32 bits")
		}
		index = index[n+m:]
		if sum.samples > 0 && duration == 0 {
			return sum, fmt.Errorf("sample %d of the index has no duration and is not the last", sum.samples-1)
		}
		kind := 1 - int(a&1)
		duration += unzigzag(a >> 1)
		sizes[kind] += unzigzag(b)
		switch {
		case duration < 0:
			return sum, fmt.Errorf("sample %d of the index has a negative duration", sum.samples)
		case sizes[kind] <= 0:
			return sum, fmt.Errorf("sample %d of the index has no bytes", sum.samples)
		case duration >= 1<<30 || sizes[kind] > math.MaxInt32:
			return sum, fmt.Errorf("sample %d of the index is too long or too large", sum.samples)
		case sum.samples == 0 && kind != 0:
			return sum, errors.New("the first sample of the index is not a key sample")
		}
		sum.samples++
		sum.syncSamples += int32(a & 1)
		sum.bytes += sizes[kind]
		sum.duration += duration
	}
	return sum, nil
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
