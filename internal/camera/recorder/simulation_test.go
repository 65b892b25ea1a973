package recorder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// site is an archive in memory with one directory and some streams, inside a bubble of synthetic time.
type site struct {
	t       *testing.T
	archive *archive.Archive
	streams []catalog.Stream
	stop    func()
	uuids   uint32
	mu      sync.Mutex
	active  []recording.StreamID // those that record, guarded by mu
}

// newSite makes one; the catalog lies in a real temporary directory, the samples in memory.
func newSite(t *testing.T, streams int) *site {
	t.Helper()
	data := t.TempDir()
	ctx := context.Background()
	if err := catalog.Init(ctx, catalog.Options{Dir: data, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t}
	memory := memoryDir(t)
	samples := filepath.Join(memory, "samples")
	if err := os.Mkdir(samples, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	s.archive, err = archive.Open(ctx, archive.Options{
		Data: data, Boot: recording.UUID{1}, FS: vfs.OS(), CatalogFS: vfs.OS(), Volatile: memory, BlockBytes: 16 << 20, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.archive.Run(run) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.archive.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := s.archive.AddDirectory(ctx, samples)
	if err != nil {
		t.Fatal(err)
	}
	for i := range streams {
		c, err := s.archive.Catalog().AddCamera(ctx, catalog.Camera{
			Name: fmt.Sprintf("camera %d", i), Streams: []catalog.Stream{{Name: "main", URL: "rtsp://192.0.2.1/", Directory: dir.ID, Record: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.streams = append(s.streams, c.Streams[0])
		s.active = append(s.active, c.Streams[0].ID)
	}
	return s
}

// memoryDir returns a directory on a memory file system if there is one: hours of synthetic time sync many files.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "nightjar-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// slot is the planner of the server in small.
func (s *site) slot(id recording.StreamID) Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Slot{slices.Index(s.active, id), len(s.active)}
}

func (s *site) setActive(ids []recording.StreamID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = ids
}

func (s *site) recorder(i int) *Recorder {
	return New(Options{
		Archive: s.archive, Stream: s.streams[i].ID, Slot: func() Slot { return s.slot(s.streams[i].ID) },
		NewUUID: func() recording.UUID {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.uuids++
			return recording.UUID{9, byte(s.uuids >> 8), byte(s.uuids), byte(i)}
		},
	})
}

// feed is a simulated camera without network: pictures at an exact rate of its own clock, which runs ppm fast.
type feed struct {
	track    *media.Track
	rate     int
	gop      int
	ppm      int64
	duration time.Duration
}

func videoTrack(name string) *media.Track {
	return &media.Track{Kind: media.Video, Codec: media.H264, ClockRate: media.TicksPerSecond, SampleEntry: []byte(name), RFC6381: "avc1.42e01f", Width: 16, Height: 16}
}

var payload = []byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz")

// run sends samples in synthetic time until the duration is over and returns when the last one was sent.
func (f *feed) run(t *testing.T, r *Recorder) {
	begun := time.Now()
	for i := 0; ; i++ {
		at := media.Time(int64(i) * media.TicksPerSecond / int64(f.rate))
		// The camera's clock shows `at` when ours shows at / (1 + ppm/1e6).
		shown := int64(at) * 100_000 / 9
		real := time.Duration(shown - shown*f.ppm/(1_000_000+f.ppm))
		if real >= f.duration {
			return
		}
		time.Sleep(real - time.Since(begun))
		s := media.Sample{Track: f.track, Time: at + 777, Arrival: time.Now(), Data: payload[:10+i%50]}
		if i%f.gop == 0 {
			s.Flags = media.Key
		}
		if err := r.Write(s, func() media.Clocks { return media.Clocks{Wall: time.Now()} }); err != nil {
			t.Error(err)
			return
		}
	}
}

// recordings lists a stream's recordings after everything was flushed.
func (s *site) recordings(i int) (list []recording.Description) {
	s.t.Helper()
	err := s.archive.Recordings(context.Background(), s.streams[i].ID, 0, 1<<62, func(d *recording.Description) bool {
		list = append(list, *d)
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// TestSimulatedHours records many streams for hours of synthetic time: no gap at any rotation, wall time follows the
// server's clock whatever the camera's does, and the rotations of the streams lie evenly in the minute.
func TestSimulatedHours(t *testing.T) {
	streams, hours, rate := 4, time.Hour/2, 5
	if os.Getenv("NIGHTJAR_LONG") != "" {
		streams, hours, rate = 16, simulated(), 30
	}
	for _, ppm := range []int64{0, 200, -200} {
		t.Run(fmt.Sprintf("%+d ppm", ppm), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, streams)
				defer s.stop()
				begun := make([]time.Time, streams)
				var wg sync.WaitGroup
				for i := range streams {
					wg.Add(1)
					go func() {
						defer wg.Done()
						time.Sleep(time.Duration(i) * 137 * time.Millisecond)
						begun[i] = time.Now()
						f := feed{track: videoTrack("entry"), rate: rate, gop: 2 * rate, ppm: ppm, duration: hours}
						r := s.recorder(i)
						f.run(t, r)
						if err := r.End(recording.ServerStopped, "end of the test"); err != nil {
							t.Error(err)
						}
					}()
				}
				wg.Wait()
				time.Sleep(5 * time.Minute)
				picture := media.WallDuration(media.TicksPerSecond / rate)
				instants := make([]media.WallTime, streams)
				for i := range streams {
					list := s.recordings(i)
					s.checkRun(i, list, begun[i], hours, picture, ppm)
					instants[i] = list[len(list)/2].Start
				}
				checkSpread(t, instants, 2*second)
			})
		})
	}
}

// checkRun checks one stream's recordings of a single run.
func (s *site) checkRun(i int, list []recording.Description, begun time.Time, lasted time.Duration, picture media.WallDuration, ppm int64) {
	t := s.t
	t.Helper()
	if want := int(lasted/time.Minute) - 1; len(list) < want {
		t.Fatalf("stream %d: %d recordings, want at least %d", i, len(list), want)
	}
	var wall media.WallDuration
	var previous media.Duration
	for k, d := range list {
		if k > 0 && d.Start != list[k-1].End() {
			t.Fatalf("stream %d: recording %d begins %v after its predecessor's end", i, k, d.Start.Sub(list[k-1].End()).Std())
		}
		if d.PrevMediaDuration != previous {
			t.Fatalf("stream %d: recording %d: media before it %d, want %d", i, k, d.PrevMediaDuration, previous)
		}
		if (d.EndReason != "") != (k == len(list)-1) {
			t.Errorf("stream %d: recording %d of %d ends with %q", i, k, len(list), d.EndReason)
		}
		if k > 0 && k < len(list)-1 && (d.WallDuration < 57*second || d.WallDuration > 63*second) {
			t.Errorf("stream %d: recording %d lasts %v", i, k, d.WallDuration.Std())
		}
		wall, previous = wall+d.WallDuration, previous+d.MediaDuration
	}
	// A camera that runs fast makes its pictures of the settling time look earlier than they are, by so much.
	early := media.WallDuration(int64(settling) * max(ppm, 0) / 1_000_000)
	if off := list[0].Start.Sub(media.WallTimeOf(begun)); off > 0 || off < -early-1 {
		t.Errorf("stream %d starts %v after its first picture", i, off.Std())
	}
	off := wall - media.WallDurationOf(lasted)
	if ppm == 0 && off != 0 || off > picture || -off > picture {
		t.Errorf("stream %d: %v recorded in %v: off by %v", i, wall.Std(), lasted, off.Std())
	}
}

// checkSpread checks that instants lie 60/N seconds apart within the minute, within 20 % and what a group of pictures
// adds, since a cut waits for a key sample.
func checkSpread(t *testing.T, instants []media.WallTime, gop media.WallTime) {
	t.Helper()
	var in []media.WallTime
	for _, at := range instants {
		in = append(in, at%minute)
	}
	slices.Sort(in)
	want := media.WallTime(minute / int64(len(in)))
	for k := range in {
		next := in[(k+1)%len(in)]
		if k == len(in)-1 {
			next += minute
		}
		apart := next - in[k]
		if slack := want/5 + gop; apart < want-slack || apart > want+slack {
			t.Errorf("rotations %d ms apart, want %d ms", apart/90, want/90)
		}
	}
}

// TestPlan checks the planned instants themselves: always on the grid of those that record, whatever comes and goes.
func TestPlan(t *testing.T) {
	for n := 1; n <= 40; n++ {
		var in []media.WallTime
		for i := range n {
			start := media.WallTime(1_790_000_000*second) + media.WallTime(i*7919*90)
			at := Slot{i, n}.next(start)
			if age := at.Sub(start); age < shortest || age > shortest+minute {
				t.Fatalf("slot %d of %d: planned after %v", i, n, age.Std())
			}
			in = append(in, at)
		}
		checkSpread(t, in, 0)
	}
}

// TestComingAndGoing adds, removes and reconnects streams while others record: the plan follows within a recording, and
// nobody else has a gap.
func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 6)
		defer s.stop()
		all := slices.Clone(s.active)
		s.setActive(all[:4])
		var wg sync.WaitGroup
		play := func(i int, after, lasts time.Duration, reason recording.Reason, again time.Duration) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				time.Sleep(after)
				r := s.recorder(i)
				for range 1 + int(min(again, 1)) {
					f := feed{track: videoTrack("entry"), rate: 10, gop: 20, duration: lasts}
					f.run(t, r)
					if err := r.End(reason, "scripted"); err != nil {
						t.Error(err)
					}
					time.Sleep(again)
				}
			}()
		}
		play(0, 0, 20*time.Minute, recording.ServerStopped, 0)
		play(1, 0, 20*time.Minute, recording.ServerStopped, 0)
		play(2, 0, 8*time.Minute, recording.CameraClosed, 5*time.Second) // reconnects
		play(3, 0, 5*time.Minute, recording.Removed, 0)
		time.Sleep(5 * time.Minute)
		s.setActive(all[:3]) // the fourth was removed
		time.Sleep(3 * time.Minute)
		s.setActive(append(slices.Clone(all[:3]), all[4:]...)) // two more
		play(4, 0, 12*time.Minute, recording.ServerStopped, 0)
		play(5, 0, 12*time.Minute, recording.ServerStopped, 0)
		wg.Wait()
		time.Sleep(5 * time.Minute)
		var late []media.WallTime
		for _, i := range []int{0, 1, 2, 4, 5} {
			list := s.recordings(i)
			late = append(late, list[len(list)-2].Start)
			for k := 1; k < len(list); k++ {
				if list[k].RunUUID == list[k-1].RunUUID && list[k].Start != list[k-1].End() {
					t.Errorf("stream %d: a gap at recording %d", i, k)
				}
			}
		}
		checkSpread(t, late, 2*second)
		gaps, err := s.archive.Catalog().Gaps(context.Background(), s.streams[2].ID, 0, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		if len(gaps) != 2 || gaps[0].Open || gaps[0].Reason != recording.CameraClosed || gaps[0].End.Sub(gaps[0].Start) < 4*second || !gaps[1].Open {
			t.Errorf("gaps of the stream that reconnected: %+v", gaps)
		}
	})
}

// simulated is how much time the long form lasts.
func simulated() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NIGHTJAR_SIMULATE")); err == nil {
		return d
	}
	return 4 * time.Hour
}
