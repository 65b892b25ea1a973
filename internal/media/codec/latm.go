package codec

// StreamMuxConfig is the configuration of a low overhead audio stream (LATM, ISO/IEC 14496-3 section 1.7.3) with one
// program and one layer, the only form that RFC 6416 and cameras use.
type StreamMuxConfig struct {
	Config    AACConfig
	ASC       []byte // the AudioSpecificConfig inside, moved to a byte boundary
	SubFrames int    // access units in an audioMuxElement

	fixedSize int // bytes of each access unit with frameLengthType 1; 0 where the element says it
}

const (
	whatMux        = "StreamMuxConfig"
	whatMuxElement = "audioMuxElement"
)

// ParseStreamMuxConfig parses the value of the SDP's config parameter (RFC 6416 section 7.1; hex digits decoded).
func ParseStreamMuxConfig(b []byte) (*StreamMuxConfig, error) {
	r := bitReader{b: b}
	return parseMux(&r)
}

func parseMux(r *bitReader) (*StreamMuxConfig, error) {
	var c StreamMuxConfig
	version := r.u(1)
	if version == 1 && r.flag() {
		r.fail("audioMuxVersionA", ErrUnsupported)
	}
	if version == 1 {
		latmValue(r) // taraBufferFullness
	}
	if !r.flag() && r.err == nil {
		r.fail("allStreamsSameTimeFraming", ErrUnsupported)
	}
	c.SubFrames = int(r.u(6)) + 1
	if r.u(4) != 0 {
		r.fail("numProgram", ErrUnsupported)
	}
	if r.u(3) != 0 {
		r.fail("numLayer", ErrUnsupported)
	}
	start := r.read
	if version == 0 {
		c.Config = parseASC(r, -1)
		if c.Config.ObjectType == objectTypeELD { // its length is not known without reading the SBR header
			r.fail("audioObjectType", ErrUnsupported)
		}
		if r.err == nil {
			c.ASC = copyBits(r.b, start, r.read)
		}
	} else {
		n := latmValue(r)
		start = r.read
		if r.err == nil && uint64(n) > uint64(r.rest()) {
			r.fail("ascLen", ErrTruncated)
		}
		if r.err == nil {
			c.Config = parseASC(r, start+int(n))
		}
		if r.err == nil && r.read > start+int(n) {
			r.fail("ascLen", ErrInvalid)
		}
		if r.err == nil {
			c.ASC = copyBits(r.b, start, start+int(n))
			r.skip(start + int(n) - r.read)
		}
	}
	c.parseFraming(r, version)
	if err := r.wrap(whatMux); err != nil {
		return nil, err
	}
	return &c, nil
}

func (c *StreamMuxConfig) parseFraming(r *bitReader, version uint32) {
	switch r.u(3) { // frameLengthType
	case 0:
		r.u(8) // latmBufferFullness
	case 1:
		c.fixedSize = int(r.u(9)) + 20
	default:
		r.fail("frameLengthType", ErrUnsupported)
	}
	if r.flag() { // otherDataPresent: its length; it stands after the access units and is not looked at
		if version == 1 {
			latmValue(r)
		} else {
			for more := true; more && r.err == nil; {
				more = r.flag()
				r.u(8)
			}
		}
	}
	if r.flag() { // crcCheckPresent
		r.u(8)
	}
}

// latmValue is LatmGetValue.
func latmValue(r *bitReader) uint32 {
	n := r.u(2)
	v := uint32(0)
	for range n + 1 {
		v = v<<8 | r.u(8)
	}
	return v
}

// size reads PayloadLengthInfo of one access unit.
func (c *StreamMuxConfig) size(r *bitReader) int {
	if c.fixedSize > 0 {
		return c.fixedSize
	}
	n := 0
	for r.err == nil {
		v := int(r.u(8))
		n += v
		if v != 255 {
			break
		}
	}
	return n
}

// Split calls yield for each access unit of an audioMuxElement without configuration (cpresent=0). The access units lie
// within element.
func (c *StreamMuxConfig) Split(element []byte, yield func(unit []byte)) error {
	for range c.SubFrames {
		r := bitReader{b: element}
		n := c.size(&r)
		if r.err == nil && n > len(element)-r.at {
			r.fail("PayloadLengthInfo", ErrTruncated)
		}
		if err := r.wrap(whatMuxElement); err != nil {
			return err
		}
		end := r.at + n
		yield(element[r.at:end:end])
		element = element[end:]
	}
	return nil
}

// SplitWithConfig calls yield for each access unit of an audioMuxElement that may bring its configuration (cpresent=1)
// and returns the configuration that holds from now on: previous, which may be nil at first, or the one it brought. As
// the access units are not on byte boundaries, they are copied.
func SplitWithConfig(previous *StreamMuxConfig, element []byte, yield func(unit []byte)) (*StreamMuxConfig, error) {
	r := bitReader{b: element}
	c := previous
	if !r.flag() && r.err == nil { // useSameStreamMux
		var err error
		if c, err = parseMux(&r); err != nil {
			return previous, err
		}
	}
	if c == nil {
		return nil, refuse(whatMuxElement, "useSameStreamMux", ErrNoParameterSets)
	}
	for range c.SubFrames {
		n := c.size(&r)
		if r.err == nil && n > r.rest()/8 {
			r.fail("PayloadLengthInfo", ErrTruncated)
		}
		if err := r.wrap(whatMuxElement); err != nil {
			return c, err
		}
		yield(copyBits(element, r.read, r.read+8*n))
		r.skip(8 * n)
	}
	return c, nil
}
