// Package picture makes the pictures of a simulated camera: H.264 (ITU-T H.264, Constrained Baseline profile) that any
// decoder takes, in pure Go and so cheaply that a machine can play many cameras at once.
//
// An Encoder makes one picture per call of Next, each an access unit of NAL units. A key picture (IDR) starts with SPS
// and PPS; every other one is a P picture that codes only the macroblocks that differ from its reference, the picture
// before it or, in streams with droppable pictures, the one before that. All coding is exact: macroblocks are
// Intra_16x16 with DC coefficients alone at a quantiser that represents every level, or P_Skip without motion, and the
// deblocking filter is off. A decoder therefore shows the drawn values themselves, in all pictures of a GOP alike.
//
// # What a picture shows
//
// The strip: 88 bits, most significant first, one 16x16 macroblock each, black (luma 16) for 0 and white (luma 235) for
// 1, row after row from the top left corner, Width/16 (rounded down) in a row. The bits are
//
//	 0-31  sample number
//	32-79  UTC, milliseconds since 1970-01-01T00:00:00Z
//	80-87  CRC-8 of the ten bytes before: polynomial 0x07, initial value 0, not reflected, not inverted
//
// Below it stand the camera's name and a clock (UTC, HH:MM:SS.mmm) in large letters, and a ball bounces before a
// coloured background. Small pictures leave out the ball first, then the name.
//
// # Size
//
// Options.BitRate is met over a GOP by filler data NAL units (type 12), counting each NAL unit with the 4 bytes that
// delimit it; key pictures are made about six times as large as the others. Pictures are never padded beyond that and
// never cut down to it: where the content alone is larger, so is the stream.
//
// An Encoder is for one goroutine at a time. What Next returns is valid until the next call.
package picture

import (
	"fmt"
	"time"
)

// Options describes the pictures to make.
type Options struct {
	Width, Height int // even; at least 88 whole macroblocks must fit

	FPS    int // pictures a second, or in FPSDen seconds; 0: 30
	FPSDen int // 0: 1
	GOP    int // pictures from one key picture to the next; 0: two seconds

	BitRate   int    // bits a second to fill up to; 0: no filler
	Droppable bool   // every second P picture is not referred to (nal_ref_idc 0)
	PCM       bool   // the strip's macroblocks are I_PCM
	Name      string // drawn above the clock
	Seed      int64  // changes background and motion
}

// Picture is one coded picture (access unit).
type Picture struct {
	NALs      [][]byte // without start codes or lengths
	Key       bool     // IDR picture, with SPS and PPS first
	Droppable bool     // no other picture refers to this one
}

// Encoder makes the pictures of one camera, in order.
type Encoder struct {
	layout
	droppable bool
	pcm       bool
	gop       int
	sps, pps  []byte

	// The scene.
	background, current, reference []macroblock
	drawn, changed                 []uint64 // a bit per macroblock: drawn on since the reference; differs from it
	shown                          [clockLength]byte
	ball                           []uint64
	ballLeft, ballTop, start       int

	// The state of the stream.
	sinceKey int // pictures since the last key picture, that one included; 0 before the first
	frameNum uint32
	idrID    uint32
	rate     pacer

	bits  bitWriter
	slice []byte
	nals  [4][]byte
}

// New checks the options and prepares the scene.
func New(o Options) (*Encoder, error) {
	if o.FPS == 0 {
		o.FPS = 30
	}
	if o.FPSDen == 0 {
		o.FPSDen = 1
	}
	if o.GOP == 0 {
		o.GOP = max(1, 2*o.FPS/o.FPSDen)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	levelIDC, err := levelFor(&o)
	if err != nil {
		return nil, err
	}
	e := &Encoder{
		layout: plan(&o), droppable: o.Droppable, pcm: o.PCM, gop: o.GOP,
		sps: sequenceParameters(&o, levelIDC), pps: pictureParameters(),
		rate: newPacer(&o), start: int(uint64(o.Seed) % 997),
	}
	n := e.columns * e.rows
	e.background, e.current, e.reference = make([]macroblock, n), make([]macroblock, n), make([]macroblock, n)
	e.drawn, e.changed = make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)
	e.ball = disc(e.figure)
	e.ballLeft, e.ballTop = e.fieldLeft, e.fieldTop
	e.paint(o.Seed)
	return e, nil
}

func (o *Options) check() error {
	switch {
	case o.Width < 16 || o.Height < 16 || o.Width > 16384 || o.Height > 16384 || o.Width%2 != 0 || o.Height%2 != 0:
		return fmt.Errorf("make pictures of %dx%d: width and height must be even and from 16 to 16384", o.Width, o.Height)
	case (o.Width/16)*(o.Height/16) < StripBits:
		return fmt.Errorf("make pictures of %dx%d: the strip needs %d macroblocks of 16x16", o.Width, o.Height, StripBits)
	case o.FPS < 0 || o.FPSDen < 0 || o.FPS > 100_000 || o.FPSDen > 100_000:
		return fmt.Errorf("make %d/%d pictures a second: both must be from 1 to 100000", o.FPS, o.FPSDen)
	case o.GOP < 0 || o.BitRate < 0:
		return fmt.Errorf("make pictures with GOP %d and bit rate %d: below zero", o.GOP, o.BitRate)
	}
	return nil
}

// SPS returns the sequence parameter set, a NAL unit that no call changes.
func (e *Encoder) SPS() []byte { return e.sps }

// PPS returns the picture parameter set, a NAL unit that no call changes.
func (e *Encoder) PPS() []byte { return e.pps }

// Next makes the picture with this number, taken at utc. It is a key picture if it is the first, if the GOP is over or
// if forceKey is set.
func (e *Encoder) Next(number uint32, utc time.Time, forceKey bool) Picture {
	key := forceKey || e.sinceKey == 0 || e.sinceKey >= e.gop
	if key {
		e.sinceKey = 0
	}
	droppable := e.droppable && e.sinceKey%2 == 1
	e.compose(number, utc)
	e.code(key, droppable)

	nals := e.nals[:0]
	if key {
		nals = append(nals, e.sps, e.pps)
	}
	nals = append(nals, e.slice)
	size := 0
	for _, n := range nals {
		size += len(n) + delimiter
	}
	if f := e.rate.fill(key, size); f != nil {
		nals = append(nals, f)
	}
	e.sinceKey++
	return Picture{NALs: nals, Key: key, Droppable: droppable}
}

// code writes the slice of the current picture.
func (e *Encoder) code(key, droppable bool) {
	if key {
		e.frameNum = 0
		e.idrID = (e.idrID + 1) & 0xFF
	}
	w := &e.bits
	w.reset()
	e.sliceHeader(w, key, droppable)
	header := byte(0x41) // nal_ref_idc 2, non-IDR slice
	switch {
	case key:
		header = 0x65
		e.keySlice(w)
	case droppable:
		header = 0x01
		e.changedSlice(w)
	default:
		e.changedSlice(w)
	}
	w.trailing()
	e.slice = appendNAL(e.slice[:0], header, w.buf)
	if !droppable {
		e.refer()
		e.frameNum = (e.frameNum + 1) & (1<<frameNumBits - 1)
	}
}
