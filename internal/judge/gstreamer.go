package judge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// GStreamerStrips decodes the video of an input with GStreamer's uridecodebin and reads the strip of every picture, in
// output order. GStreamer itself does not tell the size in raw output, so that the caller must. limit bounds the number
// of pictures (for live inputs); 0: all.
func GStreamerStrips(ctx context.Context, input string, width, height, limit int) ([]Strip, error) {
	columns := width / 16
	if columns == 0 {
		return nil, fmt.Errorf("read strips of %s: pictures of %dx%d have no whole macroblock", input, width, height)
	}
	rows := (stripBits + columns - 1) / columns
	args := []string{"-q", "uridecodebin", "uri=" + inputURI(input), "!", "videocrop",
		"right=" + strconv.Itoa(width-columns*16), "bottom=" + strconv.Itoa(height-rows*16)}
	if limit > 0 {
		args = append(args, "!", "identity", "eos-after="+strconv.Itoa(limit))
	}
	args = append(args, "!", "videoconvert", "!", "video/x-raw,format=GRAY8", "!", "fdsink", "fd=1", "sync=false")
	var out []Strip
	if _, err := pipe(ctx, readPlanes(&out, columns*16, rows*16, limit), "gst-launch-1.0", args...); err != nil {
		return out, fmt.Errorf("read strips of %s: %w", input, err)
	}
	return out, nil
}

// readPlanes appends the strips of luma planes to out, not more than limit; 0: all.
func readPlanes(out *[]Strip, width, height, limit int) func(*bufio.Reader) error {
	return func(r *bufio.Reader) error {
		for {
			s, err := readPlane(r, width, height)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if limit == 0 || len(*out) < limit { // identity may let one more through
				*out = append(*out, s)
			}
		}
	}
}

// GStreamer is GStreamerStrips for tests, over all of an input.
func GStreamer(t testing.TB, input string, width, height int) []Strip {
	t.Helper()
	s, err := GStreamerStrips(testContext(t), input, width, height, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inputURI makes a file's path a URI and leaves URIs alone.
func inputURI(input string) string {
	if strings.Contains(input, "://") {
		return input
	}
	if abs, err := filepath.Abs(input); err == nil {
		input = abs
	}
	return (&url.URL{Scheme: "file", Path: input}).String()
}
