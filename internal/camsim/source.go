package camsim

import (
	"fmt"
	"time"

	"nightjar/internal/camsim/picture"
)

// coded is one coded picture in decoding order: NAL units without start codes, valid until the next picture.
type coded struct {
	nals [][]byte
	key  bool
}

// videoSource makes the pictures of one stream. Used under stream.mu.
type videoSource interface {
	codec() string           // the name in rtpmap: H264 or H265
	parameterSets() [][]byte // SPS and PPS, or VPS, SPS and PPS; empty if the source has none

	// picture makes sample n. Numbers only go up; what is between two calls was never made.
	picture(n int64, utc time.Time, forceKey bool) coded

	// entry returns the first key sample from n on, or false if sample n has to be forced to be one.
	entry(n int64) (int64, bool)

	// ticks is the presentation time of sample n in 90 kHz, for n from the latest picture on.
	ticks(n, fps int64) int64

	restart(n int64) // the stream begins again with sample n after a pause
}

// generated is a source of pictures made on the fly.
type generated struct {
	options picture.Options
	encoder *picture.Encoder
	units   [][]byte // scratch
	level   byte     // replaces level_idc in the SPS, if not 0
	sps     []byte   // the SPS with that level
}

func newGenerated(o picture.Options) (*generated, error) {
	e, err := picture.New(o)
	if err != nil {
		return nil, fmt.Errorf("make pictures of %dx%d at %d a second: %w", o.Width, o.Height, o.FPS, err)
	}
	return &generated{options: o, encoder: e}, nil
}

func (g *generated) codec() string { return "H264" }

func (g *generated) parameterSets() [][]byte {
	return [][]byte{g.relevel(g.encoder.SPS()), g.encoder.PPS()}
}

// relevel returns the SPS with the level in force (level_idc is its fourth byte, ITU-T H.264 section 7.3.2.1.1).
func (g *generated) relevel(sps []byte) []byte {
	if g.level == 0 || len(sps) < 4 {
		return sps
	}
	g.sps = append(g.sps[:0], sps...)
	g.sps[3] = g.level
	return g.sps
}

func (g *generated) picture(n int64, utc time.Time, forceKey bool) coded {
	p := g.encoder.Next(uint32(n), utc, forceKey)
	if g.level == 0 || !p.Key {
		return coded{p.NALs, p.Key}
	}
	g.units = append(g.units[:0], p.NALs...)
	for i, u := range g.units {
		if len(u) > 0 && u[0]&0x1f == 7 {
			g.units[i] = g.relevel(u)
		}
	}
	return coded{g.units, p.Key}
}

func (g *generated) entry(n int64) (int64, bool) { return n, false }

func (g *generated) ticks(n, fps int64) int64 { return scale(n, fps, 90_000) }

func (g *generated) restart(int64) {}

// nextLevel changes the level to another one that is not below: parameter sets that differ for pictures that do not.
func (g *generated) nextLevel() {
	now := g.level
	if sps := g.encoder.SPS(); now == 0 && len(sps) > 3 {
		now = sps[3]
	}
	for _, l := range []byte{50, 51, 52} { // ITU-T H.264 table A-1
		if l > now {
			g.level = l
			return
		}
	}
	g.level = 0
}

// looped is a source that plays a file again and again.
type looped struct {
	es     *elementary
	base   int64 // the sample number that position 0 of the first loop had, moved by samples never made
	next   int64
	played bool
}

func (l *looped) codec() string { return l.es.codec }

func (l *looped) parameterSets() [][]byte { return l.es.sets }

func (l *looped) position(n int64) int {
	size := int64(len(l.es.units))
	return int(((n-l.base)%size + size) % size)
}

func (l *looped) picture(n int64, _ time.Time, _ bool) coded {
	if l.played && n > l.next {
		l.base += n - l.next
	}
	l.next, l.played = n+1, true
	u := &l.es.units[l.position(n)]
	return coded{u.nals, u.key}
}

func (l *looped) entry(n int64) (int64, bool) {
	if !l.es.hasKey {
		return n, true
	}
	for i := n; ; i++ {
		if l.es.units[l.position(i)].key {
			return i, true
		}
	}
}

func (l *looped) ticks(n, fps int64) int64 {
	i := l.position(n)
	return scale(n-int64(i)+int64(l.es.units[i].display-l.es.depth), fps, 90_000)
}

func (l *looped) restart(n int64) { l.base, l.next, l.played = n, n, true }
