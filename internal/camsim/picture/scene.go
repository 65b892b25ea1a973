package picture

import "time"

// cell is the grain of everything that is drawn: a 4x4 luma block.
const cell = 4

// Colours. Letters are light on a dark panel; the figure lifts the background's luma.
const (
	panelLuma   = 32
	letterSteps = 12
	figureSteps = 6
	figureCb    = 64
	figureCr    = 192
)

var panel = flat(panelLuma, 128, 128)

// layout is where things stand; computed once.
type layout struct {
	columns, rows           int // of the coded picture, in macroblocks
	stripColumns, stripRows int

	font               *font
	scale              int // cells per dot of the font
	panelTop, panelRow int // first row of the panel and rows in it
	panelWidth         int // in macroblocks, from the left edge
	nameTop, clockTop  int // in cells from the top of the panel
	textLeft           int // in cells
	name               string

	fieldLeft, fieldTop     int // where the figure moves, in cells
	fieldWidth, fieldHeight int
	figure                  int // diameter in cells; 0: no room for it
}

// plan lays out a picture; the strip fits.
func plan(o *Options) layout {
	l := layout{columns: (o.Width + 15) / 16, rows: (o.Height + 15) / 16, stripColumns: o.Width / 16, name: o.Name}
	l.stripRows = (StripBits + l.stripColumns - 1) / l.stripColumns
	free := o.Height/cell - l.stripRows*4 // cells below the strip that are seen
	width := o.Width / cell
	l.font = &fontLarge
	for l.scale = 8; l.scale > 1; l.scale /= 2 {
		if l.font.width(clockLength)*l.scale <= width*6/10 && 9*l.scale*4 <= free {
			break
		}
	}
	if l.font.width(clockLength)+1 > width || l.font.height+1 > free {
		l.font, l.name = &fontSmall, ""
	}
	l.planPanel(width, free)
	top := (l.panelTop + l.panelRow) * 4
	l.fieldTop = top + l.scale
	l.fieldHeight = (l.stripRows*4 + free - l.scale) - l.fieldTop
	l.fieldLeft, l.fieldWidth = l.scale, width-2*l.scale
	l.figure = min(8*l.scale, l.fieldHeight*2/3, l.fieldWidth)
	if l.figure < 4 {
		l.figure = 0
	}
	return l
}

// planPanel places name and clock: both if there is room, else the clock alone.
func (l *layout) planPanel(width, free int) {
	line := (l.font.height + 2) * l.scale
	l.panelTop = l.stripRows
	l.textLeft = min(2*l.scale, max(0, width-l.font.width(clockLength)*l.scale))
	margin := l.scale
	if l.font.height*l.scale+2*margin > free {
		margin = 0
	}
	height := margin + l.font.height*l.scale + margin
	l.clockTop, l.nameTop = margin, -1
	if l.name != "" && height+line <= free {
		l.nameTop, l.clockTop = margin, margin+line
		height += line
	}
	l.panelRow = min((height+3)/4, l.rows-l.panelTop)
	for l.name != "" && l.font.width(len(l.name))*l.scale > width-l.textLeft {
		l.name = l.name[:len(l.name)-1]
	}
	letters := max(l.font.width(clockLength), l.font.width(len(l.name))) * l.scale
	l.panelWidth = min((l.textLeft*2+letters+3)/4, l.columns)
}

// paint makes the background: a sky that grows lighter downwards in slowly changing hues, a dark ground, the panel.
func (e *Encoder) paint(seed int64) {
	shift := int(uint64(seed) % 16)
	for y := range e.rows {
		luma := uint8(64 + 72*y/e.rows)
		for x := range e.columns {
			hue := (shift + 16*x/e.columns) % 16
			m := flat(luma, uint8(128+hues[hue][0]), uint8(128+hues[hue][1]))
			if y >= e.rows-1-e.rows/8 {
				m = flat(56, 112, 112)
			}
			if y < e.stripRows {
				m = flat(64, 128, 128)
			}
			if y >= e.panelTop && y < e.panelTop+e.panelRow && x < e.panelWidth {
				m = panel
			}
			e.background[y*e.columns+x] = m
		}
	}
	copy(e.current, e.background)
	for i := range e.drawn {
		e.drawn[i] = ^uint64(0)
	}
	if rest := len(e.current) & 63; rest != 0 {
		e.drawn[len(e.drawn)-1] = 1<<rest - 1
	}
	if e.nameTop >= 0 {
		for i := range len(e.name) {
			e.letter(i, e.nameTop, e.name[i])
		}
	}
	e.shown = [clockLength]byte{}
}

// hues are offsets of Cb and Cr around a circle, even.
var hues = [16][2]int{
	{24, 0}, {22, 10}, {18, 18}, {10, 22}, {0, 24}, {-10, 22}, {-18, 18}, {-22, 10},
	{-24, 0}, {-22, -10}, {-18, -18}, {-10, -22}, {0, -24}, {10, -22}, {18, -18}, {22, -10},
}

// compose draws what picture number, taken at utc, shows.
func (e *Encoder) compose(number uint32, utc time.Time) {
	e.drawStrip(Strip(number, utc))
	text := clockText(utc)
	for i, c := range text {
		if c != e.shown[i] {
			e.letter(i, e.clockTop, c)
		}
	}
	e.shown = text
	if e.figure > 0 {
		e.drawFigure(number)
	}
}

func (e *Encoder) drawStrip(strip [StripBits / 8]byte) {
	x, y := 0, 0
	for k := range StripBits {
		luma := uint8(stripBlack)
		if strip[k>>3]>>(7-k&7)&1 != 0 {
			luma = stripWhite
		}
		e.draw(y*e.columns+x, flat(luma, 128, 128))
		if x++; x == e.stripColumns {
			x, y = 0, y+1
		}
	}
}

// clockLength is the length of HH:MM:SS.mmm.
const clockLength = 12

func clockText(utc time.Time) [clockLength]byte {
	ms := utc.UnixMilli() % 86_400_000
	if ms < 0 {
		ms += 86_400_000
	}
	var t [clockLength]byte
	two := func(at int, v int64) { t[at], t[at+1] = byte('0'+v/10), byte('0'+v%10) }
	two(0, ms/3_600_000)
	two(3, ms/60_000%60)
	two(6, ms/1000%60)
	t[9] = byte('0' + ms/100%10)
	two(10, ms%100)
	t[2], t[5], t[8] = ':', ':', '.'
	return t
}

// letter replaces the letter at a place of a line of the panel.
func (e *Encoder) letter(place, line int, c byte) {
	left := e.textLeft + e.font.left(place)*e.scale
	width := e.font.wide(place) * e.scale
	e.dots(left, line, width, e.font.height*e.scale, false)
	for y, row := range e.font.glyph(c) {
		for x := range e.font.wide(place) {
			if row>>(e.font.dots-1-x)&1 != 0 {
				e.dots(left+x*e.scale, line+y*e.scale, e.scale, e.scale, true)
			}
		}
	}
}

// dots sets or clears a rectangle of the panel, in cells. What lies beyond the panel is cut off.
func (e *Encoder) dots(left, top, width, height int, set bool) {
	for my := top / 4; my <= (top+height-1)/4 && my < e.panelRow; my++ {
		rows := rowMasks[max(top-my*4, 0)] &^ rowMasks[min(top+height-my*4, 4)]
		for mx := left / 4; mx <= (left+width-1)/4 && mx < e.panelWidth; mx++ {
			mask := rows & (columnMasks[max(left-mx*4, 0)] &^ columnMasks[min(left+width-mx*4, 4)])
			i := (e.panelTop+my)*e.columns + mx
			was := e.current[i].mask()
			if e.current[i].isFlat() && e.current[i] != panel {
				was = 0xFFFF
			}
			if set {
				mask |= was
			} else {
				mask = was &^ mask
			}
			e.draw(i, panel.with(mask, letterSteps, 128, 128))
		}
	}
}

// rowMasks and columnMasks select the blocks of a macroblock from a row or column on.
var (
	rowMasks    = [5]uint16{0xFFFF, 0xFFF0, 0xFF00, 0xF000, 0}
	columnMasks = [5]uint16{0xFFFF, 0xEEEE, 0xCCCC, 0x8888, 0}
)

// drawFigure moves a ball that bounces from one side of the field to the other.
func (e *Encoder) drawFigure(number uint32) {
	e.figureAt(e.ballLeft, e.ballTop, true)
	step := max(1, e.scale/2)
	e.ballLeft = e.fieldLeft
	if way := e.fieldWidth - e.figure; way > 0 {
		at := int((uint64(number)*uint64(step) + uint64(e.start)) % uint64(2*way))
		e.ballLeft += min(at, 2*way-at)
	}
	const period = 48
	t := int(number % period)
	height := e.fieldHeight - e.figure
	e.ballTop = e.fieldTop + height - height*4*t*(period-t)/(period*period)
	e.figureAt(e.ballLeft, e.ballTop, false)
}

// figureAt draws or takes away the ball.
func (e *Encoder) figureAt(left, top int, away bool) {
	for my := top / 4; my <= (top+e.figure-1)/4; my++ {
		for mx := left / 4; mx <= (left+e.figure-1)/4; mx++ {
			i := my*e.columns + mx
			m := e.background[i]
			if !away {
				m = m.with(e.ballMask(mx*4-left, my*4-top), figureSteps, figureCb, figureCr)
			}
			e.draw(i, m)
		}
	}
}

// ballMask tells which blocks of the macroblock at x, y (in cells from the corner of the ball) belong to the ball.
func (e *Encoder) ballMask(x, y int) uint16 {
	mask := uint16(0)
	for row := range 4 {
		if r := y + row; r >= 0 && r < e.figure {
			span := e.ball[r] // bit k: cell k of this row
			if x >= 0 {
				span >>= x
			} else {
				span <<= -x
			}
			mask |= uint16(span&15) << (4 * row)
		}
	}
	return mask
}

// disc returns the rows of a filled circle, a bit per cell; the diameter is at most 64.
func disc(diameter int) []uint64 {
	rows := make([]uint64, diameter)
	for y := range rows {
		for x := range diameter {
			dx, dy := 2*x+1-diameter, 2*y+1-diameter
			if dx*dx+dy*dy <= diameter*diameter {
				rows[y] |= 1 << x
			}
		}
	}
	return rows
}
