package recording

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nightjar/internal/media"
)

// What the sample index cannot say goes into a second blob, Track.Extra (docs/format/sample-index.md): flags and
// composition offsets, each as runs of equal values. An ordinary track has none.

const extraVersion = 1

// storedFlags are the flags kept in Extra; Key is in the index.
const storedFlags = media.Droppable | media.Damaged | media.AfterLoss

// ExtraEncoder builds the second blob. The zero value holds no samples. Copying the value takes a snapshot, as with
// IndexEncoder.
type ExtraEncoder struct {
	flags        []byte
	compositions []byte
	flag         media.Flags
	flagRun      uint64
	composition  int32
	compRun      uint64
}

// Append adds a sample.
func (e *ExtraEncoder) Append(flags media.Flags, composition int32) {
	if flags &= storedFlags; flags != e.flag {
		e.flags = appendFlagRun(e.flags, e.flagRun, e.flag)
		e.flag, e.flagRun = flags, 0
	}
	if composition != e.composition {
		e.compositions = appendCompositionRun(e.compositions, e.compRun, e.composition)
		e.composition, e.compRun = composition, 0
	}
	e.flagRun++
	e.compRun++
}

func appendFlagRun(b []byte, run uint64, flag media.Flags) []byte {
	if run == 0 {
		return b
	}
	return append(binary.AppendUvarint(b, run), byte(flag))
}

func appendCompositionRun(b []byte, run uint64, composition int32) []byte {
	if run == 0 {
		return b
	}
	return appendUvarint32(binary.AppendUvarint(b, run), zigzag32(composition))
}

// Data returns the blob for the samples so far, in new memory; nil when all of them are ordinary.
func (e *ExtraEncoder) Data() []byte {
	flags, compositions := e.flags[:len(e.flags):len(e.flags)], e.compositions[:len(e.compositions):len(e.compositions)]
	if e.flag != 0 { // a run of ordinary samples at the end is left out
		flags = appendFlagRun(flags, e.flagRun, e.flag)
	}
	if e.composition != 0 {
		compositions = appendCompositionRun(compositions, e.compRun, e.composition)
	}
	if len(flags) == 0 && len(compositions) == 0 {
		return nil
	}
	b := binary.AppendUvarint([]byte{extraVersion}, uint64(len(flags)))
	return append(append(b, flags...), compositions...)
}

var errExtra = errors.New("bad varint, run or value")

// ExtraIterator walks the second blob beside an IndexIterator: one Next for each of that one's. After the last run, and
// for a nil blob, it gives ordinary samples for ever. It is used by value and allocates nothing.
type ExtraIterator struct {
	flags        []byte
	compositions []byte
	flagRun      uint64
	compRun      uint64
	Composition  int32 // presentation time minus decoding time, in ticks of the track's clock rate
	Flags        media.Flags
	bad          bool
}

// NewExtraIterator returns an iterator that stands before the first sample.
func NewExtraIterator(extra []byte) ExtraIterator {
	if len(extra) == 0 {
		return ExtraIterator{}
	}
	size, n := binary.Uvarint(extra[1:])
	if extra[0] != extraVersion || n <= 0 || size > uint64(len(extra)-1-n) {
		return ExtraIterator{bad: true}
	}
	flags := extra[1+n:]
	return ExtraIterator{flags: flags[:size], compositions: flags[size:]}
}

// Next goes to the next sample.
func (it *ExtraIterator) Next() {
	if it.flagRun == 0 {
		it.nextFlags()
	}
	if it.compRun == 0 {
		it.nextComposition()
	}
	it.flagRun--
	it.compRun--
}

const endless = 1 << 63

func (it *ExtraIterator) nextFlags() {
	it.flagRun, it.Flags = endless, 0
	if len(it.flags) == 0 {
		return
	}
	run, n := binary.Uvarint(it.flags)
	if n <= 0 || len(it.flags) < n+1 || run == 0 || run >= endless || media.Flags(it.flags[n])&^storedFlags != 0 {
		it.bad, it.flags = true, nil
		return
	}
	it.flagRun, it.Flags = run, media.Flags(it.flags[n])
	it.flags = it.flags[n+1:]
}

func (it *ExtraIterator) nextComposition() {
	it.compRun, it.Composition = endless, 0
	if len(it.compositions) == 0 {
		return
	}
	run, n := binary.Uvarint(it.compositions)
	if n <= 0 || run == 0 || run >= endless {
		it.bad, it.compositions = true, nil
		return
	}
	value, m := uvarint32(it.compositions[n:])
	if m <= 0 {
		it.bad, it.compositions = true, nil
		return
	}
	it.compRun, it.Composition = run, unzigzag32(value)
	it.compositions = it.compositions[n+m:]
}

// Err reports whether the blob made no sense so far.
func (it *ExtraIterator) Err() error {
	if it.bad {
		return fmt.Errorf("extra blob: %w", errExtra)
	}
	return nil
}

// CheckExtra walks a whole second blob and reports whether it is sound and within the number of samples.
func CheckExtra(extra []byte, samples int32) error {
	it := NewExtraIterator(extra)
	for range samples {
		it.Next()
	}
	left := len(it.flags) > 0 || len(it.compositions) > 0 || it.flagRun != 0 && it.Flags != 0 || it.compRun != 0 && it.Composition != 0
	if it.Err() == nil && left {
		return fmt.Errorf("extra blob: holds more than the %d samples of the track", samples)
	}
	return it.Err()
}
