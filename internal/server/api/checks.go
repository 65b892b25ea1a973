package api

import (
	"fmt"
	"net/http"

	"nightjar/internal/store/check"
	"nightjar/internal/store/recording"
)

// CheckReport is the JSON of a check, version 1: of POST /checks, and of `nightjar check --json` whether a server runs
// or not.
type CheckReport struct {
	Version    int            `json:"version"`
	Level      string         `json:"level"`
	Recordings int64          `json:"recordings"`
	Files      int64          `json:"files"`
	Bytes      int64          `json:"bytesRead"`
	Findings   []CheckFinding `json:"findings"`
	Notes      []CheckFinding `json:"notes"` // odd but harmless; they do not count
}

// CheckFinding is one contradiction.
type CheckFinding struct {
	Kind      string `json:"kind"`
	Severity  string `json:"severity"`
	Directory string `json:"directory,omitempty"`
	Recording string `json:"recording,omitempty"` // stream/n
	Detail    string `json:"detail"`
	Hint      string `json:"hint,omitempty"`
}

// NewCheckReport returns the report of a check that has found nothing yet.
func NewCheckReport(level check.Level) *CheckReport {
	return &CheckReport{Version: 1, Level: level.String(), Findings: []CheckFinding{}, Notes: []CheckFinding{}}
}

// Add takes up a finding.
func (r *CheckReport) Add(f check.Finding) {
	j := CheckFinding{Kind: string(f.Kind), Severity: string(f.Severity), Directory: f.Dir, Detail: f.Detail, Hint: f.Hint}
	if f.Recording != 0 {
		j.Recording = f.Recording.String()
	}
	if f.Severity == check.Info {
		r.Notes = append(r.Notes, j)
	} else {
		r.Findings = append(r.Findings, j)
	}
}

// End notes what was looked at.
func (r *CheckReport) End(s check.Summary) {
	r.Recordings, r.Files, r.Bytes = s.Recordings, s.Files, s.Bytes
}

// Finding is the inverse of Add.
func (j *CheckFinding) Finding() check.Finding {
	f := check.Finding{Kind: check.Kind(j.Kind), Severity: check.Severity(j.Severity), Dir: j.Directory, Detail: j.Detail, Hint: j.Hint}
	var stream, n uint32
	if _, err := fmt.Sscanf(j.Recording, "%d/%d", &stream, &n); err == nil {
		f.Recording = recording.NewID(recording.StreamID(stream), n)
	}
	return f
}

// check checks the store that is open here. One at a time: more would only make the disks slower for each.
func (s *server) check(w http.ResponseWriter, r *http.Request) error {
	level := check.Size
	if name := r.URL.Query().Get("level"); name != "" {
		var err error
		if level, err = check.ParseLevel(name); err != nil {
			return problem{http.StatusBadRequest, err.Error()}
		}
	}
	if !s.checking.TryLock() {
		return problem{http.StatusConflict, "a check runs already; ask again when it is done"}
	}
	defer s.checking.Unlock()
	report := NewCheckReport(level)
	summary, err := check.Run(r.Context(), check.Options{
		Level: level, Now: s.Now,
		Live: &check.Live{Catalog: s.Catalog, Flush: s.Archive.Flush, Writing: s.Archive.Writing},
	}, report.Add)
	if r.Context().Err() != nil {
		return nil // the client went away, and the check ended with it
	}
	if err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	report.End(summary)
	return writeJSON(w, http.StatusOK, report)
}
