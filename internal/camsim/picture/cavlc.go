package picture

import "math/bits"

// codeWord is one variable length code, its bits right-aligned.
type codeWord struct {
	bits uint16
	size uint8
}

func codeWords(words ...string) []codeWord {
	out := make([]codeWord, len(words))
	for i, word := range words {
		for _, c := range word {
			out[i].bits = out[i].bits<<1 | uint16(c-'0')
			out[i].size++
		}
	}
	return out
}

// coeffTokens is the column 0 <= nC < 2 of table 9-5, by number of trailing ones and total number of coefficients;
// below the diagonal (more ones than coefficients) stand empty words.
var coeffTokens = [4][]codeWord{
	codeWords("1", "000101", "00000111", "000000111", "0000000111", "00000000111", "0000000001111", "0000000001011",
		"0000000001000", "00000000001111", "00000000001011", "000000000001111", "000000000001011", "0000000000001111",
		"0000000000001011", "0000000000000111", "0000000000000100"),
	codeWords("", "01", "000100", "00000110", "000000110", "0000000110", "00000000110", "0000000001110",
		"0000000001010", "00000000001110", "00000000001010", "000000000001110", "000000000001010", "000000000000001",
		"0000000000001110", "0000000000001010", "0000000000000110"),
	codeWords("", "", "001", "0000101", "00000101", "000000101", "0000000101", "00000000101", "0000000001101",
		"0000000001001", "00000000001101", "00000000001001", "000000000001101", "000000000001001", "0000000000001101",
		"0000000000001001", "0000000000000101"),
	codeWords("", "", "", "00011", "000011", "0000100", "00000100", "000000100", "0000000100", "00000000100",
		"0000000001100", "00000000001100", "00000000001000", "000000000001100", "000000000001000", "0000000000001100",
		"0000000000001000"),
}

// totalZeros is tables 9-7 and 9-8: by number of coefficients less one, then by the zeros before the last of them.
var totalZeros = [15][]codeWord{
	codeWords("1", "011", "010", "0011", "0010", "00011", "00010", "000011", "000010", "0000011", "0000010", "00000011",
		"00000010", "000000011", "000000010", "000000001"),
	codeWords("111", "110", "101", "100", "011", "0101", "0100", "0011", "0010", "00011", "00010", "000011", "000010",
		"000001", "000000"),
	codeWords("0101", "111", "110", "101", "0100", "0011", "100", "011", "0010", "00011", "00010", "000001", "00001", "000000"),
	codeWords("00011", "111", "0101", "0100", "110", "101", "100", "0011", "011", "0010", "00010", "00001", "00000"),
	codeWords("0101", "0100", "0011", "111", "110", "101", "100", "011", "0010", "00001", "0001", "00000"),
	codeWords("000001", "00001", "111", "110", "101", "100", "011", "010", "0001", "001", "000000"),
	codeWords("000001", "00001", "101", "100", "011", "11", "010", "0001", "001", "000000"),
	codeWords("000001", "0001", "00001", "011", "11", "10", "010", "001", "000000"),
	codeWords("000001", "000000", "0001", "11", "10", "001", "01", "00001"),
	codeWords("00001", "00000", "001", "11", "10", "01", "0001"),
	codeWords("0000", "0001", "001", "010", "1", "011"),
	codeWords("0000", "0001", "01", "1", "001"),
	codeWords("000", "001", "1", "01"),
	codeWords("00", "01", "1"),
	codeWords("0", "1"),
}

// runsBefore is table 9-10: by zeros left less one (all above 6 are alike), then by run_before.
var runsBefore = [7][]codeWord{
	codeWords("1", "0"),
	codeWords("1", "01", "00"),
	codeWords("11", "10", "01", "00"),
	codeWords("11", "10", "01", "001", "000"),
	codeWords("11", "10", "011", "010", "001", "000"),
	codeWords("11", "000", "001", "011", "010", "101", "100"),
	codeWords("111", "110", "101", "100", "011", "010", "001", "0001", "00001", "000001", "0000001", "00000001",
		"000000001", "0000000001", "00000000001"),
}

// zigzag gives the place (row*4+column) of each coefficient of the field "frame" scan (section 8.5.6).
var zigzag = [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}

// dcBlock writes the Intra16x16DCLevel block of levels in raster order (sections 7.3.5.3.2 and 9.2). beside tells
// that a neighbour is I_PCM, whose blocks count as 16 coefficients: nC is then 8 or more, the fixed length column of
// table 9-5. All other neighbours have no AC coefficients and count as none.
func (w *bitWriter) dcBlock(levels *[16]int32, beside bool) {
	var found [16]int32 // non-zero levels, from the highest frequency down
	var runs [16]int    // zeros just before (below in frequency) each of them
	total, zeros := 0, 0
	last := 15
	for last >= 0 && levels[zigzag[last]] == 0 {
		last--
	}
	for k := last; k >= 0; k-- {
		if l := levels[zigzag[k]]; l != 0 {
			found[total] = l
			total++
		} else {
			runs[total-1]++
			zeros++
		}
	}
	ones := 0
	for ones < total && ones < 3 && (found[ones] == 1 || found[ones] == -1) {
		ones++
	}
	w.coeffToken(total, ones, beside)
	if total == 0 {
		return
	}
	w.levels(found[:total], ones)
	if total < 16 {
		w.code(totalZeros[total-1][zeros])
	}
	for i := 0; i < total-1 && zeros > 0; i++ {
		w.code(runsBefore[min(zeros, 7)-1][runs[i]])
		zeros -= runs[i]
	}
}

func (w *bitWriter) coeffToken(total, ones int, beside bool) {
	switch {
	case !beside:
		w.code(coeffTokens[ones][total])
	case total == 0:
		w.put(3, 6)
	default:
		w.put(uint32(total-1)<<2|uint32(ones), 6)
	}
}

// levels writes trailing ones and levels (section 9.2.2), from the highest frequency down.
func (w *bitWriter) levels(found []int32, ones int) {
	for _, l := range found[:ones] {
		w.flag(l < 0)
	}
	var suffix uint
	if len(found) > 10 && ones < 3 {
		suffix = 1
	}
	for i, l := range found[ones:] {
		size, code := l, 2*l-2
		if l < 0 {
			size, code = -l, -2*l-1
		}
		if i == 0 && ones < 3 {
			code -= 2 // it is not ±1, or it would be a trailing one
		}
		w.level(uint32(code), suffix)
		if suffix == 0 {
			suffix = 1
		}
		if size > 3<<(suffix-1) && suffix < 6 {
			suffix++
		}
	}
}

// level writes level_prefix and level_suffix of a level code (section 9.2.2.1); code is below 4,096 here.
func (w *bitWriter) level(code uint32, suffix uint) {
	switch {
	case suffix == 0 && code < 14:
		w.put(1, uint(code)+1)
	case suffix == 0 && code < 30:
		w.put(1, 15)
		w.put(code-14, 4)
	case suffix == 0:
		w.put(1, 16)
		w.put(code-30, 12)
	case code < 15<<suffix:
		w.put(1, uint(code>>suffix)+1)
		w.put(code, suffix)
	default:
		w.put(1, 16)
		w.put(code-15<<suffix, 12)
	}
}

// chromaBlock writes a ChromaDCLevel block whose first coefficient alone may be set (nC = -1, tables 9-5 and 9-9).
func (w *bitWriter) chromaBlock(level int32) {
	switch level {
	case 0:
		w.put(0b01, 2)
		return
	case 1, -1:
		w.put(1, 1)
		w.flag(level < 0)
	default:
		w.put(0b000111, 6)
		w.levels([]int32{level}, 0)
	}
	w.put(1, 1) // total_zeros 0
}

// hadamard fills levels for the mask of a macroblock's 4x4 blocks: where a bit is set, the block stands out by 16*step
// above the others, which lie base above the prediction. The inverse transform of section 8.5.10 is its own inverse but
// for the factor 16, so that the levels are exact.
func hadamard(levels *[16]int32, mask uint16, step, base int32) {
	var m [16]int32
	for i := range 4 { // rows
		r := mask >> (4 * i)
		a, b, c, d := int32(r&1), int32(r>>1&1), int32(r>>2&1), int32(r>>3&1)
		m[4*i], m[4*i+1], m[4*i+2], m[4*i+3] = a+b+c+d, a+b-c-d, a-b-c+d, a-b+c-d
	}
	for j := range 4 { // columns
		a, b, c, d := m[j], m[4+j], m[8+j], m[12+j]
		levels[j] = (a + b + c + d) * step
		levels[4+j] = (a + b - c - d) * step
		levels[8+j] = (a - b - c + d) * step
		levels[12+j] = (a - b + c - d) * step
	}
	levels[0] += base
}

// blocksSet counts the 4x4 blocks of a mask.
func blocksSet(mask uint16) int { return bits.OnesCount16(mask) }
