package rtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"nightjar/internal/media"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4, 5})
	f.Add([]byte{0xb1, 0x60, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 5, 5, 5, 0, 0, 0, 1, 1, 1, 1, 1, 7, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(append(p.AppendHeader(nil), p.Payload...))
		if err != nil || !bytes.Equal(again.Payload, p.Payload) || again.Sequence != p.Sequence || again.Timestamp != p.Timestamp ||
			again.SSRC != p.SSRC || again.Marker != p.Marker || again.PayloadType != p.PayloadType {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}

func FuzzControl(f *testing.F) {
	b := AppendSenderReport(nil, SenderReport{SSRC: 1, NTP: 2}, ReportBlock{SSRC: 3})
	f.Add(AppendBye(AppendDescription(AppendReceiverReport(b, 1, ReportBlock{TotalLost: -1}), 1, "name"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			p, rest, err := NextControl(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			b = rest
			p.CanonicalName()
			p.SSRC()
			sr, err := p.SenderReport()
			if err == nil {
				again, _, err := NextControl(AppendSenderReport(nil, sr))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := again.SenderReport(); err != nil || got != sr {
					t.Errorf("%+v came back as %+v", sr, got)
				}
			}
			for i := range 32 {
				block, ok := p.Block(i)
				if !ok {
					break
				}
				again, _, _ := NextControl(AppendReceiverReport(nil, 0, block))
				if got, _ := again.Block(0); got != block {
					t.Errorf("%+v came back as %+v", block, got)
				}
			}
		}
	})
}

func FuzzReorder(f *testing.F) {
	f.Add(uint16(65530), []byte{1, 1, 2, 255, 3, 0, 1, 200})
	f.Fuzz(func(t *testing.T, seq uint16, steps []byte) {
		r := &Reorder{MaxPackets: 8, MaxBytes: 64}
		var out uint64
		for _, step := range steps {
			seq += uint16(int16(int8(step)))
			if a := r.Add(seq, []byte{step}); a == InOrder || a == Restart {
				out++
			}
			for {
				_, _, ok := r.Next()
				if !ok {
					break
				}
				out++
			}
			if r.Held() >= 8 {
				t.Fatalf("%d held", r.Held())
			}
		}
		s := r.Stats()
		if s.Received-s.Late != out {
			t.Errorf("%d came out, counted %+v", out, s)
		}
	})
}

// fuzzDepacketizer cuts the input into packets: timestamp step, marker and loss, length, payload.
func fuzzDepacketizer(f *testing.F, seeds []depacketizerCase, open func() Depacketizer, check func(t *testing.T, u *Unit)) {
	for _, c := range seeds {
		var b []byte
		for _, p := range c.in {
			payload, err := hex.DecodeString(strings.ReplaceAll(p.hex, " ", ""))
			if err != nil {
				f.Fatal(err)
			}
			flags := byte(p.lost << 1)
			if p.marker {
				flags |= 1
			}
			b = append(b, byte(p.ts), flags, byte(len(payload)))
			b = append(b, payload...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := open()
		emit := func(u *Unit) error {
			if len(u.Data) == 0 {
				t.Error("empty unit")
			}
			check(t, u)
			return nil
		}
		for len(b) >= 3 {
			n := min(int(b[2]), len(b)-3)
			p := Packet{Timestamp: uint32(b[0]), Marker: b[1]&1 != 0, Payload: b[3 : 3+n]}
			d.Push(&p, int(b[1]>>1&3), emit)
			b = b[3+n:]
		}
	})
}

func FuzzH264(f *testing.F) {
	fuzzDepacketizer(f, h264Cases, func() Depacketizer { return NewH264() }, func(t *testing.T, u *Unit) { checkLengths(t, u.Data) })
}

func FuzzH265(f *testing.F) {
	fuzzDepacketizer(f, h265Cases, func() Depacketizer { d, _ := NewH265(0); return d }, func(t *testing.T, u *Unit) { checkLengths(t, u.Data) })
}

func FuzzAAC(f *testing.F) {
	seeds := []depacketizerCase{{in: []pkt{{1, false, 0, "0010 0020 aabb"}, {1, true, 0, "0010 0020 ccdd"}, {2, true, 1, "0030 0010 0008 0008 aabb cc dd"}}}}
	fuzzDepacketizer(f, seeds, func() Depacketizer {
		d, _ := NewAAC(AACParams{SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, CTSDeltaLength: 4})
		return d
	}, func(t *testing.T, u *Unit) {})
}

func FuzzLATM(f *testing.F) {
	seeds := []depacketizerCase{{in: []pkt{{1, false, 0, "03 aa"}, {1, true, 0, "bbcc"}, {2, true, 0, "02 aabb 01 cc"}}}}
	fuzzDepacketizer(f, seeds, func() Depacketizer { return NewLATM(LATMParams{Subframes: 2}) }, func(t *testing.T, u *Unit) {})
}

func FuzzJPEG(f *testing.F) {
	seeds := []depacketizerCase{{in: []pkt{{1, false, 0, "00000000 41 32 14 0c 0001ffff aabb"}, {1, true, 0, "00000002 41 32 14 0c 0001ffff ccff"}}}}
	fuzzDepacketizer(f, seeds, func() Depacketizer { return NewJPEG() }, func(t *testing.T, u *Unit) {
		if !bytes.HasPrefix(u.Data, []byte{0xff, 0xd8}) || !bytes.HasSuffix(u.Data, []byte{0xff, 0xd9}) {
			t.Error("no whole JPEG")
		}
	})
}

// FuzzRoundTrip writes units made of the input as packets of odd sizes and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{3, 0x65, 0x88, 1, 2, 0x41, 0x9a, 9, 0x65, 0x88, 2, 3, 4, 5, 6, 7, 8}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, mtu uint8) {
		var units [][]byte
		for len(b) > 1 {
			n := min(int(b[0])+3, len(b)-1)
			nal := bytes.ReplaceAll(b[1:1+n], []byte{0}, []byte{0xff})
			b = b[1+n:]
			for len(nal) < 3 {
				nal = append(nal, 0xff)
			}
			nal[0] = nal[0]&0x60 | 1 // H.264: a slice; H.265: TRAIL_N or a layer's
			nal[1] |= 0x80
			unit := binary.BigEndian.AppendUint32(nil, uint32(len(nal)))
			units = append(units, append(unit, nal...))
		}
		w := &Packetizer{MTU: HeaderSize + 8 + int(mtu)}
		d := NewH264()
		got := 0
		for i, unit := range units {
			err := w.H264(uint32(i), unit, func(b []byte) error {
				if len(b) > w.MTU {
					t.Errorf("packet of %d bytes", len(b))
				}
				p, err := Parse(b)
				if err != nil {
					return err
				}
				return d.Push(&p, 0, func(u *Unit) error {
					if !bytes.Equal(u.Data, units[got]) || u.Flags&media.Damaged != 0 {
						t.Errorf("%x came back as %x", units[got], u.Data)
					}
					got++
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got != len(units) {
			t.Errorf("%d of %d units", got, len(units))
		}
	})
}

func BenchmarkH264(b *testing.B) {
	packets := udpPayloads(b, "pcap/vzvca_h264_rtp.pcap")
	d := NewH264()
	emit := func(*Unit) error { return nil }
	total := 0
	for _, p := range packets {
		total += len(p)
	}
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range packets {
			p, err := Parse(raw)
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Push(&p, 0, emit); err != nil {
				b.Fatal(err)
			}
		}
	}
}
