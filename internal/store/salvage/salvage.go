// Package salvage reads a sample file directory by itself, without catalog or server: a disk that was carried to another
// machine, or whose server is lost.
//
// Nouns: a Directory is the directory as its tail log explains it; a Stream is what it holds of one stream. The seals of
// all segments of the log describe the finished recordings; one that was still being written is taken as far as the log
// calls it good, as a power cut would leave it. A sample file without an entry cannot be read, and is counted. A
// recording that the catalog has deleted but whose file is still there is read like any other.
//
// Invariants: nothing is written; the directory's lock is held for reading, so no server changes it meanwhile. Bytes are
// compared with the checksums of their blocks before they are handed out. Memory: 40 bytes or so per recording, the rest
// is read from the log when it is asked for.
//
// A Directory may be used by several goroutines at once, except Close, which comes last. Formats:
// docs/format/directory-meta.md, docs/format/tail-log.md.
package salvage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// ErrNotFound is wrapped when there is no such recording or stream.
var ErrNotFound = errors.New("not found")

// Stream is what a directory holds of one stream.
type Stream struct {
	ID         recording.StreamID
	UUID       recording.UUID
	CameraUUID recording.UUID
	Camera     string // as it was called last
	Name       string // "main", "sub" or "ext"
	Recordings int
	Bytes      int64
	Start, End media.WallTime // of the first and the last recording
}

// Directory is an open sample file directory.
type Directory struct {
	dir        *sampledir.Dir
	log        *taillog.Log
	streams    []Stream                                      // by camera and name
	recordings map[recording.StreamID][]entry                // by start and id
	order      map[recording.StreamID][]int32                // positions in recordings, by id
	unfinished map[recording.ID]*recording.Description       // with blobs
	seals      map[recording.StreamID]*recording.Description // the latest seal of each stream, without blobs, while opening
	problems   []string
}

// entry is one recording: when it was and where its seal is.
type entry struct {
	id         recording.ID
	start, end media.WallTime
	offset     int64
	segment    uint32 // 0: it is unfinished, there is no seal
}

// Open locks a directory for reading and reads its tail log.
func Open(ctx context.Context, fsys vfs.FS, path string) (*Directory, error) {
	dir, err := sampledir.OpenAlone(fsys, path)
	if err != nil {
		return nil, err
	}
	d := &Directory{
		dir: dir, recordings: make(map[recording.StreamID][]entry), order: make(map[recording.StreamID][]int32),
		unfinished: make(map[recording.ID]*recording.Description), seals: make(map[recording.StreamID]*recording.Description),
	}
	if err := d.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read sample file directory %s: %w", path, err), dir.Close())
	}
	return d, nil
}

// Close gives the lock back.
func (d *Directory) Close() error { return d.dir.Close() }

// Streams lists what there is, by camera and stream.
func (d *Directory) Streams() []Stream { return slices.Clone(d.streams) }

// Problems says, a sentence each, what of the directory can't be read.
func (d *Directory) Problems() []string { return slices.Clone(d.problems) }

// Find returns the stream of a camera, which is given by its name or UUID.
func (d *Directory) Find(camera, name string) (Stream, error) {
	var found []Stream
	for _, s := range d.streams {
		if s.Name == name && (s.Camera == camera || strings.EqualFold(uuidText(s.CameraUUID), camera)) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Stream{}, fmt.Errorf("%s/%s: %w in %s", camera, name, ErrNotFound, d.dir.Path())
	}
	var uuids []string
	for _, s := range found {
		uuids = append(uuids, uuidText(s.CameraUUID))
	}
	return Stream{}, fmt.Errorf("%d cameras were called %q; name one by its UUID: %s", len(found), camera, strings.Join(uuids, ", "))
}

func uuidText(u recording.UUID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// find returns the entry of a recording.
func (d *Directory) find(id recording.ID) (entry, error) {
	list, order := d.recordings[id.Stream()], d.order[id.Stream()]
	i, ok := slices.BinarySearchFunc(order, id, func(at int32, id recording.ID) int { return cmp.Compare(list[at].id, id) })
	if ok {
		return list[order[i]], nil
	}
	return entry{}, fmt.Errorf("recording %v: %w", id, ErrNotFound)
}

// Recordings calls yield, in order of start and id, for each recording of a stream that overlaps [start, end). Index,
// Extra, Layout and BlockSums are nil.
func (d *Directory) Recordings(ctx context.Context, stream recording.StreamID, start, end media.WallTime,
	yield func(*recording.Description) bool) error {
	for _, e := range d.recordings[stream] {
		if e.start >= end {
			return nil
		}
		if e.end <= start {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		full, err := d.describe(e)
		if err != nil {
			return err
		}
		if !yield(brief(full)) {
			return nil
		}
	}
	return nil
}

// Describe returns everything about a recording.
func (d *Directory) Describe(_ context.Context, id recording.ID) (*recording.Description, error) {
	e, err := d.find(id)
	if err != nil {
		return nil, err
	}
	return d.describe(e)
}

func (d *Directory) describe(e entry) (*recording.Description, error) {
	if e.segment == 0 {
		return d.unfinished[e.id], nil
	}
	full, err := d.log.ReadSeal(taillog.Seal{ID: e.id, Segment: e.segment, Offset: e.offset})
	if err == nil && full.ID != e.id {
		err = fmt.Errorf("the seal of recording %v was found in place of that of %v", full.ID, e.id)
	}
	return full, err
}

// Growing reports whether a recording is in progress: none is.
func (d *Directory) Growing(recording.ID) bool { return false }

// OpenSamples opens the bytes of a recording.
func (d *Directory) OpenSamples(id recording.ID) (virtual.Source, error) {
	e, err := d.find(id)
	if err != nil {
		return nil, err
	}
	full, err := d.describe(e)
	if err != nil {
		return nil, err
	}
	file, err := d.dir.FS().Open(d.dir.Join(id.FileName()))
	if err != nil {
		return nil, fmt.Errorf("open sample file %s: %w", id.FileName(), err)
	}
	return &samples{file: file, id: id, size: full.Bytes, sums: full.BlockSums, block: -1}, nil
}

// brief returns a copy without blobs.
func brief(d *recording.Description) *recording.Description {
	c := *d
	c.BlockSums, c.Tracks = nil, slices.Clone(d.Tracks)
	for i := range c.Tracks {
		c.Tracks[i].Index, c.Tracks[i].Extra, c.Tracks[i].Layout = nil, nil, nil
	}
	return &c
}

// byTime orders entries.
func byTime(a, b entry) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id)) }
