package rtsp

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"nightjar/internal/sys/secret"
)

// scheme is a way to prove who we are, in the order of preference.
type scheme uint8

const (
	digestSHA256 scheme = iota
	digestMD5
	basic
	noScheme
)

func (s scheme) String() string {
	return [...]string{"Digest SHA-256", "Digest MD5", "Basic", "none"}[s]
}

// challenge is one offer of a WWW-Authenticate header (RFC 7616 section 3.3, RFC 7617 section 2).
type challenge struct {
	scheme    scheme
	realm     string
	nonce     string
	opaque    string
	hasOpaque bool
	algorithm string // as offered; "" when it was not
	session   bool   // the -sess variant
	qop       bool   // qop=auth is offered
	stale     bool
}

// parseChallenges reads WWW-Authenticate headers; a header may hold several challenges. What is not known is left out.
func parseChallenges(values []string) (out []challenge) {
	for _, v := range values {
		for len(v) > 0 {
			var name string
			var params map[string]string
			name, params, v = nextChallenge(v)
			if c, ok := newChallenge(name, params); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// nextChallenge takes "Scheme a=b, c="d"" off s, up to the next scheme.
func nextChallenge(s string) (name string, params map[string]string, rest string) {
	s = strings.TrimLeft(s, " \t,")
	name, s = cutWord(s)
	params = map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		key, after := cutWord(s)
		after = strings.TrimLeft(after, " \t")
		if key == "" {
			if s != "" {
				s = s[1:] // a character that belongs nowhere
				continue
			}
			return name, params, ""
		}
		if !strings.HasPrefix(after, "=") {
			return name, params, s // the next scheme
		}
		var value string
		value, s = cutValue(strings.TrimLeft(after[1:], " \t"))
		params[strings.ToLower(key)] = value
	}
}

func cutWord(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t,=\"")
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// cutValue takes a token or a quoted string off s.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ",")
		if i < 0 {
			return strings.TrimSpace(s), ""
		}
		return strings.TrimSpace(s[:i]), s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

func newChallenge(name string, p map[string]string) (challenge, bool) {
	c := challenge{realm: p["realm"]}
	switch strings.ToLower(name) {
	case "basic":
		c.scheme = basic
		return c, true
	case "digest":
	default:
		return c, false
	}
	c.nonce, c.algorithm = p["nonce"], p["algorithm"]
	c.opaque, c.hasOpaque = p["opaque"], p["opaque"] != ""
	c.stale = strings.EqualFold(p["stale"], "true")
	algorithm := strings.ToUpper(c.algorithm)
	algorithm, c.session = strings.CutSuffix(algorithm, "-SESS")
	switch algorithm {
	case "", "MD5":
		c.scheme = digestMD5
	case "SHA-256", "SHA256":
		c.scheme = digestSHA256
	default:
		return c, false
	}
	for q := range strings.SplitSeq(p["qop"], ",") {
		c.qop = c.qop || strings.EqualFold(strings.TrimSpace(q), "auth")
	}
	return c, c.nonce != ""
}

// credentials proves who we are to one camera, for one RTSP session. Owned by the session.
type credentials struct {
	user     string
	password secret.String
	cnonce   func() string // a fresh random string; tests replace it

	current challenge
	chosen  bool
	proven  bool   // current was accepted at least once
	count   uint32 // uses of the current nonce
	refused [noScheme]bool
}

func newCredentials(user string, password secret.String, preferred scheme) *credentials {
	c := &credentials{user: user, password: password, cnonce: rand.Text}
	// What was refused by this camera before is not tried again first: some lock out after few failures.
	for s := range min(preferred, noScheme-1) {
		if preferred != noScheme {
			c.refused[s] = true
		}
	}
	return c
}

// accepted notes that a request was not refused.
func (c *credentials) accepted() {
	if c.chosen {
		c.proven = true
	}
}

// answer chooses what to do about a 401: false when nothing is left to try. A nonce that grew old, or changed after it
// had been accepted, is simply replaced; otherwise what was tried is refused and the next scheme gets its turn.
func (c *credentials) answer(offers []challenge, again bool) bool {
	if c.user == "" {
		return false
	}
	if c.chosen {
		for _, o := range offers {
			renewed := o.scheme == c.current.scheme && (o.stale || c.proven)
			if renewed && !again {
				c.take(o)
				return true
			}
		}
		c.refused[c.current.scheme] = true
		c.proven = false
	}
	best := noScheme
	var offer challenge
	for _, o := range offers {
		if o.scheme < best && !c.refused[o.scheme] {
			best, offer = o.scheme, o
		}
	}
	if best == noScheme {
		return false
	}
	c.take(offer)
	return true
}

func (c *credentials) take(o challenge) {
	c.current, c.chosen, c.count = o, true, 0
}

// header returns the Authorization header of a request; "" as long as the camera asked for none.
func (c *credentials) header(method, uri string) string {
	if !c.chosen {
		return ""
	}
	if c.current.scheme == basic {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password.Reveal()))
	}
	c.count++
	return c.digest(method, uri)
}

// digest computes the Authorization header of RFC 7616 section 3.4; without qop that of RFC 2617 section 3.2.2.1.
func (c *credentials) digest(method, uri string) string {
	o := &c.current
	sum := md5.New
	if o.scheme == digestSHA256 {
		sum = sha256.New
	}
	var cnonce string
	if o.qop || o.session {
		cnonce = c.cnonce()
	}
	a1 := hexSum(sum, c.user, o.realm, c.password.Reveal())
	if o.session {
		a1 = hexSum(sum, a1, o.nonce, cnonce)
	}
	a2 := hexSum(sum, method, uri)
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s", realm="%s", nonce="%s", uri="%s"`, quote(c.user), quote(o.realm), quote(o.nonce), quote(uri))
	if o.qop {
		nc := fmt.Sprintf("%08x", c.count)
		fmt.Fprintf(&b, `, response="%s", qop=auth, nc=%s, cnonce="%s"`, hexSum(sum, a1, o.nonce, nc, cnonce, "auth", a2), nc, cnonce)
	} else {
		fmt.Fprintf(&b, `, response="%s"`, hexSum(sum, a1, o.nonce, a2))
		if o.session {
			fmt.Fprintf(&b, `, cnonce="%s"`, cnonce)
		}
	}
	if o.algorithm != "" {
		fmt.Fprintf(&b, `, algorithm=%s`, o.algorithm)
	}
	if o.hasOpaque {
		fmt.Fprintf(&b, `, opaque="%s"`, quote(o.opaque))
	}
	return b.String()
}

func hexSum(sum func() hash.Hash, parts ...string) string {
	h := sum()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// quote escapes what would end a quoted string or a line.
func quote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s)
}
