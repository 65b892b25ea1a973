package view

import (
	"container/list"
	"context"
	"sync"

	"nightjar/internal/store/recording"
)

// blobCache keeps the blobs of recordings that were read lately, bounded in bytes. Only what will not change any more is
// kept; a recording's blobs are immutable from the moment it stops growing, and its id is never given to another.
type blobCache struct {
	archive Archive
	limit   int64

	mu     sync.Mutex
	known  map[recording.ID]*list.Element // of *recording.Description
	recent list.List                      // latest first
	bytes  int64
}

func newBlobCache(a Archive, limit int64) *blobCache {
	return &blobCache{archive: a, limit: limit, known: map[recording.ID]*list.Element{}}
}

// describe returns a finished recording with its blobs.
func (c *blobCache) describe(ctx context.Context, id recording.ID) (*recording.Description, error) {
	c.mu.Lock()
	if e, ok := c.known[id]; ok {
		c.recent.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*recording.Description), nil
	}
	c.mu.Unlock()
	growing := c.archive.Growing(id) // asked first: what stops growing meanwhile is read once more another time
	d, err := c.archive.Describe(ctx, id)
	if err != nil || growing {
		return d, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[id]; !ok {
		c.known[id] = c.recent.PushFront(d)
		c.bytes += weight(d)
	}
	for c.bytes > c.limit && c.recent.Len() > 0 {
		oldest := c.recent.Remove(c.recent.Back()).(*recording.Description)
		delete(c.known, oldest.ID)
		c.bytes -= weight(oldest)
	}
	return d, nil
}

// weight estimates what a description takes in memory.
func weight(d *recording.Description) int64 {
	n := int64(1024 + 4*len(d.BlockSums))
	for i := range d.Tracks {
		t := &d.Tracks[i]
		n += int64(256 + len(t.Index) + len(t.Extra) + len(t.Layout) + len(t.Entry.Data))
	}
	return n
}
