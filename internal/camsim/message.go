package camsim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of a request. Real ones have a few hundred bytes.
const (
	maxHead    = 16 << 10
	maxHeaders = 64
	maxBody    = 64 << 10
)

// header is one header field, as written.
type header struct{ name, value string }

// request is an RTSP request (RFC 2326 section 6).
type request struct {
	method, uri string
	headers     []header
	body        []byte
}

// get returns the first value of the named header, "" without one.
func (r *request) get(name string) string {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// session returns the session identifier without its parameters (RFC 2326 section 12.37).
func (r *request) session() string {
	id, _, _ := strings.Cut(r.get("Session"), ";")
	return strings.TrimSpace(id)
}

var errHeadTooLong = errors.New("request head exceeds 16 KiB")

// parseRequest reads a request head: request line and header fields, without the empty line that ends it. Lines end in
// CRLF or LF.
func parseRequest(head []byte) (*request, error) {
	lines := bytes.Split(head, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimSuffix(lines[i], []byte("\r"))
	}
	words := strings.Split(string(lines[0]), " ")
	if len(words) != 3 || words[0] == "" || words[1] == "" {
		return nil, fmt.Errorf("request line %q is not METHOD URI VERSION", lines[0])
	}
	if !token(words[0]) {
		return nil, fmt.Errorf("method %q is not a token", words[0])
	}
	if words[2] != "RTSP/1.0" {
		return nil, fmt.Errorf("version %q is not RTSP/1.0", words[2])
	}
	if strings.ContainsFunc(words[1], control) {
		return nil, fmt.Errorf("URI %q contains a control character", words[1])
	}
	r := &request{method: words[0], uri: words[1]}
	for _, line := range lines[1:] {
		if len(line) == 0 {
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok || !token(name) || strings.ContainsFunc(value, control) {
			return nil, fmt.Errorf("header line %q is not NAME: VALUE", line)
		}
		if len(r.headers) == maxHeaders {
			return nil, fmt.Errorf("more than %d header fields", maxHeaders)
		}
		r.headers = append(r.headers, header{name, strings.TrimSpace(value)})
	}
	return r, nil
}

// token reports whether s is a token of RFC 2326 section 15.1.
func token(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return false
		}
	}
	return true
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// append writes the request in wire form.
func (r *request) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "%s %s RTSP/1.0\r\n", r.method, r.uri)
	for _, h := range r.headers {
		dst = fmt.Appendf(dst, "%s: %s\r\n", h.name, h.value)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, r.body...)
}

// incoming is what a client sends: a request, or an interleaved packet (RFC 2326 section 10.12).
type incoming struct {
	request *request
	channel byte
	packet  []byte // valid until the next read
}

// readIncoming reads the next request or interleaved packet. buf is scratch for packets of up to 64 KiB.
func readIncoming(br *bufio.Reader, buf []byte) (incoming, error) {
	for {
		b, err := br.ReadByte()
		if err != nil {
			return incoming{}, err
		}
		switch b {
		case '\r', '\n': // some clients end a body with an empty line
			continue
		case '$':
			return readPacket(br, buf)
		}
		if err := br.UnreadByte(); err != nil {
			return incoming{}, err
		}
		r, err := readRequest(br)
		return incoming{request: r}, err
	}
}

func readPacket(br *bufio.Reader, buf []byte) (incoming, error) {
	var h [3]byte
	if _, err := io.ReadFull(br, h[:]); err != nil {
		return incoming{}, fmt.Errorf("read interleaved header: %w", err)
	}
	n := int(h[1])<<8 | int(h[2])
	if _, err := io.ReadFull(br, buf[:n]); err != nil {
		return incoming{}, fmt.Errorf("read interleaved packet of %d bytes: %w", n, err)
	}
	return incoming{channel: h[0], packet: buf[:n]}, nil
}

func readRequest(br *bufio.Reader) (*request, error) {
	var head []byte
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("read request: %w", err)
		}
		if len(head)+len(line) > maxHead {
			return nil, errHeadTooLong
		}
		if err == nil && len(bytes.TrimRight(line, "\r\n")) == 0 && (len(head) == 0 || head[len(head)-1] == '\n') {
			break
		}
		head = append(head, line...)
	}
	r, err := parseRequest(bytes.TrimSuffix(head, []byte("\n")))
	if err != nil {
		return nil, err
	}
	if v := r.get("Content-Length"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil || n > maxBody {
			return nil, fmt.Errorf("Content-Length %q is not a number up to %d", v, maxBody)
		}
		r.body = make([]byte, n)
		if _, err := io.ReadFull(br, r.body); err != nil {
			return nil, fmt.Errorf("read request body of %d bytes: %w", n, err)
		}
	}
	return r, nil
}

// response is an RTSP response (RFC 2326 section 7).
type response struct {
	status  int
	headers []header
	body    []byte
}

func (r *response) add(name, value string) { r.headers = append(r.headers, header{name, value}) }

// append writes the response in wire form; Content-Length is added where a body needs it.
func (r *response) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "RTSP/1.0 %d %s\r\n", r.status, statusText(r.status))
	length := false
	for _, h := range r.headers {
		dst = fmt.Appendf(dst, "%s: %s\r\n", h.name, h.value)
		length = length || strings.EqualFold(h.name, "Content-Length")
	}
	if len(r.body) > 0 && !length {
		dst = fmt.Appendf(dst, "Content-Length: %d\r\n", len(r.body))
	}
	dst = append(dst, "\r\n"...)
	return append(dst, r.body...)
}

var statusTexts = map[int]string{
	200: "OK", 301: "Moved Permanently", 302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
	404: "Not Found", 405: "Method Not Allowed", 453: "Not Enough Bandwidth", 454: "Session Not Found",
	455: "Method Not Valid in This State", 459: "Aggregate Operation Not Allowed", 461: "Unsupported Transport",
	500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}

func statusText(code int) string {
	if t := statusTexts[code]; t != "" {
		return t
	}
	return "Refused"
}
