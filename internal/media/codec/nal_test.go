package codec

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"nightjar/internal/media"
)

func TestSplitAnnexB(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\x00\x00\x00", nil},
		{"\x00\x00\x01", nil},
		{"\x00\x00\x01a", []string{"a"}},
		{"\x00\x00\x00\x01a\x00\x00\x01b", []string{"a", "b"}},
		{"\x00\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x01\x00\x00\x01b\x00\x00\x00", []string{"a", "b"}},
		{"a", []string{"a"}},
		{"a\x00\x00\x00\x01b", []string{"a", "b"}},
		{"\x00\x00\x01a\x00\x00\x03\x01b\x00\x00", []string{"a\x00\x00\x03\x01b"}},
		{"\x00\x00\x01a\x00\x00", []string{"a"}},
	} {
		var got []string
		SplitAnnexB([]byte(c.in), func(nal []byte) {
			got = append(got, string(nal))
			if cap(nal) != len(nal) {
				t.Errorf("%q: unit %q can be appended to", c.in, nal)
			}
		})
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		prefixed := ToLengthPrefixed(nil, []byte(c.in))
		back, err := ToAnnexB(nil, prefixed)
		want := ""
		for _, n := range c.want {
			want += "\x00\x00\x00\x01" + n
		}
		if err != nil || string(back) != want {
			t.Errorf("%q: back as %q, %v", c.in, back, err)
		}
	}
	if !HasStartCode([]byte("a\x00\x00\x01b")) || HasStartCode([]byte("a\x00\x00\x03\x01")) {
		t.Error("HasStartCode")
	}
	if _, err := ToAnnexB(nil, []byte{0, 0, 0, 2, 9}); !errors.Is(err, ErrTruncated) {
		t.Errorf("a wrong length: %v", err)
	}
}

func TestAnalyzeH264(t *testing.T) {
	unit := func(nals ...string) (b []byte) {
		for _, n := range nals {
			b = AppendNAL(b, []byte(n))
		}
		return b
	}
	for _, c := range []struct {
		name  string
		in    []byte
		flags media.Flags
		sets  int
		n     int
	}{
		{"IDR with sets", unit("\x09\xf0", "\x67sps", "\x68pps", "\x06sei", "\x65\x88"), media.Key, 2, 1},
		{"P", unit("\x41\x9a"), 0, 0, 1},
		{"unreferenced", unit("\x01\x9a", "\x01\x1a"), media.Droppable, 0, 2},
		{"one slice referenced", unit("\x01\x9a", "\x41\x1a"), 0, 0, 2},
		{"recovery point", unit("\x06\x06\x01\x84\x80", "\x41\x9a"), 0, 0, 1},
		{"sets alone", unit("\x67sps", "\x68pps", "\x6fsubset"), 0, 2, 0},
		{"empty units", unit("", "\x41\x9a", ""), 0, 0, 1},
		{"layer slices", unit("\x74\x00", "\x01\x9a"), media.Droppable, 0, 1},
		{"nothing", nil, 0, 0, 0},
	} {
		var u Unit
		if err := u.AnalyzeH264(c.in); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if u.Flags() != c.flags || len(u.Sets()) != c.sets || u.Slices != c.n {
			t.Errorf("%s: flags %d, %d sets, %d slices", c.name, u.Flags(), len(u.Sets()), u.Slices)
		}
	}
	var u Unit
	for _, bad := range [][]byte{{0}, {0, 0, 0, 2, 0x65}, {0xff, 0xff, 0xff, 0xff, 0x65}} {
		if err := u.AnalyzeH264(bad); !errors.Is(err, ErrTruncated) {
			t.Errorf("%x: %v", bad, err)
		}
		if err := u.AnalyzeH265(bad, 0); !errors.Is(err, ErrTruncated) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	many := bytes.Repeat(unit("\x68pps"), unitSets+1)
	if err := u.AnalyzeH264(many); err != nil || len(u.Sets()) != unitSets || !u.MoreSets {
		t.Errorf("many sets: %d, %v", len(u.Sets()), err)
	}
}

func TestPerSampleWorkDoesNotAllocate(t *testing.T) {
	spec := sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30}
	stream := []byte("\x00\x00\x01\x65\x88\x84\x00\x00\x01\x41\x9a\x02\x00\x00\x01\x41\x9a\x04")
	au := ToLengthPrefixed(nil, stream)
	var u Unit
	var d H264Boundary
	d.Learn(spec.nal())
	d.Learn([]byte{0x68, 0xce, 0x3c, 0x80})
	var d5 H265Boundary
	n := 0
	count := func(nal []byte) {
		if d.Starts(nal) || d5.Starts(nal) {
			n++
		}
	}
	opus := []byte{0x7b, 2}
	if got := testing.AllocsPerRun(100, func() {
		SplitAnnexB(stream, count)
		if u.AnalyzeH264(au) != nil || u.AnalyzeH265(au, 0) != nil {
			t.Fatal("refused")
		}
		if _, err := OpusFrames(opus); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if n == 0 {
		t.Error("no boundary was found")
	}
}

// slice264 writes an H.264 slice header of a stream with 4 bits of frame_num and 6 of the order count.
func slice264(header byte, firstMB, frameNum, idrID, order uint32) []byte {
	w := new(bitWriter)
	w.ue(firstMB).ue(7).ue(0).u(4, frameNum)
	if header&0x1f == H264NALIDR {
		w.ue(idrID)
	}
	w.u(6, order).u(8, 0xaa)
	return w.nal(header)
}

func TestH264Boundary(t *testing.T) {
	sps := sps264{profile: 77, level: 30, refs: 1, width: 40, height: 30}.nal()
	pps := []byte{0x68, 0xce, 0x3c, 0x80}
	aud, sei := []byte{9, 0xf0}, []byte{6, 5, 1, 0, 0x80}
	type step struct {
		nal    []byte
		starts bool
	}
	for _, c := range []struct {
		name  string
		learn bool
		steps []step
	}{
		{"units before the slices", true, []step{
			{aud, false}, {sps, false}, {pps, false}, {sei, false}, {slice264(0x65, 0, 0, 0, 0), false},
			{aud, true}, {sei, false}, {slice264(0x41, 0, 1, 0, 2), false}, {sei, true}, {sei, false},
			{slice264(0x41, 0, 2, 0, 4), false}, {sps, true}, {pps, false}, {slice264(0x65, 0, 0, 1, 0), false},
		}},
		{"frame_num", true, []step{
			{slice264(0x41, 0, 1, 0, 2), false}, {slice264(0x41, 600, 1, 0, 2), false}, {slice264(0x41, 600, 2, 0, 2), true},
		}},
		{"order count of unreferenced pictures", true, []step{
			{slice264(0x01, 0, 2, 0, 2), false}, {slice264(0x01, 300, 2, 0, 2), false}, {slice264(0x01, 300, 2, 0, 4), true},
		}},
		{"reference", true, []step{{slice264(0x41, 0, 1, 0, 2), false}, {slice264(0x01, 9, 1, 0, 2), true}}},
		{"IDR after IDR", true, []step{
			{slice264(0x65, 0, 0, 0, 0), false}, {slice264(0x65, 9, 0, 0, 0), false}, {slice264(0x65, 9, 0, 1, 0), true},
		}},
		{"IDR after IDR with one id", true, []step{
			{slice264(0x65, 0, 0, 0, 0), false}, {slice264(0x65, 0, 0, 0, 0), true}, {slice264(0x65, 9, 0, 0, 0), false},
		}},
		{"unknown parameter sets", false, []step{
			{slice264(0x65, 0, 0, 0, 0), false}, {slice264(0x41, 9, 1, 0, 2), false}, {slice264(0x41, 0, 1, 0, 2), true},
		}},
		{"filler, end of sequence and what follows the slices", true, []step{
			{slice264(0x65, 0, 0, 0, 0), false}, {[]byte{12, 0xff, 0x80}, false}, {[]byte{19, 0x88}, false},
			{[]byte{20, 0x88}, false}, {[]byte{10}, false}, {slice264(0x41, 0, 1, 0, 2), true},
		}},
	} {
		var d H264Boundary
		if c.learn {
			d.Learn(sps)
			d.Learn(pps)
		}
		for i, s := range c.steps {
			if got := d.Starts(s.nal); got != s.starts {
				t.Errorf("%s: unit %d: %v", c.name, i, got)
			}
		}
	}
	var d H264Boundary
	d.Learn(sps)
	d.Learn(pps)
	d.Starts(slice264(0x41, 0, 1, 0, 2))
	d.Reset()
	if d.Starts(slice264(0x41, 0, 2, 0, 4)) {
		t.Error("after Reset nothing is under way")
	}
}

// TestH264RedundantSlice: a redundant picture belongs to the access unit of its primary picture.
func TestH264RedundantSlice(t *testing.T) {
	sps := sps264{profile: 66, level: 30, refs: 1, width: 40, height: 30}.nal()
	w := new(bitWriter)
	w.ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).se(0).se(0).se(0).u(2, 0).u(1, 1)
	var d H264Boundary
	d.Learn(sps)
	d.Learn(w.nal(0x68))
	slice := func(frameNum, redundant uint32) []byte {
		w := new(bitWriter)
		return w.ue(0).ue(7).ue(0).u(4, frameNum).u(6, 2*frameNum).ue(redundant).u(8, 0x55).nal(0x41)
	}
	for i, s := range []struct {
		frameNum, redundant uint32
		starts              bool
	}{{1, 0, false}, {0, 1, false}, {2, 0, true}, {2, 1, false}} {
		if got := d.Starts(slice(s.frameNum, s.redundant)); got != s.starts {
			t.Errorf("slice %d: %v", i, got)
		}
	}
}

func TestH264Classification(t *testing.T) {
	for nalType := range uint8(32) {
		nal := []byte{nalType | 0x20, 0x80}
		if H264NALType(nal) != nalType || !H264Reference(nal) || H264Reference([]byte{nalType}) || !H264FirstSlice(nal) {
			t.Errorf("type %d", nalType)
		}
		if got, want := H264VCL(nalType), nalType >= 1 && nalType <= 5; got != want {
			t.Errorf("type %d: slice %v", nalType, got)
		}
		if got, want := H264ParameterSet(nalType), nalType == 7 || nalType == 8 || nalType == 13 || nalType == 15; got != want {
			t.Errorf("type %d: parameter set %v", nalType, got)
		}
	}
	if H264NALType(nil) != 0 || H264Reference(nil) || H264FirstSlice([]byte{0x65}) {
		t.Error("an empty unit is something")
	}
}

func TestParseErrorText(t *testing.T) {
	for want, err := range map[string]*ParseError{
		"H.264 SPS: level_idc (bit 9): value out of range": {What: "H.264 SPS", Field: "level_idc", Bit: 9, Err: ErrInvalid},
		"H.264 SPS (bit 9): data end too early":            {What: "H.264 SPS", Bit: 9, Err: ErrTruncated},
		"esds: size: not supported":                        {What: "esds", Field: "size", Bit: -1, Err: ErrUnsupported},
		"esds: data of another kind":                       {What: "esds", Bit: -1, Err: ErrWrongType},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
