package judge

import (
	"context"
	"fmt"
	"strconv"
)

// Live is an H.264 stream of an RTSP server that is watched as it comes. Whatever a judge says about it on the way is an
// error, and so is an end before the wanted number of pictures.
//
// VLC and browsers are not among its judges: Debian builds VLC without its RTSP client (live555), and browsers have none.
// They get what Record makes, in which the samples are those of the stream.
type Live struct {
	URL           string // rtsp://…
	UDP           bool   // RTP over UDP instead of interleaved
	Width, Height int
}

// receiveBuffer is what UDP sockets of a judge are given, so that a busy machine loses nothing.
const receiveBuffer = "4194304"

func (l Live) transport() string {
	if l.UDP {
		return "udp"
	}
	return "tcp"
}

// input are the arguments that have ffmpeg take the stream and stop at the first fault.
func (l Live) input() []string {
	return []string{"-nostdin", "-v", "warning", "-err_detect", "explode", "-xerror", "-rtsp_transport", l.transport(),
		"-buffer_size", receiveBuffer, "-i", l.URL, "-map", "0:v:0"}
}

// FFmpeg decodes the next pictures with ffmpeg and returns their strips.
func (l Live) FFmpeg(ctx context.Context, pictures int) ([]Strip, error) {
	args := append(l.input(), "-vf", stripFilter, "-fps_mode", "passthrough", "-frames:v", strconv.Itoa(pictures),
		"-c:v", "pgm", "-f", "image2pipe", "-")
	var out []Strip
	said, err := pipe(ctx, readPGMs(&out), "ffmpeg", args...)
	return out, l.verdict("ffmpeg", out, pictures, said, err)
}

// GStreamer decodes the next pictures with GStreamer's rtspsrc and returns their strips.
func (l Live) GStreamer(ctx context.Context, pictures int) ([]Strip, error) {
	columns := l.Width / 16
	if columns == 0 {
		return nil, fmt.Errorf("watch %s: pictures of %dx%d have no whole macroblock", l.URL, l.Width, l.Height)
	}
	rows := (stripBits + columns - 1) / columns
	args := []string{"-q", "rtspsrc", "location=" + l.URL, "protocols=" + l.transport(), "udp-buffer-size=" + receiveBuffer,
		"!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "videocrop",
		"right=" + strconv.Itoa(l.Width-columns*16), "bottom=" + strconv.Itoa(l.Height-rows*16),
		"!", "identity", "eos-after=" + strconv.Itoa(pictures+1), // some versions count the end itself
		"!", "videoconvert", "!", "video/x-raw,format=GRAY8", "!", "fdsink", "fd=1", "sync=false"}
	var out []Strip
	said, err := pipe(ctx, readPlanes(&out, columns*16, rows*16, pictures), "gst-launch-1.0", args...)
	return out, l.verdict("GStreamer", out, pictures, said, err)
}

// Record puts the next samples into an MP4 file as they are, with ffmpeg, rate a second. It is for streams of a steady rate
// without B pictures: RTP carries no decode times, and ffmpeg gives the first packet of an RTSP stream no time at all.
func (l Live) Record(ctx context.Context, path string, samples, rate int) error {
	args := append(l.input(), "-c", "copy", "-bsf:v", "setts=ts=N/TB/"+strconv.Itoa(rate), "-frames:v", strconv.Itoa(samples), "-movflags", "+faststart", "-f", "mp4", path)
	said, err := run(ctx, nil, "ffmpeg", args...)
	return l.verdict("ffmpeg", nil, 0, said, err)
}

func (l Live) verdict(name string, strips []Strip, pictures int, said string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("watch %s over %s with %s: %w", l.URL, l.transport(), name, err)
	case said != "":
		return fmt.Errorf("watch %s over %s: %s complains: %s", l.URL, l.transport(), name, said)
	case len(strips) != pictures:
		return fmt.Errorf("watch %s over %s with %s: %d pictures, want %d", l.URL, l.transport(), name, len(strips), pictures)
	}
	return nil
}
