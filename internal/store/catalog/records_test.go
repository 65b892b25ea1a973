package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

const minute = 60 * media.TicksPerSecond

// verified fails the test if the catalog contradicts itself.
func (f *fixture) verified(t *testing.T) {
	t.Helper()
	if err := f.Verify(context.Background(), false, func(p Problem) { t.Errorf("verify: %+v", p) }); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) list(t *testing.T, stream recording.StreamID, start, end media.WallTime) (ns []uint32) {
	t.Helper()
	err := f.Recordings(context.Background(), stream, start, end, func(d *recording.Description) bool {
		ns = append(ns, d.ID.N())
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// TestRecordingsHalfOpen lists around recordings of [60, 120), [120, 180), and one of another run, [90, 390), that began
// in between.
func TestRecordingsHalfOpen(t *testing.T) {
	f := newFixture(t)
	s := f.camera.Streams[0].ID
	a, b, long := f.describe(0, 1, 1*minute), f.describe(0, 2, 2*minute), f.describe(0, 3, 3*minute/2)
	long.WallDuration, long.RunUUID = MaxDuration, recording.UUID{9}
	f.flush(t, a, b, long)
	for _, c := range []struct {
		start, end media.WallTime
		want       []uint32
	}{
		{0, 100 * minute, []uint32{1, 3, 2}},
		{0, minute, nil},
		{0, minute + 1, []uint32{1}},
		{2*minute - 1, 2 * minute, []uint32{1, 3}},
		{2 * minute, 2*minute + 1, []uint32{3, 2}},
		{3 * minute, 4 * minute, []uint32{3}},
		{13*minute/2 - 1, 100 * minute, []uint32{3}},
		{13 * minute / 2, 100 * minute, nil},
		{2 * minute, 2 * minute, []uint32{3}}, // an empty span lies within a recording that began before
	} {
		if got := f.list(t, s, c.start, c.end); !slices.Equal(got, c.want) {
			t.Errorf("[%d, %d): got %v, want %v", c.start, c.end, got, c.want)
		}
	}
	if got := f.list(t, f.camera.Streams[1].ID, 0, 100*minute); len(got) != 0 {
		t.Errorf("other stream: %v", got)
	}
	// Stopping early is no error, and yield may use the catalog.
	n := 0
	err := f.Recordings(context.Background(), s, 0, 100*minute, func(d *recording.Description) bool {
		n++
		if _, err := f.Describe(context.Background(), d.ID); err != nil {
			t.Error(err)
		}
		return false
	})
	if err != nil || n != 1 {
		t.Errorf("stopped after %d, %v", n, err)
	}
}

// TestRecordingsPages lists more than a page, with equal starts among them.
func TestRecordingsPages(t *testing.T) {
	f := newFixture(t)
	var batch []*recording.Description
	for n := uint32(1); n <= 2*pageRows+7; n++ {
		batch = append(batch, f.describe(0, n, media.WallTime(n/10)*minute))
	}
	f.flush(t, batch...)
	got := f.list(t, f.camera.Streams[0].ID, 0, 1<<60)
	if len(got) != len(batch) {
		t.Fatalf("%d of %d", len(got), len(batch))
	}
	for i, n := range got {
		if n != uint32(i+1) {
			t.Fatalf("position %d has number %d", i, n)
		}
	}
	at := uint32(0)
	err := f.Briefs(context.Background(), f.camera.Streams[0].ID, func(b Brief) bool {
		if at++; b.ID.N() != at {
			t.Errorf("brief %d has number %d", at, b.ID.N())
		}
		return true
	})
	if err != nil || int(at) != len(batch) {
		t.Errorf("%d briefs of %d, %v", at, len(batch), err)
	}
}

func TestFlushRefuses(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*NewRecording){
		"other stream":  func(r *NewRecording) { r.StreamUUID[0]++ },
		"other camera":  func(r *NewRecording) { r.CameraUUID[0]++ },
		"other name":    func(r *NewRecording) { r.StreamName = "sub" },
		"no stream":     func(r *NewRecording) { r.ID = recording.NewID(77, 1) },
		"no number":     func(r *NewRecording) { r.ID = recording.NewID(r.ID.Stream(), 0) },
		"other open":    func(r *NewRecording) { r.OpenUUID[0]++ },
		"no open":       func(r *NewRecording) { r.OpenID++ },
		"no directory":  func(r *NewRecording) { r.Directory++ },
		"too long":      func(r *NewRecording) { r.WallDuration = MaxDuration + 1 },
		"negative":      func(r *NewRecording) { r.WallDuration = -1 },
		"no tracks":     func(r *NewRecording) { r.Tracks = nil },
		"strange end":   func(r *NewRecording) { r.EndReason = "boredom" },
		"negative size": func(r *NewRecording) { r.Bytes = -1 },
	} {
		good, bad := f.describe(0, 1, minute), NewRecording{f.describe(0, 2, 2*minute), f.dir.ID}
		change(&bad)
		err := f.Flush(context.Background(), Batch{Recordings: []NewRecording{{good, f.dir.ID}, bad}})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := f.list(t, f.camera.Streams[0].ID, 0, 1<<60); len(got) != 0 {
		t.Errorf("a refused batch left %v", got)
	}
	f.verified(t)
}

func TestFlushAgain(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	a, b := f.describe(0, 1, minute), f.describe(0, 2, 2*minute)
	f.flush(t, a)
	f.flush(t, a, b)
	if err := f.MarkGarbage(ctx, []recording.ID{a.ID}, recording.Retention, 0); err != nil {
		t.Fatal(err)
	}
	f.flush(t, a, b)
	if got := f.list(t, a.ID.Stream(), 0, 1<<60); !slices.Equal(got, []uint32{2}) {
		t.Errorf("rows %v", got)
	}
	missing, err := f.Missing(ctx, []recording.ID{a.ID, b.ID, b.ID + 1})
	if err != nil || !slices.Equal(missing, []recording.ID{b.ID + 1}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	s, err := f.Stream(ctx, a.ID.Stream())
	if err != nil || s.CumRuns != 1 || s.CumMediaDuration != b.PrevMediaDuration+b.MediaDuration || s.NextN != 3 {
		t.Errorf("stream %+v, %v", s, err)
	}
	f.verified(t)
}

func TestGarbage(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	for n := uint32(1); n <= 5; n++ {
		f.flush(t, f.describe(0, n, media.WallTime(n)*minute))
	}
	ids := []recording.ID{recording.NewID(1, 1), recording.NewID(1, 2), recording.NewID(1, 99)}
	if err := f.MarkGarbage(ctx, ids, "whim", 5); !errors.Is(err, ErrInvalid) {
		t.Errorf("strange reason: %v", err)
	}
	if err := f.MarkGarbage(ctx, ids, recording.Retention, 5); err != nil {
		t.Fatal(err)
	}
	f.verified(t)
	got, err := f.Garbage(ctx, f.dir.ID)
	want := []Garbage{
		{ids[0], f.dir.ID, recording.Retention, 5001, 5}, {ids[1], f.dir.ID, recording.Retention, 5002, 5},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := f.Describe(ctx, ids[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted recording: %v", err)
	}
	if err := f.MarkGarbage(ctx, []recording.ID{recording.NewID(1, 3)}, recording.Removed, 6); err != nil {
		t.Fatal(err)
	}
	if err := f.MarkGarbage(ctx, []recording.ID{recording.NewID(1, 4)}, recording.Removed, 6); err != nil {
		t.Fatal(err)
	}
	gaps, err := f.Gaps(ctx, 1, 0, 1<<60)
	wantGaps := []Gap{
		{Stream: 1, Start: minute, End: 3 * minute, Reason: recording.Retention},
		{Stream: 1, Start: 3 * minute, End: 5 * minute, Reason: recording.Removed},
	}
	if diff := cmp.Diff(wantGaps, gaps); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := f.ForgetGarbage(ctx, ids); err != nil {
		t.Fatal(err)
	}
	if got, err = f.Garbage(ctx, f.dir.ID); err != nil || len(got) != 2 {
		t.Errorf("left %v, %v", got, err)
	}
}

func TestGaps(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	flush := func(g ...Gap) error { return f.Flush(ctx, Batch{Gaps: g}) }
	open := Gap{Stream: 1, Start: 10, Open: true, Reason: recording.CameraOffline, Detail: "no answer"}
	if err := flush(open, Gap{Stream: 1, Start: 2, End: 4, Reason: recording.PacketLoss}, Gap{Stream: 2, Start: 1, End: 9, Reason: recording.Timeout}); err != nil {
		t.Fatal(err)
	}
	got, err := f.Gaps(ctx, 1, 4, 1000)
	if diff := cmp.Diff([]Gap{open}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	closed := open
	closed.End, closed.Open = 20, false
	if err := flush(closed); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		start, end media.WallTime
		want       int
	}{{0, 1000, 2}, {0, 10, 1}, {0, 11, 2}, {19, 20, 1}, {20, 30, 0}, {3, 4, 1}, {4, 5, 0}} {
		if got, err := f.Gaps(ctx, 1, c.start, c.end); err != nil || len(got) != c.want {
			t.Errorf("[%d, %d): %v, %v; want %d", c.start, c.end, got, err, c.want)
		}
	}
	for _, g := range []Gap{{Stream: 1, Reason: "rain"}, {Stream: 1, Start: 5, End: 4, Reason: recording.DNS}, {Stream: 44, Reason: recording.DNS}} {
		if err := flush(g); err == nil {
			t.Errorf("took %+v", g)
		}
	}
}

// TestRuns keeps the run's name and clocks while its recordings come and go, and clears runs away.
func TestRuns(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	synced := true
	first := f.describe(0, 1, minute)
	first.Clocks = &media.Clocks{Wall: epoch, Synced: &synced, Uptime: time.Hour}
	renamed := f.describe(0, 2, 2*minute)
	renamed.CameraName = "gate"
	f.flush(t, first, renamed)
	got, err := f.Describe(ctx, renamed.ID)
	if err != nil || got.CameraName != "gate" || got.Clocks != nil {
		t.Errorf("second of the run: %+v, %v", got, err)
	}
	if err := f.MarkGarbage(ctx, []recording.ID{first.ID, renamed.ID}, recording.Retention, 0); err != nil {
		t.Fatal(err)
	}
	third := f.describe(0, 3, 3*minute) // the run goes on
	f.flush(t, third)
	other := f.describe(0, 4, 4*minute)
	other.RunUUID, other.RunOffset = recording.UUID{7}, 0
	f.flush(t, other)
	s, err := f.Stream(ctx, 1)
	if err != nil || s.CumRuns != 2 {
		t.Errorf("%d runs, %v", s.CumRuns, err)
	}
	if err := f.MarkGarbage(ctx, []recording.ID{third.ID, other.ID}, recording.Retention, 0); err != nil {
		t.Fatal(err)
	}
	f.verified(t)
	var runs int64
	f.read(ctx, func(tx *conn) error { runs, err = tx.queryInt("select count(*) from run"); return err })
	if runs != 1 {
		t.Errorf("%d runs left, want the newest alone", runs)
	}
}

// TestTotals does random flushes and deletions and compares usage, hours and lists with a model of a plain slice.
func TestTotals(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	f := newFixture(t)
	ctx := context.Background()
	var model []*recording.Description
	next := uint32(1)
	for range 40 {
		var batch []*recording.Description
		for range rng.IntN(12) {
			d := f.describe(rng.IntN(2), next, media.WallTime(rng.Int64N(6*ticksPerHour)-3*ticksPerHour))
			d.WallDuration = media.WallDuration(rng.Int64N(int64(MaxDuration) + 1))
			d.Bytes = rng.Int64N(20_000)
			d.Tracks[0].Samples = rng.Int32N(1000)
			next++
			batch = append(batch, d)
		}
		f.flush(t, batch...)
		model = append(model, batch...)
		var gone []recording.ID
		for len(model) > 0 && rng.IntN(3) > 0 {
			i := rng.IntN(len(model))
			gone = append(gone, model[i].ID)
			model = slices.Delete(model, i, i+1)
		}
		if err := f.MarkGarbage(ctx, gone, recording.Retention, 0); err != nil {
			t.Fatal(err)
		}
	}
	f.verified(t)
	for _, s := range f.camera.Streams {
		compareModel(t, f, s.ID, model)
	}
}

func compareModel(t *testing.T, f *fixture, stream recording.StreamID, model []*recording.Description) {
	t.Helper()
	ctx := context.Background()
	var use Usage
	var ids []recording.ID
	for _, d := range model {
		if d.ID.Stream() == stream {
			use = use.Add(Usage{1, d.Bytes, DiskBytes(d.Bytes), d.WallDuration})
			ids = append(ids, d.ID)
		}
	}
	byStream, err := f.DirectoryUsage(ctx, f.dir.ID)
	if err != nil || byStream[stream] != use {
		t.Errorf("stream %d: usage %+v, want %+v (%v)", stream, byStream[stream], use, err)
	}
	byDir, err := f.StreamUsage(ctx, stream)
	if err != nil || byDir[f.dir.ID] != use {
		t.Errorf("stream %d: usage %+v, want %+v (%v)", stream, byDir[f.dir.ID], use, err)
	}
	hours, err := f.Hours(ctx, stream, -1<<50, 1<<50)
	var sum Hour
	for _, h := range hours {
		sum.Duration, sum.Recordings, sum.Bytes = sum.Duration+h.Duration, sum.Recordings+h.Recordings, sum.Bytes+h.Bytes
		if h.Duration > ticksPerHour*media.WallDuration(len(model)) || h.Hour < -3 || h.Hour > 3 {
			t.Errorf("hour %+v", h)
		}
	}
	if err != nil || sum.Duration != use.Duration || sum.Recordings != use.Recordings || sum.Bytes != use.Bytes {
		t.Errorf("stream %d: hours sum to %+v, want %+v (%v)", stream, sum, use, err)
	}
	listed, err := f.Oldest(ctx, stream, 0, 1<<20)
	if err != nil || len(listed) != len(ids) || !slices.IsSortedFunc(listed, func(a, b Brief) int { return int(a.Start - b.Start) }) {
		t.Errorf("stream %d: oldest lists %d of %d (%v)", stream, len(listed), len(ids), err)
	}
	var briefs []Brief
	err = f.Briefs(ctx, stream, func(b Brief) bool { briefs = append(briefs, b); return true })
	if err != nil || !slices.Equal(briefs, listed) {
		t.Errorf("stream %d: briefs %v, oldest %v (%v)", stream, briefs, listed, err)
	}
	if in, err := f.Oldest(ctx, stream, f.dir.ID+1, 10); err != nil || len(in) != 0 {
		t.Errorf("other directory: %v, %v", in, err)
	}
}

// TestHours divides a recording at the full hour.
func TestHours(t *testing.T) {
	f := newFixture(t)
	d := f.describe(0, 1, 5*ticksPerHour-20*media.TicksPerSecond)
	f.flush(t, d)
	got, err := f.Hours(context.Background(), 1, 0, 100*ticksPerHour)
	want := []Hour{{4, 20 * media.TicksPerSecond, 1, 5001, 1800}, {5, 40 * media.TicksPerSecond, 0, 0, 0}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, c := range []struct {
		start, end media.WallTime
		want       int
	}{{4 * ticksPerHour, 5 * ticksPerHour, 1}, {4*ticksPerHour + 7, 5*ticksPerHour + 1, 2}, {6 * ticksPerHour, 7 * ticksPerHour, 0}} {
		if got, err := f.Hours(context.Background(), 1, c.start, c.end); err != nil || len(got) != c.want {
			t.Errorf("[%d, %d): %v %v", c.start, c.end, got, err)
		}
	}
}

// TestVerifyFinds plants each contradiction and expects it to be found.
func TestVerifyFinds(t *testing.T) {
	for _, c := range []struct{ table, sql string }{
		{"recording", "insert into garbage values (1, (select min(id) from recording), 'retention', 1, 1)"},
		{"recording", "update recording set run_id = 99 where id = (select min(id) from recording)"},
		{"recording", "update recording set directory_id = 99 where id = (select min(id) from recording)"},
		{"recording", "delete from recording_track where recording_id = (select min(id) from recording)"},
		{"recording", "update stream set next_n = 1"},
		{"recording_track", "delete from recording_playback where id = 1"},
		{"recording_playback", "insert into recording_playback (video_index) values (x'00')"},
		{"recording_playback", "update recording_track set playback_id = 1"},
		{"run", "update run set recordings = 7"},
		{"stream", "update stream set cum_media_duration_90k = 1"},
		{"usage", "update usage set bytes = bytes + 1"},
		{"usage", "delete from usage"},
		{"hour", "update hour set samples = samples + 1"},
		{"hour", "delete from hour"},
		{"hour", "insert into hour values (1, 99, 1, 1, 1, 1)"},
		{"schema", "drop index garbage_recording"},
		{"schema", "alter table audit add column why text"},
		{"schema", "create table guest (x)"},
		{"sample_entry", "update sample_entry set width = 1"},
		{"recording_track", "pragma foreign_keys=off; update recording_track set sample_entry_id = 1000; pragma foreign_keys=on"},
	} {
		f := newFixture(t)
		f.flush(t, f.describe(0, 1, minute), f.describe(0, 2, 2*minute))
		f.verified(t)
		if err := f.writer.db.Exec(c.sql); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		var found []Problem
		if err := f.Verify(context.Background(), true, func(p Problem) { found = append(found, p) }); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(found, func(p Problem) bool { return p.Table == c.table && p.Detail != "" }) {
			t.Errorf("%s: found %+v", c.sql, found)
		}
	}
}

func ExampleDiskBytes() {
	fmt.Println(DiskBytes(0), DiskBytes(1), DiskBytes(4096), DiskBytes(4097))
	// Output: 0 4096 4096 8192
}
