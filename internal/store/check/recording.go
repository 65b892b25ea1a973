package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// describe checks a recording's description in itself: the index of each track against the counts, the chunks against
// the size, the totals against each other.
func (c *checker) describe(dir string, d *recording.Description) {
	bad := func(kind Kind, format string, args ...any) {
		c.report(Finding{
			Kind: kind, Severity: Error, Dir: dir, Recording: d.ID, Detail: fmt.Sprintf(format, args...),
			Hint: "the recording cannot be played as it is; " + catalogHint,
		})
	}
	var total int64
	sound := true
	for i := range d.Tracks {
		t := &d.Tracks[i]
		total += t.Bytes
		if err := compareIndex(t); err != nil {
			bad(BadIndex, "track %d (%v): %v", i, t.Kind, err)
			sound = false
		}
		if err := recording.CheckExtra(t.Extra, t.Samples); err != nil {
			bad(BadIndex, "track %d (%v): %v", i, t.Kind, err)
		}
		if t.Kind == media.Video && t.Entry.ClockRate == media.TicksPerSecond && t.Duration != int64(d.MediaDuration) {
			bad(BadRow, "its media duration is %d, that of its video track %d", d.MediaDuration, t.Duration)
		}
	}
	if total != d.Bytes {
		bad(BadRow, "its size is %d, its tracks add up to %d", d.Bytes, total)
		return
	}
	if want := (d.Bytes + recording.BlockSize - 1) / recording.BlockSize; int64(len(d.BlockSums)) != want {
		bad(BadRow, "it has %d block sums, its size asks for %d", len(d.BlockSums), want)
	}
	if sound {
		c.layout(d, bad)
	}
}

// layout checks that the chunks cover the file without a hole and are as many as each track says.
func (c *checker) layout(d *recording.Description, bad func(Kind, string, ...any)) {
	chunks := make([]int32, len(d.Tracks))
	var covered int64
	err := d.Chunks(func(k recording.Chunk) bool {
		if k.Offset != covered {
			bad(BadLayout, "a chunk begins at %d instead of %d", k.Offset, covered)
		}
		covered = k.Offset + k.Size
		chunks[k.Track]++
		return true
	})
	if err != nil {
		bad(BadLayout, "%v", err)
		return
	}
	if covered != d.Bytes {
		bad(BadLayout, "the chunks cover %d of %d bytes", covered, d.Bytes)
	}
	for i, n := range chunks {
		if n != d.Tracks[i].Chunks {
			bad(BadLayout, "track %d lies in %d chunks, its row says %d", i, n, d.Tracks[i].Chunks)
		}
	}
}

// compareSeal compares a row with the recording's seal, while the tail log still holds that.
func (c *checker) compareSeal(d *directory, row *recording.Description) {
	place, ok := d.tail.Sealed[row.ID]
	if !ok {
		return
	}
	seal, err := d.log.ReadSeal(place)
	if err != nil {
		c.report(Finding{Kind: LogDamaged, Severity: Warning, Dir: d.row.Path, Recording: row.ID, Detail: err.Error(), Hint: diskHint})
		return
	}
	differs := ""
	switch {
	case seal.Bytes != row.Bytes:
		differs = fmt.Sprintf("size: %d sealed, %d in the row", seal.Bytes, row.Bytes)
	case !slices.Equal(seal.BlockSums, row.BlockSums):
		differs = "block sums"
	case seal.StreamUUID != row.StreamUUID || seal.RunUUID != row.RunUUID || seal.RunOffset != row.RunOffset:
		differs = "stream or run"
	case len(seal.Tracks) != len(row.Tracks):
		differs = "number of tracks"
	default:
		for i := range seal.Tracks {
			a, b := &seal.Tracks[i], &row.Tracks[i]
			if !bytes.Equal(a.Index, b.Index) || !bytes.Equal(a.Layout, b.Layout) || !bytes.Equal(a.Extra, b.Extra) {
				differs = fmt.Sprintf("index of track %d", i)
			}
		}
	}
	if differs != "" {
		c.report(Finding{
			Kind: BadRow, Severity: Error, Dir: d.row.Path, Recording: row.ID, Detail: "the row differs from the seal in the tail log: " + differs,
			Hint: catalogHint,
		})
	}
}

// content checks the sample file: its size, and at level Hash its blocks.
func (c *checker) content(ctx context.Context, d *directory, full *recording.Description) error {
	name := d.dir.Join(full.ID.FileName())
	info, err := c.options.FS.Stat(name)
	if err != nil {
		c.unreadable(d, full.ID, err)
		return nil
	}
	if info.Size != full.Bytes {
		c.report(Finding{
			Kind: WrongSize, Severity: Error, Dir: d.row.Path, Recording: full.ID,
			Detail: fmt.Sprintf("the sample file has %d bytes instead of %d", info.Size, full.Bytes),
			Hint:   "bytes are lost or do not belong there; " + diskHint,
		})
	}
	if c.options.Level < Hash {
		return nil
	}
	return c.hash(ctx, d, full, name)
}

// hash reads the sample file and compares the checksum of each block. A block that is cut short does not match.
func (c *checker) hash(ctx context.Context, d *directory, full *recording.Description, name string) error {
	f, err := c.options.FS.Open(name)
	if err != nil {
		c.unreadable(d, full.ID, err)
		return nil
	}
	defer f.Close()
	buf := make([]byte, recording.BlockSize)
	for n, want := range full.BlockSums {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := int64(n) * recording.BlockSize
		size := min(recording.BlockSize, full.Bytes-offset)
		if size <= 0 {
			break // too many sums; describe said so
		}
		got, err := f.ReadAt(buf[:size], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			c.unreadable(d, full.ID, fmt.Errorf("block %d: %w", n, err))
			continue
		}
		c.summary.Bytes += int64(got)
		if sum := recording.BlockSum(full.ID, uint32(n), buf[:got]); sum != want {
			c.report(Finding{
				Kind: WrongHash, Severity: Error, Dir: d.row.Path, Recording: full.ID,
				Detail: fmt.Sprintf("block %d (bytes %d to %d) has CRC32C %08x instead of %08x", n, offset, offset+size, sum, want),
				Hint:   "the disk changed bytes or lost them; " + diskHint,
			})
		}
	}
	// What was read once will hardly be read again soon.
	return f.DropCache(0, full.Bytes)
}
