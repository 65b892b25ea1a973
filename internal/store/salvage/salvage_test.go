package salvage_test

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/salvage"
	"nightjar/internal/store/vfs"
)

var picture = media.Track{
	Kind: media.Video, Codec: media.H264, ClockRate: 90_000, SampleEntry: []byte("avc1"), RFC6381: "avc1.4d401e",
	Width: 640, Height: 360, FrameDuration: 9000,
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(fsys *crashfs.FS) archive.Options {
	return archive.Options{Data: "/data", Boot: recording.UUID{1}, FS: fsys, CatalogFS: fsys, Volatile: "/run", BlockBytes: 6 << 20, FlushAfter: 20 * time.Second, Now: time.Now}
}

// live records a minute and more of one camera in recordings of 10 s, two of them over a MiB, deletes the first two, and
// ends in the midst of a recording, or in order. It returns the number of the file operation after which it began.
func live(t *testing.T, fsys *crashfs.FS, orderly bool) (first int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	must(t, catalog.Init(ctx, catalog.Options{FS: fsys, Dir: "/data", Now: time.Now}))
	fsys.Record()
	first = fsys.Seq()
	a, err := archive.Open(ctx, options(fsys))
	must(t, err)
	dir, err := a.AddDirectory(ctx, "/d")
	must(t, err)
	camera, err := a.Catalog().AddCamera(ctx, catalog.Camera{Name: "door", Streams: []catalog.Stream{{Name: "main", Directory: dir.ID, Record: true}}})
	must(t, err)
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	rng := rand.New(rand.NewPCG(1, 2))
	start := media.WallTimeOf(time.Now())
	var ids []recording.ID
	for n := range uint32(8) {
		w, err := a.Begin(archive.Begin{
			Stream: camera.Streams[0].ID, Run: recording.UUID{9}, RunOffset: n, Video: picture, StartFinal: true,
			Start: start.Add(media.WallDuration(n) * 10 * media.TicksPerSecond),
		})
		must(t, err)
		ids = append(ids, w.ID())
		for i := range 100 {
			data := make([]byte, 500+rng.IntN(2000))
			if n >= 5 {
				data = make([]byte, 15_000)
			}
			for k := range data {
				data[k] = byte(rng.Uint32())
			}
			sample := archive.Sample{Track: &picture, Decode: media.Time(9000 * i), Data: data}
			if i%20 == 0 {
				sample.Flags = media.Key
			}
			must(t, w.Append(sample))
			time.Sleep(100 * time.Millisecond)
			if n == 7 && i == 50 && !orderly {
				cancel()
				<-done
				return first
			}
		}
		must(t, w.Finish(archive.End{At: media.Time(9000 * 100), WallDuration: 10 * media.TicksPerSecond}))
		if n == 4 {
			must(t, a.Delete(ctx, ids[:2], recording.Retention))
		}
	}
	cancel()
	must(t, <-done)
	must(t, a.Close())
	return first
}

// lister is what an archive and a salvaged directory have in common.
type lister interface {
	Recordings(ctx context.Context, stream recording.StreamID, start, end media.WallTime, yield func(*recording.Description) bool) error
	Describe(ctx context.Context, id recording.ID) (*recording.Description, error)
}

func list(t *testing.T, l lister) (all []*recording.Description) {
	t.Helper()
	var ids []recording.ID
	must(t, l.Recordings(t.Context(), 1, 0, math.MaxInt64, func(d *recording.Description) bool { ids = append(ids, d.ID); return true }))
	for _, id := range ids {
		d, err := l.Describe(t.Context(), id)
		must(t, err)
		all = append(all, d)
	}
	return all
}

// TestAfterPowerCuts compares what is read from a directory alone, at many instants of a life, with what the archive
// makes of the same state: the same recordings with the same indexes and sums, and bytes that pass their sums.
func TestAfterPowerCuts(t *testing.T) {
	const instants = 10
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New("/data", "/d")
		fsys.Mount("/run", crashfs.MountOptions{Volatile: true})
		first := live(t, fsys, false)
		last := fsys.Seq()
		most := 0
		for i := range instants {
			n := first + (last-first)*(i+1)/instants
			state := fsys.CrashAt(n, crashfs.LoseAll)
			d, err := salvage.Open(t.Context(), state, "/d")
			if err != nil {
				if i > 1 {
					t.Errorf("%s: %v", state.Origin(), err)
				}
				continue // not a sample file directory yet
			}
			got := list(t, d)
			for _, r := range got {
				s, err := d.OpenSamples(r.ID)
				must(t, err)
				if n, err := io.Copy(io.Discard, io.NewSectionReader(s, 0, math.MaxInt64)); n != r.Bytes || err != nil {
					t.Errorf("%s: recording %v: %d of %d bytes, %v", state.Origin(), r.ID, n, r.Bytes, err)
				}
				must(t, s.Close())
			}
			must(t, d.Close())
			a, err := archive.Open(t.Context(), options(state))
			must(t, err)
			want := list(t, a)
			if len(want) > 0 && want[0].ID.N() > 2 { // deleted in the catalog, which the directory need not know yet
				got = slices.DeleteFunc(got, func(d *recording.Description) bool { return d.ID.N() <= 2 })
			}
			same(t, state.Origin(), got, want)
			must(t, a.Close())
			most = max(most, len(got))
		}
		if most < 5 {
			t.Errorf("at most %d recordings were seen", most)
		}
	})
}

func same(t *testing.T, origin string, got, want []*recording.Description) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d recordings, the archive has %d", origin, len(got), len(want))
		return
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.ID != w.ID || g.Start != w.Start || g.WallDuration != w.WallDuration || g.Bytes != w.Bytes || g.CameraName != w.CameraName ||
			!slices.Equal(g.BlockSums, w.BlockSums) || len(g.Tracks) != 1 || !slices.Equal(g.Tracks[0].Index, w.Tracks[0].Index) {
			t.Errorf("%s: recording %v: %+v, the archive says %+v", origin, g.ID, g, w)
		}
	}
}

// TestOrderly: a directory whose server stopped, its streams, and damage of all kinds.
func TestOrderly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New("/data", "/d", "/run")
		live(t, fsys, true)
		d, err := salvage.Open(t.Context(), fsys, "/d")
		must(t, err)
		streams := d.Streams()
		if len(streams) != 1 || streams[0].Camera != "door" || streams[0].Name != "main" || streams[0].Recordings != 6 || len(d.Problems()) > 0 {
			t.Errorf("%+v, %v", streams, d.Problems())
		}
		all := list(t, d)
		if s := streams[0]; s.Start != all[0].Start || s.End != all[5].End() {
			t.Errorf("%+v", s)
		}
		if s, err := d.Find("door", "main"); err != nil || s != streams[0] {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := d.Find("door", "sub"); !errors.Is(err, salvage.ErrNotFound) {
			t.Error(err)
		}
		// Another reader may come, a server may not.
		again, err := salvage.Open(t.Context(), fsys, "/d")
		must(t, err)
		must(t, again.Close())
		if lock, err := fsys.Lock("/d", true); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("%v, %v", lock, err)
		}
		must(t, d.Close())

		large := all[5]
		change(t, fsys, "/d/"+large.ID.FileName(), recording.BlockSize+5)
		change(t, fsys, "/d/"+all[0].ID.FileName(), 10)
		unknown, err := fsys.OpenFile("/d/"+recording.NewID(7, 7).FileName(), vfs.Options{Write: true, Create: true})
		must(t, err)
		must(t, unknown.Close())
		must(t, fsys.Remove("/d/"+all[1].ID.FileName()))
		d, err = salvage.Open(t.Context(), fsys, "/d")
		must(t, err)
		if p := d.Problems(); len(p) != 1 || !strings.HasPrefix(p[0], "1 sample files have no entry") {
			t.Errorf("%q", p)
		}
		if left := list(t, d); len(left) != 5 || left[1].ID != all[2].ID {
			t.Errorf("%d recordings are left", len(left))
		}
		if _, err := d.OpenSamples(all[1].ID); !errors.Is(err, salvage.ErrNotFound) {
			t.Error(err)
		}
		s, err := d.OpenSamples(large.ID)
		must(t, err)
		buf := make([]byte, 100)
		if _, err := s.ReadAt(buf, recording.BlockSize-100); err != nil {
			t.Errorf("the block before the damage: %v", err)
		}
		if n, err := s.ReadAt(buf, recording.BlockSize-50); n != 50 || err == nil || !strings.Contains(err.Error(), "not those that were written") {
			t.Errorf("%d bytes across the damage, %v", n, err)
		}
		must(t, s.Close())
		must(t, d.Close())
	})
}

// change flips a bit of a file.
func change(t *testing.T, fsys vfs.FS, name string, offset int64) {
	t.Helper()
	f, err := fsys.OpenFile(name, vfs.Options{Write: true})
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	must(t, err)
	b[0] ^= 4
	_, err = f.WriteAt(b, offset)
	must(t, errors.Join(err, f.Close()))
}

// TestNoDirectory: places that are no sample file directories, one sentence each.
func TestNoDirectory(t *testing.T) {
	fsys := crashfs.New("/data", "/d")
	for path, want := range map[string]string{"/nowhere": "directory missing", "/d": "no meta file"} {
		if _, err := salvage.Open(t.Context(), fsys, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
