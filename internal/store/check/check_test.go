package check

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	video = recording.SampleEntry{Codec: media.H264, ClockRate: 90000, Data: []byte("avc1"), RFC6381: "avc1.4d401e", Width: 640, Height: 360}
	audio = recording.SampleEntry{Codec: media.PCMU, ClockRate: 8000, Data: []byte("ulaw"), Channels: 1, BytesPerFrame: 1}
)

// store is a healthy store made by hand, without package archive: two directories, a camera of two streams, eight
// recordings with rows, one sealed without row, one unfinished, one deleted whose file is still there.
type store struct {
	data, a, b string
	dirs       []catalog.Directory
	camera     catalog.Camera
	sealed     *recording.Description
	unfinished recording.ID
	deleted    recording.ID
}

const withRows = 8

// master is the store that newStore copies; making it syncs many files.
var master struct {
	once  sync.Once
	root  string
	store *store
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(master.root)
	os.Exit(code)
}

// newStore gives a test a copy of the healthy store, in the working directory.
func newStore(t *testing.T) *store {
	t.Helper()
	master.once.Do(func() {
		var err error
		master.root, err = os.MkdirTemp("", "check")
		must(t, err)
		t.Chdir(master.root)
		master.store = makeStore(t)
	})
	if master.store == nil {
		t.Fatal("the store could not be made")
	}
	root := t.TempDir()
	must(t, os.CopyFS(root, os.DirFS(master.root)))
	t.Chdir(root)
	return master.store
}

func makeStore(t *testing.T) *store {
	t.Helper()
	s := &store{data: "data", a: "a", b: "b"}
	for _, dir := range []string{s.data, s.a, s.b} {
		must(t, os.Mkdir(dir, 0o700))
	}
	ctx := context.Background()
	o := catalog.Options{Dir: s.data, Mode: catalog.ReadWrite, Now: now, BootID: "boot"}
	must(t, catalog.Init(ctx, o))
	cat, err := catalog.Open(ctx, o)
	must(t, err)
	for _, path := range []string{s.a, s.b} {
		dir, err := sampledir.Create(vfs.OS(), path, cat.UUID(), cat.CurrentOpen().OpenRef)
		must(t, err)
		row, err := cat.AddDirectory(ctx, catalog.Directory{UUID: dir.UUID(), Path: path})
		must(t, err)
		must(t, errors.Join(dir.MarkComplete(), dir.Close()))
		s.dirs = append(s.dirs, row)
	}
	s.camera, err = cat.AddCamera(ctx, catalog.Camera{Name: "door", Streams: []catalog.Stream{
		{Name: "main", Directory: s.dirs[0].ID}, {Name: "sub", Directory: s.dirs[1].ID},
	}})
	must(t, err)
	for _, stream := range s.camera.Streams {
		_, err := cat.ReserveIDs(ctx, stream.ID, 64)
		must(t, err)
	}
	s.fill(t, cat)
	must(t, cat.Close())
	return s
}

func now() time.Time { return epoch }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes the recordings and the tail log of directory a.
func (s *store) fill(t *testing.T, cat *catalog.Catalog) {
	t.Helper()
	ctx := context.Background()
	var rows catalog.Batch
	for n := uint32(1); n <= withRows/2; n++ {
		for i := range s.camera.Streams {
			d := s.record(t, cat, i, n)
			rows.Recordings = append(rows.Recordings, catalog.NewRecording{Description: d, Directory: s.dirs[i].ID})
		}
	}
	gone := s.record(t, cat, 0, 7)
	rows.Recordings = append(rows.Recordings, catalog.NewRecording{Description: gone, Directory: s.dirs[0].ID})
	must(t, cat.Flush(ctx, rows))
	must(t, cat.MarkGarbage(ctx, []recording.ID{gone.ID}, recording.Retention, 0))
	s.deleted = gone.ID
	s.sealed = s.record(t, cat, 0, 8)
	open := s.record(t, cat, 0, 9)
	s.unfinished = open.ID
	log, _, err := taillog.Open(vfs.OS(), s.a, taillog.Identity{Directory: s.dirs[0].UUID, OpenID: 1, Open: cat.CurrentOpen().UUID})
	must(t, err)
	must(t, log.Begin(&taillog.Batch{}, epoch))
	must(t, log.Append(&taillog.Batch{Sealed: []*recording.Description{rows.Recordings[0].Description, s.sealed}, Progress: []taillog.Progress{progress(open)}}))
	must(t, log.Close())
}

// progress says that the first sample of a recording is good.
func progress(d *recording.Description) taillog.Progress {
	var b recording.Builder
	entries := taillog.AppendEntry(nil, taillog.AppendBegin(nil, d, true))
	entries = taillog.AppendEntry(entries, taillog.AppendTrack(nil, media.Video, &video, 3000))
	b.AddTrack(media.Video, video, 3000)
	info := recording.SampleInfo{Flags: media.Key, Size: 5000}
	entries = taillog.AppendEntry(entries, taillog.AppendSample(nil, &b, &info))
	return taillog.Progress{ID: d.ID, To: 3, Entries: entries, Good: 5000}
}

// record writes the sample file of a recording with video and sound, and describes it.
func (s *store) record(t *testing.T, cat *catalog.Catalog, stream int, n uint32) *recording.Description {
	t.Helper()
	row := s.camera.Streams[stream]
	d := &recording.Description{
		ID: recording.NewID(row.ID, n), CameraUUID: s.camera.UUID, StreamUUID: row.UUID, CameraName: "door", StreamName: row.Name,
		OpenID: cat.CurrentOpen().ID, OpenUUID: cat.CurrentOpen().UUID, RunUUID: recording.UUID{1, byte(stream)}, RunOffset: n - 1,
		Start: media.WallTimeOf(epoch).Add(media.WallDuration(n) * 60 * media.TicksPerSecond),
	}
	var b recording.Builder
	pictures := b.AddTrack(media.Video, video, 3000)
	sound := b.AddTrack(media.Audio, audio, 8000)
	for second := range 30 {
		at := media.Time(second) * media.TicksPerSecond
		for i := range 3 {
			info := recording.SampleInfo{Track: pictures, Decode: at + media.Time(30000*i), Size: 10_000 + int32(n)}
			if i == 0 {
				info.Flags = media.Key
			}
			must(t, b.Add(info))
		}
		must(t, b.Add(recording.SampleInfo{Track: sound, Flags: media.Key, Decode: at, Frames: 8000, Size: 8000}))
	}
	b.Describe(d, 30*media.TicksPerSecond, false, true)
	d.WallDuration = d.MediaDuration.AsWall()
	d.PrevMediaDuration = media.Duration(n-1) * d.MediaDuration
	data := make([]byte, d.Bytes)
	rng := rand.NewChaCha8([32]byte{byte(n), byte(stream)})
	_, _ = rng.Read(data)
	sums := recording.NewSummer(d.ID)
	_, _ = sums.Write(data)
	d.BlockSums = sums.Sums()
	must(t, os.WriteFile(filepath.Join([]string{s.a, s.b}[stream], d.ID.FileName()), data, 0o600))
	return d
}

func (s *store) file(dir string, stream recording.StreamID, n uint32) string {
	return filepath.Join(dir, recording.NewID(stream, n).FileName())
}

func run(t *testing.T, s *store, level Level) (found []Finding, sum Summary) {
	t.Helper()
	sum, err := Run(context.Background(), Options{Data: s.data, Level: level, Now: now}, func(f Finding) { found = append(found, f) })
	must(t, err)
	return found, sum
}

// snapshot returns names, sizes and contents of all files below the store's directories.
func (s *store) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range []string{s.data, s.a, s.b} {
		names, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range names {
			if strings.HasSuffix(e.Name(), "-wal") || strings.HasSuffix(e.Name(), "-shm") || e.IsDir() {
				continue // SQLite's own, for reading
			}
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
			all[filepath.Join(dir, e.Name())] = string(data)
		}
	}
	return all
}

func TestHealthy(t *testing.T) {
	s := newStore(t)
	before := s.snapshot(t)
	for _, level := range []Level{Presence, Size, Hash} {
		found, sum := run(t, s, level)
		if len(found) != 0 {
			t.Errorf("%v: a healthy store has findings: %v", level, found)
		}
		if sum.Recordings != withRows || sum.Total != withRows || sum.Files != withRows+3 || sum.Findings != 0 {
			t.Errorf("%v: %+v", level, sum)
		}
		if read := sum.Bytes > 0; read != (level == Hash) {
			t.Errorf("%v: read %d bytes", level, sum.Bytes)
		}
	}
	after := s.snapshot(t)
	for name, data := range before {
		if after[name] != data {
			t.Errorf("%s was changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
}

// exec changes the closed catalog behind its back.
func (s *store) exec(t *testing.T, sql string) {
	t.Helper()
	db, err := sqlite3.Open(filepath.Join(s.data, catalog.FileName))
	must(t, err)
	must(t, db.Exec("pragma foreign_keys=off"))
	must(t, db.Exec(sql))
	must(t, db.Close())
}

func truncate(t *testing.T, name string, by int64) {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	must(t, os.Truncate(name, info.Size()+by))
}

func flip(t *testing.T, name string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, offset)
	must(t, err)
}

// TestDamage plants each class of damage and expects exactly the findings it should give, from the level on that can see
// it and at every higher one.
func TestDamage(t *testing.T) {
	one := recording.NewID(1, 1)
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, s *store)
		from  Level
		kinds []Kind
		id    recording.ID // of the finding; 0: not looked at
		words string       // in detail or hint of one of the findings
	}{
		{"file lost", func(t *testing.T, s *store) { must(t, os.Remove(s.file(s.a, 1, 1))) }, Presence, []Kind{MissingFile}, one, "has a row"},
		{"file moved", func(t *testing.T, s *store) { must(t, os.Rename(s.file(s.a, 1, 1), s.file(s.b, 1, 1))) }, Presence, []Kind{MisplacedFile}, one, "is in a"},
		{"sealed file lost", func(t *testing.T, s *store) { must(t, os.Remove(s.file(s.a, 1, 8))) }, Presence, []Kind{MissingFile}, recording.NewID(1, 8), "sealed"},
		{"unfinished file lost", func(t *testing.T, s *store) { must(t, os.Remove(s.file(s.a, 1, 9))) }, Presence, []Kind{MissingFile}, recording.NewID(1, 9), "unfinished"},
		{"unknown file", func(t *testing.T, s *store) { must(t, os.WriteFile(s.file(s.b, 1, 77), []byte{1}, 0o600)) }, Presence, []Kind{UnknownFile}, recording.NewID(1, 77), "neither"},
		{"file of no stream", func(t *testing.T, s *store) { must(t, os.WriteFile(s.file(s.b, 9, 1), []byte{1}, 0o600)) }, Presence, []Kind{UnknownFile}, recording.NewID(9, 1), "no stream"},
		{"row lost", func(t *testing.T, s *store) {
			s.exec(t, `delete from recording_playback where id in (select playback_id from recording_track where recording_id = 4294967298);
				delete from recording_track where recording_id = 4294967298; delete from recording where id = 4294967298`)
		}, Presence, []Kind{CatalogMismatch, CatalogMismatch, CatalogMismatch, UnknownFile}, 0, "usage"},
		{"file cut", func(t *testing.T, s *store) { truncate(t, s.file(s.b, 2, 3), -1) }, Size, []Kind{WrongSize}, recording.NewID(2, 3), "instead of"},
		{"file grown", func(t *testing.T, s *store) { truncate(t, s.file(s.b, 2, 3), 1) }, Size, []Kind{WrongSize}, recording.NewID(2, 3), "instead of"},
		{"sealed file cut", func(t *testing.T, s *store) { truncate(t, s.file(s.a, 1, 8), -1) }, Size, []Kind{WrongSize}, recording.NewID(1, 8), ""},
		{"unfinished file cut", func(t *testing.T, s *store) { must(t, os.Truncate(s.file(s.a, 1, 9), 4999)) }, Size, []Kind{WrongSize}, recording.NewID(1, 9), "5000 are good"},
		{"index changed", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set video_index = x'2904' where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 0)")
		}, Size, []Kind{BadIndex}, recording.NewID(2, 1), "adds up"},
		{"index broken", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set video_index = x'29ff' where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 1)")
		}, Size, []Kind{BadIndex}, recording.NewID(2, 1), "within a number"},
		{"index gone", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set video_index = null where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 0)")
		}, Size, []Kind{BadIndex}, recording.NewID(2, 1), "0 samples"},
		{"row differs from seal", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set video_index = null where id = (select playback_id from recording_track where recording_id = 4294967297 and number = 0)")
		}, Size, []Kind{BadIndex, BadRow}, one, "seal"},
		{"extra broken", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set extra = x'ffffffffffffffffffff' where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 0)")
		}, Size, []Kind{BadIndex}, recording.NewID(2, 1), "extra"},
		{"samples miscounted", func(t *testing.T, s *store) {
			s.exec(t, "update recording_track set sync_samples = sync_samples + 1 where recording_id = 8589934593 and number = 0")
		}, Size, []Kind{BadIndex}, recording.NewID(2, 1), "key samples"},
		{"layout changed", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set layout = x'0501' where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 1)")
		}, Size, []Kind{BadLayout}, recording.NewID(2, 1), ""},
		{"chunks miscounted", func(t *testing.T, s *store) {
			s.exec(t, "update recording_track set chunks = 1 where recording_id = 8589934593 and number = 1")
		}, Size, []Kind{BadLayout}, recording.NewID(2, 1), "30 chunks"},
		{"media duration changed", func(t *testing.T, s *store) {
			s.exec(t, "update recording set media_duration_90k = media_duration_90k - 1 where id = 8589934593")
		}, Size, []Kind{BadRow}, recording.NewID(2, 1), "media duration"},
		{"block sum lost", func(t *testing.T, s *store) {
			s.exec(t, "update recording_playback set block_sums = substr(block_sums, 1, 4) where id = (select playback_id from recording_track where recording_id = 8589934593 and number = 0)")
		}, Size, []Kind{BadRow}, recording.NewID(2, 1), "1 block sums"},
		{"byte changed", func(t *testing.T, s *store) { flip(t, s.file(s.b, 2, 3), 1<<20+5) }, Hash, []Kind{WrongHash}, recording.NewID(2, 3), "block 1"},
		{"byte of a sealed file changed", func(t *testing.T, s *store) { flip(t, s.file(s.a, 1, 8), 0) }, Hash, []Kind{WrongHash}, recording.NewID(1, 8), "block 0"},
		{"files exchanged", func(t *testing.T, s *store) {
			must(t, os.Rename(s.file(s.b, 2, 3), s.b+"/x"))
			must(t, os.Rename(s.file(s.b, 2, 4), s.file(s.b, 2, 3)))
			must(t, os.Rename(s.b+"/x", s.file(s.b, 2, 4)))
		}, Size, []Kind{WrongSize, WrongSize}, recording.NewID(2, 3), ""},
		{"directory not mounted", func(t *testing.T, s *store) { must(t, os.RemoveAll(s.b)); must(t, os.Mkdir(s.b, 0o700)) }, Presence, []Kind{DirectoryWrong}, 0, "not mounted"},
		{"directory gone", func(t *testing.T, s *store) { must(t, os.RemoveAll(s.b)) }, Presence, []Kind{DirectoryWrong}, 0, "missing"},
		{"directories exchanged", func(t *testing.T, s *store) {
			must(t, os.Rename(s.a, s.a+"x"))
			must(t, os.Rename(s.b, s.a))
			must(t, os.Rename(s.a+"x", s.b))
		}, Presence, []Kind{DirectoryWrong, DirectoryWrong}, 0, "exchange"},
		{"meta torn", func(t *testing.T, s *store) { flip(t, s.b+"/meta", 30) }, Presence, []Kind{DirectoryWrong}, 0, "torn"},
		{"totals wrong", func(t *testing.T, s *store) {
			s.exec(t, "update usage set disk_bytes = disk_bytes + 4096 where stream_id = 1")
		}, Presence, []Kind{CatalogMismatch}, 0, "usage"},
		{"hour wrong", func(t *testing.T, s *store) {
			s.exec(t, "update hour set duration_90k = duration_90k + 1 where stream_id = 1")
		}, Presence, []Kind{CatalogMismatch}, 0, "hour"},
		{"row and garbage at once", func(t *testing.T, s *store) {
			s.exec(t, "insert into garbage values (2, 8589934593, 'retention', 1, 1)")
		}, Presence, []Kind{CatalogMismatch}, recording.NewID(2, 1), "at once"},
		{"schema changed", func(t *testing.T, s *store) { s.exec(t, "drop index recording_start") }, Presence, []Kind{CatalogMismatch}, 0, "recording_start is missing"},
		{"not a database", func(t *testing.T, s *store) {
			must(t, os.WriteFile(filepath.Join(s.data, catalog.FileName), []byte(strings.Repeat("nothing ", 1000)), 0o600))
		}, Presence, []Kind{CatalogDamaged}, 0, "not a database"},
		{"log damaged", func(t *testing.T, s *store) { breakLog(t, s.a) }, Presence, []Kind{LogDamaged, UnknownFile}, 0, "tail log segment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			c.plant(t, s)
			for _, level := range []Level{Presence, Size, Hash} {
				found, sum := run(t, s, level)
				if level < c.from {
					if len(found) > 0 {
						t.Errorf("%v: found %v", level, found)
					}
					continue
				}
				if level == Hash && c.from < Hash {
					found = slices.DeleteFunc(found, func(f Finding) bool { return f.Kind == WrongHash && c.from == Size })
				}
				compare(t, level, found, c.kinds, c.id, c.words)
				if sum.Findings < int64(len(found)) {
					t.Errorf("%v: %d findings counted", level, sum.Findings)
				}
			}
		})
	}
}

// breakLog changes a byte in the first of two records, so that a valid one follows the damage.
func breakLog(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, taillog.SegmentName(0))
	if _, err := os.Stat(name); err != nil {
		name = filepath.Join(dir, taillog.SegmentName(1))
	}
	data, err := os.ReadFile(name)
	must(t, err)
	const header, frame = 128, 24
	first := header + frame + int(binary.LittleEndian.Uint32(data[header+4:]))
	flip(t, name, int64(first+7)/8*8+frame+100) // within the second record
}

func compare(t *testing.T, level Level, found []Finding, kinds []Kind, id recording.ID, words string) {
	t.Helper()
	var got []Kind
	said := words == ""
	for _, f := range found {
		got = append(got, f.Kind)
		said = said || strings.Contains(f.Detail+" "+f.Hint, words)
		if f.Hint == "" || f.Detail == "" || f.Severity == "" || f.Severity == Info {
			t.Errorf("%v: %+v", level, f)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(kinds))
	if !slices.Equal(got, want) {
		t.Errorf("%v: found %v, want %v:\n%v", level, got, want, found)
	}
	if !said {
		t.Errorf("%v: nothing says %q: %v", level, words, found)
	}
	if id != 0 && !slices.ContainsFunc(found, func(f Finding) bool { return f.Recording == id }) {
		t.Errorf("%v: none names %v: %v", level, id, found)
	}
}

// TestNotes expects what is odd but harmless to be noted, and the store to count as clean.
func TestNotes(t *testing.T) {
	s := newStore(t)
	must(t, os.WriteFile(s.a+"/README", nil, 0o600))
	must(t, os.Mkdir(s.a+"/lost+found", 0o700))
	must(t, os.Mkdir(s.a+"/quarantine", 0o700))
	must(t, os.WriteFile(s.a+"/quarantine/0000000100000010", nil, 0o600))
	must(t, os.WriteFile(s.file(s.b, 2, 10), []byte{1, 2}, 0o600)) // reserved, never logged
	found, sum := run(t, s, Hash)
	var kinds []Kind
	for _, f := range found {
		kinds = append(kinds, f.Kind)
		if f.Severity != Info {
			t.Errorf("%+v", f)
		}
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []Kind{Quarantined, StrayFile, UnknownFile}) || sum.Findings != 0 {
		t.Errorf("%v, %+v", kinds, sum)
	}
}

// TestCannotCheck expects an error, not findings, where there is nothing to check or somebody else at work.
func TestCannotCheck(t *testing.T) {
	none := func(f Finding) { t.Errorf("found %v", f) }
	ctx := context.Background()
	if _, err := Run(ctx, Options{Data: t.TempDir(), Now: now}, none); !errors.Is(err, catalog.ErrNoCatalog) {
		t.Errorf("no catalog: %v", err)
	}
	s := newStore(t)
	for _, dir := range []string{s.data, s.a} {
		lock, err := vfs.OS().Lock(dir, true)
		must(t, err)
		if _, err := Run(ctx, Options{Data: s.data, Now: now}, none); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("%s in use: %v", dir, err)
		}
		must(t, lock.Close())
	}
	lock, err := vfs.OS().Lock(s.a, false) // another check
	must(t, err)
	if found, _ := run(t, s, Presence); len(found) != 0 {
		t.Errorf("beside another check: %v", found)
	}
	must(t, lock.Close())
	s.exec(t, "pragma user_version=99")
	if _, err := Run(ctx, Options{Data: s.data, Now: now}, none); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("newer schema: %v", err)
	}
	s.exec(t, "pragma user_version=1")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Run(cancelled, Options{Data: s.data, Now: now}, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestLevels(t *testing.T) {
	for _, l := range []Level{Presence, Size, Hash} {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v came back as %v, %v", l, got, err)
		}
	}
	if _, err := ParseLevel("deep"); err == nil {
		t.Error("took a level that does not exist")
	}
}

// TestSeedIndex decodes the example of the storage design.
func TestSeedIndex(t *testing.T) {
	got, err := addIndex([]byte{0x29, 0xd0, 0x0f, 0x02, 0x14, 0x08, 0x0a, 0x02, 0x05, 0x01, 0x64})
	if want := (counts{5, 2, 1000 + 10 + 15 + 12 + 1050, 50}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// FuzzIndex expects both readers of the format to agree.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{0x29, 0xd0, 0x0f, 0x02, 0x14, 0x08, 0x0a, 0x02, 0x05, 0x01, 0x64})
	f.Add([]byte{1, 2})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 2})
	f.Fuzz(func(t *testing.T, index []byte) {
		got, err := addIndex(index)
		track := recording.Track{Index: index, Samples: got.samples, SyncSamples: got.syncSamples, Bytes: got.bytes, Duration: got.duration}
		other := recording.CheckIndex(&track)
		if (err == nil) != (other == nil) {
			t.Errorf("%x: %v here, %v there", index, err, other)
		}
	})
}
