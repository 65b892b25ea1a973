package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func options(dir string, mode Mode) Options {
	return Options{FS: vfs.OS(), Dir: dir, Mode: mode, Now: func() time.Time { return epoch }, BootID: "boot"}
}

// fixture is a catalog with one directory and one camera of two streams.
type fixture struct {
	*Catalog
	dir    Directory
	camera Camera
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	dir := t.TempDir()
	if err := Init(context.Background(), options(dir, ReadWrite)); err != nil {
		t.Fatal(err)
	}
	return openFixture(t, options(dir, ReadWrite))
}

func openFixture(t testing.TB, o Options) *fixture {
	t.Helper()
	ctx := context.Background()
	c, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f := &fixture{Catalog: c}
	if f.dir, err = c.AddDirectory(ctx, Directory{UUID: newUUID(), Path: "/media/a"}); err != nil {
		t.Fatal(err)
	}
	f.camera, err = c.AddCamera(ctx, Camera{Name: "door", Streams: []Stream{
		{Name: "main", URL: "rtsp://host/main", Record: true, Directory: f.dir.ID},
		{Name: "sub", URL: "rtsp://host/sub", Record: true, Directory: f.dir.ID},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// describe returns a plausible recording n of the fixture's stream i: a minute from start on.
func (f *fixture) describe(i int, n uint32, start media.WallTime) *recording.Description {
	s := f.camera.Streams[i]
	open := f.CurrentOpen()
	return &recording.Description{
		ID: recording.NewID(s.ID, n), CameraUUID: f.camera.UUID, StreamUUID: s.UUID, CameraName: f.camera.Name, StreamName: s.Name,
		OpenID: open.ID, OpenUUID: open.UUID, RunUUID: recording.UUID{1, byte(i)}, RunOffset: n - 1,
		Start: start, WallDuration: 60 * media.TicksPerSecond, MediaDuration: 60*media.TicksPerSecond - 3,
		PrevMediaDuration: media.Duration(n-1) * (60*media.TicksPerSecond - 3), Bytes: 5000 + int64(n),
		BlockSums: []uint32{n},
		Tracks: []recording.Track{{
			Kind: media.Video, Entry: recording.SampleEntry{Codec: media.H264, ClockRate: 90000, Data: []byte("avc1"), RFC6381: "avc1.4d401e"},
			Samples: 1800, SyncSamples: 30, Chunks: 1, Bytes: 5000 + int64(n), Duration: 60*media.TicksPerSecond - 3,
			Index: []byte{1, 2, byte(n)},
		}},
	}
}

func (f *fixture) flush(t testing.TB, list ...*recording.Description) {
	t.Helper()
	var b Batch
	for _, d := range list {
		b.Recordings = append(b.Recordings, NewRecording{d, f.dir.ID})
	}
	if err := f.Flush(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func TestOpens(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	if _, err := Open(ctx, options(dir, ReadWrite)); !errors.Is(err, ErrNoCatalog) || !strings.Contains(err.Error(), "nightjar init") {
		t.Errorf("open of nothing: %v", err)
	}
	if err := Init(ctx, options(dir, ReadWrite)); err != nil {
		t.Fatal(err)
	}
	if err := Init(ctx, options(dir, ReadWrite)); !errors.Is(err, ErrExists) {
		t.Errorf("second init: %v", err)
	}
	var uuids []recording.UUID
	for want := uint32(1); want <= 3; want++ {
		c, err := Open(ctx, options(dir, ReadWrite))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.CurrentOpen().ID; got != want {
			t.Errorf("open %d got number %d", want, got)
		}
		if _, err := Open(ctx, options(dir, ReadOnly)); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("reader beside a writer: %v", err)
		}
		uuids = append(uuids, c.UUID())
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if uuids[0] != uuids[2] || uuids[0] == (recording.UUID{}) {
		t.Errorf("catalog uuid changed: %x", uuids)
	}
	a, err := Open(ctx, options(dir, ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open(ctx, options(dir, ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	opens, err := b.Opens(ctx)
	if err != nil || len(opens) != 3 || opens[2].End != media.WallTimeOf(epoch) {
		t.Errorf("opens seen by a reader: %+v, %v", opens, err)
	}
	if err := a.SetSetting(ctx, "x", "1"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("reader wrote: %v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) == 0 {
		t.Error("no files")
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ name, sql, want string }{
		{"newer", "pragma user_version=99", "schema version 99"},
		{"foreign", "pragma application_id=1", "another program"},
	} {
		dir := t.TempDir()
		if err := Init(ctx, options(dir, ReadWrite)); err != nil {
			t.Fatal(err)
		}
		d, err := newDialer(options(dir, ReadWrite))
		if err != nil {
			t.Fatal(err)
		}
		db, err := d.dial(ctx, d.flags())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.db.Exec(c.sql), db.close()); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []Mode{ReadOnly, ReadWrite} {
			if _, err := Open(ctx, options(dir, mode)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, mode %d: %v", c.name, mode, err)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(strings.Repeat("this is not a database, it only lies here", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, options(dir, ReadWrite)); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened a text file: %v", err)
	}
}

// TestRoundTrip flushes random descriptions and expects each back exactly.
func TestRoundTrip(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	f := newFixture(t)
	ctx := context.Background()
	want := make(map[recording.ID]*recording.Description)
	for i := range 20 {
		var batch []*recording.Description
		for k := range 20 {
			d := randomDescription(rng, f, uint32(20*i+k+1))
			want[d.ID] = d
			batch = append(batch, d)
		}
		f.flush(t, batch...)
	}
	for id, d := range want {
		got, err := f.Describe(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(d, got) { // Diff alone takes seconds over blobs
			t.Fatalf("%v (-want +got):\n%s", id, cmp.Diff(d, got))
		}
		tracks, err := f.Tracks(ctx, id)
		if err != nil || !reflect.DeepEqual(tracks, d.Tracks) {
			t.Fatalf("tracks of %v: %v", id, err)
		}
	}
	for i := range 2 {
		listed := 0
		err := f.Recordings(ctx, f.camera.Streams[i].ID, -1<<60, 1<<60, func(got *recording.Description) bool {
			d := *want[got.ID]
			d.BlockSums, d.Tracks = nil, append([]recording.Track(nil), d.Tracks...)
			for i := range d.Tracks {
				d.Tracks[i].Index, d.Tracks[i].Extra, d.Tracks[i].Layout = nil, nil, nil
			}
			if !reflect.DeepEqual(&d, got) {
				t.Errorf("%v listed (-want +got):\n%s", got.ID, cmp.Diff(&d, got))
			}
			listed++
			return true
		})
		if err != nil || listed == 0 {
			t.Errorf("listed %d, %v", listed, err)
		}
	}
}

func randomDescription(rng *rand.Rand, f *fixture, n uint32) *recording.Description {
	d := f.describe(rng.IntN(2), n, media.WallTime(rng.Int64N(1<<52)))
	d.RunUUID, d.RunOffset = recording.UUID{2, byte(n), byte(n >> 8)}, rng.Uint32()
	d.WallDuration = media.WallDuration(rng.Int64N(int64(MaxDuration) + 1))
	d.MediaDuration, d.PrevMediaDuration = media.Duration(rng.Int64N(1<<40)), media.Duration(rng.Int64N(1<<60))
	d.StartCorrection, d.Flags = media.WallDuration(rng.Int64N(1<<40)-1<<39), recording.RecordingFlags(rng.Uint32())
	d.Bytes = rng.Int64N(1 << 40)
	if rng.IntN(2) == 0 {
		d.EndReason, d.EndDetail = recording.Reasons()[rng.IntN(len(recording.Reasons()))], "it said \"no\"\x00"
	}
	d.BlockSums = nil
	for range rng.IntN(4) {
		d.BlockSums = append(d.BlockSums, rng.Uint32())
	}
	if rng.IntN(2) == 0 {
		d.Clocks = randomClocks(rng)
	}
	d.Tracks = nil
	for i := range 1 + rng.IntN(3) {
		d.Tracks = append(d.Tracks, recording.Track{
			Kind: media.Kind(1 + i), StartOffset: media.Duration(rng.Int64N(1<<30) - 1<<29), Samples: rng.Int32(), SyncSamples: rng.Int32(),
			Chunks: rng.Int32(), Bytes: rng.Int64N(1 << 40), Duration: rng.Int64N(1 << 40),
			Index: randomBytes(rng), Extra: randomBytes(rng), Layout: randomBytes(rng),
			Entry: recording.SampleEntry{
				Codec: media.AAC, ClockRate: rng.Uint32(), Data: randomBytes(rng), RFC6381: fmt.Sprint(rng.IntN(3)),
				Width: uint16(rng.Uint32()), Height: uint16(rng.Uint32()), AspectH: uint16(rng.Uint32()), AspectV: uint16(rng.Uint32()),
				Channels: uint8(rng.Uint32()), BytesPerFrame: uint16(rng.Uint32()), ReorderDepth: uint8(rng.Uint32()),
			},
		})
	}
	return d
}

func randomClocks(rng *rand.Rand) *media.Clocks {
	k := &media.Clocks{Uptime: time.Duration(rng.Int64()), SenderTime: media.Time(rng.Int64() - 1<<62)}
	for _, at := range []*time.Time{&k.Wall, &k.PlayTime, &k.SenderNTP} {
		if rng.IntN(3) > 0 {
			*at = time.Unix(rng.Int64N(1<<32), rng.Int64N(1e9)).UTC()
		}
	}
	if rng.IntN(2) == 0 {
		synced := rng.IntN(2) == 0
		k.Synced = &synced
	}
	return k
}

func randomBytes(rng *rand.Rand) []byte {
	n := rng.IntN(3) * rng.IntN(3000)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
