package view

import (
	"bytes"
	"context"
	"testing"
	"time"

	"nightjar/internal/camsim/picture"
	"nightjar/internal/judge"
	"nightjar/internal/media"
	"nightjar/internal/media/codec"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// TestRealArchive: views over the archive itself, of a recording in progress whose bytes are in memory, of the same when
// it is over, and of two recordings with sound.
func TestRealArchive(t *testing.T) {
	dir := t.TempDir()
	now := fakeStart.Add(90_000 * 3600).Time()
	clock := func() time.Time { return now }
	if err := catalog.Init(t.Context(), catalog.Options{Dir: dir, Now: clock}); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), archive.Options{Data: dir, Boot: recording.UUID{1}, Volatile: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := a.AddDirectory(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	camera, err := a.Catalog().AddCamera(t.Context(), catalog.Camera{Name: "c", Streams: []catalog.Stream{{Name: "main", URL: "rtsp://c/", Directory: samples.ID, Record: true}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- a.Run(ctx) }()

	w := &realWriter{t: t, a: a, stream: camera.Streams[0].ID}
	w.enc, err = picture.New(picture.Options{Width: filmWidth, Height: filmHeight, GOP: 20})
	if err != nil {
		t.Fatal(err)
	}
	track, next := alawPackets(t)
	w.audio, w.sound = track, next
	w.begin(fakeStart)
	w.append(60)
	w.finish()
	w.begin(fakeStart + 180_000)
	w.append(90)

	b := New(Of(a), Options{Now: clock})
	open := Request{Stream: w.stream, Start: fakeStart + 45_000}
	_, info, err := b.Build(t.Context(), open)
	if err != nil {
		t.Fatal(err)
	}
	pinned := open
	pinned.End = info.End
	first := bytesOf(t, b, pinned)
	if !info.Growing || info.Recordings != 2 {
		t.Errorf("%+v", info)
	}
	w.append(120)
	w.finish()
	stop()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	b = New(Of(a), Options{Now: clock})
	if second := bytesOf(t, b, pinned); !bytes.Equal(first, second) {
		t.Errorf("the pinned view of %d bytes has %d bytes later", len(first), len(second))
	}
	judge.Need(t, "ffmpeg", "ffprobe")
	name, info := write(t, b, Request{Stream: w.stream, Start: fakeStart + 45_000, End: fakeStart + 330_000})
	judge.FFmpegClean(t, name)
	strips := judge.Strips(t, name)
	if len(strips) != 95 || strips[0].Number != 15 || strips[94].Number != 109 {
		t.Errorf("%d pictures, %+v to %+v", len(strips), strips[0], strips[len(strips)-1])
	}
	probe := judge.FFprobe(t, name)
	if audio, ok := probe.Audio(); !ok || (audio.Duration-info.Duration.Std()).Abs() > 100*time.Millisecond {
		t.Errorf("%+v", audio)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func bytesOf(t *testing.T, b *Builder, r Request) []byte {
	t.Helper()
	f, _, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := f.WriteRange(t.Context(), &out, 0, f.Size()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// alawPackets makes a ramp: 40 ms of A-law each.
func alawPackets(t *testing.T) (*media.Track, sound) {
	track, err := codec.G711Track(1, media.PCMA, 8000, 1)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return track, func() ([]byte, uint32) {
		b := make([]byte, 320)
		for i := range b {
			n++
			b[i] = byte(n >> 3)
		}
		return b, 320
	}
}

// realWriter feeds an archive as a recorder does.
type realWriter struct {
	t      *testing.T
	a      *archive.Archive
	stream recording.StreamID
	enc    *picture.Encoder
	video  *media.Track
	audio  *media.Track
	sound  sound
	w      *archive.Writer
	count  int // pictures so far
	run    uint32
	heard  media.Time
}

func (w *realWriter) begin(start media.WallTime) {
	p := w.enc.Next(uint32(w.count), start.Time(), true)
	track, err := codec.H264Track(0, p.NALs, p.NALs)
	if err != nil {
		w.t.Fatal(err)
	}
	w.video = track
	w.w, err = w.a.Begin(archive.Begin{Stream: w.stream, Run: recording.UUID{7}, RunOffset: w.run, Start: start, StartFinal: true, Video: *track})
	if err != nil {
		w.t.Fatal(err)
	}
	w.run++
	w.put(p)
}

func (w *realWriter) put(p picture.Picture) {
	at := media.Time(w.count * tick)
	s := archive.Sample{Track: w.video, Decode: at}
	if p.Key {
		s.Flags = media.Key
	}
	for _, nal := range p.NALs {
		s.Data = codec.AppendNAL(s.Data, nal)
	}
	if err := w.w.Append(s); err != nil {
		w.t.Fatal(err)
	}
	w.count++
	for ; w.heard <= at; w.heard += 3600 {
		data, frames := w.sound()
		if err := w.w.Append(archive.Sample{Track: w.audio, Flags: media.Key, Decode: w.heard, Frames: frames, Data: data}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// append adds pictures up to number n.
func (w *realWriter) append(n int) {
	for w.count < n {
		w.put(w.enc.Next(uint32(w.count), fakeStart.Add(media.WallDuration(w.count*tick)).Time(), false))
	}
}

func (w *realWriter) finish() {
	err := w.w.Finish(archive.End{At: media.Time(w.count * tick), WallDuration: 60 * tick})
	if err != nil {
		w.t.Fatal(err)
	}
}
