package catalog

import (
	"context"
	"os"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// TestScale holds opening and listing to their times with 1,000,000 recordings of 16 streams.
func TestScale(t *testing.T) {
	if os.Getenv("NIGHTJAR_LONG") == "" {
		t.Skip("set NIGHTJAR_LONG=1 to make 1,000,000 recordings")
	}
	ctx, dir := context.Background(), t.TempDir()
	if err := Init(ctx, options(dir, ReadWrite)); err != nil {
		t.Fatal(err)
	}
	f := openFixture(t, options(dir, ReadWrite))
	if err := f.writer.db.Exec("pragma synchronous=off"); err != nil { // only while it is filled
		t.Fatal(err)
	}
	const total, batchSize = 1_000_000, 4000
	began := time.Now()
	for n := uint32(1); n <= total/2; n += batchSize / 2 {
		var b Batch
		for k := range uint32(batchSize / 2) {
			for i := range 2 {
				d := f.describe(i, n+k, media.WallTimeOf(epoch).Add(media.WallDuration(n+k)*minute))
				b.Recordings = append(b.Recordings, NewRecording{d, f.dir.ID})
			}
		}
		if err := f.Flush(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rows made in %v", total, time.Since(began))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	c, err := Open(ctx, options(dir, ReadWrite))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dirs, err := c.DirectoryUsage(ctx, f.dir.ID)
	opened := time.Since(began)
	if err != nil || dirs[1].Recordings != total/2 {
		t.Errorf("usage %+v, %v", dirs, err)
	}
	var best time.Duration
	day := media.WallTimeOf(epoch).Add(200_000 * minute)
	for range 5 {
		began, n := time.Now(), 0
		err = c.Recordings(ctx, 1, day, day.Add(24*60*minute), func(*recording.Description) bool { n++; return true })
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
		if err != nil || n != 24*60 {
			t.Errorf("a day has %d recordings, %v", n, err)
		}
	}
	began = time.Now()
	var ids []recording.ID
	old, err := c.Oldest(ctx, 1, f.dir.ID, 100)
	for _, b := range old {
		ids = append(ids, b.ID)
	}
	if err != nil || len(ids) != 100 {
		t.Fatalf("oldest: %v, %v", ids, err)
	}
	if err := c.MarkGarbage(ctx, ids, recording.Retention, 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("open %v, a day's list %v, 100 oldest deleted in %v", opened, best, time.Since(began))
	// Times fail at four times their criterion, 1 s and 10 ms: the machine may be busy.
	if opened > 4*time.Second || best > 40*time.Millisecond {
		t.Errorf("open took %v, a day's list %v", opened, best)
	}
}
