package deliver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// distinct is how many sample files differ; together they are larger than the processor's caches.
const distinct = 8

// hour is an archive of 60 recordings of a minute each at 30 pictures a second and 3 Mbit/s.
func hour(b *testing.B) *fake {
	f := &fake{dir: b.TempDir(), broken: map[recording.ID]bool{}}
	wall := begin
	const size = 12_500
	for n := range uint32(60) {
		var build recording.Builder
		build.AddTrack(media.Video, recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("\x00\x00\x00\x10avc1aaaaaaaa")}, 3000)
		for i := range 1800 {
			info := recording.SampleInfo{Decode: media.Time(i*3000 + i*7%13), Size: int32(size + i*31%97)}
			if i%60 == 0 {
				info.Flags = media.Key
			}
			if err := build.Add(info); err != nil {
				b.Fatal(err)
			}
		}
		d := &recording.Description{ID: recording.NewID(1, n+1), OpenID: 1, RunOffset: n, Start: wall}
		build.Describe(d, 1800*3000, false, true)
		d.WallDuration = d.MediaDuration.AsWall()
		wall = d.End()
		f.list = append(f.list, d)
		if n < distinct {
			if err := os.WriteFile(f.path(d.ID), make([]byte, d.Bytes), 0o600); err != nil {
				b.Fatal(err)
			}
		} else if err := os.Link(f.path(recording.NewID(1, n%distinct+1)), f.path(d.ID)); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drain reads an answer without keeping it, as cheaply as the kernel allows.
func drain(b *testing.B, url string, header ...string) (n int64) {
	r, _ := http.NewRequest(http.MethodGet, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	n, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 1<<20))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkHour serves an hour of 1.35 GB over loopback: as a view and as a view by large reads; and a plain
// file of 180 MB.
func BenchmarkHour(b *testing.B) {
	f := hour(b)
	h := handler(f, Options{})
	view := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.View(w, r, garage); err != nil {
			b.Error(err)
		}
	})
	plain := filepath.Join(b.TempDir(), "plain")
	if err := os.WriteFile(plain, make([]byte, distinct*f.list[0].Bytes), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		handler http.Handler
		header  []string
	}{
		{"view", view, nil},
		{"view-by-reads", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { view(struct{ http.ResponseWriter }{w}, r) }), nil},
		{"file-of-180-MB", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, plain) }), nil},
		{"view-1MB-from-the-middle", view, []string{"Range", "bytes=700000000-700999999"}},
		{"view-tables", view, []string{"Range", "bytes=0-1000000"}},
		{"view-first-byte", view, []string{"Range", "bytes=0-0"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := httptest.NewServer(c.handler)
			defer s.Close()
			before, total := cpu(), int64(0)
			for b.Loop() {
				total += drain(b, s.URL+whole(f), c.header...)
			}
			b.ReportMetric((cpu()-before).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(total)/float64(b.N)/1e6, "MB/op")
		})
	}
}
