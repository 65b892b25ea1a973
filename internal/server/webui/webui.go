// Package webui holds the web page as files embedded in the program: plain HTML, CSS and JavaScript that talk to the API
// and to nothing else, no foreign host. The page lists the cameras with what they record, shows their latest pictures,
// and plays or downloads any span.
//
// Every answer carries a content security policy without "unsafe" in it, and an ETag of its content, so that a page of an
// older version is never mixed with files of a newer one.
package webui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed files
var embedded embed.FS

// policy lets the page load its own files and media, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// Handler serves the page at "/" and its files beneath.
func Handler() http.Handler {
	files := map[string]file{}
	root, err := fs.Sub(embedded, "files")
	if err != nil {
		panic("webui: " + err.Error()) // the directive above embeds it
	}
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		panic("webui: " + err.Error())
	}
	for _, e := range entries {
		text, err := fs.ReadFile(root, e.Name())
		if err != nil {
			panic("webui: " + err.Error())
		}
		sum := sha256.Sum256(text)
		files["/"+e.Name()] = file{text, `"` + hex.EncodeToString(sum[:8]) + `"`, mime.TypeByExtension(path.Ext(e.Name()))}
	}
	files["/"] = files["/index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.Error(w, "There is no such page. The start page is at /.", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", f.etag)
		h.Set("Content-Type", f.kind)
		if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(f.text)
	})
}

// file is one embedded file, ready to be sent.
type file struct {
	text []byte
	etag string
	kind string
}
