package camsim

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strings"
	"testing"
)

// The examples of RFC 7616 section 3.9.1 and RFC 2617 section 3.5, computed with their own realm.
func TestDigestOfTheStandards(t *testing.T) {
	h := func(f func() hash.Hash, parts ...string) string {
		x := f()
		x.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(x.Sum(nil))
	}
	for _, test := range []struct {
		f                             func() hash.Hash
		realm, password, nonce, nc    string
		cnonce, method, uri, response string
	}{
		{md5.New, "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "00000001", "0a4f113b", "GET", "/dir/index.html",
			"6629fae49393a05397450978507c4ef1"},
		{sha256.New, "http-auth@example.org", "Circle of Life", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
			"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "GET", "/dir/index.html",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
	} {
		ha1 := h(test.f, "Mufasa", test.realm, test.password)
		ha2 := h(test.f, test.method, test.uri)
		if got := h(test.f, ha1, test.nonce, test.nc, test.cnonce, "auth", ha2); got != test.response {
			t.Fatalf("the test's own digest is wrong: %s", got)
		}
	}
	credentials := respond(t, `Digest realm="camsim", nonce="abc", algorithm=SHA-256, qop="auth"`, "DESCRIBE", "rtsp://h/cam0", "u", "p")
	if v := authorise(credentials, "DESCRIBE", "rtsp://h/cam0", "u", "p", []string{AuthSHA256}, "abc"); v != granted {
		t.Errorf("verdict %v", v)
	}
}

var parameter = regexp.MustCompile(`(\w+)="?([^",]+)"?`)

// respond computes the Authorization value for a challenge, by the standards and not by the server's code.
func respond(t *testing.T, challenge, method, uri, user, password string) string {
	t.Helper()
	if strings.HasPrefix(challenge, "Basic") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	p := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(challenge, -1) {
		p[m[1]] = m[2]
	}
	f := md5.New
	if p["algorithm"] == "SHA-256" {
		f = sha256.New
	}
	h := func(s string) string {
		x := f()
		x.Write([]byte(s))
		return hex.EncodeToString(x.Sum(nil))
	}
	ha1, ha2 := h(user+":"+p["realm"]+":"+password), h(method+":"+uri)
	v := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, user, p["realm"], p["nonce"], uri)
	if p["algorithm"] != "" {
		v += ", algorithm=" + p["algorithm"]
	}
	if p["qop"] == "" {
		return v + fmt.Sprintf(`, response="%s"`, h(ha1+":"+p["nonce"]+":"+ha2))
	}
	return v + fmt.Sprintf(`, qop=auth, nc=00000001, cnonce="xyz", response="%s"`, h(ha1+":"+p["nonce"]+":00000001:xyz:auth:"+ha2))
}

// login sends a request, answers the first challenge whose text contains want, and returns the second answer.
func login(t *testing.T, c *client, want, password string) *answer {
	t.Helper()
	a := c.want(401, "DESCRIBE", c.url)
	for _, challenge := range a.header["www-authenticate"] {
		if strings.Contains(challenge, want) {
			return c.do("DESCRIBE", c.url, "Authorization: "+respond(t, challenge, "DESCRIBE", c.url, "user", password))
		}
	}
	t.Fatalf("no challenge with %q in %q", want, a.header["www-authenticate"])
	return nil
}

func guarded(auth ...string) Options {
	o := small()
	o.User, o.Password, o.Auth = "user", `pa"ss:word`, auth
	return o
}

func TestAuthentication(t *testing.T) {
	for _, test := range []struct {
		scheme, challenge string
	}{{AuthBasic, "Basic"}, {AuthMD5, "algorithm=MD5, qop"}, {AuthMD5NoQop, "Digest"}, {AuthSHA256, "SHA-256"}} {
		t.Run(test.scheme, func(t *testing.T) {
			bubble(t, guarded(test.scheme), false, func(t *testing.T, srv *Server, c *client) {
				c.want(200, "OPTIONS", c.url)
				if a := login(t, c, test.challenge, `pa"ss:word`); a.status != 200 {
					t.Errorf("right password: %d", a.status)
				}
				if a := login(t, c, test.challenge, "wrong"); a.status != 401 {
					t.Errorf("wrong password: %d", a.status)
				}
				c.want(401, "SETUP", c.url+"/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1")
				c.want(401, "DESCRIBE", c.url, "Authorization: Bearer x")
			})
		})
	}
}

func testPassword(t *testing.T) {
	bubble(t, guarded(), false, func(t *testing.T, srv *Server, c *client) {
		if a := login(t, c, "Digest", `pa"ss:word`); a.status != 200 {
			t.Errorf("before: %d", a.status)
		}
		set(t, srv, Password, "other")
		if a := login(t, c, "Digest", `pa"ss:word`); a.status != 401 {
			t.Errorf("old password: %d", a.status)
		}
		if a := login(t, c, "Digest", "other"); a.status != 200 {
			t.Errorf("new password: %d", a.status)
		}
	})
}

func testNonce(t *testing.T) {
	bubble(t, guarded(AuthMD5), false, func(t *testing.T, srv *Server, c *client) {
		set(t, srv, Nonce, "2")
		challenge := c.want(401, "DESCRIBE", c.url).get("WWW-Authenticate")
		granted := "Authorization: " + respond(t, challenge, "DESCRIBE", c.url, "user", `pa"ss:word`)
		c.want(200, "DESCRIBE", c.url, granted)
		c.want(200, "DESCRIBE", c.url, granted)
		a := c.want(401, "DESCRIBE", c.url, granted)
		fresh := a.get("WWW-Authenticate")
		if !strings.Contains(fresh, "stale=true") || fresh == challenge {
			t.Errorf("challenge %q after %q", fresh, challenge)
		}
		c.want(200, "DESCRIBE", c.url, "Authorization: "+respond(t, fresh, "DESCRIBE", c.url, "user", `pa"ss:word`))
		// At once, for a connection that plays.
		set(t, srv, Nonce, "off")
		headers := func(method, url string) string {
			return "Authorization: " + respond(t, fresh, method, url, "user", `pa"ss:word`)
		}
		url := c.url + "/trackID=0"
		c.session = c.want(200, "SETUP", url, "Transport: RTP/AVP/TCP;interleaved=0-1", headers("SETUP", url)).get("Session")
		c.session, _, _ = strings.Cut(c.session, ";")
		c.want(200, "PLAY", c.url, headers("PLAY", c.url))
		set(t, srv, Nonce, "")
		if a := c.want(401, "GET_PARAMETER", c.url, headers("GET_PARAMETER", c.url)); !strings.Contains(a.get("WWW-Authenticate"), "stale=true") {
			t.Errorf("challenge %q", a.get("WWW-Authenticate"))
		}
	})
}

func testAuthKind(t *testing.T) {
	bubble(t, guarded(AuthMD5), false, func(t *testing.T, srv *Server, c *client) {
		set(t, srv, AuthKind, "sha-256+basic")
		a := c.want(401, "DESCRIBE", c.url)
		all := strings.Join(a.header["www-authenticate"], "|")
		if !strings.Contains(all, "SHA-256") || !strings.Contains(all, "|Basic") || strings.Contains(all, "MD5") {
			t.Errorf("challenges %q", all)
		}
		if a := login(t, c, "SHA-256", `pa"ss:word`); a.status != 200 {
			t.Errorf("status %d", a.status)
		}
	})
}

func TestParseParameters(t *testing.T) {
	got := parseParameters(`username="a\"b", realm=camsim , nc=00000001,uri="rtsp://h/x?a=1,2", response=" spaced "`)
	want := map[string]string{"username": `a"b`, "realm": "camsim", "nc": "00000001", "uri": "rtsp://h/x?a=1,2", "response": " spaced "}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
}
