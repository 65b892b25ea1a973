package view

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"nightjar/internal/media"
)

// formatVersion is part of every ETag. It goes up when the bytes of a view change for equal recordings.
const formatVersion = 1

func (p *plan) info() Info {
	info := Info{
		Start: p.start, End: p.end, Duration: p.length, Recordings: len(p.spans), Growing: p.growing, ETag: p.etag(),
	}
	var codecs []string
	for _, l := range p.tracks {
		for _, t := range l.takes {
			e := &t.span.d.Tracks[t.track].Entry
			if l.kind == media.Video {
				info.Samples += int64(t.count)
			}
			if e.RFC6381 != "" && !slices.Contains(codecs, e.RFC6381) {
				codecs = append(codecs, e.RFC6381)
			}
			if !slices.Contains(info.Codecs, e.Codec) {
				info.Codecs = append(info.Codecs, e.Codec)
			}
		}
	}
	info.MediaType = "video/mp4"
	if len(codecs) > 0 {
		info.MediaType += `; codecs="` + strings.Join(codecs, ", ") + `"`
	}
	return info
}

// etag hashes all that the bytes of the file follow from: the version of the layout, the request, and for each recording
// its identity (id, open, start) and what the plan takes from it. A deleted recording, or one moved in time, gives another.
func (p *plan) etag() string {
	h := sha256.New()
	number := func(values ...int64) {
		for _, v := range values {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], uint64(v))
			h.Write(b[:])
		}
	}
	number(formatVersion, int64(p.request.Stream), int64(p.request.Gaps), int64(p.start), p.origin, int64(p.length), int64(len(p.spans)))
	for _, s := range p.spans {
		number(int64(s.d.ID), int64(s.d.OpenID), int64(s.d.Start), int64(s.from), int64(s.to), s.base, s.size(), int64(len(s.takes)))
	}
	number(int64(len(p.tracks)))
	for _, l := range p.tracks {
		number(int64(l.kind), int64(l.entry.ClockRate), l.begins, int64(len(l.takes)))
		for _, t := range l.takes {
			e := &t.span.d.Tracks[t.track].Entry
			number(int64(t.track), int64(t.first), int64(t.count), int64(t.sync), int64(t.chunk), t.skip, t.bytes, t.start, t.sum,
				int64(t.lead), t.pause, t.squeezed, t.tail, t.stretch, t.frames, int64(e.AspectH), int64(e.AspectV), int64(len(e.Data)))
			h.Write(e.Data)
		}
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// Explain writes how a view is made: its span, the recordings and what is taken of each, and the slices of the file.
func (b *Builder) Explain(ctx context.Context, r Request, w io.Writer) error {
	p, err := b.plan(ctx, r)
	if err != nil {
		return fmt.Errorf("explain view of stream %d: %w", r.Stream, err)
	}
	f, err := p.file()
	if err != nil {
		return fmt.Errorf("explain view of stream %d: %w", r.Stream, err)
	}
	info := p.info()
	out := &strings.Builder{}
	fmt.Fprintf(out, "view of stream %d from %s to %s (%dt to %dt), %v long\n%s, ETag %s\n", r.Stream,
		clock(p.start), clock(p.end), p.start, p.end, p.length.Std(), info.MediaType, info.ETag)
	for _, l := range p.tracks {
		fmt.Fprintf(out, "%v: time scale %d", l.kind, l.movie.Timescale)
		for _, e := range l.movie.Edits {
			fmt.Fprintf(out, ", edit of %d ticks at media time %d", e.Duration, e.MediaTime)
		}
		fmt.Fprintln(out)
		for _, t := range l.takes {
			fmt.Fprintf(out, "  %v: begins %s, run %x/%d, open %d", t, clock(t.span.d.Start), t.span.d.RunUUID[:4], t.span.d.RunOffset, t.span.d.OpenID)
			if t.lead > 0 {
				fmt.Fprintf(out, ", first %d only decoded, %d ticks shorter", t.lead, t.squeezed)
			}
			if t.stretch != 0 {
				fmt.Fprintf(out, ", last sample %+d ticks", t.stretch)
			}
			fmt.Fprintln(out)
		}
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return err
	}
	return f.Explain(w)
}

func clock(t media.WallTime) string { return t.Time().Format("2006-01-02T15:04:05.000Z07:00") }
