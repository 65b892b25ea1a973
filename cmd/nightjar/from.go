package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/server/api"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/salvage"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/vfs"
	"nightjar/internal/watch/view"
)

// fromRequest is an export from a sample file directory alone.
type fromRequest struct {
	directory          string
	camera, stream     string
	start, end         string
	out                string
	noAudio, closeGaps bool
}

// exportFrom writes a span of what a sample file directory holds, the same bytes as its server would.
func exportFrom(ctx context.Context, t terminal, r fromRequest) error {
	now := time.Now()
	start, err := api.ParseWhen(r.start, now)
	if err != nil {
		return fmt.Errorf("--start: %w; %w", err, errUsage)
	}
	end, err := api.ParseWhen(r.end, now)
	if err != nil {
		return fmt.Errorf("--end: %w; %w", err, errUsage)
	}
	if start >= end {
		return fmt.Errorf("the span is empty: it starts at %s and ends at %s; %w", api.FormatWhen(start, time.Local), api.FormatWhen(end, time.Local), errUsage)
	}
	d, err := salvage.Open(ctx, vfs.OS(), r.directory)
	var mismatch *sampledir.MismatchError
	if errors.As(err, &mismatch) && mismatch.What == sampledir.InUse {
		return fmt.Errorf("a server has %s open: export from it with --data DIR, or stop it: %w", r.directory, vfs.ErrLocked)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	for _, problem := range d.Problems() {
		fmt.Fprintf(t.err, "note: %s\n", problem)
	}
	stream, err := d.Find(r.camera, r.stream)
	if errors.Is(err, salvage.ErrNotFound) {
		return fmt.Errorf("there is no %s/%s in %s; %s", r.camera, r.stream, r.directory, contents(d))
	}
	if err != nil {
		return err
	}
	first, last, err := recorded(ctx, d, stream.ID, start, end)
	if err != nil {
		return err
	}
	if first == last {
		return fmt.Errorf("nothing of %s/%s is recorded between %s and %s; %s",
			r.camera, r.stream, api.FormatWhen(start, time.Local), api.FormatWhen(end, time.Local), contents(d))
	}
	start, end = max(start, first), min(end, last)
	fmt.Fprintf(t.err, "%s/%s, %s to %s\n", stream.Camera, stream.Name, api.FormatWhen(start, time.Local), api.FormatWhen(end, time.Local))
	return r.write(ctx, t, d, view.Request{Stream: stream.ID, Start: start, End: end, NoAudio: r.noAudio})
}

func (r *fromRequest) write(ctx context.Context, t terminal, d *salvage.Directory, q view.Request) error {
	if r.closeGaps {
		q.Gaps = view.Close
	}
	b := view.New(d, view.Options{})
	file, info, err := b.Build(ctx, q)
	if err == nil && info.End < q.End {
		q.End = info.End // as a server pins it
		file, _, err = b.Build(ctx, q)
	}
	if err != nil {
		return err
	}
	return save(t, r.out, file.Size(), func(w io.Writer) error { return file.WriteRange(ctx, w, 0, file.Size()) })
}

// recorded returns the first and the last instant of what overlaps a span; equal if nothing does.
func recorded(ctx context.Context, d *salvage.Directory, id recording.StreamID, start, end media.WallTime) (first, last media.WallTime, err error) {
	none := true
	err = d.Recordings(ctx, id, start, end, func(x *recording.Description) bool {
		if none {
			first, none = x.Start, false
		}
		last = max(last, x.End())
		return true
	})
	return first, last, err
}

// contents says what a directory holds.
func contents(d *salvage.Directory) string {
	streams := d.Streams()
	if len(streams) == 0 {
		return "it holds no recordings that its tail log knows"
	}
	var b strings.Builder
	b.WriteString("it holds:")
	for _, s := range streams {
		fmt.Fprintf(&b, "\n  %s/%s\t%s to %s, %d recordings, %s", s.Camera, s.Name,
			api.FormatWhen(s.Start, time.Local), api.FormatWhen(s.End, time.Local), s.Recordings, size(s.Bytes))
	}
	return b.String()
}
