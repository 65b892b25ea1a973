package webui

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	h := Handler()
	for path, kind := range map[string]string{"/": "text/html", "/app.js": "javascript", "/app.css": "text/css", "/icon.svg": "svg"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Type"), kind) || w.Body.Len() < 100 {
			t.Errorf("%s: %d, %q, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		if csp := w.Header().Get("Content-Security-Policy"); csp == "" || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		again := httptest.NewRequest("GET", path, nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		second := httptest.NewRecorder()
		h.ServeHTTP(second, again)
		if second.Code != 304 || second.Body.Len() != 0 {
			t.Errorf("%s again: %d", path, second.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/../webui.go", nil))
	if w.Code != 404 {
		t.Errorf("a path outside: %d", w.Code)
	}
}

// TestPageKeepsToItself finds foreign hosts and ways by which a camera's name could become code.
func TestPageKeepsToItself(t *testing.T) {
	entries, err := embedded.ReadDir("files")
	if err != nil {
		t.Fatal(err)
	}
	foreign := regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	total := 0
	for _, e := range entries {
		text, err := embedded.ReadFile("files/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		total += len(text)
		for _, m := range foreign.FindAllString(string(text), -1) {
			if !strings.Contains(m, "www.w3.org") { // the names of XML vocabularies
				t.Errorf("%s names the host %s", e.Name(), m)
			}
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", "onclick=\""} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s uses %s", e.Name(), bad)
			}
		}
	}
	if total > 60_000 {
		t.Errorf("the page has %d bytes, at most 60,000 before compression", total)
	}
}
