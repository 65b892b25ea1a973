package camsim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// elementary is an elementary stream in memory, cut into access units, in decoding order. Immutable once read.
type elementary struct {
	codec  string // H264 or H265
	units  []accessUnit
	sets   [][]byte // the first parameter sets: SPS, PPS or VPS, SPS, PPS
	depth  int      // pictures by which presentation lags behind decoding, so that nothing is shown before it is sent
	hasKey bool
}

// accessUnit is one coded picture with what precedes it.
type accessUnit struct {
	nals    [][]byte // into the file
	key     bool     // IDR or IRAP
	restart bool     // picture order counts begin again here
	order   int      // picture order count, unwrapped
	display int      // position in order of presentation, in the whole file
}

// readElementary cuts an Annex B byte stream (ITU-T H.264 Annex B, H.265 Annex B).
func readElementary(data []byte, h265 bool) (*elementary, error) {
	nals := splitAnnexB(data)
	if len(nals) == 0 {
		return nil, errors.New("no start code found")
	}
	e := &elementary{codec: "H264"}
	var cut cutter = &cutter264{}
	if h265 {
		e.codec, cut = "H265", &cutter265{}
	}
	var open accessUnit
	coded := false // open has a slice already
	for _, u := range nals {
		role, err := cut.look(u)
		if err != nil {
			return nil, fmt.Errorf("access unit %d: %w", len(e.units), err)
		}
		if coded && (role == startsUnit || role == startsPicture) {
			e.units, open, coded = append(e.units, open), accessUnit{}, false
		}
		open.nals = append(open.nals, u)
		if role == startsPicture {
			coded = true
			open.key, open.restart, open.order = cut.picture()
		}
	}
	if coded {
		e.units = append(e.units, open)
	}
	if len(e.units) == 0 {
		return nil, errors.New("no pictures found")
	}
	e.sets = firstSets(nals, h265)
	e.arrange()
	return e, nil
}

// role is what a NAL unit does to the division into access units.
type role int

const (
	belongs       role = iota // to the unit that is open
	startsUnit                // comes before the slices of a new unit
	startsPicture             // is the first slice of a picture
)

// cutter finds the beginnings of access units.
type cutter interface {
	look(nal []byte) (role, error)
	picture() (key, restart bool, order int) // of the latest startsPicture
}

// arrange computes positions of presentation from picture order counts, separately between restarts.
func (e *elementary) arrange() {
	for from := 0; from < len(e.units); {
		to := from + 1
		for to < len(e.units) && !e.units[to].restart {
			to++
		}
		order := make([]int, to-from)
		for i := range order {
			order[i] = from + i
		}
		slices.SortStableFunc(order, func(a, b int) int { return e.units[a].order - e.units[b].order })
		for shown, i := range order {
			e.units[i].display = from + shown
		}
		from = to
	}
	for i := range e.units {
		e.depth = max(e.depth, e.units[i].display-i)
		e.hasKey = e.hasKey || e.units[i].key
	}
	// A picture may be shown late, never early: with the lag, display-depth <= position.
}

// splitAnnexB returns the NAL units between start codes, without trailing zero bytes.
func splitAnnexB(data []byte) [][]byte {
	var all [][]byte
	code := []byte{0, 0, 1}
	i := bytes.Index(data, code)
	for i >= 0 {
		data = data[i+3:]
		i = bytes.Index(data, code)
		unit := data
		if i >= 0 {
			unit = data[:i]
		}
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			all = append(all, unit)
		}
	}
	return all
}

// firstSets returns the first parameter set of each kind that SDP tells, nil unless all are there.
func firstSets(nals [][]byte, h265 bool) [][]byte {
	kinds := []byte{7, 8}
	if h265 {
		kinds = []byte{32, 33, 34}
	}
	var sets [][]byte
	for _, k := range kinds {
		i := slices.IndexFunc(nals, func(u []byte) bool { return nalType(u, h265) == k })
		if i < 0 {
			return nil
		}
		sets = append(sets, nals[i])
	}
	return sets
}

func nalType(u []byte, h265 bool) byte {
	switch {
	case len(u) == 0:
		return 0
	case h265:
		return u[0] >> 1 & 0x3f
	}
	return u[0] & 0x1f
}

func isParameterSet(u []byte, h265 bool) bool {
	t := nalType(u, h265)
	if h265 {
		return t >= 32 && t <= 34
	}
	return t == 7 || t == 8
}

// unwrap returns the picture order count that ends in lsb bits and is nearest to the previous reference's
// (ITU-T H.264 section 8.2.1.1, H.265 section 8.3.1).
func unwrap(lsb, bits, previous int) int {
	size := 1 << bits
	high := previous - previous&(size-1)
	low := previous & (size - 1)
	switch {
	case lsb < low && low-lsb >= size/2:
		high += size
	case lsb > low && lsb-low > size/2:
		high -= size
	}
	return high + lsb
}
