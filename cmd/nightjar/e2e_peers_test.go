package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/camsim/picture"
	"nightjar/internal/judge"
)

// Cameras that are not ours play a film of ours, so that each picture tells its number.
const filmRate = 15

// film makes one that lasts so long, with sound in the coding that ffmpeg calls so, and returns the file.
func film(t *testing.T, dir, name, sound string, lasts time.Duration) string {
	t.Helper()
	o := picture.Options{Width: 640, Height: 360, FPS: filmRate, GOP: 2 * filmRate, BitRate: 400_000, Name: "PEER"}
	e, err := picture.New(o)
	must(t, err)
	raw := filepath.Join(dir, name+".h264")
	file, err := os.Create(raw)
	must(t, err)
	w := bufio.NewWriter(file)
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range int(lasts.Seconds() * filmRate) {
		p := e.Next(uint32(i), begin.Add(time.Duration(i)*time.Second/filmRate).Truncate(time.Millisecond), false)
		for _, n := range p.NALs {
			w.Write([]byte{0, 0, 0, 1})
			w.Write(n)
		}
	}
	must(t, w.Flush())
	must(t, file.Close())
	out := filepath.Join(dir, name)
	if said, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-r", fmt.Sprint(filmRate), "-i", raw, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000",
		"-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", sound, "-ac", "1", "-t", fmt.Sprint(lasts.Seconds()), "-y", out).CombinedOutput(); err != nil {
		t.Fatalf("make the film: %v: %s", err, said)
	}
	must(t, os.Chmod(out, 0o644))
	return out
}

// freePort returns a port that nobody listens on just now.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// gstreamerServer serves a film with GStreamer's RTSP server, from its beginning for each camera that connects.
func gstreamerServer(t *testing.T, file string) string {
	port := freePort(t)
	const script = `
import sys, gi
gi.require_version('Gst', '1.0')
gi.require_version('GstRtspServer', '1.0')
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
server.set_address('127.0.0.1')
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(sys.argv[2])
server.get_mount_points().add_factory('/cam', factory)
server.attach(None)
print('ready', flush=True)
GLib.MainLoop().run()
`
	line := fmt.Sprintf("( filesrc location=%s ! matroskademux name=d d. ! queue ! h264parse ! rtph264pay name=pay0 pt=96 d. ! queue ! rtppcmapay name=pay1 pt=8 )", file)
	p := launch(t, exec.Command("/usr/bin/python3", "-c", script, fmt.Sprint(port), line))
	p.announces("ready")
	return fmt.Sprintf("rtsp://127.0.0.1:%d/cam", port)
}

// vlcServer serves a film with VLC, which refuses to run as root.
func vlcServer(t *testing.T, dir, file string) string {
	port := freePort(t)
	c := exec.Command("cvlc", "-I", "dummy", "--loop", file, "--sout", fmt.Sprintf("#rtp{sdp=rtsp://127.0.0.1:%d/cam}", port))
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		home := filepath.Join(dir, "home")
		must(t, os.Mkdir(home, 0o700))
		must(t, os.Chown(home, nobody, nobody))
		c.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR=")
	}
	launch(t, c)
	within(t, time.Minute, "VLC listens", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return fmt.Sprintf("rtsp://127.0.0.1:%d/cam", port)
}

// TestE2EPeers records cameras that are not ours, and ours: every sample that was sent is stored, durations are those of
// the clock, and players that are not ours show exactly the pictures that are asked for.
func TestE2EPeers(t *testing.T) {
	needE2E(t)
	judge.Need(t, "ffmpeg", "ffprobe", "gstreamer", "chromium", "cvlc", "/usr/bin/python3")
	lasts := either(20*time.Second, 10*time.Minute)
	dir, err := os.MkdirTemp("", "nj")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	data := e2eData(t)
	long := lasts + either(40*time.Second, 2*time.Minute)
	mkv, mp4 := film(t, dir, "film.mkv", "pcm_alaw", long), film(t, dir, "film.mp4", "aac", long)
	sim := launchCamsim(t, "--cameras", "2", "--sub-size", "none", "--size", "640x360", "--bitrate", "1M", "--audio")
	peers := []struct {
		name, url, transport string
		rate, path           any
	}{
		{"camsim-tcp", sim.url("/cam0"), "tcp", 30, "/cam0"},
		{"camsim-udp", sim.url("/cam1"), "udp", 30, "/cam1"},
		{"gstreamer-tcp", gstreamerServer(t, mkv), "tcp", filmRate, nil},
		{"gstreamer-udp", gstreamerServer(t, mkv), "udp", filmRate, nil},
		{"vlc", vlcServer(t, dir, mp4), "auto", filmRate, nil},
	}
	for _, p := range peers {
		command(t, "camera", "add", p.name, "--main", p.url, "--transport", p.transport, "--audio", "on", "--data", data)
	}
	server := launchNightjar(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	for _, p := range peers {
		within(t, time.Minute, p.name+" is recorded", func() bool { return samples(t, server.base, p.name+"/main") > 0 })
	}
	elapsed := time.Now()
	before := map[string]int{}
	for _, p := range peers {
		before[p.name] = samples(t, server.base, p.name+"/main")
	}
	<-time.After(lasts)
	for _, p := range peers {
		seconds := time.Since(elapsed).Seconds()
		if grown := samples(t, server.base, p.name+"/main") - before[p.name]; float64(grown) < seconds*float64(p.rate.(int))*0.95-30 {
			t.Errorf("%s: %d samples in %.1f s", p.name, grown, seconds)
		}
	}
	browser := judge.Chromium(t)
	sent := map[string]camsim.PathCounts{"/cam0": sim.counts("/cam0"), "/cam1": sim.counts("/cam1")}
	for _, p := range peers {
		if path, ours := p.path.(string); ours { // what is under way arrives
			within(t, patience, "all that was sent is stored", func() bool {
				return int64(samples(t, server.base, p.name+"/main")) >= sent[path].SamplesSent
			})
		}
		stopRecording(t, server.base, p.name)
	}
	for _, p := range peers {
		x := &examined{t: t, base: server.base, stream: p.name + "/main", dir: dir, rate: p.rate.(int), browser: browser}
		x.examine()
		if path, ours := p.path.(string); ours {
			x.compare(sent[path])
		}
		figures(t, "%s over %s: %s", p.name, p.transport, x.result)
	}
}

// examined is a stream whose recordings are looked at.
type examined struct {
	t                 *testing.T
	base, stream, dir string
	rate              int
	browser           *judge.Browser
	all               []taken
	result            string
}

// view is the URL of a span of the stream.
func (x *examined) view(start, end int64) string {
	camera, name, _ := cutLast(x.stream)
	return fmt.Sprintf("%s/api/v1/cameras/%s/%s/view.mp4?start=%dt&end=%dt", x.base, url.PathEscape(camera), name, start, end)
}

func cutLast(stream string) (camera, name string, ok bool) {
	dir, file := filepath.Split(stream)
	return filepath.Clean(dir), file, dir != ""
}

// examine exports everything and lets the judges count.
func (x *examined) examine() {
	t := x.t
	x.all = recordings(t, x.base, x.stream)
	first, last := x.all[0], x.all[len(x.all)-1]
	n, gone := 0, int64(0)
	for i, r := range x.all {
		n += r.VideoSamples
		if i > 0 && (r.Run != first.Run || r.StartTime90k != x.all[i-1].EndTime90k) {
			t.Errorf("%s: a gap or another run before %+v", x.stream, r)
		}
		gone += r.MediaDuration90k
	}
	// The last picture's duration is a guess; the wall clock may have been followed by half a sample.
	tick := int64(90_000 / x.rate)
	if off := gone - int64(n)*tick; off < -tick || off > tick {
		t.Errorf("%s: %d samples last %d ticks, %d off", x.stream, n, gone, off)
	}
	if off := last.EndTime90k - first.StartTime90k - gone; off < -tick || off > tick {
		t.Errorf("%s: the wall clock went %d ticks further than the pictures", x.stream, off)
	}
	file := filepath.Join(x.dir, filepath.Base(filepath.Dir(x.stream))+".mp4")
	x.download(x.view(first.StartTime90k, last.EndTime90k), file)
	judge.FFmpegClean(t, file)
	probe := judge.FFprobe(t, file)
	video, _ := probe.Video()
	audio, sound := probe.Audio()
	if video.Frames != n || !sound || audio.Frames == 0 {
		t.Errorf("%s: ffprobe counts %d pictures, %d are stored; sound %v", x.stream, video.Frames, n, audio)
	}
	strips := judge.Strips(t, file)
	if err := judge.Follow(strips); err != nil || len(strips) != n {
		t.Errorf("%s: %d strips, %d stored: %v", x.stream, len(strips), n, err)
		return
	}
	x.span(first, strips)
	x.result = fmt.Sprintf("%d samples stored, numbers %d to %d without a hole, %.2f s", n, strips[0].Number, strips[n-1].Number, float64(gone)/90_000)
}

// span asks for pictures in the middle of a group and lets every judge show them.
func (x *examined) span(first taken, strips []judge.Strip) {
	t := x.t
	tick := int64(90_000 / x.rate)
	from, count := 3*x.rate+x.rate/2, 2*x.rate
	if count+from > first.VideoSamples {
		from, count = 1, first.VideoSamples/2
	}
	start := first.StartTime90k + int64(from)*tick
	address := x.view(start, start+int64(count)*tick)
	file := filepath.Join(x.dir, "span.mp4")
	x.download(address, file)
	wanted := strips[from].Number
	for name, got := range map[string][]judge.Strip{"ffmpeg": judge.Strips(t, file), "GStreamer": judge.GStreamer(t, file, first.Width, first.Height)} {
		if err := judge.Follow(got); err != nil {
			t.Errorf("%s: %s: %v", x.stream, name, err)
		}
		// A camera's own times may lie up to a tick or two beside the grid: then one picture more is cut in two.
		if len(got) < count || len(got) > count+1 || got[0].Number != wanted && got[0].Number+1 != wanted {
			t.Errorf("%s: %s shows %d pictures from %d on, asked for %d from %d", x.stream, name, len(got), got[0].Number, count, wanted)
		}
	}
	if p := judge.FFprobe(t, file); len(p.Streams) == 0 || p.Streams[0].Frames < count || p.Streams[0].Frames > count+1 {
		t.Errorf("%s: ffprobe: %+v, asked for %d", x.stream, p.Streams, count)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	at := []time.Duration{time.Second / time.Duration(2*x.rate), time.Duration(count/2)*time.Second/time.Duration(x.rate) + time.Second/time.Duration(2*x.rate),
		time.Duration(count-1)*time.Second/time.Duration(x.rate) + time.Second/time.Duration(2*x.rate)}
	played, err := x.browser.Seek(ctx, address, at)
	if err != nil {
		t.Errorf("%s: Chromium: %v", x.stream, err)
		return
	}
	for i, s := range played.Strips() {
		want := wanted + []uint32{0, uint32(count / 2), uint32(count - 1)}[i]
		if !s.OK || s.Number != want && s.Number+1 != want {
			t.Errorf("%s: Chromium shows %+v at %v, want %d", x.stream, s, at[i], want)
		}
	}
}

// compare holds what is stored against what camsim had sent when the recording was about to be ended.
func (x *examined) compare(c camsim.PathCounts) {
	n := 0
	for _, r := range x.all {
		n += r.VideoSamples
	}
	if len(c.Sessions) != 1 || int64(n) < c.SamplesSent {
		x.t.Errorf("%s: %d samples stored, %d sent in %d sessions", x.stream, n, c.SamplesSent, len(c.Sessions))
	}
	x.result += fmt.Sprintf(", %d sent by then", c.SamplesSent)
}

// stopRecording ends the recording of a camera and waits until it is complete.
func stopRecording(t *testing.T, base, camera string) {
	t.Helper()
	r, err := http.NewRequest("PATCH", base+"/api/v1/cameras/"+camera+"/main", strings.NewReader(`{"record": false}`))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(r)
	must(t, err)
	a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("end the recording of %s: %s", camera, a.Status)
	}
	within(t, patience, camera+" is complete", func() bool {
		all := recordings(t, base, camera+"/main")
		return !all[len(all)-1].Growing
	})
}

// download fetches a view into a file.
func (x *examined) download(address, file string) {
	t := x.t
	t.Helper()
	a, err := http.Get(address)
	must(t, err)
	defer a.Body.Close()
	out, err := os.Create(file)
	must(t, err)
	defer out.Close()
	if _, err := io.Copy(out, a.Body); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, a.Status, err)
	}
}
