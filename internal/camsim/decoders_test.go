package camsim

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestDecoders lets programs that know nothing of us play the streams: they must not complain. One short run by default,
// all with NIGHTJAR_LONG=1.
func TestDecoders(t *testing.T) {
	t.Parallel() // mostly waits
	long := os.Getenv("NIGHTJAR_LONG") == "1"
	ffmpeg := func(transport, seconds string) []string {
		return []string{"ffmpeg", "-nostdin", "-v", "error", "-err_detect", "explode", "-xerror", "-rtsp_transport", transport, "-i", "URL",
			"-t", seconds, "-f", "null", "-"}
	}
	gst := []string{"gst-launch-1.0", "-q", "rtspsrc", "location=URL", "protocols=tcp", "latency=0", "!", "rtph264depay", "!", "h264parse", "!",
		"avdec_h264", "!", "identity", "eos-after=60", "!", "fakesink"}
	for _, test := range []struct {
		name    string
		short   bool
		file    string
		command []string
	}{
		{"made, tcp", true, "", ffmpeg("tcp", "1")},
		{"made, udp", false, "", ffmpeg("udp", "3")},
		{"gstreamer", false, "", gst},
		{"h264", false, "es/kvs.h264", ffmpeg("tcp", "4")},
		{"h264, udp", false, "es/kvs.h264", ffmpeg("udp", "4")},
		{"h264, B pictures", false, "es/smolrtsp_openipc.h264", ffmpeg("tcp", "4")},
		{"h265", false, "es/kvs.h265", ffmpeg("tcp", "4")},
		{"h265, B pictures", false, "es/membrane/input-60-640x480-variable-parameters.h265", ffmpeg("tcp", "4")},
		{"h264 and aac", false, "es/kvs.h264 media/androidx/bbb_1ch_8kHz_aac_lc.aac", ffmpeg("tcp", "4")},
		{"h264 and alaw", false, "es/kvs.h264 audio/kvs.alaw", ffmpeg("tcp", "4")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !test.short && !long {
				t.Skip("needs NIGHTJAR_LONG=1")
			}
			if _, err := exec.LookPath(test.command[0]); err != nil {
				t.Skipf("%s is not installed", test.command[0])
			}
			o := Options{Width: 640, Height: 360, FPS: 25, GOP: 25, BitRate: 1_000_000, Audio: test.file == ""}
			for _, f := range strings.Fields(test.file) {
				o.Files = append(o.Files, testdata(t, f))
			}
			srv, addr := overTCP(t, o)
			args := append([]string(nil), test.command[1:]...)
			for i, a := range args {
				args[i] = strings.Replace(a, "URL", "rtsp://"+addr+"/cam0", 1)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, test.command[0], args...).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v\n%s", test.command[0], strings.Join(args, " "), err, out)
			}
			if n := srv.Counts().Paths["/cam0"]; n.SamplesSent == 0 {
				t.Error("nothing was sent")
			}
		})
	}
}
