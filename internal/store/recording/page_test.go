package recording

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/media"
)

// example returns the bytes of the example under a heading of a page of docs/format: the lines indented by four spaces,
// in hex; what follows two spaces is a remark.
func example(t *testing.T, page, heading string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../docs/format/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no example %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var data []byte
	for _, line := range regexp.MustCompile(`(?m)^    ([0-9a-f]{2}(?: [0-9a-f]{2})*)(?:  .*)?$`).FindAllStringSubmatch(section, -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, b...)
	}
	return data
}

func checkExample(t *testing.T, page, heading string, got []byte) {
	t.Helper()
	if want := example(t, page, heading); string(got) != string(want) {
		t.Errorf("%s, %q: the page has\n% x\nthe program makes\n% x", page, heading, want, got)
	}
}

func TestPages(t *testing.T) {
	five := encodeIndex(t, []indexSample{{10, 1000, true}, {9, 10, false}, {11, 15, false}, {10, 12, false}, {10, 1050, true}})
	checkExample(t, "sample-index.md", "Index of five samples", five.Data())

	var extra ExtraEncoder
	for _, s := range []struct {
		flags       media.Flags
		composition int32
	}{{media.Key, 0}, {0, 0}, {0, 0}, {media.Damaged, 6000}, {media.Damaged | media.Key, -3}, {0, 0}} {
		extra.Append(s.flags, s.composition)
	}
	checkExample(t, "sample-index.md", "Extra of six samples", extra.Data())

	var layout LayoutEncoder
	for _, offset := range []int64{1000, 1160, 1320, 5480, 5640} {
		layout.Append(offset, 160)
	}
	checkExample(t, "sample-index.md", "Layout of two chunks", layout.Data())

	sums := NewSummer(NewID(3, 7))
	_, _ = sums.Write([]byte("123456789"))
	checkExample(t, "sample-file.md", "Checksum of a block", appendUint32BE(nil, sums.Sums()[0]))

	d := Description{
		ID: NewID(3, 7), CameraName: "gate", StreamName: "main", OpenID: 2, Start: 162_000_000_000_000, WallDuration: 50, MediaDuration: 50,
		Flags: LastDurationGuessed, EndReason: PowerCut, Bytes: 2087, BlockSums: []uint32{0x01020304},
		Tracks: []Track{{
			Kind: media.Video, Entry: SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("avc1")},
			Samples: 5, SyncSamples: 2, Chunks: 1, Bytes: 2087, Duration: 50, Index: five.Data(),
		}},
	}
	checkExample(t, "tail-log.md", "Description", AppendDescription(nil, &d))
}

func appendUint32BE(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}
