package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
	"nightjar/internal/watch/view"
)

// fake is an archive of one stream whose sample files are files.
type fake struct {
	dir    string
	list   []*recording.Description
	broken map[recording.ID]bool // can't be opened
	open   atomic.Int64          // sources not yet closed
	sent   atomic.Int64          // bytes that went by SendTo
}

const begin media.WallTime = 140_000_000_000_000 // 2019-04-18T02:45:55.555Z

// newFake makes recordings of ten pictures each, of so many bytes a picture, 100 ms apart.
func newFake(t testing.TB, recordings, bytesPerPicture int) *fake {
	f := &fake{dir: t.TempDir(), broken: map[recording.ID]bool{}}
	wall := begin
	for n := range recordings {
		var b recording.Builder
		b.AddTrack(media.Video, recording.SampleEntry{Codec: media.H264, ClockRate: 90_000, Data: []byte("\x00\x00\x00\x10avc1aaaaaaaa"), RFC6381: "avc1.4d401e", Width: 320, Height: 240}, 9000)
		var data []byte
		for i := range 10 {
			info := recording.SampleInfo{Decode: media.Time(i * 9000), Size: int32(bytesPerPicture)}
			if i == 0 {
				info.Flags = media.Key
			}
			if err := b.Add(info); err != nil {
				t.Fatal(err)
			}
			data = append(data, bytes.Repeat([]byte{byte(n*10 + i)}, bytesPerPicture)...)
		}
		d := &recording.Description{ID: recording.NewID(1, uint32(n+1)), OpenID: 1, RunOffset: uint32(n), Start: wall}
		b.Describe(d, 90_000, false, true)
		d.WallDuration = d.MediaDuration.AsWall()
		wall = d.End()
		f.list = append(f.list, d)
		file, err := vfs.OS().OpenFile(f.path(d.ID), vfs.Options{Write: true, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fake) path(id recording.ID) string { return filepath.Join(f.dir, id.FileName()) }

func (f *fake) Recordings(_ context.Context, stream recording.StreamID, start, end media.WallTime, yield func(*recording.Description) bool) error {
	for _, d := range f.list {
		if d.ID.Stream() == stream && d.Start < end && d.End() > start && !yield(d) {
			break
		}
	}
	return nil
}

func (f *fake) Describe(_ context.Context, id recording.ID) (*recording.Description, error) {
	for _, d := range f.list {
		if d.ID == id {
			return d, nil
		}
	}
	return nil, errors.New("no such recording")
}

func (f *fake) Growing(recording.ID) bool { return false }

func (f *fake) OpenSamples(id recording.ID) (virtual.Source, error) {
	if f.broken[id] {
		return nil, errors.New("the disk is gone")
	}
	file, err := vfs.OS().Open(f.path(id))
	if err != nil {
		return nil, err
	}
	f.open.Add(1)
	return &source{file, f}, nil
}

type source struct {
	vfs.File
	archive *fake
}

func (s *source) Close() error { s.archive.open.Add(-1); return s.File.Close() }

func (s *source) SendTo(conn net.Conn, off, n int64) (int64, error) {
	sent, err := s.File.SendTo(conn, off, n)
	s.archive.sent.Add(sent)
	return sent, err
}

func afterwards() time.Time { return begin.Add(90_000 * 86_400).Time() }

func handler(f *fake, o Options) *Handler {
	o.Views = view.New(f, view.Options{Now: afterwards})
	return New(o)
}

var garage = Target{Stream: 1, Camera: "Garage/Tür 1", Name: "main"}

// whole is the URL of everything, pinned.
func whole(f *fake) string {
	return "/api/v1/cameras/garage/main/view.mp4?start=" + ticks(begin) + "&end=" + ticks(f.list[len(f.list)-1].End())
}

// server serves views over a real connection and tells when each answer is over, and how.
func server(t testing.TB, h *Handler) (*httptest.Server, chan error) {
	over := make(chan error, 10)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				over <- v.(error)
				panic(v)
			}
		}()
		err := h.View(w, r, garage)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		over <- err
	}))
	t.Cleanup(s.Close)
	return s, over
}

func get(t testing.TB, client *http.Client, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}
