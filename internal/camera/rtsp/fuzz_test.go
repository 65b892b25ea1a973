package rtsp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/sys/secret"
)

// seedFiles adds the files of the shared test data, where they are.
func seedFiles(f *testing.F, dirs ...string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join("..", "..", "..", "..", "shared", "testdata", dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "testdata", dir, e.Name())); err == nil && len(b) < 8192 {
				f.Add(b)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	seedFiles(f, "rtsp/retina")
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2\r\n\r\nab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := parseMessage(b)
		if err != nil || n == 0 {
			return
		}
		if n > len(b) || m == nil {
			t.Fatalf("length %d of %d", n, len(b))
		}
		// Written again, the message reads the same.
		var again []byte
		if m.request {
			again = fmt.Appendf(nil, "%s %s RTSP/1.0\r\n", m.method, m.uri)
		} else {
			again = fmt.Appendf(nil, "RTSP/1.0 %d %s\r\n", m.status, m.reason)
		}
		for _, h := range m.headers {
			again = fmt.Appendf(again, "%s:%s\r\n", h.name, h.value)
		}
		again = fmt.Appendf(again, "\r\n%s", m.body)
		m2, n2, err := parseMessage(again)
		if err != nil || n2 != len(again) || m2.String() != m.String() || len(m2.headers) != len(m.headers) || !bytes.Equal(m2.body, m.body) {
			t.Errorf("%q came back as %+v, %d of %d, %v", b, m2, n2, len(again), err)
		}
	})
}

// FuzzInterleaved reads the same bytes in chunks of different sizes: what comes out must not depend on them.
func FuzzInterleaved(f *testing.F) {
	f.Add([]byte(framed(0, "ab")+"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"+framed(1, "c")), uint8(3))
	f.Add([]byte("junk"+framed(0, "ab")+"\r\n"+framed(9, "x")), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		read := func(chunks [][]byte) string {
			c := newConn(&feed{chunks: chunks}, time.Now)
			c.known = func(channel byte) bool { return channel < 4 }
			got, err := items(c)
			return fmt.Sprintf("%q %v", got, err != nil)
		}
		var chunks [][]byte
		for rest := b; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			chunks = append(chunks, rest[:n:n])
			rest = rest[n:]
		}
		if len(b) == 0 {
			return
		}
		if whole, parts := read([][]byte{b}), read(chunks); whole != parts {
			t.Errorf("whole %s, in parts of %d %s", whole, size+1, parts)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="a, \"b\"", nonce="n", qop="auth,auth-int", algorithm=SHA-256-sess, Basic realm="b"`)
	f.Add(`Digest "`)
	f.Fuzz(func(t *testing.T, s string) {
		offers := parseChallenges([]string{s})
		c := newCredentials("u", secret.New("p"), noScheme)
		for range 4 {
			if !c.answer(offers, false) {
				return
			}
			if h := c.header("DESCRIBE", "rtsp://h"); strings.ContainsAny(h, "\r\n") && !strings.ContainsAny(c.current.algorithm, "\r\n") {
				t.Errorf("a line end in %q", h)
			}
		}
		t.Error("more schemes than there are")
	})
}

func FuzzTransport(f *testing.F) {
	f.Add("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=30A98EE7;server_port=1-2", "636451;timeout=60")
	f.Fuzz(func(t *testing.T, s, session string) {
		got := parseTransport(s)
		if got.channels && parseTransport(fmt.Sprintf("RTP/AVP/TCP;interleaved=%d-%d", got.interleaved[0], got.interleaved[1])).interleaved != got.interleaved {
			t.Errorf("%+v", got)
		}
		if _, timeout := parseSession(session); timeout <= 0 {
			t.Errorf("timeout %v", timeout)
		}
		parseDate(session)
		clockRange(session)
	})
}

func FuzzRTPInfo(f *testing.F) {
	f.Add("url=trackID=0;seq=47121;rtptime=3475222385,url=trackID=1;seq=45186;rtptime=2234446919;ssrc=9fc9fff8")
	f.Fuzz(func(t *testing.T, s string) {
		for _, i := range parseRTPInfo(s) {
			_ = controlMatches(i.url, s) // must not panic
		}
	})
}

func FuzzDescription(f *testing.F) {
	seedFiles(f, "sdp", "rtsp/retina")
	f.Add([]byte(fakeSDP))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescription(b)
		if err != nil {
			return
		}
		p, err := choose(d, true, true)
		if err != nil {
			if err.Error() == "" {
				t.Error("no reason")
			}
			return
		}
		for _, x := range []*format{p.video, p.audio, p.metadata} {
			if x != nil && (x.open() == nil || x.rate == 0) {
				t.Errorf("%+v", x)
			}
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add("rtsp://u:p@host:554/path?query", "trackID=1")
	f.Fuzz(func(t *testing.T, s, control string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.uri, "\r\n ") {
			t.Errorf("%q", a.uri)
		}
		_ = joinControl(a.uri, control) // must not panic
		b, err := parseAddress(a.uri)
		if err != nil || b.dial != a.dial || b.uri != a.uri || b.tls != a.tls {
			t.Errorf("%q became %q, then %+v, %v", s, a.uri, b, err)
		}
	})
}
