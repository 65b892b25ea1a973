package sampledir

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/store/recording"
)

// reseal makes the checksum of an altered meta file right again.
func reseal(data []byte) []byte {
	end := int(data[0]) + 1
	clear(data[end-4 : end])
	binary.LittleEndian.PutUint32(data[end-4:], crc32.Checksum(data, castagnoli))
	return data
}

// TestMetaPage reads the example of docs/format/directory-meta.md.
func TestMetaPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/format/directory-meta.md")
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for _, line := range regexp.MustCompile(`(?m)^    ([0-9a-f]{2}( [0-9a-f]{2})*)`).FindAllStringSubmatch(string(page), -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, b...)
	}
	data = append(data, make([]byte, MetaSize-len(data))...)
	m := &Meta{LastComplete: &OpenRef{ID: 299}, InProgress: &OpenRef{ID: 300}}
	for i, u := range []*recording.UUID{&m.Catalog, &m.Dir, &m.LastComplete.UUID, &m.InProgress.UUID} {
		for j := range u {
			u[j] = byte(16*(i+1) + j)
		}
	}
	got, err := ParseMeta(data)
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if want := EncodeMeta(m); !bytes.Equal(want, data) {
		t.Errorf("the page's example should be\n% x", want[:int(want[0])+1])
	}
}

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []Meta{
		{Catalog: catalogA, Dir: catalogB},
		{Catalog: catalogA, Dir: catalogB, LastComplete: &open1},
		{Catalog: catalogA, Dir: catalogB, InProgress: &OpenRef{1<<32 - 1, recording.UUID{}}},
		{LastComplete: &open2, InProgress: &open3},
	} {
		data := EncodeMeta(&m)
		if len(data) != MetaSize {
			t.Errorf("%d bytes", len(data))
		}
		got, err := ParseMeta(data)
		if err != nil || !cmp.Equal(*got, m) {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
	}
}

// TestMetaEveryBit expects each flipped bit of a meta file to be noticed.
func TestMetaEveryBit(t *testing.T) {
	good := EncodeMeta(&Meta{Catalog: catalogA, Dir: catalogB, LastComplete: &open1, InProgress: &open2})
	for i := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if m, err := ParseMeta(bad); err == nil {
			t.Errorf("bit %d flipped gives %+v", i, m)
		} else if errors.Is(err, errMetaForeign) || errors.Is(err, errMetaNewer) {
			t.Errorf("bit %d flipped counts as %v", i, err)
		}
	}
}

func TestMetaUnknownField(t *testing.T) {
	data := EncodeMeta(&Meta{Catalog: catalogA, Dir: catalogB})
	end := int(data[0]) + 1
	extra := binary.AppendUvarint(nil, 20<<3|wireVarint)
	extra = append(extra, 7)
	extra = append(extra, binary.AppendUvarint(nil, 21<<3|wireFixed64)...)
	extra = append(extra, 1, 2, 3, 4, 5, 6, 7, 8)
	crc := bytes.Clone(data[end-5 : end])
	msg := append(append(bytes.Clone(data[1:end-5]), extra...), crc...)
	data = append(append([]byte{byte(len(msg))}, msg...), make([]byte, MetaSize-1-len(msg))...)
	m, err := ParseMeta(reseal(data))
	if err != nil || m.Dir != catalogB {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(EncodeMeta(&Meta{Catalog: catalogA, Dir: catalogB, LastComplete: &open1, InProgress: &open2}))
	f.Add(EncodeMeta(&Meta{Catalog: catalogA}))
	f.Add(seedMeta())
	f.Add(newerMeta(catalogB))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == MetaSize && int(data[0])+1 <= MetaSize && data[0] >= 5 {
			data = reseal(bytes.Clone(data)) // else hardly anything gets past the checksum
		}
		m, err := ParseMeta(data)
		if err != nil {
			return
		}
		again, err := ParseMeta(EncodeMeta(m))
		if err != nil || !cmp.Equal(m, again) {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
