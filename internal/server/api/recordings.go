package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/watch/deliver"
)

const (
	defaultPage = 200
	maxPage     = 1000
	day         = media.WallDuration(24 * 3600 * media.TicksPerSecond)
)

type recordingJSON struct {
	ID              string  `json:"id"` // stream/n
	Start           string  `json:"start"`
	End             string  `json:"end"`
	Start90k        int64   `json:"startTime90k"`
	End90k          int64   `json:"endTime90k"`
	MediaDuration   int64   `json:"mediaDuration90k"`
	Bytes           int64   `json:"bytes"`
	Codec           string  `json:"codec"`
	RFC6381         string  `json:"rfc6381"`
	Width           uint16  `json:"width"`
	Height          uint16  `json:"height"`
	VideoSamples    int32   `json:"videoSamples"`
	KeySamples      int32   `json:"keySamples"`
	FramesPerSecond float64 `json:"framesPerSecond"`
	Audio           string  `json:"audio,omitempty"`
	Run             string  `json:"run"`
	RunOffset       uint32  `json:"runOffset"`
	Growing         bool    `json:"growing,omitempty"`
	EndReason       string  `json:"endReason,omitempty"`
	EndDetail       string  `json:"endDetail,omitempty"`
	Recovered       bool    `json:"recovered,omitempty"`
	HasLoss         bool    `json:"hasLoss,omitempty"`
}

func (s *server) recordingJSON(d *recording.Description) recordingJSON {
	j := recordingJSON{
		ID: d.ID.String(), Start: when(d.Start), End: when(d.End()), Start90k: int64(d.Start), End90k: int64(d.End()),
		MediaDuration: int64(d.MediaDuration), Bytes: d.Bytes, Run: uuidText(d.RunUUID), RunOffset: d.RunOffset,
		Growing: s.Archive.Growing(d.ID), EndReason: string(d.EndReason), EndDetail: d.EndDetail,
		Recovered: d.Flags&recording.Recovered != 0, HasLoss: d.Flags&recording.HasLoss != 0,
	}
	for _, t := range d.Tracks {
		switch t.Kind {
		case media.Video:
			j.Codec, j.RFC6381, j.Width, j.Height = string(t.Entry.Codec), t.Entry.RFC6381, t.Entry.Width, t.Entry.Height
			j.VideoSamples, j.KeySamples = t.Samples, t.SyncSamples
			if t.Duration > 0 {
				hundredths := int64(t.Samples) * 100 * media.TicksPerSecond / t.Duration
				j.FramesPerSecond = float64(hundredths) / 100
			}
		case media.Audio:
			j.Audio = string(t.Entry.Codec)
		}
	}
	return j
}

// bounds reads start and end; without them the span is the last day.
func (s *server) bounds(r *http.Request) (start, end media.WallTime, err error) {
	q, now := r.URL.Query(), s.Now().In(s.Zone)
	end = media.WallTimeOf(now)
	if text := q.Get("end"); text != "" {
		if end, err = ParseWhen(text, now); err != nil {
			return 0, 0, problem{http.StatusBadRequest, "end: " + err.Error()}
		}
	}
	start = end.Add(-day)
	if text := q.Get("start"); text != "" {
		if start, err = ParseWhen(text, now); err != nil {
			return 0, 0, problem{http.StatusBadRequest, "start: " + err.Error()}
		}
	}
	if start >= end {
		return 0, 0, problem{http.StatusBadRequest, fmt.Sprintf("the span is empty: it starts at %s and ends at %s", FormatWhen(start, s.Zone), FormatWhen(end, s.Zone))}
	}
	return start, end, nil
}

func (s *server) listRecordings(w http.ResponseWriter, r *http.Request) error {
	_, st, err := s.stream(r.Context(), r.PathValue("camera"), r.PathValue("stream"))
	if err != nil {
		return err
	}
	start, end, err := s.bounds(r)
	if err != nil {
		return err
	}
	limit := defaultPage
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
			return problem{http.StatusBadRequest, fmt.Sprintf("limit is %q: choose 1 to %d", text, maxPage)}
		}
	}
	after, err := parseCursor(r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	list := struct {
		Recordings []recordingJSON `json:"recordings"`
		Next       string          `json:"next,omitempty"`
	}{Recordings: []recordingJSON{}}
	err = s.Archive.Recordings(r.Context(), st.ID, max(start, after.start), end, func(d *recording.Description) bool {
		if d.Start < after.start || d.Start == after.start && d.ID <= after.id || d.End() <= start {
			return true
		}
		if len(list.Recordings) == limit {
			last := list.Recordings[limit-1]
			list.Next = fmt.Sprintf("%d-%s", last.Start90k, strings.ReplaceAll(last.ID, "/", "."))
			return false
		}
		list.Recordings = append(list.Recordings, s.recordingJSON(d))
		return true
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

// cursor is where a page ended.
type cursor struct {
	start media.WallTime
	id    recording.ID
}

// parseCursor reads what listRecordings gave as next.
func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	var stream, n uint32
	var start int64
	if _, err := fmt.Sscanf(text, "%d-%d.%d", &start, &stream, &n); err != nil {
		return c, problem{http.StatusBadRequest, "after is not what a previous page gave as next"}
	}
	return cursor{media.WallTime(start), recording.NewID(recording.StreamID(stream), n)}, nil
}

// span tells what start and end mean, cut to what is recorded, so that a page or a script can name exact instants.
func (s *server) span(w http.ResponseWriter, r *http.Request) error {
	c, st, err := s.stream(r.Context(), r.PathValue("camera"), r.PathValue("stream"))
	if err != nil {
		return err
	}
	start, end, err := s.bounds(r)
	if err != nil {
		return err
	}
	var first, last media.WallTime
	recordings := 0
	err = s.Archive.Recordings(r.Context(), st.ID, start, end, func(d *recording.Description) bool {
		if recordings == 0 {
			first = d.Start
		}
		recordings++
		last = max(last, d.End())
		return true
	})
	if err != nil {
		return err
	}
	if recordings == 0 {
		return s.nothing(r, c, st, start, end)
	}
	start, end = max(start, first), min(end, last)
	return writeJSON(w, http.StatusOK, map[string]any{
		"start": when(start), "end": when(end), "startTime90k": int64(start), "endTime90k": int64(end), "recordings": recordings,
		"echo": FormatWhen(start, s.Zone) + " to " + FormatWhen(end, s.Zone),
	})
}

// nothing says why there is no recording between start and end.
func (s *server) nothing(r *http.Request, c *catalog.Camera, st *catalog.Stream, start, end media.WallTime) error {
	text := fmt.Sprintf("nothing of %s/%s is recorded between %s and %s", c.Name, st.Name, FormatWhen(start, s.Zone), FormatWhen(end, s.Zone))
	gaps, err := s.Archive.Gaps(r.Context(), st.ID, start, end)
	if err != nil {
		return err
	}
	if len(gaps) > 0 {
		text += fmt.Sprintf(" (%s: %s)", gaps[0].Reason, gaps[0].Detail)
	}
	return problem{http.StatusNotFound, text}
}

type gapJSON struct {
	Camera   string `json:"camera"`
	Stream   string `json:"stream"`
	Start    string `json:"start"`
	End      string `json:"end,omitempty"` // absent while it goes on
	Start90k int64  `json:"startTime90k"`
	End90k   *int64 `json:"endTime90k"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail,omitempty"`
}

func (s *server) listGaps(w http.ResponseWriter, r *http.Request) error {
	start, end, err := s.bounds(r)
	if err != nil {
		return err
	}
	cameras, err := s.Catalog.Cameras(r.Context())
	if err != nil {
		return err
	}
	if key := r.URL.Query().Get("camera"); key != "" {
		c, err := s.camera(r.Context(), key)
		if err != nil {
			return err
		}
		cameras = []catalog.Camera{*c}
	}
	gaps := []gapJSON{}
	for _, c := range cameras {
		for _, st := range c.Streams {
			if only := r.URL.Query().Get("stream"); only != "" && only != st.Name {
				continue
			}
			found, err := s.Archive.Gaps(r.Context(), st.ID, start, end)
			if err != nil {
				return err
			}
			for _, g := range found {
				if j, ok := gapOf(c.Name, st.Name, g); ok {
					gaps = append(gaps, j)
				}
			}
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"gaps": gaps})
}

// gapOf writes a gap; one without length is none.
func gapOf(camera, stream string, g catalog.Gap) (gapJSON, bool) {
	j := gapJSON{Camera: camera, Stream: stream, Start: when(g.Start), Start90k: int64(g.Start), Reason: string(g.Reason), Detail: g.Detail}
	if !g.Open {
		end := int64(g.End)
		j.End, j.End90k = when(g.End), &end
	}
	return j, g.Open || g.End > g.Start
}

// view serves the span as a file, or what the file is made of.
func (s *server) view(w http.ResponseWriter, r *http.Request) error {
	c, st, err := s.stream(r.Context(), r.PathValue("camera"), r.PathValue("stream"))
	if err != nil {
		return err
	}
	t := deliver.Target{Stream: st.ID, Camera: c.Name, Name: st.Name}
	if strings.HasSuffix(r.URL.Path, ".txt") {
		return s.Views.Explain(w, r, t)
	}
	return s.Views.View(w, r, t)
}
