package archive

import (
	"testing"

	"nightjar/internal/store/recording"
)

func TestWalk(t *testing.T) {
	r := newRig(t, 2)
	a := r.begin(0).video(25, 20_000, true)
	if list := r.list(0); len(list) != 1 || !r.a.Growing(list[0].ID) || list[0].EndReason != "" {
		t.Errorf("growing: %+v", list)
	}
	check := func(f *fed, want int) {
		t.Helper()
		if n, err := r.checkStored(f); err != nil || n < want {
			t.Fatalf("recording %v: %d samples, want at least %d: %v", f.id, n, want, err)
		}
	}
	check(a.f, 60) // all pictures, and the audio up to the last key sample
	r.tick()
	check(a.f, 75)
	a.video(25, 20_000, true)
	b := r.begin(1).video(10, 300, false)
	a.finish("")
	check(a.f, 150)
	check(b.f, 10)
	r.tick()
	check(a.f, 150)
	check(b.f, 10)
	if ok, err := r.a.Complete(ctx, a.f.id); !ok || err != nil {
		t.Errorf("complete: %v %v", ok, err)
	}
	a2 := r.begin(0).video(30, 500, false)
	b.finish(recording.CameraClosed)
	r.tick()
	r.flush()
	check(a.f, 150)
	check(a2.f, 30)
	d, err := r.a.Describe(ctx, b.f.id)
	must(t, err)
	if d.EndReason != recording.CameraClosed || d.WallDuration != 36_000 {
		t.Errorf("%+v", d)
	}
	r.delete(b.f.id)
	a2.finish(recording.ServerStopped)
	r.tick()
	r.flush()
	must(t, r.checkWhole())
	r.close()

	r.open()
	must(t, r.checkWhole())
	check(a.f, 150)
	check(a2.f, 30)
	if list := r.list(0); len(list) != 2 || list[1].PrevMediaDuration != list[0].MediaDuration {
		t.Errorf("%+v", list)
	}
	r.close()
}
