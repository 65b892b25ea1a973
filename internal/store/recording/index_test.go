package recording

import (
	"encoding/hex"
	"testing"
)

type indexSample struct {
	duration int64
	size     int32
	key      bool
}

func encodeIndex(t testing.TB, samples []indexSample) IndexEncoder {
	t.Helper()
	var e IndexEncoder
	for _, s := range samples {
		if err := e.Append(s.duration, s.size, s.key); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func TestIndexGolden(t *testing.T) {
	samples := []indexSample{{10, 1000, true}, {9, 10, false}, {11, 15, false}, {10, 12, false}, {10, 1050, true}}
	e := encodeIndex(t, samples)
	if got := hex.EncodeToString(e.Data()); got != "29d00f0214080a02050164" {
		t.Errorf("encoded as %s", got)
	}
	if e.Samples() != 5 || e.SyncSamples() != 2 || e.Bytes() != 2087 || e.Duration() != 50 {
		t.Errorf("counted %d samples, %d key, %d bytes, duration %d", e.Samples(), e.SyncSamples(), e.Bytes(), e.Duration())
	}
	it := NewIndexIterator(e.Data())
	var start, offset int64
	for i, s := range samples {
		if !it.Next() {
			t.Fatalf("ended before sample %d: %v", i, it.Err())
		}
		if int(it.Sample) != i || int64(it.Duration) != s.duration || it.Size != s.size || it.Key != s.key || it.Start != start || it.Offset != offset {
			t.Errorf("sample %d came back as %+v", i, it)
		}
		start, offset = start+s.duration, offset+int64(s.size)
	}
	if it.Next() || it.Err() != nil {
		t.Errorf("no clean end: %v", it.Err())
	}
}

// The ten samples of testdata/media/moonfire/clip.mp4, by its stsz, stss and stts boxes.
func TestIndexOfClip(t *testing.T) {
	sizes := []int32{3736, 134, 99, 116, 3802, 139, 118, 131, 3833, 129}
	durations := []int64{90379, 89884, 89749, 89981, 90055, 89967, 90021, 89958, 90011, 90000}
	var samples []indexSample
	for i := range sizes {
		samples = append(samples, indexSample{durations[i], sizes[i], i%4 == 0})
	}
	e := encodeIndex(t, samples)
	track := Track{Samples: 10, SyncSamples: 3, Bytes: 12237, Duration: 900005, Index: e.Data()}
	if err := CheckIndex(&track); err != nil {
		t.Error(err)
	}
}

func TestIndexInvalid(t *testing.T) {
	for _, c := range []struct{ name, data string }{
		{"half a sample", "29"},
		{"varint cut in the first", "a9"},
		{"varint cut in the second", "29d0"},
		{"varint of six bytes", "8180808080800101"},
		{"varint beyond 32 bits", "81808080100a"},
		{"first is not a key sample", "28d00f"},
		{"size 0", "2900"},
		{"negative size", "2901"},
		{"negative duration", "0314"},
		{"sample after one of no duration", "01140114"},
		{"duration beyond its range", "fdffffff0f14" + "fdffffff0f14"},
		{"garbage at the end", "29d00f" + "80"},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		it := NewIndexIterator(data)
		for it.Next() {
		}
		if it.Err() == nil {
			t.Errorf("%s: taken", c.name)
		}
	}
}

func TestIndexEncoderRefuses(t *testing.T) {
	good := indexSample{10, 10, true}
	for name, list := range map[string][]indexSample{
		"negative duration": {{-1, 10, true}},
		"long duration":     {{MaxSampleDuration + 1, 10, true}},
		"no bytes":          {{10, 0, true}},
		"no key":            {{10, 10, false}},
		"after zero":        {good, {0, 10, false}, good},
	} {
		var e IndexEncoder
		var err error
		for _, s := range list {
			err = e.Append(s.duration, s.size, s.key)
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	longest := encodeIndex(t, []indexSample{{MaxSampleDuration, 1<<31 - 1, true}, {1, 1, false}, {MaxSampleDuration, 1, true}, {0, 1<<31 - 1, true}})
	it := NewIndexIterator(longest.Data())
	for it.Next() {
	}
	if it.Err() != nil {
		t.Errorf("the limits do not round-trip: %v", it.Err())
	}
}

func TestCheckIndexCounts(t *testing.T) {
	e := encodeIndex(t, []indexSample{{10, 100, true}, {0, 50, false}})
	good := Track{Samples: 2, SyncSamples: 1, Bytes: 150, Duration: 10, Index: e.Data()}
	if err := CheckIndex(&good); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*Track){
		func(t *Track) { t.Samples++ }, func(t *Track) { t.SyncSamples++ }, func(t *Track) { t.Bytes++ }, func(t *Track) { t.Duration++ },
	} {
		bad := good
		change(&bad)
		if CheckIndex(&bad) == nil {
			t.Errorf("%+v taken", bad)
		}
	}
}

func FuzzIndex(f *testing.F) {
	seed, _ := hex.DecodeString("29d00f0214080a02050164")
	f.Add(seed)
	f.Add([]byte{0x29, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		it := NewIndexIterator(data)
		var e IndexEncoder
		for it.Next() {
			if err := e.Append(int64(it.Duration), it.Size, it.Key); err != nil {
				t.Fatalf("decoded %+v, not encodable: %v", it, err)
			}
		}
		if it.Err() != nil {
			return
		}
		if len(e.Data()) > len(data) {
			t.Fatalf("%x became longer: %x", data, e.Data())
		}
		again := NewIndexIterator(e.Data())
		first := NewIndexIterator(data)
		for first.Next() {
			if !again.Next() || again.Duration != first.Duration || again.Size != first.Size || again.Key != first.Key {
				t.Fatalf("%x does not round-trip", data)
			}
		}
		if again.Next() {
			t.Fatal("round trip has more samples")
		}
	})
}

func BenchmarkIndexIterator(b *testing.B) {
	var e IndexEncoder
	for i := range 1800 {
		size, key := int32(12000+i*37%900), false
		if i%30 == 0 {
			size, key = size*4, true
		}
		if err := e.Append(int64(3000+i%7*11), size, key); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		it := NewIndexIterator(e.Data())
		for it.Next() {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1800, "ns/sample")
}
