package taillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Seal is the place of a finished recording's description.
type Seal struct {
	ID      recording.ID
	Segment uint32
	Offset  int64 // of the record
}

// State is what a replay of the log gives.
type State struct {
	Found    bool          // there is a complete segment; else all below is empty
	Header   SegmentHeader // of the segment that was replayed: who wrote last
	Open     map[recording.ID]*Recording
	Sealed   map[recording.ID]Seal
	Removed  map[recording.ID]bool
	Damage   []*DamageError
	Orphaned []recording.ID // recordings whose entries are damaged from some point on; they are in Open as far as known
}

// Open replays the log of a directory: its newest segment that is complete. It writes nothing; Begin does.
func Open(fsys vfs.FS, dir string, identity Identity) (*Log, *State, error) {
	l := &Log{fs: fsys, dir: dir, identity: identity, sequence: 1, failed: errors.New("not begun")}
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list tail log: %w", err)
	}
	for _, name := range names {
		if number, ok := ParseSegmentName(name); ok {
			l.segments = append(l.segments, number)
			l.latest = max(l.latest, number)
		}
	}
	slices.Sort(l.segments)
	state := emptyState()
	for _, number := range slices.Backward(l.segments) {
		s, err := l.replay(number)
		if err != nil {
			return nil, nil, err
		}
		s.Damage = append(s.Damage, state.Damage...)
		if state = s; s.Found {
			break
		}
	}
	return l, state, nil
}

func emptyState() *State {
	return &State{
		Open: make(map[recording.ID]*Recording), Sealed: make(map[recording.ID]Seal), Removed: make(map[recording.ID]bool),
	}
}

// replay reads one segment. A segment that is not complete gives an empty state: its making was cut short, and what it
// was to carry over is still in the one before.
func (l *Log) replay(number uint32) (*State, error) {
	state := emptyState()
	found := false
	damage, err := l.scanSegment(number, func(h SegmentHeader, rec record) error {
		state.Header = h
		l.sequence = max(l.sequence, rec.sequence+1)
		found = found || rec.typ == carriedRecord
		state.apply(number, rec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		state = emptyState()
	}
	state.Found = found
	state.Damage = append(state.Damage, damage...)
	return state, nil
}

// scanSegment calls f for each valid record of a segment. A header that can't be read is damage, unless nothing but the
// header was ever there.
func (l *Log) scanSegment(number uint32, f func(SegmentHeader, record) error) ([]*DamageError, error) {
	name := l.Path(number)
	file, err := l.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open tail log segment: %w", err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("size of tail log segment %s: %w", name, err)
	}
	s, err := newScanner(file, size, name)
	if errors.Is(err, errSegmentHeader) && size == 0 {
		return nil, nil
	}
	if errors.Is(err, errSegmentHeader) {
		return []*DamageError{{Segment: name, Size: size, Problem: err.Error()}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tail log segment %s: %w", name, err)
	}
	if s.header.Number != number || s.header.Identity.Directory != l.identity.Directory {
		return []*DamageError{{Segment: name, Size: size, Problem: "belongs to another directory or number"}}, nil
	}
	for {
		rec, ok, err := s.scan()
		if err != nil {
			return nil, err
		}
		if !ok {
			return s.damage, nil
		}
		if err := f(s.header, rec); err != nil {
			return nil, err
		}
	}
}

// apply takes one record in. What makes no sense, though its checksum is right, is damage too: it orphans a recording.
func (s *State) apply(segment uint32, rec record) {
	switch rec.typ {
	case progressRecord:
		s.progress(rec.payload)
	case sealRecord:
		r := reader{rest: rec.payload}
		id := recording.ID(r.uint64())
		delete(s.Open, id)
		s.Sealed[id] = Seal{ID: id, Segment: segment, Offset: rec.offset}
	case removedRecord:
		for r := (reader{rest: rec.payload}); len(r.rest) >= 8; {
			id := recording.ID(r.uint64())
			delete(s.Open, id)
			delete(s.Sealed, id)
			s.Removed[id] = true
		}
	}
}

func (s *State) progress(payload []byte) {
	p, err := parseProgress(payload)
	if err != nil {
		s.orphan(p.ID)
		return
	}
	r := s.Open[p.ID]
	if r == nil {
		if p.From != 0 || p.Before != 0 {
			s.orphan(p.ID)
			return
		}
		r = new(Recording)
		s.Open[p.ID] = r
	}
	if slices.Contains(s.Orphaned, p.ID) || p.From != r.Seq || int(p.Before) != len(r.Summer.Full(0)) {
		s.orphan(p.ID)
		return
	}
	good := r.Builder.Bytes()
	if err := r.applyAll(slices.Clone(p.Entries)); err != nil || r.Description.ID != p.ID || r.Builder.Bytes() != p.Good {
		// Can't happen, but for a bug on the writing side: keep what came before.
		s.orphan(p.ID)
		if short, err := r.Limit(good); err == nil && good > 0 {
			short.Summer = r.Summer
			s.Open[p.ID] = short
		} else {
			delete(s.Open, p.ID)
		}
		return
	}
	r.Seq = p.To
	r.Summer = recording.ResumeSummer(p.ID, p.Good, append(r.Summer.Full(0), p.Full...), p.Partial)
}

func (s *State) orphan(id recording.ID) {
	if !slices.Contains(s.Orphaned, id) {
		s.Orphaned = append(s.Orphaned, id)
	}
}

// ReadSeal reads the description of a finished recording.
func (l *Log) ReadSeal(seal Seal) (*recording.Description, error) {
	name := l.Path(seal.Segment)
	file, err := l.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open tail log segment: %w", err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("size of tail log segment %s: %w", name, err)
	}
	s, err := newScanner(file, size, name)
	if err != nil {
		return nil, fmt.Errorf("tail log segment %s: %w", name, err)
	}
	rec, ok, err := s.at(seal.Offset)
	if err != nil {
		return nil, err
	}
	if !ok || rec.typ != sealRecord {
		return nil, fmt.Errorf("read seal of recording %v: %w", seal.ID, &DamageError{Segment: name, Offset: seal.Offset, Problem: "no valid seal"})
	}
	return parseSeal(rec.payload)
}

func parseSeal(payload []byte) (*recording.Description, error) {
	if len(payload) < 8 {
		return nil, fmt.Errorf("%w: seal", ErrEntry)
	}
	id := recording.ID(binary.LittleEndian.Uint64(payload))
	d, err := recording.ParseDescription(payload[8:])
	if err != nil {
		return nil, fmt.Errorf("seal of recording %v: %w", id, err)
	}
	if d.ID != id {
		return nil, fmt.Errorf("seal of recording %v holds the description of %v", id, d.ID)
	}
	return d, nil
}

// Seals calls yield with the place of each seal in one segment, in order.
func (l *Log) Seals(number uint32, yield func(Seal) error) ([]*DamageError, error) {
	return l.scanSegment(number, func(_ SegmentHeader, rec record) error {
		if rec.typ != sealRecord || len(rec.payload) < 8 {
			return nil
		}
		return yield(Seal{ID: recording.ID(binary.LittleEndian.Uint64(rec.payload)), Segment: number, Offset: rec.offset})
	})
}

// Descriptions calls yield with each seal of one segment and what it says, in order. A seal that can't be understood,
// though its checksum is right, is passed over and counts as damage.
func (l *Log) Descriptions(number uint32, yield func(Seal, *recording.Description) error) ([]*DamageError, error) {
	var senseless []*DamageError
	damage, err := l.scanSegment(number, func(_ SegmentHeader, rec record) error {
		if rec.typ != sealRecord {
			return nil
		}
		d, err := parseSeal(rec.payload)
		if err != nil {
			senseless = append(senseless, &DamageError{Segment: l.Path(number), Offset: rec.offset, Size: int64(len(rec.payload)), Problem: err.Error()})
			return nil
		}
		return yield(Seal{ID: d.ID, Segment: number, Offset: rec.offset}, d)
	})
	return append(damage, senseless...), err
}
