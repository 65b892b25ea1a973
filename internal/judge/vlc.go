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

// VLCStrips plays the video of an input with VLC and reads the strip of every picture that it puts out. VLC keeps time:
// rate is the speed, 1 that of the video. limit bounds the number of pictures (for live inputs); 0: all. args are
// further options.
//
// VLC refuses to run as root and is run as nobody then; a file is handed over open, so that its path need not be
// readable to that user.
func VLCStrips(ctx context.Context, input string, rate float64, limit int, args ...string) ([]Strip, error) {
	out, err := vlcStrips(ctx, input, rate, limit, args)
	if err != nil {
		return out, fmt.Errorf("play %s with VLC: %w", input, err)
	}
	return out, nil
}

// VLC is VLCStrips for tests, over all of an input.
func VLC(t testing.TB, input string) []Strip {
	t.Helper()
	s, err := VLCStrips(testContext(t), input, 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// errEnough ends reading at the limit.
var errEnough = errors.New("enough pictures")

func vlcStrips(ctx context.Context, input string, rate float64, limit int, args []string) (strips []Strip, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	home, err := os.MkdirTemp("", "judge-vlc-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	// No late picture is dropped, neither before nor after decoding; all come out as planes into the pipe (fd 3).
	all := []string{"-I", "dummy", "--quiet", "--no-audio", "--no-video-title-show", "--no-osd", "--no-spu", "--vout", "yuv",
		"--yuv-file=/dev/fd/3", "--yuv-chroma=I420", "--no-drop-late-frames", "--no-skip-frames", "--no-avcodec-hurry-up",
		"--avcodec-hw=none", "--play-and-exit", fmt.Sprintf("--rate=%g", rate)}
	all = append(all, args...)
	files := []*os.File{w}
	if !strings.Contains(input, "://") {
		f, err := os.Open(input)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files = append(files, f)
		if e := filepath.Ext(input); e == ".h264" || e == ".264" {
			all = append(all, "--demux=h264") // which VLC tells by the name
		}
		input = "fd://4"
	}
	cmd := command(ctx, "vlc", append(all, input)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home)
	cmd.ExtraFiles = files
	var said head
	cmd.Stderr = &said
	if err := becomeNobody(cmd, home, w); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
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
	enough := errors.Is(readErr, errEnough)
	if readErr != nil {
		cancel()
	}
	err = cmd.Wait()
	if enough {
		return strips, nil
	}
	if err := errors.Join(readErr, err); err != nil {
		return strips, fmt.Errorf("%w: %s", err, said.String())
	}
	if len(strips) == 0 {
		return nil, fmt.Errorf("no picture: %s", said.String())
	}
	return strips, nil
}

// becomeNobody has a command run as nobody if we are root, and gives that user its home and the pipe it opens by path.
func becomeNobody(cmd *exec.Cmd, home string, pipe *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	const nobody = 65534
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd.Dir = home
	return errors.Join(os.Chown(home, nobody, nobody), pipe.Chown(nobody, nobody))
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
		if err != nil || !strings.HasPrefix(line, "FRAME") {
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
