package picture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

var begin = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// at gives picture i a time of its own; all digits of the clock change on the way.
func at(i int) time.Time { return begin.Add(time.Duration(i) * 1_237_033 * time.Microsecond * 37) }

// slice returns the one slice of a picture.
func slice(t testing.TB, p Picture) []byte {
	t.Helper()
	for _, n := range p.NALs {
		if k := n[0] & 31; k == 1 || k == 5 {
			return n
		}
	}
	t.Fatal("picture without slice")
	return nil
}

func size(p Picture) int {
	n := 0
	for _, nal := range p.NALs {
		n += len(nal) + delimiter
	}
	return n
}

func TestStrip(t *testing.T) {
	if c := crc8([]byte("123456789")); c != 0xF4 {
		t.Errorf("check value %#x, want 0xf4", c)
	}
	for _, c := range []struct {
		number uint32
		utc    time.Time
		want   string
	}{
		{0, time.UnixMilli(0), "0000000000000000000000"},
		{0x01020304, begin, "01020304019cb73d3271c9"},
		{0xFFFFFFFF, time.UnixMilli(1<<48 - 1), "fffffffffffffffffffff5"},
	} {
		s := Strip(c.number, c.utc)
		if got := hex.EncodeToString(s[:]); got != c.want {
			t.Errorf("strip of %d, %v: %s, want %s", c.number, c.utc, got, c.want)
		}
	}
}

func TestClockText(t *testing.T) {
	for _, c := range []struct {
		utc  time.Time
		want string
	}{
		{begin, "05:06:07.089"},
		{time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC), "23:59:59.999"},
		{time.Date(2026, 7, 1, 1, 0, 0, 5e6, time.FixedZone("", 3600)), "00:00:00.005"},
		{time.UnixMilli(-1), "23:59:59.999"},
	} {
		if got := clockText(c.utc); string(got[:]) != c.want {
			t.Errorf("%v: %s, want %s", c.utc, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, o := range []Options{
		{}, {Width: 641, Height: 360}, {Width: 640, Height: 361}, {Width: 160, Height: 120}, {Width: 176, Height: 126},
		{Width: -640, Height: -360}, {Width: 20000, Height: 1000}, {Width: 640, Height: 360, FPS: -1},
		{Width: 640, Height: 360, GOP: -1}, {Width: 640, Height: 360, BitRate: -1}, {Width: 640, Height: 360, FPSDen: 100_001},
		{Width: 16384, Height: 16384}, {Width: 640, Height: 360, BitRate: 900_000_000}, {Width: 3840, Height: 2160, FPS: 1000},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// TestUnits checks order and kind of NAL units and where key pictures and droppable ones stand.
func TestUnits(t *testing.T) {
	e, err := New(Options{Width: 640, Height: 360, FPS: 10, GOP: 7, BitRate: 200_000, Droppable: true, Name: "Yard"})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i := range 18 {
		p := e.Next(uint32(i), at(i), i == 9)
		for _, n := range p.NALs {
			fmt.Fprintf(&got, "%d/%d ", n[0]&31, n[0]>>5)
			if n[0]&31 == 12 && (n[len(n)-1] != 0x80 || len(bytes.Trim(n[1:len(n)-1], "\xFF")) != 0) {
				t.Errorf("picture %d: filler of %d bytes is not filler", i, len(n))
			}
		}
		if p.Key != (i == 0 || i == 7 || i == 9 || i == 16) {
			t.Errorf("picture %d: key %v", i, p.Key)
		}
		if p.Droppable != (slice(t, p)[0]>>5 == 0) {
			t.Errorf("picture %d: droppable %v", i, p.Droppable)
		}
		if p.Key && (!bytes.Equal(p.NALs[0], e.SPS()) || !bytes.Equal(p.NALs[1], e.PPS())) {
			t.Errorf("picture %d: without its parameter sets", i)
		}
		got.WriteString("\n")
	}
	const key, kept, dropped = "7/3 8/3 5/3 12/0 \n", "1/2 12/0 \n", "1/0 12/0 \n"
	want := key + strings.Repeat(dropped+kept, 3) + key + dropped + key + strings.Repeat(dropped+kept, 3) + key + dropped
	if got.String() != want {
		t.Errorf("units:\n%swant:\n%s", got.String(), want)
	}
}

func TestBitRate(t *testing.T) {
	for _, o := range []Options{
		{Width: 1920, Height: 1080, FPS: 30, GOP: 60, BitRate: 3_000_000, Name: "Front door"},
		{Width: 640, Height: 360, FPS: 10, GOP: 20, BitRate: 200_000, Name: "Yard"},
		{Width: 2560, Height: 1440, FPS: 30_000, FPSDen: 1001, GOP: 50, BitRate: 8_000_000},
		{Width: 320, Height: 240, FPS: 15, GOP: 1, BitRate: 1_000_000},
		{Width: 1280, Height: 720, FPS: 25, GOP: 300, BitRate: 2_000_001, Droppable: true},
	} {
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		den := max(o.FPSDen, 1)
		for gop := range 3 {
			total, key, least, most := 0, 0, 1<<30, 0
			for i := range o.GOP {
				n := size(e.Next(uint32(gop*o.GOP+i), begin.Add(time.Duration(i)*33*time.Millisecond), false))
				total += n
				if i == 0 {
					key = n
				} else {
					least, most = min(least, n), max(most, n)
				}
			}
			want := float64(o.BitRate) / 8 * float64(o.GOP*den) / float64(o.FPS)
			if off := float64(total) - want; off < -8 || off > 8 {
				t.Errorf("%dx%d, GOP %d: %d bytes, want %.1f", o.Width, o.Height, gop, total, want)
			}
			if ratio := float64(key) / float64(most); o.GOP > 1 && (ratio < 5 || ratio > 8 || most-least > most/20) {
				t.Errorf("%dx%d, GOP %d: key picture %d, others %d to %d", o.Width, o.Height, gop, key, least, most)
			}
		}
	}
}

// TestBitRateAfterForcedKeys checks that key pictures out of turn are saved for.
func TestBitRateAfterForcedKeys(t *testing.T) {
	e, err := New(Options{Width: 640, Height: 360, FPS: 10, GOP: 50, BitRate: 500_000})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range 500 {
		total += size(e.Next(uint32(i), at(i), i%17 == 0))
	}
	if rate := total * 8 / 50; rate < 495_000 || rate > 550_000 {
		t.Errorf("%d bits a second, want 500000", rate)
	}
}

func TestContentAlone(t *testing.T) {
	e, err := New(Options{Width: 1920, Height: 1080, GOP: 30, Name: "Front door"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		p := e.Next(uint32(i), begin.Add(time.Duration(i)*time.Second/30), false)
		if n := len(p.NALs); n != 1 && !(p.Key && n == 3) {
			t.Errorf("picture %d: %d NAL units", i, n)
		}
		if n := size(p); p.Key && n > 14_000 || !p.Key && n > 3_000 {
			t.Errorf("picture %d: %d bytes", i, n)
		}
	}
}

func TestSequenceParameters(t *testing.T) {
	for _, c := range []struct {
		o                   Options
		level               int
		right, bottom       int
		columns, rows, tick int
	}{
		{Options{Width: 1920, Height: 1080, FPS: 30, BitRate: 3_000_000}, 40, 0, 8, 120, 68, 1},
		{Options{Width: 640, Height: 360, FPS: 10, BitRate: 200_000}, 22, 0, 8, 40, 23, 1},
		{Options{Width: 1918, Height: 1078, FPS: 30_000, FPSDen: 1001}, 40, 2, 10, 120, 68, 1001},
		{Options{Width: 176, Height: 144, FPS: 15}, 10, 0, 0, 11, 9, 1},
		{Options{Width: 2560, Height: 1440, FPS: 30}, 50, 0, 0, 160, 90, 1},
	} {
		e, err := New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		r := bitReader{b: rbsp(e.SPS())}
		got := []int{r.u(8), r.u(8), r.u(8), r.ue(), r.ue(), r.ue(), r.ue(), r.u(1), r.ue(), r.ue(), r.u(1), r.u(1)}
		want := []int{66, 0xC0, c.level, 0, frameNumBits - 4, 2, 1, 0, c.columns - 1, c.rows - 1, 1, 1}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%dx%d: %v, want %v", c.o.Width, c.o.Height, got, want)
		}
		if r.u(1) == 1 {
			got = []int{r.ue(), r.ue() * 2, r.ue(), r.ue() * 2}
		} else {
			got = []int{0, 0, 0, 0}
		}
		if want := []int{0, c.right, 0, c.bottom}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%dx%d: cropping %v, want %v", c.o.Width, c.o.Height, got, want)
		}
		got = []int{r.u(1), r.u(1), r.u(8), r.u(1), r.u(1), r.u(4), r.u(1), r.u(24), r.u(1), r.u(1), r.u(32), r.u(32), r.u(1)}
		want = []int{1, 1, 1, 0, 1, 10, 1, 0x010101, 0, 1, c.tick, 2 * c.o.FPS, 1}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%dx%d: usability %v, want %v", c.o.Width, c.o.Height, got, want)
		}
	}
}

// TestCodesArePrefixFree checks the tables: no code word begins another, so that each is read as it was written.
func TestCodesArePrefixFree(t *testing.T) {
	tables := map[string][]codeWord{}
	for _, row := range coeffTokens {
		tables["coeff_token"] = append(tables["coeff_token"], row...)
	}
	for i, row := range totalZeros {
		tables[fmt.Sprint("total_zeros ", i+1)] = row
		if len(row) != 16-i {
			t.Errorf("total_zeros %d has %d words", i+1, len(row))
		}
	}
	for i, row := range runsBefore {
		tables[fmt.Sprint("run_before ", i+1)] = row
	}
	for name, words := range tables {
		for i, a := range words {
			for j, b := range words {
				if i != j && a.size > 0 && b.size >= a.size && b.bits>>(b.size-a.size) == a.bits {
					t.Errorf("%s: word %d begins word %d", name, i, j)
				}
			}
		}
	}
}

// TestResidual writes blocks of all kinds and reads them back.
func TestResidual(t *testing.T) {
	for k := range 4000 {
		var levels [16]int32
		x := uint32(k)*2654435761 + 1
		for i := range levels {
			x = x*1664525 + 1013904223
			switch v := x >> 24; {
			case v < uint32(k%256):
			case v%3 == 0:
				levels[i] = 1 - int32(v>>4&1)*2
			default:
				levels[i] = int32(x>>8&0xFF) - 128
			}
		}
		if k%16 == 0 {
			levels[0] = int32(k) - 2000
		}
		var w bitWriter
		beside := k%2 == 1
		w.dcBlock(&levels, beside)
		w.trailing()
		d := decoder{r: bitReader{b: w.buf}}
		nC := 0
		if beside {
			nC = 8
		}
		got := d.dcLevels(nC)
		for i := range levels {
			if got[i] != int(levels[i]) {
				t.Fatalf("%v was read as %v", levels, got)
			}
		}
		if d.r.more() {
			t.Fatalf("%v: bits left over", levels)
		}
	}
}

func TestEmulationPrevention(t *testing.T) {
	for in, want := range map[string]string{
		"000000": "0a00000300", "000001ff": "0a00000301ff", "00000000": "0a0000030000", "000004": "0a000004",
		"0000000000": "0a000003000003" + "00", "00000300": "0a0000030300", "ff": "0aff", "010000": "0a010000",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(appendNAL(nil, 0x0A, b)); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

func benchmarkNext(b *testing.B, o Options) {
	e, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Next(uint32(i), begin.Add(time.Duration(i)*time.Second/time.Duration(o.FPS)), false)
		i++
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1800, "s/1800")
}

func BenchmarkNext1080p(b *testing.B) {
	benchmarkNext(b, Options{Width: 1920, Height: 1080, FPS: 30, BitRate: 3_000_000, Name: "Front door"})
}

func BenchmarkNext360p(b *testing.B) {
	benchmarkNext(b, Options{Width: 640, Height: 360, FPS: 10, BitRate: 200_000, Name: "Yard"})
}
