package view

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4/mp4test"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
)

// fake is an archive in memory.
type fake struct {
	list      []*fakeRecording
	describes map[recording.ID]int
	open      atomic.Int64 // sources not yet closed
}

type fakeRecording struct {
	d       *recording.Description // with blobs
	bytes   []byte
	growing bool
	samples []fakeSample // in file order
}

// fakeSample is a sample as the camera sent it; times on the media clock of the run.
type fakeSample struct {
	info recording.SampleInfo
	data []byte
}

func (f *fake) Recordings(_ context.Context, stream recording.StreamID, start, end media.WallTime, yield func(*recording.Description) bool) error {
	for _, r := range f.list {
		if r.d.ID.Stream() != stream || r.d.Start >= end || r.d.End() <= start {
			continue
		}
		row := *r.d
		row.Tracks = append([]recording.Track(nil), r.d.Tracks...)
		for i := range row.Tracks {
			t := &row.Tracks[i]
			t.Index, t.Extra, t.Layout = nil, nil, nil
		}
		if !yield(&row) {
			break
		}
	}
	return nil
}

func (f *fake) find(id recording.ID) (*fakeRecording, error) {
	for _, r := range f.list {
		if r.d.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no recording %v", id)
}

func (f *fake) Describe(_ context.Context, id recording.ID) (*recording.Description, error) {
	r, err := f.find(id)
	if err != nil {
		return nil, err
	}
	if f.describes == nil {
		f.describes = map[recording.ID]int{}
	}
	f.describes[id]++
	return r.d, nil
}

func (f *fake) Growing(id recording.ID) bool {
	r, err := f.find(id)
	return err == nil && r.growing
}

func (f *fake) OpenSamples(id recording.ID) (virtual.Source, error) {
	r, err := f.find(id)
	if err != nil {
		return nil, err
	}
	f.open.Add(1)
	return &fakeSource{bytes.NewReader(r.bytes), f}, nil
}

type fakeSource struct {
	*bytes.Reader
	archive *fake
}

func (s *fakeSource) Close() error { s.archive.open.Add(-1); return nil }

func (s *fakeSource) SendTo(conn net.Conn, off, n int64) (int64, error) {
	return io.Copy(struct{ io.Writer }{conn}, io.NewSectionReader(s.Reader, off, n))
}

// shape says what a fake stream is like.
type shape struct {
	composed bool   // pictures are reordered
	audio    string // "", "aac", "pcmu" (gapless), "lossy" (pcmu with holes)
	metadata bool
	drift    int64 // ppm by which the media clock runs fast
	gops     int   // per recording
}

const fakeStart media.WallTime = 140_000_000_000_000 // 2019-04-18

var (
	entryA = []byte("\x00\x00\x00\x10avc1aaaaaaaa")
	entryB = []byte("\x00\x00\x00\x10avc1bbbbbbbb")
)

// build makes runs[i] recordings for each run, with gaps between.
func buildFake(t testing.TB, r *rand.Rand, s shape, runs ...int) *fake {
	f := &fake{}
	wall := fakeStart
	n := uint32(0)
	prevMedia := media.Duration(0)
	for run, count := range runs {
		clock := media.Time(r.Int64N(1 << 30))
		g := &fakeRun{r: r, shape: s, clock: clock, sound: clock.Add(media.Duration(r.IntN(9000)))}
		for offset := range count {
			n++
			rec := g.next(t)
			rec.d.ID = recording.NewID(1, n)
			rec.d.OpenID = 1
			rec.d.RunUUID[0], rec.d.RunOffset = byte(run+1), uint32(offset)
			rec.d.Start = wall
			rec.d.WallDuration = rec.d.MediaDuration.AsWall() - media.WallDuration(int64(rec.d.MediaDuration)*s.drift/1_000_000)
			rec.d.PrevMediaDuration = prevMedia
			prevMedia += rec.d.MediaDuration
			wall = rec.d.End()
			f.list = append(f.list, rec)
		}
		f.list[len(f.list)-1].d.EndReason = recording.CameraClosed
		wall = wall.Add(media.WallDuration(r.IntN(3 * 90_000)))
	}
	return f
}

// fakeRun makes the recordings of one run.
type fakeRun struct {
	r     *rand.Rand
	shape shape
	clock media.Time // decode time of the next picture
	sound media.Time // time of the next sound
	count int        // recordings so far
}

func (g *fakeRun) next(t testing.TB) *fakeRecording {
	rec := &fakeRecording{d: &recording.Description{}}
	var b recording.Builder
	entry := recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: entryA, RFC6381: "avc1.4d401e", Width: 320, Height: 240}
	if g.shape.composed {
		entry.ReorderDepth = 2
	}
	if g.count%3 == 2 {
		entry.Data = entryB
	}
	g.count++
	b.AddTrack(media.Video, entry, 3000)
	audio := -1
	rate := int64(8000)
	if g.shape.audio != "" {
		e := recording.SampleEntry{Codec: media.PCMU, ClockRate: 8000, Data: []byte("\x00\x00\x00\x10ulawaaaaaaaa"), Channels: 1, BytesPerFrame: 1}
		if g.shape.audio == "aac" {
			rate = 44100
			e = recording.SampleEntry{Codec: media.AAC, ClockRate: 44100, Data: []byte("\x00\x00\x00\x10mp4aaaaaaaaa"), Channels: 1, RFC6381: "mp4a.40.2"}
		}
		audio = b.AddTrack(media.Audio, e, 0)
	}
	meta := -1
	if g.shape.metadata {
		meta = b.AddTrack(media.Metadata, recording.SampleEntry{Codec: media.ONVIFMetadata, ClockRate: 90_000, Data: []byte("\x00\x00\x00\x10metxaaaaaaaa")}, 0)
	}
	add := func(info recording.SampleInfo, size int) {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(g.r.Uint32())
		}
		info.Size = int32(size)
		if err := b.Add(info); err != nil {
			t.Fatal(err)
		}
		rec.bytes = append(rec.bytes, data...)
		rec.samples = append(rec.samples, fakeSample{info, data})
	}
	for range g.shape.gops {
		g.gop(add)
		for audio >= 0 && g.sound < g.clock {
			frames := int64(1024)
			if rate == 8000 {
				frames = 320
			}
			size := int(frames)
			if rate != 8000 {
				size = 20 + g.r.IntN(200)
			}
			add(recording.SampleInfo{Track: audio, Flags: media.Key, Decode: g.sound, Frames: uint32(frames)}, size)
			g.sound = g.sound.Add(media.Duration(frames * 90_000 / rate))
			if g.shape.audio == "lossy" && g.r.IntN(10) == 0 {
				g.sound = g.sound.Add(media.Duration(3 * frames * 90_000 / rate))
			}
		}
		if meta >= 0 {
			add(recording.SampleInfo{Track: meta, Flags: media.Key, Decode: g.clock - 1000}, 1+g.r.IntN(50))
		}
	}
	b.Describe(rec.d, g.clock, false, true)
	return rec
}

// gop adds one group of pictures. Reordered: key, then groups of P b b, decoded in that order, two pictures of delay.
func (g *fakeRun) gop(add func(recording.SampleInfo, int)) {
	groups := 1 + g.r.IntN(4)
	n := 1 + 3*groups
	decode := make([]media.Time, n+1)
	decode[0] = g.clock
	for i := range n {
		decode[i+1] = decode[i].Add(media.Duration(2000 + g.r.IntN(3000)))
	}
	g.clock = decode[n]
	for i := range n {
		info := recording.SampleInfo{Decode: decode[i]}
		if i == 0 {
			info.Flags = media.Key
		}
		if g.shape.composed {
			// Shown 6,000 ticks after the decode time of the picture whose place it takes.
			place := i
			if i > 0 {
				place = i + [3]int{2, -1, -1}[(i-1)%3]
			}
			info.Composition = decode[place].Sub(decode[i]) + 6000
		}
		add(info, 1+g.r.IntN(100))
	}
}

// serve reads a whole view and parses it.
func serve(t testing.TB, b *Builder, f *fake, r Request) (*mp4test.File, Info) {
	t.Helper()
	file, info, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	var out bytes.Buffer
	if err := file.WriteRange(t.Context(), &out, 0, file.Size()); err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	if n := f.open.Load(); n != 0 {
		t.Fatalf("%d sources left open", n)
	}
	got, err := mp4test.Parse(out.Bytes())
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return got, info
}

// lockedFake can be described concurrently.
type lockedFake struct {
	mu sync.Mutex
	*fake
}

func (f *lockedFake) Describe(ctx context.Context, id recording.ID) (*recording.Description, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fake.Describe(ctx, id)
}
