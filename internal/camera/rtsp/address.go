package rtsp

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"nightjar/internal/sys/secret"
)

// address is where a stream is to be had: a URL taken apart, credentials apart from the rest.
type address struct {
	tls      bool
	host     string // host name or address, without port
	dial     string // host:port
	uri      string // what requests name: the URL as it was given, without credentials
	user     string // from the URL
	password secret.String
	hasUser  bool
}

// parseAddress reads an rtsp:// or rtsps:// URL. Path and query are kept letter by letter: cameras compare them so.
func parseAddress(raw string) (address, error) {
	raw = strings.TrimSpace(raw)
	scheme, rest, ok := strings.Cut(raw, "://")
	a := address{}
	port := "554"
	switch {
	case ok && strings.EqualFold(scheme, "rtsp"):
		scheme = "rtsp"
	case ok && (strings.EqualFold(scheme, "rtsps")):
		scheme, a.tls, port = "rtsps", true, "322"
	default:
		return a, errors.New("the URL does not begin with rtsp:// or rtsps://")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		a.user, a.password, a.hasUser = unescape(user), secret.New(unescape(password)), true
		authority = authority[i+1:]
	}
	a.host = authority
	if h, p, err := net.SplitHostPort(authority); err == nil {
		a.host = h
		if p != "" {
			port = p
		}
	}
	a.host = strings.TrimSuffix(strings.TrimPrefix(a.host, "["), "]")
	if a.host == "" || strings.ContainsAny(a.host, " \t\r\n") || strings.ContainsAny(path, "\r\n") {
		return a, errors.New("the URL has no host, or blanks in it")
	}
	if n := len(port); n > 5 || strings.Trim(port, "0123456789") != "" {
		// What stands there may be the beginning of a password with a slash in it.
		return a, errors.New("the URL's port is no number; a slash, a question mark or an @ in a password is written %2F, %3F or %40")
	}
	a.dial = net.JoinHostPort(a.host, port)
	a.uri = scheme + "://" + authority + strings.ReplaceAll(path, " ", "%20")
	return a, nil
}

func unescape(s string) string {
	if t, err := url.PathUnescape(s); err == nil {
		return t
	}
	return s
}

// sameHost tells whether b may be told what a's camera was told.
func (a *address) sameHost(b *address) bool { return strings.EqualFold(a.host, b.host) }

// redact takes passwords out of the URLs in a text: those in front of a host and those that some cameras want in the path.
func redact(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		if strings.Contains(w, "://") {
			words[i] = secret.RedactURL(w)
		}
	}
	return strings.Join(words, " ")
}

// joinControl resolves a control attribute (RFC 2326 section C.1.1) as cameras mean it: what is not absolute is appended to
// the base with a slash between them, even where the rules for URLs would replace a part.
func joinControl(base, control string) string {
	control = strings.TrimSpace(control)
	if control == "" || control == "*" {
		return base
	}
	if lower := strings.ToLower(control); strings.HasPrefix(lower, "rtsp://") || strings.HasPrefix(lower, "rtsps://") {
		return control
	}
	slash := strings.HasSuffix(base, "/")
	switch {
	case control[0] == '?':
		return base + control
	case control[0] == '/':
		return strings.TrimSuffix(base, "/") + control
	case slash:
		return base + control
	}
	return base + "/" + control
}

// baseURL finds what control attributes are relative to: Content-Base, Content-Location, or the URL that was described
// (RFC 2326 section C.1.1). Anjvision leaves the scheme out.
func baseURL(m *message, described string) string {
	for _, name := range []string{"Content-Base", "Content-Location"} {
		v := m.get(name)
		if v == "" {
			continue
		}
		if strings.HasPrefix(strings.ToLower(v), "rtsp") && strings.Contains(v, "://") {
			return v
		}
		scheme, _, _ := strings.Cut(described, "://")
		if host, _, _ := strings.Cut(v, "/"); host != "" && strings.ContainsAny(host, ".:") {
			return scheme + "://" + v
		}
	}
	return described
}
