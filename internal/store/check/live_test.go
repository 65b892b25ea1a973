package check

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// slowFS lets time pass before each operation, so that between any two readings of a check recordings go on, end, get
// their rows and are deleted.
type slowFS struct {
	vfs.FS
	mu  sync.Mutex
	rng *rand.Rand
	max time.Duration
}

func (s *slowFS) pass() {
	s.mu.Lock()
	d := time.Duration(s.rng.Int64N(int64(s.max)))
	if s.rng.IntN(20) == 0 {
		d *= 20
	}
	s.mu.Unlock()
	time.Sleep(d)
}

func (s *slowFS) Open(name string) (vfs.File, error)    { s.pass(); return s.FS.Open(name) }
func (s *slowFS) Stat(name string) (vfs.Info, error)    { s.pass(); return s.FS.Stat(name) }
func (s *slowFS) ReadDir(name string) ([]string, error) { s.pass(); return s.FS.ReadDir(name) }

// busy is an archive at work: streams that record short recordings, and a retention that deletes the oldest.
type busy struct {
	t       *testing.T
	fsys    *crashfs.FS
	a       *archive.Archive
	streams []recording.StreamID
	kept    sync.Map // recording.ID of those that are not to be deleted
	deleted int
	stop    func()
}

// keep is how many recordings of a stream are left.
const keep = 5

func startBusy(t *testing.T, dirs int) *busy {
	b := &busy{t: t, fsys: crashfs.New("/data", "/d0", "/d1", "/run")}
	ctx, cancel := context.WithCancel(t.Context())
	must(t, catalog.Init(ctx, catalog.Options{FS: b.fsys, Dir: "/data", Now: time.Now}))
	a, err := archive.Open(ctx, b.options())
	must(t, err)
	b.a = a
	for i := range dirs {
		dir, err := a.AddDirectory(ctx, fmt.Sprintf("/d%d", i))
		must(t, err)
		camera, err := a.Catalog().AddCamera(ctx, catalog.Camera{Name: fmt.Sprint("camera ", i), Streams: []catalog.Stream{
			{Name: "main", Directory: dir.ID, Record: true}, {Name: "sub", Directory: dir.ID, Record: true},
		}})
		must(t, err)
		for _, s := range camera.Streams {
			b.streams = append(b.streams, s.ID)
		}
	}
	var group sync.WaitGroup
	outer, end := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(outer) }()
	for i, s := range b.streams {
		group.Go(func() { b.record(ctx, s, rand.New(rand.NewPCG(7, uint64(i)))) })
	}
	group.Go(func() { b.retain(ctx) })
	b.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		end()
		must(t, <-done)
		must(t, a.Close())
	})
	return b
}

func (b *busy) options() archive.Options {
	return archive.Options{
		Data: "/data", Boot: recording.UUID{1}, FS: b.fsys, CatalogFS: b.fsys, Volatile: "/run", BlockBytes: 6 << 20,
		FlushAfter: 20 * time.Second, Now: time.Now,
	}
}

// record makes one recording after the other, of 1 to 12 s; now and then one is given up.
func (b *busy) record(ctx context.Context, s recording.StreamID, rng *rand.Rand) {
	for n := uint32(0); ctx.Err() == nil; n++ {
		w, err := b.a.Begin(archive.Begin{
			Stream: s, Run: recording.UUID{byte(s), 1}, RunOffset: n, Video: picture, StartFinal: true, Start: media.WallTimeOf(time.Now()),
		})
		if err != nil {
			b.t.Error(err)
			return
		}
		count := 1 + rng.IntN(12)
		for i := range count {
			data := make([]byte, 200+rng.IntN(10_000))
			sample := archive.Sample{Track: &picture, Decode: media.Time(90_000 * i), Data: data}
			if i%4 == 0 {
				sample.Flags = media.Key
			}
			if err := w.Append(sample); err != nil {
				b.t.Error(err)
				return
			}
			time.Sleep(time.Second)
		}
		if rng.IntN(8) == 0 {
			w.Abandon(recording.ProtocolError, "")
			continue
		}
		if err := w.Finish(archive.End{At: media.Time(90_000 * count), WallDuration: media.WallDuration(90_000 * count)}); err != nil {
			b.t.Error(err)
		}
	}
}

// retain deletes what is more than keep.
func (b *busy) retain(ctx context.Context) {
	for ctx.Err() == nil {
		for _, s := range b.streams {
			var ids []recording.ID
			must(b.t, b.a.Catalog().Briefs(context.Background(), s, func(r catalog.Brief) bool {
				if _, kept := b.kept.Load(r.ID); !kept {
					ids = append(ids, r.ID)
				}
				return true
			}))
			if n := len(ids) - keep; n > 0 {
				must(b.t, b.a.Delete(context.Background(), ids[:n], recording.Retention))
				b.deleted += n
			}
		}
		time.Sleep(3 * time.Second)
	}
}

func (b *busy) check(o Options) (Summary, []Finding) {
	b.t.Helper()
	o.Now, o.Live = time.Now, &Live{Catalog: b.a.Catalog(), Flush: b.a.Flush, Writing: b.a.Writing}
	var found []Finding
	sum, err := Run(b.t.Context(), o, func(f Finding) { found = append(found, f) })
	must(b.t, err)
	return sum, found
}

// TestLive checks a store again and again while four streams record and retention deletes, with all the time in the world
// between two readings: nothing is ever found.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBusy(t, 2)
		defer b.stop()
		time.Sleep(2 * time.Minute)
		began := time.Now()
		slow := &slowFS{FS: b.fsys, rng: rand.New(rand.NewPCG(1, 1)), max: 2 * time.Second}
		const rounds = 50
		var looked Summary
		suspected := 0
		for round := range rounds {
			slow.max = time.Duration(1+round%4) * 500 * time.Millisecond
			level := []Level{Hash, Hash, Size, Presence}[round%4]
			sum, found := b.check(Options{FS: slow, Level: level})
			for _, f := range found {
				t.Errorf("round %d, %v: %v", round, level, f)
			}
			looked.Recordings, looked.Files, looked.Bytes = looked.Recordings+sum.Recordings, looked.Files+sum.Files, looked.Bytes+sum.Bytes

			if round%10 > 0 {
				continue
			}
			// What one look alone would say, so that it is known that this test is one.
			var s suspects
			once := &checker{options: Options{FS: slow, Level: level, Live: &Live{b.a.Catalog(), b.a.Flush, b.a.Writing}}, catalog: b.a.Catalog(), yield: s.add}
			must(t, once.run(t.Context()))
			suspected += len(s.list)
		}
		t.Logf("%v, %d deleted, %+v; single looks suspected %d times", time.Since(began).Round(time.Minute), b.deleted, looked, suspected)
		if looked.Recordings < 20*rounds/2 || b.deleted < 100 || suspected == 0 {
			t.Error("the store was not busy enough")
		}
	})
}

// TestLiveDamage damages a store in five ways while it is used, and expects the same findings as afterwards, when it is
// closed.
func TestLiveDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBusy(t, 2)
		defer b.stop()
		time.Sleep(2 * time.Minute)
		must(t, b.a.Flush(t.Context()))
		var victims []recording.ID
		must(t, b.a.Catalog().Briefs(t.Context(), b.streams[0], func(r catalog.Brief) bool {
			b.kept.Store(r.ID, true)
			victims = append(victims, r.ID)
			return len(victims) < 4
		}))
		path := func(id recording.ID) string { return "/d0/" + id.FileName() }
		f, err := b.fsys.OpenFile(path(victims[0]), vfs.Options{Write: true})
		must(t, err)
		_, err = f.WriteAt([]byte("something else"), 50)
		must(t, err)
		must(t, f.Close())
		must(t, b.fsys.Remove(path(victims[1])))
		must(t, b.fsys.Rename(path(victims[2]), "/d1/"+victims[2].FileName()))
		f, err = b.fsys.OpenFile(path(victims[3]), vfs.Options{Write: true})
		must(t, err)
		must(t, f.Truncate(100))
		must(t, f.Close())
		stranger := recording.NewID(77, 1)
		f, err = b.fsys.OpenFile(path(stranger), vfs.Options{Write: true, Create: true})
		must(t, err)
		must(t, f.Close())
		want := []string{
			fmt.Sprint(WrongHash, victims[0]), fmt.Sprint(MissingFile, victims[1]), fmt.Sprint(MisplacedFile, victims[2]),
			fmt.Sprint(WrongSize, victims[3]), fmt.Sprint(WrongHash, victims[3]), fmt.Sprint(UnknownFile, stranger),
		}
		slices.Sort(want)
		for round := range 5 {
			slow := &slowFS{FS: b.fsys, rng: rand.New(rand.NewPCG(2, uint64(round))), max: time.Second}
			sum, found := b.check(Options{FS: slow, Level: Hash})
			if got := kinds(found); !slices.Equal(got, want) || int(sum.Findings) != len(want) {
				t.Errorf("round %d: %d findings %v, want %v", round, sum.Findings, got, want)
			}
		}
		b.stop()
		var found []Finding
		_, err = Run(t.Context(), Options{FS: b.fsys, Data: "/data", Level: Hash, Now: time.Now}, func(f Finding) { found = append(found, f) })
		must(t, err)
		if got := kinds(found); !slices.Equal(got, want) {
			t.Errorf("offline: %v, want %v", got, want)
		}
	})
}

func kinds(found []Finding) (list []string) {
	for _, f := range found {
		list = append(list, fmt.Sprint(f.Kind, f.Recording))
	}
	slices.Sort(list)
	return list
}

// TestLiveManySuspects: what is beyond the bound is told in one finding.
func TestLiveManySuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBusy(t, 1)
		defer b.stop()
		time.Sleep(time.Minute)
		for n := range uint32(maxSuspects + 5) {
			f, err := b.fsys.OpenFile("/d0/"+recording.NewID(77, n+1).FileName(), vfs.Options{Write: true, Create: true})
			must(t, err)
			must(t, f.Close())
		}
		sum, found := b.check(Options{FS: b.fsys, Level: Presence})
		if last := found[len(found)-1]; len(found) != maxSuspects+1 || last.Kind != Unconfirmed || sum.Findings != maxSuspects+1 {
			t.Errorf("%d findings, the last %v", sum.Findings, last)
		}
	})
}

// TestLiveDirectoryGone: a directory that can't be read is a finding of its own, not one for each of its recordings.
func TestLiveDirectoryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBusy(t, 2)
		defer b.stop()
		time.Sleep(time.Minute)
		_, found := b.check(Options{FS: withoutFS{b.fsys, "/d1"}, Level: Hash})
		if len(found) != 1 || found[0].Kind != DirectoryWrong || found[0].Dir != "/d1" {
			t.Errorf("%v", found)
		}
	})
}

// withoutFS is a file system in which a directory is not to be seen.
type withoutFS struct {
	vfs.FS
	path string
}

func (w withoutFS) Stat(name string) (vfs.Info, error) {
	if name == w.path {
		return vfs.Info{}, fmt.Errorf("stat %s: %w", name, fs.ErrNotExist)
	}
	return w.FS.Stat(name)
}
