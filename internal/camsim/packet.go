package camsim

import "encoding/binary"

// rtpHeader is the fixed RTP header (RFC 3550 section 5.1); framing is the interleaved header before it (RFC 2326
// section 10.12). Every packet is built with both; UDP leaves the framing out.
const (
	framing   = 4
	rtpHeader = 12
)

// packets is a list of packets back to back in one buffer, reused from picture to picture.
type packets struct {
	buf   []byte
	start []int // packet i is buf[start[i]:start[i+1]], the last one ends with buf
}

func (p *packets) reset() { p.buf, p.start = p.buf[:0], p.start[:0] }

func (p *packets) len() int { return len(p.start) }

func (p *packets) at(i int) []byte {
	if i+1 < len(p.start) {
		return p.buf[p.start[i]:p.start[i+1]]
	}
	return p.buf[p.start[i]:]
}

// add appends a copy of a whole packet and returns the copy.
func (p *packets) add(b []byte) []byte {
	p.start = append(p.start, len(p.buf))
	p.buf = append(p.buf, b...)
	return p.at(len(p.start) - 1)
}

// begin appends the headers of a packet with n bytes of payload to follow. Sequence number, timestamp and SSRC are
// zero until address fills them in.
func (p *packets) begin(payloadType byte, marker bool, n int) {
	p.start = append(p.start, len(p.buf))
	if marker {
		payloadType |= 0x80
	}
	n += rtpHeader
	p.buf = append(p.buf, '$', 0, byte(n>>8), byte(n), 0x80, payloadType, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// address fills in what differs from session to session.
func address(packet []byte, channel byte, seq uint16, timestamp, ssrc uint32) {
	packet[1] = channel
	binary.BigEndian.PutUint16(packet[6:], seq)
	binary.BigEndian.PutUint32(packet[8:], timestamp)
	binary.BigEndian.PutUint32(packet[12:], ssrc)
}

// packetiser turns NAL units into packets.
type packetiser struct {
	payloadType byte
	max         int // bytes of payload of a packet, at most
	h265        bool
}

// nal appends one NAL unit; last says that it ends its picture (marker bit, RFC 6184 section 5.1, RFC 7798 section 4.1).
func (z *packetiser) nal(p *packets, unit []byte, last bool) {
	switch {
	case len(unit) == 0:
	case len(unit) <= z.max:
		p.begin(z.payloadType, last, len(unit))
		p.buf = append(p.buf, unit...)
	case z.h265:
		z.fragment265(p, unit, last)
	default:
		z.fragment264(p, unit, last)
	}
}

// fragment264 writes FU-A packets (RFC 6184 section 5.8).
func (z *packetiser) fragment264(p *packets, unit []byte, last bool) {
	indicator, kind := unit[0]&0xe0|28, unit[0]&0x1f
	rest, start := unit[1:], byte(0x80)
	for len(rest) > 0 {
		n := min(len(rest), z.max-2)
		end := byte(0)
		if n == len(rest) {
			end = 0x40
		}
		p.begin(z.payloadType, last && end != 0, n+2)
		p.buf = append(p.buf, indicator, start|end|kind)
		p.buf = append(p.buf, rest[:n]...)
		rest, start = rest[n:], 0
	}
}

// fragment265 writes fragmentation units (RFC 7798 section 4.4.3).
func (z *packetiser) fragment265(p *packets, unit []byte, last bool) {
	if len(unit) < 3 {
		return
	}
	first, second, kind := unit[0]&0x81|49<<1, unit[1], unit[0]>>1&0x3f
	rest, start := unit[2:], byte(0x80)
	for len(rest) > 0 {
		n := min(len(rest), z.max-3)
		end := byte(0)
		if n == len(rest) {
			end = 0x40
		}
		p.begin(z.payloadType, last && end != 0, n+3)
		p.buf = append(p.buf, first, second, start|end|kind)
		p.buf = append(p.buf, rest[:n]...)
		rest, start = rest[n:], 0
	}
}

// aac appends one access unit in AAC-hbr mode (RFC 3640 section 3.3.6): one header of 13 bits size and 3 bits index,
// repeated in each fragment of a unit that does not fit (section 3.2.3).
func (z *packetiser) aac(p *packets, unit []byte) {
	size := len(unit)
	for first := true; first || len(unit) > 0; first = false {
		n := min(len(unit), z.max-4)
		p.begin(z.payloadType, n == len(unit), n+4)
		p.buf = append(p.buf, 0, 16, byte(size>>5), byte(size<<3))
		p.buf = append(p.buf, unit[:n]...)
		unit = unit[n:]
	}
}

// raw appends a payload as it is (G.711, L16: RFC 3551 section 4.5). The marker bit says that speech begins; it never
// stopped.
func (z *packetiser) raw(p *packets, payload []byte) {
	p.begin(z.payloadType, false, len(payload))
	p.buf = append(p.buf, payload...)
}

// xml appends a metadata document in as many packets as it takes; the marker ends it (ONVIF Streaming Specification
// section 5.1.2.1.1).
func (z *packetiser) xml(p *packets, doc []byte) {
	for len(doc) > 0 {
		n := min(len(doc), z.max)
		p.begin(z.payloadType, n == len(doc), n)
		p.buf = append(p.buf, doc[:n]...)
		doc = doc[n:]
	}
}

// senderReport appends a compound of sender report and source description (RFC 3550 sections 6.1, 6.4.1, 6.5), framed.
func senderReport(dst []byte, channel byte, ssrc uint32, ntp uint64, timestamp, count, octets uint32) []byte {
	const cname = "camsim@127.0.0.1"
	body := 28 + 4 + 4 + 2 + len(cname)
	pad := 4 - body%4 // at least one zero byte ends the chunk
	n := body + pad
	dst = append(dst, '$', channel, byte(n>>8), byte(n))
	dst = append(dst, 0x80, 200, 0, 6)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = binary.BigEndian.AppendUint64(dst, ntp)
	dst = binary.BigEndian.AppendUint32(dst, timestamp)
	dst = binary.BigEndian.AppendUint32(dst, count)
	dst = binary.BigEndian.AppendUint32(dst, octets)
	dst = append(dst, 0x81, 202, 0, byte((n-28)/4-1))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, byte(len(cname)))
	dst = append(dst, cname...)
	return append(dst, make([]byte, pad)...)
}
