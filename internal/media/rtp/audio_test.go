package rtp

import (
	"bytes"
	"os"
	"testing"
)

func newAAC(t testing.TB, p AACParams) Depacketizer {
	d, err := NewAAC(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAAC(t *testing.T) {
	hbr := AACParams{SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	for _, g := range []struct {
		params AACParams
		cases  []depacketizerCase
	}{
		{hbr, []depacketizerCase{
			{name: "one", in: []pkt{{1, true, 0, "0010 0010 aabb"}}, want: []string{"1 K: aabb /1024"}},
			{name: "three", in: []pkt{{1, true, 0, "0030 0010 0008 0008 aabb cc dd"}}, want: []string{"1 K: aabb /1024", "1025 K: cc /1024", "2049 K: dd /1024"}},
			{name: "fragments", in: []pkt{{1, false, 0, "0010 0020 aabb"}, {1, true, 0, "0010 0020 ccdd"}}, want: []string{"1 K: aabbccdd /1024"}},
			{name: "loss of a fragment", in: []pkt{{1, false, 0, "0010 0028 aabb"}, {1, true, 1, "0010 0028 cc"}, {5, true, 0, "0010 0010 aabb"}},
				want: []string{"5 KL: aabb /1024"}},
			{name: "fragment without end", in: []pkt{{1, false, 0, "0010 0020 aabb"}, {5, true, 0, "0010 0010 aabb"}}, want: []string{"5 KL: aabb /1024"}},
			{name: "loss", in: []pkt{{1, true, 0, "0010 0010 aabb"}, {5, true, 1, "0020 0008 0008 aabb"}},
				want: []string{"1 K: aabb /1024", "5 KL: aa /1024", "1029 K: bb /1024"}},
			{name: "interleaved", in: []pkt{{1, true, 0, "0020 0008 0009 aabb"}}, want: []string{"1 K: aa /1024"}, errs: []string{"unsupported: interleaved AAC"}},
			{name: "cut", in: []pkt{{1, true, 0, "00"}, {2, true, 0, "0040 0010"}, {3, true, 0, "0010 0000 aa"}, {4, true, 0, "0020 0008 0010 aa"}, {5, true, 0, "000c 0010 aa"}},
				want: []string{"4 KL: aa /1024"}, errs: []string{"1 bytes", "headers of 64 bits", "header 1", "unit of 2 bytes in 0", "header 1 cut"}},
			{name: "too many fragments", in: []pkt{{1, false, 0, "0010 0020 aabb"}, {1, false, 0, "0010 0020 aabbcc"}}, errs: []string{"fragments of 5 bytes"}},
		}},
		{AACParams{SizeLength: 6, IndexLength: 2, IndexDeltaLength: 2, FramesPerUnit: 960}, []depacketizerCase{
			{name: "AAC-lbr", in: []pkt{{1, true, 0, "0010 0804 aabb cc"}}, want: []string{"1 K: aabb /960", "961 K: cc /960"}},
		}},
		{AACParams{SizeLength: 8, CTSDeltaLength: 8, DTSDeltaLength: 4, RandomAccess: true, StreamStateLength: 1}, []depacketizerCase{
			// 00000010 | 1 00000111 | 0 | 1 | 0 is 20 bits: size 2, CTS-delta 7, no DTS-delta, RAP, stream state 0
			{name: "all fields", in: []pkt{{1, true, 0, "0014 0283a0 aabb"}}, want: []string{"1 K: aabb /1024"}},
		}},
		{AACParams{SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, AuxiliaryDataLength: 8}, []depacketizerCase{
			{name: "auxiliary section", in: []pkt{{1, true, 0, "0010 0010 08 ff aabb"}, {2, true, 0, "0010 0010 ff"}}, want: []string{"1 K: aabb /1024"}, errs: []string{"auxiliary"}},
		}},
		{AACParams{ConstantSize: 2}, []depacketizerCase{
			{name: "constant size", in: []pkt{{1, true, 0, "aabbccdd"}, {9, true, 0, "aabbcc"}},
				want: []string{"1 K: aabb /1024", "1025 K: ccdd /1024", "9 K: aabb /1024"}, errs: []string{"1 bytes behind"}},
		}},
		{AACParams{}, []depacketizerCase{
			{name: "bare", in: []pkt{{1, true, 0, "aabb"}, {5, false, 0, "aa"}, {5, true, 0, "bb"}}, want: []string{"1 K: aabb /1024", "5 K: aabb /1024"}},
		}},
	} {
		checkCases(t, false, func() Depacketizer { return newAAC(t, g.params) }, g.cases)
	}
	if _, err := NewAAC(AACParams{SizeLength: 33}); err == nil {
		t.Error("sizes of 33 bits were taken")
	}
	if _, err := NewAAC(AACParams{ConstantSize: -1}); err == nil {
		t.Error("a negative size was taken")
	}
}

func TestLATM(t *testing.T) {
	long := bytes.Repeat([]byte("ab"), 300)
	checkCases(t, false, func() Depacketizer { return NewLATM(LATMParams{}) }, []depacketizerCase{
		{name: "one", in: []pkt{{1, true, 0, "02 aabb"}}, want: []string{"1 K: aabb /1024"}},
		{name: "long", in: []pkt{{1, true, 0, "ff2d" + string(long)}}, want: []string{"1 K: " + string(long) + " /1024"}},
		{name: "fragments", in: []pkt{{1, false, 0, "03 aa"}, {1, true, 0, "bbcc"}}, want: []string{"1 K: aabbcc /1024"}},
		{name: "lost fragment", in: []pkt{{1, false, 0, "03 aa"}, {5, true, 1, "01 cc"}}, want: []string{"5 KL: cc /1024"}},
		{name: "cut", in: []pkt{{1, true, 0, "ff"}, {2, true, 0, "05 aa"}, {3, true, 0, "00"}}, errs: []string{"cut length", "unit of 5", "unit of 0"}},
	})
	checkCases(t, false, func() Depacketizer { return NewLATM(LATMParams{Subframes: 2, FramesPerUnit: 960}) }, []depacketizerCase{
		{name: "two", in: []pkt{{1, true, 0, "02 aabb 01 cc"}}, want: []string{"1 K: aabb /960", "961 K: cc /960"}},
	})
}

func TestPayload(t *testing.T) {
	checkCases(t, false, func() Depacketizer { return NewPayload(8) }, []depacketizerCase{
		{name: "G.711", in: []pkt{{1, true, 0, "aabbcc"}, {4, false, 2, "aabb"}, {6, false, 0, ""}, {7, false, 0, "cc"}},
			want: []string{"1 K: aabbcc /3", "4 KL: aabb /2", "7 K: cc /1"}},
	})
	checkCases(t, false, func() Depacketizer { return NewPayload(4) }, []depacketizerCase{
		{name: "G.726-32", in: []pkt{{1, true, 0, "aabb"}}, want: []string{"1 K: aabb /4"}},
	})
	checkCases(t, false, func() Depacketizer { return NewOpus() }, []depacketizerCase{
		{name: "Opus", in: []pkt{
			{1, true, 0, "0800"}, {2, true, 0, "7900"}, {3, true, 0, "8303"}, {4, true, 0, "fc"}, {5, true, 0, "1b07"}, {6, true, 0, "03"}},
			want: []string{"1 K: 0800 /960", "2 K: 7900 /1920", "3 K: 8303 /360", "4 K: fc /960", "5 K: 1b07", "6 K: 03"}},
	})
}

func TestDocument(t *testing.T) {
	checkCases(t, false, func() Depacketizer { return NewDocument() }, []depacketizerCase{
		{name: "one", in: []pkt{{1, true, 0, "3c2f3e"}}, want: []string{"1 K: 3c2f3e"}},
		{name: "parts", in: []pkt{{1, false, 0, "3c"}, {1, true, 0, "2f3e"}}, want: []string{"1 K: 3c2f3e"}},
		{name: "no marker", in: []pkt{{1, false, 0, "3c"}, {2, true, 0, "2f"}}, want: []string{"1 K: 3c", "2 K: 2f"}},
		{name: "loss within", in: []pkt{{1, false, 0, "3c"}, {1, true, 1, "2f"}}, want: []string{"1 KX: 3c2f"}},
		{name: "loss between", in: []pkt{{1, true, 0, "3c"}, {2, true, 1, "2f"}}, want: []string{"1 K: 3c", "2 KL: 2f"}},
		{name: "empty", in: []pkt{{1, true, 1, ""}, {2, true, 0, "2f"}}, want: []string{"2 KL: 2f"}},
	})
}

func TestAACRoundTrip(t *testing.T) {
	b, err := os.ReadFile(sharedFile(t, "media/androidx/bbb_1ch_8kHz_aac_lc.aac"))
	if err != nil {
		t.Fatal(err)
	}
	var units [][]byte
	for len(b) >= 7 { // ADTS, ISO/IEC 14496-3 section 1.A.3.2
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		units = append(units, b[7:n])
		b = b[n:]
	}
	units = append(units, bytes.Repeat([]byte{1, 2, 3}, 2000))
	roundTrip(t, units, (*Packetizer).AAC, newAAC(t, AACParams{SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}))
	w := &Packetizer{}
	if err := w.AAC(0, make([]byte, 1<<13), nil); err == nil {
		t.Error("a unit of 8,192 bytes was taken")
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	roundTrip(t, [][]byte{[]byte("<a/>"), bytes.Repeat([]byte("<b/>"), 2000)}, (*Packetizer).Document, NewDocument())
}

func TestPayloadRoundTrip(t *testing.T) {
	write := func(w *Packetizer, ts uint32, b []byte, emit func([]byte) error) error {
		return w.Payload(ts, b, false, emit)
	}
	roundTrip(t, [][]byte{{1, 2, 3}, {4}}, write, NewPayload(8))
}
