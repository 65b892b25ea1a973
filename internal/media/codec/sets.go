package codec

import (
	"bytes"

	"nightjar/internal/media"
)

// ParameterSets are the parameter sets of a stream that are in force, first from its description and then from its access
// units: a set replaces the one of its kind with the same id. It answers after every key sample whether the track must be
// described anew. It belongs to one goroutine.
type ParameterSets struct {
	codec media.Codec
	lists [3][]numberedSet // VPS, SPS, PPS
}

type numberedSet struct {
	id  uint8
	nal []byte // our copy
}

// NewParameterSets has no sets. The codec is media.H264 or media.H265; of others there is nothing to learn.
func NewParameterSets(codec media.Codec) *ParameterSets { return &ParameterSets{codec: codec} }

// LearnAll takes the sets of a stream's description, which may have start codes in them, and reports whether any was new.
func (p *ParameterSets) LearnAll(sets [][]byte) (changed bool) {
	for _, s := range sets {
		SplitAnnexB(s, func(nal []byte) { changed = p.Learn(nal) || changed })
	}
	return changed
}

// Update takes the sets of an access unit and reports whether any was new or different.
func (p *ParameterSets) Update(u *Unit) (changed bool) {
	for _, nal := range u.Sets() {
		changed = p.Learn(nal) || changed
	}
	return changed
}

// Learn takes one NAL unit and reports whether it is a parameter set that was not in force before. A set that is already
// there costs a comparison and no allocation; other NAL units, and sets that cannot be parsed, change nothing.
func (p *ParameterSets) Learn(nal []byte) bool {
	nal = trimZeros(nal)
	list := p.list(nal)
	if list == nil {
		return false
	}
	for _, have := range *list {
		if bytes.Equal(have.nal, nal) {
			return false
		}
	}
	id, err := p.parse(nal)
	if err != nil {
		return false
	}
	set := numberedSet{id: id, nal: bytes.Clone(nal)}
	for i, have := range *list {
		if have.id == id {
			(*list)[i] = set
			return true
		}
	}
	*list = append(*list, set)
	return true
}

func (p *ParameterSets) list(nal []byte) *[]numberedSet {
	switch p.codec {
	case media.H264:
		switch H264NALType(nal) {
		case H264NALSPS:
			return &p.lists[1]
		case H264NALPPS:
			return &p.lists[2]
		}
	case media.H265:
		if t := H265NALType(nal); H265ParameterSet(t) && H265Layer(nal) == 0 {
			return &p.lists[t-H265NALVPS]
		}
	}
	return nil
}

// parse gives the id of a set that can be used.
func (p *ParameterSets) parse(nal []byte) (id uint8, err error) {
	if p.codec == media.H264 {
		if H264NALType(nal) == H264NALSPS {
			s, err := ParseH264SPS(nal)
			return s.ID, err
		}
		s, err := ParseH264PPS(nal)
		return s.ID, err
	}
	switch H265NALType(nal) {
	case H265NALVPS:
		s, err := ParseH265VPS(nal)
		return s.ID, err
	case H265NALSPS:
		s, err := ParseH265SPS(nal)
		return s.ID, err
	}
	s, err := ParseH265PPS(nal)
	return s.ID, err
}

// Track describes the track with the sets in force; ErrNoParameterSets until there are enough of them.
func (p *ParameterSets) Track(index int) (*media.Track, error) {
	var sets [3][][]byte
	for i, list := range p.lists {
		for _, s := range list {
			sets[i] = append(sets[i], s.nal)
		}
	}
	switch p.codec {
	case media.H264:
		return H264Track(index, sets[1], sets[2])
	case media.H265:
		return H265Track(index, sets[0], sets[1], sets[2])
	}
	return nil, refuse("parameter sets", "codec", ErrUnsupported)
}

// MaxTemporalID is the highest temporal sub-layer of H.265 by the SPSs in force: the argument of Unit.AnalyzeH265.
func (p *ParameterSets) MaxTemporalID() uint8 {
	highest := uint8(0)
	if p.codec != media.H265 {
		return highest
	}
	for _, set := range p.lists[1] {
		if s, err := ParseH265SPS(set.nal); err == nil {
			highest = max(highest, s.MaxTemporalID())
		}
	}
	return highest
}
