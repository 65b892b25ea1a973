package codec

import (
	"bytes"

	"nightjar/internal/media"
)

// Entry is what a stored sample entry says. Slices lie within the parsed bytes.
type Entry struct {
	Format string // the four characters of the box
	Codec  media.Codec

	Width, Height    uint16 // video
	AspectH, AspectV uint16 // video: pasp; 0 when there is none
	VPS, SPS, PPS    [][]byte

	Channels   uint8  // audio
	SampleRate uint32 // audio: of the box; 0 where it has no room
	SampleSize uint8  // audio: bits; of G.726 the bits of a code
	Config     []byte // AAC: AudioSpecificConfig; Opus: payload of dOps

	ContentEncoding string // metadata
	Namespace       string // metadata
}

const whatEntry = "sample entry"

// ParseSampleEntry reads a sample entry of the kinds that this package writes. Entries of other writers are understood as
// far as they have the same boxes.
func ParseSampleEntry(data []byte) (Entry, error) {
	kind, body, rest, ok := nextBox(data)
	if !ok || len(rest) != 0 {
		return Entry{}, refuse(whatEntry, "size", ErrTruncated)
	}
	e := Entry{Format: kind}
	var err error
	switch kind {
	case "avc1", "hvc1", "mp4v":
		err = e.parseVideo(body)
	case "mp4a", "ulaw", "alaw", "twos", "Opus", g726Entry:
		err = e.parseAudio(body)
	case "metx":
		err = e.parseMetadata(body)
	default:
		err = refuse(whatEntry, "type", ErrUnsupported)
	}
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

func (e *Entry) parseVideo(b []byte) error {
	const fixed = 78
	if len(b) < fixed {
		return refuse(whatEntry, e.Format, ErrTruncated)
	}
	e.Width, e.Height = be.Uint16(b[24:]), be.Uint16(b[26:])
	found := false
	for b = b[fixed:]; len(b) > 0; {
		kind, body, rest, ok := nextBox(b)
		if !ok {
			return refuse(whatEntry, e.Format, ErrTruncated)
		}
		var err error
		switch {
		case kind == "avcC" && e.Format == "avc1":
			e.Codec, found = media.H264, true
			err = e.parseAVCC(body)
		case kind == "hvcC" && e.Format == "hvc1":
			e.Codec, found = media.H265, true
			err = e.parseHVCC(body)
		case kind == "esds" && e.Format == "mp4v":
			var object uint8
			if object, _, err = parseESDS(body); err == nil && object != objectJPEG {
				err = refuse(whatEntry, "objectTypeIndication", ErrUnsupported)
			}
			e.Codec, found = media.MJPEG, true
		case kind == "pasp":
			if len(body) != 8 || be.Uint16(body) != 0 || be.Uint16(body[4:]) != 0 {
				return refuse(whatEntry, "pasp", ErrInvalid)
			}
			e.AspectH, e.AspectV = be.Uint16(body[2:]), be.Uint16(body[6:])
		}
		if err != nil {
			return err
		}
		b = rest
	}
	if !found {
		return refuse(whatEntry, "decoder configuration", ErrNoParameterSets)
	}
	return nil
}

// takeSets reads n parameter sets, each after its length in 2 bytes.
func takeSets(b []byte, n int) (sets [][]byte, rest []byte, ok bool) {
	for range n {
		if len(b) < 2 {
			return nil, nil, false
		}
		size := int(be.Uint16(b))
		if b = b[2:]; size > len(b) {
			return nil, nil, false
		}
		sets, b = append(sets, b[:size:size]), b[size:]
	}
	return sets, b, true
}

func (e *Entry) parseAVCC(b []byte) error {
	bad := refuse(whatEntry, "avcC", ErrTruncated)
	if len(b) < 7 {
		return bad
	}
	if b[0] != 1 || b[4]&3 != lengthSize-1 {
		return refuse(whatEntry, "avcC", ErrUnsupported)
	}
	sps, rest, ok := takeSets(b[6:], int(b[5]&0x1f))
	if !ok || len(rest) == 0 {
		return bad
	}
	pps, _, ok := takeSets(rest[1:], int(rest[0]))
	if !ok {
		return bad
	}
	e.SPS, e.PPS = sps, pps
	return nil
}

func (e *Entry) parseHVCC(b []byte) error {
	bad := refuse(whatEntry, "hvcC", ErrTruncated)
	if len(b) < 23 {
		return bad
	}
	if b[0] != 1 || b[21]&3 != lengthSize-1 {
		return refuse(whatEntry, "hvcC", ErrUnsupported)
	}
	arrays := int(b[22])
	b = b[23:]
	for range arrays {
		if len(b) < 3 {
			return bad
		}
		kind := b[0] & 0x3f
		sets, rest, ok := takeSets(b[3:], int(be.Uint16(b[1:])))
		if !ok {
			return bad
		}
		switch kind {
		case H265NALVPS:
			e.VPS = append(e.VPS, sets...)
		case H265NALSPS:
			e.SPS = append(e.SPS, sets...)
		case H265NALPPS:
			e.PPS = append(e.PPS, sets...)
		}
		b = rest
	}
	return nil
}

func (e *Entry) parseAudio(b []byte) error {
	const fixed = 28
	if len(b) < fixed {
		return refuse(whatEntry, e.Format, ErrTruncated)
	}
	if be.Uint16(b[8:]) != 0 || be.Uint16(b[16:]) > 255 || be.Uint16(b[18:]) > 255 {
		return refuse(whatEntry, e.Format, ErrUnsupported)
	}
	e.Channels, e.SampleSize, e.SampleRate = uint8(be.Uint16(b[16:])), uint8(be.Uint16(b[18:])), be.Uint32(b[24:])>>16
	switch e.Format {
	case "ulaw":
		e.Codec = media.PCMU
		return nil
	case "alaw":
		e.Codec = media.PCMA
		return nil
	case "twos":
		e.Codec = media.L16
		return nil
	case g726Entry:
		e.Codec = media.G726
		return nil
	}
	for b = b[fixed:]; len(b) > 0; {
		kind, body, rest, ok := nextBox(b)
		if !ok {
			return refuse(whatEntry, e.Format, ErrTruncated)
		}
		switch {
		case kind == "esds" && e.Format == "mp4a":
			object, info, err := parseESDS(body)
			if err != nil {
				return err
			}
			if object != objectAAC {
				return refuse(whatEntry, "objectTypeIndication", ErrUnsupported)
			}
			e.Codec, e.Config = media.AAC, info
		case kind == "dOps" && e.Format == "Opus":
			e.Codec, e.Config = media.Opus, body
		}
		b = rest
	}
	if len(e.Config) == 0 {
		return refuse(whatEntry, "decoder configuration", ErrNoParameterSets)
	}
	return nil
}

func (e *Entry) parseMetadata(b []byte) error {
	const fixed = 8
	if len(b) < fixed {
		return refuse(whatEntry, e.Format, ErrTruncated)
	}
	parts := bytes.SplitN(b[fixed:], []byte{0}, 4)
	if len(parts) < 4 {
		return refuse(whatEntry, e.Format, ErrTruncated)
	}
	e.ContentEncoding, e.Namespace = string(parts[0]), string(parts[1])
	if e.Namespace != onvifNamespace {
		return refuse(whatEntry, "namespace", ErrUnsupported)
	}
	e.Codec = media.ONVIFMetadata
	return nil
}

// TrackOf describes a track from a stored sample entry, with all facts that its parameter sets tell. The entry is kept as
// it is, and so are its size and aspect.
func TrackOf(index int, data []byte) (*media.Track, error) {
	e, err := ParseSampleEntry(data)
	if err != nil {
		return nil, err
	}
	var t *media.Track
	switch e.Codec {
	case media.H264:
		t, err = H264Track(index, e.SPS, e.PPS)
	case media.H265:
		t, err = H265Track(index, e.VPS, e.SPS, e.PPS)
	case media.MJPEG:
		t, err = MJPEGTrack(index, e.Width, e.Height)
	case media.AAC:
		t, err = AACTrack(index, e.Config)
	case media.PCMU, media.PCMA:
		t, err = G711Track(index, e.Codec, e.SampleRate, e.Channels)
	case media.L16:
		t, err = L16Track(index, e.SampleRate, e.Channels)
	case media.G726:
		t, err = G726Track(index, e.SampleSize)
	case media.Opus:
		t, err = OpusTrack(index, e.Channels)
	case media.ONVIFMetadata:
		t = metadataTrack(index, e.ContentEncoding)
	}
	if err != nil {
		return nil, err
	}
	t.SampleEntry = bytes.Clone(data)
	if t.Kind == media.Video {
		t.Width, t.Height, t.AspectH, t.AspectV = e.Width, e.Height, e.AspectH, e.AspectV
	}
	return t, nil
}
