package mp4_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
	"nightjar/internal/media/mp4/mp4test"
	"nightjar/internal/media/virtual"
)

// TestFragments writes a random movie in fragments and reads every sample back.
func TestFragments(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	for range 50 {
		tracks := func() []mp4.Track {
			return []mp4.Track{
				{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70), entry("hvc1", 80)}, Composition: seed%2 == 0, Width: 640, Height: 480},
				{Kind: media.Audio, Timescale: 44100, Entries: [][]byte{entry("mp4a", 30)}},
			}
		}
		movie := &mp4.Movie{Tracks: tracks()}
		file, err := movie.Init()
		if err != nil {
			t.Fatal(err)
		}
		var want [2][]*model
		decode := make([]int64, 2)
		for n := range 1 + r.IntN(4) {
			var data []byte
			fragment := &mp4.Movie{Tracks: tracks()}
			for i, m := range part(r, fmt.Sprint("fragment ", n), &data, []bool{false, true}) {
				s := m.segment(0, 0)
				if i == 0 {
					s.Entry = n % 2
				}
				fragment.Tracks[i].Segments = []mp4.Segment{s}
				movie.Tracks[i].Segments = append(movie.Tracks[i].Segments, s)
				want[i] = append(want[i], m)
			}
			f, err := fragment.Fragment(uint32(n+1), decode, int64(len(data)), func(b *virtual.Builder) { b.Literal("data", data) })
			if err != nil {
				t.Fatal(err)
			}
			file = append(file, read(t, f)...)
			for i := range decode {
				decode[i] += fragment.Tracks[i].Duration()
			}
		}
		got, err := mp4test.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, movie, got, want[:])
	}
}

func TestFragmentRefused(t *testing.T) {
	good := func() (*mp4.Movie, *model) {
		m := &model{name: "m", samples: []mp4.Sample{{Duration: 10, Size: 5, Key: true}, {Duration: 10, Size: 6}}, chunks: []mp4.Chunk{{Samples: 1}, {Offset: 5, Samples: 1}}}
		return &mp4.Movie{Tracks: []mp4.Track{{Kind: media.Video, Timescale: 90000, Entries: [][]byte{entry("avc1", 70)}, Segments: []mp4.Segment{m.segment(0, 0)}}}}, m
	}
	data := func(b *virtual.Builder) { b.Literal("data", make([]byte, 11)) }
	movie, _ := good()
	if _, err := movie.Fragment(1, nil, 11, data); err == nil {
		t.Error("without decode times")
	}
	if _, err := movie.Fragment(1, []int64{0}, 12, data); err == nil {
		t.Error("with less data than announced")
	}
	if _, err := movie.Fragment(1, []int64{0}, 3<<30, data); !errors.Is(err, mp4.ErrTooLong) {
		t.Error(err)
	}
	for name, change := range map[string]func(*model){
		"sample fewer":  func(m *model) { m.samples = m.samples[:1] },
		"sample more":   func(m *model) { m.samples = append(m.samples, m.samples[0]) },
		"larger":        func(m *model) { m.samples[0].Size++ },
		"longer":        func(m *model) { m.samples[0].Duration++ },
		"chunk fewer":   func(m *model) { m.chunks = m.chunks[:1] },
		"chunk too big": func(m *model) { m.chunks[1].Samples = 7 },
	} {
		movie, m := good()
		f, err := movie.Fragment(1, []int64{0}, 11, data)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		mismatch := new(mp4.MismatchError)
		if err := f.WriteRange(t.Context(), &bytes.Buffer{}, 0, f.Size()); !errors.As(err, &mismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
