package taillog

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

func checkExample(t *testing.T, page, heading string, got []byte) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/format/" + page)
	must(t, err)
	_, section, ok := strings.Cut(string(text), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no example %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var want []byte
	for _, line := range regexp.MustCompile(`(?m)^    ([0-9a-f]{2}(?: [0-9a-f]{2})*)(?:  .*)?$`).FindAllStringSubmatch(section, -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[1], " ", ""))
		must(t, err)
		want = append(want, b...)
	}
	if string(got) != string(want) {
		t.Errorf("%s, %q: the page has\n% x\nthe program makes\n% x", page, heading, want, got)
	}
}

func counting(first byte) (u recording.UUID) {
	for i := range u {
		u[i] = first + byte(i)
	}
	return u
}

func TestPages(t *testing.T) {
	identity := Identity{Directory: counting(0x10), Boot: counting(0x20), Open: counting(0x30), OpenID: 2}
	header := SegmentHeader{Number: 26, Identity: identity, Sequence: 100, Created: 1_800_000_000, salt: 0x01020304}
	checkExample(t, "tail-log.md", "Segment header", header.encode())

	id := recording.NewID(3, 7)
	removed := appendRecord(nil, header.salt, 100, removedRecord, func(b []byte) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(id))
	})
	checkExample(t, "tail-log.md", "Record", removed)

	var builder recording.Builder
	entry := recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("avc1")}
	video := AppendTrack(nil, media.Video, &entry, 3000)
	builder.AddTrack(media.Video, entry, 3000)
	sound := recording.SampleEntry{Codec: media.PCMA, ClockRate: 8000, Data: []byte("alaw")}
	audio := AppendTrack(nil, media.Audio, &sound, 0)
	builder.AddTrack(media.Audio, sound, 0)
	entries := [][]byte{AppendBegin(nil, &recording.Description{ID: id, Start: 1}, true), video, audio}
	add := func(s recording.SampleInfo) []byte {
		e := AppendSample(nil, &builder, &s)
		must(t, builder.Add(s))
		return e
	}
	key := add(recording.SampleInfo{Flags: media.Key, Decode: 1000, Size: 1000})
	entries = append(entries, key, add(recording.SampleInfo{Decode: 4000, Size: 300}))
	entries = append(entries, add(recording.SampleInfo{Track: 1, Flags: media.Key, Decode: 1100, Frames: 160, Size: 160}))
	entries = append(entries, AppendStart(nil, 2, true), AppendEnd(nil, &End{At: 7000, WallDuration: 6000, Reason: recording.Timeout}))
	var all []byte
	for _, e := range entries {
		all = AppendEntry(all, e)
	}
	checkExample(t, "tail-log.md", "Entries", all)
	p := Progress{ID: id, To: 8, Good: builder.Bytes(), Partial: 0x0a0b0c0d, Entries: []byte{}}
	checkExample(t, "tail-log.md", "Progress", p.append(nil))

	fsys := crashfs.New("/run")
	blocks, err := CreateBlocks(fsys, blocksName, identity, 2, 2)
	must(t, err)
	checkExample(t, "open-block.md", "Header", blocks.mem[:96])
	block := blocks.Get(id, 5)
	copy(block.Data, "123456789")
	checkExample(t, "open-block.md", "Table entry", blocks.blockSlot(block.slot))
	pending := NewPending(blocks, id)
	pending.Add(key, []byte("123456789"))
	checkExample(t, "open-block.md", "Frame", pending.pages[0].data[:pending.pages[0].used])
	if g := blocks.geometry; g.blockTable() != 4096 || g.pageTable() != 8192 || g.firstPage() != 12288 || g.firstBlock() != 28672 {
		t.Errorf("geometry %+v", g)
	}
}
