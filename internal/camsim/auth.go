package camsim

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// realm is the protection space that challenges name.
const realm = "camsim"

// Schemes of Options.Auth and the fault "auth".
const (
	AuthBasic     = "basic"      // RFC 7617
	AuthMD5       = "md5"        // Digest, MD5, qop="auth" (RFC 7616)
	AuthMD5NoQop  = "md5-no-qop" // Digest as in RFC 2069, what most cameras do
	AuthSHA256    = "sha-256"    // Digest, SHA-256, qop="auth"
	digestUnknown = ""
)

func validScheme(s string) bool {
	return s == AuthBasic || s == AuthMD5 || s == AuthMD5NoQop || s == AuthSHA256
}

// challenges returns the WWW-Authenticate values for the schemes, in order.
func challenges(schemes []string, nonce string, stale bool) []string {
	var all []string
	for _, s := range schemes {
		v := fmt.Sprintf("Digest realm=%q, nonce=%q", realm, nonce)
		switch s {
		case AuthBasic:
			all = append(all, fmt.Sprintf("Basic realm=%q", realm))
			continue
		case AuthSHA256:
			v += `, algorithm=SHA-256, qop="auth"`
		case AuthMD5:
			v += `, algorithm=MD5, qop="auth"`
		}
		if stale {
			v += ", stale=true"
		}
		all = append(all, v)
	}
	return all
}

// verdict is what an Authorization header came to.
type verdict int

const (
	denied verdict = iota
	stale          // right password, old nonce
	granted
)

// authorise checks the Authorization header of a request.
func authorise(value, method, uri, user, password string, schemes []string, nonce string) verdict {
	scheme, rest, _ := strings.Cut(value, " ")
	switch strings.ToLower(scheme) {
	case "basic":
		want := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		if offered(schemes, AuthBasic) && same(strings.TrimSpace(rest), want) {
			return granted
		}
	case "digest":
		return digest(parseParameters(rest), method, uri, user, password, schemes, nonce)
	}
	return denied
}

func offered(schemes []string, s string) bool {
	for _, o := range schemes {
		if o == s {
			return true
		}
	}
	return false
}

// digest checks a Digest response (RFC 7616 section 3.4; without qop RFC 2069).
func digest(p map[string]string, method, uri, user, password string, schemes []string, nonce string) verdict {
	scheme := digestScheme(p)
	if !offered(schemes, scheme) || p["username"] != user || p["realm"] != realm || p["uri"] != uri {
		return denied
	}
	newHash := md5.New
	if scheme == AuthSHA256 {
		newHash = sha256.New
	}
	ha1 := hexHash(newHash, user+":"+realm+":"+password)
	ha2 := hexHash(newHash, method+":"+p["uri"])
	want := hexHash(newHash, ha1+":"+p["nonce"]+":"+ha2)
	if p["qop"] != "" {
		want = hexHash(newHash, strings.Join([]string{ha1, p["nonce"], p["nc"], p["cnonce"], p["qop"], ha2}, ":"))
	}
	switch {
	case !same(strings.ToLower(p["response"]), want):
		return denied
	case p["nonce"] != nonce:
		return stale
	}
	return granted
}

// digestScheme tells which of our schemes a Digest response answers.
func digestScheme(p map[string]string) string {
	switch strings.ToUpper(p["algorithm"]) {
	case "SHA-256":
		if p["qop"] == "auth" {
			return AuthSHA256
		}
	case "", "MD5":
		switch p["qop"] {
		case "auth":
			return AuthMD5
		case "":
			return AuthMD5NoQop
		}
	}
	return digestUnknown
}

func hexHash(h func() hash.Hash, s string) string {
	x := h()
	x.Write([]byte(s))
	return hex.EncodeToString(x.Sum(nil))
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// parseParameters reads name=value pairs separated by commas; values may be quoted strings.
func parseParameters(s string) map[string]string {
	p := map[string]string{}
	for {
		s = strings.TrimLeft(s, ", \t")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return p
		}
		name = strings.ToLower(strings.TrimSpace(name))
		rest = strings.TrimLeft(rest, " \t")
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, s = unquote(rest[1:])
		} else {
			value, s, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		if _, dup := p[name]; !dup {
			p[name] = value
		}
	}
}

// unquote reads up to the closing quote and returns the rest behind it.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
