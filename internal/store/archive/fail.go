package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// fail puts the directory into its error state: nobody knows what of the writes since the last sync that succeeded is on
// the disk, so all recordings end at what was durable before, and the seconds that are lost go into the gap ledger.
func (d *directory) fail(err error) {
	e := classify(err)
	d.a.log.Error("sample file directory failed; its recordings end", "dir", d.row.Path, "reason", e.Reason, "err", err)
	d.mu.Lock()
	d.err = e
	writers := append([]*Writer(nil), d.writers...)
	d.mu.Unlock()
	d.a.mu.Lock()
	defer d.a.mu.Unlock()
	before := make(map[*stream]media.Duration) // media duration of all earlier recordings of the stream
	for _, w := range writers {
		w.rollBack(e, before)
	}
	for s, cum := range before {
		s.cum = cum
	}
}

// rollBack ends the recording at what is durable. Called with the archive's mu held.
func (w *Writer) rollBack(e *recording.Error, before map[*stream]media.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeFile()
	m := &w.durable
	hadSamples, whole := w.builder.Samples(0) > 0, m.bytes() == w.builder.Bytes()
	was := w.describeLocked(false)
	w.drop()
	w.builder, w.summer, w.entries = recording.Builder{}, m.summer, w.entries[:m.entries]
	m.builder.Save(&w.builder)
	w.stored = m.bytes()
	w.err = e
	if w.stream.writer == w {
		w.stream.writer = nil
	}
	if cum, ok := before[w.stream]; ok {
		w.desc.PrevMediaDuration = cum
	}
	before[w.stream] = w.desc.PrevMediaDuration
	if !w.abandoned && (w.ended == nil || !whole) {
		w.endEarly(e)
	}
	lost := catalog.Gap{Stream: w.stream.id, Start: was.Start, End: was.End(), Reason: e.Reason, Detail: e.Error()}
	if !w.abandoned {
		now := w.describeLocked(false)
		before[w.stream] += now.MediaDuration
		lost.Start = now.End()
	}
	if hadSamples && lost.End > lost.Start {
		w.a.gaps = append(w.a.gaps, lost)
		kick(w.a.flushNow)
	}
}

// endEarly ends the recording after its last durable sample.
func (w *Writer) endEarly(e *recording.Error) {
	w.startFinal = true
	if w.builder.Tracks() == 0 || w.builder.Samples(0) == 0 {
		w.abandoned = true
		return
	}
	w.ended = &taillog.End{Guess: true, Reason: e.Reason, Detail: e.Error(), At: w.builder.LastDecode(0).Add(w.builder.UsualDuration())}
	var d recording.Description
	w.builder.Describe(&d, 0, true, false)
	w.ended.WallDuration = min(d.MediaDuration.AsWall(), catalog.MaxDuration)
}

// reopen tries to make the directory usable again. It reads nothing back: what is claimed was durable before the failure.
func (d *directory) reopen(ctx context.Context) {
	var err error
	switch {
	case d.blocks == nil:
		err = d.openLate(ctx)
	case !d.hasRoom():
		return
	default:
		err = d.begin()
	}
	if err == nil {
		d.a.log.Info("sample file directory is in use again", "dir", d.row.Path)
		return
	}
	e := classify(err)
	d.mu.Lock()
	changed := d.err == nil || d.err.Reason != e.Reason
	d.err = e
	d.mu.Unlock()
	if changed {
		d.a.log.Error("sample file directory can't be used", "dir", d.row.Path, "reason", e.Reason, "err", err)
	}
}

// hasRoom reports whether a directory that failed because it was full has room for another recording of each stream.
// Otherwise to begin again would only be to fail again.
func (d *directory) hasRoom() bool {
	d.mu.Lock()
	full := d.err != nil && d.err.Reason == recording.DiskFull
	d.mu.Unlock()
	if !full {
		return true
	}
	space, err := d.a.fs.Space(d.row.Path)
	if err != nil {
		return true // what opens it will tell
	}
	need := int64(minRoom)
	d.a.mu.Lock()
	defer d.a.mu.Unlock()
	for _, s := range d.a.streams {
		if s.row.Directory == d.row.ID {
			need += s.usual.Load()
		}
	}
	return space.Available >= need
}

// minRoom is what the tail log needs to go on.
const minRoom = 4 << 20

// openLate opens a directory that could not be opened at start-up, as start-up does.
func (d *directory) openLate(ctx context.Context) error {
	d.release()
	row, err := d.a.catalog.Directory(ctx, d.row.ID)
	if err != nil {
		return err
	}
	d.row.Path, d.row.LastCompleteOpen = row.Path, row.LastCompleteOpen
	if err := d.verify(d.a.openedDirs()); err != nil {
		return err
	}
	if err := d.a.catalog.CompleteDirectories(ctx, d.row.ID); err != nil {
		return err
	}
	return d.complete(ctx)
}

// begin goes on after a failure: the directory is verified anew, the files of the ended recordings are cut to what is
// durable, and a new segment of the log seals them.
func (d *directory) begin() error {
	if d.dir != nil {
		if err := d.dir.Close(); err != nil {
			d.a.log.Warn("sample file directory could not be closed", "dir", d.row.Path, "err", err)
		}
		d.setDir(nil)
	}
	dir, err := sampledir.Open(d.a.fs, d.row.Path, sampledir.Expect{
		CatalogUUID: d.a.catalog.UUID(), DirUUID: d.row.UUID, LastCompleteOpen: d.row.LastCompleteOpen,
	}, sampledir.ReadWrite)
	if err != nil {
		return err
	}
	d.setDir(dir)
	d.mu.Lock()
	writers := append([]*Writer(nil), d.writers...)
	d.mu.Unlock()
	carry := taillog.Batch{Removed: append([]recording.ID(nil), d.doomed...), Sealed: d.unflushed()}
	n := len(carry.Sealed)
	for _, w := range writers {
		if w.abandoned { // no other goroutine touches an ended writer's state
			if w.known() {
				carry.Removed = append(carry.Removed, w.id)
			}
			continue
		}
		if err := d.cut(w); err != nil {
			return err
		}
		carry.Sealed = append(carry.Sealed, w.describe(true))
	}
	if err := d.a.fs.SyncDir(d.row.Path); err != nil {
		return fmt.Errorf("sync sample file directory: %w", err)
	}
	now := d.a.o.Now()
	if err := d.log.Begin(&carry, now); err != nil {
		return err
	}
	d.logStarted = now
	for _, w := range writers {
		if w.abandoned {
			if w.known() {
				d.dropped = append(d.dropped, w.id)
			}
			d.remove(w, nil)
			continue
		}
		d.remove(w, carry.Sealed[n])
		n++
	}
	if err := d.unlink(); err != nil {
		return err
	}
	d.tidy() // a disk that fails again and again must not fill up with segments
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	return nil
}

// cut truncates a file to what is durable in it and makes that length durable. It is a new handle: the sync that failed
// is not repeated, and nothing is claimed that it may have lost.
func (d *directory) cut(w *Writer) error {
	file, err := d.a.fs.OpenFile(w.path(), vfs.Options{Write: true})
	if err != nil {
		return fmt.Errorf("open sample file: %w", err)
	}
	// The sync that failed may have been the one after the file got this very length. The length is set anew, by way of
	// another, so that there is something to sync.
	if err = file.Truncate(w.durable.bytes() + 1); err == nil {
		if err = file.Truncate(w.durable.bytes()); err == nil {
			err = file.Sync()
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cut sample file to %d bytes: %w", w.durable.bytes(), err)
	}
	return nil
}

// unflushed lists the descriptions of sealed recordings of this directory that have no row yet.
func (d *directory) unflushed() (list []*recording.Description) {
	d.a.mu.Lock()
	defer d.a.mu.Unlock()
	for _, set := range []map[recording.ID]*catalog.NewRecording{d.a.sealed, d.a.stuck} {
		for _, r := range set {
			if r.Directory == d.row.ID {
				list = append(list, r.Description)
			}
		}
	}
	return list
}

// Bounds of a segment of the log.
const (
	maxSegmentAge  = time.Hour
	maxSegmentSize = 32 << 20
)

// rotate begins a new segment when the present one is old or large, and then tidies up the older ones.
func (d *directory) rotate() {
	now := d.a.o.Now()
	if d.log == nil || d.log.Size() < maxSegmentSize && now.Sub(d.logStarted).Abs() < maxSegmentAge {
		return
	}
	d.mu.Lock()
	failed := d.err != nil
	writers := append([]*Writer(nil), d.writers...)
	d.mu.Unlock()
	if failed {
		return
	}
	carry := taillog.Batch{Sealed: d.unflushed()}
	for _, w := range writers {
		if w.logged.seq > 0 {
			carry.Progress = append(carry.Progress, w.progress(&mark{}))
		}
	}
	if err := d.log.Begin(&carry, now); err != nil {
		d.fail(err)
		return
	}
	d.logStarted = now
	d.tidy()
}
