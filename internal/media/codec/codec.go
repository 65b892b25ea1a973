// Package codec turns coding parameters into facts and into stored sample entries.
//
// Nouns: a *NAL unit* is one unit of H.264 or H.265 without start code or length; *parameter sets* (VPS, SPS, PPS) say
// how pictures are coded; an *access unit* is all NAL units of one picture, each after its length in 4 bytes; a
// *sample entry* is the ISO/IEC 14496-12 box that a player needs before the first sample, and what the catalog keeps of a
// track. H264Track, H265Track, MJPEGTrack, AACTrack and their like build a media.Track with its sample entry;
// ParseSampleEntry and TrackOf read one back.
//
// Invariants: no input, however broken, makes anything here panic, loop for long or allocate more than a small multiple
// of its size. Whatever runs once per packet or per sample (NAL classification, Unit, the boundary detectors,
// SplitAnnexB, OpusFrames) does not allocate, and the slices it reports lie within its input.
// Parsers of parameter sets refuse what they cannot rely on with a *ParseError, but forgive what cameras are known to
// get wrong where nothing depends on it: broken VUI, trailing bytes, unknown extensions.
//
// Everything is a pure function or a plain value; values may be shared for reading, and the detectors H264Boundary and
// H265Boundary belong to one goroutine each.
//
// The stored bytes are described in docs/format/sample-entries.md. Standards: ISO/IEC 14496-10 (H.264) sections 7.3, 7.4
// and annex E, ISO/IEC 23008-2 (H.265) sections 7.3, 7.4 and annex E, ISO/IEC 14496-15 sections 5.3 and 8.3,
// ISO/IEC 14496-3 sections 1.6 and 1.7, ISO/IEC 14496-1 section 7.2.6, RFC 6381, RFC 6716 section 3.1.
package codec

import (
	"errors"
	"fmt"
)

// What is wrong with coding parameters. A *ParseError wraps one of them.
var (
	// ErrTruncated: the data end before the syntax does.
	ErrTruncated = errors.New("data end too early")
	// ErrInvalid: a value that the standard rules out.
	ErrInvalid = errors.New("value out of range")
	// ErrUnsupported: legal, but nothing that Nightjar can record.
	ErrUnsupported = errors.New("not supported")
	// ErrWrongType: the data are of another kind than the caller said.
	ErrWrongType = errors.New("data of another kind")
	// ErrNoParameterSets: the parameter sets that a track needs are not all there.
	ErrNoParameterSets = errors.New("parameter sets are missing")
	// ErrSubsetSPS: a subset SPS (NAL unit type 15) of a layered stream, to be passed over. It is an ErrUnsupported.
	ErrSubsetSPS = fmt.Errorf("subset sequence parameter set: %w", ErrUnsupported)
)

// ParseError says what could not be parsed, and where.
type ParseError struct {
	What  string // the structure, such as "H.264 SPS"
	Field string // the syntax element by the name in the standard; empty if it is not known
	Bit   int    // how many bits had been read, emulation prevention bytes not counted; -1 where it has no meaning
	Err   error  // one of the errors of this package
}

func (e *ParseError) Error() string {
	switch {
	case e.Field != "" && e.Bit >= 0:
		return fmt.Sprintf("%s: %s (bit %d): %v", e.What, e.Field, e.Bit, e.Err)
	case e.Field != "":
		return fmt.Sprintf("%s: %s: %v", e.What, e.Field, e.Err)
	case e.Bit >= 0:
		return fmt.Sprintf("%s (bit %d): %v", e.What, e.Bit, e.Err)
	}
	return e.What + ": " + e.Err.Error()
}

func (e *ParseError) Unwrap() error { return e.Err }

// refuse is a ParseError without a position.
func refuse(what, field string, err error) error {
	return &ParseError{What: what, Field: field, Bit: -1, Err: err}
}
