package catalog

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// countingFS counts the bytes written through it.
type countingFS struct {
	vfs.FS
	written atomic.Int64
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (c *countingFS) OpenFile(name string, o vfs.Options) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, o)
	if err != nil {
		return nil, err
	}
	return countingFile{f, c}, nil
}

func (f countingFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.fs.written.Add(int64(n))
	return n, err
}

func (f countingFile) Sync() error     { return nil } // only sizes matter here
func (f countingFile) Datasync() error { return nil }

// TestWriteCost records two hours of 16 streams, flushed every 2 minutes, then two more while retention deletes as much in batches of 10
// minutes,
// and holds the bytes written, WAL and checkpoints together, to three times the payload: index bytes and 300 for each
// recording.
func TestWriteCost(t *testing.T) {
	counter := &countingFS{FS: vfs.OS()}
	ctx, dir := context.Background(), t.TempDir()
	o := options(dir, ReadWrite)
	o.FS = counter
	if err := Init(ctx, o); err != nil {
		t.Fatal(err)
	}
	f := openFixture(t, o)
	for _, name := range []string{"b", "c", "d", "e", "f", "g", "h"} {
		k := f.camera
		k.Name, k.UUID, k.Streams = name, recording.UUID{}, append([]Stream(nil), k.Streams[:2]...)
		for i := range k.Streams {
			k.Streams[i].UUID = recording.UUID{}
		}
		added, err := f.AddCamera(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		f.camera.Streams = append(f.camera.Streams, added.Streams...)
	}
	all, err := f.Cameras(ctx)
	if err != nil {
		t.Fatal(err)
	}
	owner := make(map[recording.StreamID]recording.UUID)
	for _, k := range all {
		for _, s := range k.Streams {
			owner[s.ID] = k.UUID
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var payload, total int64
	phase := func(from, to uint32, deleting bool) {
		before := counter.written.Load()
		payload = 0
		var old []recording.ID
		for n := from; n < to; n += 2 {
			var b Batch
			for i, s := range f.camera.Streams {
				for k := range uint32(2) {
					d := f.describe(i, n+k, media.WallTimeOf(epoch).Add(media.WallDuration(n+k)*60*media.TicksPerSecond))
					d.CameraUUID = owner[s.ID]
					size := 6000 // measured for 30 pictures a second
					if i%2 == 1 {
						size = 1800 // 10 a second
					}
					d.Tracks[0].Index = make([]byte, size+rng.IntN(200))
					payload += int64(len(d.Tracks[0].Index)) + 300
					b.Recordings = append(b.Recordings, NewRecording{d, f.dir.ID})
					if deleting {
						old = append(old, recording.NewID(s.ID, n+k-from+1))
					}
				}
			}
			if err := f.Flush(ctx, b); err != nil {
				t.Fatal(err)
			}
			if deleting && n%10 == 1 {
				if err := f.MarkGarbage(ctx, old, recording.Retention, 0); err != nil {
					t.Fatal(err)
				}
				if err := f.ForgetGarbage(ctx, old); err != nil {
					t.Fatal(err)
				}
				old = old[:0]
			}
		}
		total = counter.written.Load() - before
		ratio := float64(total) / float64(payload)
		t.Logf("deleting %v: %d bytes written for a payload of %d: %.2f times", deleting, total, payload, ratio)
		if limit := 3.0; ratio > limit {
			t.Errorf("%.2f times the payload, at most %.1f", ratio, limit)
		}
	}
	phase(1, 121, false)
	phase(121, 241, true)
}
