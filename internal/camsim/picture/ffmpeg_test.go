package picture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/judge"
)

// writeFile writes pictures as a byte stream; each is called after each of them.
func writeFile(t *testing.T, e *Encoder, count int, when func(int) time.Time, each func(Picture)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.h264")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range count {
		p := e.Next(uint32(i), when(i), false)
		for _, n := range p.NALs {
			w.Write([]byte{0, 0, 0, 1})
			w.Write(n)
		}
		each(p)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFFmpegIsSilent(t *testing.T) {
	judge.Need(t, "ffmpeg")
	for size, kinds := range map[string]string{
		"1920x1080": "pd", "1280x720": "p", "640x360": "pdi", "704x480": "d", "320x240": "p", "176x144": "di", "2560x1440": "p",
		"1918x1078": "pi", "16x1408": "i", "178x146": "d",
	} {
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("%s %c", size, kind), func(t *testing.T) {
				o := Options{BitRate: 2_000_000, GOP: 12}
				switch kind {
				case 'd':
					o.Droppable, o.FPS = true, 15
				case 'i':
					o.PCM, o.FPS, o.FPSDen, o.Name = true, 30_000, 1001, "pcm"
				}
				fmt.Sscanf(size, "%dx%d", &o.Width, &o.Height)
				e, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				judge.FFmpegClean(t, writeFile(t, e, 14, at, func(Picture) {}))
			})
		}
	}
}

// planes renders the scene as I420, cropped.
func (e *Encoder) planes(o Options) []byte {
	var y, cb, cr []byte
	for py := range o.Height {
		for px := range o.Width {
			m := e.current[py/16*e.columns+px/16]
			v := m.dark()
			if m.mask()>>(py%16/4*4+px%16/4)&1 != 0 {
				v = m.light()
			}
			y = append(y, v)
			if px%2 == 0 && py%2 == 0 {
				cb, cr = append(cb, m.cb()), append(cr, m.cr())
			}
		}
	}
	return append(append(y, cb...), cr...)
}

// TestPixels compares every pixel that ffmpeg decodes with the scene.
func TestPixels(t *testing.T) {
	judge.Need(t, "ffmpeg")
	for _, o := range []Options{
		{Width: 320, Height: 240, GOP: 20, Droppable: true, Name: "Yard", BitRate: 300_000},
		{Width: 318, Height: 242, GOP: 20, PCM: true, Name: "Yard"},
		{Width: 1918, Height: 1078, GOP: 4, Name: "Front door"},
	} {
		t.Run(fmt.Sprintf("%dx%d", o.Width, o.Height), func(t *testing.T) {
			e, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			var want [][]byte
			path := writeFile(t, e, min(60, 12_000_000/o.Width/o.Height), at, func(Picture) { want = append(want, e.planes(o)) })
			out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-pix_fmt", "yuv420p",
				"-f", "rawvideo", "-").Output()
			if err != nil {
				t.Fatal(err)
			}
			if n := len(want) * len(want[0]); len(out) != n {
				t.Fatalf("%d bytes of pictures, want %d", len(out), n)
			}
			for i, w := range want {
				if got := out[i*len(w) : (i+1)*len(w)]; !bytes.Equal(got, w) {
					t.Fatalf("picture %d differs", i)
				}
			}
		})
	}
}

// TestClock reads the clock off the pictures that ffmpeg decodes, by the shapes of the letters.
func TestClock(t *testing.T) {
	judge.Need(t, "ffmpeg")
	count := 65 // more than a GOP
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		count = 10_000
	}
	for _, o := range []Options{
		{Width: 1920, Height: 1080, FPS: 30, BitRate: 3_000_000, Name: "Front door"},
		{Width: 640, Height: 360, FPS: 10, BitRate: 200_000, Name: "Yard"},
		{Width: 176, Height: 144, FPS: 15, BitRate: 100_000},
	} {
		t.Run(fmt.Sprintf("%dx%d", o.Width, o.Height), func(t *testing.T) {
			e, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			when := func(i int) time.Time { return begin.Add(time.Duration(i) * time.Second / time.Duration(o.FPS)) }
			path := writeFile(t, e, count, when, func(Picture) {})
			clocks, err := e.readClocks(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(clocks) != count {
				t.Fatalf("%d pictures, want %d", len(clocks), count)
			}
			for i, c := range clocks {
				if want := when(i).Format("15:04:05.000"); c != want {
					t.Fatalf("picture %d: the clock says %q, want %q", i, c, want)
				}
			}
		})
	}
}

// readClocks decodes a file, a sample for each dot of the panel, and reads the line of the clock.
func (e *Encoder) readClocks(path string) (clocks []string, err error) {
	dot := cell * e.scale
	width, height := e.panelWidth*16/dot, e.panelRow*16/dot
	filter := fmt.Sprintf("crop=%d:%d:0:%d,extractplanes=y,scale=%d:%d:flags=area", width*dot, height*dot, e.panelTop*16, width, height)
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", path, "-vf", filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	dots := make([]byte, width*height)
	for {
		if _, err := io.ReadFull(r, dots); err == io.EOF {
			return clocks, cmd.Wait()
		} else if err != nil {
			return clocks, err
		}
		var text strings.Builder
		for place := range clockLength {
			at := e.clockTop/e.scale*width + e.textLeft/e.scale + e.font.left(place)
			text.WriteByte(e.font.recognise(dots[at:], width, e.font.wide(place)))
		}
		clocks = append(clocks, text.String())
	}
}

// recognise tells which letter stands there, '?' if none does.
func (f *font) recognise(dots []byte, stride, wide int) byte {
	for c, rows := range f.glyphs {
		same := c != 0
		for y, row := range rows {
			for x := range wide {
				same = same && (row>>(f.dots-1-x)&1 != 0) == (dots[y*stride+x] > 128)
			}
		}
		if same && (c != ' ') {
			return c
		}
	}
	return '?'
}
