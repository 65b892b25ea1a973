package codec

import (
	"fmt"

	"nightjar/internal/media"
)

// The audio object types that are named here (ISO/IEC 14496-3 table 1.17).
const (
	objectTypeLC  = 2
	objectTypeSBR = 5
	objectTypePS  = 29
	objectTypeELD = 39
)

// AACConfig is an AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) of an AAC object type.
type AACConfig struct {
	ObjectType    uint8  // audioObjectType of the core: 2 AAC-LC, 23 AAC-LD, 39 AAC-ELD, …
	SampleRate    uint32 // of the core
	ChannelConfig uint8  // 0: the channels are in a program_config_element
	Channels      uint8  // channels of the core
	FrameLength   uint16 // sampling instants of the core in an access unit: 1024, 960, 512 or 480

	// SBR and PS are set where they are signalled explicitly: Hierarchical, as the first object type or within the ELD
	// configuration, or in the extension after the core's configuration.
	SBR, PS      bool
	Hierarchical bool
	OutputRate   uint32 // sampling rate with SBR; SampleRate without
}

const whatASC = "AudioSpecificConfig"

var aacRates = [...]uint32{
	96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
}

// aacChannels is the number of channels by channelConfiguration (table 1.19); 0 is reserved.
var aacChannels = [...]uint8{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0}

// ParseAudioSpecificConfig parses an AudioSpecificConfig as it stands in an SDP (RFC 3640 section 4.1) or an esds box.
func ParseAudioSpecificConfig(b []byte) (AACConfig, error) {
	r := bitReader{b: b}
	c := parseASC(&r, len(b)*8)
	if err := r.wrap(whatASC); err != nil {
		return AACConfig{}, err
	}
	return c, nil
}

// parseASC reads an AudioSpecificConfig that ends before bit end, counted like r.read; without a known end (-1) it has no
// extension after the core's part.
func parseASC(r *bitReader, end int) AACConfig {
	start := r.read
	c := AACConfig{ObjectType: readObjectType(r), SampleRate: readRate(r), ChannelConfig: uint8(r.u(4))}
	if c.ObjectType == objectTypeSBR || c.ObjectType == objectTypePS {
		c.SBR, c.PS, c.Hierarchical = true, c.ObjectType == objectTypePS, true
		c.OutputRate = readRate(r)
		c.ObjectType = readObjectType(r)
	}
	c.Channels = aacChannels[c.ChannelConfig]
	switch c.ObjectType {
	case 1, objectTypeLC, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23:
		c.parseGA(r, start)
	case objectTypeELD:
		c.parseELD(r)
	default: // CELP, speech, USAC and others are no AAC, whatever the SDP says
		r.fail("audioObjectType", ErrUnsupported)
	}
	if c.ObjectType >= 17 && c.ObjectType != 29 && r.u(2) > 1 { // epConfig
		r.fail("epConfig", ErrUnsupported)
	}
	if c.Channels == 0 {
		r.fail("channelConfiguration", ErrInvalid)
	}
	if r.err == nil && !c.Hierarchical && end >= 0 {
		c.parseExtension(r, end)
	}
	if !c.SBR {
		c.OutputRate = c.SampleRate
	}
	return c
}

func readObjectType(r *bitReader) uint8 {
	t := r.u(5)
	if t == 31 {
		t = 32 + r.u(6)
	}
	return uint8(t)
}

func readRate(r *bitReader) uint32 {
	rate := uint32(0)
	switch i := r.u(4); {
	case i == 15:
		rate = r.u(24)
	case int(i) < len(aacRates):
		rate = aacRates[i]
	}
	if rate == 0 {
		r.fail("samplingFrequencyIndex", ErrInvalid)
	}
	return rate
}

// parseGA reads GASpecificConfig (section 4.4.1).
func (c *AACConfig) parseGA(r *bitReader, start int) {
	short := r.flag() // frameLengthFlag
	switch c.FrameLength = 1024; {
	case c.ObjectType == 23 && short:
		c.FrameLength = 480
	case c.ObjectType == 23:
		c.FrameLength = 512
	case short:
		c.FrameLength = 960
	}
	if r.flag() { // dependsOnCoreCoder
		r.u(14)
	}
	extension := r.flag()
	if c.ChannelConfig == 0 {
		c.Channels = readProgramConfig(r, start)
	}
	if c.ObjectType == 6 || c.ObjectType == 20 {
		r.u(3) // layerNr
	}
	if !extension {
		return
	}
	switch c.ObjectType {
	case 22:
		r.u(16) // numOfSubFrame, layer_length
	case 17, 19, 20, 23:
		r.u(3) // three resilience flags
	}
	r.u(1) // extensionFlag3
}

// parseELD reads the part of ELDSpecificConfig (section 4.6.20.2) that says how long an access unit is, and stops at the
// SBR header.
func (c *AACConfig) parseELD(r *bitReader) {
	if c.FrameLength = 512; r.flag() {
		c.FrameLength = 480
	}
	r.u(3) // three resilience flags
	if !r.flag() {
		return
	}
	double := r.flag() // ldSbrSamplingRate
	c.SBR, c.Hierarchical = true, true
	if c.OutputRate = c.SampleRate; double {
		c.OutputRate *= 2
	}
}

// parseExtension reads the backward compatible signalling of SBR and PS after the core (section 1.6.2.1).
func (c *AACConfig) parseExtension(r *bitReader, end int) {
	if end-r.read < 16 || r.u(11) != 0x2b7 || readObjectType(r) != objectTypeSBR || !r.flag() {
		return
	}
	c.OutputRate = readRate(r)
	c.SBR = r.err == nil
	if end-r.read >= 12 && r.u(11) == 0x548 {
		c.PS = r.flag()
	}
}

// readProgramConfig counts the channels of a program_config_element (section 4.4.1.1). Its comment begins on a byte
// boundary counted from start.
func readProgramConfig(r *bitReader, start int) uint8 {
	r.u(10) // element_instance_tag, object_type, sampling_frequency_index
	pairs := int(r.u(4)) + int(r.u(4)) + int(r.u(4))
	lfe, data, coupling := r.u(2), r.u(3), r.u(4)
	for _, n := range [...]uint{4, 4, 3} { // mono, stereo, matrix mixdown
		if r.flag() {
			r.u(n)
		}
	}
	channels := lfe
	for range pairs {
		channels += 1 + r.u(1)
		r.u(4)
	}
	r.skip(int(4*lfe + 4*data + 5*coupling))
	if over := (r.read - start) % 8; over != 0 {
		r.skip(8 - over)
	}
	r.skip(8 * int(r.u(8)))
	return uint8(channels)
}

// AACFrames is how long an access unit lasts: sampling instants of OutputRate, the unit of the track's ClockRate.
func AACFrames(c *AACConfig) uint32 {
	return uint32(uint64(c.FrameLength) * uint64(c.OutputRate) / uint64(c.SampleRate))
}

// outputChannels is how many channels a player gets: parametric stereo makes two of one.
func (c *AACConfig) outputChannels() uint8 {
	if c.PS && c.Channels == 1 {
		return 2
	}
	return c.Channels
}

// AACTrack describes a track by its AudioSpecificConfig, which is stored as it is. Its clock has the sampling rate of what
// a player puts out: with SBR signalled explicitly twice that of the core; SBR that only the access units tell of
// (implicit signalling) stays unknown, and the clock is the core's.
func AACTrack(index int, config []byte) (*media.Track, error) {
	c, err := ParseAudioSpecificConfig(config)
	if err != nil {
		return nil, err
	}
	if c.OutputRate%c.SampleRate != 0 { // an access unit would not last a whole number of instants
		return nil, refuse(whatASC, "extensionSamplingFrequency", ErrUnsupported)
	}
	object := c.ObjectType // RFC 6381 section 3.3: the first object type of the configuration
	if c.Hierarchical && c.ObjectType != objectTypeELD {
		if object = objectTypeSBR; c.PS {
			object = objectTypePS
		}
	}
	return &media.Track{
		Index: index, Kind: media.Audio, Codec: media.AAC, ClockRate: c.OutputRate,
		SampleEntry: appendAudioEntry("mp4a", uint16(c.outputChannels()), 16, c.OutputRate, func(b []byte) []byte {
			return appendESDS(b, objectAAC, streamAudio, config)
		}),
		RFC6381:  fmt.Sprintf("mp4a.40.%d", object),
		Channels: c.outputChannels(),
	}, nil
}

// ADTS is the header of a frame of an audio data transport stream (ISO/IEC 14496-3 section 1.A.2.2).
type ADTS struct {
	ObjectType    uint8
	SampleRate    uint32
	ChannelConfig uint8
	HeaderSize    int // where the access unit begins: 7, or 9 with a checksum
	FrameSize     int // header and access unit
	Blocks        int // access units (raw_data_blocks) in the frame

	rateIndex uint8
}

const whatADTS = "ADTS header"

// ParseADTS parses the header at the start of b, which need not hold the whole frame.
func ParseADTS(b []byte) (ADTS, error) {
	if len(b) < 7 {
		return ADTS{}, refuse(whatADTS, "", ErrTruncated)
	}
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 { // syncword, layer
		return ADTS{}, refuse(whatADTS, "syncword", ErrWrongType)
	}
	h := ADTS{
		ObjectType:    b[2]>>6 + 1,
		ChannelConfig: b[2]&1<<2 | b[3]>>6,
		HeaderSize:    7,
		FrameSize:     int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5),
		Blocks:        int(b[6]&3) + 1,
		rateIndex:     b[2] >> 2 & 0xf,
	}
	if int(h.rateIndex) >= len(aacRates) {
		return ADTS{}, refuse(whatADTS, "sampling_frequency_index", ErrInvalid)
	}
	h.SampleRate = aacRates[h.rateIndex]
	if b[1]&1 == 0 {
		h.HeaderSize = 9
	}
	if h.FrameSize < h.HeaderSize {
		return ADTS{}, refuse(whatADTS, "aac_frame_length", ErrInvalid)
	}
	return h, nil
}

// AudioSpecificConfig is the configuration that says the same as the header. Channel configuration 0, where each access
// unit brings its program_config_element, has none.
func (h *ADTS) AudioSpecificConfig() ([]byte, error) {
	if h.ChannelConfig == 0 {
		return nil, refuse(whatADTS, "channel_configuration", ErrUnsupported)
	}
	return []byte{h.ObjectType<<3 | h.rateIndex>>1, h.rateIndex<<7 | h.ChannelConfig<<3}, nil
}
