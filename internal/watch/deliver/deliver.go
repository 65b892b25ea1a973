// Package deliver answers HTTP requests for views: it reads the query, pins what is open, and sends the virtual file with
// ranges, validators and a name.
//
// Nouns: a Target is the stream that the URL names, resolved by the caller; a Handler serves views of it. Content is any
// virtual file with its headers.
//
// # Answers
//
// A view without an end, or with one after its last sample, is answered by 307 to the same URL with the end pinned in
// ticks (suffix t). A pinned URL never grows; its ETag is strong and changes when anything in the span is deleted or
// moved. Caches may keep it but ask each time (Cache-Control: private, no-cache).
//
// Ranges (RFC 9110 section 14) are served for GET: one as it is, several (at most 16, after joining those that overlap
// or touch) as multipart/byteranges, more with 416. A Range header that makes no sense is ignored, as is one under an
// If-Range that does not match. Of the preconditions, If-Match, If-None-Match and If-Range are honoured.
//
// # Sending
//
// Nothing is written before the first byte of the body is there, so that a failure to find it can still be answered with
// a status; a failure later ends the connection (panic with http.ErrAbortHandler, which net/http knows), since a body
// cut short must not look whole. The bytes of sample files go by sendfile(2) on plain HTTP/1 connections, by way of
// ReadFrom of the ResponseWriter (see virtual.File.WriteRange); middleware that wraps the writer must pass ReadFrom on,
// or large reads are used, as they are under TLS. A client that takes less than 1 MiB in a stall time is cut off.
//
// All methods may be called concurrently; no goroutines are started.
package deliver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/watch/view"
)

// QueryError is a query that can't be understood: a 400 with this sentence.
type QueryError struct{ Problem string }

func (e *QueryError) Error() string { return e.Problem }

// Options of a Handler.
type Options struct {
	Views *view.Builder

	// ParseTime reads the parameters start and end; nil means ParseTime, which takes absolute times only.
	ParseTime func(string) (media.WallTime, error)
	// Zone is the time zone of file names; nil means UTC.
	Zone *time.Location
	// Stall is how long a client may take for 1 MiB; 0 means 60 s (17 kB/s).
	Stall time.Duration
	// Log hears of views that broke off because of us; nil means nobody.
	Log *slog.Logger
}

// Handler serves views.
type Handler struct{ o Options }

// New returns a Handler.
func New(o Options) *Handler {
	if o.ParseTime == nil {
		o.ParseTime = ParseTime
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{o}
}

// Target is the stream that a URL names.
type Target struct {
	Stream recording.StreamID
	Camera string // the camera's name, for the file name
	Name   string // "main", "sub" or "ext"
}

// View answers a request for view.mp4. An error means that nothing was written yet: a *QueryError, one of package view's,
// or a failure of the archive.
func (h *Handler) View(w http.ResponseWriter, r *http.Request, t Target) error {
	request, err := h.request(r.URL.Query(), t)
	if err != nil {
		return err
	}
	file, info, err := h.o.Views.Build(r.Context(), request)
	if err != nil {
		return err
	}
	if request.End == 0 || info.End < request.End {
		return h.pin(w, r, request.Start, info.End)
	}
	c := Content{File: file, ETag: info.ETag, Type: info.MediaType, Disposition: h.disposition(t, info.Start), Stall: h.o.Stall}
	err, whole := c.serve(w, r)
	if err == nil || whole {
		return err
	}
	if !clientGone(r, err) {
		h.o.Log.Error("view broken off", "camera", t.Camera, "stream", t.Name, "err", err)
	}
	panic(http.ErrAbortHandler)
}

// Explain answers a request for view.mp4.txt.
func (h *Handler) Explain(w http.ResponseWriter, r *http.Request, t Target) error {
	request, err := h.request(r.URL.Query(), t)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := h.o.Views.Explain(r.Context(), request, &text); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text.String())) // a client that went away is no failure of ours
	}
	return nil
}

// pin redirects to the same URL with the end as it is now. A start that is not absolute is pinned as well. The reference
// is relative, so that it holds behind a proxy that serves us under another path.
func (h *Handler) pin(w http.ResponseWriter, r *http.Request, start, end media.WallTime) error {
	query := r.URL.Query()
	query.Set("end", ticks(end))
	if _, err := ParseTime(query.Get("start")); err != nil {
		query.Set("start", ticks(start))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", path.Base(r.URL.EscapedPath())+"?"+query.Encode())
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

func ticks(t media.WallTime) string { return strconv.FormatInt(int64(t), 10) + "t" }

// request reads the query. Parameters that have no meaning here are refused: a misspelt one would be passed over silently.
func (h *Handler) request(query url.Values, t Target) (view.Request, error) {
	r := view.Request{Stream: t.Stream}
	for name, values := range query {
		if len(values) != 1 {
			return r, &QueryError{fmt.Sprintf("the parameter %q is given %d times", name, len(values))}
		}
		var err error
		switch value := values[0]; name {
		case "start":
			r.Start, err = h.o.ParseTime(value)
		case "end":
			if value != "" {
				r.End, err = h.o.ParseTime(value)
			}
		case "gaps":
			r.Gaps, err = choice(name, value, map[string]view.Gaps{"keep": view.Keep, "close": view.Close})
		case "audio":
			r.NoAudio, err = choice(name, value, map[string]bool{"as-sent": false, "none": true})
		case "metadata":
			r.Metadata, err = choice(name, value, map[string]bool{"0": false, "1": true})
		default:
			return r, &QueryError{fmt.Sprintf("there is no parameter %q; there are start, end, gaps, audio and metadata", name)}
		}
		if query := new(QueryError); err != nil && !errors.As(err, &query) {
			return r, &QueryError{fmt.Sprintf("parameter %s: %v", name, err)}
		}
		if err != nil {
			return r, err
		}
	}
	if query.Get("start") == "" {
		return r, &QueryError{"the parameter start is missing"}
	}
	if r.End == 0 && query.Get("end") != "" {
		return r, view.ErrOrder // 1970 itself, which would mean no end
	}
	return r, nil
}

func choice[T any](name, value string, choices map[string]T) (T, error) {
	v, ok := choices[value]
	if !ok {
		known := slices.Sorted(maps.Keys(choices))
		return v, &QueryError{fmt.Sprintf("the parameter %s can't be %q, only %s", name, value, strings.Join(known, " or "))}
	}
	return v, nil
}

// ParseTime reads an absolute time: RFC 3339 (a space is taken for the "+" that it was before the URL was decoded), or
// ticks of 90 kHz since 1970 with the suffix t.
func ParseTime(s string) (media.WallTime, error) {
	if digits, ok := strings.CutSuffix(s, "t"); ok {
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > maxTime {
			return 0, &QueryError{fmt.Sprintf("%q is no number of 90 kHz ticks since 1970", s)}
		}
		return media.WallTime(n), nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "+", 1))
	if err != nil || t.Year() < 1970 {
		return 0, &QueryError{fmt.Sprintf("%q is no time: write 2006-01-02T15:04:05Z, or 90 kHz ticks since 1970 with the suffix t", s)}
	}
	return media.WallTimeOf(t), nil
}

// maxTime is the year 10000 in ticks; RFC 3339 goes no further.
const maxTime = 253_402_300_800 * media.TicksPerSecond

// disposition names the file after camera, stream and start.
func (h *Handler) disposition(t Target, start media.WallTime) string {
	name := fmt.Sprintf("%s-%s-%s.mp4", fileName(t.Camera), fileName(t.Name), start.Time().In(h.o.Zone).Format("20060102T150405"))
	return mime.FormatMediaType("inline", map[string]string{"filename": name})
}

// fileName keeps what is harmless in a file name on every system: letters, digits, hyphens and underscores.
func fileName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case b.Len() >= 80:
			return b.String()
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "camera"
	}
	return b.String()
}
