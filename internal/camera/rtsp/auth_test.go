package rtsp

import (
	"fmt"
	"strings"
	"testing"

	"nightjar/internal/sys/secret"
)

// The examples of RFC 7616 section 3.9.1 and RFC 2617 section 3.5, whose messages are GET requests.
func TestDigestExamples(t *testing.T) {
	const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	header := `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%s, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	for algorithm, response := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		c := newCredentials("Mufasa", secret.New("Circle of Life"), noScheme)
		c.cnonce = func() string { return cnonce }
		if !c.answer(parseChallenges([]string{fmt.Sprintf(header, algorithm)}), false) {
			t.Fatal("the challenge was not taken")
		}
		got := c.header("GET", "/dir/index.html")
		for _, want := range []string{
			`response="` + response + `"`, `username="Mufasa"`, `uri="/dir/index.html"`, "nc=00000001", "qop=auth,", "algorithm=" + algorithm,
			`opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`, `cnonce="` + cnonce + `"`,
		} {
			if !strings.Contains(got+",", want) {
				t.Errorf("%s: %s lacks %s", algorithm, got, want)
			}
		}
		if again := c.header("GET", "/dir/index.html"); !strings.Contains(again, "nc=00000002") {
			t.Errorf("the second use of the nonce is %s", again)
		}
	}
	c := newCredentials("Mufasa", secret.New("Circle Of Life"), noScheme)
	c.cnonce = func() string { return "0a4f113b" }
	c.answer(parseChallenges([]string{`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`}), false)
	if got := c.header("GET", "/dir/index.html"); !strings.Contains(got, `response="6629fae49393a05397450978507c4ef1"`) || strings.Contains(got, "algorithm") {
		t.Errorf("RFC 2617: %s", got)
	}
}

// Without qop the response is that of RFC 2069: computed with another implementation for these values.
func TestDigestWithoutQOP(t *testing.T) {
	c := newCredentials("admin", secret.New("12345"), noScheme)
	c.answer(parseChallenges([]string{`Digest realm="IP Camera(C2980)", nonce="c5b2e5ab2d9f1d5bd8b2b9a2a6c9a0ee", stale="FALSE"`}), false)
	got := c.header("DESCRIBE", "rtsp://192.168.1.64:554/Streaming/Channels/101")
	if strings.Contains(got, "qop") || strings.Contains(got, "cnonce") || !strings.Contains(got, `response="5cf1f33ceb86ee8fb183ab5c5c1e8aa5"`) {
		t.Errorf("%s", got)
	}
}

func TestBasic(t *testing.T) {
	c := newCredentials("Aladdin", secret.New("open sesame"), noScheme)
	c.answer(parseChallenges([]string{`Basic realm="foo"`}), false)
	if got := c.header("DESCRIBE", "rtsp://h"); got != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" {
		t.Errorf("%s", got)
	}
}

func TestChallenges(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"two headers":     {[]string{`Digest realm="a", nonce="n"`, `Basic realm="b"`}, "Digest MD5 a n; Basic b "},
		"one header":      {[]string{`Digest realm="a, \"b\"", nonce="n", Basic realm="b"`}, `Digest MD5 a, "b" n; Basic b `},
		"basic first":     {[]string{`Basic realm="b", Digest realm=a,nonce=n`}, "Basic b ; Digest MD5 a n"},
		"SHA-256":         {[]string{`Digest realm="a",nonce="n",algorithm="SHA-256",stale=TRUE,qop="auth"`}, "Digest SHA-256 a n stale qop"},
		"session":         {[]string{`digest realm="a", nonce="n", algorithm=MD5-sess`}, "Digest MD5 a n sess"},
		"auth-int alone":  {[]string{`Digest realm="a", nonce="n", qop="auth-int"`}, "Digest MD5 a n"},
		"no nonce":        {[]string{`Digest realm="a"`}, ""},
		"SHA-512":         {[]string{`Digest realm="a", nonce="n", algorithm=SHA-512-256`}, ""},
		"unknown scheme":  {[]string{`Negotiate`, `Bearer realm="x"`}, ""},
		"nothing":         {[]string{"", ",,", `"`, `Digest "`, "=", "Digest =,=,"}, ""},
		"unclosed quotes": {[]string{`Digest realm="a", nonce="n`}, "Digest MD5 a n"},
		"blanks":          {[]string{` Digest  realm = "a" ,  nonce = "n" `}, "Digest MD5 a n"},
	} {
		var out []string
		for _, ch := range parseChallenges(c.in) {
			s := fmt.Sprintf("%v %s %s", ch.scheme, ch.realm, ch.nonce)
			if ch.stale {
				s += " stale"
			}
			if ch.qop {
				s += " qop"
			}
			if ch.session {
				s += " sess"
			}
			out = append(out, s)
		}
		if got := strings.Join(out, "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSchemesInTurn(t *testing.T) {
	offers := parseChallenges([]string{`Basic realm="r"`, `Digest realm="r", nonce="1"`, `Digest realm="r", nonce="2", algorithm=SHA-256`})
	c := newCredentials("u", secret.New("p"), noScheme)
	for _, want := range []scheme{digestSHA256, digestMD5, basic} {
		if !c.answer(offers, false) || c.current.scheme != want {
			t.Errorf("%v, want %v", c.current.scheme, want)
		}
	}
	if c.answer(offers, false) {
		t.Errorf("a fourth attempt with %v", c.current.scheme)
	}
	// What was accepted is not given up when the nonce changes, but only once for each request.
	c = newCredentials("u", secret.New("p"), digestMD5)
	if !c.answer(offers, false) || c.current.scheme != digestMD5 {
		t.Errorf("began with %v", c.current.scheme)
	}
	c.accepted()
	renewed := parseChallenges([]string{`Digest realm="r", nonce="9"`})
	if !c.answer(renewed, false) || c.current.nonce != "9" {
		t.Errorf("%+v", c.current)
	}
	if c.answer(renewed, true) {
		t.Error("went on after the new nonce was refused too")
	}
	if newCredentials("", secret.String{}, noScheme).answer(offers, false) {
		t.Error("answered without a user name")
	}
}
