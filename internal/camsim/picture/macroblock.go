package picture

import "math/bits"

// macroblock is the content of one macroblock: its sixteen 4x4 luma blocks, each flat, are either dark or light; its
// chroma is flat. Luma of light is dark plus a multiple of 16 and chroma is even, so that the coded values are exact.
// Equal contents are equal values: a flat macroblock is dark alone.
type macroblock uint64

func flat(luma, cb, cr uint8) macroblock {
	return macroblock(luma) | macroblock(cb)<<32 | macroblock(cr)<<40
}

// with returns m, which is flat, with the blocks of mask (bit row*4+column) lifted by 16*steps and, if more than half
// are, in another colour.
func (m macroblock) with(mask uint16, steps, cb, cr uint8) macroblock {
	luma := m.dark() + 16*steps
	switch {
	case mask == 0:
		return m
	case mask == 0xFFFF:
		return flat(luma, cb, cr)
	}
	if blocksSet(mask) < 8 {
		cb, cr = m.cb(), m.cr()
	}
	return flat(m.dark(), cb, cr) | macroblock(luma)<<8 | macroblock(mask)<<16
}

func (m macroblock) dark() uint8  { return uint8(m) }
func (m macroblock) light() uint8 { return uint8(m >> 8) }
func (m macroblock) mask() uint16 { return uint16(m >> 16) }
func (m macroblock) cb() uint8    { return uint8(m >> 32) }
func (m macroblock) cr() uint8    { return uint8(m >> 40) }

// isFlat tells a macroblock of one luma value, dark.
func (m macroblock) isFlat() bool { return m.mask() == 0 }

// sameChroma tells whether both components are alike.
func (m macroblock) sameChroma(o macroblock) bool { return m>>32 == o>>32 }

// edge sums the four blocks of mask that are selected by side, the right column or the bottom row.
func (m macroblock) edge(side uint16) int32 {
	n := int32(bits.OnesCount16(m.mask() & side))
	return n*int32(m.light()) + (4-n)*int32(m.dark())
}

const (
	rightColumn = 0x8888
	bottomRow   = 0xF000
)

// neighbours are what a macroblock may be predicted from: of the same slice and, as constrained_intra_pred_flag is
// set, intra coded.
type neighbours struct {
	left, top       macroblock
	hasLeft, hasTop bool
}

// The values of Intra16x16PredMode (table 8-4) and intra_chroma_pred_mode (table 8-5) in use.
const (
	lumaVertical   = 0
	lumaHorizontal = 1
	lumaDC         = 2

	chromaDC         = 0
	chromaHorizontal = 1
	chromaVertical   = 2
)

// luma chooses a prediction and returns its value, which is the same for the whole macroblock (section 8.3.3).
func (n *neighbours) luma(m macroblock) (mode uint32, value int32) {
	flatM := m.isFlat()
	switch {
	case flatM && n.hasLeft && n.left.isFlat() && n.left.dark() == m.dark():
		return lumaHorizontal, int32(m.dark())
	case flatM && n.hasTop && n.top.isFlat() && n.top.dark() == m.dark():
		return lumaVertical, int32(m.dark())
	case n.hasLeft && n.hasTop:
		return lumaDC, (4*n.left.edge(rightColumn) + 4*n.top.edge(bottomRow) + 16) >> 5
	case n.hasLeft:
		return lumaDC, (4*n.left.edge(rightColumn) + 8) >> 4
	case n.hasTop:
		return lumaDC, (4*n.top.edge(bottomRow) + 8) >> 4
	}
	return lumaDC, 128
}

// chroma chooses a prediction that is the same for both halves of both components (section 8.3.4): the DC prediction is
// so unless left and top differ.
func (n *neighbours) chroma(m macroblock) (mode uint32, cb, cr int32) {
	from := flat(0, 128, 128)
	switch {
	case n.hasLeft && n.hasTop && !n.left.sameChroma(n.top):
		mode, from = chromaHorizontal, n.left
		if n.top.sameChroma(m) {
			mode, from = chromaVertical, n.top
		}
	case n.hasLeft:
		from = n.left
	case n.hasTop:
		from = n.top
	}
	return mode, int32(from.cb()), int32(from.cr())
}

// intra writes one Intra_16x16 macroblock with DC coefficients only (section 7.3.5). offset is the number of the
// slice type's mb_type that stands for I_NxN; beside tells of an I_PCM neighbour.
func (w *bitWriter) intra(m macroblock, n *neighbours, offset uint32, beside bool) {
	lumaMode, value := n.luma(m)
	chromaMode, cb, cr := n.chroma(m)
	cbLevel, crLevel := (int32(m.cb())-cb)/2, (int32(m.cr())-cr)/2
	mbType := offset + 1 + lumaMode
	if cbLevel|crLevel != 0 {
		mbType += 4
	}
	w.ue(mbType)
	w.ue(chromaMode)
	w.put(1, 1) // mb_qp_delta 0

	base := int32(m.dark()) - value
	if m.isFlat() && base == 0 {
		w.coeffToken(0, 0, beside)
	} else {
		var levels [16]int32
		if m.isFlat() {
			levels[0] = base
		} else {
			hadamard(&levels, m.mask(), (int32(m.light())-int32(m.dark()))/16, base)
		}
		w.dcBlock(&levels, beside)
	}
	if cbLevel|crLevel != 0 {
		w.chromaBlock(cbLevel)
		w.chromaBlock(crLevel)
	}
}

// pcm writes one I_PCM macroblock of one colour (section 7.3.5).
func (w *bitWriter) pcm(m macroblock, offset uint32) {
	w.ue(offset + 25)
	w.align()
	for range 256 {
		w.put(uint32(m.dark()), 8)
	}
	for range 64 {
		w.put(uint32(m.cb()), 8)
	}
	for range 64 {
		w.put(uint32(m.cr()), 8)
	}
}
