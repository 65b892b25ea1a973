package judge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// Strip is what one picture says about itself.
type Strip struct {
	Number uint32
	UTC    time.Time
	OK     bool // every bit was clearly black or white, and the check sum fits
}

const (
	stripBits = 88
	blackMost = 80  // luma (0 to 255, black 0 or 16) up to which a bit is 0
	whiteMin  = 176 // luma from which a bit is 1
)

// ReadStrip reads a strip from the mean luma of its macroblocks.
func ReadStrip(luma []byte) Strip {
	if len(luma) < stripBits {
		return Strip{}
	}
	var b [stripBits / 8]byte
	ok := true
	for i, v := range luma[:stripBits] {
		ok = ok && (v <= blackMost || v >= whiteMin)
		if v >= 128 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	var n, ms uint64
	for _, v := range b[:4] {
		n = n<<8 | uint64(v)
	}
	for _, v := range b[4:10] {
		ms = ms<<8 | uint64(v)
	}
	return Strip{Number: uint32(n), UTC: time.UnixMilli(int64(ms)).UTC(), OK: ok && checksum(b[:10]) == b[10]}
}

// checksum is the CRC-8 as a division of polynomials over GF(2): the message, eight zero bits appended, modulo
// x^8+x^2+x+1.
func checksum(p []byte) byte {
	const divisor = 0x107
	rest := uint32(0)
	for i := range len(p)*8 + 8 {
		rest <<= 1
		if i < len(p)*8 {
			rest |= uint32(p[i/8]>>(7-i%8)) & 1
		}
		if rest&0x100 != 0 {
			rest ^= divisor
		}
	}
	return byte(rest)
}

// stripFilter keeps the strip alone, a sample for each macroblock. The factors are the widths, in whole macroblocks.
const stripFilter = "crop=floor(iw/16)*16:ceil(88/floor(iw/16))*16:0:0,extractplanes=y,scale=iw/16:ih/16:flags=area"

// ReadStrips decodes the first video stream of an input with ffmpeg and reads the strip of every picture, in output
// order. args are options of the input. What ffmpeg says on the way is no error; use Clean for that.
func ReadStrips(ctx context.Context, input string, args ...string) ([]Strip, error) {
	all := append([]string{"-nostdin", "-v", "error"}, args...)
	all = append(all, "-i", input, "-map", "0:v:0", "-vf", stripFilter, "-fps_mode", "passthrough", "-c:v", "pgm", "-f", "image2pipe", "-")
	var out []Strip
	if _, err := pipe(ctx, readPGMs(&out), "ffmpeg", all...); err != nil {
		return out, fmt.Errorf("read strips of %s: %w", input, err)
	}
	return out, nil
}

// readPGMs appends the strips of all PGM pictures to out.
func readPGMs(out *[]Strip) func(*bufio.Reader) error {
	return func(r *bufio.Reader) error {
		for {
			luma, err := readPGM(r)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			*out = append(*out, ReadStrip(luma))
		}
	}
}

// Strips is ReadStrips for tests.
func Strips(t testing.TB, input string, args ...string) []Strip {
	t.Helper()
	s, err := ReadStrips(testContext(t), input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pipe runs a program and hands its output to read, which takes it all or returns an error. It returns what the program
// said on stderr.
func pipe(ctx context.Context, read func(*bufio.Reader) error, program string, args ...string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := command(ctx, program, args...)
	var complaints head
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	readErr := read(bufio.NewReaderSize(stdout, 1<<20))
	if readErr != nil {
		cancel()
	}
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return complaints.String(), fmt.Errorf("run %s: %w: %s", program, err, complaints.String())
	}
	return complaints.String(), nil
}

// readPGM reads one small binary PGM picture with 8 bits a sample; io.EOF stands for the end before it.
func readPGM(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, io.EOF
	}
	var w, h, top int
	if _, err := fmt.Fscanf(r, "P5\n%d %d\n%d\n", &w, &h, &top); err != nil {
		return nil, fmt.Errorf("read header of PGM picture: %w", err)
	}
	if w <= 0 || h <= 0 || w > 1<<12 || h > 1<<12 || top != 255 {
		return nil, fmt.Errorf("read PGM picture: %dx%d samples up to %d", w, h, top)
	}
	b := make([]byte, w*h)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read PGM picture: %w", err)
	}
	return b, nil
}

// readPlane reads one luma plane and its strip; io.EOF stands for the end before it.
func readPlane(r *bufio.Reader, width, height int) (Strip, error) {
	columns := width / 16
	if columns == 0 || (stripBits+columns-1)/columns*16 > height {
		return Strip{}, fmt.Errorf("read picture of %dx%d: no room for the strip", width, height)
	}
	lines := (stripBits + columns - 1) / columns * 16
	top := make([]byte, width*lines)
	if _, err := io.ReadFull(r, top); err == io.EOF {
		return Strip{}, err
	} else if err != nil {
		return Strip{}, fmt.Errorf("read picture: %w", err)
	}
	if _, err := r.Discard(width * (height - lines)); err != nil {
		return Strip{}, fmt.Errorf("read picture: %w", err)
	}
	return ReadStrip(means(top, width, columns)), nil
}

// means averages the macroblocks of the strip.
func means(plane []byte, stride, columns int) []byte {
	luma := make([]byte, stripBits)
	for k := range luma {
		at := k/columns*16*stride + k%columns*16
		sum := 0
		for y := range 16 {
			for _, v := range plane[at+y*stride : at+y*stride+16] {
				sum += int(v)
			}
		}
		luma[k] = byte((sum + 128) / 256)
	}
	return luma
}

// Follow checks that strips are all readable and number 0, 1, 2… from the first on, and returns what is wrong.
func Follow(strips []Strip) error {
	for i, s := range strips {
		if !s.OK {
			return fmt.Errorf("picture %d of %d: strip not readable", i, len(strips))
		}
		if want := strips[0].Number + uint32(i); s.Number != want {
			return fmt.Errorf("picture %d of %d: number %d, want %d", i, len(strips), s.Number, want)
		}
	}
	return nil
}
