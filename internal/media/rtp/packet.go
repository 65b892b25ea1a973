// Package rtp reads and writes RTP and RTCP (RFC 3550) and turns packets into samples and back.
//
// Nouns: a Packet is one RTP packet parsed in place; a Sequence tells what its number says about loss; a Clock turns
// 32-bit timestamps into a line without wraps; a Reorder buffer puts datagrams back into order; a Depacketizer assembles
// the packets of one track into Units (access units, audio payloads, documents); a packetizer does the reverse.
//
// Invariants: nothing here reads a clock, starts a goroutine or keeps a packet it was given (Reorder copies what it
// holds). A Unit's bytes belong to the depacketizer and are valid only during the call that hands it on. In steady state
// no function that runs per packet allocates. Buffers are bounded: Reorder in packets and bytes, depacketizers by
// MaxUnit. Values are not safe for concurrent use; each belongs to whoever reads the connection.
//
// Payload formats: H.264 (RFC 6184), H.265 (RFC 7798), JPEG (RFC 2435), AAC (RFC 3640 and LATM of RFC 6416), G.711,
// G.726 and L16 (RFC 3551 section 4.5), Opus (RFC 7587), ONVIF metadata (ONVIF Streaming Specification section 5.2.1).
package rtp

import (
	"encoding/binary"
	"fmt"
)

// HeaderSize is the length of a header without contributing sources and extension (RFC 3550 section 5.1).
const HeaderSize = 12

// Packet is an RTP packet. Payload and Extension point into the bytes that were parsed.
type Packet struct {
	Marker      bool
	PayloadType uint8
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
	Payload     []byte // without padding

	ExtensionProfile uint16 // "defined by profile" of section 5.3.1; meaningful when Extension is not nil
	Extension        []byte
}

// PacketError says what is wrong with a packet's bytes. The packet is to be skipped; the stream may go on.
type PacketError struct {
	What   string // the kind of packet, for example "RTP header" or "FU-A"
	Detail string
}

func (e *PacketError) Error() string { return "broken " + e.What + ": " + e.Detail }

// UnsupportedError names a feature of a payload format that is not read. The stream can't be recorded as it is.
type UnsupportedError struct {
	What string // the feature and where it is defined
}

func (e *UnsupportedError) Error() string { return "unsupported: " + e.What }

func broken(what, format string, args ...any) error {
	return &PacketError{What: what, Detail: fmt.Sprintf(format, args...)}
}

// Parse reads the packet in b (RFC 3550 section 5.1).
func Parse(b []byte) (Packet, error) {
	if len(b) < HeaderSize {
		return Packet{}, broken("RTP header", "%d bytes", len(b))
	}
	if b[0]>>6 != 2 {
		return Packet{}, broken("RTP header", "version %d", b[0]>>6)
	}
	p := Packet{
		Marker:      b[1]&0x80 != 0,
		PayloadType: b[1] & 0x7f,
		Sequence:    binary.BigEndian.Uint16(b[2:]),
		Timestamp:   binary.BigEndian.Uint32(b[4:]),
		SSRC:        binary.BigEndian.Uint32(b[8:]),
	}
	at := HeaderSize + 4*int(b[0]&0x0f)
	if at > len(b) {
		return Packet{}, broken("RTP header", "%d contributing sources in %d bytes", b[0]&0x0f, len(b))
	}
	if b[0]&0x10 != 0 {
		if len(b)-at < 4 {
			return Packet{}, broken("RTP header", "cut extension")
		}
		n := 4 * int(binary.BigEndian.Uint16(b[at+2:]))
		if len(b)-at-4 < n {
			return Packet{}, broken("RTP header", "extension of %d bytes in %d", n, len(b)-at-4)
		}
		p.ExtensionProfile = binary.BigEndian.Uint16(b[at:])
		p.Extension = b[at+4 : at+4+n]
		at += 4 + n
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		pad := int(b[end-1])
		if pad == 0 || pad > end-at {
			return Packet{}, broken("RTP header", "padding of %d in %d bytes", pad, end-at)
		}
		end -= pad
	}
	p.Payload = b[at:end:end]
	return p, nil
}

// AppendHeader appends the twelve bytes of p's header, without extension, to dst.
func (p *Packet) AppendHeader(dst []byte) []byte {
	second := p.PayloadType & 0x7f
	if p.Marker {
		second |= 0x80
	}
	dst = append(dst, 0x80, second)
	dst = binary.BigEndian.AppendUint16(dst, p.Sequence)
	dst = binary.BigEndian.AppendUint32(dst, p.Timestamp)
	return binary.BigEndian.AppendUint32(dst, p.SSRC)
}
