// Package api is the HTTP API, version 1: JSON resources over the catalog and the archive, media by package deliver, and
// the table that turns errors into answers.
//
// Everything is under /api/v1 but the probes /healthz and /readyz and /metrics. {camera} is a camera's UUID or its unique
// name, {stream} is main, sub or ext. Times are read by ParseWhen; JSON carries them as RFC 3339 and as integer ticks of
// 90 kHz side by side (start, startTime90k). Errors are problem details (RFC 9457). docs/ref/api.md lists every route.
//
// The handlers hold no state of their own (but that one check runs at a time) and may be called concurrently. What runs
// (cameras, directories) is changed through the small interface NVR.
package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"nightjar/internal/camera"
	"nightjar/internal/media"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/metrics"
	"nightjar/internal/watch/deliver"
)

// NVR is what runs: the API asks it to change cameras and directories and how they are.
type NVR interface {
	AddCamera(ctx context.Context, n NewCamera) (catalog.Camera, error)
	RemoveCamera(ctx context.Context, c catalog.Camera) error
	AddDirectory(ctx context.Context, path string) (catalog.Directory, error)
	RemoveDirectory(ctx context.Context, d catalog.Directory) error
	SetStream(ctx context.Context, s catalog.Stream) error
	StreamState(id recording.StreamID) camera.State
	DirectoryState(id catalog.DirectoryID) DirectoryState
	Ready() error // nil when everything that should run does
}

// DirectoryState is how a sample file directory is.
type DirectoryState struct {
	Err       error  // why it can't be used; nil if it can
	Total     int64  // bytes of its file system
	Available int64  // bytes free there
	Floor     int64  // bytes that are kept free
	Device    uint64 // its file system: directories with the same one share the space
}

// Options are what the handlers work on.
type Options struct {
	Catalog *catalog.Catalog
	Archive *archive.Archive
	NVR     NVR
	Metrics *metrics.Registry
	Log     *slog.Logger
	Zone    *time.Location // the site's
	Now     func() time.Time
	Version string
	Started time.Time
	Address string // of the page; empty when there is none
	Views   *deliver.Handler
}

// server carries the options to the handlers.
type server struct {
	Options
	checking sync.Mutex // held by the one check that may run
}

// Handler returns the whole API.
func Handler(o Options) http.Handler {
	s := &server{Options: o}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.Method+" "+r.Pattern, s.answer(r.handle))
	}
	mux.HandleFunc("/api/", s.answer(func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); strings.HasPrefix(pattern, method+" ") {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return problem{http.StatusMethodNotAllowed, r.Method + " is not possible here, only " + strings.Join(allowed, ", ")}
		}
		return problem{http.StatusNotFound, "there is no such resource; docs/ref/api.md lists what there is"}
	}))
	return mux
}

// Route is one line of the API: its method, its pattern (net/http ServeMux), and what it is for.
type Route struct {
	Method, Pattern, Text string
	handle                func(http.ResponseWriter, *http.Request) error
}

// Routes lists every route for the manual.
func Routes() []Route { return new(server).routes() }

func (s *server) routes() []Route {
	const v1 = "/api/v1"
	return []Route{
		{"GET", v1 + "/status", "The server in a few figures: version, streams recording, bytes kept, since when.", s.status},
		{"GET", v1 + "/cameras", "Every camera with its streams, their state and what is kept of them.", s.listCameras},
		{"POST", v1 + "/cameras", "Adds a camera: name, main, sub, ext (URLs), username, password, transport, audio, priority, retainDays, retainBytes, description.", s.addCamera},
		{"GET", v1 + "/cameras/{camera}", "One camera.", s.getCamera},
		{"DELETE", v1 + "/cameras/{camera}", "Removes a camera with everything recorded of it. Without confirm=NAME it only tells what would go (409).", s.removeCamera},
		{"PATCH", v1 + "/cameras/{camera}/{stream}", "Changes record, retainDays, retainBytes or directory of a stream; null lifts a limit.", s.setStream},
		{"GET", v1 + "/cameras/{camera}/{stream}/recordings", "Recordings that overlap [start, end), by time; limit (at most 1000) and after (from next of the previous page).", s.listRecordings},
		{"GET", v1 + "/cameras/{camera}/{stream}/span", "What start and end mean: the instants that they name, cut to what is recorded.", s.span},
		{"GET", v1 + "/cameras/{camera}/{stream}/view.mp4", "The span as one .mp4 with Range. audio=none leaves the sound out, gaps=close closes gaps up. Without an end, or with one after the last sample: 307 to the pinned URL.", s.view},
		{"GET", v1 + "/cameras/{camera}/{stream}/view.mp4.txt", "The layout of that file, explained.", s.view},
		{"GET", v1 + "/gaps", "The gap ledger: what is missing and why. camera, stream, start, end.", s.listGaps},
		{"GET", v1 + "/directories", "Sample file directories with usage and state.", s.listDirectories},
		{"POST", v1 + "/directories", "Adds a sample file directory: path.", s.addDirectory},
		{"DELETE", v1 + "/directories/{directory}", "Removes an empty sample file directory, by UUID.", s.removeDirectory},
		{"POST", v1 + "/checks", "Checks the store while it is used and answers when done; level=presence, size (default) or hash, which reads every byte. Changes nothing.", s.check},
		{"GET", "/healthz", "200 while the process serves.", s.healthz},
		{"GET", "/readyz", "200 while everything that should record does, else 503 and what is wrong.", s.readyz},
		{"GET", "/metrics", "Prometheus text exposition.", s.metrics},
	}
}

// answer turns a handler's error into a problem document.
func (s *server) answer(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		p := problemOf(err)
		if p.Status >= 500 && s.Log != nil {
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		writeProblem(w, p)
	}
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(append(text, '\n'))
	_ = err // the client went away; there is nobody to tell
	return nil
}

// readJSON reads a request's body into v; unknown keys are refused.
func readJSON(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem{http.StatusUnsupportedMediaType, "send JSON with Content-Type: application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return problem{http.StatusRequestEntityTooLarge, "the request is too large"}
		}
		return problem{http.StatusBadRequest, "the JSON can't be read: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	if _, err := d.Token(); err != io.EOF {
		return problem{http.StatusBadRequest, "there is more than one JSON value in the request"}
	}
	return nil
}

// uuidText writes a UUID as RFC 9562 section 4 does.
func uuidText(u recording.UUID) string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// when returns a JSON time.
func when(t media.WallTime) string { return t.Time().Format("2006-01-02T15:04:05.000000Z") }
