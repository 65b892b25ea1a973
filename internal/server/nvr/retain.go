package nvr

import (
	"context"
	"time"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/retention"
	"nightjar/internal/store/vfs"
)

// retainer makes what keeps the retention limits.
func (n *NVR) retainer() *retention.Runner {
	return retention.New(retention.Options{
		Store: n.catalog, Delete: n.archive.Delete, Now: time.Now, Log: n.o.Log,
		Space: func(d catalog.Directory) (vfs.Space, error) {
			// Where the disk is not mounted, its path is a directory of another one, whose space says nothing.
			if err := n.archive.Err(d.ID); err != nil {
				return vfs.Space{}, err
			}
			return n.fs.Space(d.Path)
		},
		ClockUncertain: func() bool {
			synced, known := clockSynced()
			return known && !synced && time.Now().Year() < 2024
		},
	})
}

// retain keeps them until ctx ends.
func (n *NVR) retain(ctx context.Context) error { return n.retention.Run(ctx) }
