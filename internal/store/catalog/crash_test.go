package catalog

import (
	"context"
	"errors"
	"os"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// story runs the life of a catalog over a file system, and notes after each step how many operations it took.
type story struct {
	fsys  *crashfs.FS
	acked []ack
}

type ack struct {
	seq  int
	step int
}

const dataDir = "/data"

func crashOptions(fsys *crashfs.FS) Options {
	o := options(dataDir, ReadWrite)
	o.FS = fsys
	return o
}

// The steps of the story; the state after step i is checked by check(i).
const (
	stepInit = 1 + iota
	stepOpen
	stepCamera
	stepReserve
	stepFlush1
	stepFlush2
	stepGarbage
	stepForget
	stepClose
)

func (s *story) tell(ctx context.Context) error {
	if err := Init(ctx, crashOptions(s.fsys)); err != nil {
		return err
	}
	s.ack(stepInit)
	c, err := Open(ctx, crashOptions(s.fsys))
	if err != nil {
		return err
	}
	defer c.Close()
	s.ack(stepOpen)
	f := &fixture{Catalog: c}
	if f.dir, err = c.AddDirectory(ctx, Directory{UUID: recording.UUID{1}, Path: "/media/a"}); err != nil {
		return err
	}
	f.camera, err = c.AddCamera(ctx, Camera{Name: "door", UUID: recording.UUID{2}, Streams: []Stream{{Name: "main", UUID: recording.UUID{3}, Directory: f.dir.ID}}})
	if err != nil {
		return err
	}
	s.ack(stepCamera)
	if _, err := c.ReserveIDs(ctx, f.camera.Streams[0].ID, 64); err != nil {
		return err
	}
	s.ack(stepReserve)
	start := media.WallTimeOf(epoch)
	for i := range uint32(2) {
		var b Batch
		for n := 1 + 4*i; n <= 4+4*i; n++ {
			d := f.describe(0, n, start.Add(media.WallDuration(n)*60*media.TicksPerSecond))
			d.Tracks[0].Index = make([]byte, 6000)
			b.Recordings = append(b.Recordings, NewRecording{d, f.dir.ID})
		}
		if err := c.Flush(ctx, b); err != nil {
			return err
		}
		s.ack(stepFlush1 + int(i))
	}
	old := []recording.ID{recording.NewID(1, 1), recording.NewID(1, 2)}
	if err := c.MarkGarbage(ctx, old, recording.Retention, start); err != nil {
		return err
	}
	s.ack(stepGarbage)
	if err := c.ForgetGarbage(ctx, old); err != nil {
		return err
	}
	s.ack(stepForget)
	if err := c.Close(); err != nil {
		return err
	}
	s.ack(stepClose)
	return nil
}

func (s *story) ack(step int) { s.acked = append(s.acked, ack{s.fsys.Seq(), step}) }

// step returns the last step that was complete after operation n.
func (s *story) step(n int) (step int) {
	for _, a := range s.acked {
		if a.seq <= n {
			step = a.step
		}
	}
	return step
}

// check opens the catalog that a crash left after the given step was acknowledged (the next may be there or not) and
// compares the whole state.
func check(ctx context.Context, fsys *crashfs.FS, step int) error {
	c, err := Open(ctx, crashOptions(fsys))
	if errors.Is(err, ErrNoCatalog) && step < stepInit {
		if err := Init(ctx, crashOptions(fsys)); err != nil {
			return err
		}
		c, err = Open(ctx, crashOptions(fsys))
	}
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Verify(ctx, false, func(p Problem) { err = errors.Join(err, errors.New(p.Table+": "+p.Detail)) })
	if err != nil {
		return err
	}
	if step < stepCamera {
		return nil
	}
	s, err := c.Stream(ctx, 1)
	if err != nil {
		return err
	}
	var ids []recording.ID
	err = c.Recordings(ctx, 1, 0, 1<<60, func(d *recording.Description) bool { ids = append(ids, d.ID); return true })
	if err != nil {
		return err
	}
	garbage, err := c.Garbage(ctx, 1)
	if err != nil {
		return err
	}
	rows := map[int]int{stepCamera: 0, stepReserve: 0, stepFlush1: 4, stepFlush2: 8, stepGarbage: 6, stepForget: 6, stepClose: 6}
	trash := map[int]int{stepGarbage: 2}
	next := map[int]uint32{stepCamera: 1}
	now, later := step, min(step+1, stepClose)
	if n := len(ids); n != rows[now] && n != rows[later] {
		return errors.New("recordings are missing or came back")
	}
	if n := len(garbage); n != trash[now] && n != trash[later] {
		return errors.New("garbage is missing or came back")
	}
	if want := max(next[now], 1); s.NextN < want || now >= stepReserve && s.NextN != 65 {
		return errors.New("reserved ids are free again")
	}
	return c.Close()
}

// TestCrash cuts the power during the life of a catalog: after every operation with NIGHTJAR_LONG=1, else after some.
func TestCrash(t *testing.T) {
	ctx := context.Background()
	s := &story{fsys: crashfs.New(dataDir)}
	s.fsys.Record()
	if err := s.tell(ctx); err != nil {
		t.Fatal(err)
	}
	stride, bounds := 13, crashfs.Bounds{Random: 1, NoSingles: true}
	if os.Getenv("NIGHTJAR_LONG") != "" {
		stride, bounds = 1, crashfs.Bounds{Random: 6, Max: 40}
	}
	states := 0
	for n := 0; n <= s.fsys.Seq(); n += stride {
		for fsys := range s.fsys.States(n, bounds) {
			states++
			if err := check(ctx, fsys, s.step(n)); err != nil {
				t.Fatalf("%s, after step %d: %v", fsys.Origin(), s.step(n), err)
			}
		}
	}
	t.Logf("%d states, %d operations", states, s.fsys.Seq())
}

// TestIOErrors lets operations fail, once without and once with their effect: the method reports it, and the next start
// finds a whole catalog in which all acknowledged steps are.
func TestIOErrors(t *testing.T) {
	ctx := context.Background()
	probe := &story{fsys: crashfs.New(dataDir)}
	if err := probe.tell(ctx); err != nil {
		t.Fatal(err)
	}
	stride := 17
	if os.Getenv("NIGHTJAR_LONG") != "" {
		stride = 1
	}
	for n := 1; n <= probe.fsys.Seq(); n += stride {
		for _, happened := range []bool{false, true} {
			s := &story{fsys: crashfs.New(dataDir)}
			s.fsys.Inject(crashfs.Rule{
				From: n, Err: os.ErrPermission, Happened: happened,
				Kinds: []crashfs.Kind{crashfs.Create, crashfs.Write, crashfs.Sync, crashfs.Datasync, crashfs.SyncDir, crashfs.Truncate, crashfs.Remove, crashfs.Read},
			})
			told := s.tell(ctx)
			step := s.step(1 << 30)
			if told == nil && step != stepClose {
				t.Fatalf("operation %d: the story ended at step %d without error", n, step)
			}
			if err := check(ctx, s.fsys.Crash(crashfs.LoseAll), step); err != nil {
				t.Fatalf("operation %d failed (happened %v): %v; after step %d: %v", n, happened, told, step, err)
			}
		}
	}
}
