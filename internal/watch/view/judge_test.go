package view

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nightjar/internal/camsim/picture"
	"nightjar/internal/judge"
	"nightjar/internal/media"
	"nightjar/internal/media/codec"
	"nightjar/internal/media/mp4"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
)

// shared returns the path of a file among the shared test data, which are read where they lie. The test is skipped where
// they are absent.
func shared(t testing.TB, name string) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
	path := filepath.Join(dir, "..", "shared", "testdata", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared test data absent: %v", err)
	}
	return path
}

// film is a stream with pictures that tell their numbers, 30 a second, cut into recordings.
type film struct {
	*fake
	numbers map[recording.ID]int // of the first picture
	count   int
}

const (
	filmWidth, filmHeight = 320, 240
	tick                  = 3000
)

// sound yields the next packet and how many ticks of the track's clock it lasts.
type sound func() ([]byte, uint32)

// shoot records runs of so many seconds each, one recording every two seconds, with a gap of 1.5 s between runs.
func shoot(t testing.TB, track *media.Track, next sound, runs ...int) *film {
	enc, err := picture.New(picture.Options{Width: filmWidth, Height: filmHeight, GOP: 20})
	if err != nil {
		t.Fatal(err)
	}
	f := &film{fake: &fake{}, numbers: map[recording.ID]int{}}
	wall, n := fakeStart, uint32(0)
	for run, seconds := range runs {
		var heard media.Time
		for offset := range seconds / 2 {
			n++
			rec := &fakeRecording{d: &recording.Description{ID: recording.NewID(1, n), OpenID: 1, RunOffset: uint32(offset), Start: wall}}
			rec.d.RunUUID[0] = byte(run + 1)
			f.numbers[rec.d.ID] = f.count
			var b recording.Builder
			begin := media.Time(offset * 180_000)
			add := func(info recording.SampleInfo, data []byte) {
				info.Size = int32(len(data))
				if err := b.Add(info); err != nil {
					t.Fatal(err)
				}
				rec.bytes = append(rec.bytes, data...)
			}
			for i := range 60 {
				p := enc.Next(uint32(f.count), wall.Time(), i == 0)
				at := begin.Add(media.Duration(i * tick))
				info := recording.SampleInfo{Decode: at}
				if p.Key {
					info.Flags = media.Key
				}
				if i == 0 {
					video, err := codec.H264Track(0, p.NALs, p.NALs)
					if err != nil {
						t.Fatal(err)
					}
					b.AddTrack(media.Video, recording.EntryOf(video), tick)
					if track != nil {
						b.AddTrack(media.Audio, recording.EntryOf(track), 0)
					}
				}
				var unit []byte
				for _, nal := range p.NALs {
					unit = codec.AppendNAL(unit, nal)
				}
				add(info, unit)
				f.count++
				for track != nil && heard <= at {
					data, frames := next()
					add(recording.SampleInfo{Track: 1, Flags: media.Key, Decode: heard, Frames: frames}, data)
					heard = heard.Add(media.Duration(media.Rescale(int64(frames), 90_000, int64(track.ClockRate))))
				}
			}
			b.Describe(rec.d, begin.Add(180_000), false, true)
			rec.d.WallDuration = rec.d.MediaDuration.AsWall()
			wall = rec.d.End()
			f.list = append(f.list, rec)
		}
		wall = wall.Add(135_000)
	}
	return f
}

// expected returns the numbers of the pictures that stand in [start, end).
func (f *film) expected(start, end media.WallTime) (numbers []int) {
	for _, rec := range f.list {
		for i := range 60 {
			at := rec.d.Start.Add(media.WallDuration(i * tick))
			if at.Add(tick) > start && at < end {
				numbers = append(numbers, f.numbers[rec.d.ID]+i)
			}
		}
	}
	return numbers
}

// write stores a view as a file.
func write(t testing.TB, b *Builder, r Request) (string, Info) {
	t.Helper()
	file, info, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	var out bytes.Buffer
	if err := file.WriteRange(t.Context(), &out, 0, file.Size()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "view.mp4")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, info
}

func numbers(strips []judge.Strip) (all []int) {
	for _, s := range strips {
		n := -1
		if s.OK {
			n = int(s.Number)
		}
		all = append(all, n)
	}
	return all
}

func aacSound(t testing.TB) (*media.Track, sound) {
	data, err := os.ReadFile(shared(t, "media/androidx/bbb_1ch_8kHz_aac_lc.aac"))
	if err != nil {
		t.Fatal(err)
	}
	var units [][]byte
	var config []byte
	for len(data) > 0 {
		h, err := codec.ParseADTS(data)
		if err != nil {
			t.Fatal(err)
		}
		if config, err = h.AudioSpecificConfig(); err != nil {
			t.Fatal(err)
		}
		units = append(units, data[h.HeaderSize:h.FrameSize])
		data = data[h.FrameSize:]
	}
	track, err := codec.AACTrack(1, config)
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	return track, func() ([]byte, uint32) { n++; return units[n%len(units)], 1024 }
}

func alawSound(t testing.TB) (*media.Track, sound) {
	data, err := os.ReadFile(shared(t, "audio/kvs.alaw"))
	if err != nil {
		t.Fatal(err)
	}
	track, err := codec.G711Track(1, media.PCMA, 8000, 1)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	return track, func() ([]byte, uint32) {
		at = (at + 320) % (len(data) - 320)
		return data[at : at+320], 320
	}
}

// TestJudges lets others look at what comes out: ffmpeg must decode it silently and show exactly the requested pictures,
// ffprobe count them, GStreamer see the same, mkvmerge know the tracks. The cases marked long run with NIGHTJAR_LONG=1.
func TestJudges(t *testing.T) {
	judge.Need(t, "ffmpeg", "ffprobe", "gstreamer", "mkvmerge")
	aac, aacNext := aacSound(t)
	alaw, alawNext := alawSound(t)
	for _, c := range []struct {
		name       string
		film       *film
		start, end float64 // seconds
		gaps       Gaps
		long       bool
	}{
		{"everything", shoot(t, nil, nil, 4), 0, 4, Keep, true},
		{"within one recording", shoot(t, nil, nil, 4), 0.55, 1.234, Keep, false},
		{"one picture", shoot(t, nil, nil, 2), 0.52, 0.53, Keep, true},
		{"aac over recordings and runs", shoot(t, aac, aacNext, 4, 4), 1.11, 8.01, Keep, false},
		{"aac, gaps closed", shoot(t, aac, aacNext, 4, 4), 1.11, 8.01, Close, true},
		{"a-law without a gap", shoot(t, alaw, alawNext, 6), 0.77, 5.01, Keep, true},
		{"a-law over runs", shoot(t, alaw, alawNext, 4, 4), 1.5, 8.5, Keep, true},
	} {
		if c.long && os.Getenv("NIGHTJAR_LONG") != "1" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := New(c.film, Options{Now: later})
			r := Request{Stream: 1, Start: fakeStart.Add(media.WallDuration(c.start * 90000)), End: fakeStart.Add(media.WallDuration(c.end * 90000)), Gaps: c.gaps}
			want := c.film.expected(r.Start, r.End)
			name, info := write(t, b, r)
			judge.FFmpegClean(t, name)
			if got := numbers(judge.Strips(t, name)); !slices.Equal(got, want) {
				t.Errorf("ffmpeg shows %v, want %v", got, want)
			}
			probe := judge.FFprobe(t, name)
			video, _ := probe.Video()
			if video.Frames != len(want) {
				t.Errorf("ffprobe counts %d pictures, want %d", video.Frames, len(want))
			}
			if d := video.Duration - info.Duration.Std(); d.Abs() > 2*time.Millisecond {
				t.Errorf("ffprobe says video lasts %v, the view %v", video.Duration, info.Duration.Std())
			}
			if audio, ok := probe.Audio(); ok {
				t.Logf("audio %s %v from %v on", audio.Codec, audio.Duration, audio.StartTime)
				if d := audio.Duration + max(audio.StartTime, 0) - info.Duration.Std(); c.gaps == Keep && d.Abs() > 200*time.Millisecond {
					t.Errorf("audio begins at %v and lasts %v in a view of %v", audio.StartTime, audio.Duration, info.Duration.Std())
				}
			}
			if got := numbers(judge.GStreamer(t, name, filmWidth, filmHeight)); !slices.Equal(got, want) {
				t.Errorf("GStreamer shows %v, want %v", got, want)
			}
			judge.Mkvmerge(t, name)
		})
	}
}

// TestRandomSpansProbed lets ffprobe count the pictures of 50 random spans.
func TestRandomSpansProbed(t *testing.T) {
	if os.Getenv("NIGHTJAR_LONG") != "1" {
		t.Skip("set NIGHTJAR_LONG=1 to let ffprobe count 50 random spans")
	}
	judge.Need(t, "ffmpeg", "ffprobe")
	aac, next := aacSound(t)
	f := shoot(t, aac, next, 10, 4, 6)
	b := New(f, Options{Now: later})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	for range 50 {
		start := fakeStart.Add(media.WallDuration(r.IntN(20 * 90_000)))
		req := Request{Stream: 1, Start: start, End: start.Add(media.WallDuration(1 + r.IntN(10*90_000)))}
		want := f.expected(req.Start, req.End)
		if len(want) == 0 {
			continue
		}
		name, _ := write(t, b, req)
		probe := judge.FFprobe(t, name)
		video, _ := probe.Video()
		if video.Frames != len(want) {
			t.Errorf("%+v: ffprobe counts %d pictures, want %d", req, video.Frames, len(want))
		}
		if got := numbers(judge.Strips(t, name)); !slices.Equal(got, want) {
			t.Errorf("%+v: ffmpeg shows %v, want %v", req, got, want)
		}
	}
}

// TestChromium: a browser shows the requested pictures, each at its time.
func TestChromium(t *testing.T) {
	if os.Getenv("NIGHTJAR_LONG") != "1" {
		t.Skip("set NIGHTJAR_LONG=1 to let Chromium seek through views")
	}
	judge.Need(t, "chromium")
	aac, next := aacSound(t)
	f := shoot(t, aac, next, 4, 2)
	browser := judge.Chromium(t)
	for _, span := range [][2]float64{{0.55, 1.25}, {1.9, 6.2}, {0, 0.5}, {0.61, 0.62}} {
		req := Request{Stream: 1, Start: fakeStart.Add(media.WallDuration(span[0] * 90000)), End: fakeStart.Add(media.WallDuration(span[1] * 90000)), Gaps: Close}
		want := f.expected(req.Start, req.End)
		name, info := write(t, New(f, Options{Now: later}), req)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><title>view</title><link rel=icon href=data:,><body>")
		})
		mux.Handle("GET /view.mp4", http.FileServer(http.Dir(filepath.Dir(name))))
		server := httptest.NewServer(mux)
		var times []time.Duration
		for i := range want {
			at := (time.Duration(i)*time.Second + time.Second/4) / 30
			times = append(times, min(at, info.Duration.Std()-time.Millisecond))
		}
		shown, err := browser.Seek(t.Context(), server.URL+"/view.mp4", times)
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(shown.Strips()); !slices.Equal(got, want) {
			t.Errorf("%v: Chromium shows %v, want %v", span, got, want)
		}
		if d := shown.Duration - info.Duration.Std(); d.Abs() > 100*time.Millisecond {
			t.Errorf("%v: Chromium says it lasts %v, the view %v", span, shown.Duration, info.Duration.Std())
		}
		if c := browser.Complaints(); len(c) != 0 {
			t.Errorf("%v: complaints: %q", span, c)
		}
	}
}

// TestFragmentsJudged: the same plan as one media segment behind an initialisation segment.
func TestFragmentsJudged(t *testing.T) {
	judge.Need(t, "ffmpeg", "gstreamer")
	aac, next := aacSound(t)
	f := shoot(t, aac, next, 4)
	p, err := New(f, Options{Now: later}).plan(t.Context(), everything(f.fake))
	if err != nil {
		t.Fatal(err)
	}
	movie, size := &mp4.Movie{Created: p.start}, int64(0)
	for _, l := range p.tracks {
		l.build(p)
		movie.Tracks = append(movie.Tracks, l.movie)
	}
	for _, s := range p.spans {
		size += s.size()
	}
	init, err := movie.Init()
	if err != nil {
		t.Fatal(err)
	}
	fragment, err := movie.Fragment(1, []int64{0, 0}, size, func(b *virtual.Builder) {
		for _, s := range p.spans {
			s.addData(b)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(init)
	if err := fragment.WriteRange(t.Context(), out, 0, fragment.Size()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "fragment.mp4")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	judge.FFmpegClean(t, name)
	want := f.expected(p.start, p.end)
	if got := numbers(judge.Strips(t, name)); !slices.Equal(got, want) {
		t.Errorf("ffmpeg shows %v, want %v", got, want)
	}
	if got := numbers(judge.GStreamer(t, name, filmWidth, filmHeight)); !slices.Equal(got, want) {
		t.Errorf("GStreamer shows %v, want %v", got, want)
	}
}
