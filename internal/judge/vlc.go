package judge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// VLCStrips decodes the video of a file with VLC, without keeping time, and reads the strip of every picture.
//
// Elementary streams are not for this: VLC guesses times for them and drops what then seems late. VLCPlay takes them.
func VLCStrips(ctx context.Context, file string) ([]Strip, error) {
	strips, err := vlcDecode(ctx, file)
	if err != nil {
		return strips, fmt.Errorf("decode %s with VLC: %w", file, err)
	}
	return strips, nil
}

// VLC is VLCStrips for tests.
func VLC(t testing.TB, file string) []Strip {
	t.Helper()
	s, err := VLCStrips(testContext(t), file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// VLCPlay plays the video of an input, a file or URL, with VLC and reads the strip of every picture that it puts on its
// (virtual) screen. VLC keeps time: rate is the speed, 1 that of the video, and a busy machine does not present every
// picture. limit bounds the number of pictures (for live inputs); 0: all. args are further options.
func VLCPlay(ctx context.Context, input string, rate float64, limit int, args ...string) ([]Strip, error) {
	strips, err := vlcPlay(ctx, input, rate, limit, args)
	if err != nil {
		return strips, fmt.Errorf("play %s with VLC: %w", input, err)
	}
	return strips, nil
}

// vlcDecode has VLC code the pictures without loss into a file, which ffmpeg reads.
func vlcDecode(ctx context.Context, file string) ([]Strip, error) {
	v, err := newVLC()
	if err != nil {
		return nil, err
	}
	defer v.close()
	out := filepath.Join(v.home, "decoded.nut")
	err = v.start(ctx, file, "--sout=#transcode{vcodec=FFV1}:std{access=file,mux=avformat{mux=nut},dst="+out+"}")
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, v.said.String())
	}
	strips, err := ReadStrips(ctx, out)
	if err == nil && len(strips) == 0 {
		err = errors.New("no picture")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, v.said.String())
	}
	return strips, nil
}

// errEnough ends reading at the limit.
var errEnough = errors.New("enough pictures")

// vlcPlay has VLC write its screen into a pipe (fd 3), from which late pictures are not left out.
func vlcPlay(ctx context.Context, input string, rate float64, limit int, args []string) (strips []Strip, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := newVLC()
	if err != nil {
		return nil, err
	}
	defer v.close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	if v.nobody {
		if err := w.Chown(nobody, nobody); err != nil {
			return nil, err
		}
	}
	v.files = append(v.files, w)
	all := append([]string{"--vout", "yuv", "--yuv-file=/dev/fd/3", "--yuv-chroma=I420", "--no-video-title-show", "--no-osd",
		"--no-spu", "--no-drop-late-frames", "--no-skip-frames", fmt.Sprintf("--rate=%g", rate)}, args...)
	if err := v.start(ctx, input, all...); err != nil {
		return nil, err
	}
	w.Close()
	stop := context.AfterFunc(ctx, func() { r.Close() })
	defer stop()
	readErr := readVideo(bufio.NewReaderSize(r, 1<<20), func(s Strip) error {
		strips = append(strips, s)
		if len(strips) == limit {
			return errEnough
		}
		return nil
	})
	if readErr != nil {
		cancel()
	}
	err = v.cmd.Wait()
	if errors.Is(readErr, errEnough) {
		return strips, nil
	}
	if err := errors.Join(readErr, err); err != nil {
		return strips, fmt.Errorf("%w: %s", err, v.said.String())
	}
	if len(strips) == 0 {
		return nil, fmt.Errorf("no picture: %s", v.said.String())
	}
	return strips, nil
}

// nobody is the user and group that VLC, which refuses to run as root, is run as then. A file is handed over open, so
// that its path need not be readable to that user.
const nobody = 65534

// vlc is one run of VLC.
type vlc struct {
	home   string
	nobody bool
	files  []*os.File // fds 3 and on
	cmd    *exec.Cmd
	said   head
}

// newVLC makes a home for VLC.
func newVLC() (*vlc, error) {
	home, err := os.MkdirTemp("", "judge-vlc-")
	if err != nil {
		return nil, err
	}
	v := &vlc{home: home, nobody: os.Geteuid() == 0}
	if v.nobody {
		if err := os.Chown(home, nobody, nobody); err != nil {
			return nil, errors.Join(err, v.close())
		}
	}
	return v, nil
}

func (v *vlc) close() error { return os.RemoveAll(v.home) }

// start starts VLC on an input.
func (v *vlc) start(ctx context.Context, input string, args ...string) error {
	all := append([]string{"-I", "dummy", "--quiet", "--no-audio", "--avcodec-hw=none", "--no-avcodec-hurry-up",
		"--play-and-exit"}, args...)
	if !strings.Contains(input, "://") {
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		if e := filepath.Ext(input); e == ".h264" || e == ".264" {
			all = append(all, "--demux=h264") // VLC tells these by the name alone
		}
		input = fmt.Sprintf("fd://%d", 3+len(v.files))
		v.files = append(v.files, f)
	}
	v.cmd = command(ctx, "vlc", append(all, input)...)
	v.cmd.Env = append(os.Environ(), "HOME="+v.home, "XDG_RUNTIME_DIR="+v.home)
	v.cmd.Dir = v.home
	v.cmd.ExtraFiles = v.files
	v.cmd.Stderr = &v.said
	if v.nobody {
		v.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return v.cmd.Start()
}

// readVideo reads the strips of a stream of I420 pictures as VLC's yuv output writes it: a line that tells the size,
// then each picture after a line of its own.
func readVideo(r *bufio.Reader, each func(Strip) error) error {
	var width, height int
	line, err := r.ReadString('\n')
	if err == io.EOF && line == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read header of video: %w", err)
	}
	for _, f := range strings.Fields(line) {
		switch f[0] {
		case 'W':
			fmt.Sscanf(f[1:], "%d", &width)
		case 'H':
			fmt.Sscanf(f[1:], "%d", &height)
		}
	}
	if width <= 0 || height <= 0 || width > 1<<14 || height > 1<<14 {
		return fmt.Errorf("read header of video: %q", line)
	}
	chroma := 2 * ((width + 1) / 2) * ((height + 1) / 2)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err == nil && !strings.HasPrefix(line, "FRAME") {
			err = errors.New("no FRAME")
		}
		if err != nil {
			return fmt.Errorf("read header of picture: %q: %w", line, err)
		}
		s, err := readPlane(r, width, height)
		if err != nil {
			return err
		}
		if _, err := r.Discard(chroma); err != nil {
			return fmt.Errorf("read chroma: %w", err)
		}
		if err := each(s); err != nil {
			return err
		}
	}
}
