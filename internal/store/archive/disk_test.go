package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// A full disk ends what is recorded on it, with the reason; the other directory notices nothing; recording goes on by
// itself within two seconds after there is room.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New("/data", "/run")
		fsys.Mount("/a", crashfs.MountOptions{Capacity: 20 << 20})
		fsys.Mount("/b", crashfs.MountOptions{})
		must(t, catalog.Init(ctx, catalog.Options{FS: fsys, Dir: "/data", Now: time.Now}))
		a, err := Open(ctx, Options{Data: "/data", Boot: boot1, FS: fsys, CatalogFS: fsys, Volatile: "/run", Now: time.Now, BlockBytes: 8 << 20})
		must(t, err)
		var streams []recording.StreamID
		var dirs []catalog.DirectoryID
		for _, path := range []string{"/a", "/b"} {
			dir, err := a.AddDirectory(ctx, path)
			must(t, err)
			camera, err := a.Catalog().AddCamera(ctx, catalog.Camera{Name: path[1:], Streams: []catalog.Stream{{Name: "main", URL: "rtsp://c", Directory: dir.ID, Record: true}}})
			must(t, err)
			streams, dirs = append(streams, camera.Streams[0].ID), append(dirs, dir.ID)
		}
		run, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- a.Run(run) }()

		writers := make([]*Writer, 2)
		var refused []recording.Reason
		var freed, resumed time.Time
		data := make([]byte, 50_000)
		for i := range 1200 { // two minutes at ten pictures a second, 500 kB/s
			time.Sleep(100 * time.Millisecond)
			for s := range 2 {
				if writers[s] != nil && i%100 == 0 {
					must(t, writers[s].Finish(End{At: media.Time(i * 9000)}))
					writers[s] = nil
				}
				var err error
				if writers[s] == nil {
					writers[s], err = a.Begin(Begin{Stream: streams[s], Start: media.WallTimeOf(time.Now()), StartFinal: true, Video: videoTrack})
				}
				if err == nil {
					err = writers[s].Append(Sample{Track: &videoTrack, Flags: media.Key, Decode: media.Time(i * 9000), Data: data})
				}
				if err == nil {
					if s == 0 && !freed.IsZero() && resumed.IsZero() {
						resumed = time.Now()
					}
					continue
				}
				var known *recording.Error
				if s == 1 || !errors.As(err, &known) {
					t.Fatalf("stream %d: %v", s, err)
				}
				refused = append(refused, known.Reason)
				if writers[s] != nil {
					must(t, writers[s].Finish(End{Guess: true, Reason: known.Reason}))
					writers[s] = nil
				}
			}
			if freed.IsZero() && len(refused) > 100 {
				must(t, a.Flush(ctx))
				freed = time.Now()
				fsys.SetCapacity("/a", 200<<20, 0)
			}
		}
		for _, reason := range refused {
			if reason != recording.DiskFull {
				t.Fatalf("refused with %s", reason)
			}
		}
		if resumed.IsZero() || resumed.Sub(freed) > 2*time.Second {
			t.Errorf("room since %v, recording since %v", freed, resumed)
		}
		must(t, a.Err(dirs[0]))
		stop()
		must(t, <-done)
		var total media.WallDuration
		must(t, a.Recordings(ctx, streams[1], 0, math.MaxInt64, func(d *recording.Description) bool {
			total += d.WallDuration
			return true
		}))
		if total < 119*90_000 {
			t.Errorf("the other disk has %v", total.Std())
		}
		must(t, a.Close())
	})
}

// onDisk opens an archive on the machine's own file system, with one stream.
func onDisk(data string, boot recording.UUID) (*Archive, error) {
	return Open(ctx, Options{Data: data, Boot: boot, Now: time.Now, Volatile: data, BlockBytes: 8 << 20})
}

func makeDisk(t testing.TB) (data string, stream recording.StreamID) {
	t.Helper()
	data = t.TempDir()
	must(t, catalog.Init(ctx, catalog.Options{Dir: data, Now: time.Now}))
	must(t, os.Mkdir(data+"/samples", 0o700))
	a, err := onDisk(data, boot1)
	must(t, err)
	dir, err := a.AddDirectory(ctx, data+"/samples")
	must(t, err)
	camera, err := a.Catalog().AddCamera(ctx, catalog.Camera{Name: "gate", Streams: []catalog.Stream{{Name: "main", URL: "rtsp://c", Directory: dir.ID, Record: true}}})
	must(t, err)
	must(t, a.Close())
	return data, camera.Streams[0].ID
}

// picture makes the bytes of the i-th sample of a recording.
func picture(id recording.ID, i int) []byte {
	random := rand.New(rand.NewPCG(uint64(id), uint64(i)))
	data := make([]byte, 1+random.IntN(40_000))
	for j := range data {
		data[j] = byte(random.Uint32())
	}
	return data
}

// TestMain lets the test binary be the process that TestKilledProcess kills.
func TestMain(m *testing.M) {
	if data := os.Getenv("NIGHTJAR_TEST_VICTIM"); data != "" {
		if err := victim(data); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim records, saying on its standard output what it handed over, until it is killed.
func victim(data string) error {
	a, err := onDisk(data, boot1)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	streams, err := a.Catalog().Streams(ctx)
	if err != nil {
		return err
	}
	for {
		w, err := a.Begin(Begin{Stream: streams[0].ID, Start: media.WallTimeOf(time.Now()), StartFinal: true, Video: videoTrack})
		if err != nil {
			return err
		}
		for i := range 300 {
			err := w.Append(Sample{Track: &videoTrack, Flags: media.Key, Decode: media.Time(i * 3000), Data: picture(w.ID(), i)})
			var known *recording.Error
			if errors.As(err, &known) && known.Reason == recording.DiskStalled {
				break // faster than the disk
			}
			if err != nil {
				return err
			}
			fmt.Println(uint64(w.ID()), i)
		}
		if err := w.Finish(End{Guess: true}); err != nil {
			return err
		}
	}
}

// A process that is killed while it records loses nothing of what it had handed over, on a real file system.
func TestKilledProcess(t *testing.T) {
	rounds := 2
	if os.Getenv("NIGHTJAR_LONG") != "" {
		rounds = 20
	}
	data, stream := makeDisk(t)
	said := make(map[recording.ID]int)
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "NIGHTJAR_TEST_VICTIM="+data)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			var id recording.ID
			var i int
			if _, err := fmt.Sscan(lines.Text(), &id, &i); err == nil {
				said[id] = max(said[id], i+1)
			}
			if n == 100+(round*97)%500 {
				must(t, child.Process.Kill()) // and go on reading what it had said
			}
		}
		_ = child.Wait()

		a, err := onDisk(data, boot1)
		must(t, err)
		found := make(map[recording.ID]bool)
		must(t, a.Recordings(ctx, stream, 0, math.MaxInt64, func(d *recording.Description) bool {
			found[d.ID] = true
			checkPictures(t, a, d.ID, said[d.ID])
			return true
		}))
		for id, n := range said {
			if !found[id] {
				t.Errorf("round %d: recording %v with %d samples is gone", round, id, n)
			}
		}
		names, err := os.ReadDir(data + "/samples")
		must(t, err)
		for _, name := range names {
			if id, ok := recording.ParseFileName(name.Name()); ok && !found[id] {
				t.Errorf("round %d: %s has no row", round, name.Name())
			}
		}
		must(t, a.Close())
	}
	if len(said) == 0 {
		t.Error("nothing was recorded")
	}
}

func checkPictures(t *testing.T, a *Archive, id recording.ID, want int) {
	t.Helper()
	d, err := a.Describe(ctx, id)
	must(t, err)
	if int(d.Tracks[0].Samples) < want {
		t.Errorf("%v has %d samples of %d", id, d.Tracks[0].Samples, want)
	}
	s, err := a.OpenSamples(id)
	must(t, err)
	defer s.Close()
	for it := recording.NewIndexIterator(d.Tracks[0].Index); it.Next(); {
		got := make([]byte, it.Size)
		if _, err := s.ReadAt(got, it.Offset); err != nil || string(got) != string(picture(id, int(it.Sample))) {
			t.Fatalf("%v sample %d differs: %v", id, it.Sample, err)
		}
	}
}
