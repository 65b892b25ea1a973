package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"
)

// Clean decodes all of an input with ffmpeg, which must end well and say nothing. args are options of the input, for
// example "-rtsp_transport", "tcp" or "-t", "10".
func Clean(ctx context.Context, input string, args ...string) error {
	all := append([]string{"-nostdin", "-v", "error", "-err_detect", "explode", "-xerror"}, args...)
	said, err := run(ctx, nil, "ffmpeg", append(all, "-i", input, "-f", "null", "-")...)
	if err == nil && said != "" {
		err = fmt.Errorf("ffmpeg complains about %s: %s", input, said)
	}
	return err
}

// FFmpegClean fails the test unless Clean is content.
func FFmpegClean(t testing.TB, input string, args ...string) {
	t.Helper()
	if err := Clean(testContext(t), input, args...); err != nil {
		t.Fatal(err)
	}
}

// Probe is what ffprobe says about an input.
type Probe struct {
	Format  Format
	Streams []Stream
	Packets []Packet // of all streams, in file order
}

// Format describes the whole.
type Format struct {
	Name      string
	StartTime time.Duration
	Duration  time.Duration // -1: not told
	Size      int64
}

// Stream is one track.
type Stream struct {
	Index                int
	Kind, Codec, Profile string // Kind: "video", "audio", "data"
	Tag                  string // the sample entry's type in an MP4 file
	Width, Height        int
	PixelFormat          string
	FrameRate, AvgRate   string // as fractions: "30/1"
	TimeBase             string
	SampleRate, Channels int
	StartTime, Duration  time.Duration // -1: not told
	Frames               int           // decoded and counted
	Tags                 map[string]string
}

// Packet is one sample in its container.
type Packet struct {
	Stream             int
	PTS, DTS, Duration int64 // in the stream's time base; NoTime where there is none
	Time               time.Duration
	Position           int64 // in the file; -1: not told
	Size               int
	Key, Discard       bool
}

// NoTime is the PTS or DTS of a packet that has none.
const NoTime = -1 << 63

// Video returns the first video stream; ok is false if there is none.
func (p *Probe) Video() (s Stream, ok bool) { return p.first("video") }

// Audio returns the first audio stream; ok is false if there is none.
func (p *Probe) Audio() (s Stream, ok bool) { return p.first("audio") }

func (p *Probe) first(kind string) (Stream, bool) {
	for _, s := range p.Streams {
		if s.Kind == kind {
			return s, true
		}
	}
	return Stream{}, false
}

// Of returns the packets of one stream.
func (p *Probe) Of(stream int) []Packet {
	var out []Packet
	for _, k := range p.Packets {
		if k.Stream == stream {
			out = append(out, k)
		}
	}
	return out
}

// Examine runs ffprobe over an input, decoding and counting all of it. args are options of the input.
func Examine(ctx context.Context, input string, args ...string) (Probe, error) {
	all := append([]string{"-v", "error", "-of", "json", "-count_frames", "-show_format", "-show_streams", "-show_packets"}, args...)
	var out bytes.Buffer
	if _, err := run(ctx, &out, "ffprobe", append(all, "-i", input)...); err != nil {
		return Probe{}, err
	}
	p, err := parseProbe(out.Bytes())
	if err != nil {
		return Probe{}, fmt.Errorf("read what ffprobe says about %s: %w", input, err)
	}
	return p, nil
}

// FFprobe is Examine for tests.
func FFprobe(t testing.TB, input string, args ...string) Probe {
	t.Helper()
	p, err := Examine(testContext(t), input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// probeJSON is the part of ffprobe's output that we read; most numbers are strings there.
type probeJSON struct {
	Format struct {
		Name      string `json:"format_name"`
		StartTime string `json:"start_time"`
		Duration  string `json:"duration"`
		Size      string `json:"size"`
	} `json:"format"`
	Streams []struct {
		Index      int               `json:"index"`
		Kind       string            `json:"codec_type"`
		Codec      string            `json:"codec_name"`
		Profile    string            `json:"profile"`
		Tag        string            `json:"codec_tag_string"`
		Width      int               `json:"width"`
		Height     int               `json:"height"`
		Pixel      string            `json:"pix_fmt"`
		FrameRate  string            `json:"r_frame_rate"`
		AvgRate    string            `json:"avg_frame_rate"`
		TimeBase   string            `json:"time_base"`
		SampleRate string            `json:"sample_rate"`
		Channels   int               `json:"channels"`
		StartTime  string            `json:"start_time"`
		Duration   string            `json:"duration"`
		Frames     string            `json:"nb_read_frames"`
		Tags       map[string]string `json:"tags"`
	} `json:"streams"`
	Packets []packetJSON `json:"packets"`
	Both    []packetJSON `json:"packets_and_frames"`
}

type packetJSON struct {
	Type     string `json:"type"`
	Stream   int    `json:"stream_index"`
	PTS      *int64 `json:"pts"`
	PTSTime  string `json:"pts_time"`
	DTS      *int64 `json:"dts"`
	Duration int64  `json:"duration"`
	Size     string `json:"size"`
	Position string `json:"pos"`
	Flags    string `json:"flags"`
}

func parseProbe(b []byte) (Probe, error) {
	var j probeJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Probe{}, err
	}
	p := Probe{Format: Format{Name: j.Format.Name, StartTime: seconds(j.Format.StartTime), Duration: seconds(j.Format.Duration),
		Size: number(j.Format.Size)}}
	for _, s := range j.Streams {
		p.Streams = append(p.Streams, Stream{Index: s.Index, Kind: s.Kind, Codec: s.Codec, Profile: s.Profile, Tag: s.Tag,
			Width: s.Width, Height: s.Height, PixelFormat: s.Pixel, FrameRate: s.FrameRate, AvgRate: s.AvgRate,
			TimeBase: s.TimeBase, SampleRate: int(number(s.SampleRate)), Channels: s.Channels,
			StartTime: seconds(s.StartTime), Duration: seconds(s.Duration), Frames: int(number(s.Frames)), Tags: s.Tags})
	}
	for _, k := range append(j.Packets, j.Both...) {
		if k.Type != "" && k.Type != "packet" {
			continue
		}
		out := Packet{Stream: k.Stream, PTS: NoTime, DTS: NoTime, Duration: k.Duration, Time: seconds(k.PTSTime),
			Position: -1, Size: int(number(k.Size))}
		if k.PTS != nil {
			out.PTS = *k.PTS
		}
		if k.DTS != nil {
			out.DTS = *k.DTS
		}
		if k.Position != "" {
			out.Position = number(k.Position)
		}
		out.Key = len(k.Flags) > 0 && k.Flags[0] == 'K'
		out.Discard = len(k.Flags) > 1 && k.Flags[1] == 'D'
		p.Packets = append(p.Packets, out)
	}
	return p, nil
}

// seconds reads a decimal number of seconds; -1 for none.
func seconds(s string) time.Duration {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return -1
	}
	return time.Duration(math.Round(f * 1e9))
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
