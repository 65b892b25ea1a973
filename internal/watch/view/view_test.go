package view

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
	"nightjar/internal/store/recording"
)

func fixed(s shape, runs ...int) func(testing.TB) *fake {
	return func(t testing.TB) *fake { return buildFake(t, rand.New(rand.NewPCG(1, 2)), s, runs...) }
}

// everything is the request for all of a fake.
func everything(f *fake) Request {
	return Request{Stream: 1, Start: f.list[0].d.Start, End: f.list[len(f.list)-1].d.End()}
}

// TestReadsWhatItServes: whole recordings are sized from rows; blobs are read for the ends of the span and for the tables
// in the range.
func TestReadsWhatItServes(t *testing.T) {
	f := fixed(shape{gops: 3, audio: "aac"}, 10)(t)
	b := New(f, Options{Now: later})
	file, _, err := b.Build(t.Context(), everything(f))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.describes) != 0 {
		t.Errorf("a view of whole recordings read the blobs of %v", f.describes)
	}
	// The end of the movie data needs no tables at all.
	if err := file.WriteRange(t.Context(), io.Discard, file.Size()-1000, 1000); err != nil {
		t.Fatal(err)
	}
	if len(f.describes) != 0 {
		t.Errorf("movie data read the blobs of %v", f.describes)
	}
	var layout strings.Builder
	if err := file.Explain(&layout); err != nil {
		t.Fatal(err)
	}
	// 100 bytes that lie within the sizes of one recording.
	var off int64
	for line := range strings.Lines(layout.String()) {
		if strings.Contains(line, "stsz of recording 1/5, video") {
			off = atoi(t, strings.Fields(line)[0])
		}
	}
	if err := file.WriteRange(t.Context(), io.Discard, off, 10); err != nil {
		t.Fatal(err)
	}
	if len(f.describes) != 1 || f.describes[recording.NewID(1, 5)] != 1 {
		t.Errorf("ten bytes of one table read the blobs of %v", f.describes)
	}
	r := everything(f)
	r.Start += 1000
	r.End -= 1000
	clear(f.describes)
	if _, _, err := b.Build(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if len(f.describes) != 2 {
		t.Errorf("a view with cut ends read the blobs of %v", f.describes)
	}
	for range 3 {
		serve(t, b, f, r)
	}
	for id, n := range f.describes {
		if n > 1 {
			t.Errorf("the blobs of %v were read %d times", id, n)
		}
	}
}

func atoi(t testing.TB, s string) (n int64) {
	for _, c := range s {
		n = n*10 + int64(c-'0')
	}
	return n
}

func TestCacheIsBounded(t *testing.T) {
	f := fixed(shape{gops: 3}, 10)(t)
	one := weight(f.list[0].d)
	b := New(f, Options{Now: later, CacheBytes: 3*one + one/2})
	serve(t, b, f, everything(f))
	if b.blobs.bytes > b.blobs.limit || len(b.blobs.known) > 4 || b.blobs.recent.Len() != len(b.blobs.known) || len(b.blobs.known) == 0 {
		t.Errorf("%d descriptions of %d bytes in a cache of %d", len(b.blobs.known), b.blobs.bytes, b.blobs.limit)
	}
}

func TestErrors(t *testing.T) {
	f := fixed(shape{gops: 2}, 2)(t)
	end := f.list[1].d.End()
	now := func() time.Time { return end.Add(90_000).Time() }
	for _, c := range []struct {
		r    Request
		want error
	}{
		{Request{Stream: 1, Start: 5, End: 5}, ErrOrder},
		{Request{Stream: 1, Start: 6, End: 5}, ErrOrder},
		{Request{Stream: 1, Start: 5, End: 6}, ErrEmpty},
		{Request{Stream: 2, Start: fakeStart, End: end}, ErrEmpty},
		{Request{Stream: 1, Start: end, End: end + 1}, ErrEmpty},
		{Request{Stream: 1, Start: end}, ErrEmpty},
		{Request{Stream: 1, Start: end + 200_000}, ErrFuture},
	} {
		if _, _, err := New(f, Options{Now: now}).Build(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
		if errors.Is(c.want, ErrEmpty) == errors.Is(c.want, ErrInvalid) {
			t.Errorf("%v is of no kind", c.want)
		}
	}
	if _, _, err := New(f, Options{Now: now, MaxRecordings: 1}).Build(t.Context(), everything(f)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	// An index that contradicts its row fails the range, not the bytes.
	f.list[0].d.Tracks[0].Index = slices.Clone(f.list[0].d.Tracks[0].Index)
	f.list[0].d.Tracks[0].Index[0] += 4 // one tick more
	file, _, err := New(f, Options{Now: later}).Build(t.Context(), everything(f))
	if err != nil {
		t.Fatal(err)
	}
	mismatch := new(mp4.MismatchError)
	if err := file.WriteRange(t.Context(), io.Discard, 0, file.Size()); !errors.As(err, &mismatch) {
		t.Errorf("a wrong index was served: %v", err)
	}
}

func etag(t testing.TB, f *fake, r Request) string {
	t.Helper()
	_, info, err := New(f, Options{Now: later}).Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return info.ETag
}

func TestETag(t *testing.T) {
	s := shape{gops: 2, audio: "aac"}
	build := fixed(s, 3, 2)
	f := build(t)
	r := everything(f)
	first := etag(t, f, r)
	if first != etag(t, build(t), r) || len(first) != 34 || first[0] != '"' {
		t.Errorf("ETag %s does not come again", first)
	}
	seen := map[string]string{first: "the view itself"}
	for name, change := range map[string]func(*fake, *Request){
		"recording deleted":   func(f *fake, _ *Request) { f.list = slices.Delete(f.list, 1, 2) },
		"first deleted":       func(f *fake, _ *Request) { f.list = f.list[1:] },
		"recording moved":     func(f *fake, _ *Request) { f.list[4].d.Start++ },
		"another open":        func(f *fake, _ *Request) { f.list[2].d.OpenID++ },
		"start a picture on":  func(_ *fake, r *Request) { r.Start += 6000 },
		"end a tick earlier":  func(_ *fake, r *Request) { r.End-- },
		"gaps closed":         func(_ *fake, r *Request) { r.Gaps = Close },
		"without audio":       func(_ *fake, r *Request) { r.NoAudio = true },
		"another sample type": func(f *fake, _ *Request) { f.list[3].d.Tracks[0].Entry.Data = entryB },
	} {
		f, r := build(t), r
		change(f, &r)
		tag := etag(t, f, r)
		if other, ok := seen[tag]; ok {
			t.Errorf("%s has the ETag of %s", name, other)
		}
		seen[tag] = name
	}
}

// TestGrowing: a view that ends in the recording in progress, pinned, has the same bytes when that recording is over.
func TestGrowing(t *testing.T) {
	for _, s := range []shape{{gops: 4}, {gops: 4, audio: "aac"}, {gops: 4, composed: true, audio: "pcmu"}, {gops: 4, composed: true}} {
		f := fixed(s, 2)(t)
		finished := f.list[1]
		for n := 1; n < len(finished.samples); n += 3 {
			f.list[1] = snapshot(t, finished, n)
			end := f.list[1].d.End()
			b := New(f, Options{Now: end.Time})
			start := f.list[0].d.Start + 20_000
			_, info, err := b.Build(t.Context(), Request{Stream: 1, Start: start})
			if err != nil {
				t.Fatal(err)
			}
			if !info.Growing || info.End > end || end.Sub(info.End) > 2*90_000+20_000 {
				t.Errorf("with %d samples growing %v, the view ends at %d of %d", n, info.Growing, info.End-start, end-start)
			}
			pinned := Request{Stream: 1, Start: start, End: info.End}
			now, infoNow := serve(t, b, f, pinned)
			f.list[1] = finished
			after, infoAfter := serve(t, New(f, Options{Now: later}), f, pinned)
			if !bytes.Equal(now.Bytes, after.Bytes) || infoNow.ETag != infoAfter.ETag || infoNow.End != info.End || infoAfter.End != info.End {
				t.Fatalf("%+v, %d samples: the pinned view changed: %d and %d bytes, ETag %s and %s, ends at %d, %d, %d", s, n,
					len(now.Bytes), len(after.Bytes), infoNow.ETag, infoAfter.ETag, info.End-start, infoNow.End-start, infoAfter.End-start)
			}
		}
	}
}

// snapshot is a recording as it was after n samples.
func snapshot(t testing.TB, r *fakeRecording, n int) *fakeRecording {
	out := &fakeRecording{d: new(recording.Description), growing: true, samples: r.samples[:n]}
	*out.d = *r.d
	var b recording.Builder
	for i := range r.d.Tracks {
		b.AddTrack(r.d.Tracks[i].Kind, r.d.Tracks[i].Entry, 3000)
	}
	for _, s := range out.samples {
		if err := b.Add(s.info); err != nil {
			t.Fatal(err)
		}
		out.bytes = append(out.bytes, s.data...)
	}
	b.Describe(out.d, 0, true, true)
	out.d.WallDuration = out.d.MediaDuration.AsWall()
	return out
}

// TestGrowingAlone: a recording in progress with one picture has nothing settled yet.
func TestGrowingAlone(t *testing.T) {
	f := fixed(shape{gops: 2}, 1)(t)
	f.list[0] = snapshot(t, f.list[0], 1)
	if _, _, err := New(f, Options{Now: later}).Build(t.Context(), Request{Stream: 1, Start: fakeStart}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
}

// TestLongGap: a gap longer than players take is as long as they take; what comes after keeps its distances.
func TestLongGap(t *testing.T) {
	f := fixed(shape{gops: 2}, 1, 1, 1)(t)
	const hours = 10 * 3600 * 90_000
	f.list[1].d.Start = f.list[0].d.End() + hours
	f.list[2].d.Start = f.list[1].d.End() + 45_000
	got, info := serve(t, New(f, Options{Now: later}), f, everything(f))
	track := &got.Tracks[0]
	longest := int64(0)
	for _, s := range track.Samples {
		longest = max(longest, s.Duration)
	}
	if longest >= 1<<31 || longest < 1<<31-1<<25 {
		t.Errorf("the longest sample lasts %d ticks", longest)
	}
	second := f.list[1].d.Tracks[0].Samples + f.list[0].d.Tracks[0].Samples
	if gap := track.Samples[second].Decode - track.Samples[second-1].Decode; gap != 45_000+lastDuration(f.list[1]) {
		t.Errorf("the second gap is %d ticks", gap)
	}
	if want := media.Duration(longestStretch + 45_000); info.Duration != f.list[0].d.MediaDuration+f.list[1].d.MediaDuration+f.list[2].d.MediaDuration+want {
		t.Errorf("%d ticks long", info.Duration)
	}
}

func lastDuration(r *fakeRecording) (d int64) {
	index := recording.NewIndexIterator(r.d.Tracks[0].Index)
	for index.Next() {
		d = int64(index.Duration)
	}
	return d
}

// TestOverlap: runs that overlap follow one another, whole.
func TestOverlap(t *testing.T) {
	f := fixed(shape{gops: 2, audio: "aac"}, 1, 1)(t)
	f.list[1].d.Start = f.list[0].d.End() - 5000
	got, info := serve(t, New(f, Options{Now: later}), f, everything(f))
	if n := len(got.Presented(&got.Tracks[0])); n != int(f.list[0].d.Tracks[0].Samples+f.list[1].d.Tracks[0].Samples) {
		t.Errorf("%d pictures are shown", n)
	}
	if info.Duration != f.list[0].d.MediaDuration+f.list[1].d.MediaDuration {
		t.Errorf("%d ticks long", info.Duration)
	}
	// A start within both begins the second with a key sample of its own, not with its first.
	f = fixed(shape{gops: 4}, 1, 1)(t)
	f.list[1].d.Start = f.list[0].d.Start + 90
	r := everything(f)
	r.Start, r.Gaps = f.list[1].d.Start.Add(f.list[1].d.WallDuration*3/4), Close
	got, info = serve(t, New(f, Options{Now: later}), f, r)
	track := &got.Tracks[0]
	if !track.Samples[0].Key || len(track.Edits) > 1 {
		t.Errorf("%+v", track.Edits)
	}
	skipped := int64(0)
	if len(track.Edits) == 1 {
		skipped = track.Edits[0].Media
	}
	if int64(track.Duration) != skipped+int64(info.Duration) || info.Recordings != 2 {
		t.Errorf("%d recordings of %d ticks, %d of them skipped; the view says %d", info.Recordings, track.Duration, skipped, info.Duration)
	}
}

// TestOneSample: recordings of one picture, with and without a duration.
func TestOneSample(t *testing.T) {
	for _, duration := range []media.Time{0, 3000} {
		var b recording.Builder
		b.AddTrack(media.Video, recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: entryA}, 0)
		info := recording.SampleInfo{Flags: media.Key, Size: 4}
		if err := b.Add(info); err != nil {
			t.Fatal(err)
		}
		r := &fakeRecording{d: &recording.Description{ID: recording.NewID(1, 1), Start: fakeStart}, bytes: []byte("data")}
		b.Describe(r.d, duration, false, true)
		r.d.WallDuration = r.d.MediaDuration.AsWall() + 1 // a span of no length overlaps nothing
		f := &fake{list: []*fakeRecording{r}}
		got, _ := serve(t, New(f, Options{Now: later}), f, everything(f))
		if s := got.Tracks[0].Samples; len(s) != 1 || string(s[0].Data) != "data" || s[0].Duration != int64(duration) {
			t.Errorf("duration %d: %+v", duration, s)
		}
	}
}

// TestFramesOfPCM: packets without a gap become single frames, for which a few bytes of tables do; one gap, and the
// packets are the samples.
func TestFramesOfPCM(t *testing.T) {
	f := fixed(shape{gops: 20, audio: "pcmu"}, 3)(t)
	got, _ := serve(t, New(f, Options{Now: later}), f, everything(f))
	if a := &got.Tracks[1]; a.TimeEntries != 1 || len(a.Samples) != int(f.list[0].d.Tracks[1].Bytes+f.list[1].d.Tracks[1].Bytes+f.list[2].d.Tracks[1].Bytes) {
		t.Errorf("%d samples in %d entries", len(a.Samples), a.TimeEntries)
	}
	f = fixed(shape{gops: 20, audio: "lossy"}, 3)(t)
	got, _ = serve(t, New(f, Options{Now: later}), f, everything(f))
	if a := &got.Tracks[1]; len(a.Samples) != int(f.list[0].d.Tracks[1].Samples+f.list[1].d.Tracks[1].Samples+f.list[2].d.Tracks[1].Samples) {
		t.Errorf("%d samples", len(a.Samples))
	}
}

func TestParameterChange(t *testing.T) {
	f := fixed(shape{gops: 2}, 4)(t) // the third recording has other parameters
	got, info := serve(t, New(f, Options{Now: later}), f, everything(f))
	track := &got.Tracks[0]
	if len(track.Entries) != 2 || !bytes.Equal(track.Entries[0], entryA) || !bytes.Equal(track.Entries[1], entryB) {
		t.Fatalf("sample entries %q", track.Entries)
	}
	n := 0
	for i, rec := range f.list {
		for range rec.d.Tracks[0].Samples {
			if want := map[bool]int{true: 1}[i == 2]; track.Samples[n].Entry != want {
				t.Fatalf("sample %d has entry %d, want %d", n, track.Samples[n].Entry, want)
			}
			n++
		}
	}
	if info.MediaType != `video/mp4; codecs="avc1.4d401e"` {
		t.Error(info.MediaType)
	}
}

// TestTwoAudioCodecs: what cannot share a track gets one of its own, at its place in time.
func TestTwoAudioCodecs(t *testing.T) {
	f := fixed(shape{gops: 3, audio: "aac"}, 2)(t)
	g := fixed(shape{gops: 3, audio: "pcmu"}, 2)(t)
	g.list[1].d.Start, g.list[1].d.RunUUID, g.list[1].d.RunOffset = f.list[0].d.End(), f.list[0].d.RunUUID, 1
	f.list[1] = g.list[1]
	got, info := serve(t, New(f, Options{Now: later}), f, everything(f))
	if len(got.Tracks) != 3 || len(info.Codecs) != 3 {
		t.Fatalf("%d tracks, %v", len(got.Tracks), info.Codecs)
	}
	second := got.Presented(&got.Tracks[2])
	if at := float64(f.list[0].d.MediaDuration) / 90_000; len(second) == 0 || second[0].Start < at-0.2 || second[0].Start > at+0.2 {
		t.Errorf("the second codec begins at %v", second[0])
	}
}

func TestConcurrentViews(t *testing.T) {
	f := fixed(shape{gops: 3, audio: "aac"}, 6)(t)
	f.describes = map[recording.ID]int{}
	b := New(&lockedFake{fake: f}, Options{Now: later, CacheBytes: 3 * weight(f.list[0].d)})
	file, _, err := b.Build(t.Context(), everything(f))
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := file.WriteRange(t.Context(), &want, 0, file.Size()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 100 {
				off := r.IntN(want.Len())
				n := r.IntN(want.Len() - off)
				var got bytes.Buffer
				if err := file.WriteRange(t.Context(), &got, int64(off), int64(n)); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()[off:off+n]) {
					t.Errorf("range %d+%d: %v", off, n, err)
				}
			}
		})
	}
	wg.Wait()
}
