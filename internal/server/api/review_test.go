package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestWrongMethods asks for resources with methods that they do not have.
func TestWrongMethods(t *testing.T) {
	h := Handler(Options{})
	for _, c := range []struct {
		method, path, allow string
		status              int
	}{
		{"PUT", "/api/v1/cameras", "GET, POST", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/gaps", "GET", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/cameras/A", "GET, DELETE", http.StatusMethodNotAllowed},
		{"GET", "/api/v1/cameras/A/main", "PATCH", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/nothing", "", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"))
		}
	}
}

// TestRetainDaysBounded refuses days that ticks of 90 kHz can't hold: the sum would wrap and delete everything.
func TestRetainDaysBounded(t *testing.T) {
	for days, good := range map[int]bool{0: false, 1: true, 99_999: true, 100_000: false, 2_000_000_000: false} {
		n := NewCamera{Name: "A", Main: "rtsp://192.0.2.1/x", RetainDays: &days}
		if err := n.Check(); (err == nil) != good {
			t.Errorf("%d days: %v", days, err)
		}
	}
}
