package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/mp4/mp4test"
	"nightjar/internal/watch/view"
)

// answer serves one request without a network.
func answer(t testing.TB, f *fake, method, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	err := handler(f, Options{}).View(w, r, garage)
	if n := f.open.Load(); n != 0 {
		t.Errorf("%d sources left open", n)
	}
	return w.Result(), w.Body.Bytes(), err
}

func TestWholeAndRanges(t *testing.T) {
	f := newFake(t, 3, 1000)
	resp, all, err := answer(t, f, "GET", whole(f))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, err)
	}
	parsed, err := mp4test.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(parsed.Tracks[0].Samples); n != 30 {
		t.Errorf("%d samples", n)
	}
	etag := resp.Header.Get("ETag")
	for name, want := range map[string]string{
		"Content-Type": `video/mp4; codecs="avc1.4d401e"`, "Content-Length": fmt.Sprint(len(all)), "Cache-Control": "private, no-cache",
		"Accept-Ranges": "bytes", "Content-Disposition": "inline; filename*=utf-8''Garage_T%C3%BCr_1-main-20190418T024555.mp4",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	size := len(all)
	for _, c := range []struct {
		name    string
		headers []string
		code    int
		from    int // of the body expected
		to      int
	}{
		{"first byte", []string{"Range", "bytes=0-0"}, 206, 0, 1},
		{"middle", []string{"Range", "bytes=1000-12000"}, 206, 1000, 12001},
		{"open end", []string{"Range", "bytes=20000-"}, 206, 20000, size},
		{"suffix", []string{"Range", "bytes=-500"}, 206, size - 500, size},
		{"suffix longer than the file", []string{"Range", "bytes=-999999"}, 206, 0, size},
		{"beyond the end", []string{"Range", "bytes=100-9999999"}, 206, 100, size},
		{"number beyond 64 bits", []string{"Range", "bytes=100-99999999999999999999999"}, 206, 100, size},
		{"joined", []string{"Range", "bytes=0-99,50-199, 200-299"}, 206, 0, 300},
		{"not there", []string{"Range", "bytes=9999999-"}, 416, 0, 0},
		{"nothing", []string{"Range", "bytes=-0"}, 416, 0, 0},
		{"17 ranges", []string{"Range", "bytes=0-0" + strings.Repeat(",5-5", 16)}, 416, 0, 0},
		{"other unit", []string{"Range", "samples=1-2"}, 200, 0, size},
		{"nonsense", []string{"Range", "bytes=a-b"}, 200, 0, size},
		{"backwards", []string{"Range", "bytes=5-4"}, 200, 0, size},
		{"If-Range that holds", []string{"Range", "bytes=0-9", "If-Range", etag}, 206, 0, 10},
		{"If-Range of another", []string{"Range", "bytes=0-9", "If-Range", `"x"`}, 200, 0, size},
		{"weak If-Range", []string{"Range", "bytes=0-9", "If-Range", "W/" + etag}, 200, 0, size},
		{"If-Range with a date", []string{"Range", "bytes=0-9", "If-Range", "Thu, 18 Apr 2019 02:45:55 GMT"}, 200, 0, size},
		{"If-None-Match that holds", []string{"If-None-Match", `"x", W/` + etag}, 304, 0, 0},
		{"If-None-Match any", []string{"If-None-Match", "*"}, 304, 0, 0},
		{"If-None-Match of another", []string{"If-None-Match", `"x"`}, 200, 0, size},
		{"If-Match that holds", []string{"If-Match", etag}, 200, 0, size},
		{"If-Match of another", []string{"If-Match", `"x"`}, 412, 0, 0},
	} {
		resp, body, err := answer(t, f, "GET", whole(f), c.headers...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if resp.StatusCode != c.code || !bytes.Equal(body, all[c.from:c.to]) {
			t.Errorf("%s: status %d, %d bytes; want %d, %d", c.name, resp.StatusCode, len(body), c.code, c.to-c.from)
		}
		if want := fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size); c.code == 206 && resp.Header.Get("Content-Range") != want {
			t.Errorf("%s: Content-Range %q, want %q", c.name, resp.Header.Get("Content-Range"), want)
		}
		if want := fmt.Sprintf("bytes */%d", size); c.code == 416 && resp.Header.Get("Content-Range") != want {
			t.Errorf("%s: Content-Range %q, want %q", c.name, resp.Header.Get("Content-Range"), want)
		}
		if c.code == 304 && (resp.Header.Get("ETag") != etag || resp.Header.Get("Content-Type") != "") {
			t.Errorf("%s: headers %v", c.name, resp.Header)
		}
	}
	resp, body, err := answer(t, f, "HEAD", whole(f), "Range", "bytes=0-9")
	if err != nil || resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("Content-Length") != fmt.Sprint(size) || resp.Header.Get("ETag") != etag {
		t.Errorf("HEAD: %d, %v, %v", resp.StatusCode, resp.Header, err)
	}
}

func TestMultipart(t *testing.T) {
	f := newFake(t, 2, 1000)
	_, all, _ := answer(t, f, "GET", whole(f))
	resp, body, err := answer(t, f, "GET", whole(f), "Range", "bytes=5000-5999,-10,0-99")
	if err != nil || resp.StatusCode != 206 || resp.Header.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Fatal(resp.StatusCode, resp.Header, len(body), err)
	}
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for _, want := range [][2]int{{5000, 6000}, {len(all) - 10, len(all)}, {0, 100}} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, all[want[0]:want[1]]) || p.Header.Get("Content-Type") != `video/mp4; codecs="avc1.4d401e"` ||
			p.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, len(all)) {
			t.Errorf("part %v: %v, %d bytes, %v", want, p.Header, len(got), err)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Error(err)
	}
}

// TestPinned: a view whose end is open, or beyond the last sample, goes to the URL that names its end.
func TestPinned(t *testing.T) {
	f := newFake(t, 2, 10)
	end := f.list[1].End()
	for _, c := range []struct{ query, want string }{
		{"start=" + ticks(begin), "end=" + ticks(end) + "&start=" + ticks(begin)},
		{"start=2019-04-18T02:45:56Z&audio=none", "audio=none&end=" + ticks(end) + "&start=2019-04-18T02%3A45%3A56Z"},
		{"start=2019-04-18T04:45:56+02:00&end=2030-01-01T00:00:00Z", "end=" + ticks(end) + "&start=2019-04-18T04%3A45%3A56+02%3A00"},
		{"start=" + ticks(begin) + "&end=&gaps=close", "end=" + ticks(end) + "&gaps=close&start=" + ticks(begin)},
	} {
		resp, _, err := answer(t, f, "GET", "/x/garage/main/view.mp4?"+c.query)
		if err != nil || resp.StatusCode != 307 || resp.Header.Get("Location") != "view.mp4?"+c.want {
			t.Errorf("%s: %d to %q, %v", c.query, resp.StatusCode, resp.Header.Get("Location"), err)
			continue
		}
		base, _ := url.Parse("/x/garage/main/view.mp4?" + c.query)
		next, err := base.Parse(resp.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if resp, _, err := answer(t, f, "GET", next.String()); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d, %v", next, resp.StatusCode, err)
		}
	}
	// A start that only holds now is pinned too.
	h := handler(f, Options{ParseTime: func(s string) (media.WallTime, error) {
		if s == "yesterday" {
			return begin + 90_000, nil
		}
		return ParseTime(s)
	}})
	w := httptest.NewRecorder()
	if err := h.View(w, httptest.NewRequest("GET", "/view.mp4?start=yesterday", nil), garage); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Header().Get("Location"), "view.mp4?end="+ticks(end)+"&start="+ticks(begin+90_000); got != want {
		t.Errorf("goes to %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	f := newFake(t, 1, 10)
	query := new(QueryError)
	bad := func(err error) bool { return errors.As(err, &query) }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	for q, check := range map[string]func(error) bool{
		"":                                     bad,
		"start=yesterday":                      bad,
		"start=12":                             bad,
		"start=-5t":                            bad,
		"start=99999999999999999999t":          bad,
		"start=1969-12-31T00:00:00Z":           bad,
		"start=1t&start=2t":                    bad,
		"start=1t&gaps=maybe":                  bad,
		"start=1t&audio=flac":                  bad,
		"start=1t&strat=2t":                    bad,
		"start=2t&end=1t":                      is(view.ErrOrder),
		"start=2t&end=2t":                      is(view.ErrOrder),
		"start=2t&end=0t":                      is(view.ErrOrder),
		"start=1t&end=2t":                      is(view.ErrEmpty),
		"start=2030-01-01T00:00:00Z&end=" + "": is(view.ErrFuture),
	} {
		if resp, body, err := answer(t, f, "GET", "/view.mp4?"+q); err == nil || !check(err) || len(body) > 0 || len(resp.Header) > 0 {
			t.Errorf("%q: %v; %v", q, err, resp.Header)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]media.WallTime{
		"0t": 0, "140000000000000t": begin, "2006-01-02T00:00:00Z": 102254400000000, "2006-01-02T00:00:00.5Z": 102254400045000,
		"2006-01-02T01:00:00+01:00": 102254400000000, "2006-01-02T01:00:00 01:00": 102254400000000, "2006-01-01T23:00:00-01:00": 102254400000000,
	} {
		got, err := ParseTime(s)
		if err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", s, got, err, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"0t", "1t", "2006-01-02T00:00:00Z", "2006-01-02T01:00:00 01:00", "", "t", "-1t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseTime(s)
		if err != nil {
			return
		}
		if again, err := ParseTime(ticks(at)); err != nil || again != at {
			t.Errorf("%q is %d, which as ticks is %d, %v", s, at, again, err)
		}
	})
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=1-,-5", "bytes=5-4", "bytes=", "bytes=0-99,50-60", "bytes=-0"} {
		f.Add(s, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		list, ok := parseRanges(header, size)
		if len(list) > maxRanges || !ok && len(list) > 0 {
			t.Fatalf("%d ranges, %v", len(list), ok)
		}
		for i, r := range list {
			if r.start < 0 || r.start >= r.end || r.end > size {
				t.Fatalf("range %v of %d", r, size)
			}
			for _, o := range list[:i] {
				if o.start <= r.end && r.start <= o.end {
					t.Fatalf("%v and %v touch", o, r)
				}
			}
		}
	})
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{"": "camera", "a b": "a_b", "../../etc/passwd": "______etc_passwd", "x\r\nSet-Cookie: y": "x__Set-Cookie__y", `"q"`: "_q_", "車庫-1": "車庫-1", strings.Repeat("x", 200): strings.Repeat("x", 80)} {
		if got := fileName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	f := newFake(t, 2, 10)
	w := httptest.NewRecorder()
	if err := handler(f, Options{}).Explain(w, httptest.NewRequest("GET", whole(f), nil), garage); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"view of stream 1 from 2019-04-18T02:45:55.555Z", "stts of recording 1/2, video samples 0-9", "recording 1/1 from 0 on"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.Body)
		}
	}
}

// TestSendfile: over plain TCP the samples go by SendTo, on a connection that is used again; under TLS they do not.
func TestSendfile(t *testing.T) {
	f := newFake(t, 2, 300_000)
	for _, secure := range []bool{false, true} {
		f.sent.Store(0)
		s, over := server(t, handler(f, Options{}))
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		var bodies [2][]byte
		for i := range bodies {
			var resp *http.Response
			if resp, bodies[i] = get(t, s.Client(), s.URL+whole(f)); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			if err := <-over; err != nil {
				t.Fatal(err)
			}
		}
		most, least := int64(0), int64(0)
		if !secure {
			most = 2 * 20 * 300_000
			least = most - 2*512 // which net/http looks at before it sends the header
		}
		if got := f.sent.Load(); got < least || got > most {
			t.Errorf("TLS %v: %d bytes went by SendTo, want %d", secure, got, most)
		}
		if _, err := mp4test.Parse(bodies[1]); err != nil || !bytes.Equal(bodies[0], bodies[1]) {
			t.Errorf("TLS %v: %v", secure, err)
		}
		if f.open.Load() != 0 {
			t.Error("a source was left open")
		}
	}
}

// TestClientLeaves: a client that goes away, or stops reading, leaves nothing behind.
func TestClientLeaves(t *testing.T) {
	f := newFake(t, 8, 1<<20)
	for _, c := range []struct {
		name  string
		stall time.Duration
		leave bool
	}{{"goes away", time.Minute, true}, {"stops reading", 50 * time.Millisecond, false}} {
		s, over := server(t, handler(f, Options{Stall: c.stall}))
		s.Start()
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", whole(f))
		if _, err := io.ReadFull(conn, make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		if c.leave {
			conn.Close()
		}
		if err := <-over; err != http.ErrAbortHandler {
			t.Errorf("%s: the answer ended with %v", c.name, err)
		}
		conn.Close()
		if n := f.open.Load(); n != 0 {
			t.Errorf("%s: %d sources left open", c.name, n)
		}
	}
}

// TestDiskGone: a failure before the first byte is an error with nothing written; one later breaks the connection.
func TestDiskGone(t *testing.T) {
	f := newFake(t, 3, 100_000)
	f.broken[f.list[2].ID] = true
	s, over := server(t, handler(f, Options{}))
	s.Start()
	resp, body := get(t, s.Client(), s.URL+whole(f), "Range", "bytes=-10")
	if err := <-over; resp.StatusCode != 500 || len(body) != 0 || err == nil || resp.Header.Get("ETag") != "" {
		t.Errorf("status %d, headers %v, %v", resp.StatusCode, resp.Header, err)
	}
	resp, err := s.Client().Get(s.URL + whole(f))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes came and looked whole", n)
	}
	if err := <-over; err != http.ErrAbortHandler {
		t.Error(err)
	}
	if f.open.Load() != 0 {
		t.Error("a source was left open")
	}
}
