package judge

import (
	"bufio"
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim/picture"
)

var begin = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// film is a stream of pictures to be judged.
type film struct {
	picture.Options
	pictures int
	without  func(picture.Picture) bool // pictures to leave out
}

// at is when picture i was taken.
func (f *film) at(i int) time.Time {
	return begin.Add(time.Duration(i) * time.Second / time.Duration(f.FPS)).Truncate(time.Millisecond)
}

// write makes the film as a byte stream and returns the numbers that it contains.
func (f *film) write(t testing.TB, path string) (numbers []int) {
	t.Helper()
	e, err := picture.New(f.Options)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := range f.pictures {
		p := e.Next(uint32(i), f.at(i), false)
		if f.without != nil && f.without(p) {
			continue
		}
		numbers = append(numbers, i)
		for _, n := range p.NALs {
			w.Write([]byte{0, 0, 0, 1})
			w.Write(n)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return numbers
}

// expect compares strips with what the film says.
func (f *film) expect(t *testing.T, strips []Strip, numbers []int) {
	t.Helper()
	if len(strips) != len(numbers) {
		t.Errorf("%d pictures, want %d", len(strips), len(numbers))
	}
	wrong := 0
	for i, s := range strips[:min(len(strips), len(numbers))] {
		if want := (Strip{uint32(numbers[i]), f.at(numbers[i]), true}); s != want {
			if wrong++; wrong <= 5 {
				t.Errorf("picture %d: %+v, want %+v", i, s, want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d strips wrong", wrong, len(strips))
	}
}

// mp4 puts a byte stream into an MP4 file.
func (f *film) mp4(t testing.TB, stream string) string {
	t.Helper()
	out := strings.TrimSuffix(stream, ".h264") + ".mp4"
	if said, err := exec.Command("ffmpeg", "-v", "error", "-r", fmt.Sprint(f.FPS), "-i", stream, "-c", "copy", out).CombinedOutput(); err != nil {
		t.Fatalf("make MP4 file: %v: %s", err, said)
	}
	return out
}

func films(pictures int) map[string]film {
	return map[string]film{
		"1080p":   {Options: picture.Options{Width: 1920, Height: 1080, FPS: 30, BitRate: 3_000_000, Name: "Front door"}, pictures: pictures},
		"640x360": {Options: picture.Options{Width: 640, Height: 360, FPS: 10, BitRate: 200_000, Name: "Yard"}, pictures: pictures},
	}
}

// smallFilm is quick to decode for every judge.
func smallFilm(pictures int) film {
	return film{Options: picture.Options{Width: 640, Height: 360, FPS: 30, BitRate: 1_000_000, Name: "Gate"}, pictures: pictures}
}

func TestStripsOfFFmpeg(t *testing.T) {
	Need(t, "ffmpeg")
	n := 65 // more than a GOP
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		n = 10_000
	}
	for name, f := range films(n) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.h264")
			numbers := f.write(t, path)
			FFmpegClean(t, path)
			strips := Strips(t, path)
			f.expect(t, strips, numbers)
			if err := Follow(strips); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStripsWithoutDroppable(t *testing.T) {
	Need(t, "ffmpeg")
	f := smallFilm(100)
	f.Droppable = true
	f.without = func(p picture.Picture) bool { return p.Droppable }
	path := filepath.Join(t.TempDir(), "a.h264")
	numbers := f.write(t, path)
	if len(numbers) != 50 {
		t.Fatalf("%d of 100 pictures are needed, want 50", len(numbers))
	}
	FFmpegClean(t, path)
	f.expect(t, Strips(t, path), numbers)
}

func TestCleanFindsFault(t *testing.T) {
	Need(t, "ffmpeg")
	path := filepath.Join(t.TempDir(), "a.h264")
	f := smallFilm(10)
	f.write(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Clean(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	key := bytes.Index(b, []byte{0, 0, 0, 1, 0x65})
	for i := key + 40; i < key+80; i++ {
		b[i] ^= 0x5A
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if Clean(t.Context(), path) == nil {
		t.Error("a broken picture passes")
	}
	if Clean(t.Context(), path+"x") == nil {
		t.Error("a missing file passes")
	}
}

func TestFFprobe(t *testing.T) {
	Need(t, "ffmpeg", "ffprobe")
	f := smallFilm(90)
	path := filepath.Join(t.TempDir(), "a.h264")
	f.write(t, path)
	p := FFprobe(t, f.mp4(t, path))
	v, ok := p.Video()
	if !ok || v.Codec != "h264" || v.Profile != "Constrained Baseline" || v.Width != 640 || v.Height != 360 || v.Frames != 90 ||
		v.Duration != 3*time.Second || v.Tag != "avc1" || v.FrameRate != "30/1" || v.PixelFormat != "yuv420p" {
		t.Errorf("stream: %+v", v)
	}
	packets := p.Of(v.Index)
	if len(packets) != 90 {
		t.Fatalf("%d packets, want 90", len(packets))
	}
	size := 0
	for i, k := range packets {
		size += k.Size
		if k.Key != (i%60 == 0) || k.PTS != k.DTS || k.Duration == 0 || k.Position <= 0 {
			t.Errorf("packet %d: %+v", i, k)
		}
	}
	if rate := float64(size) * 8 / 3; rate < 990_000 || rate > 1_500_000 {
		t.Errorf("bit rate %.0f", rate)
	}
	if p.Format.Size == 0 || p.Format.Duration != 3*time.Second || !strings.Contains(p.Format.Name, "mp4") {
		t.Errorf("format: %+v", p.Format)
	}
	if _, ok := p.Audio(); ok {
		t.Error("audio found in a file without")
	}
}

func TestStripsOfGStreamer(t *testing.T) {
	Need(t, "ffmpeg", "gstreamer")
	f := smallFilm(40)
	path := filepath.Join(t.TempDir(), "a.h264")
	numbers := f.write(t, path)
	mp4 := f.mp4(t, path)
	f.expect(t, GStreamer(t, mp4, 640, 360), numbers)
	some, err := GStreamerStrips(t.Context(), mp4, 640, 360, 7)
	if err != nil || len(some) != 7 {
		t.Errorf("%d pictures with a limit of 7: %v", len(some), err)
	}
	if _, err := GStreamerStrips(t.Context(), path+"x", 640, 360, 0); err == nil {
		t.Error("a missing file passes")
	}
}

func TestStripsOfVLC(t *testing.T) {
	OnDemand(t)
	Need(t, "ffmpeg", "vlc")
	f := smallFilm(120)
	path := filepath.Join(t.TempDir(), "a.h264")
	numbers := f.write(t, path)
	f.expect(t, VLC(t, f.mp4(t, path)), numbers)
	played, err := VLCPlay(t.Context(), path, 4, 20)
	if err != nil || len(played) != 20 {
		t.Errorf("%d pictures with a limit of 20: %v", len(played), err)
	}
	for i, s := range played {
		if !s.OK || i > 0 && s.Number <= played[i-1].Number {
			t.Errorf("played picture %d: %+v", i, s)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.mp4")
	if err := os.WriteFile(empty, []byte("no video at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := VLCPlay(t.Context(), empty, 4, 0); err == nil {
		t.Error("a file without video passes")
	}
	if _, err := VLCStrips(t.Context(), empty); err == nil {
		t.Error("a file without video passes")
	}
}

func TestMkvmerge(t *testing.T) {
	Need(t, "ffmpeg", "mkvmerge")
	f := smallFilm(30)
	path := filepath.Join(t.TempDir(), "a.h264")
	f.write(t, path)
	c := Mkvmerge(t, f.mp4(t, path))
	if len(c.Tracks) != 1 || c.Tracks[0].Kind != "video" || c.Tracks[0].Dimensions != "640x360" || c.Type != "QuickTime/MP4" {
		t.Errorf("%+v", c)
	}
	junk := filepath.Join(t.TempDir(), "junk.mp4")
	if err := os.WriteFile(junk, []byte("no video at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(t.Context(), junk); err == nil {
		t.Error("a file without video passes")
	}
}

func TestChromium(t *testing.T) {
	OnDemand(t)
	Need(t, "ffmpeg", "chromium")
	f := smallFilm(45)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.h264")
	numbers := f.write(t, path)
	f.mp4(t, path)
	page := "<!doctype html><title>judge</title><link rel=icon href=data:,><body style='background:#0000ff'>"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	mux.Handle("GET /a.mp4", http.FileServer(http.Dir(dir)))
	server := httptest.NewServer(mux)
	defer server.Close()
	b := Chromium(t)
	ctx := testContext(t)

	t.Run("page", func(t *testing.T) { examinePage(t, b, server.URL) })

	played, err := b.Play(ctx, server.URL+"/a.mp4", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("played %d of %d pictures, %d dropped", len(played.Pictures), played.Total, played.Dropped)
	if played.Width != 640 || played.Height != 360 || played.Duration != 1500*time.Millisecond || len(played.Pictures) < 5 {
		t.Errorf("%d pictures of %dx%d, %v", len(played.Pictures), played.Width, played.Height, played.Duration)
	}
	for _, s := range played.Pictures {
		if want := uint32((s.Time + time.Second/60) * 30 / time.Second); !s.OK || s.Number != want {
			t.Errorf("at %v: %+v, want number %d", s.Time, s.Strip, want)
		}
	}

	var times []time.Duration
	for i := range numbers {
		times = append(times, (time.Duration(i)*time.Second+time.Second/2)/30)
	}
	sought, err := b.Seek(ctx, server.URL+"/a.mp4", times)
	if err != nil {
		t.Fatal(err)
	}
	f.expect(t, sought.Strips(), numbers)
	if c := b.Complaints(); len(c) != 0 {
		t.Errorf("complaints: %q", c)
	}

	if _, err := b.Play(ctx, server.URL+"/missing.mp4", 1); err == nil {
		t.Error("a missing video passes")
	}
}

// examinePage proves that the driver sees what the page does.
func examinePage(t *testing.T, b *Browser, url string) {
	ctx := testContext(t)
	if err := b.Navigate(ctx, url+"/"); err != nil {
		t.Fatal(err)
	}
	var title string
	if err := b.Evaluate(ctx, "new Promise(done => setTimeout(() => done(document.title), 1))", &title); err != nil || title != "judge" {
		t.Errorf("title %q: %v", title, err)
	}
	if err := b.Evaluate(ctx, "missing.member", nil); err == nil || !strings.Contains(err.Error(), "ReferenceError") {
		t.Errorf("exception: %v", err)
	}
	if err := b.Evaluate(ctx, "console.error('broken', 7)", nil); err != nil {
		t.Fatal(err)
	}
	if c := b.Complaints(); len(c) != 1 || !strings.Contains(c[0], "broken 7") {
		t.Errorf("complaints: %q", c)
	}
	shot, err := b.Screenshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, blue, _ := img.At(20, 20).RGBA(); r != 0 || g != 0 || blue != 0xFFFF {
		t.Errorf("colour of the page: %x %x %x", r, g, blue)
	}
	if err := b.Navigate(ctx, "http://127.0.0.1:1/"); err == nil {
		t.Error("a refused connection passes")
	}
	b.Complaints()
}
