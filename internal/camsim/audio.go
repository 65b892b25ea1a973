package camsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// audioFormat is what SDP and the clock need of an audio source.
type audioFormat struct {
	encoding string // rtpmap encoding name
	rate     int
	channels int
	frames   int  // sampling instants of a packet
	static   byte // payload type of RFC 3551 table 4, or 255
	aac      bool
	config   []byte // AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1)
}

// payloadType returns the static payload type, or the dynamic one that we use for audio.
func (f *audioFormat) payloadType() byte {
	if f.static != 255 {
		return f.static
	}
	return 97
}

// audioSource makes the packets of one stream. Used under stream.mu.
type audioSource interface {
	format() audioFormat
	// packet returns the payload of packet m, whose first sampling instant is at utc; valid until the next call.
	packet(m int64, utc time.Time) []byte
}

// The tone: G.711 at 8 kHz in packets of 40 ms. A quiet hum of 250 Hz lasts for ever; at each full second of the
// camera's clock a beep of 1,000 Hz sounds for 100 ms.
const (
	toneRate   = 8000
	toneFrames = 320
	beep       = 100 * time.Millisecond
)

// tone is the audio of generated streams.
type tone struct {
	mu        bool // µ-law instead of A-law
	hum, peal [32]byte
	buf       [toneFrames]byte
}

func newTone(muLaw bool) *tone {
	t := &tone{mu: muLaw}
	encode := aLaw
	if muLaw {
		encode = muLawOf
	}
	for i := range t.hum { // 32 instants: one period of 250 Hz, four of 1,000 Hz
		x := 2 * math.Pi * float64(i) / 32
		t.hum[i] = encode(int16(300 * math.Sin(x)))
		t.peal[i] = encode(int16(12_000 * math.Sin(4*x)))
	}
	return t
}

func (t *tone) format() audioFormat {
	if t.mu {
		return audioFormat{encoding: "PCMU", rate: toneRate, channels: 1, frames: toneFrames, static: 0}
	}
	return audioFormat{encoding: "PCMA", rate: toneRate, channels: 1, frames: toneFrames, static: 8}
}

func (t *tone) packet(m int64, utc time.Time) []byte {
	const period = time.Second / toneRate
	at := time.Duration(utc.Nanosecond())
	first := int(m * toneFrames % 32)
	for i := range t.buf {
		wave := &t.hum
		if at < beep {
			wave = &t.peal
		}
		t.buf[i] = wave[(first+i)%32]
		if at += period; at >= time.Second {
			at -= time.Second
		}
	}
	return t.buf[:]
}

// aLaw encodes one linear sample (ITU-T G.711 section 3, table 1).
func aLaw(x int16) byte {
	v, sign := int(x), byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	v = min(v>>3, 4095) // 13 bits with sign
	segment := 0
	for s := v >> 5; s > 0; s >>= 1 {
		segment++
	}
	b := byte(0)
	if segment < 2 {
		b = byte(v >> 1)
	} else {
		b = byte(segment<<4) | byte(v>>segment)&0x0f
	}
	return (b | sign) ^ 0x55
}

// muLawOf encodes one linear sample (ITU-T G.711 section 3, table 2).
func muLawOf(x int16) byte {
	v, sign := int(x), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v>>2, 8158) + 33 // 14 bits with sign
	segment := 0
	for s := v >> 6; s > 0; s >>= 1 {
		segment++
	}
	b := byte(segment<<4) | byte(v>>(segment+1))&0x0f
	return ^(b | sign)
}

// constant is audio of equal packets: a file of samples of constant size, looped.
type constant struct {
	f    audioFormat
	data []byte
	size int // bytes of a packet
	buf  []byte
}

func newConstant(f audioFormat, data []byte, bytesPerFrame int) (*constant, error) {
	c := &constant{f: f, data: data, size: f.frames * bytesPerFrame}
	if len(data) < c.size {
		return nil, fmt.Errorf("audio of %d bytes is shorter than one packet of %d", len(data), c.size)
	}
	c.data = data[:len(data)/bytesPerFrame*bytesPerFrame]
	return c, nil
}

func (c *constant) format() audioFormat { return c.f }

func (c *constant) packet(m int64, _ time.Time) []byte {
	total := int64(len(c.data))
	at := m % total * int64(c.size) % total
	c.buf = c.buf[:0]
	for len(c.buf) < c.size {
		n := min(int64(c.size-len(c.buf)), total-at)
		c.buf = append(c.buf, c.data[at:at+n]...)
		at = (at + n) % total
	}
	return c.buf
}

// units is audio of whole coded units (AAC), looped.
type units struct {
	f   audioFormat
	all [][]byte
}

func (u *units) format() audioFormat { return u.f }

func (u *units) packet(m int64, _ time.Time) []byte { return u.all[m%int64(len(u.all))] }

// g711 describes raw G.711 at 8 kHz in packets of 40 ms.
func g711(encoding string, static byte) audioFormat {
	return audioFormat{encoding: encoding, rate: toneRate, channels: 1, frames: toneFrames, static: static}
}

// linear16 describes L16 in packets of at most 20 ms (RFC 3551 section 4.5.11).
func linear16(rate, channels int) audioFormat {
	f := audioFormat{encoding: "L16", rate: rate, channels: channels, frames: max(1, min(rate/50, 1300/(2*channels))), static: 255}
	if rate == 44_100 && channels <= 2 {
		f.static = byte(12 - channels) // 10 is stereo, 11 mono
	}
	return f
}

// readWAV reads a RIFF WAVE file with G.711 or linear samples of 16 bits.
func readWAV(data []byte) (audioSource, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return nil, errors.New("not a RIFF WAVE file")
	}
	var format []byte
	for rest := data[12:]; len(rest) >= 8; {
		id, size := string(rest[:4]), int(min(uint64(binary.LittleEndian.Uint32(rest[4:])), uint64(len(rest)-8)))
		body := rest[8 : 8+size]
		switch {
		case id == "fmt ":
			format = body
		case id == "data" && len(format) >= 16:
			return wavData(format, body)
		}
		rest = rest[min(len(rest), 8+size+size%2):]
	}
	return nil, errors.New("no format or no data")
}

func wavData(format, body []byte) (audioSource, error) {
	tag := binary.LittleEndian.Uint16(format)
	channels := int(binary.LittleEndian.Uint16(format[2:]))
	rate := int(binary.LittleEndian.Uint32(format[4:]))
	bits := binary.LittleEndian.Uint16(format[14:])
	if channels < 1 || channels > 8 || rate < 1000 || rate > 192_000 {
		return nil, fmt.Errorf("%d channels at %d Hz are not played", channels, rate)
	}
	switch {
	case tag == 1 && bits == 16:
		swapped := make([]byte, len(body)&^1)
		for i := 0; i+1 < len(body); i += 2 {
			swapped[i], swapped[i+1] = body[i+1], body[i]
		}
		return newConstant(linear16(rate, channels), swapped, 2*channels)
	case tag == 6 && channels == 1 && rate == toneRate:
		return newConstant(g711("PCMA", 8), body, 1)
	case tag == 7 && channels == 1 && rate == toneRate:
		return newConstant(g711("PCMU", 0), body, 1)
	}
	return nil, fmt.Errorf("format tag %d with %d bits, %d channels at %d Hz is not played", tag, bits, channels, rate)
}

var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// readADTS reads a sequence of ADTS frames (ISO/IEC 14496-3 section 1.A.3.2).
func readADTS(data []byte) (audioSource, error) {
	u := &units{}
	for at := 0; at < len(data); {
		h := data[at:]
		if len(h) < 7 || h[0] != 0xff || h[1]&0xf6 != 0xf0 {
			return nil, fmt.Errorf("no ADTS header at byte %d", at)
		}
		header := 9
		if h[1]&1 != 0 {
			header = 7
		}
		size := int(h[3]&3)<<11 | int(h[4])<<3 | int(h[5])>>5
		index, channels := int(h[2]>>2&15), int(h[2]&1)<<2|int(h[3]>>6)
		if size < header || size > len(h) || index >= len(aacRates) || h[6]&3 != 0 {
			return nil, fmt.Errorf("ADTS header at byte %d describes no single frame of the file", at)
		}
		if u.all == nil {
			object := h[2]>>6 + 1
			u.f = aacFormat(aacRates[index], channels,
				[]byte{object<<3 | byte(index)>>1, byte(index)<<7 | byte(channels)<<3})
		}
		u.all = append(u.all, h[header:size])
		at += size
	}
	if u.all == nil {
		return nil, errors.New("no ADTS frames")
	}
	return u, nil
}

func aacFormat(rate, channels int, config []byte) audioFormat {
	return audioFormat{encoding: "mpeg4-generic", rate: rate, channels: channels, frames: 1024, static: 255, aac: true, config: config}
}

// silence is AAC-LC without a sound, for transcripts of cameras that send AAC: one or two channels with max_sfb 0
// (ISO/IEC 14496-3 section 4.4.2.1).
func silence(rate, channels int, config []byte) audioSource {
	unit := []byte{0, 0, 0, 7} // single_channel_element, end
	if channels == 2 {
		// channel_pair_element 001, tag 0000, common_window 1, ics_info (11 zero bits), ms_mask 00, two streams of 11 zero
		// bits, end 111
		unit = []byte{0x21, 0, 0, 0, 0, 0x1c}
	}
	return &units{aacFormat(rate, channels, config), [][]byte{unit}}
}
