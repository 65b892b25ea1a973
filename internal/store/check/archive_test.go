package check

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

var picture = media.Track{
	Kind: media.Video, Codec: media.H264, ClockRate: 90_000, SampleEntry: []byte("avc1"), RFC6381: "avc1.4d401e",
	Width: 640, Height: 360, FrameDuration: 9000,
}

// lifeOptions are those of an archive that lives in one file system, catalog included.
func lifeOptions(fsys *crashfs.FS) archive.Options {
	return archive.Options{Data: "/data", Boot: recording.UUID{1}, FS: fsys, CatalogFS: fsys, Volatile: "/run", BlockBytes: 3 << 20, FlushAfter: 20 * time.Second, Now: time.Now}
}

// live records about two minutes of one camera in recordings of 10 s, deletes some, and stops in the middle of one; at
// the end the archive is closed if orderly. It returns the number of the file operation after which it began.
func live(t *testing.T, fsys *crashfs.FS, orderly bool) (first int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	must(t, catalog.Init(ctx, catalog.Options{FS: fsys, Dir: "/data", Now: time.Now}))
	fsys.Record()
	first = fsys.Seq()
	a, err := archive.Open(ctx, lifeOptions(fsys))
	must(t, err)
	dir, err := a.AddDirectory(ctx, "/d")
	must(t, err)
	camera, err := a.Catalog().AddCamera(ctx, catalog.Camera{Name: "door", Streams: []catalog.Stream{{Name: "main", Directory: dir.ID, Record: true}}})
	must(t, err)
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	rng := rand.New(rand.NewPCG(1, 1))
	start := media.WallTimeOf(time.Now())
	var ids []recording.ID
	for n := range uint32(12) {
		w, err := a.Begin(archive.Begin{
			Stream: camera.Streams[0].ID, Run: recording.UUID{9}, RunOffset: n, Video: picture, StartFinal: true,
			Start: start.Add(media.WallDuration(n) * 10 * media.TicksPerSecond),
		})
		must(t, err)
		ids = append(ids, w.ID())
		for i := range 100 {
			data := make([]byte, 500+rng.IntN(4000))
			sample := archive.Sample{Track: &picture, Decode: media.Time(9000 * i), Data: data}
			if i%20 == 0 {
				sample.Flags = media.Key
			}
			must(t, w.Append(sample))
			time.Sleep(100 * time.Millisecond)
			if n == 11 && i == 50 && !orderly {
				cancel()
				<-done
				return first
			}
		}
		must(t, w.Finish(archive.End{At: media.Time(9000 * 100), WallDuration: 10 * media.TicksPerSecond}))
		if n == 6 {
			must(t, a.Delete(ctx, ids[:2], recording.Retention))
		}
	}
	cancel()
	must(t, <-done)
	must(t, a.Close())
	return first
}

// examine checks a store at level Hash and fails on anything but notes.
func examine(t *testing.T, fsys *crashfs.FS, when string) Summary {
	t.Helper()
	sum, err := Run(context.Background(), Options{FS: fsys, Data: "/data", Level: Hash, Now: time.Now}, func(f Finding) {
		if f.Severity != Info {
			t.Errorf("%s, %s: %v", fsys.Origin(), when, f)
		}
	})
	if err != nil {
		t.Fatalf("%s, %s: %v", fsys.Origin(), when, err)
	}
	return sum
}

// TestArchiveHealthy lets the real archive record and delete, and expects nothing to be found.
func TestArchiveHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New("/data", "/d", "/run")
		live(t, fsys, true)
		found := 0
		sum, err := Run(context.Background(), Options{FS: fsys, Data: "/data", Level: Hash, Now: time.Now}, func(f Finding) {
			t.Errorf("found %v", f)
			found++
		})
		if err != nil || sum.Recordings != 10 || sum.Bytes == 0 || found > 0 {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}

// TestArchiveCrashed cuts the power at many instants of that life: the store must be clean as it is found, and clean
// after the next start.
func TestArchiveCrashed(t *testing.T) {
	instants := 12
	if os.Getenv("NIGHTJAR_LONG") != "" {
		instants = 300
	}
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New("/data", "/d")
		fsys.Mount("/run", crashfs.MountOptions{Volatile: true})
		first := live(t, fsys, false)
		for i := range instants {
			n := first + (fsys.Seq()-first)*(i+1)/instants
			states := []*crashfs.FS{fsys.KillAt(n), fsys.CrashAt(n, crashfs.LoseAll), fsys.CrashAt(n, crashfs.KeepAll), fsys.CrashAt(n, crashfs.Random(uint64(i)))}
			for _, state := range states {
				examine(t, state, "as found")
				a, err := archive.Open(t.Context(), lifeOptions(state))
				if err != nil {
					t.Fatalf("%s: %v", state.Origin(), err)
				}
				must(t, a.Close())
				examine(t, state, "after the next start")
			}
		}
	})
}
