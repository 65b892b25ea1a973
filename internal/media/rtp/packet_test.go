package rtp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	head := []byte{0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4}
	with := func(first byte, more ...byte) []byte {
		b := append([]byte{first}, head[1:]...)
		return append(b, more...)
	}
	for name, c := range map[string]struct {
		in        []byte
		payload   []byte
		extension []byte
		broken    string
	}{
		"plain":             {in: with(0x80, 7, 8), payload: []byte{7, 8}},
		"no payload":        {in: head, payload: []byte{}},
		"two sources":       {in: with(0x82, 0, 0, 0, 1, 0, 0, 0, 2, 7), payload: []byte{7}},
		"extension":         {in: with(0x90, 0xab, 0xac, 0, 1, 1, 2, 3, 4, 7), payload: []byte{7}, extension: []byte{1, 2, 3, 4}},
		"padding":           {in: with(0xa0, 7, 0, 0, 3), payload: []byte{7}},
		"all padding":       {in: with(0xa0, 0, 2), payload: []byte{}},
		"short":             {in: head[:11], broken: "11 bytes"},
		"version":           {in: with(0x40), broken: "version 1"},
		"cut sources":       {in: with(0x81, 0, 0, 0), broken: "contributing sources"},
		"cut extension":     {in: with(0x90, 0, 0, 0), broken: "cut extension"},
		"long extension":    {in: with(0x90, 0, 0, 0, 2, 1, 2, 3, 4), broken: "extension of 8 bytes in 4"},
		"padding 0":         {in: with(0xa0, 7, 0), broken: "padding of 0"},
		"padding too long":  {in: with(0xa0, 7, 3), broken: "padding of 3"},
		"padding of header": {in: with(0xa0), broken: "padding"},
	} {
		p, err := Parse(c.in)
		if c.broken != "" {
			var pe *PacketError
			if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.broken) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(p.Payload, c.payload) || !bytes.Equal(p.Extension, c.extension) {
			t.Errorf("%s: %+v %v", name, p, err)
		}
		if !p.Marker || p.PayloadType != 96 || p.Sequence != 0x1234 || p.Timestamp != 9 || p.SSRC != 0x01020304 {
			t.Errorf("%s: header %+v", name, p)
		}
	}
}

func TestControlRoundTrip(t *testing.T) {
	sr := SenderReport{SSRC: 1, NTP: 0xe3d2b1a090000000, Timestamp: 77, Packets: 5, Bytes: 6}
	block := ReportBlock{SSRC: 2, FractionLost: 3, TotalLost: -4, HighestSequence: 5, Jitter: 6, LastSenderReport: 7, Delay: 8}
	b := AppendSenderReport(nil, sr, block)
	b = AppendReceiverReport(b, 9, block, ReportBlock{SSRC: 3, TotalLost: 0x7fffff})
	for _, name := range []string{"", "a", "ab", "abc", "abcd", "camera@house"} {
		b = AppendDescription(b, 9, name)
	}
	b = AppendBye(b, 9)
	var got []ControlPacket
	for rest := b; len(rest) > 0; {
		p, r, err := NextControl(rest)
		if err != nil {
			t.Fatal(err)
		}
		got, rest = append(got, p), r
	}
	if len(got) != 9 {
		t.Fatalf("%d packets", len(got))
	}
	if s, err := got[0].SenderReport(); err != nil || s != sr {
		t.Errorf("%+v %v", s, err)
	}
	for i := range 2 {
		if k, ok := got[i].Block(0); !ok || k != block {
			t.Errorf("%+v", k)
		}
	}
	if k, ok := got[1].Block(1); !ok || k.TotalLost != 0x7fffff {
		t.Errorf("%+v", k)
	}
	if _, ok := got[1].Block(2); ok {
		t.Error("a third block")
	}
	for i, want := range []string{"", "a", "ab", "abc", "abcd", "camera@house"} {
		if name, ok := got[2+i].CanonicalName(); !ok || name != want {
			t.Errorf("name %q, want %q", name, want)
		}
	}
	if id, ok := got[8].SSRC(); got[8].Type != TypeBye || !ok || id != 9 {
		t.Errorf("%+v", got[8])
	}
}

func TestControlBroken(t *testing.T) {
	for _, b := range [][]byte{{0x80}, {0x40, 200, 0, 0}, {0x80, 200, 0, 1}, {0xa0, 200, 0, 0}, {0xa0, 200, 0, 1, 0, 0, 0, 5}} {
		if _, _, err := NextControl(b); err == nil {
			t.Errorf("% x was taken", b)
		}
	}
	short, _, err := NextControl([]byte{0x81, 200, 0, 1, 0, 0, 0, 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.SenderReport(); err == nil {
		t.Error("a sender report of 4 bytes")
	}
	if _, ok := short.Block(0); ok {
		t.Error("a block in 4 bytes")
	}
}

func TestNTPTime(t *testing.T) {
	if !NTPTime(0).IsZero() {
		t.Error("0 is a time")
	}
	for _, at := range []time.Time{
		time.Date(2026, 11, 20, 13, 30, 51, 123456789, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2040, 2, 3, 4, 5, 6, 999999999, time.UTC),
	} {
		if got := NTPTime(NTPOf(at)); !got.Equal(at) {
			t.Errorf("%v came back as %v", at, got)
		}
	}
}

func TestReception(t *testing.T) {
	var s Sequence
	r := Reception{SSRC: 5}
	at := time.Unix(1_700_000_000, 0)
	for i, seq := range []uint16{65534, 65535, 0, 2, 3} {
		s.Add(seq)
		r.Arrived(uint32(3000*i), at.Add(time.Duration(i)*time.Second/30), 90_000)
	}
	b := r.Block(&s, at)
	if b.HighestSequence != 1<<16+3 || b.TotalLost != 1 || b.FractionLost != 256/6 || b.Jitter != 0 || b.SSRC != 5 || b.Delay != 0 {
		t.Errorf("%+v", b)
	}
	s.Add(4)
	r.Arrived(0, at.Add(time.Second), 90_000)
	r.Reported(SenderReport{NTP: 0x1111_2222_3333_4444}, at)
	b = r.Block(&s, at.Add(1500*time.Millisecond))
	if b.FractionLost != 0 || b.TotalLost != 1 || b.LastSenderReport != 0x2222_3333 || b.Delay != 3<<15 || b.Jitter == 0 {
		t.Errorf("%+v", b)
	}
}
