package taillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Progress says how far one recording is good. Its bytes are durable in the sample file.
type Progress struct {
	ID      recording.ID
	From    uint32 // number of the latest entry of the progress before this one; 0 in the first
	To      uint32 // number of the latest entry of this one
	Entries []byte // the entries in between, each after its length; held ones left out
	Good    int64  // size of the sample file that they make
	Full    []uint32
	Before  uint32 // how many sums of full blocks earlier progress had; Full are those since
	Partial uint32 // sum of the block in progress
}

// Batch is what one Append makes durable.
type Batch struct {
	Progress []Progress
	Sealed   []*recording.Description
	Removed  []recording.ID // deleted, or given up: from now on no file of that name is to be expected
}

// Empty reports whether there is nothing in it.
func (b *Batch) Empty() bool { return len(b.Progress)+len(b.Sealed)+len(b.Removed) == 0 }

// Log is the tail log of one directory. Open replays it; Begin makes it writable.
type Log struct {
	fs       vfs.FS
	dir      string
	identity Identity

	segments []uint32 // that exist, ascending
	latest   uint32   // the highest number that was ever tried
	sequence uint64   // of the next record
	file     vfs.File // the segment being written; nil before Begin and after a failure
	header   SegmentHeader
	size     int64
	reserved int64 // disk space allocated for the segment
	buf      []byte
	failed   error
}

// reserveStep is how much disk space a segment allocates ahead, so that the log goes on for a while on a full disk.
const reserveStep = 1 << 20

// ErrFailed is wrapped by what Append returns after an earlier failure.
var ErrFailed = errors.New("the tail log failed earlier")

// Begin starts a new segment that carries over what the batch holds: the progress of all recordings that are still open,
// from their first entry on, and the seals that have no row yet. All else in earlier segments is not needed to restart
// any more. It is also how the log goes on after a failure, and how it is rotated.
func (l *Log) Begin(carry *Batch, now time.Time) error {
	l.close()
	number := l.latest + 1
	l.latest = number // a segment that seems not to have been made may be there all the same
	l.header = SegmentHeader{Number: number, Identity: l.identity, Sequence: l.sequence, Created: now.Unix(), salt: newSalt()}
	l.buf = append(l.buf[:0], l.header.encode()...)
	l.encode(carry)
	l.record(carriedRecord, func(b []byte) []byte { return b })

	name := l.Path(number)
	file, err := l.fs.OpenFile(name, vfs.Options{Write: true, Create: true, Exclusive: true})
	if err != nil {
		l.failed = err
		return fmt.Errorf("create tail log segment: %w", err)
	}
	l.segments = append(l.segments, number)
	l.file, l.size, l.reserved, l.failed = file, 0, 0, nil
	if err := l.flush(); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return l.fail(fmt.Errorf("sync directory of tail log segment %s: %w", name, err))
	}
	return nil
}

// Append makes a batch durable. Any error is final for the segment: nobody knows how much of the batch is on the disk;
// what it claims must therefore stay true.
func (l *Log) Append(b *Batch) error {
	if l.file == nil {
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	l.buf = l.buf[:0]
	l.encode(b)
	return l.flush()
}

func (l *Log) encode(b *Batch) {
	for i := range b.Progress {
		l.record(progressRecord, b.Progress[i].append)
	}
	for _, d := range b.Sealed {
		l.record(sealRecord, func(b []byte) []byte {
			return recording.AppendDescription(binary.LittleEndian.AppendUint64(b, uint64(d.ID)), d)
		})
	}
	if len(b.Removed) > 0 {
		l.record(removedRecord, func(buf []byte) []byte {
			for _, id := range b.Removed {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(id))
			}
			return buf
		})
	}
}

func (l *Log) record(typ recordType, payload func([]byte) []byte) {
	l.buf = appendRecord(l.buf, l.header.salt, l.sequence, typ, payload)
	l.sequence++
}

func (p *Progress) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(p.ID))
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.From)), uint64(p.To))
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.Good)), uint64(p.Before))
	b = binary.AppendUvarint(b, uint64(len(p.Full)))
	for _, sum := range p.Full {
		b = binary.LittleEndian.AppendUint32(b, sum)
	}
	b = binary.LittleEndian.AppendUint32(b, p.Partial)
	return append(b, p.Entries...)
}

func parseProgress(b []byte) (p Progress, err error) {
	r := reader{rest: b}
	p.ID = recording.ID(r.uint64())
	from, to := r.uvarint(), r.uvarint()
	good, before, full := r.uvarint(), r.uvarint(), r.uvarint()
	for range min(full, uint64(len(r.rest)/4)) {
		p.Full = append(p.Full, r.uint32())
	}
	p.Partial = r.uint32()
	p.From, p.To, p.Good, p.Before, p.Entries = uint32(from), uint32(to), int64(good), uint32(before), r.rest
	if r.bad || from >= to || to > 1<<32-1 || good > 1<<62 || before > 1<<32-1 || full != uint64(len(p.Full)) ||
		before+full != good/recording.BlockSize {
		return p, fmt.Errorf("%w: progress", ErrEntry)
	}
	return p, nil
}

// flush writes the buffer behind the segment's end and makes it durable.
func (l *Log) flush() error {
	end := l.size + int64(len(l.buf))
	if end > l.reserved {
		l.reserved = (end/reserveStep + 1) * reserveStep
		if err := l.file.Allocate(l.reserved); err != nil {
			return l.fail(fmt.Errorf("allocate tail log: %w", err))
		}
	}
	if _, err := l.file.WriteAt(l.buf, l.size); err != nil {
		return l.fail(fmt.Errorf("write tail log: %w", err))
	}
	if err := l.file.Datasync(); err != nil {
		return l.fail(fmt.Errorf("sync tail log: %w", err))
	}
	l.size = end
	if cap(l.buf) > 1<<20 {
		l.buf = nil // a carry-over or a burst; ordinary batches are small
	}
	return nil
}

func (l *Log) fail(err error) error {
	l.close()
	l.failed = err
	return err
}

func (l *Log) close() {
	if l.file != nil {
		_ = l.file.Close() // everything that matters was synced, or has failed
		l.file = nil
	}
}

// Close closes the segment being written.
func (l *Log) Close() error {
	l.close()
	l.failed = errors.New("closed")
	return nil
}

// Size returns how many bytes the segment being written holds.
func (l *Log) Size() int64 { return l.size }

// Path returns the name of a segment's file.
func (l *Log) Path(number uint32) string { return filepath.Join(l.dir, SegmentName(number)) }

// Segments returns the numbers of the segments that exist, ascending; the last is the one being written.
func (l *Log) Segments() []uint32 { return append([]uint32(nil), l.segments...) }
