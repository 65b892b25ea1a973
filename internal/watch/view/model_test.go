package view

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4/mp4test"
)

// shown is a sample that the model expects to be presented, in seconds on the file's time line.
type shown struct {
	data       []byte
	start, end float64
}

// model computes what a view must present by the rules of the package comment, from the samples as the camera sent them.
type model struct {
	pictures []shown
	sounds   []shown
	length   float64
}

type placed struct {
	sample     fakeSample
	start, end int64 // from the recording's first picture on, in the unit of the track's clock
}

// pictures of a recording in presentation order.
func (r *fakeRecording) pictures() []placed {
	var all []placed
	var first recordingOrigin
	for _, s := range r.samples {
		if s.info.Track != 0 {
			continue
		}
		at := int64(s.info.Decode.Add(s.info.Composition))
		first.see(at)
		all = append(all, placed{sample: s, start: at})
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.start, b.start) })
	for i := range all {
		all[i].start -= first.at
		all[i].end = int64(r.d.MediaDuration)
		if i > 0 {
			all[i-1].end = all[i].start
		}
	}
	return all
}

// recordingOrigin is the presentation time of the first sample in decoding order.
type recordingOrigin struct {
	at   int64
	seen bool
}

func (o *recordingOrigin) see(at int64) {
	if !o.seen {
		o.at, o.seen = at, true
	}
}

func (r *fakeRecording) origin() int64 {
	s := r.samples[0].info
	return int64(s.Decode.Add(s.Composition))
}

func expect(f *fake, r Request) (m model) {
	var at int64 // place of the recording's first picture in the file, in ticks
	started := false
	var zero media.WallTime
	var before *fakeRecording
	var end int64 // of the pictures so far
	for _, rec := range f.list {
		d := rec.d
		if d.Start >= r.End || d.End() <= r.Start {
			continue
		}
		from, to := max(int64(r.Start.Sub(d.Start)), 0), int64(d.MediaDuration)
		if r.End < d.End() {
			to = min(to, int64(r.End.Sub(d.Start)))
		}
		if from >= to {
			continue
		}
		switch {
		case !started:
			for _, p := range rec.pictures() {
				if p.start <= from && p.end > from {
					from = p.start // the picture that stands there is shown from its beginning on
					break
				}
			}
			at, zero, started = -from, d.Start+media.WallTime(from), true
		case before.d.RunUUID == d.RunUUID || r.Gaps == Close:
			at = end
		default:
			at = max(end, int64(d.Start-zero))
			if len(m.pictures) > 0 {
				m.pictures[len(m.pictures)-1].end = float64(at) / 90000
			}
		}
		for _, p := range rec.pictures() {
			if p.end <= from || p.start >= to {
				continue
			}
			m.pictures = append(m.pictures, shown{p.sample.data, float64(at+max(p.start, from)) / 90000, float64(at+min(p.end, to)) / 90000})
		}
		for _, s := range rec.samples {
			if s.info.Track == 0 || s.info.Frames == 0 {
				continue
			}
			rate := int64(44100)
			if s.info.Frames == 320 {
				rate = 8000
			}
			start := float64(int64(s.info.Decode) - rec.origin())
			stop := start + float64(int64(s.info.Frames)*90000)/float64(rate)
			if stop > float64(from)+12 && start < float64(to)-12 || from == 0 && to == int64(d.MediaDuration) {
				m.sounds = append(m.sounds, shown{s.data, (float64(at) + start) / 90000, (float64(at) + stop) / 90000})
			}
		}
		end = at + to
		before = rec
	}
	m.length = float64(end) / 90000
	return m
}

// check compares a served view with the model.
func check(t testing.TB, r Request, got *mp4test.File, want model) {
	t.Helper()
	video := &got.Tracks[0]
	shownVideo := got.Presented(video)
	if len(shownVideo) != len(want.pictures) {
		t.Fatalf("%+v: %d pictures are shown, want %d", r, len(shownVideo), len(want.pictures))
	}
	for i, p := range shownVideo {
		w := want.pictures[i]
		if !bytes.Equal(video.Samples[p.Sample].Data, w.data) {
			t.Fatalf("%+v: picture %d is another", r, i)
		}
		if math.Abs(p.Start-w.start) > 1e-6 || math.Abs(p.End-w.end) > 1e-6 {
			t.Fatalf("%+v: picture %d of %d is shown from %f to %f, want %f to %f", r, i, len(shownVideo), p.Start, p.End, w.start, w.end)
		}
	}
	if len(shownVideo) > 0 && !video.Samples[0].Key {
		t.Fatalf("%+v: does not begin with a key sample", r)
	}
	if g := float64(video.Presentation) / 90000; math.Abs(g-want.length) > 1e-6 {
		t.Fatalf("%+v: %f s long, want %f", r, g, want.length)
	}
	checkSounds(t, r, got, want)
}

// checkSounds finds every expected sound within a millisecond of its place; only those at the very edges may be missing.
func checkSounds(t testing.TB, r Request, got *mp4test.File, want model) {
	t.Helper()
	at := map[string]float64{}
	for i := range got.Tracks {
		if track := &got.Tracks[i]; track.Handler == "soun" {
			data := packets(track)
			for _, p := range got.Presented(track) {
				// A sample cut by the edit list began earlier than it is heard.
				begin := p.End - float64(track.Samples[p.Sample].Duration)/float64(track.Timescale)
				if key, ok := data[p.Sample]; ok {
					if _, seen := at[key]; !seen {
						at[key] = p.Start
						if p.Start == 0 {
							at[key] = begin
						}
					}
				}
			}
		}
	}
	for i, s := range want.sounds {
		got, ok := at[string(s.data)]
		if !ok {
			if s.start <= 0.001 || s.end >= want.length-0.05 || s.start >= want.length-0.001 {
				continue
			}
			t.Fatalf("%+v: sound %d of %d at %f is missing", r, i, len(want.sounds), s.start)
		}
		if s.start > 0.001 && math.Abs(got-s.start) > 0.001 {
			t.Fatalf("%+v: sound %d of %d is heard at %f, want %f", r, i, len(want.sounds), got, s.start)
		}
	}
}

// packets maps the number of a sample to the packet that begins with it: tracks of constant frames are put together.
func packets(track *mp4test.Track) map[int]string {
	out := map[int]string{}
	for i := 0; i < len(track.Samples); {
		n := 1
		if track.Samples[i].Size == 1 {
			n = 320
		}
		var b []byte
		for _, s := range track.Samples[i:min(i+n, len(track.Samples))] {
			b = append(b, s.Data...)
		}
		out[i] = string(b)
		i += n
	}
	return out
}

func later() time.Time { return fakeStart.Add(90_000 * 86_400 * 30).Time() }

// TestRandomSpans is the property of the package: any span of any stream presents exactly what the model says. A short
// run in every test; NIGHTJAR_LONG=1 makes it 1,000 spans of each shape.
func TestRandomSpans(t *testing.T) {
	spans := 60
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		spans = 1000
	}
	seed := rand.Uint64()
	for _, s := range []shape{
		{gops: 3},
		{gops: 3, audio: "aac"},
		{gops: 3, audio: "pcmu"},
		{gops: 3, audio: "lossy", metadata: true},
		{gops: 3, composed: true},
		{gops: 3, composed: true, audio: "aac", drift: 300},
		{gops: 2, audio: "aac", drift: -300},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 7))
			f := buildFake(t, r, s, 3, 1, 2, 4)
			b := New(f, Options{Now: later})
			total := f.list[len(f.list)-1].d.End().Sub(fakeStart)
			for range spans {
				start := fakeStart.Add(media.WallDuration(r.Int64N(int64(total))) - 1000)
				req := Request{Stream: 1, Start: start, End: start.Add(1 + media.WallDuration(r.Int64N(int64(total)))), Gaps: Gaps(r.IntN(2)), NoAudio: r.IntN(4) == 0}
				want := expect(f, req)
				if len(want.pictures) == 0 {
					continue
				}
				got, info := serve(t, b, f, req)
				if req.NoAudio {
					want.sounds = nil
				}
				check(t, req, got, want)
				if info.Start > req.Start && info.Start != f.list[0].d.Start && got.Presented(&got.Tracks[0])[0].Start != 0 || info.End > req.End && info.Recordings > 0 {
					t.Fatalf("%+v: info says %d to %d", req, info.Start, info.End)
				}
			}
		})
	}
}
