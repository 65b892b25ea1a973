package view

import (
	"bytes"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4"
)

// addLines gives the takes of a span to the tracks of the file. Takes of one kind that differ in codec or clock rate
// cannot share a track; such a span begins another one.
func (p *plan) addLines(s *span) {
	var nth [media.Metadata + 1]int
	for _, t := range s.takes {
		track := &s.d.Tracks[t.track]
		n := nth[track.Kind]
		nth[track.Kind]++
		at := slices.IndexFunc(p.tracks, func(l *line) bool {
			same := l.kind == track.Kind && l.nth == n && l.entry.ClockRate == track.Entry.ClockRate
			return same && (l.kind == media.Video || l.entry.Codec == track.Entry.Codec)
		})
		if at < 0 {
			at = len(p.tracks)
			p.tracks = append(p.tracks, &line{kind: track.Kind, entry: track.Entry, nth: n})
		}
		p.tracks[at].takes = append(p.tracks[at].takes, t)
	}
}

// laySounds puts the tracks other than the video in time: each take begins where its recording says, which the take
// before it makes room for.
func (p *plan) laySounds() {
	for _, l := range p.tracks {
		if l.kind == media.Video || l.layFrames(p) {
			continue
		}
		end := int64(0)
		for i, t := range l.takes {
			due := l.due(p, t)
			if i == 0 {
				l.begins, end = due, due
			}
			if move := due - end; move != 0 {
				before := l.takes[i-1]
				// A sample lasts one tick at least, and a gap no longer than players take.
				move = min(max(move, min(0, int64(before.count)-before.sum)), longestStretch)
				before.stretch += move
				end += move
			}
			end += t.sum
		}
	}
	p.trimSounds()
}

// due is when the first sample of a take is presented, in ticks of the track.
func (l *line) due(p *plan, t *take) int64 {
	rate := int64(l.entry.ClockRate)
	return scale(t.span.base-p.origin+int64(t.span.d.Tracks[t.track].StartOffset), rate) + t.start
}

// layFrames lays a track of constant frames (G.711, L16) if it needs no adjustment anywhere: each frame is a sample of
// one tick then, and the tables shrink to a few bytes. Up to a millisecond at the beginning of a recording is let pass.
// With a longer gap or overlap the packets are the samples, since players choke on millions of samples with single
// durations.
func (l *line) layFrames(p *plan) bool {
	size := int64(l.entry.BytesPerFrame)
	if size == 0 {
		return false
	}
	slack := int64(l.entry.ClockRate) / 1000
	end := int64(0)
	for i, t := range l.takes {
		due := l.due(p, t)
		if i == 0 {
			l.begins, end = due, due
		}
		constant := int64(t.span.d.Tracks[t.track].Entry.BytesPerFrame) == size && t.bytes == t.sum*size
		if !constant || due-end > slack || end-due > slack {
			return false
		}
		end += t.sum
	}
	for _, t := range l.takes {
		t.frames = size
	}
	return true
}

// trimSounds drops tracks of which nothing is presented.
func (p *plan) trimSounds() {
	p.tracks = slices.DeleteFunc(p.tracks, func(l *line) bool {
		if l.kind == media.Video {
			return false
		}
		gone := l.begins >= scale(int64(p.length), int64(l.entry.ClockRate)) || l.begins+l.duration() <= 0
		if gone && p.length > 0 {
			for _, s := range p.spans { // which then are not whole sample files any more
				s.takes = slices.DeleteFunc(s.takes, func(t *take) bool { return slices.Contains(l.takes, t) })
			}
		}
		return gone && p.length > 0
	})
}

func (l *line) duration() (sum int64) {
	for _, t := range l.takes {
		sum += t.duration()
	}
	return sum
}

// build makes the mp4 track.
func (l *line) build(p *plan) {
	l.movie = mp4.Track{
		Kind: l.kind, Timescale: l.entry.ClockRate, Width: l.entry.Width, Height: l.entry.Height,
		AspectH: l.entry.AspectH, AspectV: l.entry.AspectV,
	}
	for _, t := range l.takes {
		data := t.span.d.Tracks[t.track].Entry.Data
		entry := slices.IndexFunc(l.movie.Entries, func(e []byte) bool { return bytes.Equal(e, data) })
		if entry < 0 {
			entry = len(l.movie.Entries)
			l.movie.Entries = append(l.movie.Entries, data)
		}
		l.movie.Segments = append(l.movie.Segments, t.segment(entry))
		l.movie.FrameSize = uint32(t.frames)
	}
	if l.kind == media.Video {
		l.movie.Composition = p.composed
		if p.origin != 0 || p.composed && p.length > 0 {
			l.movie.Edits = []mp4.Edit{{Duration: p.length, MediaTime: p.origin}}
		}
		return
	}
	l.movie.Edits = l.edits(p.length)
}

// edits presents a track other than the video: a pause until it begins, or a cut where it began before the view, and
// nothing beyond the last picture.
func (l *line) edits(length media.Duration) []mp4.Edit {
	rate := int64(l.entry.ClockRate)
	end := media.Duration(media.Rescale(l.begins+l.duration(), media.TicksPerSecond, rate))
	if l.begins == 0 && end <= length || length == 0 {
		return nil
	}
	var list []mp4.Edit
	begin := media.Duration(0)
	if l.begins > 0 {
		begin = media.Duration(media.Rescale(l.begins, media.TicksPerSecond, rate))
		list = append(list, mp4.Edit{Duration: begin, MediaTime: mp4.Empty})
	}
	return append(list, mp4.Edit{Duration: min(end, length) - begin, MediaTime: max(-l.begins, 0)})
}
