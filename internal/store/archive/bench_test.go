package archive

import (
	"testing"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// BenchmarkAppendSample hands over pictures of 3 Mb/s at 30 a second, with a tick every two seconds of them and a new
// recording every minute. Writing goes to memory; its cost is in the figure.
func BenchmarkAppendSample(b *testing.B) {
	r := benchRig(b)
	data := make([]byte, 12_500)
	for i := range data {
		data[i] = byte(i * 7)
	}
	var w *Writer
	i := 0
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if i%1800 == 0 {
			if w != nil {
				must(b, w.Finish(End{At: 1800 * 3000}))
				b.StopTimer()
				r.dir().tick()
				must(b, r.a.Flush(ctx))
				must(b, r.a.Delete(ctx, []recording.ID{w.ID()}, recording.Retention))
				r.dir().tick()
				b.StartTimer()
			}
			var err error
			w, err = r.a.Begin(Begin{Stream: r.streams[0], Start: media.WallTime(i), StartFinal: true, Video: videoTrack})
			must(b, err)
		}
		flags := media.Flags(0)
		if i%30 == 0 {
			flags = media.Key
		}
		if err := w.Append(Sample{Track: &videoTrack, Flags: flags, Decode: media.Time(i % 1800 * 3000), Data: data}); err != nil {
			b.Fatal(err)
		}
		i++
		if i%20 == 0 {
			b.StopTimer()
			r.dir().writeFull()
			if i%60 == 0 {
				r.dir().tick()
			}
			b.StartTimer()
		}
	}
}

func benchRig(b *testing.B) *rig {
	r := newRig(b, 1)
	r.close()
	r.open()
	return r
}
