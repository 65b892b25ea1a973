package taillog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// compactSuffix ends the name of a segment being rewritten; a crash may leave one, which the next Compact replaces.
const compactSuffix = ".new"

// ErrCurrent is returned by Remove and Compact for the segment that a restart would read.
var ErrCurrent = errors.New("segment is in use")

// Remove deletes a segment, which may not be the newest. The caller knows that no recording sealed in it exists any more.
func (l *Log) Remove(number uint32) error {
	if n := len(l.segments); l.file == nil || n == 0 || number >= l.segments[n-1] {
		return ErrCurrent
	}
	if err := l.fs.Remove(l.Path(number)); err != nil {
		return fmt.Errorf("remove tail log segment: %w", err)
	}
	l.segments = slices.DeleteFunc(l.segments, func(n uint32) bool { return n == number })
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync directory of tail log: %w", err)
	}
	return nil
}

// Compact rewrites a segment, which may not be the newest, so that it holds nothing but the seals that keep wants.
func (l *Log) Compact(number uint32, keep func(recording.ID) bool, now time.Time) error {
	if n := len(l.segments); l.file == nil || n == 0 || number >= l.segments[n-1] {
		return ErrCurrent
	}
	header := SegmentHeader{Number: number, Identity: l.identity, Created: now.Unix(), salt: newSalt(), Sequence: 1}
	buf := header.encode()
	sequence := header.Sequence
	damage, err := l.scanSegment(number, func(_ SegmentHeader, rec record) error {
		if rec.typ != sealRecord || len(rec.payload) < 8 {
			return nil
		}
		if r := (reader{rest: rec.payload}); keep(recording.ID(r.uint64())) {
			buf = appendRecord(buf, header.salt, sequence, sealRecord, func(b []byte) []byte { return append(b, rec.payload...) })
			sequence++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(damage) > 0 {
		return fmt.Errorf("compact tail log segment: %w", damage[0]) // left as it is, for whoever looks into it
	}
	name := l.Path(number)
	if err := l.write(name+compactSuffix, buf); err != nil {
		return fmt.Errorf("compact tail log segment %s: %w", name, err)
	}
	if err := l.fs.Rename(name+compactSuffix, name); err != nil {
		return fmt.Errorf("compact tail log segment %s: %w", name, err)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync directory of tail log: %w", err)
	}
	return nil
}

func (l *Log) write(name string, data []byte) error {
	file, err := l.fs.OpenFile(name, vfs.Options{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
