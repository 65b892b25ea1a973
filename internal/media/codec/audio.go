package codec

import (
	"strings"

	"nightjar/internal/media"
)

// G711Track describes a track of G.711 samples (RFC 3551 section 4.5.14): the sample entries ulaw and alaw, which are
// QuickTime's and which ffmpeg, GStreamer and Chromium read in ISO files too.
func G711Track(index int, codec media.Codec, rate uint32, channels uint8) (*media.Track, error) {
	kind := ""
	switch codec {
	case media.PCMU:
		kind = "ulaw"
	case media.PCMA:
		kind = "alaw"
	default:
		return nil, refuse("G.711 track", "codec", ErrWrongType)
	}
	if err := checkPCM("G.711 track", rate, channels); err != nil {
		return nil, err
	}
	return &media.Track{
		Index: index, Kind: media.Audio, Codec: codec, ClockRate: rate,
		SampleEntry: appendAudioEntry(kind, uint16(channels), 16, rate, nil), // 16: bits of a decoded sample
		RFC6381:     kind, Channels: channels, BytesPerFrame: uint16(channels),
	}, nil
}

// L16Track describes a track of 16-bit samples in network byte order (RFC 3551 section 4.5.11): the sample entry twos,
// which says exactly that. The ISO entry ipcm (ISO/IEC 23003-5) would be the standard's choice, but is younger than many
// players in use, while all read twos.
func L16Track(index int, rate uint32, channels uint8) (*media.Track, error) {
	if err := checkPCM("L16 track", rate, channels); err != nil {
		return nil, err
	}
	return &media.Track{
		Index: index, Kind: media.Audio, Codec: media.L16, ClockRate: rate,
		SampleEntry: appendAudioEntry("twos", uint16(channels), 16, rate, nil),
		RFC6381:     "twos", Channels: channels, BytesPerFrame: 2 * uint16(channels),
	}, nil
}

func checkPCM(what string, rate uint32, channels uint8) error {
	if rate == 0 || rate > 0xffff { // the entry's 16.16 field is the only place for it
		return refuse(what, "clock rate", ErrUnsupported)
	}
	if channels == 0 || channels > 8 {
		return refuse(what, "channels", ErrUnsupported)
	}
	return nil
}

// G711Frames is how many sampling instants a payload of G.711 has.
func G711Frames(payload []byte, channels uint8) uint32 { return pcmFrames(payload, uint32(channels)) }

// L16Frames is how many sampling instants a payload of L16 has.
func L16Frames(payload []byte, channels uint8) uint32 { return pcmFrames(payload, 2*uint32(channels)) }

func pcmFrames(payload []byte, size uint32) uint32 {
	if size == 0 {
		return 0
	}
	return uint32(len(payload)) / size
}

// g726Entry is QuickTime's spelling of a WAVE format tag, here 0x0045, G.726 ADPCM. Neither ISO nor QuickTime has a code
// of its own; ffmpeg and VLC read this one, browsers do not decode G.726 at all.
const g726Entry = "ms\x00\x45"

// g726Rate is the only sampling rate of G.726.
const g726Rate = 8000

// G726Track describes a track of G.726 with 2, 3, 4 or 5 bits for each sampling instant (16, 24, 32 or 40 kbit/s). Its
// samples have the first code in the most significant bits, as in ITU-T I.366.2 annex E and the AAL2-G726 payloads;
// payloads of the G726 formats of RFC 3551 section 4.5.4 are brought into this order with G726Swap.
func G726Track(index int, bitsPerCode uint8) (*media.Track, error) {
	if bitsPerCode < 2 || bitsPerCode > 5 {
		return nil, refuse("G.726 track", "bit rate", ErrUnsupported)
	}
	return &media.Track{
		Index: index, Kind: media.Audio, Codec: media.G726, ClockRate: g726Rate,
		SampleEntry: appendAudioEntry(g726Entry, 1, uint16(bitsPerCode), g726Rate, nil),
		Channels:    1,
	}, nil
}

// G726Frames is how many sampling instants a payload has; bits that are no whole code at its end are padding.
func G726Frames(payload []byte, bitsPerCode uint8) uint32 {
	if bitsPerCode == 0 {
		return 0
	}
	return uint32(uint64(len(payload)) * 8 / uint64(bitsPerCode))
}

// G726Swap turns a payload with the first code in the least significant bits (RFC 3551 section 4.5.4) into one with the
// first code in the most significant bits, in place. Packets have whole groups of 8 codes, and for 2 and 4 bits whole
// bytes; what is left over at the end is set to 0.
func G726Swap(payload []byte, bitsPerCode uint8) {
	if bitsPerCode < 2 || bitsPerCode > 5 {
		return
	}
	n := uint(bitsPerCode)
	group := int(bitsPerCode) // bytes of 8 codes
	for len(payload) > 0 {
		size := min(group, len(payload))
		var in, out uint64
		for i := range size {
			in |= uint64(payload[i]) << (8 * i)
		}
		codes := uint(size) * 8 / n
		for range codes {
			out = out<<n | in&(1<<n-1)
			in >>= n
		}
		out <<= uint(size)*8 - codes*n
		for i := range size {
			payload[i] = byte(out >> (8 * (size - 1 - i)))
		}
		payload = payload[size:]
	}
}

// opusRate is the clock of Opus whatever its input had (RFC 7587 section 4.1).
const opusRate = 48_000

// OpusTrack describes a track of Opus packets with one or two channels (sprop-stereo of RFC 7587 section 6.1 is a hint;
// packets may have either number). The pre-skip is 0: a recording begins amid a running stream, where the encoder's
// delay has long passed.
func OpusTrack(index int, channels uint8) (*media.Track, error) {
	if channels < 1 || channels > 2 {
		return nil, refuse("Opus track", "channels", ErrUnsupported)
	}
	return &media.Track{
		Index: index, Kind: media.Audio, Codec: media.Opus, ClockRate: opusRate,
		SampleEntry: appendAudioEntry("Opus", uint16(channels), 16, opusRate, func(b []byte) []byte {
			return appendBox(b, "dOps", func(b []byte) []byte { // "Encapsulation of Opus in ISO Base Media" 4.3.2
				b = append(b, 0, channels, 0, 0) // version, channels, pre-skip
				b = be.AppendUint32(b, opusRate) // rate of the input, informative
				return append(b, 0, 0, 0)        // gain 0, mapping family 0
			})
		}),
		RFC6381: "opus", Channels: channels,
	}, nil
}

// opusLengths are the durations of a frame by the configuration number of the TOC byte (RFC 6716 table 2), in samples of
// 48 kHz: four for each of SILK (0 to 11), two pairs of hybrid (12 to 15), four for each of CELT (16 to 31).
var (
	opusSILK   = [4]uint32{480, 960, 1920, 2880}
	opusHybrid = [2]uint32{480, 960}
	opusCELT   = [4]uint32{120, 240, 480, 960}
)

// OpusFrames is how long a packet lasts in samples of 48 kHz (RFC 6716 sections 3.1 and 3.2).
func OpusFrames(packet []byte) (uint32, error) {
	if len(packet) == 0 {
		return 0, refuse("Opus packet", "TOC", ErrTruncated)
	}
	var length uint32
	switch config := packet[0] >> 3; {
	case config < 12:
		length = opusSILK[config&3]
	case config < 16:
		length = opusHybrid[config&1]
	default:
		length = opusCELT[config&3]
	}
	count := uint32(1)
	switch packet[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(packet) < 2 {
			return 0, refuse("Opus packet", "frame count", ErrTruncated)
		}
		count = uint32(packet[1] & 0x3f)
	}
	if total := length * count; total > 0 && total <= 5760 { // at most 120 ms
		return total, nil
	}
	return 0, refuse("Opus packet", "frame count", ErrInvalid)
}

// OpusChannels is the number of channels of a packet by its TOC byte.
func OpusChannels(packet []byte) uint8 {
	if len(packet) > 0 && packet[0]&4 != 0 {
		return 2
	}
	return 1
}

// onvifNamespace is the XML namespace of ONVIF metadata streams (ONVIF Streaming Specification section 5.1.2.1.1).
const onvifNamespace = "http://www.onvif.org/ver10/schema"

// onvifPlain is the RTP encoding name of metadata that is not compressed; the others begin with it.
const onvifPlain = "vnd.onvif.metadata"

// ONVIFMetadataTrack describes a track of ONVIF metadata by the RTP encoding name: vnd.onvif.metadata or one of its
// compressed forms (.gzip, .exi.onvif, .exi.ext). The sample entry is metx (ISO/IEC 14496-12 section 12.3.3.2) with the
// namespace of ONVIF, as GStreamer writes and reads it; of compressed forms content_encoding is the media type.
func ONVIFMetadataTrack(index int, encodingName string) (*media.Track, error) {
	name := strings.ToLower(encodingName)
	encoding := ""
	switch name {
	case onvifPlain:
	case onvifPlain + ".gzip", onvifPlain + ".exi.onvif", onvifPlain + ".exi.ext":
		encoding = "application/" + name
	default:
		return nil, refuse("metadata track", "encoding name", ErrUnsupported)
	}
	return metadataTrack(index, encoding), nil
}

func metadataTrack(index int, encoding string) *media.Track {
	return &media.Track{
		Index: index, Kind: media.Metadata, Codec: media.ONVIFMetadata, ClockRate: media.TicksPerSecond,
		SampleEntry: appendBox(nil, "metx", func(b []byte) []byte {
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // reserved, data_reference_index
			b = append(append(b, encoding...), 0)
			b = append(append(b, onvifNamespace...), 0)
			return append(b, 0) // schema_location
		}),
		RFC6381: "metx",
	}
}
