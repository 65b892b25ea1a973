// Package probe connects to a camera the way a recording would, receives for a few seconds, and reports what came: coding,
// size, rates, sound, transport, loss, or the reason why nothing came. It stores nothing.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// Options say what to probe.
type Options struct {
	URL       string // rtsp://HOST[:PORT]/PATH; credentials in it are used if Username is empty
	Username  string
	Password  secret.String
	Transport string        // auto (also ""), tcp or udp
	Duration  time.Duration // how long to receive; 0 is 5 s
}

// Report is what a probe found. Its JSON is version 1.
type Report struct {
	Version   int              `json:"version"`
	URL       string           `json:"url"` // without credentials
	Reason    recording.Reason `json:"reason,omitempty"`
	Detail    string           `json:"detail,omitempty"` // one sentence on Reason
	Transport string           `json:"transport,omitempty"`
	FirstMS   int64            `json:"firstPictureMilliseconds,omitempty"` // from connecting to the first picture
	Seconds   float64          `json:"seconds"`                            // received
	Tracks    []TrackReport    `json:"tracks"`
	Lost      uint64           `json:"packetsLost"`
}

// TrackReport is what came of one track.
type TrackReport struct {
	Kind            string  `json:"kind"`
	Codec           string  `json:"codec"`
	RFC6381         string  `json:"rfc6381,omitempty"`
	Width           uint16  `json:"width,omitempty"`
	Height          uint16  `json:"height,omitempty"`
	ClockRate       uint32  `json:"clockRate"`
	Channels        uint8   `json:"channels,omitempty"`
	Samples         int     `json:"samples"`
	KeySamples      int     `json:"keySamples,omitempty"`
	GOP             int     `json:"gop,omitempty"` // samples from a key sample to the next; 0 if fewer than two came
	FramesPerSecond float64 `json:"framesPerSecond,omitempty"`
	BitRate         int64   `json:"bitRate"` // bits a second
	Damaged         int     `json:"damaged,omitempty"`

	bytes       int64
	first, last media.Time
	sinceKey    int
}

// add counts one sample.
func (r *Report) add(s *media.Sample) {
	t := r.track(s.Track)
	if t.Samples == 0 {
		t.first = s.Time
	}
	if t.Kind == "video" && s.Key() {
		if t.KeySamples > 0 {
			t.GOP = max(t.GOP, t.sinceKey)
		}
		t.KeySamples++
		t.sinceKey = 0
	}
	if s.Flags&media.Damaged != 0 {
		t.Damaged++
	}
	t.sinceKey++
	t.Samples++
	t.bytes += int64(len(s.Data))
	t.last = max(t.last, s.Time)
}

// track returns the report of a track, made at its first sample. Changed parameters change the report.
func (r *Report) track(m *media.Track) *TrackReport {
	for i := range r.Tracks {
		if r.Tracks[i].Kind == m.Kind.String() {
			r.Tracks[i].Width, r.Tracks[i].Height, r.Tracks[i].RFC6381 = m.Width, m.Height, m.RFC6381
			return &r.Tracks[i]
		}
	}
	r.Tracks = append(r.Tracks, TrackReport{
		Kind: m.Kind.String(), Codec: string(m.Codec), RFC6381: m.RFC6381, Width: m.Width, Height: m.Height,
		ClockRate: m.ClockRate, Channels: m.Channels,
	})
	return &r.Tracks[len(r.Tracks)-1]
}

// finish computes the rates.
func (r *Report) finish() {
	for i := range r.Tracks {
		t := &r.Tracks[i]
		span := int64(t.last.Sub(t.first))
		if span <= 0 || t.Samples < 2 {
			continue
		}
		hundredths := int64(t.Samples-1) * 100 * media.TicksPerSecond / span
		if t.Kind == "video" {
			t.FramesPerSecond = float64(hundredths) / 100
		}
		t.BitRate = t.bytes * 8 * int64(t.Samples-1) / int64(t.Samples) * media.TicksPerSecond / span
		r.Seconds = max(r.Seconds, float64(span/900)/100)
	}
}

// Text writes the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	for _, t := range r.Tracks {
		switch t.Kind {
		case "video":
			fmt.Fprintf(&b, "video: %s %d×%d, %.4g pictures a second, %d kbit/s", t.Codec, t.Width, t.Height, t.FramesPerSecond, t.BitRate/1000)
			if t.GOP > 0 {
				fmt.Fprintf(&b, ", a key picture every %d", t.GOP)
			}
			fmt.Fprintln(&b)
		case "audio":
			fmt.Fprintf(&b, "audio: %s %d Hz, %d kbit/s\n", t.Codec, t.ClockRate, t.BitRate/1000)
		default:
			fmt.Fprintf(&b, "%s: %s, %d documents\n", t.Kind, t.Codec, t.Samples)
		}
	}
	if r.Transport != "" && len(r.Tracks) > 0 {
		fmt.Fprintf(&b, "transport: %s, %d packets lost, first picture after %d ms\n", r.Transport, r.Lost, r.FirstMS)
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, "%s: %s", r.Reason, r.Detail)
		if h := r.Reason.Hint(); h != "" {
			fmt.Fprintf(&b, "; %s", h)
		}
		fmt.Fprintln(&b)
	} else {
		fmt.Fprintln(&b, "This can be recorded.")
	}
	return b.String()
}

// errEnough ends a session that has told what was asked.
var errEnough = errors.New("received for long enough")

// Run probes a stream until it has received for o.Duration, ctx ends, or it fails.
func Run(ctx context.Context, o Options) *Report {
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	r := &Report{Version: 1, URL: secret.RedactURL(o.URL), Tracks: []TrackReport{}}
	source, err := o.source()
	if err == nil {
		err = r.receive(ctx, o, source)
	}
	r.finish()
	var reason *recording.Error
	switch {
	case err == nil || errors.Is(err, errEnough):
	case errors.As(err, &reason):
		r.Reason, r.Detail = reason.Reason, err.Error()
	default:
		r.Reason, r.Detail = recording.ProtocolError, err.Error()
	}
	return r
}
