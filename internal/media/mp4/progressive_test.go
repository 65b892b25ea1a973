package mp4_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
	"nightjar/internal/media/mp4/mp4test"
	"nightjar/internal/media/virtual"
)

// model is a segment as the test knows it.
type model struct {
	name    string
	samples []mp4.Sample
	data    [][]byte // of each sample
	chunks  []mp4.Chunk
	reads   int
}

func (m *model) String() string { return m.name }

func (m *model) Samples(_ context.Context, yield func(mp4.Sample) bool) error {
	m.reads++
	for _, s := range m.samples {
		if !yield(s) {
			break
		}
	}
	return nil
}

func (m *model) Chunks(_ context.Context, yield func(mp4.Chunk) bool) error {
	m.reads++
	for _, c := range m.chunks {
		if !yield(c) {
			break
		}
	}
	return nil
}

func (m *model) segment(entry int, data int64) mp4.Segment {
	s := mp4.Segment{Entry: entry, Samples: int64(len(m.samples)), Chunks: int64(len(m.chunks)), Data: data, Tables: m}
	for _, x := range m.samples {
		s.Bytes += int64(x.Size)
		s.Duration += int64(x.Duration)
		if x.Key {
			s.Sync++
		}
	}
	return s
}

// entry returns some box that will do as a sample entry.
func entry(name string, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(16+n))
	return append(append(b, name...), make([]byte, 8+n)...)
}

// part is one stretch of movie data in which the chunks of several tracks take turns.
func part(r *rand.Rand, name string, b *[]byte, kinds []bool) []*model {
	all := make([]*model, len(kinds))
	start := int64(len(*b))
	for i := range all {
		all[i] = &model{name: fmt.Sprintf("%s track %d", name, i)}
	}
	for range 1 + r.IntN(5) {
		for i, m := range all {
			n := 1 + r.IntN(6)
			m.chunks = append(m.chunks, mp4.Chunk{Offset: int64(len(*b)) - start, Samples: uint32(n)})
			for range n {
				s := mp4.Sample{Duration: uint32(1 + r.IntN(5000)), Size: uint32(1 + r.IntN(40)), Key: kinds[i] || len(m.samples) == 0 || r.IntN(4) == 0}
				if !kinds[i] {
					s.Composition = int32(r.IntN(2000) - 1000)
				}
				data := make([]byte, s.Size)
				for j := range data {
					data[j] = byte(r.Uint32())
				}
				*b = append(*b, data...)
				m.samples = append(m.samples, s)
				m.data = append(m.data, data)
			}
		}
	}
	return all
}

func read(t *testing.T, f *virtual.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.WriteRange(t.Context(), &b, 0, f.Size()); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != f.Size() {
		t.Fatalf("%d bytes of a file of %d", b.Len(), f.Size())
	}
	return b.Bytes()
}

// TestRandomMovies writes random movies and reads every sample back.
func TestRandomMovies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 100 {
		var data []byte
		movie := &mp4.Movie{Created: 102254400000000, Tracks: []mp4.Track{
			{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70), entry("hvc1", 80)}, Composition: r.IntN(2) == 0, Width: 1920, Height: 1080},
			{Kind: media.Audio, Timescale: 44100, Entries: [][]byte{entry("mp4a", 30)}},
			{Kind: media.Metadata, Timescale: 90000, Entries: [][]byte{entry("metx", 3)}},
		}}
		var want [3][]*model
		for n := range 1 + r.IntN(4) {
			start := int64(len(data))
			for i, m := range part(r, fmt.Sprint("recording ", n), &data, []bool{false, true, true}) {
				e := 0
				if i == 0 {
					e = n % 2
				}
				movie.Tracks[i].Segments = append(movie.Tracks[i].Segments, m.segment(e, start))
				want[i] = append(want[i], m)
			}
		}
		movie.Tracks[0].Edits = []mp4.Edit{{Duration: media.Duration(movie.Tracks[0].Duration()), MediaTime: 7}}
		movie.Tracks[1].Edits = []mp4.Edit{{Duration: 90, MediaTime: mp4.Empty}, {Duration: 900, MediaTime: 1}}
		f, err := movie.File(int64(len(data)), func(b *virtual.Builder) { b.Literal("data", data) })
		if err != nil {
			t.Fatal(err)
		}
		for _, ms := range want {
			for _, m := range ms {
				if m.reads != 0 {
					t.Fatal("tables were read while the file was laid out")
				}
			}
		}
		got, err := mp4test.Parse(read(t, f))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, movie, got, want[:])
	}
}

func compare(t *testing.T, movie *mp4.Movie, got *mp4test.File, want [][]*model) {
	t.Helper()
	if len(got.Tracks) != len(want) || got.Timescale != 90000 {
		t.Fatalf("%d tracks, time scale %d", len(got.Tracks), got.Timescale)
	}
	for i := range want {
		g, track := &got.Tracks[i], &movie.Tracks[i]
		if g.Timescale != track.Timescale || len(g.Edits) != len(track.Edits) || !slices.EqualFunc(g.Entries, track.Entries, bytes.Equal) {
			t.Fatalf("track %d: time scale %d, edits %v, %d entries", i, g.Timescale, g.Edits, len(g.Entries))
		}
		n, decode := 0, int64(0)
		for k, m := range want[i] {
			for j, s := range m.samples {
				w := mp4test.Sample{Offset: g.Samples[n].Offset, Size: uint64(s.Size), Decode: decode, Duration: int64(s.Duration), Key: s.Key, Entry: track.Segments[k].Entry}
				if track.Composition {
					w.Composition = int64(s.Composition)
				}
				h := g.Samples[n]
				if !bytes.Equal(h.Data, m.data[j]) {
					t.Fatalf("track %d sample %d: other bytes", i, n)
				}
				h.Data = nil
				if fmt.Sprint(h) != fmt.Sprint(w) {
					t.Fatalf("track %d sample %d is %+v, want %+v", i, n, h, w)
				}
				decode += w.Duration
				n++
			}
		}
		if n != len(g.Samples) {
			t.Fatalf("track %d has %d samples, want %d", i, len(g.Samples), n)
		}
	}
}

// TestConstantFrames: sizes and durations of PCM take one entry, or three with a stretched frame.
func TestConstantFrames(t *testing.T) {
	data := make([]byte, 8000)
	a := &model{name: "a", chunks: []mp4.Chunk{{Offset: 0, Samples: 3000}, {Offset: 3000, Samples: 1000}}}
	b := &model{name: "b", chunks: []mp4.Chunk{{Offset: 0, Samples: 4000}}}
	for _, c := range []struct {
		stretch int64
		entries int
	}{{0, 1}, {80, 3}} {
		movie := &mp4.Movie{Tracks: []mp4.Track{{Kind: media.Audio, Timescale: 8000, FrameSize: 1, Entries: [][]byte{entry("alaw", 20)}, Segments: []mp4.Segment{
			{Samples: 4000, Sync: 4000, Chunks: 2, Bytes: 4000, Duration: 4000 + c.stretch, Tables: a},
			{Samples: 4000, Sync: 4000, Chunks: 1, Bytes: 4000, Duration: 4000, Data: 4000, Tables: b},
		}}}}
		f, err := movie.File(8000, func(b *virtual.Builder) { b.Literal("data", data) })
		if err != nil {
			t.Fatal(err)
		}
		got, err := mp4test.Parse(read(t, f))
		if err != nil {
			t.Fatal(err)
		}
		track := got.Tracks[0]
		if len(track.Samples) != 8000 || track.TimeEntries != c.entries || track.Samples[4000].Decode != 4000+c.stretch {
			t.Errorf("%d samples, %d entries of time, second half at %d", len(track.Samples), track.TimeEntries, track.Samples[4000].Decode)
		}
		if f.Size()-8000 > 1000 {
			t.Errorf("%d bytes of headers", f.Size()-8000)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		track  mp4.Track
		width  uint32
		height uint32
	}{
		{mp4.Track{Width: 1920, Height: 1080}, 1920 << 16, 1080 << 16},
		{mp4.Track{Width: 704, Height: 480, AspectH: 10, AspectV: 11}, 640 << 16, 480 << 16},
		{mp4.Track{Width: 960, Height: 1080, AspectH: 2, AspectV: 1}, 1920 << 16, 1080 << 16},
		{mp4.Track{Width: 65535, Height: 1, AspectH: 65535, AspectV: 1}, 1<<32 - 1, 1 << 16},
	} {
		m := &model{name: "m", samples: []mp4.Sample{{Duration: 0, Size: 1, Key: true}}, chunks: []mp4.Chunk{{Samples: 1}}}
		c.track.Kind, c.track.Timescale, c.track.Entries = media.Video, 90000, [][]byte{entry("avc1", 70)}
		c.track.Segments = []mp4.Segment{m.segment(0, 0)}
		movie := &mp4.Movie{Tracks: []mp4.Track{c.track}, Created: -2_082_844_800 * 90000} // the epoch itself
		f, err := movie.File(1, func(b *virtual.Builder) { b.Literal("data", []byte{1}) })
		if err != nil {
			t.Fatal(err)
		}
		got, err := mp4test.Parse(read(t, f))
		if err != nil {
			t.Fatal(err)
		}
		if g := got.Tracks[0]; g.Width != c.width || g.Height != c.height || got.Created != 0 || len(g.Samples) != 1 || g.Duration != 0 {
			t.Errorf("%dx%d: got %d x %d, created %d", c.track.Width, c.track.Height, g.Width, g.Height, got.Created)
		}
	}
}

// TestMismatch: tables that contradict the counts end the range with an error; they never shift a byte.
func TestMismatch(t *testing.T) {
	good := []mp4.Sample{{Duration: 10, Size: 5, Key: true}, {Duration: 10, Size: 6}, {Duration: 9, Size: 7, Key: true}}
	for name, change := range map[string]func(*model){
		"one sample fewer":      func(m *model) { m.samples = m.samples[:2] },
		"one sample more":       func(m *model) { m.samples = append(m.samples, mp4.Sample{Size: 1}) },
		"longer":                func(m *model) { m.samples[1].Duration++ },
		"larger":                func(m *model) { m.samples[1].Size++ },
		"a key sample more":     func(m *model) { m.samples[1].Key = true },
		"a key sample fewer":    func(m *model) { m.samples[2].Key = false },
		"a chunk fewer":         func(m *model) { m.chunks = m.chunks[:1] },
		"a chunk more":          func(m *model) { m.chunks = append(m.chunks, mp4.Chunk{}) },
		"samples not in chunks": func(m *model) { m.chunks[1].Samples = 0 },
	} {
		m := &model{name: "m", samples: slices.Clone(good), chunks: []mp4.Chunk{{Samples: 2}, {Offset: 11, Samples: 1}}}
		movie := &mp4.Movie{Tracks: []mp4.Track{{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{m.segment(0, 0)}}}}
		f, err := movie.File(18, func(b *virtual.Builder) { b.Literal("data", make([]byte, 18)) })
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		err = f.WriteRange(t.Context(), &bytes.Buffer{}, 0, f.Size())
		if mismatch := new(mp4.MismatchError); !errors.As(err, &mismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	ok := mp4.Segment{Samples: 2, Sync: 1, Chunks: 1, Bytes: 10, Duration: 5, Tables: &model{name: "m"}}
	for name, change := range map[string]func(*mp4.Track){
		"no segments":    func(t *mp4.Track) { t.Segments = nil },
		"no time scale":  func(t *mp4.Track) { t.Timescale = 0 },
		"no samples":     func(t *mp4.Track) { t.Segments[0].Samples = 0 },
		"more keys":      func(t *mp4.Track) { t.Segments[0].Sync = 3 },
		"more chunks":    func(t *mp4.Track) { t.Segments[0].Chunks = 3 },
		"negative bytes": func(t *mp4.Track) { t.Segments[0].Bytes = -1 },
		"no such entry":  func(t *mp4.Track) { t.Segments[0].Entry = 1 },
		"broken entry":   func(t *mp4.Track) { t.Entries[0] = t.Entries[0][:20] },
		"frames":         func(t *mp4.Track) { t.FrameSize = 4 },
		"too long":       func(t *mp4.Track) { t.Segments = append(t.Segments, t.Segments[0]); t.Segments[1].Samples = 1 << 28 },
	} {
		track := mp4.Track{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{ok}}
		change(&track)
		if _, err := (&mp4.Movie{Tracks: []mp4.Track{track}}).File(0, func(*virtual.Builder) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	track := mp4.Track{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{ok}}
	if _, err := (&mp4.Movie{Tracks: []mp4.Track{track}}).File(10, func(b *virtual.Builder) { b.Literal("d", make([]byte, 9)) }); err == nil {
		t.Error("movie data shorter than announced was taken")
	}
}

// TestBeyond4GiB: chunk offsets and the length of the movie data go beyond 32 bits.
func TestBeyond4GiB(t *testing.T) {
	m := &model{name: "m", samples: []mp4.Sample{{Duration: 1, Size: 7, Key: true}}, chunks: []mp4.Chunk{{Offset: 3, Samples: 1}}}
	movie := &mp4.Movie{Tracks: []mp4.Track{{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{m.segment(0, 5<<30)}}}}
	f, err := movie.File(6<<30, func(b *virtual.Builder) { b.External(6<<30, nowhere{}, 0) })
	if err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	size := f.Size() - 6<<30
	if err := f.WriteRange(t.Context(), &head, 0, size); err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(head.Bytes(), []byte("co64"))
	if got := binary.BigEndian.Uint64(head.Bytes()[i+12:]); got != uint64(size+5<<30+3) {
		t.Errorf("chunk at %d", got)
	}
	i = bytes.Index(head.Bytes(), []byte("mdat"))
	if got := binary.BigEndian.Uint64(head.Bytes()[i+4:]); got != 16+6<<30 {
		t.Errorf("movie data of %d bytes", got)
	}
}

type nowhere struct{}

func (nowhere) String() string                               { return "nowhere" }
func (nowhere) Open(context.Context) (virtual.Source, error) { return nil, errors.New("nowhere") }

func TestExplain(t *testing.T) {
	m := &model{name: "recording 1/1 video", samples: []mp4.Sample{{Duration: 1, Size: 7, Key: true}, {Duration: 1, Size: 1}}, chunks: []mp4.Chunk{{Samples: 2}}}
	movie := &mp4.Movie{Tracks: []mp4.Track{{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{m.segment(0, 0)}}}}
	f, err := movie.File(8, func(b *virtual.Builder) { b.External(8, nowhere{}, 0) })
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := f.Explain(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ftyp moov mvhd trak tkhd mdia mdhd hdlr minf vmhd dinf dref url  stbl stsd stts\n", "generated stts of recording 1/1 video\n", "co64 of recording", "stss of", "nowhere from 0 on"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
