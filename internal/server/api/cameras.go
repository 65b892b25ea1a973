package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightjar/internal/camera"
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// NewCamera is what a person gives to add a camera.
type NewCamera struct {
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Main        string        `json:"main"` // RTSP URLs; credentials in them are moved to Username and Password
	Sub         string        `json:"sub,omitempty"`
	Ext         string        `json:"ext,omitempty"`
	Username    string        `json:"username,omitempty"`
	Password    secret.String `json:"password,omitempty"`
	Transport   string        `json:"transport,omitempty"` // auto, tcp or udp
	Audio       bool          `json:"audio,omitempty"`
	Priority    int           `json:"priority,omitempty"` // 1 to 10; 0 is 5
	RetainDays  *int          `json:"retainDays,omitempty"`
	RetainBytes *int64        `json:"retainBytes,omitempty"`
}

// Streams lists the streams that the camera gets, in order.
func (n *NewCamera) Streams() (names, urls []string) {
	for i, u := range []string{n.Main, n.Sub, n.Ext} {
		if u != "" {
			names, urls = append(names, []string{"main", "sub", "ext"}[i]), append(urls, u)
		}
	}
	return names, urls
}

// Check says what is wrong with it and moves credentials out of the URLs.
func (n *NewCamera) Check() error {
	n.Name = strings.TrimSpace(n.Name)
	switch {
	case n.Name == "" || len(n.Name) > 100 || strings.ContainsAny(n.Name, "/\x00\n\r\t"):
		return problem{422, "the camera needs a name of at most 100 characters without slash, for example \"Front door\""}
	case n.Main == "":
		return problem{422, "the camera needs the URL of its main stream, for example rtsp://192.168.1.20/stream1"}
	case n.Transport != "" && n.Transport != "auto" && n.Transport != "tcp" && n.Transport != "udp":
		return problem{422, fmt.Sprintf("transport is %q: choose auto, tcp or udp", n.Transport)}
	case n.Priority < 0 || n.Priority > 10:
		return problem{422, fmt.Sprintf("priority is %d: choose 1 (first to be given up) to 10", n.Priority)}
	case n.RetainDays != nil && (*n.RetainDays < 1 || *n.RetainDays >= 100_000):
		return problem{422, "retainDays must be at least 1 and below 100000"}
	case n.RetainBytes != nil && *n.RetainBytes < 0:
		return problem{422, "retainBytes must not be negative"}
	}
	for _, u := range []*string{&n.Main, &n.Sub, &n.Ext} {
		if *u == "" {
			continue
		}
		if err := n.cleanURL(u); err != nil {
			return err
		}
	}
	return nil
}

// cleanURL checks one stream's URL and takes the credentials out of it.
func (n *NewCamera) cleanURL(text *string) error {
	u, err := url.Parse(*text)
	if err != nil || u.Host == "" || u.Scheme != "rtsp" && u.Scheme != "rtsps" {
		return problem{422, fmt.Sprintf("%q is no stream's URL: write rtsp://HOST[:PORT]/PATH", secret.RedactURL(*text))}
	}
	if u.User != nil {
		if n.Username == "" {
			n.Username = u.User.Username()
			password, _ := u.User.Password()
			n.Password = secret.New(password)
		}
		u.User = nil
		*text = u.String()
	}
	return nil
}

type cameraJSON struct {
	UUID        string       `json:"uuid"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Username    string       `json:"username,omitempty"`
	HasPassword bool         `json:"hasPassword"`
	Transport   string       `json:"transport"`
	Audio       bool         `json:"audio"`
	Priority    int          `json:"priority"`
	Streams     []streamJSON `json:"streams"`
}

type streamJSON struct {
	UUID        string    `json:"uuid"`
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Record      bool      `json:"record"`
	Directory   string    `json:"directory,omitempty"`
	RetainDays  *int      `json:"retainDays"`
	RetainBytes *int64    `json:"retainBytes"`
	State       stateJSON `json:"state"`
	Kept        keptJSON  `json:"kept"`
}

type stateJSON struct {
	Phase  string `json:"phase"`
	Since  string `json:"since"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"` // what a person can do about it
	Retry  string `json:"retry,omitempty"`
}

type keptJSON struct {
	Recordings int64  `json:"recordings"`
	Bytes      int64  `json:"bytes"`
	Duration   string `json:"duration"`
	Seconds    int64  `json:"durationSeconds"`
	Oldest     string `json:"oldest,omitempty"`
}

func (s *server) cameraJSON(ctx context.Context, c *catalog.Camera) (cameraJSON, error) {
	directories, err := s.Catalog.Directories(ctx)
	if err != nil {
		return cameraJSON{}, err
	}
	return s.describe(ctx, c, directories)
}

// describe writes a camera whose streams record into some of the directories.
func (s *server) describe(ctx context.Context, c *catalog.Camera, directories []catalog.Directory) (cameraJSON, error) {
	j := cameraJSON{
		UUID: uuidText(c.UUID), Name: c.Name, Description: c.Settings.Description, Username: c.Settings.Username,
		HasPassword: len(c.Password) > 0, Transport: c.Settings.Transport, Audio: c.Settings.Audio, Priority: c.Settings.Priority,
		Streams: []streamJSON{},
	}
	if j.Transport == "" {
		j.Transport = "auto"
	}
	if j.Priority == 0 {
		j.Priority = 5
	}
	for _, st := range c.Streams {
		k := streamJSON{UUID: uuidText(st.UUID), Name: st.Name, URL: secret.RedactURL(st.URL), Record: st.Record, RetainDays: st.RetainDays, RetainBytes: st.RetainBytes}
		for _, d := range directories {
			if d.ID == st.Directory {
				k.Directory = d.Path
			}
		}
		state := s.NVR.StreamState(st.ID)
		k.State = stateJSON{Phase: string(state.Phase), Since: state.Since.UTC().Format(time.RFC3339), Reason: string(state.Reason), Detail: state.Detail}
		if state.Phase != camera.Receiving {
			k.State.Hint = state.Reason.Hint()
		}
		if !state.Retry.IsZero() && state.Phase == "waiting" {
			k.State.Retry = state.Retry.UTC().Format(time.RFC3339)
		}
		kept, err := s.kept(ctx, st.ID)
		if err != nil {
			return j, err
		}
		k.Kept = kept
		j.Streams = append(j.Streams, k)
	}
	return j, nil
}

// kept totals what is recorded of a stream.
func (s *server) kept(ctx context.Context, id recording.StreamID) (keptJSON, error) {
	sum, oldest, err := s.total(ctx, id)
	k := keptJSON{Recordings: sum.Recordings, Bytes: sum.DiskBytes, Duration: sum.Duration.Std().Round(time.Second).String(), Seconds: int64(sum.Duration / media.TicksPerSecond)}
	if oldest != 0 {
		k.Oldest = when(oldest)
	}
	return k, err
}

// withoutRow is how long a recording may be there before it has a row: five minutes of itself and the wait for a flush.
const withoutRow media.WallDuration = 10 * 60 * media.TicksPerSecond

// total sums up the recordings of a stream, those without row included, and returns the start of the oldest, 0 if there is
// none.
func (s *server) total(ctx context.Context, id recording.StreamID) (sum catalog.Usage, oldest media.WallTime, err error) {
	perDirectory, err := s.Catalog.StreamUsage(ctx, id)
	if err != nil {
		return sum, 0, err
	}
	note := func(start media.WallTime) {
		if oldest == 0 || start < oldest {
			oldest = start
		}
	}
	for dir, u := range perDirectory {
		sum = sum.Add(u)
		first, err := s.Catalog.Oldest(ctx, id, dir, 1)
		if err != nil {
			return sum, 0, err
		}
		if len(first) > 0 {
			note(first[0].Start)
		}
	}
	recent := map[recording.ID]*recording.Description{}
	var ids []recording.ID
	now := media.WallTimeOf(s.Now())
	err = s.Archive.Recordings(ctx, id, now.Add(-withoutRow), now.Add(withoutRow), func(d *recording.Description) bool {
		recent[d.ID] = d
		ids = append(ids, d.ID)
		return true
	})
	if err != nil {
		return sum, 0, err
	}
	missing, err := s.Catalog.Missing(ctx, ids)
	for _, id := range missing {
		d := recent[id]
		note(d.Start)
		sum = sum.Add(catalog.Usage{Recordings: 1, Bytes: d.Bytes, DiskBytes: catalog.DiskBytes(d.Bytes), Duration: d.WallDuration})
	}
	return sum, oldest, err
}

func (s *server) listCameras(w http.ResponseWriter, r *http.Request) error {
	cameras, err := s.Catalog.Cameras(r.Context())
	if err != nil {
		return err
	}
	directories, err := s.Catalog.Directories(r.Context())
	if err != nil {
		return err
	}
	list := struct {
		Zone    string       `json:"zone"`
		Cameras []cameraJSON `json:"cameras"`
	}{s.Zone.String(), []cameraJSON{}}
	for i := range cameras {
		j, err := s.describe(r.Context(), &cameras[i], directories)
		if err != nil {
			return err
		}
		list.Cameras = append(list.Cameras, j)
	}
	return writeJSON(w, http.StatusOK, list)
}

// camera finds the camera that a request names by UUID or name.
func (s *server) camera(ctx context.Context, key string) (*catalog.Camera, error) {
	if c, err := s.Catalog.Camera(ctx, key); err == nil || !errors.Is(err, catalog.ErrNotFound) {
		return &c, err
	}
	// Perhaps its letters differ in case, in ways that the catalog does not know; else the answer names those there are.
	cameras, err := s.Catalog.Cameras(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range cameras {
		if strings.EqualFold(uuidText(cameras[i].UUID), key) || strings.EqualFold(cameras[i].Name, key) {
			return &cameras[i], nil
		}
		names = append(names, cameras[i].Name)
	}
	known := "there are none yet"
	if len(names) > 0 {
		known = "there are " + strings.Join(names, ", ")
	}
	return nil, problem{http.StatusNotFound, fmt.Sprintf("there is no camera %q; %s", key, known)}
}

// stream finds the stream that a request names.
func (s *server) stream(ctx context.Context, cameraKey, name string) (*catalog.Camera, *catalog.Stream, error) {
	c, err := s.camera(ctx, cameraKey)
	if err != nil {
		return nil, nil, err
	}
	for i := range c.Streams {
		if c.Streams[i].Name == name {
			return c, &c.Streams[i], nil
		}
	}
	return nil, nil, problem{http.StatusNotFound, fmt.Sprintf("camera %q has no stream %q", c.Name, name)}
}

func (s *server) getCamera(w http.ResponseWriter, r *http.Request) error {
	c, err := s.camera(r.Context(), r.PathValue("camera"))
	if err != nil {
		return err
	}
	j, err := s.cameraJSON(r.Context(), c)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, j)
}

func (s *server) addCamera(w http.ResponseWriter, r *http.Request) error {
	var n NewCamera
	if err := readJSON(r, &n); err != nil {
		return err
	}
	if err := n.Check(); err != nil {
		return err
	}
	c, err := s.NVR.AddCamera(r.Context(), n)
	if err != nil {
		return err
	}
	j, err := s.cameraJSON(r.Context(), &c)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/cameras/"+j.UUID)
	return writeJSON(w, http.StatusCreated, j)
}

func (s *server) removeCamera(w http.ResponseWriter, r *http.Request) error {
	c, err := s.camera(r.Context(), r.PathValue("camera"))
	if err != nil {
		return err
	}
	var recordings, bytes int64
	for _, st := range c.Streams {
		k, err := s.kept(r.Context(), st.ID)
		if err != nil {
			return err
		}
		recordings, bytes = recordings+k.Recordings, bytes+k.Bytes
	}
	if r.URL.Query().Get("confirm") != c.Name {
		return problem{http.StatusConflict, fmt.Sprintf("this would delete camera %q with %d recordings (%d bytes); say so with confirm=%s", c.Name, recordings, bytes, url.QueryEscape(c.Name))}
	}
	if err := s.NVR.RemoveCamera(r.Context(), *c); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"removed": c.Name, "recordings": recordings, "bytes": bytes})
}

func (s *server) setStream(w http.ResponseWriter, r *http.Request) error {
	c, st, err := s.stream(r.Context(), r.PathValue("camera"), r.PathValue("stream"))
	if err != nil {
		return err
	}
	var given map[string]any
	if err := readJSON(r, &given); err != nil {
		return err
	}
	if err := s.apply(r.Context(), st, given); err != nil {
		return err
	}
	if err := s.NVR.SetStream(r.Context(), *st); err != nil {
		return err
	}
	fresh, err := s.camera(r.Context(), uuidText(c.UUID))
	if err != nil {
		return err
	}
	j, err := s.cameraJSON(r.Context(), fresh)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, j)
}

// apply changes st as the keys of a PATCH say.
func (s *server) apply(ctx context.Context, st *catalog.Stream, given map[string]any) error {
	for key, value := range given {
		number, isNumber := value.(float64)
		whole := isNumber && number == float64(int64(number))
		switch {
		case key == "record":
			record, ok := value.(bool)
			if !ok {
				return problem{422, "record is true or false"}
			}
			st.Record = record
		case key == "retainDays" && value == nil:
			st.RetainDays = nil
		case key == "retainBytes" && value == nil:
			st.RetainBytes = nil
		case key == "retainDays" && whole && number >= 1 && number < 100_000:
			days := int(number)
			st.RetainDays = &days
		case key == "retainBytes" && whole && number >= 0:
			bytes := int64(number)
			st.RetainBytes = &bytes
		case key == "directory":
			if err := s.moveTo(ctx, st, value); err != nil {
				return err
			}
		default:
			return problem{422, fmt.Sprintf("%q can't be set to %v; the keys are record (true, false), retainDays (whole, at least 1, or null), retainBytes (whole, or null) and directory (a path)", key, value)}
		}
	}
	return nil
}

func (s *server) moveTo(ctx context.Context, st *catalog.Stream, value any) error {
	directories, err := s.Catalog.Directories(ctx)
	if err != nil {
		return err
	}
	for _, d := range directories {
		if value == d.Path || value == uuidText(d.UUID) {
			st.Directory = d.ID
			return nil
		}
	}
	return problem{422, fmt.Sprintf("%v is no sample file directory; add it first", value)}
}
