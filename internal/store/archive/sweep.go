package archive

import (
	"context"
	"fmt"
	"time"

	"nightjar/internal/store/recording"
)

// Sweep waits until the files of a stream's deleted recordings are gone too, and are forgotten, so that its rows can be
// removed. It needs Run.
func (a *Archive) Sweep(ctx context.Context, id recording.StreamID) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if err := a.flush(ctx); err != nil {
			return err
		}
		a.mu.Lock()
		dirs := a.directories()
		a.mu.Unlock()
		left := 0
		for _, d := range dirs {
			garbage, err := a.catalog.Garbage(ctx, d.row.ID)
			if err != nil {
				return err
			}
			n := 0
			for _, g := range garbage {
				if g.ID.Stream() == id {
					n++
				}
			}
			if n == 0 {
				continue
			}
			if err := a.Err(d.row.ID); err != nil {
				return fmt.Errorf("%d files of deleted recordings are still in %s: %w", n, d.row.Path, err)
			}
			d.wake(true)
			left += n
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d files of deleted recordings to go: %w", left, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
