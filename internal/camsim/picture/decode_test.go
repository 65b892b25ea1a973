package picture

import (
	"bytes"
	"fmt"
	"math/bits"
	"testing"
)

// bitReader reads what a bitWriter wrote; it panics at the end, which the decoder turns into an error.
type bitReader struct {
	b   []byte
	pos int
}

func (r *bitReader) u(n int) (v int) {
	for range n {
		v = v<<1 | int(r.b[r.pos>>3]>>(7-r.pos&7)&1)
		r.pos++
	}
	return v
}

func (r *bitReader) ue() int {
	zeros := 0
	for r.u(1) == 0 {
		zeros++
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bitReader) se() int {
	v := r.ue()
	if v&1 == 1 {
		return (v + 1) / 2
	}
	return -v / 2
}

// more is more_rbsp_data.
func (r *bitReader) more() bool {
	last := len(r.b)*8 - 1 - bits.TrailingZeros8(r.b[len(r.b)-1])
	return r.pos < last
}

// among reads the code word that matches.
func (r *bitReader) among(words []codeWord) int {
	for i, w := range words {
		if w.size == 0 || r.pos+int(w.size) > len(r.b)*8 {
			continue
		}
		at := r.pos
		if r.u(int(w.size)) == int(w.bits) {
			return i
		}
		r.pos = at
	}
	panic("no code word")
}

// rbsp takes emulation prevention out and panics where it is missing.
func rbsp(nal []byte) []byte {
	var out []byte
	zeros := 0
	for _, b := range nal[1:] {
		switch {
		case zeros >= 2 && b == 3:
			zeros = 0
			continue
		case zeros >= 2 && b < 3:
			panic("a start code inside of a NAL unit")
		case b == 0:
			zeros++
		default:
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// decodedMacroblock is one macroblock of the test's own decoder.
type decodedMacroblock struct {
	luma       [16]int // of the 4x4 blocks, all flat
	cb, cr     int
	intra, pcm bool // in this picture
}

// decoder understands exactly the coding that package picture uses, by the standard's formulas in full.
type decoder struct {
	columns, rows int
	reference     []decodedMacroblock
	frameNum      int
	r             bitReader
	out           []decodedMacroblock
}

// decode reads a slice; the picture is in d.out.
func (d *decoder) decode(nal []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("at bit %d: %v", d.r.pos, p)
		}
	}()
	d.r = bitReader{b: rbsp(nal)}
	key, referred := nal[0]&31 == 5, nal[0]>>5 != 0
	d.header(key, referred)
	d.out = make([]decodedMacroblock, d.columns*d.rows)
	copy(d.out, d.reference)
	for i := range d.out {
		d.out[i].intra, d.out[i].pcm = key, false
	}
	if key {
		for i := range d.out {
			d.macroblock(i, d.r.ue())
		}
	} else {
		for i := 0; ; i++ {
			i += d.r.ue()
			if !d.r.more() {
				check(i == len(d.out), "skipped to %d of %d", i, len(d.out))
				break
			}
			d.out[i].intra = true
			d.macroblock(i, d.r.ue()-5)
			if !d.r.more() {
				check(i == len(d.out)-1, "ended at %d of %d", i, len(d.out))
				break
			}
		}
	}
	check(!d.r.more(), "data after the last macroblock")
	if referred {
		d.reference = d.out
	}
	return nil
}

func check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func (d *decoder) header(key, referred bool) {
	r := &d.r
	first, kind, pps, frameNum := r.ue(), r.ue(), r.ue(), r.u(frameNumBits)
	check(first == 0 && pps == 0, "slice starts at %d with PPS %d", first, pps)
	if key {
		d.frameNum = 0
		check(kind == 7, "slice type %d", kind)
		r.ue()
		check(r.u(2) == 0, "reference marking")
	} else {
		check(kind == 5, "slice type %d", kind)
		check(r.u(2) == 0, "reference lists")
		if referred {
			check(r.u(1) == 0, "reference marking")
		}
	}
	check(frameNum == d.frameNum, "frame_num %d, want %d", frameNum, d.frameNum)
	if referred {
		d.frameNum = (d.frameNum + 1) % (1 << frameNumBits)
	}
	check(r.se() == 0 && r.ue() == 1, "quantiser or deblocking filter")
}

func (d *decoder) macroblock(i, mbType int) {
	if mbType == 25 {
		d.pcmMacroblock(i)
		return
	}
	check(mbType >= 1 && mbType <= 8, "macroblock %d: mb_type %d", i, mbType)
	mode, chromaCoded := (mbType-1)%4, mbType > 4
	m := &d.out[i]
	chromaMode := d.r.ue()
	check(d.r.se() == 0, "macroblock %d: mb_qp_delta", i)
	var left, top *decodedMacroblock
	counts, known := 0, 0
	if i%d.columns > 0 {
		counts, known = counts+d.coefficients(i-1), known+1
		if d.out[i-1].intra {
			left = &d.out[i-1]
		}
	}
	if i >= d.columns {
		counts, known = counts+d.coefficients(i-d.columns), known+1
		if d.out[i-d.columns].intra {
			top = &d.out[i-d.columns]
		}
	}
	if known == 2 {
		counts = (counts + 1) / 2
	}
	d.luma(m, mode, left, top, d.dcLevels(counts))
	cb, cr := predictChroma(chromaMode, left, top)
	if chromaCoded {
		cb += d.chromaResidual()
		cr += d.chromaResidual()
	}
	m.cb, m.cr = cb, cr
}

func (d *decoder) coefficients(i int) int {
	if d.out[i].pcm {
		return 16
	}
	return 0
}

func (d *decoder) pcmMacroblock(i int) {
	for d.r.pos%8 != 0 {
		check(d.r.u(1) == 0, "alignment")
	}
	flatOf := func(n int) int {
		v := d.r.u(8)
		for range n - 1 {
			check(d.r.u(8) == v, "macroblock %d is not flat", i)
		}
		return v
	}
	m := &d.out[i]
	m.pcm = true
	y := flatOf(256)
	for k := range m.luma {
		m.luma[k] = y
	}
	m.cb, m.cr = flatOf(64), flatOf(64)
}

// hadamardMatrix is that of section 8.5.10.
var hadamardMatrix = [4][4]int{{1, 1, 1, 1}, {1, 1, -1, -1}, {1, -1, -1, 1}, {1, -1, 1, -1}}

func (d *decoder) luma(m *decodedMacroblock, mode int, left, top *decodedMacroblock, c [16]int) {
	var sum, n int
	if left != nil {
		sum, n = sum+4*(left.luma[3]+left.luma[7]+left.luma[11]+left.luma[15]), n+16
	}
	if top != nil {
		sum, n = sum+4*(top.luma[12]+top.luma[13]+top.luma[14]+top.luma[15]), n+16
	}
	dc := 128
	if n > 0 {
		dc = (sum + n/2) / n
	}
	for i := range 4 {
		for j := range 4 {
			f := 0
			for k := range 4 {
				for l := range 4 {
					f += hadamardMatrix[i][k] * c[4*k+l] * hadamardMatrix[l][j]
				}
			}
			const scale = 16 * 16 // LevelScale(28 % 6, 0, 0)
			residual := ((f*scale+2)>>2 + 32) >> 6
			switch mode {
			case lumaVertical:
				m.luma[4*i+j] = top.luma[12+j] + residual
			case lumaHorizontal:
				m.luma[4*i+j] = left.luma[4*i+3] + residual
			default:
				check(mode == lumaDC, "Intra16x16PredMode %d", mode)
				m.luma[4*i+j] = dc + residual
			}
		}
	}
}

// predictChroma follows section 8.3.4 for the four 4x4 blocks of each component, which must come out alike.
func predictChroma(mode int, left, top *decodedMacroblock) (cb, cr int) {
	one := func(of func(*decodedMacroblock) int) int {
		switch mode {
		case chromaHorizontal:
			return of(left)
		case chromaVertical:
			return of(top)
		}
		check(mode == chromaDC, "intra_chroma_pred_mode %d", mode)
		switch {
		case left != nil && top != nil:
			check(of(left) == of(top), "chroma prediction differs between blocks")
			return of(left)
		case left != nil:
			return of(left)
		case top != nil:
			return of(top)
		}
		return 128
	}
	return one(func(m *decodedMacroblock) int { return m.cb }), one(func(m *decodedMacroblock) int { return m.cr })
}

func (d *decoder) chromaResidual() int {
	r := &d.r
	var level int
	switch {
	case r.u(1) == 1:
		level = 1 - 2*r.u(1)
	case r.u(1) == 1:
		return 0
	default:
		check(r.u(4) == 0b0111, "chroma coeff_token")
		level = d.levels(1, 0)[0]
	}
	check(r.u(1) == 1, "chroma total_zeros")
	return ((level*256<<4)>>5 + 32) >> 6
}

// dcLevels reads an Intra16x16DCLevel block.
func (d *decoder) dcLevels(nC int) (c [16]int) {
	r := &d.r
	total, ones := -1, 0
	if nC >= 8 {
		v := r.u(6)
		total, ones = v>>2+1, v&3
		if v == 3 {
			total, ones = 0, 0
		}
	} else {
		check(nC < 2, "nC %d", nC)
		var all []codeWord
		for _, row := range coeffTokens {
			all = append(all, row...)
		}
		k := r.among(all)
		total, ones = k%17, k/17
	}
	if total == 0 {
		return c
	}
	levels := d.levels(total, ones)
	zeros := 0
	if total < 16 {
		zeros = r.among(totalZeros[total-1])
	}
	at := total + zeros - 1
	for i, l := range levels {
		c[zigzag[at]] = l
		run := 0
		if i == total-1 {
			run = zeros
		} else if zeros > 0 {
			run = r.among(runsBefore[min(zeros, 7)-1])
		}
		zeros -= run
		at -= run + 1
	}
	return c
}

// levels reads the levels of section 9.2.2.
func (d *decoder) levels(total, ones int) (out []int) {
	r := &d.r
	for range ones {
		out = append(out, 1-2*r.u(1))
	}
	suffix := 0
	if total > 10 && ones < 3 {
		suffix = 1
	}
	for i := ones; i < total; i++ {
		prefix := 0
		for r.u(1) == 0 {
			prefix++
		}
		code, size := min(15, prefix)<<suffix, suffix
		if prefix == 14 && suffix == 0 {
			size = 4
		}
		if prefix >= 15 {
			size = prefix - 3
		}
		code += r.u(size)
		if prefix >= 15 && suffix == 0 {
			code += 15
		}
		if i == ones && ones < 3 {
			code += 2
		}
		level := (code + 2) >> 1
		if code%2 == 1 {
			level = (-code - 1) >> 1
		}
		out = append(out, level)
		if suffix == 0 {
			suffix = 1
		}
		if max(level, -level) > 3<<(suffix-1) && suffix < 6 {
			suffix++
		}
	}
	return out
}

// sameAsScene compares what was decoded with what was drawn.
func (d *decoder) sameAsScene(e *Encoder) error {
	for i, m := range e.current {
		want := decodedMacroblock{cb: int(m.cb()), cr: int(m.cr()), intra: d.out[i].intra, pcm: d.out[i].pcm}
		for k := range want.luma {
			want.luma[k] = int(m.dark())
			if m.mask()>>k&1 != 0 {
				want.luma[k] = int(m.light())
			}
		}
		if d.out[i] != want {
			return fmt.Errorf("macroblock %d,%d is %+v, want %+v", i%e.columns, i/e.columns, d.out[i], want)
		}
	}
	return nil
}

// strip reads the strip off the decoded macroblocks.
func (d *decoder) strip(columns int) []byte {
	out := make([]byte, StripBits/8)
	for k := range StripBits {
		m := d.out[k/columns*d.columns+k%columns]
		if m.luma == [16]int{235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235, 235} {
			out[k/8] |= 0x80 >> (k % 8)
		} else {
			check(m.luma == [16]int{16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16}, "bit %d: %v", k, m.luma)
		}
	}
	return out
}

func TestDecodedIsDrawn(t *testing.T) {
	for name, o := range map[string]Options{
		"1080p":     {Width: 1920, Height: 1080, GOP: 13, Name: "Front door 2"},
		"droppable": {Width: 640, Height: 360, GOP: 20, Droppable: true, Name: "Yard"},
		"pcm":       {Width: 704, Height: 480, GOP: 20, PCM: true, Droppable: true, Name: "x"},
		"small":     {Width: 176, Height: 144, GOP: 1000, Name: "no room"},
		"column":    {Width: 16, Height: 1408, PCM: true},
		"row":       {Width: 1408, Height: 16},
		"cropped":   {Width: 1918, Height: 1078, Seed: -5, Name: "A name that is by far too long to be drawn in any picture of the world"},
		"large":     {Width: 3840, Height: 2160, GOP: 10, Seed: 1 << 60, Name: "Large"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			d := decoder{columns: e.columns, rows: e.rows}
			for i := range 60 {
				p := e.Next(uint32(i)*0x9E3779B9, at(i), i == 33)
				if err := d.decode(slice(t, p)); err != nil {
					t.Fatalf("picture %d: %v", i, err)
				}
				if err := d.sameAsScene(e); err != nil {
					t.Fatalf("picture %d: %v", i, err)
				}
				want := Strip(uint32(i)*0x9E3779B9, at(i))
				if got := d.strip(e.stripColumns); !bytes.Equal(got, want[:]) {
					t.Fatalf("picture %d: strip %x, want %x", i, got, want)
				}
			}
		})
	}
}
