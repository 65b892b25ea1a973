package archive

import (
	"fmt"
	"math"
	"os"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// scripts are short lives of an archive; each is cut at every operation of the file system.
var scripts = []struct {
	name string
	run  func(r *rig)
}{
	{"one recording", func(r *rig) {
		f := r.begin(0).video(12, 3000, false)
		r.tick()
		f.video(12, 3000, false)
		r.tick()
		f.finish(recording.CameraClosed)
		r.tick()
		r.flush()
		r.close()
	}},
	{"audio, blocks and a rotation", func(r *rig) {
		f := r.begin(0).video(10, 40_000, true)
		r.dir().writeFull()
		r.tick()
		f.video(15, 40_000, true)
		r.dir().writeFull()
		f.finish("")
		f = r.begin(0).video(4, 40_000, true)
		r.tick()
		f.video(3, 4000, true)
		f.finish(recording.ServerStopped)
		r.close()
	}},
	{"two streams and a deletion", func(r *rig) {
		a, b := r.begin(0).video(3, 900, false), r.begin(1).video(3, 500, true)
		r.tick()
		a.finish("")
		b.video(2, 500, true)
		a2 := r.begin(0).video(3, 900, false)
		r.tick()
		r.flush()
		r.delete(a.f.id)
		a2.video(3, 900, false)
		r.tick()
		a2.finish("")
		b.finish("")
		r.tick()
		r.flush()
		r.delete(b.f.id)
		r.tick()
		r.flush()
	}},
	{"abandoned and empty", func(r *rig) {
		a := r.begin(0).video(3, 900, false)
		r.tick()
		a.w.Abandon(recording.Shed, "")
		a.f.deleted = r.fs.Seq()
		r.tick()
		b := r.begin(0)
		r.tick()
		b.finish(recording.CameraOffline)
		b.f.deleted = r.fs.Seq()
		c := r.begin(0).video(2, 100, false)
		r.tick()
		c.finish("")
		r.close()
	}},
	{"a new log segment", func(r *rig) {
		a, b := r.begin(0).video(3, 900, false), r.begin(1).video(3, 500, false)
		r.tick()
		a.finish("")
		r.tick()
		r.now = r.now.Add(2 * maxSegmentAge)
		a2 := r.begin(0).video(2, 900, false)
		r.dir().rotate()
		b.video(2, 500, false)
		r.tick()
		r.flush()
		r.delete(a.f.id)
		r.tick()
		r.now = r.now.Add(2 * maxSegmentAge)
		r.dir().rotate()
		a2.finish("")
		b.finish("")
		r.close()
	}},
	{"open again", func(r *rig) {
		f := r.begin(0).video(3, 900, false)
		f.finish("")
		r.close()
		r.open()
		f = r.begin(0).video(3, 900, false)
		r.tick()
		f.finish("")
		r.close()
	}},
}

// bounds for the states after a power cut; NIGHTJAR_LONG=1 looks at more, NIGHTJAR_SOAK=1 at most of them.
func bounds() crashfs.Bounds {
	if os.Getenv("NIGHTJAR_SOAK") != "" {
		return crashfs.Bounds{Max: 64}
	}
	if os.Getenv("NIGHTJAR_LONG") != "" {
		return crashfs.Bounds{Random: 2, Max: 4}
	}
	return crashfs.Bounds{Random: 1, NoSingles: true}
}

// stride is how many operations lie between two that are cut at; with NIGHTJAR_LONG=1 each is.
func stride() int {
	if os.Getenv("NIGHTJAR_LONG") != "" {
		return 1
	}
	return 89
}

// TestCrashPowerCut cuts the power at every operation, with what was not synced lost, kept or torn.
func TestCrashPowerCut(t *testing.T) {
	for i, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.fs.Record()
			first := r.fs.Seq()
			script.run(r)
			states := 0
			for n := first + i; n <= r.fs.Seq(); n += stride() {
				for after := range r.fs.States(n, bounds()) {
					states++
					c := r.on(t, after, boot2)
					if err := c.restart(n, false); err != nil {
						t.Fatalf("%s (%s): %v", after.Origin(), r.op(n), err)
					}
				}
			}
			t.Logf("%d operations, %d states", r.fs.Seq()-first, states)
		})
	}
}

// TestKill ends the process at every operation; memory in the mapping survives.
func TestKill(t *testing.T) {
	for i, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.fs.Record()
			first := r.fs.Seq()
			script.run(r)
			for n := first + i; n <= r.fs.Seq(); n += (stride() + 3) / 4 {
				after := r.fs.KillAt(n)
				c := r.on(t, after, boot1)
				if err := c.restart(n, true); err != nil {
					t.Fatalf("%s (%s): %v", after.Origin(), r.op(n), err)
				}
			}
		})
	}
}

func (r *rig) op(n int) string {
	for _, op := range r.fs.Trace() {
		if op.Seq == n {
			return op.String()
		}
	}
	return fmt.Sprint(n)
}

// restart opens the store that operation n left, checks everything that must hold, and that a second opening changes
// nothing.
func (r *rig) restart(n int, killed bool) (err error) {
	if r.a, err = Open(ctx, r.opts); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := r.oracle(n, killed); err != nil {
		r.a.Close()
		return err
	}
	before := r.everything()
	if err := r.a.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if r.a, err = Open(ctx, r.opts); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if after := r.everything(); before != after {
		return fmt.Errorf("a second opening changed\n%s\ninto\n%s", before, after)
	}
	if err := r.goesOn(n); err != nil {
		return err
	}
	return r.a.Close()
}

func (r *rig) everything() (s string) {
	for i := range r.streams {
		for _, d := range r.list(i) {
			s += fmt.Sprintf("%+v\n", d)
		}
	}
	return s
}

// goesOn records a little more, as a proof that the store works, and that no id is used twice.
func (r *rig) goesOn(n int) error {
	for i := range r.streams {
		w, err := r.a.Begin(Begin{Stream: r.streams[i], Start: 1, StartFinal: true, Video: videoTrack})
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		if f := r.history.fed[w.ID()]; f != nil && f.begun <= n {
			return fmt.Errorf("id %v is used again", w.ID())
		}
		if err := w.Append(Sample{Track: &videoTrack, Flags: media.Key, Data: []byte("picture")}); err != nil {
			return err
		}
		if err := w.Finish(End{Guess: true}); err != nil {
			return err
		}
		r.dir().tick()
		if ok, err := r.a.Complete(ctx, w.ID()); !ok {
			return fmt.Errorf("recording does not complete: %v, directory: %v", err, r.dir().err)
		}
	}
	return nil
}

// oracle compares what is served with the history up to operation n.
func (r *rig) oracle(n int, killed bool) error {
	if d := r.dir(); d.err != nil {
		return fmt.Errorf("directory refused: %w", d.err)
	}
	if err := r.checkWhole(); err != nil {
		return err
	}
	served := make(map[recording.ID]bool)
	for i := range r.streams {
		gaps, err := r.a.catalog.Gaps(ctx, r.streams[i], 0, math.MaxInt64)
		if err != nil {
			return err
		}
		for _, g := range gaps {
			if g.Reason == recording.Damaged {
				return fmt.Errorf("something is said to be damaged: %+v", g)
			}
		}
		for _, d := range r.list(i) {
			served[d.ID] = true
			f := r.history.fed[d.ID]
			if f == nil {
				return fmt.Errorf("%v was never recorded", d.ID)
			}
			if f.gone > 0 && f.gone <= n {
				return fmt.Errorf("%v was deleted and is back", d.ID)
			}
			if !recording.Reason("").Valid() && d.EndReason != "" && !d.EndReason.Valid() {
				return fmt.Errorf("%v ends with %q", d.ID, d.EndReason)
			}
		}
	}
	for id, f := range r.history.fed {
		if f.deleted > 0 && f.deleted <= n {
			continue
		}
		want := f.mustHave(n, killed)
		if !served[id] {
			if want > 0 {
				return fmt.Errorf("%v with %d safe samples is gone (finished %d, complete %d)", id, want, f.finished, f.complete)
			}
			continue
		}
		got, err := r.checkStored(f)
		if err != nil {
			return fmt.Errorf("%v: %w", id, err)
		}
		if got < want {
			return fmt.Errorf("%v has %d samples, %d were safe", id, got, want)
		}
	}
	return nil
}

// mustHave returns how many samples must have survived operation n.
func (f *fed) mustHave(n int, killed bool) (want int) {
	if f.complete > 0 && f.complete <= n {
		return len(f.samples)
	}
	for i, tick := range f.ticks {
		if tick <= n {
			want = max(want, f.durable[i])
		}
	}
	if killed {
		for i, s := range f.samples {
			if s.at < n { // the operation after the sample was handed over has taken place
				want = max(want, i+1)
			}
		}
	}
	return want
}
