package rtp

import (
	"encoding/binary"
	"time"
)

// The types of RTCP packets that are told apart (RFC 3550 section 12.1).
const (
	TypeSenderReport   = 200
	TypeReceiverReport = 201
	TypeDescription    = 202 // SDES
	TypeBye            = 203
)

// ControlPacket is one packet of a compound RTCP packet. Body points into the bytes that were parsed.
type ControlPacket struct {
	Type  uint8
	Count uint8  // the five bits after the padding bit: report blocks, sources or a subtype
	Body  []byte // what follows the first four bytes, without padding
}

// NextControl takes the first packet off b. Call it until rest is empty; a datagram may hold one compound or several.
func NextControl(b []byte) (p ControlPacket, rest []byte, err error) {
	if len(b) < 4 {
		return p, nil, broken("RTCP packet", "%d bytes", len(b))
	}
	if b[0]>>6 != 2 {
		return p, nil, broken("RTCP packet", "version %d", b[0]>>6)
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		return p, nil, broken("RTCP packet", "length %d of %d bytes", n, len(b))
	}
	end := n
	if b[0]&0x20 != 0 {
		pad := int(b[n-1])
		if pad == 0 || pad > n-4 {
			return p, nil, broken("RTCP packet", "padding of %d in %d bytes", pad, n)
		}
		end -= pad
	}
	return ControlPacket{Type: b[1], Count: b[0] & 0x1f, Body: b[4:end:end]}, b[n:], nil
}

// SenderReport is what a sender says of its clocks (RFC 3550 section 6.4.1).
type SenderReport struct {
	SSRC      uint32
	NTP       uint64 // seconds since 1900 in the upper half; 0 when the sender has no such clock
	Timestamp uint32 // the same instant on the clock of its RTP packets
	Packets   uint32
	Bytes     uint32
}

// SenderReport reads p as one.
func (p ControlPacket) SenderReport() (SenderReport, error) {
	if p.Type != TypeSenderReport || len(p.Body) < 24 {
		return SenderReport{}, broken("RTCP sender report", "type %d with %d bytes", p.Type, len(p.Body))
	}
	b := p.Body
	return SenderReport{
		SSRC:      binary.BigEndian.Uint32(b),
		NTP:       binary.BigEndian.Uint64(b[4:]),
		Timestamp: binary.BigEndian.Uint32(b[12:]),
		Packets:   binary.BigEndian.Uint32(b[16:]),
		Bytes:     binary.BigEndian.Uint32(b[20:]),
	}, nil
}

// SSRC returns the first source that p names, the sender in reports.
func (p ControlPacket) SSRC() (uint32, bool) {
	if len(p.Body) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.Body), true
}

// ReportBlock is what a receiver says of one source (RFC 3550 section 6.4.1).
type ReportBlock struct {
	SSRC             uint32
	FractionLost     uint8
	TotalLost        int32 // 24 bits, signed
	HighestSequence  uint32
	Jitter           uint32 // in timestamp units
	LastSenderReport uint32
	Delay            uint32 // since the last sender report, in 1/65536 s
}

// Block returns report block i of a sender or receiver report.
func (p ControlPacket) Block(i int) (ReportBlock, bool) {
	at := 4
	switch p.Type {
	case TypeSenderReport:
		at = 24
	case TypeReceiverReport:
	default:
		return ReportBlock{}, false
	}
	at += 24 * i
	if i < 0 || i >= int(p.Count) || at+24 > len(p.Body) {
		return ReportBlock{}, false
	}
	b := p.Body[at:]
	lost := int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8
	return ReportBlock{
		SSRC:             binary.BigEndian.Uint32(b),
		FractionLost:     b[4],
		TotalLost:        lost,
		HighestSequence:  binary.BigEndian.Uint32(b[8:]),
		Jitter:           binary.BigEndian.Uint32(b[12:]),
		LastSenderReport: binary.BigEndian.Uint32(b[16:]),
		Delay:            binary.BigEndian.Uint32(b[20:]),
	}, true
}

// CanonicalName returns the CNAME of the first chunk of a source description (RFC 3550 section 6.5).
func (p ControlPacket) CanonicalName() (string, bool) {
	if p.Type != TypeDescription || p.Count == 0 || len(p.Body) < 4 {
		return "", false
	}
	for b := p.Body[4:]; len(b) >= 2 && b[0] != 0; {
		n := int(b[1])
		if len(b) < 2+n {
			return "", false
		}
		if b[0] == 1 {
			return string(b[2 : 2+n]), true
		}
		b = b[2+n:]
	}
	return "", false
}

func appendControlHeader(dst []byte, kind uint8, count, words int) []byte {
	dst = append(dst, 0x80|uint8(count&0x1f), kind)
	return binary.BigEndian.AppendUint16(dst, uint16(words))
}

func appendBlock(dst []byte, b ReportBlock) []byte {
	dst = binary.BigEndian.AppendUint32(dst, b.SSRC)
	dst = binary.BigEndian.AppendUint32(dst, uint32(b.FractionLost)<<24|uint32(b.TotalLost)&0xffffff)
	dst = binary.BigEndian.AppendUint32(dst, b.HighestSequence)
	dst = binary.BigEndian.AppendUint32(dst, b.Jitter)
	dst = binary.BigEndian.AppendUint32(dst, b.LastSenderReport)
	return binary.BigEndian.AppendUint32(dst, b.Delay)
}

// AppendReceiverReport appends a report of source ssrc on at most 31 others.
func AppendReceiverReport(dst []byte, ssrc uint32, blocks ...ReportBlock) []byte {
	blocks = blocks[:min(len(blocks), 31)]
	dst = appendControlHeader(dst, TypeReceiverReport, len(blocks), 1+6*len(blocks))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	for _, b := range blocks {
		dst = appendBlock(dst, b)
	}
	return dst
}

// AppendSenderReport appends a sender report with at most 31 blocks.
func AppendSenderReport(dst []byte, r SenderReport, blocks ...ReportBlock) []byte {
	blocks = blocks[:min(len(blocks), 31)]
	dst = appendControlHeader(dst, TypeSenderReport, len(blocks), 6+6*len(blocks))
	dst = binary.BigEndian.AppendUint32(dst, r.SSRC)
	dst = binary.BigEndian.AppendUint64(dst, r.NTP)
	dst = binary.BigEndian.AppendUint32(dst, r.Timestamp)
	dst = binary.BigEndian.AppendUint32(dst, r.Packets)
	dst = binary.BigEndian.AppendUint32(dst, r.Bytes)
	for _, b := range blocks {
		dst = appendBlock(dst, b)
	}
	return dst
}

// AppendDescription appends a source description with a CNAME of at most 255 bytes (RFC 3550 section 6.5.1).
func AppendDescription(dst []byte, ssrc uint32, name string) []byte {
	name = name[:min(len(name), 255)]
	// The list of items ends with at least one zero byte and fills a whole word.
	words := 1 + (2+len(name))/4 + 1
	dst = appendControlHeader(dst, TypeDescription, 1, words)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, uint8(len(name)))
	dst = append(dst, name...)
	return append(dst, make([]byte, 4-(2+len(name))%4)...)
}

// AppendBye appends the end of a source (RFC 3550 section 6.6).
func AppendBye(dst []byte, ssrc uint32) []byte {
	dst = appendControlHeader(dst, TypeBye, 1, 1)
	return binary.BigEndian.AppendUint32(dst, ssrc)
}

// ntpEpoch is 1900-01-01 in seconds before 1970-01-01.
const ntpEpoch = 2_208_988_800

// NTPTime converts a 64-bit NTP time; the zero time.Time stands for 0 ("no clock", RFC 3550 section 6.4.1). Values below
// 2^63 are taken as of the era that begins in 2036 (RFC 4330 section 3).
func NTPTime(ntp uint64) time.Time {
	if ntp == 0 {
		return time.Time{}
	}
	sec := int64(ntp>>32) - ntpEpoch
	if ntp>>63 == 0 {
		sec += 1 << 32
	}
	nano := (ntp & 0xffffffff) * 1_000_000_000 >> 32
	return time.Unix(sec, int64(nano)).UTC()
}

// NTPOf is the inverse of NTPTime, rounded up so that NTPTime gives t back.
func NTPOf(t time.Time) uint64 {
	frac := (uint64(t.Nanosecond())<<32 + 999_999_999) / 1_000_000_000
	return uint64(t.Unix()+ntpEpoch)<<32 | frac&0xffffffff
}

// Reception gathers what a receiver report says of one source. The zero value is ready.
type Reception struct {
	SSRC uint32

	jitter       int64 // RFC 3550 appendix A.8: in timestamp units, times 16
	transit      int64
	haveTransit  bool
	priorReceive uint64
	priorExpect  uint64
	lastNTP      uint32
	lastReport   time.Time
}

// Arrived notes when a packet with a timestamp on a clock of rate came (RFC 3550 section 6.4.1, jitter).
func (r *Reception) Arrived(ts uint32, at time.Time, rate uint32) {
	arrival := at.Unix()*int64(rate) + int64(at.Nanosecond())*int64(rate)/1_000_000_000
	transit := int64(int32(uint32(arrival) - ts))
	if !r.haveTransit {
		r.transit, r.haveTransit = transit, true
		return
	}
	d := int64(int32(uint32(transit) - uint32(r.transit)))
	r.transit = transit
	if d < 0 {
		d = -d
	}
	r.jitter += d - (r.jitter+8)>>4
}

// Reported notes a sender report.
func (r *Reception) Reported(s SenderReport, at time.Time) {
	r.lastNTP, r.lastReport = uint32(s.NTP>>16), at
}

// Block makes the report block of this moment from the source's sequence (RFC 3550 appendix A.3).
func (r *Reception) Block(s *Sequence, now time.Time) ReportBlock {
	expected := s.Received + s.Lost
	expectedNow, receivedNow := expected-r.priorExpect, s.Received-r.priorReceive
	r.priorExpect, r.priorReceive = expected, s.Received
	b := ReportBlock{
		SSRC:            r.SSRC,
		TotalLost:       int32(min(s.Lost, 0x7fffff)),
		HighestSequence: uint32(s.next - 1 - 1<<16),
		Jitter:          uint32(r.jitter >> 4),
	}
	if expectedNow > receivedNow && expectedNow < 1<<32 {
		b.FractionLost = uint8(min((expectedNow-receivedNow)<<8/expectedNow, 255))
	}
	if !r.lastReport.IsZero() {
		b.LastSenderReport = r.lastNTP
		b.Delay = uint32(now.Sub(r.lastReport) * 65536 / time.Second)
	}
	return b
}
