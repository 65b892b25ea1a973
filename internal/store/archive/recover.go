package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// recovery is what start-up finds out about one directory and what it makes of it.
type recovery struct {
	d         *directory
	log       *taillog.Log
	state     *taillog.State
	survivors *taillog.Survivors
	reason    recording.Reason
	garbage   []recording.ID
	missing   map[recording.ID]bool // sealed, but without row or garbage row

	complete []*recording.Description // to be sealed anew, or sealed already, and to get rows; by id
	again    map[recording.ID]bool    // those of them that are sealed already
	empty    []recording.ID           // recordings without a single good sample
	lost     []catalog.Gap
}

// recover completes what an earlier process left: it replays the log and the open blocks, finishes each unfinished
// recording at its last good sample, seals it in a new segment, gives rows to whatever is sealed without one, unlinks
// garbage, and quarantines sample files that nothing knows of. Cut short at any point, it can be done again.
func (d *directory) recover(ctx context.Context) error {
	open := d.a.catalog.CurrentOpen()
	identity := taillog.Identity{Directory: d.row.UUID, Boot: d.a.o.Boot, Open: open.UUID, OpenID: open.ID}
	log, state, err := taillog.Open(d.a.fs, d.row.Path, identity)
	if err != nil {
		return err
	}
	for _, damage := range state.Damage {
		d.a.log.Error("tail log is damaged", "dir", d.row.Path, "err", damage)
	}
	r := &recovery{d: d, log: log, state: state, reason: recording.PowerCut, missing: make(map[recording.ID]bool), again: make(map[recording.ID]bool)}
	if state.Header.Identity.Boot == d.a.o.Boot {
		r.reason = recording.ServerKilled
	}
	paths := d.a.blocksPaths(d.row.UUID, d.row.Path)
	for _, path := range paths {
		if !state.Found || r.survivors != nil {
			break
		}
		if r.survivors, err = taillog.OpenSurvivors(d.a.fs, path, state.Header.Identity, d.a.o.Boot); err != nil {
			return err
		}
	}
	err = r.completeAll(ctx)
	if err = errors.Join(err, r.survivors.Close()); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	if err := d.makeBlocks(identity, paths); err != nil {
		return err
	}
	return r.catalogue(ctx)
}

// makeBlocks makes the open blocks anew, at the first place that has room for them.
func (d *directory) makeBlocks(identity taillog.Identity, paths []string) error {
	n := int(min(d.a.totalBlocks, 1<<11))
	var errs []error
	for _, path := range paths {
		blocks, err := taillog.CreateBlocks(d.a.fs, path, identity, n, max(4*n, 256))
		if err != nil {
			d.a.log.Warn("open blocks can't be there", "path", path, "err", err)
			errs = append(errs, err)
			continue
		}
		d.mu.Lock()
		d.blocks, d.blocksName = blocks, path
		d.mu.Unlock()
		for _, other := range paths {
			if other != path {
				_ = d.a.fs.Remove(other) // of an earlier time; it is worth nothing any more
			}
		}
		return nil
	}
	return errors.Join(errs...)
}

// completeAll finds out what there is and finishes the files.
func (r *recovery) completeAll(ctx context.Context) error {
	garbage, err := r.d.a.catalog.Garbage(ctx, r.d.row.ID)
	if err != nil {
		return err
	}
	for _, g := range garbage {
		r.garbage = append(r.garbage, g.ID)
	}
	var sealed []recording.ID
	for id := range r.state.Sealed {
		sealed = append(sealed, id)
	}
	slices.Sort(sealed)
	missing, err := r.d.a.catalog.Missing(ctx, sealed)
	if err != nil {
		return err
	}
	for _, id := range missing {
		if err := r.sealedWithoutRow(r.state.Sealed[id]); err != nil {
			return err
		}
	}
	for _, id := range r.unfinished() {
		if err := r.finish(id); err != nil {
			return err
		}
	}
	if err := r.leftovers(ctx); err != nil {
		return err
	}
	slices.SortFunc(r.complete, func(a, b *recording.Description) int { return cmp.Compare(a.ID, b.ID) })
	return r.chain(ctx)
}

// unfinished lists the recordings that the log calls open, and those that only the open blocks know.
func (r *recovery) unfinished() (ids []recording.ID) {
	for id := range r.state.Open {
		ids = append(ids, id)
	}
	for _, id := range r.survivors.Recordings() {
		_, sealed := r.state.Sealed[id]
		if r.state.Open[id] == nil && !sealed && !r.state.Removed[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// sealedWithoutRow takes up a recording that was complete, but whose row was not flushed, or is not in this copy of the
// catalog.
func (r *recovery) sealedWithoutRow(seal taillog.Seal) error {
	d, err := r.log.ReadSeal(seal)
	if err != nil {
		return err
	}
	info, err := r.d.a.fs.Stat(r.d.join(d.ID))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.gone(d, "its sample file is gone")
		return nil
	case err != nil:
		return fmt.Errorf("look at sample file: %w", err)
	case info.Size < d.Bytes:
		r.d.a.log.Error("sample file of a complete recording is shorter than it was", "recording", d.ID, "bytes", info.Size, "want", d.Bytes)
	case info.Size > d.Bytes: // a cut that was not durable
		if err := r.truncate(d.ID, d.Bytes); err != nil {
			return err
		}
	}
	r.missing[d.ID] = true
	r.complete = append(r.complete, d)
	r.again[d.ID] = true
	return nil
}

// gone reports a recording whose bytes vanished, though nothing of ours removed them.
func (r *recovery) gone(d *recording.Description, detail string) {
	r.d.a.log.Error("recording is lost", "recording", d.ID, "dir", r.d.row.Path, "detail", detail)
	r.lost = append(r.lost, catalog.Gap{Stream: d.ID.Stream(), Start: d.Start, End: d.End(), Reason: recording.Damaged, Detail: detail})
	r.empty = append(r.empty, d.ID)
}

func (r *recovery) truncate(id recording.ID, size int64) error {
	file, err := r.d.a.fs.OpenFile(r.d.join(id), vfs.Options{Write: true})
	if err != nil {
		return fmt.Errorf("open sample file: %w", err)
	}
	if err = file.Truncate(size); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cut sample file to %d bytes: %w", size, err)
	}
	return nil
}

// finish brings one unfinished recording to its end.
func (r *recovery) finish(id recording.ID) error {
	rec := r.state.Open[id]
	known := rec != nil
	if !known {
		rec = new(taillog.Recording)
	}
	file, err := r.d.a.fs.OpenFile(r.d.join(id), vfs.Options{Write: true})
	if errors.Is(err, fs.ErrNotExist) {
		if known && rec.Builder.Bytes() > 0 {
			d := r.describe(rec)
			r.gone(d, "its sample file is gone")
			return nil
		}
		if r.survivors == nil {
			r.empty = append(r.empty, id)
			return nil
		}
		file, err = r.d.a.fs.OpenFile(r.d.join(id), vfs.Options{Write: true, Create: true, Exclusive: true})
	}
	if err != nil {
		return fmt.Errorf("open sample file: %w", err)
	}
	claimed := rec.Builder.Bytes()
	rec, err = r.mend(id, rec, file)
	if err == nil && rec.Builder.Tracks() > 0 && rec.Builder.Samples(0) > 0 && !rec.Abandoned {
		if err = file.Truncate(rec.Builder.Bytes()); err == nil {
			err = file.Sync()
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("complete sample file of recording %v: %w", id, err)
	}
	if rec.Abandoned || rec.Builder.Tracks() == 0 || rec.Builder.Samples(0) == 0 {
		r.empty = append(r.empty, id)
		if claimed > 0 && !rec.Abandoned {
			return r.putAside([]recording.ID{id}) // it once held samples
		}
		return nil
	}
	d := r.describe(rec)
	r.d.a.log.Info("recording completed", "recording", id, "bytes", d.Bytes, "reason", r.reason)
	r.complete = append(r.complete, d)
	return nil
}

// mend compares what the log claims with the file, and adds what survived in the open blocks. A file that is too short is
// believed as far as it goes. Bytes that changed stay what they are, with the checksum that they should have: readers are
// told, and nothing is thrown away that somebody may make sense of.
func (r *recovery) mend(id recording.ID, rec *taillog.Recording, file vfs.File) (*taillog.Recording, error) {
	size, err := file.Size()
	if err != nil {
		return rec, err
	}
	if size < rec.Builder.Bytes() {
		r.d.a.log.Error("sample file holds less than was synced", "recording", id, "bytes", size, "want", rec.Builder.Bytes())
		was := r.describe(rec)
		if rec, err = rec.Limit(size); err != nil {
			return rec, err
		}
		if rec.Summer, err = sum(id, file, rec.Builder.Bytes()); err == nil {
			r.lost = append(r.lost, catalog.Gap{
				Stream: id.Stream(), Start: r.describe(rec).End(), End: was.End(), Reason: recording.Damaged, Detail: "the sample file lost its end",
			})
		}
		return rec, err
	}
	if partial, n := rec.Summer.Partial(); n > 0 {
		block := len(rec.Summer.Full(0))
		ok, err := fits(id, file, block, n, partial)
		if err != nil {
			return rec, err
		}
		if !ok {
			r.d.a.log.Error("sample file does not hold what was synced", "err", &DamageError{ID: id, Block: block, Path: r.d.join(id)})
		}
	}
	won, err := r.survivors.Extend(id, rec, file)
	if won > 0 {
		r.d.a.log.Info("samples survived in memory", "recording", id, "samples", won)
	}
	return rec, err
}

func fits(id recording.ID, file vfs.File, block, n int, want uint32) (bool, error) {
	data := make([]byte, n)
	if m, err := file.ReadAt(data, int64(block)*recording.BlockSize); err != nil && !(errors.Is(err, io.EOF) && m == n) {
		return false, fmt.Errorf("read sample file: %w", err)
	}
	return recording.BlockSum(id, uint32(block), data) == want, nil
}

func sum(id recording.ID, file vfs.File, size int64) (recording.Summer, error) {
	s := recording.NewSummer(id)
	_, err := io.Copy(&s, io.NewSectionReader(file, 0, size))
	if err != nil {
		err = fmt.Errorf("read sample file: %w", err)
	}
	return s, err
}

// describe makes the description of a recording that ends where it was cut short.
func (r *recovery) describe(rec *taillog.Recording) *recording.Description {
	d := rec.Description
	end := rec.Ended
	if end == nil {
		end = &taillog.End{Guess: true, Reason: r.reason, Detail: r.detail()}
	}
	d.Flags |= recording.Recovered
	rec.Builder.Describe(&d, end.At, end.Guess, true)
	d.BlockSums = rec.Summer.Sums()
	d.StartCorrection, d.EndReason, d.EndDetail = end.StartCorrection, end.Reason, end.Detail
	if d.WallDuration = end.WallDuration; rec.Ended == nil {
		d.WallDuration = min(d.MediaDuration.AsWall(), catalog.MaxDuration) // the camera's clock is all there is
	}
	return &d
}

func (r *recovery) detail() string {
	if r.reason == recording.ServerKilled {
		return "the server ended without warning"
	}
	return "the machine went down without warning"
}

// chain links the recovered recordings of each stream: sums of media durations, and an end for a run that nobody ended.
func (r *recovery) chain(ctx context.Context) error {
	cum := make(map[recording.StreamID]media.Duration)
	last := make(map[recording.StreamID]*recording.Description)
	for _, d := range r.complete {
		s, err := r.d.a.loadStream(ctx, d.ID.Stream())
		if errors.Is(err, catalog.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		sum, ok := cum[s.id]
		if !ok {
			sum = s.cum
		}
		if !r.again[d.ID] {
			d.PrevMediaDuration = sum
		}
		cum[s.id] = d.PrevMediaDuration + d.MediaDuration
		last[s.id] = d
		r.d.a.mu.Lock()
		s.cum = max(s.cum, cum[s.id])
		r.d.a.mu.Unlock()
	}
	for _, d := range last {
		if d.EndReason == "" {
			d.EndReason, d.EndDetail = r.reason, r.detail()
			r.again[d.ID] = false
		}
	}
	return nil
}

// begin makes the result durable in a new segment, then unlinks.
func (r *recovery) begin() error {
	d := r.d
	if err := d.a.fs.SyncDir(d.row.Path); err != nil {
		return fmt.Errorf("sync sample file directory: %w", err)
	}
	carry := taillog.Batch{Sealed: r.complete, Removed: append(slices.Clone(r.garbage), r.empty...)}
	now := d.a.o.Now()
	if err := r.log.Begin(&carry, now); err != nil {
		return err
	}
	d.log, d.logStarted = r.log, now
	d.doomed, d.dropped = append(d.doomed, r.garbage...), append(d.dropped, r.empty...)
	return d.unlink()
}

// catalogue puts the rows of what was recovered into the next flush, and the outage into the gap ledger.
func (r *recovery) catalogue(ctx context.Context) error {
	a := r.d.a
	gaps, err := r.outages(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range r.complete {
		a.sealed[d.ID] = &catalog.NewRecording{Description: d, Directory: r.d.row.ID}
	}
	a.gaps = append(append(a.gaps, r.lost...), gaps...)
	return nil
}

// quarantine is where sample files go that nothing knows of.
const quarantine = "quarantine"

// leftovers looks for sample files that were begun, but are in no durable entry: their names are among the ids reserved
// last. Those that an older segment of the log knows get their rows back; the others are put aside, never unlinked.
func (r *recovery) leftovers(ctx context.Context) error {
	streams, err := r.d.a.catalog.Streams(ctx)
	if err != nil {
		return err
	}
	highest := r.highest()
	var found []recording.ID
	for _, s := range streams {
		low, high := uint32(1), max(s.NextN, highest[s.ID]+reserveIDs)
		if high > 3*reserveIDs {
			low = high - 3*reserveIDs
		}
		for n := low; n < high; n++ {
			id := recording.NewID(s.ID, n)
			if r.knows(id) {
				continue
			}
			if _, err := r.d.a.fs.Stat(r.d.join(id)); err == nil {
				found = append(found, id)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("look for sample file: %w", err)
			}
		}
		if highest[s.ID] >= s.NextN { // the catalog is an older copy
			if err := r.d.a.catalog.RaiseNextID(ctx, s.ID, highest[s.ID]+1); err != nil {
				return err
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	unknown, err := r.d.a.catalog.Missing(ctx, found)
	if err != nil {
		return err
	}
	return r.explain(unknown)
}

// highest returns the highest number of each stream that the log knows.
func (r *recovery) highest() map[recording.StreamID]uint32 {
	highest := make(map[recording.StreamID]uint32)
	note := func(id recording.ID) { highest[id.Stream()] = max(highest[id.Stream()], id.N()) }
	for id := range r.state.Open {
		note(id)
	}
	for id := range r.state.Sealed {
		note(id)
	}
	for id := range r.state.Removed {
		note(id)
	}
	for _, id := range r.survivors.Recordings() {
		note(id)
	}
	return highest
}

// knows reports whether the replayed part of the log, or the recovery so far, accounts for a file.
func (r *recovery) knows(id recording.ID) bool {
	_, sealed := r.state.Sealed[id]
	return sealed || r.state.Open[id] != nil || slices.Contains(r.empty, id) ||
		slices.ContainsFunc(r.complete, func(d *recording.Description) bool { return d.ID == id })
}

// explain looks through older segments for the seals of files without rows, and quarantines what is left.
func (r *recovery) explain(unknown []recording.ID) error {
	segments := r.log.Segments()
	for _, number := range slices.Backward(segments) {
		if len(unknown) == 0 {
			return nil
		}
		_, err := r.log.Seals(number, func(seal taillog.Seal) error {
			i := slices.Index(unknown, seal.ID)
			if i < 0 {
				return nil
			}
			unknown = slices.Delete(unknown, i, i+1)
			return r.sealedWithoutRow(seal)
		})
		if err != nil {
			return err
		}
	}
	return r.putAside(unknown)
}

func (r *recovery) putAside(ids []recording.ID) error {
	if len(ids) == 0 {
		return nil
	}
	fsys, aside := r.d.a.fs, filepath.Join(r.d.row.Path, quarantine)
	if err := fsys.Mkdir(aside); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make quarantine: %w", err)
	}
	for _, id := range ids {
		r.d.a.log.Warn("sample file that nothing knows of is put aside", "recording", id, "dir", r.d.row.Path)
		if err := fsys.Rename(r.d.join(id), filepath.Join(aside, id.FileName())); err != nil {
			return fmt.Errorf("quarantine sample file: %w", err)
		}
	}
	if err := fsys.SyncDir(aside); err != nil {
		return fmt.Errorf("sync quarantine: %w", err)
	}
	return fsys.SyncDir(r.d.row.Path)
}
