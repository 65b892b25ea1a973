package taillog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

var (
	testIdentity = Identity{Directory: recording.UUID{1}, Boot: recording.UUID{2}, Open: recording.UUID{3}, OpenID: 4}
	testTime     = time.Unix(1_800_000_000, 0)
	videoEntry   = recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("avc1"), Width: 640, Height: 360}
	audioEntry   = recording.SampleEntry{Codec: media.PCMA, ClockRate: 8000, Data: []byte("alaw"), Channels: 1}
)

// source makes the entries and bytes of one recording.
type source struct {
	d       recording.Description
	builder recording.Builder
	summer  recording.Summer
	seq     uint32
	file    []byte
	random  *rand.Rand
}

func newSource(n uint32) *source {
	id := recording.NewID(1, n)
	return &source{
		d:      recording.Description{ID: id, CameraName: "gate", StreamName: "main", Start: media.WallTime(n) * 5_400_000, OpenID: 4},
		summer: recording.NewSummer(id), random: rand.New(rand.NewPCG(uint64(n), 7)),
	}
}

// begin returns the entries that open the recording.
func (s *source) begin() [][]byte {
	s.seq += 3
	s.builder.AddTrack(media.Video, videoEntry, 3000)
	s.builder.AddTrack(media.Audio, audioEntry, 160)
	return [][]byte{
		AppendBegin(nil, &s.d, false),
		AppendTrack(nil, media.Video, &videoEntry, 3000),
		AppendTrack(nil, media.Audio, &audioEntry, 160),
	}
}

// sample returns the entry of another sample, and its bytes.
func (s *source) sample(size int) (entry, data []byte) {
	s.seq++
	i := s.builder.Samples(0) + s.builder.Samples(1)
	info := recording.SampleInfo{Decode: media.Time(i) * 3000, Size: int32(size)}
	if i%10 == 0 {
		info.Flags = media.Key
	}
	if i%7 == 3 {
		info.Track, info.Flags, info.Frames = 1, media.Key, 160
	}
	entry = AppendSample(nil, &s.builder, &info)
	if err := s.builder.Add(info); err != nil {
		panic(err)
	}
	data = make([]byte, size)
	for j := range data {
		data[j] = byte(s.random.Uint32())
	}
	_, _ = s.summer.Write(data)
	s.file = append(s.file, data...)
	return entry, data
}

// progress wraps entries that follow the entry with number from.
func (s *source) progress(from uint32, before int, entries ...[]byte) Progress {
	p := Progress{ID: s.d.ID, From: from, To: s.seq, Good: s.builder.Bytes(), Before: uint32(before), Full: s.summer.Full(before)}
	p.Partial, _ = s.summer.Partial()
	for _, e := range entries {
		p.Entries = AppendEntry(p.Entries, e)
	}
	return p
}

// describe makes the description that the samples so far give.
func describe(d recording.Description, b *recording.Builder, s *recording.Summer) *recording.Description {
	b.Describe(&d, 0, true, true)
	d.BlockSums = s.Sums()
	return &d
}

func (s *source) describe() *recording.Description { return describe(s.d, &s.builder, &s.summer) }

// begun opens a new log in an empty directory.
func begun(t testing.TB, fsys vfs.FS) *Log {
	t.Helper()
	l, state, err := Open(fsys, "/d", testIdentity)
	if err != nil || state.Found {
		t.Fatalf("found %v, %v", state.Found, err)
	}
	must(t, l.Begin(&Batch{}, testTime))
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, fsys vfs.FS) (*Log, *State) {
	t.Helper()
	l, state, err := Open(fsys, "/d", testIdentity)
	must(t, err)
	if !state.Found {
		t.Fatal("no complete segment")
	}
	return l, state
}

func TestReplay(t *testing.T) {
	fsys := crashfs.New("/d")
	l := begun(t, fsys)
	a, b := newSource(1), newSource(2)
	entries := a.begin()
	for range 30 {
		e, _ := a.sample(50_000)
		entries = append(entries, e)
	}
	must(t, l.Append(&Batch{Progress: []Progress{a.progress(0, 0, entries...), b.progress(0, 0, b.begin()...)}}))
	from, before := a.seq, len(a.summer.Full(0))
	e1, _ := a.sample(700_000)
	a.seq++
	end := AppendEnd(nil, &End{At: 99, WallDuration: 7, StartCorrection: -3, Reason: recording.Shed, Detail: "why"})
	must(t, l.Append(&Batch{Progress: []Progress{a.progress(from, before, e1, end)}, Removed: []recording.ID{77}}))

	again, state := reopen(t, fsys)
	if state.Header.Identity != testIdentity || state.Header.Number != 1 || len(state.Damage)+len(state.Orphaned) != 0 || !state.Removed[77] {
		t.Errorf("state %+v", state)
	}
	got := state.Open[a.d.ID]
	if diff := cmp.Diff(a.describe(), describe(got.Description, &got.Builder, &got.Summer)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&End{At: 99, WallDuration: 7, StartCorrection: -3, Reason: recording.Shed, Detail: "why"}, got.Ended); diff != "" {
		t.Error(diff)
	}
	if got.Seq != a.seq || state.Open[b.d.ID].Seq != 3 {
		t.Errorf("at entries %d and %d", got.Seq, state.Open[b.d.ID].Seq)
	}

	// Carried over into a new segment, sealed there, and replayed from there alone.
	must(t, again.Begin(&Batch{Progress: []Progress{b.progress(0, 0, newSource(2).begin()...)}, Sealed: []*recording.Description{a.describe()}}, testTime))
	must(t, again.Remove(1))
	if err := again.Remove(2); !errors.Is(err, ErrCurrent) {
		t.Errorf("removed what is in use: %v", err)
	}
	final, state := reopen(t, fsys)
	if len(state.Open) != 1 || len(state.Sealed) != 1 {
		t.Errorf("%d open, %d sealed", len(state.Open), len(state.Sealed))
	}
	sealed, err := final.ReadSeal(state.Sealed[a.d.ID])
	must(t, err)
	if diff := cmp.Diff(a.describe(), sealed); diff != "" {
		t.Error(diff)
	}
}

func TestLimit(t *testing.T) {
	s := newSource(1)
	r := &Recording{}
	for _, e := range s.begin() {
		must(t, r.apply(e))
	}
	for range 20 {
		e, _ := s.sample(1000)
		must(t, r.apply(e))
	}
	must(t, r.apply(AppendStart(nil, 5, true)))
	must(t, r.apply(AppendEnd(nil, &End{})))
	for _, c := range []struct{ size, want int64 }{{0, 0}, {999, 0}, {1000, 1000}, {19_999, 19_000}, {20_000, 20_000}, {1 << 40, 20_000}} {
		short, err := r.Limit(c.size)
		must(t, err)
		if got := short.Builder.Bytes(); got != c.want || !short.StartFinal || short.Description.Start != 5 || (short.Ended != nil) != (c.want == 20_000) {
			t.Errorf("limit %d: %d bytes, %+v", c.size, got, short)
		}
	}
}

// writeLog makes a log of several batches and returns the file and its states: how many batches each length holds.
func writeLog(t *testing.T, fsys vfs.FS) (ends []int64) {
	l := begun(t, fsys)
	s := newSource(1)
	must(t, l.Append(&Batch{Progress: []Progress{s.progress(0, 0, s.begin()...)}}))
	ends = append(ends, l.Size())
	for i := range 6 {
		from := s.seq
		e, _ := s.sample(100)
		b := Batch{Progress: []Progress{s.progress(from, 0, e)}}
		if i == 3 {
			other := newSource(9)
			other.begin()
			other.sample(10)
			b = Batch{Sealed: []*recording.Description{other.describe()}, Progress: b.Progress}
		}
		must(t, l.Append(&b))
		ends = append(ends, l.Size())
	}
	return ends
}

func readAll(t *testing.T, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	return b
}

func writeFile(t *testing.T, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fsys.OpenFile(name, vfs.Options{Write: true, Create: true, Truncate: true})
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, f.Close())
}

func TestTornTail(t *testing.T) {
	fsys := crashfs.New("/d")
	ends := writeLog(t, fsys)
	whole := readAll(t, fsys, "/d/tail-00000001")
	for cut := range len(whole) {
		for _, junk := range []byte{0, 0xa5} {
			torn := bytes.Clone(whole[:cut])
			if junk != 0 {
				torn = append(torn, bytes.Repeat([]byte{junk}, 50)...)
			}
			writeFile(t, fsys, "/d/tail-00000001", torn)
			_, state, err := Open(fsys, "/d", testIdentity)
			must(t, err)
			batches := 0
			for _, end := range ends {
				if end <= int64(cut) {
					batches++
				}
			}
			if batches == 0 {
				continue // the begin may or may not be complete
			}
			if r := state.Open[recording.NewID(1, 1)]; r == nil || int(r.Seq) < 2+batches || int(r.Seq) > 3+batches {
				t.Fatalf("cut at %d, %d batches: %+v", cut, batches, r)
			}
			if len(state.Damage) != 0 {
				t.Fatalf("cut at %d: a torn end is reported as %v", cut, state.Damage[0])
			}
		}
	}
}

func TestDamageCostsOneRecord(t *testing.T) {
	fsys := crashfs.New("/d")
	ends := writeLog(t, fsys)
	whole := readAll(t, fsys, "/d/tail-00000001")
	for at := int(ends[0]); at < int(ends[len(ends)-2]); at += 5 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x10
		writeFile(t, fsys, "/d/tail-00000001", bad)
		_, state, err := Open(fsys, "/d", testIdentity)
		must(t, err)
		padding := len(state.Damage) == 0
		inSeal := at >= int(ends[3]) && at < int(ends[4])
		switch r := state.Open[recording.NewID(1, 1)]; {
		case r == nil || r.Seq < 3:
			t.Fatalf("flip at %d: recording %+v", at, r)
		case padding && r.Seq != 9:
			t.Fatalf("flip at %d is neither damage nor padding", at)
		case !padding && !inSeal && (r.Seq == 9 || len(state.Orphaned) != 1):
			t.Fatalf("flip at %d: went on to entry %d", at, r.Seq)
		case !inSeal && len(state.Sealed) != 1:
			t.Fatalf("flip at %d lost the seal", at)
		}
	}
}

func TestFailureIsFinal(t *testing.T) {
	for _, kind := range []crashfs.Kind{crashfs.Write, crashfs.Datasync, crashfs.Allocate} {
		fsys := crashfs.New("/d")
		l := begun(t, fsys)
		l.reserved = l.size // so that the next append allocates
		fsys.Inject(crashfs.Rule{Kinds: []crashfs.Kind{kind}, Err: syscall.EIO})
		s := newSource(1)
		b := Batch{Progress: []Progress{s.progress(0, 0, s.begin()...)}}
		if err := l.Append(&b); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", kind, err)
		}
		if err := l.Append(&b); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: second append: %v", kind, err)
		}
		must(t, l.Begin(&b, testTime))
		_, state := reopen(t, fsys)
		if state.Header.Number != 2 || len(state.Open) != 1 {
			t.Errorf("%s: %+v", kind, state)
		}
	}
}

// A power cut at any operation, with what was not synced lost, kept or torn, leaves a log that holds every batch whose
// Append had returned, and begins again.
func TestCrash(t *testing.T) {
	fsys := crashfs.New("/d")
	fsys.Record()
	durable := map[int]uint32{} // by operation: entries that must be there
	l := begun(t, fsys)
	s := newSource(1)
	all := s.begin()
	must(t, l.Append(&Batch{Progress: []Progress{s.progress(0, 0, all...)}}))
	durable[fsys.Seq()] = s.seq
	for i := range 5 {
		from := s.seq
		e, _ := s.sample(100)
		all = append(all, e)
		must(t, l.Append(&Batch{Progress: []Progress{s.progress(from, 0, e)}}))
		durable[fsys.Seq()] = s.seq
		if i == 2 {
			must(t, l.Begin(&Batch{Progress: []Progress{s.progress(0, 0, all...)}}, testTime))
		}
	}
	states := 0
	for n := range fsys.Seq() + 1 {
		want := uint32(0)
		for at, seq := range durable {
			if at <= n {
				want = max(want, seq)
			}
		}
		for after := range fsys.States(n, crashfs.Bounds{}) {
			states++
			l, state, err := Open(after, "/d", testIdentity)
			if err != nil {
				t.Fatalf("%s: %v", after.Origin(), err)
			}
			got := uint32(0)
			if r := state.Open[s.d.ID]; r != nil {
				got = r.Seq
			}
			if got < want {
				t.Fatalf("%s: %d entries, want %d", after.Origin(), got, want)
			}
			must(t, l.Begin(&Batch{}, testTime))
		}
	}
	if states < 100 {
		t.Errorf("only %d states", states)
	}
}

func TestCompact(t *testing.T) {
	fsys := crashfs.New("/d")
	l := begun(t, fsys)
	var sealed []*recording.Description
	for n := range uint32(4) {
		s := newSource(n + 1)
		s.begin()
		s.sample(10)
		sealed = append(sealed, s.describe())
	}
	must(t, l.Append(&Batch{Sealed: sealed, Removed: []recording.ID{4}}))
	must(t, l.Begin(&Batch{}, testTime))
	if err := l.Compact(2, nil, testTime); !errors.Is(err, ErrCurrent) {
		t.Errorf("compacted what is in use: %v", err)
	}
	must(t, l.Compact(1, func(id recording.ID) bool { return id.N()%2 == 0 }, testTime))
	var got []recording.ID
	damage, err := l.Seals(1, func(s Seal) error {
		d, err := l.ReadSeal(s)
		got = append(got, d.ID)
		return err
	})
	must(t, err)
	if want := []recording.ID{recording.NewID(1, 2), recording.NewID(1, 4)}; !cmp.Equal(got, want) || len(damage) > 0 {
		t.Errorf("kept %v, %v", got, damage)
	}
	if _, state := reopen(t, fsys); state.Header.Number != 2 {
		t.Errorf("a restart reads segment %d", state.Header.Number)
	}
}

func TestSegmentName(t *testing.T) {
	for _, name := range []string{"tail-0000001", "tail-0000000G", "tail-0000000A", "tail-00000001.new", "meta", "tail-000000001"} {
		if n, ok := ParseSegmentName(name); ok {
			t.Errorf("%s is taken as %d", name, n)
		}
	}
	if n, ok := ParseSegmentName(SegmentName(0xfe)); !ok || n != 0xfe {
		t.Errorf("%d %v", n, ok)
	}
}

func FuzzEntries(f *testing.F) {
	s := newSource(1)
	var seed []byte
	for _, e := range s.begin() {
		seed = AppendEntry(seed, e)
	}
	for range 5 {
		e, _ := s.sample(50)
		seed = AppendEntry(seed, e)
	}
	f.Add(AppendEntry(seed, AppendEnd(nil, &End{At: 9, Reason: recording.Shed})))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := new(Recording)
		if err := r.applyAll(data); err != nil {
			return
		}
		again := new(Recording)
		must(t, again.applyAll(r.Entries()))
		var a, b recording.Description
		r.Builder.Describe(&a, 0, true, true)
		again.Builder.Describe(&b, 0, true, true)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatal(diff)
		}
		if _, err := r.Limit(r.Builder.Bytes() / 2); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzSegment(f *testing.F) {
	fsys := crashfs.New("/d")
	l, _, err := Open(fsys, "/d", testIdentity)
	if err != nil {
		f.Fatal(err)
	}
	s := newSource(1)
	entries := s.begin()
	e, _ := s.sample(30)
	if err := l.Begin(&Batch{Progress: []Progress{s.progress(0, 0, append(entries, e)...)}, Sealed: []*recording.Description{s.describe()}}, testTime); err != nil {
		f.Fatal(err)
	}
	file, _ := fsys.Open("/d/tail-00000001")
	size, _ := file.Size()
	seed := make([]byte, size)
	_, _ = file.ReadAt(seed, 0)
	f.Add(seed, 3, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		if len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= flip
		}
		fsys := crashfs.New("/d")
		writeFile(t, fsys, "/d/tail-00000001", data)
		l, state, err := Open(fsys, "/d", testIdentity)
		if err != nil {
			return
		}
		for _, seal := range state.Sealed {
			_, _ = l.ReadSeal(seal)
		}
		must(t, l.Begin(&Batch{}, testTime))
	})
}

func ExampleSegmentName() {
	fmt.Println(SegmentName(26))
	// Output: tail-0000001a
}
