package rtp

import "testing"

// In the tables 260180 is an IDR slice that begins a picture, 260100 one that does not; 0201d0 a picture that others
// need, 0001d0 one that no other of its sub-layer needs; 4001 4201 4401 are parameter sets.
var h265Cases = []depacketizerCase{
	{name: "single", in: []pkt{{1, true, 0, "260180aa"}, {2, true, 0, "0201d0"}}, want: []string{"1 K: 260180aa", "2 : 0201d0"}},
	{name: "aggregate", in: []pkt{{1, false, 0, "6001 0003 400101 0003 420101 0003 440101"}, {1, true, 0, "260180"}},
		want: []string{"1 KS: 400101 420101 440101 260180"}},
	{name: "fragments", in: []pkt{{1, false, 0, "6201 93 80aa"}, {1, false, 0, "6201 13 bb"}, {1, true, 0, "6201 53 cc"}},
		want: []string{"1 K: 260180aabbcc"}},
	{name: "two slices", in: []pkt{{1, false, 0, "260180"}, {1, true, 0, "260100"}}, want: []string{"1 K: 260180 260100"}},
	{name: "droppable only after a whole GOP", in: []pkt{{1, true, 0, "260180"}, {2, true, 0, "0001d0"}, {3, true, 0, "260180"}, {4, true, 0, "0001d0"}},
		want: []string{"1 K: 260180", "2 : 0001d0", "3 K: 260180", "4 D: 0001d0"}},
	{name: "lower layer is needed", in: []pkt{
		{1, true, 0, "260180"}, {2, true, 0, "0202d0"}, {3, true, 0, "260180"}, {4, true, 0, "0001d0"}, {5, true, 0, "0002d0"}},
		want: []string{"1 K: 260180", "2 : 0202d0", "3 K: 260180", "4 : 0001d0", "5 D: 0002d0"}},
	{name: "sets with a timestamp of their own", in: []pkt{{1, true, 0, "400101"}, {2, true, 0, "260180"}}, want: []string{"2 KS: 400101 260180"}},
	{name: "no beginning", in: []pkt{{1, true, 0, "6201 53 cc"}, {2, true, 0, "0201d0"}}, want: []string{"2 L: 0201d0"}, errs: []string{"the beginning"}},
	{name: "loss within", in: []pkt{{1, false, 0, "6201 93 80aa"}, {1, true, 1, "6201 53 cc"}}, want: []string{"1 KX: 260180aa"}, errs: []string{"the beginning"}},
	{name: "start codes", in: []pkt{{1, true, 0, "400101 00000001 420101 000001 260180"}}, want: []string{"1 KS: 400101 420101 260180"}},
	{name: "PACI", in: []pkt{{1, true, 0, "6401 0000"}}, errs: []string{"unsupported: H.265 PACI"}},
	{name: "undefined", in: []pkt{{1, true, 0, "6601 0000"}}, errs: []string{"type 51"}},
	{name: "cut", in: []pkt{{1, false, 0, "62"}, {1, false, 0, "6201"}, {1, false, 0, "6001 0009 00"}, {1, false, 0, "6001 00"}},
		errs: []string{"1 bytes", "2 bytes", "unit of 9", "behind the last"}},
	{name: "tiny unit", in: []pkt{{1, false, 0, "2601"}, {1, true, 0, "260180"}}, want: []string{"1 K: 2601 260180"}},
}

func TestH265(t *testing.T) {
	checkCases(t, true, func() Depacketizer {
		d, err := NewH265(0)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}, h265Cases)
	if _, err := NewH265(1); err == nil {
		t.Error("decoding order numbers were taken")
	}
}
