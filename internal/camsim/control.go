package camsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// Control returns the handler of the control port:
//
//	GET  /counts                        Counts
//	GET  /written?path=/cam0            []SessionWritten
//	GET  /faults                        []PathFault, what is on
//	POST /faults {"path": "/cam0", "kind": "loss", "value": "5"}   path "" is all, value "off" ends it
//	POST /reboot {"seconds": 5}
//
// Errors are plain text.
func (s *Server) Control() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Counts()) })
	m.HandleFunc("GET /written", func(w http.ResponseWriter, r *http.Request) {
		path := r.FormValue("path")
		if s.streams[path] == nil {
			http.Error(w, "no stream "+path, http.StatusNotFound)
			return
		}
		reply(w, s.Written(path))
	})
	m.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.faultsOn()) })
	m.HandleFunc("POST /faults", s.postFault)
	m.HandleFunc("POST /reboot", s.postReboot)
	return m
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // fails only when the client has left
}

// decode reads a small JSON body without unknown fields, or answers what is wrong.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// faultsOn lists the faults that are on.
func (s *Server) faultsOn() []PathFault {
	all := []PathFault{}
	for _, p := range s.paths {
		st := s.streams[p]
		st.mu.Lock()
		for _, f := range st.faultsOn() {
			all = append(all, PathFault{p, f})
		}
		st.mu.Unlock()
	}
	return all
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var f PathFault
	if !decode(w, r, &f) {
		return
	}
	if err := s.SetFault(f.Path, f.Fault); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, s.faultsOn())
}

func (s *Server) postReboot(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Seconds float64 `json:"seconds"`
	}
	if !decode(w, r, &body) {
		return
	}
	if body.Seconds < 0 || body.Seconds > 86_400 {
		http.Error(w, "seconds is outside 0-86400", http.StatusBadRequest)
		return
	}
	s.Reboot(time.Duration(body.Seconds * float64(time.Second)))
	reply(w, struct{}{})
}
