package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"nightjar/internal/crashfs"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

var (
	ctx   = context.Background()
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	boot1 = recording.UUID{1}
	boot2 = recording.UUID{2}

	videoTrack = media.Track{
		Kind: media.Video, Codec: media.H264, ClockRate: 90_000, SampleEntry: []byte("avc1"), RFC6381: "avc1.4d401e",
		Width: 640, Height: 360, FrameDuration: 3600,
	}
	audioTrack = media.Track{Index: 1, Kind: media.Audio, Codec: media.PCMA, ClockRate: 8000, SampleEntry: []byte("alaw"), Channels: 1}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is an archive in memory with one directory and some streams, and the history of what was done with it.
type rig struct {
	t       testing.TB
	fs      *crashfs.FS
	a       *Archive
	opts    Options
	streams []recording.StreamID
	now     time.Time
	history *history
}

// history is what the world outside knows: which samples were handed over, and what was said to be safe.
type history struct {
	fed map[recording.ID]*fed
}

type fed struct {
	id       recording.ID
	start    media.WallTime
	samples  []fedSample
	begun    int   // operation of the file system after which it was begun
	finished int   // operation of the file system; 0: never
	complete int   // operation at which it was known to be complete
	deleted  int   // operation at which its deletion was asked for
	gone     int   // operation at which the deletion was said to be done
	durable  []int // by tick: how many samples it made durable
	ticks    []int // the operations of those ticks
}

type fedSample struct {
	track  media.Kind
	key    bool
	decode media.Time
	data   []byte
	at     int // operation before which it was handed over
}

func newRig(t testing.TB, streams int) *rig {
	t.Helper()
	fsys := crashfs.New("/data", "/d", "/run")
	r := &rig{t: t, fs: fsys, now: epoch, history: &history{fed: make(map[recording.ID]*fed)}}
	must(t, catalog.Init(ctx, catalog.Options{FS: fsys, Dir: "/data", Now: r.clock}))
	r.opts = Options{Data: "/data", Boot: boot1, FS: fsys, CatalogFS: fsys, Volatile: "/run", Now: r.clock, BlockBytes: 3 << 20}
	r.open()
	dir, err := r.a.AddDirectory(ctx, "/d")
	must(t, err)
	for len(r.streams) < streams {
		camera := catalog.Camera{Name: fmt.Sprint("camera ", len(r.streams))}
		for i := range min(3, streams-len(r.streams)) {
			camera.Streams = append(camera.Streams, catalog.Stream{Name: []string{"main", "sub", "ext"}[i], URL: "rtsp://c/", Directory: dir.ID, Record: true})
		}
		camera, err = r.a.Catalog().AddCamera(ctx, camera)
		must(t, err)
		for _, s := range camera.Streams {
			r.streams = append(r.streams, s.ID)
		}
	}
	return r
}

func (r *rig) clock() time.Time { return r.now }

func (r *rig) open() {
	r.t.Helper()
	a, err := Open(ctx, r.opts)
	must(r.t, err)
	r.a = a
}

// on returns the same rig over another state of the file system.
func (r *rig) on(t testing.TB, fsys *crashfs.FS, boot recording.UUID) *rig {
	c := *r
	c.t, c.fs, c.a = t, fsys, nil
	c.opts.FS, c.opts.CatalogFS, c.opts.Boot, c.opts.Now = fsys, fsys, boot, c.clock
	return &c
}

func (r *rig) dir() *directory {
	for _, d := range r.a.dirs {
		return d
	}
	return nil
}

// tick does what Run does now and then.
func (r *rig) tick() {
	before := r.counts()
	r.dir().tick()
	if r.dir().err != nil {
		return
	}
	for id, n := range before {
		f := r.history.fed[id]
		f.durable, f.ticks = append(f.durable, n), append(f.ticks, r.fs.Seq())
		if f.finished > 0 && f.complete == 0 {
			if ok, err := r.a.Complete(ctx, id); err == nil && ok {
				f.complete = r.fs.Seq()
			}
		}
	}
}

// counts returns how many samples of each recording in progress were handed over.
func (r *rig) counts() map[recording.ID]int {
	m := make(map[recording.ID]int)
	for id := range r.a.live {
		m[id] = len(r.history.fed[id].samples)
	}
	return m
}

// feeder is one recording being written.
type feeder struct {
	*rig
	w      *Writer
	f      *fed
	random *rand.Rand
	i      int
}

func (r *rig) begin(stream int) *feeder {
	r.t.Helper()
	w, err := r.a.Begin(Begin{Stream: r.streams[stream], Run: recording.UUID{9, byte(stream)}, Start: media.WallTimeOf(r.now), StartFinal: true, Video: videoTrack})
	must(r.t, err)
	f := &fed{id: w.ID(), start: media.WallTimeOf(r.now), begun: r.fs.Seq()}
	r.history.fed[w.ID()] = f
	return &feeder{rig: r, w: w, f: f, random: rand.New(rand.NewPCG(uint64(w.ID()), 1))}
}

// video hands over n pictures of about so many bytes, with two audio samples after each if wanted.
func (f *feeder) video(n, size int, audio bool) *feeder {
	f.t.Helper()
	for range n {
		flags := media.Flags(0)
		if f.i%10 == 0 {
			flags = media.Key
		}
		f.sample(&videoTrack, flags, media.Time(f.i*3600), 0, size+f.random.IntN(size/4+1))
		for j := range 2 {
			if audio {
				f.sample(&audioTrack, media.Key, media.Time(f.i*3600+j*1800), 160, 160)
			}
		}
		f.i++
	}
	return f
}

func (f *feeder) sample(track *media.Track, flags media.Flags, decode media.Time, frames uint32, size int) {
	f.t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(f.random.Uint32())
	}
	must(f.t, f.w.Append(Sample{Track: track, Flags: flags, Decode: decode, Frames: frames, Data: data}))
	f.f.samples = append(f.f.samples, fedSample{track.Kind, flags&media.Key != 0, decode, data, f.fs.Seq()})
}

func (f *feeder) finish(reason recording.Reason) {
	f.t.Helper()
	must(f.t, f.w.Finish(End{At: media.Time(f.i * 3600), Reason: reason}))
	f.f.finished = f.fs.Seq()
	f.now = f.now.Add(time.Duration(f.i) * 40 * time.Millisecond)
	f.rig.now = f.now
}

func (r *rig) flush() {
	r.t.Helper()
	must(r.t, r.a.Flush(ctx))
}

func (r *rig) delete(ids ...recording.ID) {
	r.t.Helper()
	for _, id := range ids {
		r.history.fed[id].deleted = r.fs.Seq() + 1
	}
	must(r.t, r.a.Delete(ctx, ids, recording.Retention))
	for _, id := range ids {
		r.history.fed[id].gone = r.fs.Seq()
	}
}

func (r *rig) close() {
	r.t.Helper()
	must(r.t, r.a.Close())
}

// list returns all recordings of a stream.
func (r *rig) list(stream int) (list []*recording.Description) {
	r.t.Helper()
	must(r.t, r.a.Recordings(ctx, r.streams[stream], 0, math.MaxInt64, func(d *recording.Description) bool {
		list = append(list, d)
		return true
	}))
	return list
}

// stored reads a recording back: its samples in the order of each track.
func (r *rig) stored(id recording.ID) (d *recording.Description, tracks [][]fedSample, err error) {
	if d, err = r.a.Describe(ctx, id); err != nil {
		return nil, nil, err
	}
	s, err := r.a.OpenSamples(id)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	if s.Size() < d.Bytes {
		return nil, nil, fmt.Errorf("%d bytes of %d", s.Size(), d.Bytes)
	}
	tracks = make([][]fedSample, len(d.Tracks))
	its := make([]recording.IndexIterator, len(d.Tracks))
	for i := range its {
		if err := recording.CheckIndex(&d.Tracks[i]); err != nil {
			return nil, nil, err
		}
		its[i] = recording.NewIndexIterator(d.Tracks[i].Index)
	}
	var readErr error
	var summer = recording.NewSummer(id)
	err = d.Chunks(func(c recording.Chunk) bool {
		at := c.Offset
		for range c.Samples {
			it := &its[c.Track]
			it.Next()
			data := make([]byte, it.Size)
			if _, readErr = s.ReadAt(data, at); readErr != nil {
				return false
			}
			_, _ = summer.Write(data)
			at += int64(it.Size)
			tracks[c.Track] = append(tracks[c.Track], fedSample{track: d.Tracks[c.Track].Kind, key: it.Key, decode: media.Time(it.Start), data: data})
		}
		return true
	})
	if err = errors.Join(err, readErr); err == nil && fmt.Sprint(summer.Sums()) != fmt.Sprint(d.BlockSums) {
		err = fmt.Errorf("sums %x, stated %x", summer.Sums(), d.BlockSums)
	}
	return d, tracks, err
}

// checkStored compares a recording with what was handed over: the samples of each track are a beginning of that. It
// returns how many samples there are of all tracks.
func (r *rig) checkStored(f *fed) (n int, err error) {
	d, tracks, err := r.stored(f.id)
	if err != nil {
		return 0, err
	}
	if d.Start != f.start {
		return 0, fmt.Errorf("starts at %d, not %d", d.Start, f.start)
	}
	for i, got := range tracks {
		var want []fedSample
		for _, s := range f.samples {
			if s.track == d.Tracks[i].Kind {
				want = append(want, s)
			}
		}
		if len(got) > len(want) {
			return 0, fmt.Errorf("track %d has %d samples of %d", i, len(got), len(want))
		}
		for j := range got {
			if !bytes.Equal(got[j].data, want[j].data) || got[j].key != want[j].key || i == 0 && got[j].decode != want[j].decode {
				return 0, fmt.Errorf("track %d sample %d differs", i, j)
			}
		}
		n += len(got)
	}
	return n, nil
}

// checkWhole looks at the whole state of a store at rest, after all is flushed: each sample file has its row, of its
// size, each row its file, and nothing else lies about.
func (r *rig) checkWhole() error {
	names, err := r.fs.ReadDir("/d")
	if err != nil {
		return err
	}
	files := make(map[recording.ID]int64)
	for _, name := range names {
		if id, ok := recording.ParseFileName(name); ok {
			info, err := r.fs.Stat(filepath.Join("/d", name))
			if err != nil {
				return err
			}
			files[id] = info.Size
		}
	}
	for i := range r.streams {
		var last *recording.Description
		for _, d := range r.list(i) {
			size, ok := files[d.ID]
			if !ok || size != d.Bytes {
				return fmt.Errorf("row %v of %d bytes: file %v of %d bytes", d.ID, d.Bytes, ok, size)
			}
			delete(files, d.ID)
			if last != nil && d.ID <= last.ID {
				return fmt.Errorf("%v follows %v", d.ID, last.ID)
			}
			if last != nil && d.PrevMediaDuration < last.PrevMediaDuration+last.MediaDuration {
				return fmt.Errorf("%v: media durations before it sum to %d, %v ends at %d", d.ID, d.PrevMediaDuration, last.ID, last.PrevMediaDuration+last.MediaDuration)
			}
			last = d
		}
	}
	for id := range files {
		return fmt.Errorf("sample file %v has no row", id)
	}
	for _, d := range r.a.dirs {
		garbage, err := r.a.catalog.Garbage(ctx, d.row.ID)
		if err != nil || len(garbage) > 0 {
			return fmt.Errorf("%d garbage rows, %w", len(garbage), err)
		}
	}
	return nil
}
