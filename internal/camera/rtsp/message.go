package rtsp

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The bounds of a control message. The largest descriptions seen have 8 KB.
const (
	maxHeader = 32 << 10
	maxBody   = 64 << 10
)

// header is one line of a message's head.
type header struct {
	name, value string
}

// message is a request or a response (RFC 2326 sections 6 and 7).
type message struct {
	request bool
	method  string // of a request
	uri     string // of a request
	status  int    // of a response
	reason  string // of a response
	headers []header
	body    []byte
}

// get returns the value of the first header called name, without surrounding blanks; "" when there is none.
func (m *message) get(name string) string {
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// all returns the values of all headers called name.
func (m *message) all(name string) (values []string) {
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			values = append(values, h.value)
		}
	}
	return values
}

// cseq returns the sequence number; cameras leave it out or put blanks behind it (Longse).
func (m *message) cseq() (int, bool) {
	n, err := strconv.Atoi(m.get("CSeq"))
	return n, err == nil
}

func (m *message) String() string {
	if m.request {
		return m.method + " " + redact(m.uri)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", m.status, m.reason))
}

var errNotRTSP = errors.New("the answer is no RTSP message")

// parseMessage reads the message at the beginning of b and returns how long it is; 0 when more bytes are needed.
func parseMessage(b []byte) (*message, int, error) {
	head, n := splitHead(b)
	if n == 0 {
		if len(b) > maxHeader {
			return nil, 0, fmt.Errorf("the head of a message is longer than %d bytes", maxHeader)
		}
		return nil, 0, nil
	}
	first, rest, _ := strings.Cut(string(head), "\n")
	m, err := parseFirstLine(strings.TrimSpace(first))
	if err != nil {
		return nil, 0, err
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if last := len(m.headers) - 1; last >= 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			m.headers[last].value += " " + strings.TrimSpace(line)
			continue
		}
		// Lines without a colon are passed over.
		if name, value, ok := strings.Cut(line, ":"); ok {
			m.headers = append(m.headers, header{strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
	length := m.get("Content-Length")
	if length == "" {
		return m, n, nil
	}
	size, err := strconv.Atoi(length)
	if err != nil || size < 0 || size > maxBody {
		return nil, 0, fmt.Errorf("content length %q", length)
	}
	if len(b)-n < size {
		return nil, 0, nil
	}
	m.body = bytes.Clone(b[n : n+size])
	return m, n + size, nil
}

// splitHead finds the empty line. Lines end with CR LF, or with LF alone.
func splitHead(b []byte) (head []byte, length int) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return nil, 0
		}
		at += i + 1
		if bytes.HasPrefix(b[at:], []byte("\r\n")) {
			return b[:at], at + 2
		}
		if bytes.HasPrefix(b[at:], []byte("\n")) {
			return b[:at], at + 1
		}
	}
}

func parseFirstLine(line string) (*message, error) {
	if rest, ok := strings.CutPrefix(line, "RTSP/"); ok {
		_, rest, _ = strings.Cut(rest, " ")
		code, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		status, err := strconv.Atoi(code)
		if err != nil || status < 100 || status > 999 {
			return nil, fmt.Errorf("%w: status %q", errNotRTSP, code)
		}
		return &message{status: status, reason: strings.TrimSpace(reason)}, nil
	}
	fields := strings.Fields(line)
	if len(fields) == 3 && strings.HasPrefix(fields[2], "RTSP/") && isMethod(fields[0]) {
		return &message{request: true, method: fields[0], uri: fields[1]}, nil
	}
	if strings.HasPrefix(line, "HTTP/") {
		return nil, fmt.Errorf("%w: it is HTTP", errNotRTSP)
	}
	return nil, errNotRTSP
}

func isMethod(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	return s != ""
}

// appendRequest writes a request's head.
func appendRequest(dst []byte, method, uri string, cseq int, headers []header) []byte {
	dst = fmt.Appendf(dst, "%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, uri, cseq)
	for _, h := range headers {
		dst = fmt.Appendf(dst, "%s: %s\r\n", h.name, h.value)
	}
	return append(dst, "User-Agent: Nightjar\r\n\r\n"...)
}

// appendResponse writes an answer to a camera's own request.
func appendResponse(dst []byte, status int, reason, cseq string) []byte {
	return fmt.Appendf(dst, "RTSP/1.0 %d %s\r\nCSeq: %s\r\n\r\n", status, reason, cseq)
}
