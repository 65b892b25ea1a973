package archive

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// The process is killed, and while the next one recovers, it is killed again or the power is cut, at every operation.
func TestCrashWhileRecovering(t *testing.T) {
	r := newRig(t, 2)
	r.fs.Record()
	a, b := r.begin(0).video(20, 30_000, true), r.begin(1).video(3, 500, false)
	r.dir().writeFull()
	r.tick()
	a.video(15, 30_000, true)
	r.dir().writeFull()
	a.finish("")
	r.tick()
	a = r.begin(0).video(3, 900, true)
	b.video(3, 500, false)
	r.tick()
	a.video(3, 900, true)
	b.finish("")
	r.fs.Mark("killed")
	n := r.fs.Seq()

	killed := r.on(t, r.fs.Kill(), boot1)
	killed.fs.Record()
	first := killed.fs.Seq()
	killed.open()
	if err := killed.oracle(n, true); err != nil {
		t.Fatal(err)
	}
	list := killed.list(0)
	if last := list[len(list)-1]; last.EndReason != recording.ServerKilled || last.Flags&recording.Recovered == 0 {
		t.Errorf("the last recording: %+v", last)
	}
	if gaps, err := killed.a.catalog.Gaps(ctx, r.streams[1], 0, math.MaxInt64); err != nil || len(gaps) != 1 || !gaps[0].Open || gaps[0].Reason != recording.ServerKilled {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
	step := (stride() + 1) / 2
	for k := first; k <= killed.fs.Seq(); k += step {
		again := killed.on(t, killed.fs.KillAt(k), boot1)
		if err := again.restart(n, true); err != nil {
			t.Fatalf("killed again (%s): %v", killed.op(k), err)
		}
		for after := range killed.fs.States(k, crashfs.Bounds{Random: 1, NoSingles: true}) {
			cut := killed.on(t, after, boot2)
			if err := cut.restart(n, false); err != nil {
				t.Fatalf("%s (%s): %v", after.Origin(), killed.op(k), err)
			}
		}
	}
}

// copyFiles reads or writes all files of the data directory.
func (r *rig) copyFiles() map[string][]byte {
	m := make(map[string][]byte)
	names, err := r.fs.ReadDir("/data")
	must(r.t, err)
	for _, name := range names {
		file, err := r.fs.Open(filepath.Join("/data", name))
		must(r.t, err)
		size, err := file.Size()
		must(r.t, err)
		m[name] = make([]byte, size)
		_, _ = file.ReadAt(m[name], 0)
		must(r.t, file.Close())
	}
	return m
}

func (r *rig) putFiles(m map[string][]byte) {
	names, err := r.fs.ReadDir("/data")
	must(r.t, err)
	for _, name := range names {
		must(r.t, r.fs.Remove(filepath.Join("/data", name)))
	}
	for name, data := range m {
		file, err := r.fs.OpenFile(filepath.Join("/data", name), vfs.Options{Write: true, Create: true})
		must(r.t, err)
		_, err = file.WriteAt(data, 0)
		must(r.t, err)
		must(r.t, file.Close())
	}
}

// A catalog that is an older copy, of the same open, gets back what the log knows and it does not, even over several
// segments; ids are not used twice.
func TestOlderCatalog(t *testing.T) {
	for _, segments := range []int{0, 3} {
		r := newRig(t, 2)
		a := r.begin(0).video(3, 900, false)
		a.finish("")
		r.tick()
		r.flush()
		old := r.copyFiles()
		want := []*fed{a.f}
		for i := range 5 {
			f := r.begin(0).video(3+i, 900, true)
			f.finish("")
			want = append(want, f.f)
			r.tick()
			r.flush()
			if i < segments {
				r.now = r.now.Add(2 * maxSegmentAge)
				r.dir().rotate()
			}
		}
		n := r.fs.Seq()
		c := r.on(t, r.fs.Kill(), boot1)
		c.putFiles(old)
		c.open()
		must(t, c.oracle(n, true))
		if list := c.list(0); len(list) != len(want) {
			t.Errorf("%d segments: %d recordings, want %d", segments, len(list), len(want))
		}
		must(t, c.goesOn(n))
		c.close()
	}
}

// A sample file that nothing knows of is put aside with its bytes; it is not unlinked and its number not used.
func TestQuarantine(t *testing.T) {
	r := newRig(t, 1)
	f := r.begin(0).video(3, 900, false)
	f.finish("")
	r.tick()
	n := r.a.streams[r.streams[0]].next
	stray := recording.NewID(r.streams[0], n)
	r.close()
	file, err := r.fs.OpenFile("/d/"+stray.FileName(), vfs.Options{Write: true, Create: true})
	must(t, err)
	_, err = file.WriteAt([]byte("who knows"), 0)
	must(t, err)
	must(t, file.Close())
	r.open()
	must(t, r.checkWhole())
	aside, err := r.fs.Open("/d/quarantine/" + stray.FileName())
	must(t, err)
	data := make([]byte, 20)
	k, _ := aside.ReadAt(data, 0)
	if !bytes.Equal(data[:k], []byte("who knows")) {
		t.Errorf("holds %q", data[:k])
	}
	if w := r.begin(0); w.w.ID() <= stray {
		t.Errorf("recording %v is begun after %v", w.w.ID(), stray)
	}
	r.close()
}

// A file whose name is that of a future recording is passed over.
func TestNamePassedOver(t *testing.T) {
	r := newRig(t, 1)
	must(t, r.fs.Mkdir("/d/"+recording.NewID(r.streams[0], 3).FileName()))
	if f := r.begin(0); f.w.ID().N() != 4 {
		t.Errorf("recording %v", f.w.ID())
	}
	r.close()
}

// The sample file or its end went missing while nobody looked: what is left is kept, the rest is said to be lost.
func TestDamagedFiles(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(r *rig, file string)
		left   int
	}{
		"gone":      {func(r *rig, file string) { must(t, r.fs.Remove(file)) }, 0},
		"shorter":   {func(r *rig, file string) { truncate(t, r, file, 5000) }, 5},
		"too short": {func(r *rig, file string) { truncate(t, r, file, 50) }, 0},
		"bit flip":  {func(r *rig, file string) { poke(t, r, file, 100) }, 10},
		"untouched": {func(*rig, string) {}, 10},
	} {
		r := newRig(t, 1)
		f := r.begin(0).video(10, 800, false)
		r.tick()
		c.damage(r, "/d/"+f.f.id.FileName())
		after := r.on(t, r.fs.Crash(crashfs.KeepAll), boot2)
		after.open()
		list := after.list(0)
		switch {
		case c.left == 0 && len(list) != 0:
			t.Errorf("%s: %+v", name, list[0])
		case c.left > 0 && (len(list) != 1 || int(list[0].Tracks[0].Samples) != c.left && name != "shorter"):
			t.Errorf("%s: %+v", name, list)
		}
		must(t, after.checkWhole())
		for range list {
			var damage *DamageError
			if _, err := after.checkStored(f.f); errors.As(err, &damage) != (name == "bit flip") || err != nil && damage == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		gaps, err := after.a.catalog.Gaps(ctx, r.streams[0], 0, f.f.start+10*3600)
		if must(t, err); (len(gaps) > 0 && gaps[0].Reason == recording.Damaged) != (name == "gone" || name == "shorter" || name == "too short") {
			t.Errorf("%s: gaps %v", name, gaps)
		}
		if _, err := after.fs.Stat("/d/quarantine/" + f.f.id.FileName()); (err == nil) != (name == "too short") {
			t.Errorf("%s: quarantine: %v", name, err)
		}
		after.close()
	}
}

func truncate(t *testing.T, r *rig, name string, size int64) {
	t.Helper()
	file, err := r.fs.OpenFile(name, vfs.Options{Write: true})
	must(t, err)
	must(t, file.Truncate(size))
	must(t, file.Close())
}

func poke(t *testing.T, r *rig, name string, offset int64) {
	t.Helper()
	file, err := r.fs.OpenFile(name, vfs.Options{Write: true})
	must(t, err)
	b := make([]byte, 1)
	_, err = file.ReadAt(b, offset)
	must(t, err)
	b[0] ^= 4
	_, err = file.WriteAt(b, offset)
	must(t, err)
	must(t, file.Close())
}

// A directory that is not there, is another one, or is in use does not keep the others from working; it is taken into
// use when it comes back.
func TestMissingDirectory(t *testing.T) {
	r := newRig(t, 1)
	r.fs.MkdirAll("/e")
	other, err := r.a.AddDirectory(ctx, "/e")
	must(t, err)
	camera, err := r.a.Catalog().AddCamera(ctx, catalog.Camera{Name: "other", Streams: []catalog.Stream{{Name: "main", URL: "rtsp://c", Directory: other.ID, Record: true}}})
	must(t, err)
	r.streams = append(r.streams, camera.Streams[0].ID)
	r.begin(1).video(3, 100, false).finish("")
	r.close()
	r.fs.Alias("/elsewhere", "/e")
	must(t, r.fs.Rename("/e/meta", "/e/meta.away"))
	r.open()
	if err := r.a.Err(other.ID); err == nil || !strings.Contains(err.Error(), "/e") {
		t.Errorf("the directory's error: %v", err)
	}
	_, err = r.a.Begin(Begin{Stream: r.streams[1], Video: videoTrack})
	var known *recording.Error
	if !errors.As(err, &known) || known.Reason != recording.DiskMissing {
		t.Errorf("begin: %v", err)
	}
	f := r.begin(0).video(3, 100, false)
	if list := r.list(1); len(list) != 1 {
		t.Errorf("%d recordings of the missing directory are listed", len(list))
	}
	f.finish("")
	must(t, r.fs.Rename("/e/meta.away", "/e/meta"))
	r.a.dirs[other.ID].reopen(ctx)
	if err := r.a.Err(other.ID); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	r.begin(1).video(3, 100, false).finish("")
	r.close()
	r.open()
	if list := r.list(1); len(list) != 2 {
		t.Errorf("%d recordings", len(list))
	}
	r.close()
}

// What the crash leaves untold in the gap ledger is told at start-up.
func TestOutageGaps(t *testing.T) {
	r := newRig(t, 2)
	must(t, r.a.Gap(catalog.Gap{Stream: r.streams[0], Start: 1000, Open: true, Reason: recording.CameraOffline}))
	must(t, r.a.Gap(catalog.Gap{Stream: r.streams[1], Start: 2000, Open: true, Reason: recording.DNS}))
	r.flush()
	f := r.begin(0).video(5, 100, false)
	must(t, r.a.Gap(catalog.Gap{Stream: r.streams[0], Start: 1000, End: f.f.start, Reason: recording.CameraOffline})) // not flushed
	r.tick()
	c := r.on(t, r.fs.Crash(crashfs.LoseAll), boot2)
	c.open()
	gaps, err := c.a.catalog.Gaps(ctx, r.streams[0], 0, math.MaxInt64)
	must(t, err)
	end := f.f.start + 5*3600
	want := fmt.Sprint([]catalog.Gap{
		{Stream: r.streams[0], Start: 1000, End: f.f.start, Reason: recording.CameraOffline},
		{Stream: r.streams[0], Start: end, Open: true, Reason: recording.PowerCut, Detail: "the machine went down without warning"},
	})
	if fmt.Sprint(gaps) != want {
		t.Errorf("gaps %v\nwant %v", gaps, want)
	}
	if gaps, err = c.a.catalog.Gaps(ctx, r.streams[1], 0, math.MaxInt64); err != nil || len(gaps) != 1 || gaps[0].Reason != recording.DNS || !gaps[0].Open {
		t.Errorf("gaps of the other stream %v, %v", gaps, err)
	}
	c.close()
}

// Settling the start survives; before, the recording is not listed.
func TestStart(t *testing.T) {
	r := newRig(t, 1)
	w, err := r.a.Begin(Begin{Stream: r.streams[0], Start: 5000, Video: videoTrack})
	must(t, err)
	must(t, w.Append(Sample{Track: &videoTrack, Flags: media.Key, Decode: 7, Data: []byte("picture")}))
	if list := r.list(0); len(list) != 0 {
		t.Errorf("listed: %+v", list[0])
	}
	r.dir().tick()
	w.SetStart(4000, false)
	if list := r.list(0); len(list) != 0 {
		t.Errorf("listed: %+v", list[0])
	}
	w.SetStart(3000, true)
	if list := r.list(0); len(list) != 1 || list[0].Start != 3000 {
		t.Errorf("%+v", list)
	}
	r.dir().tick()
	c := r.on(t, r.fs.Crash(crashfs.LoseAll), boot2)
	c.open()
	if list := c.list(0); len(list) != 1 || list[0].Start != 3000 {
		t.Errorf("after a crash: %+v", list)
	}
	c.close()
	r.close()
}

// A new segment of the log carries all that is needed: what is sealed without row, and what is in progress.
func TestSegmentCarriesOver(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.begin(0).video(3, 900, false), r.begin(1).video(4, 900, true)
	a.finish("")
	r.tick()
	old := r.dir().log.Segments()
	r.now = r.now.Add(2 * maxSegmentAge)
	r.dir().rotate()
	b.video(2, 900, false)
	r.tick()
	n := r.fs.Seq()
	c := r.on(t, r.fs.Crash(crashfs.LoseAll), boot2)
	for _, number := range old {
		must(t, c.fs.Remove(fmt.Sprintf("/d/tail-%08x", number)))
	}
	c.open()
	must(t, c.oracle(n, false))
	if len(c.list(0)) != 1 || len(c.list(1)) != 1 {
		t.Errorf("%d and %d recordings", len(c.list(0)), len(c.list(1)))
	}
	c.close()
}
