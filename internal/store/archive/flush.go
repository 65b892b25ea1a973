package archive

import (
	"context"
	"errors"
	"time"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// flushLoop flushes until ctx ends: FlushAfter after the first recording that waits was sealed.
func (a *Archive) flushLoop(ctx context.Context) {
	timer := time.NewTimer(a.o.FlushAfter)
	timer.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.flushNow:
			if !waiting {
				timer.Reset(a.o.FlushAfter)
				waiting = true
			}
		case <-timer.C:
			waiting = false
			if err := a.flush(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("recordings could not be entered into the catalog; they are safe in the tail log", "err", err)
				kick(a.flushNow)
			}
		}
		a.topUp(ctx)
	}
}

// flush gives rows to the recordings that are sealed, stores the gaps, and forgets garbage whose files are gone.
func (a *Archive) flush(ctx context.Context) error {
	if a.o.ReadOnly {
		return nil
	}
	a.flushing.Lock()
	defer a.flushing.Unlock()
	a.mu.Lock()
	var batch catalog.Batch
	for _, r := range a.sealed {
		batch.Recordings = append(batch.Recordings, *r)
	}
	batch.Gaps = append(batch.Gaps, a.gaps...)
	forget := a.forget
	a.mu.Unlock()
	sortRecordings(batch.Recordings)

	if len(batch.Recordings)+len(batch.Gaps) > 0 {
		if err := a.flushBatch(ctx, batch); err != nil {
			return err
		}
	}
	if len(forget) > 0 {
		if err := a.catalog.ForgetGarbage(ctx, forget); err != nil {
			return err
		}
		a.mu.Lock()
		a.forget = append([]recording.ID(nil), a.forget[len(forget):]...)
		a.mu.Unlock()
	}
	return nil
}

// flushBatch flushes a batch; if the catalog refuses it as such, piece by piece, so that one bad recording does not keep
// the others out.
func (a *Archive) flushBatch(ctx context.Context, batch catalog.Batch) error {
	err := a.catalog.Flush(ctx, batch)
	if err == nil {
		a.flushed(batch, nil)
		return nil
	}
	if !errors.Is(err, catalog.ErrInvalid) && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	var pieces []catalog.Batch
	for _, r := range batch.Recordings {
		pieces = append(pieces, catalog.Batch{Recordings: []catalog.NewRecording{r}})
	}
	for _, g := range batch.Gaps {
		pieces = append(pieces, catalog.Batch{Gaps: []catalog.Gap{g}})
	}
	for _, piece := range pieces {
		err := a.catalog.Flush(ctx, piece)
		if err != nil && !errors.Is(err, catalog.ErrInvalid) && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		a.flushed(piece, err)
	}
	return nil
}

// flushed takes what the catalog holds now out of the waiting lists. What it refused stays in the log and waits for a
// person.
func (a *Archive) flushed(batch catalog.Batch, refused error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range batch.Recordings {
		if refused != nil {
			a.log.Error("the catalog refuses a recording", "recording", r.ID, "err", refused)
			a.stuck[r.ID] = a.sealed[r.ID]
		}
		delete(a.sealed, r.ID)
	}
	if refused != nil && len(batch.Gaps) > 0 {
		a.log.Error("the catalog refuses a gap", "stream", batch.Gaps[0].Stream, "reason", batch.Gaps[0].Reason, "err", refused)
	}
	a.gaps = append([]catalog.Gap(nil), a.gaps[len(batch.Gaps):]...)
}

// Flush makes rows of everything that is sealed, now.
func (a *Archive) Flush(ctx context.Context) error { return a.flush(ctx) }

// Gap adds an entry to the gap ledger; it is durable with the next flush.
func (a *Archive) Gap(g catalog.Gap) error {
	if !g.Reason.Valid() || !g.Open && g.End < g.Start {
		return catalog.ErrInvalid
	}
	a.mu.Lock()
	a.gaps = append(a.gaps, g)
	a.mu.Unlock()
	kick(a.flushNow)
	return nil
}
