package rtsp

import (
	"errors"
	"strconv"
	"strings"
)

// description is a session description (RFC 8866), read line by line: cameras break its grammar in every line that is not
// needed here (origin, connection, bandwidth, order), so those are not looked at.
type description struct {
	control string
	media   []mediaDescription
}

// mediaDescription is one m= section.
type mediaDescription struct {
	kind     string // "video", "audio", "application"
	protocol string // "RTP/AVP"
	payloads []uint8
	rtpmap   map[uint8]string
	fmtp     map[uint8]string
	control  string
	sendOnly bool
	width    uint16 // of a=x-dimensions or a=framesize; 0 when unknown
	height   uint16
}

// The bounds of what is looked at in a description; cameras have at most five sections with few payload types each.
const (
	maxSections = 32
	maxPayloads = 64
)

// parseDescription reads an SDP.
func parseDescription(body []byte) (*description, error) {
	var d description
	var m *mediaDescription // nil above the first m=
	for line := range strings.SplitSeq(string(body), "\n") {
		line = strings.TrimSpace(line)
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		value := strings.TrimSpace(line[2:])
		switch line[0] {
		case 'm':
			if len(d.media) == maxSections {
				d.adopt()
				return &d, nil
			}
			d.media = append(d.media, parseMedia(value))
			m = &d.media[len(d.media)-1]
		case 'a':
			name, value, _ := strings.Cut(value, ":")
			value = strings.TrimSpace(value)
			if m != nil {
				m.attribute(name, value)
			} else if name == "control" {
				d.control = value
			}
		}
	}
	if len(d.media) == 0 {
		return nil, errors.New("the description names no media")
	}
	d.adopt()
	return &d, nil
}

func parseMedia(s string) mediaDescription {
	m := mediaDescription{rtpmap: map[uint8]string{}, fmtp: map[uint8]string{}}
	fields := strings.Fields(s)
	for i, f := range fields {
		switch i {
		case 0:
			m.kind = strings.ToLower(f)
		case 1: // the port, 0 over RTSP
		case 2:
			m.protocol = strings.ToUpper(f)
		default:
			if n, err := strconv.ParseUint(f, 10, 7); err == nil && len(m.payloads) < maxPayloads {
				m.payloads = append(m.payloads, uint8(n))
			}
		}
	}
	return m
}

func (m *mediaDescription) attribute(name, value string) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "rtpmap":
		if pt, rest, ok := payloadValue(value); ok {
			m.rtpmap[pt] = rest
		}
	case "fmtp":
		if pt, rest, ok := payloadValue(value); ok {
			m.fmtp[pt] = rest
		}
	case "control":
		m.control = value
	case "sendonly":
		m.sendOnly = true
	case "x-dimensions":
		m.size(value, ",")
	case "framesize":
		if _, rest, ok := payloadValue(value); ok {
			m.size(rest, "-")
		}
	}
}

func (m *mediaDescription) size(value, separator string) {
	w, h, _ := strings.Cut(value, separator)
	width, err1 := strconv.ParseUint(strings.TrimSpace(w), 10, 16)
	height, err2 := strconv.ParseUint(strings.TrimSpace(h), 10, 16)
	if err1 == nil && err2 == nil {
		m.width, m.height = uint16(width), uint16(height)
	}
}

func payloadValue(s string) (pt uint8, rest string, ok bool) {
	first, rest, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(first, 10, 7)
	return uint8(n), strings.TrimSpace(rest), err == nil
}

// adopt gives attributes that stand in the wrong section to the one whose payload type they name.
func (d *description) adopt() {
	for i := range d.media {
		for _, pt := range d.media[i].payloads {
			for j := range d.media {
				if i == j {
					continue
				}
				if _, has := d.media[i].fmtp[pt]; !has && !d.media[j].has(pt) {
					if v, ok := d.media[j].fmtp[pt]; ok {
						d.media[i].fmtp[pt] = v
					}
				}
				if _, has := d.media[i].rtpmap[pt]; !has && pt >= 96 && !d.media[j].has(pt) {
					if v, ok := d.media[j].rtpmap[pt]; ok {
						d.media[i].rtpmap[pt] = v
					}
				}
			}
		}
	}
}

func (m *mediaDescription) has(pt uint8) bool {
	for _, p := range m.payloads {
		if p == pt {
			return true
		}
	}
	return false
}

// encoding returns the name (lower case), clock rate and parameters of a payload type; rate 0 when it is not said.
func (m *mediaDescription) encoding(pt uint8) (name string, rate uint32, channels uint8) {
	s, ok := m.rtpmap[pt]
	if !ok && len(m.payloads) == 1 && pt < 96 && len(m.rtpmap) == 1 {
		// One format with a static number, described under another number.
		for _, s = range m.rtpmap {
			ok = true
		}
	}
	if !ok {
		s = staticPayloads[pt]
	}
	parts := strings.Split(s, "/")
	name = strings.ToLower(strings.TrimSpace(parts[0]))
	if len(parts) > 1 {
		n, _ := strconv.ParseUint(strings.TrimSpace(parts[1]), 10, 32)
		rate = uint32(n)
	}
	channels = 1
	if len(parts) > 2 {
		if n, err := strconv.ParseUint(strings.TrimSpace(parts[2]), 10, 8); err == nil && n > 0 {
			channels = uint8(n)
		}
	}
	return name, rate, channels
}

// staticPayloads are the formats of RFC 3551 section 6 that need no description.
var staticPayloads = map[uint8]string{
	0: "PCMU/8000", 2: "G726-32/8000", 3: "GSM/8000", 4: "G723/8000", 8: "PCMA/8000", 9: "G722/8000", 10: "L16/44100/2",
	11: "L16/44100/1", 14: "MPA/90000", 18: "G729/8000", 26: "JPEG/90000", 31: "H261/90000", 32: "MPV/90000", 33: "MP2T/90000",
}

// parameters reads the value of an fmtp attribute: "a=b; c=d", names in any case, stray semicolons and all.
func parameters(s string) map[string]string {
	p := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			p[name] = strings.TrimSpace(value)
		}
	}
	return p
}
