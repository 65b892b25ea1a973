package rtp

import "nightjar/internal/media"

// MaxUnit is the largest unit that is assembled, in bytes. A key picture of a 32-megapixel camera has a few megabytes.
const MaxUnit = 16 << 20

// Unit is what one or more packets with the same timestamp carry: an access unit, a chunk of sound, a document.
type Unit struct {
	Timestamp uint32 // of the RTP packets
	Flags     media.Flags

	// Sets tells that the unit has parameter sets (H.264: SPS, PPS; H.265: VPS, SPS, PPS) in band.
	Sets bool

	// Frames is how long a chunk of sound lasts, in units of its clock rate; 0 for other kinds.
	Frames uint32

	// Width and Height are what JPEG packets say of the picture; 0 for other kinds.
	Width, Height uint16

	// Data is in the form of media.Sample.Data, valid during the call that hands the unit on.
	Data []byte
}

// Emit takes a unit. Its error ends the depacketizer's call and is returned as it is.
type Emit func(*Unit) error

// Depacketizer assembles the packets of one track.
type Depacketizer interface {
	// Push takes the next packet, in order; lost is how many are missing just before it. It calls emit for every unit
	// that is whole. A *PacketError says that the packet was of no use, and that the unit it belongs to will be flagged;
	// go on with the next. An *UnsupportedError is final. Any other error is emit's.
	Push(p *Packet, lost int, emit Emit) error
}
