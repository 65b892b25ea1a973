package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
)

// Delete deletes recordings, for a reason that the gap ledger keeps. When it returns their rows are gone, durably; the
// files follow at the next tick of their directories: log, unlink, directory sync, and only then the garbage row goes.
// Those that are only sealed get their rows first; recordings in progress can't be deleted.
func (a *Archive) Delete(ctx context.Context, ids []recording.ID, reason recording.Reason) error {
	flush := false
	a.mu.Lock()
	for _, id := range ids {
		if a.live[id] != nil {
			a.mu.Unlock()
			return fmt.Errorf("delete recording %v: it is in progress: %w", id, catalog.ErrInUse)
		}
		flush = flush || a.sealed[id] != nil
	}
	a.mu.Unlock()
	if flush {
		if err := a.flush(ctx); err != nil {
			return err
		}
	}
	if err := a.catalog.MarkGarbage(ctx, ids, reason, media.WallTimeOf(a.o.Now())); err != nil {
		return err
	}
	return a.collect(ctx)
}

// collect hands the garbage that no directory knows of yet to the directories.
func (a *Archive) collect(ctx context.Context) error {
	a.mu.Lock()
	dirs := a.directories()
	a.mu.Unlock()
	for _, d := range dirs {
		garbage, err := a.catalog.Garbage(ctx, d.row.ID)
		if err != nil {
			return err
		}
		if len(garbage) == 0 {
			continue
		}
		d.mu.Lock()
		d.removals = d.removals[:0]
		for _, g := range garbage {
			d.removals = append(d.removals, g.ID)
		}
		d.mu.Unlock()
	}
	return nil
}

// sealWait is how long DeleteStream waits for recordings that have just ended.
const sealWait = 15 * time.Second

// DeleteStream deletes all recordings of a stream that has none in progress. One that has just ended is waited for.
func (a *Archive) DeleteStream(ctx context.Context, id recording.StreamID, reason recording.Reason) error {
	wait, cancel := context.WithTimeout(ctx, sealWait)
	defer cancel()
	if err := a.awaitSeals(wait, id); err != nil {
		return err
	}
	if err := a.flush(ctx); err != nil {
		return err
	}
	for {
		var ids []recording.ID
		err := a.catalog.Recordings(ctx, id, math.MinInt64/2, math.MaxInt64, func(d *recording.Description) bool {
			ids = append(ids, d.ID)
			return len(ids) < 256
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := a.Delete(ctx, ids, reason); err != nil {
			return err
		}
	}
}

// awaitSeals waits until all recordings of a stream that have ended are sealed.
func (a *Archive) awaitSeals(ctx context.Context, id recording.StreamID) error {
	for {
		var w *Writer
		a.mu.Lock()
		for live, writer := range a.live {
			if live.Stream() == id {
				w = writer
			}
		}
		running := a.start != nil
		a.mu.Unlock()
		switch {
		case w == nil:
			return nil
		case a.Growing(w.id) || !running:
			return fmt.Errorf("delete stream %d: recording %v is in progress: %w", id, w.id, catalog.ErrInUse)
		}
		w.d.wake(true)
		select {
		case <-w.done:
		case <-ctx.Done():
			return fmt.Errorf("delete stream %d: recording %v is not complete yet, its disk may be in trouble; try again: %w", id, w.id, catalog.ErrInUse)
		}
	}
}

// AddDirectory makes an existing, empty directory one of this archive.
func (a *Archive) AddDirectory(ctx context.Context, path string) (catalog.Directory, error) {
	var row catalog.Directory
	if a.o.ReadOnly {
		return row, catalog.ErrReadOnly
	}
	dir, err := sampledir.Create(a.fs, path, a.catalog.UUID(), a.catalog.CurrentOpen().OpenRef, a.openedDirs()...)
	if err != nil {
		return row, err
	}
	row, err = a.catalog.AddDirectory(ctx, catalog.Directory{UUID: dir.UUID(), Path: path})
	if err != nil {
		return row, errors.Join(err, dir.Close())
	}
	d := newDirectory(a, row)
	d.dir = dir
	if err := d.complete(ctx); err != nil {
		d.refuse(err) // it has its row: Run goes on trying
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dirs[row.ID] = d
	if a.start != nil {
		a.start(d)
	}
	return row, err
}

// RemoveDirectory forgets a directory that holds no recordings any more and that no stream uses.
func (a *Archive) RemoveDirectory(ctx context.Context, id catalog.DirectoryID) error {
	a.mu.Lock()
	d := a.dirs[id]
	running := a.start != nil
	a.mu.Unlock()
	if d == nil {
		return fmt.Errorf("directory %d: %w", id, catalog.ErrNotFound)
	}
	if err := a.flush(ctx); err != nil {
		return err
	}
	usage, err := a.catalog.DirectoryUsage(ctx, id)
	if err != nil {
		return err
	}
	for stream, u := range usage {
		if u.Recordings > 0 {
			return fmt.Errorf("directory %s holds %d recordings of stream %d; delete them first: %w", d.row.Path, u.Recordings, stream, catalog.ErrInUse)
		}
	}
	d.mu.Lock()
	busy := len(d.writers) + len(d.removals)
	if busy == 0 {
		d.closed = true
	}
	d.mu.Unlock()
	if busy > 0 {
		return fmt.Errorf("directory %s is still being written; try again: %w", d.row.Path, catalog.ErrInUse)
	}
	if running {
		close(d.quit)
		<-d.done
	}
	a.mu.Lock()
	delete(a.dirs, id)
	a.mu.Unlock()
	if d.dir != nil {
		err = d.dir.Delete(a.catalog.CurrentOpen().OpenRef)
	}
	if err == nil {
		err = a.catalog.RemoveDirectory(ctx, id)
	}
	return errors.Join(err, d.close())
}
