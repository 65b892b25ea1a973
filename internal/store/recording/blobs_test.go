package recording

import (
	"encoding/hex"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/media"
)

func TestExtraGolden(t *testing.T) {
	var e ExtraEncoder
	for range 3 {
		e.Append(media.Key, 0)
	}
	if e.Data() != nil {
		t.Errorf("ordinary samples gave %x", e.Data())
	}
	e.Append(media.Damaged, 6000)
	e.Append(media.Damaged|media.Key, -3)
	e.Append(0, 0)
	if got := hex.EncodeToString(e.Data()); got != "0104"+"03000204"+"0300"+"01e05d"+"0105" {
		t.Errorf("encoded as %s", got)
	}
	if err := CheckExtra(e.Data(), 6); err != nil {
		t.Error(err)
	}
	if err := CheckExtra(e.Data(), 4); err == nil {
		t.Error("taken for four samples")
	}
}

func TestExtraInvalid(t *testing.T) {
	for _, data := range []string{"02", "0105", "01020100", "010201ff", "01", "0100" + "80", "0100" + "01", "0100" + "0002"} {
		b, _ := hex.DecodeString(data)
		if err := CheckExtra(b, 1); err == nil && data != "01020100" {
			t.Errorf("%s taken", data)
		}
	}
}

func FuzzExtra(f *testing.F) {
	f.Add([]byte{1, 4, 3, 0, 2, 4, 3, 0, 1, 0xe0, 0x5d}, uint16(9))
	f.Fuzz(func(t *testing.T, data []byte, n uint16) {
		it := NewExtraIterator(data)
		var e ExtraEncoder
		for range n {
			it.Next()
			e.Append(it.Flags, it.Composition)
		}
		if it.Err() != nil {
			return
		}
		if err := CheckExtra(e.Data(), int32(n)); err != nil {
			t.Fatal(err)
		}
		first, second := NewExtraIterator(data), NewExtraIterator(e.Data())
		for range n {
			first.Next()
			second.Next()
			if first.Flags != second.Flags || first.Composition != second.Composition {
				t.Fatalf("%x does not round-trip", data)
			}
		}
	})
}

func TestBlockSum(t *testing.T) {
	data := []byte("123456789")
	seed := append([]byte{1, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0}, data...)
	if got, want := BlockSum(NewID(7, 1), 3, data), crc32.Checksum(seed, crc32.MakeTable(crc32.Castagnoli)); got != want {
		t.Errorf("%08x, want %08x", got, want)
	}
	random := rand.New(rand.NewPCG(1, 2))
	file := make([]byte, 2*BlockSize+12345)
	for i := range file {
		file[i] = byte(random.Uint32())
	}
	id := NewID(3, 9)
	s := NewSummer(id)
	resumed := NewSummer(id)
	for pos := 0; pos < len(file); {
		n := min(1+random.IntN(300_000), len(file)-pos)
		_, _ = s.Write(file[pos : pos+n])
		_, _ = resumed.Write(file[pos : pos+n])
		pos += n
		partial, _ := resumed.Partial()
		resumed = ResumeSummer(id, int64(pos), resumed.Full(0), partial)
	}
	want := []uint32{BlockSum(id, 0, file[:BlockSize]), BlockSum(id, 1, file[BlockSize:2*BlockSize]), BlockSum(id, 2, file[2*BlockSize:])}
	if diff := cmp.Diff(want, s.Sums()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, resumed.Sums()); diff != "" {
		t.Error(diff)
	}
	if s.Size() != int64(len(file)) {
		t.Errorf("size %d", s.Size())
	}
}

var (
	videoEntry = SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("avc1 box"), RFC6381: "avc1.4d401e", Width: 640, Height: 360, ReorderDepth: 2}
	audioEntry = SampleEntry{Codec: media.AAC, ClockRate: 44_100, Data: []byte("mp4a box"), Channels: 2}
)

// build makes a recording of seconds with pictures (25 a second, composition offsets as asked) and audio in chunks.
func build(t testing.TB, seconds int, reorder bool) *Builder {
	t.Helper()
	b := new(Builder)
	b.AddTrack(media.Video, videoEntry, 3600)
	b.AddTrack(media.Audio, audioEntry, 0)
	audio := int64(0)
	for i := range seconds * 25 {
		s := SampleInfo{Decode: media.Time(1000 + i*3600), Size: int32(500 + i%25), Flags: media.Droppable}
		if i%25 == 0 {
			s.Flags, s.Size = media.Key, 9000
		}
		if reorder {
			s.Composition = media.Duration(i%3) * 3600
		}
		if err := b.Add(s); err != nil {
			t.Fatal(err)
		}
		if i%25 != 24 {
			continue
		}
		for ; audio*1024*90_000/44_100 < int64(i+1)*3600; audio++ {
			s := SampleInfo{Track: 1, Decode: media.Time(1500 + audio*1024*90_000/44_100), Frames: 1024, Size: 300, Flags: media.Key}
			if err := b.Add(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

func TestBuilder(t *testing.T) {
	b := build(t, 4, true)
	var d Description
	b.Describe(&d, 1000+100*3600, false, true)
	for i := range d.Tracks {
		if err := CheckIndex(&d.Tracks[i]); err != nil {
			t.Errorf("track %d: %v", i, err)
		}
		if err := CheckExtra(d.Tracks[i].Extra, d.Tracks[i].Samples); err != nil {
			t.Errorf("track %d: %v", i, err)
		}
	}
	if d.MediaDuration != 360_000 || d.Flags != 0 || len(d.Tracks) != 2 {
		t.Errorf("%+v", d)
	}
	audio := d.Tracks[1]
	if audio.Duration != int64(audio.Samples)*1024 || audio.StartOffset != 500 || audio.Chunks != 4 || d.Tracks[0].Chunks != 4 || audio.Extra != nil {
		t.Errorf("audio: %+v", audio)
	}
	var chunks []Chunk
	if err := d.Chunks(func(c Chunk) bool { chunks = append(chunks, c); return true }); err != nil {
		t.Fatal(err)
	}
	pos, samples := int64(0), [2]int32{}
	for i, c := range chunks {
		if c.Offset != pos || c.Track != i%2 || c.First != samples[c.Track] {
			t.Errorf("chunk %d: %+v", i, c)
		}
		pos += c.Size
		samples[c.Track] += c.Samples
	}
	if pos != d.Bytes || len(chunks) != 8 {
		t.Errorf("%d chunks end at %d of %d", len(chunks), pos, d.Bytes)
	}

	var guessed Description
	b.Describe(&guessed, 0, true, false)
	if guessed.Flags != LastDurationGuessed || guessed.MediaDuration != d.MediaDuration || guessed.Tracks[0].Index != nil || guessed.Tracks[1].Samples != audio.Samples {
		t.Errorf("guessed: %+v", guessed)
	}
}

func TestBuilderRefuses(t *testing.T) {
	key := SampleInfo{Decode: 1000, Size: 10, Flags: media.Key}
	for name, bad := range map[string]SampleInfo{
		"same time":     {Decode: 1000, Size: 10},
		"earlier":       {Decode: 999, Size: 10},
		"far":           {Decode: 1001 + MaxSampleDuration, Size: 10},
		"empty":         {Decode: 2000},
		"no such track": {Decode: 2000, Track: 2, Size: 1},
		"audio no key":  {Decode: 2000, Track: 1, Size: 1},
		"composition":   {Decode: 2000, Size: 1, Composition: 1 << 40},
	} {
		b := new(Builder)
		b.AddTrack(media.Video, videoEntry, 0)
		b.AddTrack(media.Audio, audioEntry, 0)
		if err := b.Add(key); err != nil {
			t.Fatal(err)
		}
		if b.Add(bad) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	b := new(Builder)
	b.AddTrack(media.Video, videoEntry, 0)
	b.AddTrack(media.Audio, audioEntry, 0)
	if b.Add(SampleInfo{Track: 1, Decode: 1, Size: 1, Flags: media.Key}) == nil {
		t.Error("audio before video: taken")
	}
}

// Decode times that drift away from what the audio samples say of themselves are followed, without accumulating.
func TestBuilderAudioDrift(t *testing.T) {
	b := new(Builder)
	b.AddTrack(media.Video, videoEntry, 3600)
	b.AddTrack(media.Audio, audioEntry, 0)
	_ = b.Add(SampleInfo{Decode: 0, Size: 1, Flags: media.Key})
	for i := range 1000 {
		at := media.Time(float64(i) * 1024 * 90_000 / 44_100 * 1.001)
		if err := b.Add(SampleInfo{Track: 1, Decode: at, Frames: 1024, Size: 5, Flags: media.Key}); err != nil {
			t.Fatal(err)
		}
	}
	var d Description
	b.Describe(&d, 3600, false, true)
	if got, want := d.Tracks[1].Duration, int64(1000*1024*1.001); got < want-4 || got > want+4 {
		t.Errorf("duration %d, want about %d", got, want)
	}
}

func TestBuilderSave(t *testing.T) {
	b := build(t, 2, true)
	var saved Builder
	b.Save(&saved)
	var before, after Description
	b.Describe(&before, 1000+50*3600, false, true)
	for i := range 10 {
		_ = b.Add(SampleInfo{Decode: media.Time(1000 + (50+i)*3600), Size: 77, Flags: media.Damaged})
	}
	saved.Describe(&after, 1000+50*3600, false, true)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

func testDescription(t testing.TB) *Description {
	d := &Description{
		ID: NewID(3, 17), CameraUUID: UUID{1}, StreamUUID: UUID{2}, CameraName: "Tür", StreamName: "main", OpenID: 4, OpenUUID: UUID{5},
		RunUUID: UUID{6}, RunOffset: 7, Start: 162_000_000_000_000, WallDuration: 5_400_010, PrevMediaDuration: 123, StartCorrection: -45,
		Flags: Recovered, EndReason: PowerCut, EndDetail: "the machine went down", BlockSums: []uint32{1, 0xffffffff},
	}
	synced := false
	d.Clocks = &media.Clocks{Wall: time.Unix(1_800_000_000, 5).UTC(), Synced: &synced, Uptime: time.Minute, SenderTime: -9}
	build(t, 2, true).Describe(d, 1000+50*3600, false, true)
	return d
}

func TestDescriptionRoundTrip(t *testing.T) {
	for _, d := range []*Description{testDescription(t), {}, {Clocks: &media.Clocks{}, Tracks: []Track{{}, {}}}} {
		got, err := ParseDescription(AppendDescription(nil, d))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDescriptionInvalid(t *testing.T) {
	good := AppendDescription(nil, testDescription(t))
	for n := range good {
		if d, err := ParseDescription(good[:n]); err == nil && cmp.Equal(d, testDescription(t)) {
			t.Errorf("cut at %d: taken whole", n)
		}
	}
	for _, s := range []string{"", "02", "010100", "01018100", "0102" + "0101", "01" + "0601" + "02" + "0501" + "02", "01" + "3001" + "02", "0114" + "03" + "010203"} {
		b, _ := hex.DecodeString(s)
		if _, err := ParseDescription(b); err == nil {
			t.Errorf("%s taken", s)
		}
	}
}

func FuzzDescription(f *testing.F) {
	f.Add(AppendDescription(nil, testDescription(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDescription(data)
		if err != nil {
			return
		}
		if again := AppendDescription(nil, d); string(again) != string(data) {
			t.Fatalf("%x\nbecame\n%x", data, again)
		}
		_ = d.Chunks(func(Chunk) bool { return true })
	})
}
