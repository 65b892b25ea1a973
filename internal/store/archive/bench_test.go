package archive

import (
	"syscall"
	"testing"
	"time"

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

// BenchmarkMinute records a minute of one stream, 3 Mb/s at 30 pictures a second, onto the machine's file system (TMPDIR):
// 30 ticks, a seal, a row. cpu-ms/op is what all of it costs in the process and the kernel, waiting left out.
func BenchmarkMinute(b *testing.B) {
	data, stream := makeDisk(b)
	a, err := onDisk(data, boot1)
	must(b, err)
	picture := make([]byte, 12_500)
	before := cpuTime(b)
	n := 0
	for b.Loop() {
		w, err := a.Begin(Begin{Stream: stream, RunOffset: 1, Start: media.WallTime(n) * 60 * media.TicksPerSecond, StartFinal: true, Video: videoTrack})
		must(b, err)
		for i := range 1800 {
			flags := media.Flags(0)
			if i%30 == 0 {
				flags = media.Key
			}
			must(b, w.Append(Sample{Track: &videoTrack, Flags: flags, Decode: media.Time(i * 3000), Data: picture}))
			if i%60 == 59 {
				for _, d := range a.dirs {
					d.tick()
				}
			}
		}
		must(b, w.Finish(End{At: 1800 * 3000}))
		n++
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(n), "cpu-ms/op")
	must(b, a.Close())
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
