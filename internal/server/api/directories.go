package api

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"nightjar/internal/store/catalog"
)

type directoryJSON struct {
	UUID        string  `json:"uuid"`
	Path        string  `json:"path"`
	State       string  `json:"state"` // ok or failed
	Detail      string  `json:"detail,omitempty"`
	TickSeconds float64 `json:"tickSeconds"`
	Recordings  int64   `json:"recordings"`
	Bytes       int64   `json:"bytes"`
	Total       int64   `json:"totalBytes"`
	Available   int64   `json:"availableBytes"`
	Floor       int64   `json:"floorBytes"`
}

func (s *server) directoryJSON(r *http.Request, d *catalog.Directory) (directoryJSON, error) {
	state := s.NVR.DirectoryState(d.ID)
	j := directoryJSON{
		UUID: uuidText(d.UUID), Path: d.Path, State: "ok", TickSeconds: d.Tick.Std().Seconds(),
		Total: state.Total, Available: state.Available, Floor: state.Floor,
	}
	if state.Err != nil {
		j.State, j.Detail = "failed", state.Err.Error()
	}
	usage, err := s.Catalog.DirectoryUsage(r.Context(), d.ID)
	for _, u := range usage {
		j.Recordings, j.Bytes = j.Recordings+u.Recordings, j.Bytes+u.DiskBytes
	}
	return j, err
}

func (s *server) listDirectories(w http.ResponseWriter, r *http.Request) error {
	directories, err := s.Catalog.Directories(r.Context())
	if err != nil {
		return err
	}
	list := []directoryJSON{}
	for i := range directories {
		j, err := s.directoryJSON(r, &directories[i])
		if err != nil {
			return err
		}
		list = append(list, j)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"directories": list})
}

func (s *server) addDirectory(w http.ResponseWriter, r *http.Request) error {
	var given struct {
		Path string `json:"path"`
	}
	if err := readJSON(r, &given); err != nil {
		return err
	}
	if !filepath.IsAbs(given.Path) {
		return problem{422, fmt.Sprintf("%q is no absolute path", given.Path)}
	}
	d, err := s.NVR.AddDirectory(r.Context(), filepath.Clean(given.Path))
	if err != nil {
		return err
	}
	j, err := s.directoryJSON(r, &d)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/directories/"+j.UUID)
	return writeJSON(w, http.StatusCreated, j)
}

func (s *server) removeDirectory(w http.ResponseWriter, r *http.Request) error {
	directories, err := s.Catalog.Directories(r.Context())
	if err != nil {
		return err
	}
	for _, d := range directories {
		if !strings.EqualFold(uuidText(d.UUID), r.PathValue("directory")) {
			continue
		}
		if err := s.NVR.RemoveDirectory(r.Context(), d); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, map[string]any{"removed": d.Path})
	}
	return problem{http.StatusNotFound, "there is no such sample file directory; GET /api/v1/directories lists them"}
}
