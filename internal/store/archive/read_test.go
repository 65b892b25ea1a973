package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// A growing recording gives the same bytes from file, from memory and from both, at once and after it is complete.
func TestSamplesWhileGrowing(t *testing.T) {
	r := newRig(t, 1)
	f := r.begin(0).video(20, 30_000, false)
	var want []byte
	for _, s := range f.f.samples {
		want = append(want, s.data...)
	}
	early, err := r.a.OpenSamples(f.f.id)
	must(t, err)
	defer early.Close()
	check := func(stage string, s *Samples) {
		t.Helper()
		if s.Size() != int64(len(want)) {
			t.Fatalf("%s: %d bytes, want %d", stage, s.Size(), len(want))
		}
		for _, c := range [][2]int{{0, len(want)}, {1, 100}, {250_000, 50_000}, {len(want) - 5, 5}, {262_144, 262_144}} {
			got := make([]byte, c[1])
			if n, err := s.ReadAt(got, int64(c[0])); n != c[1] || err != nil || !bytes.Equal(got, want[c[0]:c[0]+c[1]]) {
				t.Fatalf("%s: %d of %d bytes at %d: %v", stage, n, c[1], c[0], err)
			}
			if sent, err := send(s, int64(c[0]), int64(c[1])); err != nil || !bytes.Equal(sent, want[c[0]:c[0]+c[1]]) {
				t.Fatalf("%s: sent %d of %d bytes at %d: %v", stage, len(sent), c[1], c[0], err)
			}
		}
		if n, err := s.ReadAt(make([]byte, 10), int64(len(want)-4)); n != 4 || err != io.EOF {
			t.Errorf("%s: at the end: %d, %v", stage, n, err)
		}
		if _, err := s.ReadAt(make([]byte, 1), -1); err == nil {
			t.Errorf("%s: negative offset", stage)
		}
	}
	check("in memory", early)
	r.dir().writeFull()
	check("full blocks written", early)
	r.tick()
	check("after a tick", early)
	f.video(20, 30_000, false)
	check("as it was", early)
	f.finish("")
	r.tick()
	check("as it was, complete", early)
	for _, s := range f.f.samples[20:] {
		want = append(want, s.data...)
	}
	s, err := r.a.OpenSamples(f.f.id)
	must(t, err)
	check("sealed", s)
	must(t, s.Close())
	r.flush()
	s, err = r.a.OpenSamples(f.f.id)
	must(t, err)
	check("with row", s)
	must(t, s.Close())
	if _, err := r.a.OpenSamples(recording.NewID(r.streams[0], 99)); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	r.close()
}

func send(s *Samples, offset, n int64) (got []byte, err error) {
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		sent, err := s.SendTo(a, offset, n)
		if err == nil && sent != n {
			err = io.ErrShortWrite
		}
		a.Close()
		done <- err
	}()
	got, err = io.ReadAll(b)
	return got, errors.Join(err, <-done)
}

// Bytes that the disk changed are not handed out.
func TestDamageIsFound(t *testing.T) {
	r := newRig(t, 1)
	f := r.begin(0).video(25, 60_000, false)
	r.dir().writeFull()
	f.video(25, 60_000, false).finish("")
	r.tick()
	r.flush()
	name := "/d/" + f.f.id.FileName()
	s, err := r.a.OpenSamples(f.f.id)
	must(t, err)
	b := make([]byte, 10)
	_, err = s.ReadAt(b, 5)
	must(t, err)
	must(t, s.Close())
	poke(t, r, name, 2_000_000) // changes the file: what was proved is not any more
	s, err = r.a.OpenSamples(f.f.id)
	must(t, err)
	defer s.Close()
	_, err = s.ReadAt(b, 5)
	must(t, err)
	var damage *DamageError
	if _, err = s.ReadAt(b, 1_900_000); !errors.As(err, &damage) || damage.Block != 1 || damage.ID != f.f.id {
		t.Errorf("read: %v", err)
	}
	if _, err = send(s, 1_000_000, 500_000); !errors.As(err, &damage) {
		t.Errorf("send: %v", err)
	}
	r.close()
}

// The list is the same whether a recording grows, is sealed or has its row, and intervals are half-open.
func TestListMerges(t *testing.T) {
	r := newRig(t, 1)
	var starts []media.WallTime
	for i := range 6 {
		f := r.begin(0).video(5, 100, false)
		starts = append(starts, f.f.start)
		if i < 5 {
			f.finish("")
			r.tick()
		}
		if i == 2 {
			r.flush()
		}
	}
	end := starts[5] + 5*3600
	for _, c := range []struct {
		start, end  media.WallTime
		first, last int
	}{
		{0, math.MaxInt64, 0, 5}, {starts[0], end, 0, 5}, {starts[1], starts[2], 1, 1}, {starts[1], starts[2] + 1, 1, 2},
		{starts[4], starts[5], 4, 4}, {starts[4] - 1, starts[4] + 1, 3, 4}, {starts[5], end, 5, 5}, {end - 1, end, 5, 5},
	} {
		var got []media.WallTime
		must(t, r.a.Recordings(ctx, r.streams[0], c.start, c.end, func(d *recording.Description) bool {
			if d.Tracks[0].Index != nil || d.BlockSums != nil {
				t.Error("blobs in a list")
			}
			got = append(got, d.Start)
			return true
		}))
		if want := starts[c.first : c.last+1]; len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("[%d, %d): %v, want %v", c.start, c.end, got, want)
		}
	}
	for _, empty := range [][2]media.WallTime{{0, starts[0]}, {end, math.MaxInt64}} {
		must(t, r.a.Recordings(ctx, r.streams[0], empty[0], empty[1], func(d *recording.Description) bool {
			t.Errorf("%v is no part of %v", d.ID, empty)
			return true
		}))
	}
	n := 0
	must(t, r.a.Recordings(ctx, r.streams[0], 0, math.MaxInt64, func(*recording.Description) bool { n++; return n < 4 }))
	if n != 4 {
		t.Errorf("yield was called %d times after it had enough", n)
	}
	r.close()
}

// A flush in the middle of a list shows nothing twice and misses nothing.
func TestListDuringFlush(t *testing.T) {
	r := newRig(t, 1)
	for i := range 6 {
		r.begin(0).video(2, 100, false).finish("")
		r.tick()
		if i == 2 {
			r.flush()
		}
	}
	seen := make(map[recording.ID]int)
	must(t, r.a.Recordings(ctx, r.streams[0], 0, math.MaxInt64, func(d *recording.Description) bool {
		if len(seen) == 1 {
			r.flush()
		}
		seen[d.ID]++
		return true
	}))
	if len(seen) != 6 {
		t.Errorf("saw %v", seen)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%v seen %d times", id, n)
		}
	}
	r.close()
}

// A disk that stalls: samples are refused when the memory is used up, with the reason, and nothing blocks; what was taken
// is kept.
func TestStalledDisk(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.begin(0), r.begin(1)
	data := make([]byte, 100_000)
	var refused error
	taken := 0
	for i := 0; refused == nil; i++ {
		if refused = a.w.Append(Sample{Track: &videoTrack, Flags: media.Key, Decode: media.Time(i * 3600), Data: data}); refused == nil {
			taken++
		}
	}
	var known *recording.Error
	if !errors.As(refused, &known) || known.Reason != recording.DiskStalled {
		t.Errorf("refused: %v", refused)
	}
	if taken < 29 || taken > 31 {
		t.Errorf("%d samples of 100,000 bytes taken within 3 MiB", taken)
	}
	if err := b.w.Append(Sample{Track: &videoTrack, Flags: media.Key, Data: data}); !errors.As(err, &known) || known.Reason != recording.DiskStalled {
		t.Errorf("the other stream: %v", err)
	}
	must(t, a.w.Finish(End{Guess: true, Reason: known.Reason}))
	must(t, b.w.Finish(End{Guess: true, Reason: known.Reason}))
	r.tick()
	if list := r.list(0); len(list) != 1 || int(list[0].Tracks[0].Samples) != taken || list[0].EndReason != recording.DiskStalled {
		t.Errorf("%+v", list)
	}
	if n := r.a.inUse.Load(); n != 0 {
		t.Errorf("%d blocks in use", n)
	}
	r.begin(0).video(20, 100_000, false).finish("")
	r.tick()
	r.flush()
	must(t, r.checkWhole())
	r.close()
}

func TestReadOnly(t *testing.T) {
	r := newRig(t, 1)
	f := r.begin(0).video(5, 100, false)
	f.finish("")
	r.close()
	r.opts.ReadOnly = true
	r.open()
	if n, err := r.checkStored(f.f); n != 5 || err != nil {
		t.Errorf("%d samples, %v", n, err)
	}
	if _, err := r.a.Begin(Begin{Stream: r.streams[0], Video: videoTrack}); err == nil {
		t.Error("begun")
	}
	if err := r.a.Delete(ctx, []recording.ID{f.f.id}, recording.Removed); !errors.Is(err, catalog.ErrReadOnly) {
		t.Errorf("deleted: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	must(t, r.a.Run(done))
	r.close()
}

func TestDirectories(t *testing.T) {
	r := newRig(t, 1)
	f := r.begin(0).video(5, 100, false)
	f.finish("")
	dir := r.dir().row
	if err := r.a.RemoveDirectory(ctx, dir.ID); !errors.Is(err, catalog.ErrInUse) {
		t.Errorf("removed with a recording in progress: %v", err)
	}
	r.tick()
	if err := r.a.RemoveDirectory(ctx, dir.ID); !errors.Is(err, catalog.ErrInUse) {
		t.Errorf("removed with a recording: %v", err)
	}
	if _, err := r.a.AddDirectory(ctx, "/d"); err == nil {
		t.Error("added twice")
	}
	must(t, r.a.DeleteStream(ctx, r.streams[0], recording.Removed))
	r.tick()
	r.flush()
	camera, err := r.a.Catalog().CameraByID(ctx, 1)
	must(t, err)
	must(t, r.a.Catalog().RemoveCamera(ctx, camera.ID))
	must(t, r.a.RemoveDirectory(ctx, dir.ID))
	again, err := r.a.AddDirectory(ctx, "/d")
	must(t, err)
	if again.UUID == dir.UUID {
		t.Error("the same identity")
	}
	r.close()
}
