// Package media holds what the whole house agrees on about pictures and sound: the four time types, tracks and samples.
//
// A stream has tracks (video, audio, metadata), a track has samples, and a sample carries the bytes of one instant as
// the camera sent them. Nothing here knows of cameras, recordings or files. All types are plain values; a *Track is
// immutable once the first sample that names it was handed on, and may be shared between goroutines.
package media

import "time"

// Kind says what a track carries (the handler types vide, soun and meta of ISO/IEC 14496-12 section 12).
type Kind uint8

// The kinds of tracks, with the values that are stored.
const (
	Video Kind = 1 + iota
	Audio
	Metadata
)

func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Metadata:
		return "metadata"
	}
	return "unknown"
}

// Codec names the coding of a track's samples: the words used in the catalog, the API and the UI.
type Codec string

// The codecs that can be recorded.
const (
	H264          Codec = "h264"
	H265          Codec = "h265"
	MJPEG         Codec = "mjpeg"
	AAC           Codec = "aac"
	PCMU          Codec = "pcmu"
	PCMA          Codec = "pcma"
	G726          Codec = "g726"
	L16           Codec = "l16"
	Opus          Codec = "opus"
	ONVIFMetadata Codec = "onvif-metadata"
)

// Track describes one track of a stream, for all samples that point to it. When the parameters of a track change, the
// samples from then on (for video: from a key sample on) point to another Track with the same Index.
type Track struct {
	Index int // position among the tracks of the stream; video is 0
	Kind  Kind
	Codec Codec

	// ClockRate is the unit of audio and metadata durations in ticks a second: the sampling rate for audio
	// (48,000 for Opus, RFC 7587 section 4.1), 90,000 for video and metadata.
	ClockRate uint32

	// SampleEntry is the whole ISO/IEC 14496-12 section 8.5.2 sample entry box, from its length field on (avc1, hvc1,
	// mp4a, ulaw, alaw, …). Two tracks with equal bytes here decode alike.
	SampleEntry []byte

	// RFC6381 is the value of a MIME "codecs" parameter, for example "avc1.4d401e"; empty where none is defined.
	RFC6381 string

	Width, Height uint16   // video: cropped picture size in luma samples
	AspectH       uint16   // video: pixel aspect ratio, horizontal spacing; 0 is square
	AspectV       uint16   // video: vertical spacing
	FrameDuration Duration // video: nominal duration of a picture by the VUI timing; 0 when unknown
	ReorderDepth  int      // video: the most pictures that precede another in decoding and follow it in output
	Channels      uint8    // audio
	BytesPerFrame uint16   // audio of constant size per sampling instant (G.711, L16): bytes of all channels; else 0
}

// Flags marks what is particular about a sample.
type Flags uint8

// The flags of a sample, with the values that are stored.
const (
	// Key: decoding can begin here: an IDR or IRAP picture, or an H.264 picture whose SEI calls it a recovery point (ISO/IEC
	// 14496-10 D.2.8), as some cameras send no IDR after their first. Set on every audio and metadata sample.
	Key Flags = 1 << iota
	// Droppable: no other sample needs this one (nal_ref_idc 0, or the highest temporal sub-layer's non-reference picture).
	Droppable
	// Damaged: part of this sample was lost or broken on the way.
	Damaged
	// AfterLoss: at least one packet before this sample, since the previous one of the track, was lost.
	AfterLoss
)

// Sample is the data of one instant of one track, in decoding order within its track.
type Sample struct {
	Track *Track
	Flags Flags

	// Time is the presentation time on the run's media clock; all tracks of a stream share its origin. Without
	// reordering it is also the decoding time.
	Time Time

	// Frames is how long an audio sample lasts by its own content, in units of Track.ClockRate; 0 for other kinds.
	Frames uint32

	// Arrival is the server's clock (with its monotonic reading) when the last packet of the sample was read.
	Arrival time.Time

	// Data is the coded sample. H.264 and H.265: every NAL unit of the access unit in order, each after its length in 4
	// bytes, big-endian. AAC: one raw access unit. G.711, L16, Opus: the payload of one packet; G.726 the same with the
	// code words from the most significant bit on (RFC 3551 section 4.5.4 packs them the other way). The bytes belong
	// to the source and are valid only during the call that hands the sample on; whoever keeps them copies them.
	Data []byte
}

// Key reports whether the sample can be decoded alone.
func (s *Sample) Key() bool { return s.Flags&Key != 0 }

// Clocks are the clock readings a source took, for whoever must later explain what time it was (the five of the storage
// design). A zero time.Time or nil pointer means that the reading was not to be had.
type Clocks struct {
	Wall       time.Time     // the server's clock at the first sample's arrival
	Synced     *bool         // whether the kernel called the server's clock synchronised then (adjtimex)
	Uptime     time.Duration // since boot, suspended time included, at the same instant
	PlayTime   time.Time     // the camera's clock as its answer to PLAY told it (Date, or Range: clock=)
	SenderNTP  time.Time     // the latest RTCP sender report's NTP time (RFC 3550 section 6.4.1); zero if it was 0
	SenderTime Time          // the media time of that report's RTP timestamp
}
