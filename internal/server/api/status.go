package api

import (
	"net/http"
	"time"

	"nightjar/internal/camera"
	"nightjar/internal/media"
	"nightjar/internal/sys/metrics"
)

// statusJSON is what a person wants to know in one look.
type statusJSON struct {
	Version       string   `json:"version"`
	Started       string   `json:"started"`
	Cameras       int      `json:"cameras"`
	Streams       int      `json:"streams"`   // that should record
	Recording     int      `json:"recording"` // that do
	Problems      []string `json:"problems"`
	Bytes         int64    `json:"bytes"`
	Available     int64    `json:"availableBytes"`
	Oldest        string   `json:"oldest,omitempty"`
	OldestSeconds int64    `json:"oldestSeconds"`
	Zone          string   `json:"zone"`
	Address       string   `json:"address,omitempty"`
}

func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	cameras, err := s.Catalog.Cameras(r.Context())
	if err != nil {
		return err
	}
	j := statusJSON{Version: s.Version, Started: s.Started.UTC().Format(time.RFC3339), Cameras: len(cameras), Problems: []string{}, Zone: s.Zone.String(), Address: s.Address}
	var oldest media.WallTime
	for _, c := range cameras {
		for _, st := range c.Streams {
			sum, first, err := s.total(r.Context(), st.ID)
			if err != nil {
				return err
			}
			j.Bytes += sum.DiskBytes
			if first != 0 && (oldest == 0 || first < oldest) {
				oldest = first
			}
			if !st.Record || c.Settings.Disabled {
				continue
			}
			j.Streams++
			state := s.NVR.StreamState(st.ID)
			if state.Phase == camera.Receiving {
				j.Recording++
			} else if state.Detail != "" {
				text := c.Name + "/" + st.Name + ": " + state.Detail
				if h := state.Reason.Hint(); h != "" {
					text += "; " + h
				}
				j.Problems = append(j.Problems, text)
			}
		}
	}
	if err := s.directoryStatus(r, &j); err != nil {
		return err
	}
	if oldest != 0 {
		j.Oldest, j.OldestSeconds = when(oldest), int64(media.WallTimeOf(s.Now()).Sub(oldest)/media.TicksPerSecond)
	}
	return writeJSON(w, http.StatusOK, j)
}

func (s *server) directoryStatus(r *http.Request, j *statusJSON) error {
	directories, err := s.Catalog.Directories(r.Context())
	if err != nil {
		return err
	}
	seen := map[uint64]bool{}
	for _, d := range directories {
		state := s.NVR.DirectoryState(d.ID)
		if !seen[state.Device] {
			j.Available += state.Available
			seen[state.Device] = true
		}
		if state.Err != nil {
			j.Problems = append(j.Problems, "directory "+d.Path+": "+state.Err.Error())
		}
	}
	return nil
}

func (s *server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": s.Version})
}

func (s *server) readyz(w http.ResponseWriter, _ *http.Request) error {
	if err := s.NVR.Ready(); err != nil {
		return problem{http.StatusServiceUnavailable, err.Error()}
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *server) metrics(w http.ResponseWriter, r *http.Request) error {
	format := metrics.FormatFor(r.Header.Get("Accept"))
	w.Header().Set("Content-Type", format.ContentType())
	return s.Metrics.Write(w, format)
}
