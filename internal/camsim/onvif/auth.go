package onvif

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// realm is that of HTTP Digest.
const realm = "camsim"

// passwordDigest is the type of a digested password (UsernameToken Profile 1.0 section 3.1).
const passwordDigest = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"

// Bounds of what is remembered of clients.
const (
	maxTokens   = 4096
	maxNonces   = 256
	nonceMaxAge = 5 * time.Minute
)

// errChallenge asks for HTTP Digest: the request had no credentials, or a nonce that is too old.
var (
	errChallenge = errors.New("no credentials")
	errStale     = errors.New("stale nonce")
)

// authenticate checks who sent a request. A WS-UsernameToken that is wrong is refused even where none is needed.
func (s *Server) authenticate(r *http.Request, req *Request, public bool) error {
	if s.o.User == "" {
		return nil
	}
	if token := req.header("Security").child("UsernameToken"); token != nil {
		return s.checkToken(token, r)
	}
	if public {
		return nil
	}
	return s.checkDigest(r)
}

// checkToken checks a WS-UsernameToken: Base64(SHA-1(nonce + created + password)) (UsernameToken Profile 1.0 section
// 3.1), its time and that its nonce is new. The reasons stand in the fault, as this device has nothing to hide.
func (s *Server) checkToken(token *Node, r *http.Request) error {
	d, _, _ := s.find(r.URL.Path)
	now := d.now()
	text := token.text("Created")
	created, err := parseTime(text)
	if err != nil {
		return notAuthorized("Created " + err.Error())
	}
	nonce, err := base64.StdEncoding.DecodeString(token.text("Nonce"))
	if err != nil || len(nonce) == 0 {
		return notAuthorized("no nonce")
	}
	if kind, _ := token.child("Password").attr("Type"); kind != passwordDigest {
		return notAuthorized("the password must be digested")
	}
	sum := sha1.Sum([]byte(string(nonce) + text + s.o.Password))
	want := base64.StdEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(token.text("Password"))) != 1 || token.text("Username") != s.o.User {
		return notAuthorized("wrong user or password")
	}
	if off := created.Sub(now); off > s.o.Skew || off < -s.o.Skew {
		return notAuthorized(fmt.Sprintf("the token's time %s is %v off the device's", text, off.Round(time.Second)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tokens.add(string(nonce)+"\x00"+text, now, 2*s.o.Skew) {
		return notAuthorized("the nonce was used before")
	}
	return nil
}

// refuse answers a request that was not authenticated: what came without WS-UsernameToken gets a challenge.
func (s *Server) refuse(w http.ResponseWriter, _ *http.Request, c *call, err error) {
	var f *fault
	if !errors.As(err, &f) {
		s.challenge(w, errors.Is(err, errStale))
		f = notAuthorized(err.Error())
		f.status = http.StatusUnauthorized
	}
	_, relates := c.addressing()
	reply(w, "", relates, "", f)
}

// challenge adds the header fields that ask for HTTP Digest, the stronger scheme last as some clients take the last.
func (s *Server) challenge(w http.ResponseWriter, stale bool) {
	var b [16]byte
	rand.Read(b[:]) // never fails
	nonce := hex.EncodeToString(b[:])
	s.mu.Lock()
	s.nonces.add(nonce, time.Now())
	s.mu.Unlock()
	more := ""
	if stale {
		more = ", stale=true"
	}
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Digest realm="%s", qop="auth", nonce="%s", algorithm=%s%s`, realm, nonce, algorithm, more))
	}
}

// checkDigest checks the Authorization header of a request (RFC 7616 section 3.4).
func (s *Server) checkDigest(r *http.Request) error {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return errChallenge
	}
	p := parseParameters(rest)
	hash := digestHash(p["algorithm"])
	if hash == nil || p["realm"] != realm || p["qop"] != "auth" || p["cnonce"] == "" || p["uri"] != r.URL.RequestURI() {
		return fmt.Errorf("digest parameters: %w", errChallenge)
	}
	ha1 := hash(s.o.User + ":" + realm + ":" + s.o.Password)
	ha2 := hash(r.Method + ":" + p["uri"])
	want := hash(strings.Join([]string{ha1, p["nonce"], p["nc"], p["cnonce"], "auth", ha2}, ":"))
	if p["username"] != s.o.User || subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(p["response"]))) != 1 {
		return fmt.Errorf("wrong user or password: %w", errChallenge)
	}
	count, err := strconv.ParseUint(p["nc"], 16, 32)
	if err != nil || len(p["nc"]) != 8 {
		return fmt.Errorf("nonce count %q: %w", p["nc"], errChallenge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.nonces.use(p["nonce"], count, time.Now()) {
		return errStale
	}
	return nil
}

// digestHash returns the hash of an algorithm as lower-case hexadecimal digits; without a name it is MD5.
func digestHash(algorithm string) func(string) string {
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
		return func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	case "SHA-256":
		return func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	}
	return nil
}

// parseParameters reads name=value, name="quoted value" … (RFC 9110 section 11.2). Of what is malformed it returns what
// precedes.
func parseParameters(s string) map[string]string {
	all := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return all
		}
		rest = strings.TrimLeft(rest, " \t")
		var value strings.Builder
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			i := 0
			for ; i < len(quoted) && quoted[i] != '"'; i++ {
				if quoted[i] == '\\' && i+1 < len(quoted) {
					i++
				}
				value.WriteByte(quoted[i])
			}
			if i == len(quoted) {
				return all
			}
			s = quoted[i+1:]
		} else {
			end := strings.IndexAny(rest, ", \t")
			if end < 0 {
				end = len(rest)
			}
			value.WriteString(rest[:end])
			s = rest[end:]
		}
		all[strings.ToLower(strings.TrimSpace(name))] = value.String()
	}
}

// tokenCache remembers the nonces of WS-UsernameTokens as long as their times would be accepted.
type tokenCache struct {
	until map[string]time.Time
	order []string // oldest first
}

// add reports whether the key is new. When full, the oldest is forgotten.
func (t *tokenCache) add(key string, now time.Time, keep time.Duration) bool {
	if t.until == nil {
		t.until = map[string]time.Time{}
	}
	for len(t.order) > 0 && (len(t.order) >= maxTokens || t.until[t.order[0]].Before(now)) {
		delete(t.until, t.order[0])
		t.order = t.order[1:]
	}
	if _, used := t.until[key]; used {
		return false
	}
	t.until[key] = now.Add(keep)
	t.order = append(t.order, key)
	return true
}

// nonceCache holds the nonces that we gave out for HTTP Digest.
type nonceCache struct {
	all   map[string]*nonce
	order []string // oldest first
}

// nonce is one, with the counts that were used: the highest and a bit for each of the 64 below it.
type nonce struct {
	made    time.Time
	highest uint64
	below   uint64
}

func (n *nonceCache) add(value string, now time.Time) {
	if n.all == nil {
		n.all = map[string]*nonce{}
	}
	if len(n.order) == maxNonces {
		delete(n.all, n.order[0])
		n.order = n.order[1:]
	}
	n.all[value] = &nonce{made: now}
	n.order = append(n.order, value)
}

// use reports whether the nonce is ours, young enough, and the count one that it was not used with.
func (n *nonceCache) use(value string, count uint64, now time.Time) bool {
	x := n.all[value]
	if x == nil || now.Sub(x.made) > nonceMaxAge || count == 0 {
		return false
	}
	if count > x.highest {
		x.below = x.below<<(count-x.highest) | 1<<(count-x.highest-1)
		if x.highest == 0 { // there was none to remember
			x.below = 0
		}
		x.highest = count
		return true
	}
	back := x.highest - count
	if back == 0 || back > 64 || x.below>>(back-1)&1 != 0 {
		return false
	}
	x.below |= 1 << (back - 1)
	return true
}
