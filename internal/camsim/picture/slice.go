package picture

import "math/bits"

// Offsets of mb_type for intra macroblocks (section 7.4.5).
const (
	offsetI = 0
	offsetP = 5
)

// keySlice writes slice data of all macroblocks.
func (e *Encoder) keySlice(w *bitWriter) {
	// The macroblock that equals its left neighbour, as most do: mb_type 2, intra_chroma_pred_mode 1,
	// mb_qp_delta 0, no coefficients. Two runs of it are equal, whatever stands above.
	const same, sameSize = 0b011_010_1_1, 8
	var n neighbours
	i := 0
	for y := range e.rows {
		n.hasTop = y > 0
		strip := e.pcm && y <= e.stripRows // these have I_PCM macroblocks or stand below some
		for x := range e.columns {
			m := e.current[i]
			n.hasLeft = x > 0
			if n.hasTop {
				n.top = e.current[i-e.columns]
			}
			switch {
			case strip && e.inStrip(x, y):
				w.pcm(m, offsetI)
			case strip:
				w.intra(m, &n, offsetI, e.besideStrip(x, y))
			case n.hasLeft && m == n.left && m.isFlat():
				w.put(same, sameSize)
			default:
				w.intra(m, &n, offsetI, false)
			}
			n.left = m
			i++
		}
	}
}

// changedSlice writes slice data of what differs from the reference picture and returns whether anything does.
func (e *Encoder) changedSlice(w *bitWriter) {
	e.findChanged()
	next := 0 // the first macroblock that is not written yet
	for word, set := range e.changed {
		for set != 0 {
			i := word<<6 + bits.TrailingZeros64(set)
			set &= set - 1
			w.ue(uint32(i - next)) // mb_skip_run
			next = i + 1
			e.changedMacroblock(w, i)
		}
	}
	if rest := len(e.current) - next; rest > 0 {
		w.ue(uint32(rest))
	}
}

func (e *Encoder) changedMacroblock(w *bitWriter, i int) {
	x, y := i%e.columns, i/e.columns
	if e.pcm && e.inStrip(x, y) {
		w.pcm(e.current[i], offsetP)
		return
	}
	var n neighbours
	if x > 0 && e.isChanged(i-1) {
		n.hasLeft, n.left = true, e.current[i-1]
	}
	if y > 0 && e.isChanged(i-e.columns) {
		n.hasTop, n.top = true, e.current[i-e.columns]
	}
	beside := e.pcm && (n.hasLeft && e.inStrip(x-1, y) || n.hasTop && e.inStrip(x, y-1))
	w.intra(e.current[i], &n, offsetP, beside)
}

// besideStrip tells whether the left or the upper neighbour is in the strip.
func (e *Encoder) besideStrip(x, y int) bool {
	return x > 0 && e.inStrip(x-1, y) || y > 0 && e.inStrip(x, y-1)
}

func (e *Encoder) inStrip(x, y int) bool {
	return x < e.stripColumns && y*e.stripColumns+x < StripBits
}

// findChanged narrows the macroblocks that were drawn on down to those that differ from the reference picture.
func (e *Encoder) findChanged() {
	for word, set := range e.drawn {
		out := uint64(0)
		for rest := set; rest != 0; rest &= rest - 1 {
			i := word<<6 + bits.TrailingZeros64(rest)
			if e.current[i] != e.reference[i] {
				out |= rest & -rest
			}
		}
		e.changed[word] = out
	}
}

func (e *Encoder) isChanged(i int) bool { return e.changed[i>>6]>>(i&63)&1 != 0 }

// refer makes the current picture the reference of those to come.
func (e *Encoder) refer() {
	for word, set := range e.drawn {
		for ; set != 0; set &= set - 1 {
			i := word<<6 + bits.TrailingZeros64(set)
			e.reference[i] = e.current[i]
		}
		e.drawn[word] = 0
	}
}

// draw changes one macroblock of the current picture.
func (e *Encoder) draw(i int, m macroblock) {
	if e.current[i] != m {
		e.current[i] = m
		e.drawn[i>>6] |= 1 << (i & 63)
	}
}
