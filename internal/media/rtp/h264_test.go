package rtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"nightjar/internal/media"
)

// pkt is a packet of a table: timestamp, marker, packets lost before it, payload in hexadecimal digits.
type pkt struct {
	ts     uint32
	marker bool
	lost   int
	hex    string
}

// play pushes packets and writes down the units: "ts flags: nal nal".
func play(t testing.TB, d Depacketizer, nal bool, in []pkt) (units []string, errs []error) {
	t.Helper()
	emit := func(u *Unit) error {
		units = append(units, describe(t, u, nal))
		return nil
	}
	for i, c := range in {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		p := Packet{Timestamp: c.ts, Marker: c.marker, Payload: b, Sequence: uint16(i)}
		if err := d.Push(&p, c.lost, emit); err != nil {
			errs = append(errs, err)
		}
	}
	return units, errs
}

func describe(t testing.TB, u *Unit, nal bool) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d ", u.Timestamp)
	for i, letter := range "KDXL" { // key, droppable, damaged, after loss
		if u.Flags&(1<<i) != 0 {
			s.WriteRune(letter)
		}
	}
	if u.Sets {
		s.WriteString("S")
	}
	s.WriteString(":")
	if !nal {
		fmt.Fprintf(&s, " %x", u.Data)
		if u.Frames > 0 {
			fmt.Fprintf(&s, " /%d", u.Frames)
		}
		return s.String()
	}
	checkLengths(t, u.Data)
	for b := u.Data; len(b) > 0; {
		n := binary.BigEndian.Uint32(b)
		fmt.Fprintf(&s, " %x", b[4:4+n])
		b = b[4+n:]
	}
	return s.String()
}

type depacketizerCase struct {
	name string
	in   []pkt
	want []string
	errs []string // parts of the errors, in order
}

func checkCases(t *testing.T, nal bool, open func() Depacketizer, cases []depacketizerCase) {
	t.Helper()
	for _, c := range cases {
		got, errs := play(t, open(), nal, c.in)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if len(errs) != len(c.errs) {
			t.Errorf("%s: errors %v, want %q", c.name, errs, c.errs)
			continue
		}
		for i, err := range errs {
			if !strings.Contains(err.Error(), c.errs[i]) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.errs[i])
			}
		}
	}
}

// In the tables 6588 is an IDR slice that begins a picture, 6508 one that does not; 419a a P slice, 019a one that no
// picture needs.
var h264Cases = []depacketizerCase{
	{name: "single", in: []pkt{{1, true, 0, "6588aa"}, {2, true, 0, "419a"}, {3, true, 0, "019a"}},
		want: []string{"1 K: 6588aa", "2 : 419a", "3 D: 019a"}},
	{name: "two slices", in: []pkt{{1, false, 0, "6588aa"}, {1, true, 0, "6508bb"}}, want: []string{"1 K: 6588aa 6508bb"}},
	{name: "sets in STAP-A", in: []pkt{{1, false, 0, "78 0002 6742 0002 68ce"}, {1, true, 0, "6588"}},
		want: []string{"1 KS: 6742 68ce 6588"}},
	{name: "STAP-B", in: []pkt{{1, true, 0, "79 0007 0002 6742 0002 6588"}}, want: []string{"1 KS: 6742 6588"}},
	{name: "STAP-A with empty unit", in: []pkt{{1, true, 0, "78 0000 0002 6588"}}, want: []string{"1 K: 6588"}},
	{name: "fragments", in: []pkt{{1, false, 0, "7c85 88aa"}, {1, false, 0, "7c05 bb"}, {1, true, 0, "7c45 cc"}},
		want: []string{"1 K: 6588aabbcc"}},
	{name: "FU-B", in: []pkt{{1, false, 0, "7d85 0001 88aa"}, {1, true, 0, "7c45 cc"}}, want: []string{"1 K: 6588aacc"}},
	{name: "one fragment", in: []pkt{{1, true, 0, "7cc5 88aa"}}, want: []string{"1 K: 6588aa"}},
	{name: "reserved bit", in: []pkt{{1, false, 0, "7ca5 88aa"}, {1, true, 0, "7c65 cc"}}, want: []string{"1 K: 6588aacc"}},
	{name: "type changes within the unit", in: []pkt{{1, false, 0, "7c85 88aa"}, {1, false, 0, "7c01 bb"}, {1, true, 0, "7c41 cc"}},
		want: []string{"1 K: 6588aabbcc"}},
	{name: "no end bit, but marker", in: []pkt{{1, false, 0, "7c85 88aa"}, {1, true, 0, "7c05 cc"}, {2, true, 0, "419a"}},
		want: []string{"1 K: 6588aacc", "2 : 419a"}},
	{name: "no end bit, next unit", in: []pkt{{1, false, 0, "7c85 88aa"}, {1, true, 0, "6508"}}, want: []string{"1 KX: 6588aa 6508"}},
	{name: "no end at all", in: []pkt{{1, false, 0, "7c85 88aa"}, {2, true, 0, "419a"}}, want: []string{"1 KX: 6588aa", "2 : 419a"}},
	{name: "no beginning", in: []pkt{{1, false, 0, "7c05 88aa"}, {1, true, 0, "7c45 cc"}, {2, true, 0, "419a"}},
		want: []string{"2 L: 419a"}, errs: []string{"the beginning of the unit is not there"}},
	{name: "loss within", in: []pkt{{1, false, 0, "7c85 88aa"}, {1, false, 1, "7c05 bb"}, {1, true, 0, "7c45 cc"}, {2, true, 0, "419a"}},
		want: []string{"1 KX: 6588aa", "2 : 419a"}, errs: []string{"the beginning"}},
	{name: "loss between", in: []pkt{{1, true, 0, "6588"}, {2, true, 3, "419a"}, {3, true, 0, "419a"}},
		want: []string{"1 K: 6588", "2 L: 419a", "3 : 419a"}},
	{name: "loss of the first slice", in: []pkt{{1, true, 0, "6588"}, {2, true, 1, "411a"}}, want: []string{"1 K: 6588", "2 XL: 411a"}},
	{name: "loss of the marker", in: []pkt{{1, false, 0, "6588"}, {2, true, 1, "419a"}}, want: []string{"1 KX: 6588", "2 L: 419a"}},
	{name: "loss after the sets", in: []pkt{{1, false, 0, "6742"}, {1, true, 1, "6588"}}, want: []string{"1 KLS: 6742 6588"}},
	{name: "no marker ever", in: []pkt{{1, false, 0, "6588"}, {2, false, 0, "419a"}, {3, false, 0, "419a"}},
		want: []string{"1 K: 6588", "2 : 419a"}},
	{name: "marker on sets and SEI", in: []pkt{{1, true, 0, "6742"}, {1, true, 0, "68ce"}, {1, true, 0, "0605"}, {1, true, 0, "6588"}},
		want: []string{"1 KS: 6742 68ce 0605 6588"}},
	{name: "sets with a timestamp of their own", in: []pkt{{1, true, 0, "6742"}, {1, true, 0, "68ce"}, {2, true, 0, "6588"}},
		want: []string{"2 KS: 6742 68ce 6588"}},
	{name: "marker within the picture", in: []pkt{
		{1, true, 0, "6588"}, {1, true, 0, "6508"}, {2, true, 0, "419a"}, {2, true, 0, "411a"}, {3, true, 0, "419a"}},
		want: []string{"1 K: 6588", "1 KX: 6508", "2 : 419a 411a"}},
	{name: "start codes in a single unit", in: []pkt{{1, true, 0, "6742aa 00000001 68ce 000001 6588bb"}},
		want: []string{"1 KS: 6742aa 68ce 6588bb"}},
	{name: "start code in front", in: []pkt{{1, false, 0, "00000001 6742"}, {1, true, 0, "000001 6588"}}, want: []string{"1 KS: 6742 6588"}},
	{name: "type 0", in: []pkt{{1, true, 0, "0000"}}, errs: []string{"type 0"}},
	{name: "start codes in fragments", in: []pkt{{1, false, 0, "7c87 42aa 0000"}, {1, true, 0, "7c47 01 6588bb"}},
		want: []string{"1 KS: 6742aa 6588bb"}},
	{name: "start code at the end", in: []pkt{{1, true, 0, "6588bb 000001"}}, want: []string{"1 K: 6588bb"}},
	{name: "recovery point", in: []pkt{{1, false, 0, "0606 0204 f180"}, {1, true, 0, "419a"}, {2, true, 0, "419a"}},
		want: []string{"1 K: 06060204f180 419a", "2 : 419a"}},
	{name: "what looks like a recovery point", in: []pkt{{1, false, 0, "0605 0406 0204 f180"}, {1, true, 0, "419a"}},
		want: []string{"1 : 060504060204f180 419a"}},
	{name: "recovery point behind another", in: []pkt{{1, false, 0, "0605 0155 0602 04f1 80"}, {1, true, 0, "419a"}},
		want: []string{"1 K: 06050155060204f180 419a"}},
	{name: "empty", in: []pkt{{1, false, 0, ""}, {1, true, 0, "6588"}}, want: []string{"1 K: 6588"}},
	{name: "MTAP16", in: []pkt{{1, true, 0, "7a 0000"}}, errs: []string{"unsupported: H.264 MTAP16"}},
	{name: "MTAP24", in: []pkt{{1, true, 0, "7b 0000"}}, errs: []string{"unsupported: H.264 MTAP24"}},
	{name: "cut STAP-A", in: []pkt{{1, true, 0, "78 0002 6588 00"}, {2, true, 0, "78 0009 419a"}},
		want: []string{"1 KX: 6588"}, errs: []string{"behind the last unit", "unit of 9 bytes in 2"}},
	{name: "cut FU", in: []pkt{{1, true, 0, "7c"}, {1, true, 0, "7d85 00"}}, errs: []string{"broken FU-A", "broken FU-B"}},
	{name: "undefined type", in: []pkt{{1, true, 0, "7e01"}, {2, true, 0, "6588"}}, want: []string{"2 KL: 6588"}, errs: []string{"type 30"}},
}

func TestH264(t *testing.T) {
	checkCases(t, true, func() Depacketizer { return NewH264() }, h264Cases)
}

func TestEmitError(t *testing.T) {
	stop := errors.New("stop")
	d := NewH264()
	p := Packet{Marker: true, Payload: []byte{0x65, 0x88}}
	if err := d.Push(&p, 0, func(*Unit) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
}

// annexB cuts an elementary stream into access units in length-prefixed form, roughly: one slice each.
func annexB(t testing.TB, name string, slice func(nal []byte) bool) [][]byte {
	t.Helper()
	b, err := os.ReadFile(sharedFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var units [][]byte
	var unit []byte
	for i, nal := range bytes.Split(b, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		if i == 0 || len(nal) == 0 {
			continue
		}
		unit = binary.BigEndian.AppendUint32(unit, uint32(len(nal)))
		unit = append(unit, nal...)
		if slice(nal) {
			units, unit = append(units, unit), nil
		}
	}
	return units
}

func h264Slice(nal []byte) bool { k := nal[0] & 0x1f; return k >= 1 && k <= 5 }

func h265Slice(nal []byte) bool { return nal[0]>>1&0x3f < 32 }

// roundTrip writes units as packets and checks that the same units come back.
func roundTrip(t testing.TB, units [][]byte, write func(w *Packetizer, ts uint32, b []byte, emit func([]byte) error) error, d Depacketizer) (keys int) {
	t.Helper()
	w := &Packetizer{SSRC: 7, PayloadType: 96, Sequence: 65000}
	got := 0
	emit := func(u *Unit) error {
		if u.Timestamp != uint32(got)*3000 || u.Flags&(media.Damaged|media.AfterLoss) != 0 {
			t.Errorf("unit %d: timestamp %d, flags %b", got, u.Timestamp, u.Flags)
		}
		if !bytes.Equal(u.Data, units[got]) {
			t.Fatalf("unit %d came back different", got)
		}
		if u.Flags&media.Key != 0 {
			keys++
		}
		got++
		return nil
	}
	var s Sequence
	for i, unit := range units {
		err := write(w, uint32(i)*3000, unit, func(b []byte) error {
			if len(b) > DefaultMTU {
				t.Errorf("packet of %d bytes", len(b))
			}
			p, err := Parse(b)
			if err != nil {
				return err
			}
			if a, _ := s.Add(p.Sequence); a != InOrder {
				t.Errorf("packet %d: %v", p.Sequence, a)
			}
			return d.Push(&p, 0, emit)
		})
		if err != nil {
			t.Fatalf("unit %d: %v", i, err)
		}
	}
	if got != len(units) {
		t.Errorf("%d of %d units", got, len(units))
	}
	return keys
}

func TestH264RoundTrip(t *testing.T) {
	units := annexB(t, "es/kvs.h264", h264Slice)
	if keys := roundTrip(t, units, (*Packetizer).H264, NewH264()); len(units) != 403 || keys != 9 {
		t.Errorf("%d units, %d keys", len(units), keys)
	}
}

func TestH265RoundTrip(t *testing.T) {
	units := annexB(t, "es/kvs.h265", h265Slice)
	d, err := NewH265(0)
	if err != nil {
		t.Fatal(err)
	}
	if keys := roundTrip(t, units, (*Packetizer).H265, d); len(units) != 403 || keys != 9 {
		t.Errorf("%d units, %d keys", len(units), keys)
	}
}
