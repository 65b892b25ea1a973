package view

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/internal/judge"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// realStream cuts a stream that nobody here wrote into recordings at its key samples. mkvmerge and ffmpeg give the
// elementary stream its times, ffprobe tells them.
func realStream(t *testing.T, name string, pictures int) (f *fake, hashes []string) {
	t.Helper()
	source := shared(t, name)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.mp4")
	command(t, "mkvmerge", "-q", "-o", filepath.Join(dir, "whole.mkv"), source)
	command(t, "ffmpeg", "-v", "error", "-i", filepath.Join(dir, "whole.mkv"), "-c", "copy", "-video_track_timescale", "90000", whole)
	file, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	probe := judge.FFprobe(t, whole)
	video, _ := probe.Video()
	at := bytes.Index(file, []byte("stsd")) + 12
	entry := recording.SampleEntry{Codec: media.Codec(video.Codec), ClockRate: 90_000, Width: uint16(video.Width), Height: uint16(video.Height),
		Data: file[at : at+int(binary.BigEndian.Uint32(file[at:]))]}
	packets := probe.Of(video.Index)
	for _, p := range packets {
		if p.PTS-p.DTS != packets[0].PTS-packets[0].DTS {
			entry.ReorderDepth = 4
		}
	}
	f = &fake{}
	wall := fakeStart
	for len(packets) > 0 {
		end := min(pictures, len(packets))
		for end < len(packets) && !packets[end].Key {
			end++
		}
		rec := &fakeRecording{d: &recording.Description{ID: recording.NewID(1, uint32(len(f.list)+1)), Start: wall, RunOffset: uint32(len(f.list))}}
		var b recording.Builder
		b.AddTrack(media.Video, entry, 0)
		for _, p := range packets[:end] {
			data := file[p.Position : p.Position+int64(p.Size)]
			info := recording.SampleInfo{Decode: media.Time(p.DTS), Composition: media.Duration(p.PTS - p.DTS), Size: int32(p.Size)}
			if p.Key {
				info.Flags = media.Key
			}
			if err := b.Add(info); err != nil {
				t.Fatal(err)
			}
			rec.bytes = append(rec.bytes, data...)
			rec.samples = append(rec.samples, fakeSample{info, data})
		}
		last := packets[end-1]
		next := media.Time(last.DTS + last.Duration)
		if end < len(packets) {
			next = media.Time(packets[end].DTS)
		}
		b.Describe(rec.d, next, false, true)
		rec.d.WallDuration = rec.d.MediaDuration.AsWall()
		wall = rec.d.End()
		f.list = append(f.list, rec)
		packets = packets[end:]
	}
	return f, frameHashes(t, whole)
}

func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %v: %v: %s", name, args, err, stderr.String())
	}
	return out
}

// frameHashes decodes a file and returns the hash of each picture shown.
func frameHashes(t *testing.T, name string) (all []string) {
	for line := range strings.Lines(string(command(t, "ffmpeg", "-v", "error", "-i", name, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
		if fields := strings.Split(strings.TrimSpace(line), ","); len(fields) == 6 && line[0] != '#' {
			all = append(all, strings.TrimSpace(fields[5]))
		}
	}
	return all
}

// TestRealStreams: views of streams from elsewhere, with and without reordering, decode silently and show exactly the
// pictures that the whole stream shows in the span.
func TestRealStreams(t *testing.T) {
	judge.Need(t, "ffmpeg", "ffprobe", "mkvmerge")
	spans := 2
	names := []string{"es/membrane/input-32-640x360-main.h265"}
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		spans = 40
		names = append(names, "es/smolrtsp_openipc.h264", "es/exnvr_30fps_10s.h265", "es/membrane/input-100-240p.h264")
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, hashes := realStream(t, name, 70)
			var pictures [][]byte // of the whole stream, in presentation order
			for _, rec := range f.list {
				for _, p := range rec.pictures() {
					pictures = append(pictures, p.sample.data)
				}
			}
			if len(pictures) != len(hashes) {
				t.Fatalf("%d samples, %d pictures", len(pictures), len(hashes))
			}
			b := New(f, Options{Now: later})
			seed := rand.Uint64()
			t.Logf("%d recordings, seed %d", len(f.list), seed)
			r := rand.New(rand.NewPCG(seed, 5))
			total := int64(f.list[len(f.list)-1].d.End() - fakeStart)
			for i := range spans {
				start := fakeStart.Add(media.WallDuration(r.Int64N(total)))
				req := Request{Stream: 1, Start: start, End: start.Add(media.WallDuration(1 + r.Int64N(total)))}
				if i == 0 {
					req = everything(f)
				}
				want := expect(f, req)
				got, _ := serve(t, b, f, req)
				check(t, req, got, want)
				var wantHashes []string
				for _, p := range want.pictures {
					at := slices.IndexFunc(pictures, func(data []byte) bool { return bytes.Equal(data, p.data) })
					wantHashes = append(wantHashes, hashes[at])
				}
				file, _ := write(t, b, req)
				judge.FFmpegClean(t, file)
				if gotHashes := frameHashes(t, file); !slices.Equal(gotHashes, wantHashes) {
					t.Errorf("%+v shows %d pictures, want %d: %s", req, len(gotHashes), len(wantHashes), firstDifference(gotHashes, wantHashes))
				}
			}
		})
	}
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("the first that differs is %d", i)
		}
	}
	return "one has more"
}
