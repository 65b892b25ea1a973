package onvif

import (
	"bytes"
	"image/jpeg"
	"net/http"
	"strconv"
)

// snapshotQuality keeps the strip's blocks far apart and the pictures small.
const snapshotQuality = 80

// serveSnapshot sends a JPEG of the present scene of the stream that the query names, or of the main stream.
func (s *Server) serveSnapshot(w http.ResponseWriter, r *http.Request, d *device) {
	if s.o.User != "" {
		if err := s.checkDigest(r); err != nil {
			s.challenge(w, err == errStale)
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
	}
	stream := 0
	if token := r.FormValue("profile"); token != "" {
		stream = -1
		for i, x := range d.camera.Streams() {
			if x.Name == token {
				stream = i
			}
		}
	}
	if stream < 0 {
		http.Error(w, "no such profile", http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	img, err := d.camera.Image(stream)
	if err == nil {
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: snapshotQuality})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.Write(b.Bytes()) // fails only when the client has left
}
