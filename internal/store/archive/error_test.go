package archive

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// tough does with an archive what a recorder does, whatever goes wrong: it begins again after errors.
type tough struct {
	*rig
	current [2]*Writer
	i       [2]int
	serial  int
}

func (w *tough) step(stream, n int) {
	for range n {
		if w.current[stream] == nil {
			b := Begin{Stream: w.streams[stream], Run: recording.UUID{7}, Start: media.WallTimeOf(w.now), StartFinal: true, Video: videoTrack}
			writer, err := w.a.Begin(b)
			if err != nil {
				var known *recording.Error
				if !errors.As(err, &known) {
					w.t.Fatalf("begin: %v has no reason", err)
				}
				continue
			}
			w.current[stream], w.i[stream] = writer, 0
			w.history.fed[writer.ID()] = &fed{id: writer.ID(), start: b.Start, begun: w.fs.Seq()}
		}
		f := w.history.fed[w.current[stream].ID()]
		flags := media.Flags(0)
		if w.i[stream]%5 == 0 {
			flags = media.Key
		}
		w.serial++
		data := fmt.Appendf(nil, "%0900d", w.serial)
		s := Sample{Track: &videoTrack, Flags: flags, Decode: media.Time(w.i[stream] * 3600), Data: data}
		w.i[stream]++
		if err := w.current[stream].Append(s); err != nil {
			var known *recording.Error
			if !errors.As(err, &known) || !known.Reason.Valid() {
				w.t.Fatalf("append: %v has no reason", err)
			}
			w.end(stream, known.Reason)
			continue
		}
		f.samples = append(f.samples, fedSample{media.Video, flags != 0, s.Decode, data, w.fs.Seq()})
	}
}

func (w *tough) end(stream int, reason recording.Reason) {
	if c := w.current[stream]; c != nil {
		if err := c.Finish(End{Guess: true, Reason: reason}); err != nil {
			w.t.Fatalf("finish: %v", err)
		}
		w.history.fed[c.ID()].finished = w.fs.Seq()
		w.current[stream] = nil
	}
}

// pulse is what Run does: a tick, or an attempt to begin again.
func (w *tough) pulse() {
	if w.dir().err != nil {
		w.dir().reopen(ctx)
		return
	}
	w.tick()
}

func (w *tough) life() {
	w.step(0, 4)
	w.step(1, 2)
	w.pulse()
	w.step(0, 3)
	w.pulse()
	w.end(0, "")
	w.step(0, 2)
	w.step(1, 300) // some blocks
	w.dir().writeFullIfSound()
	w.pulse()
	_ = w.a.Flush(ctx)
	for id, f := range w.history.fed {
		if f.complete > 0 && f.deleted == 0 && id.N()%2 == 1 {
			f.deleted = w.fs.Seq() + 1
			if w.a.Delete(ctx, []recording.ID{id}, recording.Retention) != nil {
				f.deleted = -1 // nobody knows
			}
		}
	}
	w.pulse()
	w.now = w.now.Add(2 * maxSegmentAge)
	w.dir().rotate()
	w.step(0, 3)
	w.pulse()
	w.end(1, "")
	w.pulse()
}

func (d *directory) writeFullIfSound() {
	if d.err == nil {
		d.writeFull()
	}
}

// TestFaults refuses one operation, or all from one on, with several errors, some of which happened all the same; then
// the trouble ends, and everything must work again, with nothing safe lost and each lost second in the gap ledger.
func TestFaults(t *testing.T) {
	last := func() int {
		w := &tough{rig: newRig(t, 2)}
		w.life()
		w.close()
		return w.fs.Seq()
	}()
	points := 0
	for _, c := range []struct {
		name string
		rule crashfs.Rule
		want recording.Reason
	}{
		{"EIO once", crashfs.Rule{Err: syscall.EIO, Path: "/d/*"}, recording.DiskError},
		{"EIO for good", crashfs.Rule{Err: syscall.EIO, Path: "/d/*", Sticky: true}, recording.DiskError},
		{"EIO that happened", crashfs.Rule{Err: syscall.EIO, Path: "/d/*", Happened: true}, recording.DiskError},
		{"EIO of directory", crashfs.Rule{Err: syscall.EIO, Path: "/d"}, recording.DiskError},
		{"ENOSPC for good", crashfs.Rule{Err: syscall.ENOSPC, Path: "/d/*", Sticky: true, Kinds: []crashfs.Kind{crashfs.Write, crashfs.Create, crashfs.Allocate}}, recording.DiskFull},
		{"EIO of catalog", crashfs.Rule{Err: syscall.EIO, Path: "/data/*"}, ""},
		{"EIO of open blocks", crashfs.Rule{Err: syscall.EIO, Path: "/run/*"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := 0
			for n := first; n < last; n += (stride() + 2) / 3 {
				w := &tough{rig: newRig(t, 2)}
				if first == 0 {
					first = w.fs.Seq()
					n = first
				}
				points++
				rule := c.rule
				rule.From = n
				injection := w.fs.Inject(rule)
				w.life()
				if d := w.dir(); d.err != nil && (c.want == "" || d.err.Reason != c.want) {
					t.Fatalf("from %d: directory fails with %s: %v", n, d.err.Reason, d.err)
				}
				injection.Remove()
				if err := w.recovered(n); err != nil {
					t.Fatalf("from %d (%d hits): %v", n, injection.Hits(), err)
				}
			}
		})
	}
	t.Logf("%d points", points)
}

// TestCrashAfterFault cuts the power, or kills the process, at each operation between a failure of the disk and the
// moment when all is well again: what the disk lost must not be served, what was safe must not be lost.
func TestCrashAfterFault(t *testing.T) {
	for name, rule := range map[string]crashfs.Rule{
		"sync of a file":        {Kinds: []crashfs.Kind{crashfs.Datasync}, Path: "/d/00*"},
		"sync at the end":       {Kinds: []crashfs.Kind{crashfs.Sync}, Path: "/d/00*"},
		"sync of the log":       {Kinds: []crashfs.Kind{crashfs.Datasync}, Path: "/d/tail-*"},
		"that of it happened":   {Kinds: []crashfs.Kind{crashfs.Datasync}, Path: "/d/tail-*", Happened: true},
		"write of the log":      {Kinds: []crashfs.Kind{crashfs.Write}, Path: "/d/tail-*", Short: 512},
		"sync of the directory": {Kinds: []crashfs.Kind{crashfs.SyncDir}, Path: "/d"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &tough{rig: newRig(t, 2)}
			w.step(0, 4)
			w.step(1, 280)
			w.pulse()
			w.step(0, 40)
			w.end(1, "")
			w.fs.Record()
			first := w.fs.Seq()
			rule.Err = syscall.EIO
			injection := w.fs.Inject(rule)
			w.step(1, 2)
			w.pulse()
			if name == "sync at the end" && injection.Hits() == 0 || w.dir().err == nil {
				t.Fatalf("no trouble after %d hits", injection.Hits())
			}
			injection.Remove()
			w.step(0, 1)
			w.pulse()
			w.step(0, 3)
			w.end(0, "")
			w.end(1, "")
			w.pulse()
			for n := first; n <= w.fs.Seq(); n += (stride() + 9) / 10 {
				for after := range w.fs.States(n, bounds()) {
					if err := w.on(t, after, boot2).restart(n, false); err != nil {
						t.Fatalf("%s (%s): %v", after.Origin(), w.op(n), err)
					}
				}
				if err := w.on(t, w.fs.KillAt(n), boot1).restart(n, false); err != nil {
					t.Fatalf("killed after %s: %v", w.op(n), err)
				}
			}
		})
	}
}

// recovered checks that after the trouble all is well.
func (w *tough) recovered(n int) error {
	w.pulse()
	if err := w.dir().err; err != nil {
		return fmt.Errorf("still in trouble: %w", err)
	}
	w.step(0, 3)
	w.step(1, 1)
	w.end(0, "")
	w.end(1, "")
	w.pulse()
	if err := w.a.Flush(ctx); err != nil {
		return err
	}
	for i := range w.streams {
		if w.a.live[w.lastOf(i)] != nil {
			return fmt.Errorf("%v does not complete", w.lastOf(i))
		}
	}
	if err := w.explained(); err != nil {
		return err
	}
	if err := w.a.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	fresh := w.on(w.t, w.fs.Crash(crashfs.LoseAll), boot2)
	if err := fresh.restart(math.MaxInt, false); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return nil
}

func (w *tough) lastOf(stream int) (last recording.ID) {
	for id := range w.history.fed {
		if id.Stream() == w.streams[stream] {
			last = max(last, id)
		}
	}
	return last
}

// explained checks that what was handed over, but is not there, lies in a gap.
func (w *tough) explained() error {
	for i := range w.streams {
		gaps, err := w.a.catalog.Gaps(ctx, w.streams[i], 0, math.MaxInt64-1)
		if err != nil {
			return err
		}
		have := make(map[recording.ID]int)
		for _, d := range w.list(i) {
			have[d.ID] = int(d.Tracks[0].Samples)
		}
		for id, f := range w.history.fed {
			lost := len(f.samples) - have[id]
			if id.Stream() != w.streams[i] || lost == 0 || f.deleted != 0 {
				continue
			}
			from, to := f.start+media.WallTime(have[id]*3600), f.start+media.WallTime(len(f.samples)*3600)
			covered := false
			for _, g := range gaps {
				covered = covered || g.Start <= from && (g.Open || g.End >= to)
			}
			if !covered {
				return fmt.Errorf("%v lost %d of %d samples, [%d, %d), and the gap ledger does not say so: %v", id, lost, len(f.samples), from, to, gaps)
			}
		}
	}
	return nil
}

// A recording whose bytes the catalog refuses does not keep the others out.
func TestRefusedRow(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.begin(0).video(3, 100, false), r.begin(1).video(3, 100, false)
	a.finish("")
	b.finish("")
	r.tick()
	r.a.mu.Lock()
	r.a.sealed[a.f.id].Description.EndReason = "no such reason"
	r.a.mu.Unlock()
	r.flush()
	if _, err := r.a.catalog.Describe(ctx, a.f.id); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the bad one: %v", err)
	}
	if _, err := r.a.catalog.Describe(ctx, b.f.id); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if list := r.list(0); len(list) != 1 {
		t.Errorf("the bad one is not listed any more")
	}
	r.close()
}
