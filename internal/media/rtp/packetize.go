package rtp

import "encoding/binary"

// DefaultMTU is the largest packet that a packetizer makes unless told otherwise: what fits an Ethernet frame with room
// for a tunnel.
const DefaultMTU = 1400

// Packetizer writes the packets of one track. The packet handed to emit is valid during the call.
type Packetizer struct {
	SSRC        uint32
	PayloadType uint8
	Sequence    uint16 // of the next packet
	MTU         int    // 0 is DefaultMTU

	Packets uint32 // sent so far, for sender reports
	Bytes   uint32 // of payload, likewise

	buf []byte
}

func (w *Packetizer) mtu() int {
	if w.MTU == 0 {
		return DefaultMTU
	}
	return max(w.MTU, HeaderSize+8)
}

// begin starts a packet in the buffer.
func (w *Packetizer) begin(ts uint32) {
	p := Packet{PayloadType: w.PayloadType, Sequence: w.Sequence, Timestamp: ts, SSRC: w.SSRC}
	w.buf = p.AppendHeader(w.buf[:0])
}

func (w *Packetizer) finish(marker bool, emit func([]byte) error) error {
	if marker {
		w.buf[1] |= 0x80
	}
	w.Sequence++
	w.Packets++
	w.Bytes += uint32(len(w.buf) - HeaderSize)
	return emit(w.buf)
}

// Payload writes a sample as one packet (G.711, G.726, L16, Opus).
func (w *Packetizer) Payload(ts uint32, sample []byte, marker bool, emit func([]byte) error) error {
	w.begin(ts)
	w.buf = append(w.buf, sample...)
	return w.finish(marker, emit)
}

// H264 writes an access unit in length-prefixed form as single NAL unit packets and FU-A (RFC 6184 sections 5.6, 5.8).
func (w *Packetizer) H264(ts uint32, sample []byte, emit func([]byte) error) error {
	return w.units("H.264 access unit", ts, sample, emit, func(nal []byte, last bool) error {
		head := nal[0]
		return w.fragments(ts, nal[1:], last, emit, func(bits byte) {
			w.buf = append(w.buf, head&0xe0|h264FUA, bits|head&0x1f)
		})
	})
}

// H265 writes an access unit in length-prefixed form as single NAL unit packets and FU (RFC 7798 sections 4.4.1, 4.4.3).
func (w *Packetizer) H265(ts uint32, sample []byte, emit func([]byte) error) error {
	return w.units("H.265 access unit", ts, sample, emit, func(nal []byte, last bool) error {
		if len(nal) < 3 {
			return broken("H.265 access unit", "NAL unit of %d bytes", len(nal))
		}
		head, layer := nal[0], nal[1]
		return w.fragments(ts, nal[2:], last, emit, func(bits byte) {
			w.buf = append(w.buf, head&0x81|h265FU<<1, layer, bits|head>>1&0x3f)
		})
	})
}

// units walks through length-prefixed NAL units; split takes those that do not fit a packet.
func (w *Packetizer) units(what string, ts uint32, sample []byte, emit func([]byte) error, split func(nal []byte, last bool) error) error {
	for len(sample) > 0 {
		if len(sample) < 4 {
			return broken(what, "%d bytes behind the last NAL unit", len(sample))
		}
		n := int64(binary.BigEndian.Uint32(sample))
		sample = sample[4:]
		if n == 0 || n > int64(len(sample)) {
			return broken(what, "NAL unit of %d bytes in %d", n, len(sample))
		}
		nal := sample[:n]
		sample = sample[n:]
		last := len(sample) == 0
		var err error
		if len(nal)+HeaderSize <= w.mtu() {
			w.begin(ts)
			w.buf = append(w.buf, nal...)
			err = w.finish(last, emit)
		} else {
			err = split(nal, last)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Packetizer) fragments(ts uint32, body []byte, last bool, emit func([]byte) error, header func(bits byte)) error {
	const start, end = 0x80, 0x40
	bits := byte(start)
	for {
		w.begin(ts)
		n := min(len(body), w.mtu()-HeaderSize-3)
		if n == len(body) {
			bits |= end
		}
		header(bits)
		w.buf = append(w.buf, body[:n]...)
		body = body[n:]
		if err := w.finish(last && len(body) == 0, emit); err != nil || len(body) == 0 {
			return err
		}
		bits = 0
	}
}

// AAC writes an access unit in mode AAC-hbr: sizelength 13, indexlength 3, indexdeltalength 3 (RFC 3640 section 3.3.6).
func (w *Packetizer) AAC(ts uint32, sample []byte, emit func([]byte) error) error {
	if len(sample) == 0 || len(sample) >= 1<<13 {
		return broken("AAC access unit", "%d bytes", len(sample))
	}
	size := uint16(len(sample)) << 3
	for len(sample) > 0 {
		w.begin(ts)
		n := min(len(sample), w.mtu()-HeaderSize-4)
		w.buf = append(w.buf, 0, 16, byte(size>>8), byte(size))
		w.buf = append(w.buf, sample[:n]...)
		sample = sample[n:]
		if err := w.finish(len(sample) == 0, emit); err != nil {
			return err
		}
	}
	return nil
}

// Document writes an ONVIF metadata document.
func (w *Packetizer) Document(ts uint32, document []byte, emit func([]byte) error) error {
	for len(document) > 0 {
		w.begin(ts)
		n := min(len(document), w.mtu()-HeaderSize)
		w.buf = append(w.buf, document[:n]...)
		document = document[n:]
		if err := w.finish(len(document) == 0, emit); err != nil {
			return err
		}
	}
	return nil
}
