package camsim_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/judge"
)

// stream is one of the two streams of the camera that Options{} makes.
type stream struct {
	path          string
	width, height int
	rate          int
}

var streams = map[string]stream{
	"main": {"/cam0", 1920, 1080, 30},
	"sub":  {"/cam0/sub", 640, 360, 10},
}

// live runs a camera on a real port. stop ends it, which the test's end does otherwise; the counts are final then.
func live(t testing.TB) (srv *camsim.Server, base string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv = camsim.New(camsim.Options{Seed: 1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return srv, "rtsp://" + ln.Addr().String(), stop
}

// expect checks that strips are all readable, their numbers consecutive, and their times those of the numbers and of now.
func (s stream) expect(t testing.TB, strips []judge.Strip, pictures int, since time.Time) {
	t.Helper()
	if len(strips) != pictures {
		t.Fatalf("%d pictures, want %d", len(strips), pictures)
	}
	if err := judge.Follow(strips); err != nil {
		t.Fatal(err)
	}
	first := strips[0].UTC
	if first.Before(since.Add(-time.Minute)) || first.After(time.Now()) {
		t.Errorf("the first picture is of %v, the test began at %v", first, since)
	}
	for i, x := range strips {
		want := first.Add(time.Duration(i) * time.Second / time.Duration(s.rate))
		if d := x.UTC.Sub(want); d < -time.Millisecond || d > time.Millisecond {
			t.Fatalf("picture %d is of %v, want %v", i, x.UTC, want)
		}
	}
}

// starved tells how many datagrams the kernel has dropped because their receivers did not read in time.
func starved(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, n := range names {
			if n == "RcvbufErrors" {
				return fields[i]
			}
		}
	}
	t.Fatal("/proc/net/snmp does not tell RcvbufErrors")
	return ""
}

// TestJudgesWatch: programs that know nothing of us take the streams as they come, over TCP and UDP, say nothing, and
// show one picture after the other.
func TestJudgesWatch(t *testing.T) {
	judge.OnDemand(t)
	judge.Need(t, "ffmpeg", "gstreamer")
	seconds := 2
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		seconds = 30
	}
	for name, s := range streams {
		for program, watch := range map[string]func(judge.Live, context.Context, int) ([]judge.Strip, error){
			"ffmpeg": judge.Live.FFmpeg, "gstreamer": judge.Live.GStreamer,
		} {
			for _, udp := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s udp=%v", name, program, udp), func(t *testing.T) {
					t.Parallel()
					_, base, _ := live(t)
					stream := judge.Live{URL: base + s.path, UDP: udp, Width: s.width, Height: s.height}
					since := time.Now()
					pictures := seconds * s.rate
					var strips []judge.Strip
					for tries := 0; ; tries++ {
						before := starved(t)
						var err error
						if strips, err = watch(stream, t.Context(), pictures); err == nil {
							err = judge.Follow(strips)
						}
						if err == nil {
							break
						}
						// Datagrams that the kernel drops say nothing of the camera: such a run is repeated.
						if !udp || tries == 3 || before == starved(t) {
							t.Fatal(err)
						}
					}
					s.expect(t, strips, pictures, since)
				})
			}
		}
	}
}

// TestJudgesReplay: VLC and Chromium show what the camera sent. Neither speaks RTSP here (see judge.Live), so ffmpeg puts
// the samples as they are into a file, which Chromium gets from a web server with a test page.
func TestJudgesReplay(t *testing.T) {
	judge.OnDemand(t)
	judge.Need(t, "ffmpeg", "ffprobe", "vlc", "chromium")
	_, base, _ := live(t)
	dir := t.TempDir()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!DOCTYPE html><title>test page</title><link rel="icon" href="data:,">`)
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	browser := judge.Chromium(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			pictures := s.rate
			if os.Getenv("NIGHTJAR_LONG") == "1" {
				pictures = 10 * s.rate
			}
			file := filepath.Join(dir, name+".mp4")
			since := time.Now()
			if err := (judge.Live{URL: base + s.path}).Record(ctx, file, pictures, s.rate); err != nil {
				t.Fatal(err)
			}
			judge.FFmpegClean(t, file)
			s.expect(t, judge.VLC(t, file), pictures, since)

			probe := judge.FFprobe(t, file)
			var times []time.Duration
			for _, p := range probe.Of(0) {
				times = append(times, p.Time+time.Second/time.Duration(2*s.rate))
			}
			shown, err := browser.Seek(ctx, web.URL+"/"+name+".mp4", times)
			if err != nil {
				t.Fatal(err)
			}
			if shown.Width != s.width || shown.Height != s.height {
				t.Errorf("Chromium shows %dx%d, want %dx%d", shown.Width, shown.Height, s.width, s.height)
			}
			s.expect(t, shown.Strips(), pictures, since)
			if c := browser.Complaints(); len(c) > 0 {
				t.Errorf("Chromium complains: %q", c)
			}
		})
	}
}

// TestSentIsReceived: what the server counts as sent over TCP is what a client receives, and each picture of it can be
// read. With NIGHTJAR_LONG=1 these are 10,000 pictures of each stream, which ffmpeg watches live at the same time.
func TestSentIsReceived(t *testing.T) {
	t.Parallel()
	judge.Need(t, "ffmpeg")
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, base, stop := live(t)
			since := time.Now()
			pictures, watched := s.rate, func() {}
			if os.Getenv("NIGHTJAR_LONG") == "1" {
				pictures = 10_000
				watched = s.watchBeside(t, base, pictures)
			}
			path := filepath.Join(t.TempDir(), "video.h264")
			got := countInto(t, base+s.path, int64(pictures), path)
			watched()
			stop()
			c := srv.Counts().Paths[s.path]
			var session camsim.SessionCounts // the counter's; ffmpeg goes without TEARDOWN when it has enough
			for _, x := range c.Sessions {
				if x.EndReason == "teardown" && (session.ID == "" || x.SamplesSent == got.samples) {
					session = x
				}
			}
			sent := received{samples: session.SamplesSent, keySamples: session.KeySamplesSent, bytes: session.BytesSent,
				sampleBytes: session.SampleBytesSent}
			if sent != got || session.Transport != "tcp" {
				t.Errorf("sent %+v, received %+v; sessions %+v", sent, got, c.Sessions)
			}
			if c.SamplesDamaged != 0 || c.SkippedSamples != 0 {
				t.Errorf("%d samples damaged, %d skipped", c.SamplesDamaged, c.SkippedSamples)
			}
			judge.FFmpegClean(t, path)
			strips := judge.Strips(t, path)
			s.expect(t, strips, int(got.samples), since)
			if first, last := int64(strips[0].Number), int64(strips[len(strips)-1].Number); first != session.FirstSample || last != session.LastSample {
				t.Errorf("received samples %d to %d, sent %d to %d", first, last, session.FirstSample, session.LastSample)
			}
			t.Logf("sent and received: %d samples, %d of them key samples, %d bytes; %d strips read back", got.samples, got.keySamples, got.bytes, len(strips))
		})
	}
}

// watchBeside has ffmpeg watch the stream, too; what it returns waits for the end of that.
func (s stream) watchBeside(t *testing.T, base string, pictures int) (wait func()) {
	var strips []judge.Strip
	var err error
	since, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		strips, err = judge.Live{URL: base + s.path}.FFmpeg(t.Context(), pictures)
	}()
	return func() {
		t.Helper()
		<-done
		if err != nil {
			t.Error(err)
			return
		}
		s.expect(t, strips, pictures, since)
	}
}

// countInto is count with the byte stream in a file.
func countInto(t *testing.T, url string, samples int64, path string) received {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	got := count(t, url, samples, w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return got
}
