package probe

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// simulate serves one small simulated camera until the test ends and returns the URL of its main stream.
func simulate(t *testing.T, o camsim.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	o.Width, o.Height, o.FPS, o.GOP, o.BitRate = 320, 240, 20, 10, 200_000
	go func() { done <- camsim.New(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "rtsp://" + l.Addr().String() + "/cam0"
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := Run(t.Context(), Options{URL: simulate(t, camsim.Options{Audio: true}), Transport: "tcp", Duration: 1500 * time.Millisecond})
	if r.Reason != "" || len(r.Tracks) != 2 || r.Transport != "tcp" || r.Lost != 0 {
		t.Fatalf("%+v", r)
	}
	video, audio := r.Tracks[0], r.Tracks[1]
	if video.Codec != "h264" || video.Width != 320 || video.Height != 240 || video.GOP != 10 || video.FramesPerSecond < 19 || video.FramesPerSecond > 21 {
		t.Errorf("video %+v", video)
	}
	if audio.Codec != "pcma" || audio.ClockRate != 8000 || audio.BitRate < 60_000 || audio.BitRate > 68_000 {
		t.Errorf("audio %+v", audio)
	}
	for _, want := range []string{"h264 320×240", "a key picture every 10", "pcma 8000 Hz", "This can be recorded."} {
		if !strings.Contains(r.Text(), want) {
			t.Errorf("%q is missing in:\n%s", want, r.Text())
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	locked := simulate(t, camsim.Options{User: "viewer", Password: "right"})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, c := range []struct {
		o    Options
		want recording.Reason
	}{
		{Options{URL: locked, Username: "viewer", Password: secret.New("wrong-and-secret")}, recording.AuthFailed},
		{Options{URL: strings.Replace(locked, "/cam0", "/cam9", 1), Username: "viewer", Password: secret.New("right")}, recording.NotFound},
		{Options{URL: "rtsp://" + gone.Addr().String() + "/"}, recording.Refused},
		{Options{URL: locked, Transport: "pigeon"}, recording.ProtocolError},
	} {
		r := Run(t.Context(), c.o)
		if r.Reason != c.want || r.Detail == "" || !strings.Contains(r.Text(), string(c.want)) {
			t.Errorf("%s: %q %q, want %s", c.o.URL, r.Reason, r.Detail, c.want)
		}
		if strings.Contains(r.Text(), "wrong-and-secret") {
			t.Errorf("the password is shown: %s", r.Text())
		}
	}
}
