package picture

// font is a set of letters made of dots. All letters are as wide, but for the two separators of the clock in the small
// font, which has digits only.
type font struct {
	dots, height int // of a letter
	narrow       int // width of the letters at places 2, 5 and 8; 0: like all
	glyphs       map[byte][]uint8
}

// wide is the width of the letter at a place, in dots.
func (f *font) wide(place int) int {
	if f.narrow > 0 && (place == 2 || place == 5 || place == 8) {
		return f.narrow
	}
	return f.dots
}

// left is where the letter at a place begins.
func (f *font) left(place int) int {
	n := 0
	for p := range place {
		n += f.wide(p) + 1
	}
	return n
}

// width is that of a line, in dots.
func (f *font) width(letters int) int { return max(0, f.left(letters)-1) }

// glyph returns the rows of a letter, the leftmost dot in the highest of the font's bits.
func (f *font) glyph(c byte) []uint8 {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	if g, ok := f.glyphs[c]; ok {
		return g
	}
	return f.glyphs[0]
}

// fontLarge has letters of 5x7 dots.
var fontLarge = font{dots: 5, height: 7, glyphs: map[byte][]uint8{
	0:   {31, 17, 17, 17, 17, 17, 31},
	' ': {0, 0, 0, 0, 0, 0, 0},
	'-': {0, 0, 0, 31, 0, 0, 0},
	'_': {0, 0, 0, 0, 0, 0, 31},
	'.': {0, 0, 0, 0, 0, 12, 12},
	':': {0, 12, 12, 0, 12, 12, 0},
	'/': {1, 1, 2, 4, 8, 16, 16},
	'#': {10, 10, 31, 10, 31, 10, 10},
	'0': {14, 17, 19, 21, 25, 17, 14},
	'1': {4, 12, 4, 4, 4, 4, 14},
	'2': {14, 17, 1, 2, 4, 8, 31},
	'3': {31, 2, 4, 2, 1, 17, 14},
	'4': {2, 6, 10, 18, 31, 2, 2},
	'5': {31, 16, 30, 1, 1, 17, 14},
	'6': {6, 8, 16, 30, 17, 17, 14},
	'7': {31, 1, 2, 4, 8, 8, 8},
	'8': {14, 17, 17, 14, 17, 17, 14},
	'9': {14, 17, 17, 15, 1, 2, 12},
	'A': {14, 17, 17, 31, 17, 17, 17},
	'B': {30, 17, 17, 30, 17, 17, 30},
	'C': {14, 17, 16, 16, 16, 17, 14},
	'D': {28, 18, 17, 17, 17, 18, 28},
	'E': {31, 16, 16, 30, 16, 16, 31},
	'F': {31, 16, 16, 30, 16, 16, 16},
	'G': {14, 17, 16, 23, 17, 17, 15},
	'H': {17, 17, 17, 31, 17, 17, 17},
	'I': {14, 4, 4, 4, 4, 4, 14},
	'J': {7, 2, 2, 2, 2, 18, 12},
	'K': {17, 18, 20, 24, 20, 18, 17},
	'L': {16, 16, 16, 16, 16, 16, 31},
	'M': {17, 27, 21, 21, 17, 17, 17},
	'N': {17, 17, 25, 21, 19, 17, 17},
	'O': {14, 17, 17, 17, 17, 17, 14},
	'P': {30, 17, 17, 30, 16, 16, 16},
	'Q': {14, 17, 17, 17, 21, 18, 13},
	'R': {30, 17, 17, 30, 20, 18, 17},
	'S': {15, 16, 16, 14, 1, 1, 30},
	'T': {31, 4, 4, 4, 4, 4, 4},
	'U': {17, 17, 17, 17, 17, 17, 14},
	'V': {17, 17, 17, 17, 17, 10, 4},
	'W': {17, 17, 17, 21, 21, 27, 17},
	'X': {17, 17, 10, 4, 10, 17, 17},
	'Y': {17, 17, 10, 4, 4, 4, 4},
	'Z': {31, 1, 2, 4, 8, 16, 31},
}}

// fontSmall has digits of 3x4 dots, for pictures that leave a single row of macroblocks.
var fontSmall = font{dots: 3, height: 4, narrow: 1, glyphs: map[byte][]uint8{
	0:   {0, 0, 0, 0},
	':': {0, 4, 0, 4},
	'.': {0, 0, 0, 4},
	'0': {7, 5, 5, 7},
	'1': {6, 2, 2, 7},
	'2': {6, 1, 2, 7},
	'3': {7, 3, 1, 7},
	'4': {5, 5, 7, 1},
	'5': {7, 6, 1, 6},
	'6': {4, 7, 5, 7},
	'7': {7, 1, 2, 2},
	'8': {3, 7, 5, 7},
	'9': {7, 5, 7, 1},
}}
