package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightjar/internal/media/virtual"
)

// Content is a virtual file with what its answer says about it.
type Content struct {
	File        *virtual.File
	ETag        string // strong, with its quotes
	Type        string
	Disposition string        // Content-Disposition; may be empty
	Stall       time.Duration // how long the client may take for 1 MiB
}

// serve answers a GET or HEAD request. An error with whole set came before anything was written; else the body is cut
// short and the connection must not be used again.
func (c *Content) serve(w http.ResponseWriter, r *http.Request) (err error, whole bool) {
	if code := c.precondition(r); code != 0 {
		c.headers(w.Header())
		w.Header().Del("Content-Type")
		w.Header().Del("Content-Disposition")
		w.WriteHeader(code)
		return nil, true
	}
	size := c.File.Size()
	ranges, ok := c.ranges(r, size)
	if !ok {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil, true
	}
	p := &pacer{w: w, control: http.NewResponseController(w), stall: c.Stall}
	switch len(ranges) {
	case 0:
		p.begin = func() { c.start(w, http.StatusOK, c.Type, size) }
		if r.Method == http.MethodHead {
			p.begin()
			return nil, true
		}
		ranges = []byteRange{{0, size}}
	case 1:
		p.begin = func() {
			w.Header().Set("Content-Range", ranges[0].contentRange(size))
			c.start(w, http.StatusPartialContent, c.Type, ranges[0].length())
		}
	default:
		return c.multipart(r.Context(), p, ranges, size)
	}
	err = c.File.WriteRange(r.Context(), p, ranges[0].start, ranges[0].length())
	if err == nil {
		p.started() // of an empty file nothing was written
	}
	p.rest()
	return err, p.begin != nil
}

func (c *Content) headers(h http.Header) {
	h.Set("ETag", c.ETag)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", c.Type)
	if c.Disposition != "" {
		h.Set("Content-Disposition", c.Disposition)
	}
}

func (c *Content) start(w http.ResponseWriter, code int, kind string, length int64) {
	c.headers(w.Header())
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(code)
}

// boundary parts the ranges of a multipart answer. It is the same each time, so that equal requests have equal answers;
// by its length it does not occur in the parts' headers, and receivers go by those, not by searching the data.
const boundary = "nightjar-range-7f3c19a2d4e85b60"

// multipart answers with several ranges (RFC 9110 section 14.6).
func (c *Content) multipart(ctx context.Context, p *pacer, ranges []byteRange, size int64) (err error, whole bool) {
	head := func(r byteRange) string {
		return fmt.Sprintf("\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n", boundary, c.Type, r.contentRange(size))
	}
	const tail = "\r\n--" + boundary + "--\r\n"
	total := int64(len(tail))
	for _, r := range ranges {
		total += int64(len(head(r))) + r.length()
	}
	p.begin = func() { c.start(p.w, http.StatusPartialContent, "multipart/byteranges; boundary="+boundary, total) }
	defer p.rest()
	for i, r := range ranges {
		p.pending = head(r)
		if err := c.File.WriteRange(ctx, p, r.start, r.length()); err != nil {
			return fmt.Errorf("range %d: %w", i, err), p.begin != nil
		}
	}
	_, err = io.WriteString(p, tail)
	return err, false
}

// precondition returns the status that a precondition asks for (RFC 9110 section 13.2.2), or 0.
func (c *Content) precondition(r *http.Request) int {
	if m := r.Header.Get("If-Match"); m != "" && !matches(m, c.ETag, false) {
		return http.StatusPreconditionFailed
	}
	if m := r.Header.Get("If-None-Match"); m != "" && matches(m, c.ETag, true) {
		return http.StatusNotModified
	}
	return 0
}

// matches looks for etag in a list of entity tags. A weak comparison takes no notice of the mark of weakness.
func matches(list, etag string, weak bool) bool {
	for rest := list; rest != ""; {
		rest = strings.TrimLeft(rest, " \t,")
		if strings.HasPrefix(rest, "*") {
			return true
		}
		isWeak := strings.HasPrefix(rest, "W/")
		tag := strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(tag, `"`) {
			return false
		}
		end := strings.IndexByte(tag[1:], '"')
		if end < 0 {
			return false
		}
		if tag[:end+2] == etag && (weak || !isWeak) {
			return true
		}
		rest = tag[end+2:]
	}
	return false
}

// pacer is the writer of a body: it begins the answer with the first byte, and gives the client a time for each piece.
type pacer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	begin   func() // writes the header; nil once it did
	pending string // to be written before the next byte
}

// started writes the header if that was not done yet.
func (p *pacer) started() {
	if p.begin != nil {
		p.begin()
		p.begin = nil
	}
}

// ready prepares for the next piece.
func (p *pacer) ready() error {
	p.started()
	// Not every ResponseWriter has deadlines; without, the server's own timeout holds.
	if err := p.control.SetWriteDeadline(time.Now().Add(p.stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if p.pending != "" {
		text := p.pending
		p.pending = ""
		_, err := io.WriteString(p.w, text)
		return err
	}
	return nil
}

func (p *pacer) Write(b []byte) (int, error) {
	if err := p.ready(); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// ReadFrom hands a source's range to the connection, if there is a way, or copies it.
func (p *pacer) ReadFrom(r io.Reader) (int64, error) {
	if err := p.ready(); err != nil {
		return 0, err
	}
	if to, ok := p.w.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{p.w}, r)
}

// rest takes the deadline away again, for the next request on the connection.
func (p *pacer) rest() { _ = p.control.SetWriteDeadline(time.Time{}) }

// clientGone tells whether sending failed because of the other side.
func clientGone(r *http.Request, err error) bool {
	return r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}
