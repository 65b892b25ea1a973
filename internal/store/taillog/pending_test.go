package taillog

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

const blocksName = "/run/blocks"

// pendingWriter does what the archive does: bytes into blocks, then the frame that speaks of them.
type pendingWriter struct {
	*source
	t       *testing.T
	blocks  *Blocks
	pending *Pending
	open    []*Block
	disk    vfs.File
}

func newPendingWriter(t *testing.T, fsys vfs.FS, blocks *Blocks, n uint32) *pendingWriter {
	s := newSource(n)
	file, err := fsys.OpenFile("/d/"+s.d.ID.FileName(), vfs.Options{Write: true, Create: true})
	must(t, err)
	w := &pendingWriter{source: s, t: t, blocks: blocks, pending: NewPending(blocks, s.d.ID), disk: file}
	for _, e := range s.begin() {
		if w.pending.Add(e, nil) == nil {
			t.Fatal("begin does not fit")
		}
	}
	return w
}

func (w *pendingWriter) add(size int) {
	at := w.builder.Bytes()
	entry, data := w.sample(size)
	w.store(at, data)
	if w.pending.Add(entry, data) == nil {
		w.t.Fatal("sample does not fit")
	}
}

func (w *pendingWriter) store(at int64, data []byte) {
	for rest := data; len(rest) > 0; {
		n, in := uint32(at/BlockSize), int(at%BlockSize)
		if k := len(w.open); k == 0 || w.open[k-1].N != n {
			w.open = append(w.open, w.blocks.Get(w.d.ID, n))
		}
		c := copy(w.open[len(w.open)-1].Data[in:], rest)
		rest, at = rest[c:], at+int64(c)
	}
}

// flush writes the full blocks to the file and gives them back.
func (w *pendingWriter) flush() {
	for len(w.open) > 1 {
		_, err := w.disk.WriteAt(w.open[0].Data, int64(w.open[0].N)*BlockSize)
		must(w.t, err)
		w.blocks.Put(w.open[0])
		w.open = w.open[1:]
	}
}

func extend(t *testing.T, fsys vfs.FS, id recording.ID, r *Recording) int {
	t.Helper()
	s, err := OpenSurvivors(fsys, blocksName, testIdentity, testIdentity.Boot)
	must(t, err)
	if s == nil {
		t.Fatal("nothing survived")
	}
	file, err := fsys.OpenFile("/d/"+id.FileName(), vfs.Options{Write: true})
	must(t, err)
	n, err := s.Extend(id, r, file)
	must(t, err)
	must(t, s.Close())
	return n
}

func TestSurvivors(t *testing.T) {
	fsys := crashfs.New("/d", "/run")
	blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 8, 8)
	must(t, err)
	a, b := newPendingWriter(t, fsys, blocks, 1), newPendingWriter(t, fsys, blocks, 2)
	for range 40 {
		a.add(30_000)
		b.add(500)
		a.flush()
	}
	b.store(b.builder.Bytes(), []byte("bytes whose frame was not written yet"))

	left, err := OpenSurvivors(fsys.Kill(), blocksName, testIdentity, testIdentity.Boot)
	must(t, err)
	if diff := cmp.Diff([]recording.ID{a.d.ID, b.d.ID}, left.Recordings()); diff != "" {
		t.Error(diff)
	}
	must(t, left.Close())

	killed := fsys.Kill()
	for range 2 { // the second time is a recovery that was killed itself
		for _, w := range []*pendingWriter{a, b} {
			r := new(Recording)
			if n := extend(t, killed, w.d.ID, r); n != 40 {
				t.Errorf("recording %v: won %d samples", w.d.ID, n)
			}
			if diff := cmp.Diff(w.describe(), describe(r.Description, &r.Builder, &r.Summer)); diff != "" {
				t.Error(diff)
			}
			if got := readAll(t, killed, "/d/"+w.d.ID.FileName()); !bytes.Equal(got, w.file) {
				t.Errorf("recording %v: file differs", w.d.ID)
			}
		}
	}
	for _, writer := range []Identity{{}, {Boot: testIdentity.Boot}, {Directory: recording.UUID{1}, Boot: recording.UUID{9}, Open: recording.UUID{3}, OpenID: 4}} {
		if s, err := OpenSurvivors(fsys.Kill(), blocksName, writer, testIdentity.Boot); s != nil || err != nil {
			t.Errorf("what %+v did not write is taken: %v", writer, err)
		}
	}
}

// What a durable batch covers comes from the log; the frames go on from there, and the pages before are free again.
func TestSurvivorsAfterBatch(t *testing.T) {
	fsys := crashfs.New("/d", "/run")
	blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 8, 4)
	must(t, err)
	w := newPendingWriter(t, fsys, blocks, 1)
	for range 2000 { // more frames than fit all pages
		w.add(40)
		if w.pending.Pages() == 3 {
			w.pending.Release(w.seq)
		}
	}
	w.pending.Release(w.seq)
	known := new(Recording)
	replica := newSource(1)
	for _, e := range replica.begin() {
		must(t, known.apply(e))
	}
	for range 2000 {
		e, data := replica.sample(40)
		must(t, known.apply(e))
		_, _ = known.Summer.Write(data)
	}
	known.Seq = w.seq
	for range 5 {
		w.add(40)
	}
	w.open[0].Data[w.builder.Bytes()-10] ^= 1 // the last sample's bytes are not those that were checked
	if n := extend(t, fsys.Kill(), w.d.ID, known); n != 4 || known.Builder.Samples(0)+known.Builder.Samples(1) != 2004 {
		t.Errorf("won %d samples", n)
	}
}

// Held samples are appended to the file, unless they were already.
func TestSurvivorsHeld(t *testing.T) {
	for flushed := range 4 {
		fsys := crashfs.New("/d", "/run")
		blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 8, 4)
		must(t, err)
		w := newPendingWriter(t, fsys, blocks, 1)
		w.add(1000)
		var held []recording.SampleInfo
		var datas [][]byte
		for i := range 3 {
			info := recording.SampleInfo{Track: 1, Flags: media.Key, Decode: media.Time(i * 1800), Frames: 160, Size: 160}
			data := bytes.Repeat([]byte{byte(i + 1)}, 160)
			held, datas = append(held, info), append(datas, data)
			w.seq++
			if w.pending.Add(AppendHeld(nil, media.Audio, &info, data), nil) == nil {
				t.Fatal("held sample does not fit")
			}
		}
		want := bytes.Clone(w.file)
		for i, info := range held {
			if i < flushed {
				w.seq++
				entry := AppendSample(nil, &w.builder, &info)
				w.store(w.builder.Bytes(), datas[i])
				must(t, w.builder.Add(info))
				if w.pending.Add(entry, datas[i]) == nil {
					t.Fatal("sample does not fit")
				}
			}
			want = append(want, datas[i]...)
		}
		killed, r := fsys.Kill(), new(Recording)
		if n := extend(t, killed, w.d.ID, r); n != 4 || r.Builder.Samples(1) != 3 {
			t.Errorf("%d flushed: won %d samples", flushed, n)
		}
		if got := readAll(t, killed, "/d/"+w.d.ID.FileName()); !bytes.Equal(got, want) {
			t.Errorf("%d flushed: file differs", flushed)
		}
		if got, want := r.Summer.Sums(), []uint32{recording.BlockSum(w.d.ID, 0, want)}; !cmp.Equal(got, want) {
			t.Errorf("%d flushed: sums %x, want %x", flushed, got, want)
		}
	}
}

func TestExhaustion(t *testing.T) {
	fsys := crashfs.New("/run")
	blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 40, 2)
	must(t, err)
	var all []*Block
	for b := blocks.Get(5, 0); b != nil; b = blocks.Get(5, uint32(len(all))) {
		for i := range b.Data {
			b.Data[i] = 0xff
		}
		all = append(all, b)
	}
	if len(all) != 40 || blocks.Free() != 0 {
		t.Fatalf("%d blocks, %d free", len(all), blocks.Free())
	}
	for _, b := range all {
		blocks.Put(b)
	}
	if blocks.Free() != 40 || len(blocks.freeBlocks.warm) != warmBytes/BlockSize {
		t.Errorf("%d free, %d warm", blocks.Free(), len(blocks.freeBlocks.warm))
	}
	p := NewPending(blocks, 5)
	entry := make([]byte, MaxEntry)
	first, second, third := p.Add(entry, nil), p.Add(entry, nil), p.Add(entry, nil)
	if first == nil || second == nil || third != nil || p.Reserve(1, 1) || p.Seq() != 3 {
		t.Errorf("two pages hold %d entries", p.Seq())
	}
	p.Drop()
	if p.Add(make([]byte, MaxEntry+1), nil) != nil || p.Add(entry, nil) == nil {
		t.Error("after all pages were given back")
	}
}

func FuzzSurvivors(f *testing.F) {
	f.Add(uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, at uint32, flip byte) {
		fsys := crashfs.New("/d", "/run")
		blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 2, 2)
		must(t, err)
		w := newPendingWriter(t, fsys, blocks, 1)
		for range 10 {
			w.add(300)
		}
		mem := blocks.mem
		if at%2 == 0 { // where it hurts
			mem = mem[:blocks.firstPage()+2*PageSize]
		}
		mem[int(at/2)%len(mem)] ^= flip
		s, err := OpenSurvivors(fsys, blocksName, testIdentity, testIdentity.Boot)
		must(t, err)
		r := new(Recording)
		if _, err := s.Extend(w.d.ID, r, w.disk); err != nil {
			t.Fatal(err)
		}
		if n := r.Builder.Bytes(); n > int64(len(w.file)) || fmt.Sprint(r.Summer.Sums()) != fmt.Sprint(sumsOf(w.d.ID, w.file[:n])) {
			t.Fatalf("%d bytes of %d: sums %x", n, len(w.file), r.Summer.Sums())
		}
	})
}

func sumsOf(id recording.ID, data []byte) []uint32 {
	s := recording.NewSummer(id)
	_, _ = s.Write(data)
	return s.Sums()
}

func BenchmarkPendingAdd(b *testing.B) {
	fsys := crashfs.New("/run")
	blocks, err := CreateBlocks(fsys, blocksName, testIdentity, 2, 8)
	must(b, err)
	p := NewPending(blocks, 5)
	entry, data := make([]byte, 8), make([]byte, 12_000)
	b.ReportAllocs()
	for b.Loop() {
		p.Add(entry, data)
		if p.Pages() == 7 {
			p.Release(p.Seq())
		}
	}
}
