package rtsp

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/media"
)

// TestLive receives from the camera at NIGHTJAR_RTSP_URL for NIGHTJAR_RTSP_FOR (default 10 s) and tells what came.
func TestLive(t *testing.T) {
	url := os.Getenv("NIGHTJAR_RTSP_URL")
	if url == "" {
		t.Skip("NIGHTJAR_RTSP_URL names no camera")
	}
	span, err := time.ParseDuration(os.Getenv("NIGHTJAR_RTSP_FOR"))
	if err != nil {
		span = 10 * time.Second
	}
	transport := map[string]Transport{"tcp": TCP, "udp": UDP}[os.Getenv("NIGHTJAR_RTSP_TRANSPORT")]
	o := Options{URL: url, Audio: true, Metadata: true, Transport: transport}
	if wait, err := time.ParseDuration(os.Getenv("NIGHTJAR_RTSP_BATCH")); err == nil {
		o.Batch = func() time.Duration { return wait }
	}
	c := New(o)
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	var counts [4]int
	var keys int
	var last [4]media.Time
	err = c.Run(ctx, func(s media.Sample) error {
		counts[s.Track.Kind]++
		if s.Track.Kind == media.Video && s.Key() {
			keys++
		}
		if n := counts[s.Track.Kind]; n == 1 {
			t.Logf("first %v sample at %d: %s %s %dx%d", s.Track.Kind, s.Time, s.Track.Codec, s.Track.RFC6381, s.Track.Width, s.Track.Height)
		}
		last[s.Track.Kind] = s.Time
		return nil
	})
	t.Logf("ended: %v", err)
	t.Logf("video %d (%d key) to %v, audio %d to %v, metadata %d; %+v", counts[1], keys, media.Duration(last[1]).Std(), counts[2],
		media.Duration(last[2]).Std(), counts[3], c.Stats())
	t.Logf("%+v", c.Clocks())
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		t.Logf("CPU %v, of that in the kernel %v; %d voluntary context switches", cpu, time.Duration(used.Stime.Nano()), used.Nvcsw)
	}
	if counts[media.Video] == 0 {
		t.Error("no video")
	}
}
