package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// An hour of sixteen streams, each rotated every minute at its own second, with the archive's own ticks and flushes, and
// a retention that keeps ten minutes.
func TestHour(t *testing.T) {
	const streams, rate = 16, 5
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, streams)
		r.close()
		r.opts.Now, r.opts.BlockBytes = time.Now, 16<<20
		r.open()
		run, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- r.a.Run(run) }()

		began := time.Now()
		writers := make([]*Writer, streams)
		first := make([]int, streams)
		sent, data := make([]int64, streams), make([]byte, 300)
		for i := range 3600 * rate {
			time.Sleep(time.Second / rate)
			for s := range streams {
				decode := media.Time(i * (90_000 / rate))
				if cut := i%(60*rate) == s*rate*60/streams; cut || writers[s] == nil {
					if writers[s] != nil {
						must(t, writers[s].Finish(End{At: decode}))
					}
					var err error
					start := media.WallTimeOf(began) + media.WallTime(decode)
					writers[s], err = r.a.Begin(Begin{Stream: r.streams[s], Run: recording.UUID{1}, Start: start, StartFinal: true, Video: videoTrack})
					must(t, err)
					first[s] = i
				}
				flags := media.Flags(0)
				if (i-first[s])%rate == 0 {
					flags = media.Key
				}
				must(t, writers[s].Append(Sample{Track: &videoTrack, Flags: flags, Decode: decode, Data: data}))
				sent[s]++
			}
			if i%(60*rate) == 0 {
				retain(t, r, 10*time.Minute)
			}
		}
		end := media.WallTimeOf(began) + 3600*90_000
		for s := range streams {
			must(t, writers[s].Finish(End{At: 3600 * 90_000, Reason: recording.ServerStopped}))
		}
		stop()
		must(t, <-done)
		for s := range streams {
			var last *recording.Description
			for _, d := range r.list(s) {
				if last != nil && (d.Start != last.End() || d.PrevMediaDuration != last.PrevMediaDuration+last.MediaDuration) {
					t.Fatalf("stream %d: %v does not go on where %v ends", s, d.ID, last.ID)
				}
				if complete, err := r.a.Complete(ctx, d.ID); !complete {
					t.Errorf("%v: %v", d.ID, err)
				}
				last = d
			}
			if last == nil || last.End() != end || int64(last.PrevMediaDuration+last.MediaDuration) != sent[s]*90_000/rate {
				t.Errorf("stream %d ends with %+v", s, last)
			}
		}
		must(t, r.checkWhole())
		if n := r.a.inUse.Load(); n != 0 {
			t.Errorf("%d blocks are in use", n)
		}
		if n := len(r.dir().log.Segments()); n > 3 {
			t.Errorf("%d segments of the log", n)
		}
		r.close()
		r.open()
		must(t, r.checkWhole())
		r.close()
	})
}

func retain(t *testing.T, r *rig, age time.Duration) {
	var old []recording.ID
	for s := range r.streams {
		limit := media.WallTimeOf(time.Now().Add(-age))
		must(t, r.a.Recordings(ctx, r.streams[s], 0, math.MaxInt64, func(d *recording.Description) bool {
			if d.End() < limit {
				old = append(old, d.ID)
			}
			return d.End() < limit
		}))
	}
	must(t, r.a.Delete(ctx, old, recording.Retention))
}

// The ticks of Run make durable, without being asked, what is two seconds old; a stop completes everything.
func TestRunTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.close()
		r.opts.Now = time.Now
		r.open()
		run, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- r.a.Run(run) }()
		f := r.begin(0).video(5, 1000, false)
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if f.w.durable.builder.Samples(0) != 5 {
			t.Errorf("%d samples are durable", f.w.durable.builder.Samples(0))
		}
		f.finish("")
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if ok, err := r.a.Complete(ctx, f.f.id); !ok {
			t.Errorf("not complete: %v", err)
		}
		if missing, err := r.a.catalog.Missing(ctx, []recording.ID{f.f.id}); len(missing) != 1 {
			t.Errorf("has its row already: %v", err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if missing, err := r.a.catalog.Missing(ctx, []recording.ID{f.f.id}); len(missing) != 0 {
			t.Errorf("has no row: %v", err)
		}
		e := r.begin(0).video(3, 1000, true)
		if err := r.a.DeleteStream(ctx, r.streams[0], recording.Removed); !errors.Is(err, catalog.ErrInUse) {
			t.Errorf("deleted what is in progress: %v", err)
		}
		e.finish("")
		must(t, r.a.DeleteStream(ctx, r.streams[0], recording.Removed))
		if list := r.list(0); len(list) != 0 {
			t.Errorf("%d recordings are left", len(list))
		}
		g := r.begin(0).video(3, 1000, true)
		stop()
		must(t, <-done)
		d, err := r.a.catalog.Describe(ctx, g.f.id)
		if err != nil || d.EndReason != recording.ServerStopped {
			t.Errorf("what was in progress: %+v, %v", d, err)
		}
		if _, err := r.a.Begin(Begin{Stream: r.streams[0], Video: videoTrack}); err == nil {
			t.Error("begun after the stop")
		}
		must(t, r.a.Close())
	})
}

// Readers list, describe and read all the time, what grows included, while others record, flush and delete; what they
// get is whole.
func TestReadersMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.close()
		r.opts.Now, r.opts.FlushAfter = time.Now, 3*time.Second
		r.open()
		run, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- r.a.Run(run) }()
		going, recorded := context.WithCancel(ctx)
		var readers, writers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for going.Err() == nil {
					time.Sleep(170 * time.Millisecond)
					readAllOf(t, r)
				}
			})
		}
		for s := range 2 {
			writers.Go(func() { recordFor(t, r, s, 40) })
		}
		writers.Wait()
		recorded()
		readers.Wait()
		stop()
		must(t, <-done)
		must(t, r.checkWhole())
		r.close()
	})
}

func recordFor(t *testing.T, r *rig, stream, seconds int) {
	for i := 0; i < seconds*10; {
		start := media.WallTimeOf(time.Now())
		w, err := r.a.Begin(Begin{Stream: r.streams[stream], Start: start, StartFinal: true, Video: videoTrack})
		must(t, err)
		for range 70 {
			time.Sleep(100 * time.Millisecond)
			data := bytes.Repeat([]byte{byte(w.ID().N())}, 9000)
			must(t, w.Append(Sample{Track: &videoTrack, Flags: media.Key, Decode: media.Time(i * 9000), Data: data}))
			must(t, w.Append(Sample{Track: &audioTrack, Decode: media.Time(i * 9000), Frames: 800, Data: data[:800]}))
			i++
		}
		must(t, w.Finish(End{At: media.Time(i * 9000)}))
		if n := w.ID().N(); n > 3 {
			err := r.a.Delete(ctx, []recording.ID{recording.NewID(r.streams[stream], n-3)}, recording.Retention)
			must(t, err)
		}
	}
}

// readAllOf reads whatever is listed; what is deleted meanwhile may be missing.
func readAllOf(t *testing.T, r *rig) {
	for i := range r.streams {
		for _, listed := range r.list(i) {
			d, err := r.a.Describe(ctx, listed.ID)
			if errors.Is(err, catalog.ErrNotFound) {
				continue
			}
			must(t, err)
			s, err := r.a.OpenSamples(d.ID)
			if errors.Is(err, catalog.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			must(t, err)
			data := make([]byte, d.Bytes)
			if _, err := s.ReadAt(data, 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, catalog.ErrNotFound) {
				t.Errorf("%v: %v", d.ID, err)
			} else if err == nil && bytes.Count(data, []byte{byte(d.ID.N())}) != len(data) {
				t.Errorf("%v: foreign bytes", d.ID)
			}
			must(t, s.Close())
		}
	}
}
