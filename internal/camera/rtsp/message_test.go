package rtsp

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sharedDir returns a folder of the shared test data, which is beside the repository, or skips.
func sharedDir(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "testdata", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared test data is not here: %v", err)
	}
	return path
}

func TestParseMessage(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		want   string // String of the message; "" for more bytes needed
		length int
		cseq   int
		err    string
	}{
		"response":            {in: "RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\nrest", want: "200 OK", length: 28, cseq: 3},
		"no reason":           {in: "RTSP/1.0 200\r\n\r\n", want: "200", length: 16, cseq: -1},
		"bare line feeds":     {in: "RTSP/1.0 200 OK\nCSeq: 3\n\n", want: "200 OK", length: 25, cseq: 3},
		"blanks behind CSeq":  {in: "RTSP/1.0 200 OK\r\nCSeq: 3 \t\r\n\r\n", want: "200 OK", length: 30, cseq: 3},
		"case of names":       {in: "RTSP/1.0 404 Not Found\r\ncseq:7\r\n\r\n", want: "404 Not Found", length: 34, cseq: 7},
		"continued line":      {in: "RTSP/1.0 200 OK\r\nPublic: A,\r\n B\r\nCSeq: 1\r\n\r\n", want: "200 OK", length: 44, cseq: 1},
		"line without colon":  {in: "RTSP/1.0 200 OK\r\njunk\r\nCSeq: 1\r\n\r\n", want: "200 OK", length: 34, cseq: 1},
		"body":                {in: "RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab$", want: "200 OK", length: 40, cseq: -1},
		"body to come":        {in: "RTSP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nab$"},
		"head to come":        {in: "RTSP/1.0 200 OK\r\nCSeq: 3\r\n"},
		"request":             {in: "OPTIONS rtsp://u:p@h/x RTSP/1.0\r\nCSeq: 2\r\n\r\n", want: "OPTIONS rtsp://***@h/x", length: 44, cseq: 2},
		"HTTP":                {in: "HTTP/1.1 400 Bad Request\r\n\r\n", err: "it is HTTP"},
		"status":              {in: "RTSP/1.0 abc\r\n\r\n", err: "status"},
		"SSH":                 {in: "SSH-2.0-OpenSSH\r\n\r\n", err: "no RTSP message"},
		"length":              {in: "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", err: "content length"},
		"large":               {in: "RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", err: "content length"},
		"head without an end": {in: "RTSP/1.0 200 OK\r\nA: " + strings.Repeat("x", maxHeader), err: "longer than"},
	} {
		m, n, err := parseMessage([]byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || n != c.length {
			t.Errorf("%s: length %d, %v", name, n, err)
			continue
		}
		if n == 0 {
			continue
		}
		cseq, ok := m.cseq()
		if !ok {
			cseq = -1
		}
		if m.String() != c.want || cseq != c.cseq {
			t.Errorf("%s: %q, CSeq %d", name, m, cseq)
		}
	}
}

// feed is a connection that gives its chunks one by one.
type feed struct {
	net.Conn
	chunks [][]byte
}

func (f *feed) Read(b []byte) (int, error) {
	if len(f.chunks) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(b, f.chunks[0])
	if f.chunks[0] = f.chunks[0][n:]; len(f.chunks[0]) == 0 {
		f.chunks = f.chunks[1:]
	}
	return n, nil
}

// items reads everything and writes it down.
func items(c *conn) (out []string, err error) {
	for {
		for {
			kind, channel, data, m, err := c.next()
			if err != nil {
				return out, err
			}
			if kind == nothing {
				break
			}
			if kind == frame {
				out = append(out, string(rune('0'+channel))+":"+string(data))
			} else {
				out = append(out, m.String())
			}
		}
		if c.fill() != nil {
			return out, nil
		}
	}
}

func framed(channel byte, data string) string {
	return "$" + string([]byte{channel, byte(len(data) >> 8), byte(len(data))}) + data
}

func TestInterleaved(t *testing.T) {
	long := strings.Repeat("x", 65535)
	answer := "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
	for name, c := range map[string]struct{ in, want string }{
		"frames":               {framed(0, "ab") + framed(1, "c"), "0:ab 1:c"},
		"empty frame":          {framed(0, "") + framed(1, "c"), "0: 1:c"},
		"answer between":       {framed(0, "ab") + answer + framed(1, "c"), "0:ab 200 OK 1:c"},
		"line ends between":    {framed(0, "ab") + "\r\n\r\n" + answer + "\r\n" + framed(0, "c"), "0:ab 200 OK 0:c"},
		"request":              {"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" + framed(0, "c"), "OPTIONS * 0:c"},
		"largest":              {framed(0, long) + framed(0, long) + framed(0, long) + framed(1, "c"), "0:" + long + " 0:" + long + " 0:" + long + " 1:c"},
		"junk between":         {framed(0, "ab") + "\x00\x01garbage" + framed(0, "c"), "0:ab 0:c"},
		"junk with a dollar":   {framed(0, "ab") + "\x01$\x77\x00\x01" + framed(1, "c"), "0:ab 1:c"},
		"junk before answer":   {"\x00\x01" + answer, "200 OK"},
		"dollar within a head": {"RTSP/1.0 200 O$K\r\nCSeq: 1\r\n\r\n" + framed(0, "c"), "200 O$K 0:c"},
	} {
		// Whole, in two parts at every place of the first bytes, and byte by byte.
		b := []byte(c.in)
		splits := [][][]byte{{b}}
		for i := 1; i < min(len(b), 64); i++ {
			splits = append(splits, [][]byte{b[:i], b[i:]})
		}
		if len(b) < 1000 {
			splits = append(splits, bytes.SplitAfter(b, nil))
		}
		for i, chunks := range splits {
			c2 := newConn(&feed{chunks: chunks}, time.Now)
			c2.known = func(channel byte) bool { return channel < 2 }
			got, err := items(c2)
			if s := strings.Join(got, " "); s != c.want || err != nil {
				t.Fatalf("%s, split %d: %.200q, %v", name, i, s, err)
			}
		}
	}
}

func TestJunkIsBounded(t *testing.T) {
	var chunks [][]byte
	for range 10 {
		chunks = append(chunks, bytes.Repeat([]byte{0, 1}, 32<<10))
	}
	if _, err := items(newConn(&feed{chunks: chunks}, time.Now)); err == nil || !strings.Contains(err.Error(), "neither data nor messages") {
		t.Errorf("%v", err)
	}
}

func TestCaptures(t *testing.T) {
	dir := sharedDir(t, "rtsp/retina")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "_sdp.txt") {
			continue // no message; see TestCaptureDescriptions
		}
		m, n, err := parseMessage(b)
		if err != nil || n != len(b) {
			t.Errorf("%s: %d of %d bytes, %v", e.Name(), n, len(b), err)
			continue
		}
		if _, ok := m.cseq(); !ok {
			t.Errorf("%s: no CSeq", e.Name())
		}
		if !m.request && m.status != 200 {
			t.Errorf("%s: %v", e.Name(), m)
		}
	}
}

func TestTransport(t *testing.T) {
	for in, want := range map[string]transport{
		"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=30A98EE7":                                  {tcp: true, interleaved: [2]uint8{0, 1}, channels: true, ssrc: 0x30a98ee7, hasSSRC: true},
		"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=4cacc3d1;mode=\"play\"":                    {tcp: true, interleaved: [2]uint8{0, 1}, channels: true, ssrc: 0x4cacc3d1, hasSSRC: true},
		"RTP/AVP/TCP;unicast;destination=192.168.1.210;source=192.168.5.206;interleaved=2-3": {tcp: true, interleaved: [2]uint8{2, 3}, channels: true, source: "192.168.5.206"},
		"RTP/AVP/TCP;ssrc=D93FF;unicast; interleaved = 4":                                    {tcp: true, interleaved: [2]uint8{4, 5}, channels: true, ssrc: 0xd93ff, hasSSRC: true},
		"RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;ssrc= 2f":               {server: [2]uint16{6970, 6971}, serverPorts: true, ssrc: 0x2f, hasSSRC: true},
		"RTP/AVP;multicast;destination=239.0.0.1;port=5000-5001,RTP/AVP/TCP;interleaved=0-1": {multicast: true},
		"RTP/AVP/UDP;unicast;server_port=99999-100000;interleaved=300-301;ssrc=zz;source=":   {},
		"unicast;interleaved=0-1;RTP/AVP/TCP":                                                {tcp: true, interleaved: [2]uint8{0, 1}, channels: true},
		"":                                                                                   {},
	} {
		if got := parseTransport(in); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

func TestSessionHeader(t *testing.T) {
	for in, want := range map[string]struct {
		id      string
		timeout time.Duration
	}{
		"634214675641;timeout=60":    {"634214675641", 60 * time.Second},
		"9a90de54; timeout=120":      {"9a90de54", 120 * time.Second},
		"F8F8E425":                   {"F8F8E425", 60 * time.Second},
		" x ;Timeout=10;y=z":         {"x", 10 * time.Second},
		"x;timeout=0":                {"x", 60 * time.Second},
		"x;timeout=-3":               {"x", 60 * time.Second},
		"x;timeout=9999999999999999": {"x", 60 * time.Second},
		"x;timeout":                  {"x", 60 * time.Second},
	} {
		if id, timeout := parseSession(in); id != want.id || timeout != want.timeout {
			t.Errorf("%q: %q %v", in, id, timeout)
		}
	}
}

func TestRTPInfo(t *testing.T) {
	const base = "rtsp://192.168.5.111:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif/"
	for name, c := range map[string]struct {
		in      string
		want    []rtpInfo
		control string // of the first
	}{
		"Dahua": {
			in:      "url=trackID=0;seq=47121;rtptime=3475222385,url=trackID=1;seq=45186;rtptime=2234446919",
			want:    []rtpInfo{{url: "trackID=0", rtptime: 3475222385, hasTime: true}, {url: "trackID=1", rtptime: 2234446919, hasTime: true}},
			control: base + "trackID=0",
		},
		"Reolink": {
			in:      "url=trackID=1;seq=16852;rtptime=1070938629;ssrc=dcc4a0d8, url=trackID=2;seq=1;rtptime=2;ssrc=9fc9fff8",
			want:    []rtpInfo{{url: "trackID=1", rtptime: 1070938629, hasTime: true, ssrc: 0xdcc4a0d8, hasSSRC: true}, {url: "trackID=2", rtptime: 2, hasTime: true, ssrc: 0x9fc9fff8, hasSSRC: true}},
			control: "rtsp://192.168.5.206/h264Preview_01_main/trackID=1",
		},
		"Hikvision": {
			in:      "url=rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1;seq=24104;rtptime=1270711678",
			want:    []rtpInfo{{url: "rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1", rtptime: 1270711678, hasTime: true}},
			control: "rtsp://192.168.5.106:554/Streaming/Channels/101/trackID=1?transportmode=unicast&profile=Profile_1",
		},
		"Laureii":       {in: "url=rtsp://192.168.1.19:554/0/main/trackID=0;seq=0;rtptime=0;", want: []rtpInfo{{url: "rtsp://192.168.1.19:554/0/main/trackID=0", hasTime: true}}, control: "rtsp://192.168.1.19:554/0/main/trackID=0"},
		"negative time": {in: "url=a;rtptime=-5", want: []rtpInfo{{url: "a"}}, control: "rtsp://h/a"},
		"comma in URL":  {in: "url=rtsp://h/a,b;seq=1", want: []rtpInfo{{url: "rtsp://h/a,b"}}, control: "rtsp://h/a,b"},
		"empty":         {},
	} {
		got := parseRTPInfo(c.in)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %+v, want %+v", name, got[i], c.want[i])
			}
		}
		if len(got) > 0 && !controlMatches(got[0].url, c.control) {
			t.Errorf("%s: %q does not match %q", name, got[0].url, c.control)
		}
	}
	for _, c := range [][2]string{{"", "rtsp://h/a"}, {"rtsp://h/H264/video", "rtsp://h/H264?x/video"}, {"1", "rtsp://h/track1"}} {
		if controlMatches(c[0], c[1]) {
			t.Errorf("%q matches %q", c[0], c[1])
		}
	}
}

func TestDates(t *testing.T) {
	want := time.Date(2021, 5, 5, 21, 51, 17, 0, time.UTC)
	for _, s := range []string{"Wed, May 05 2021 21:51:17 GMT", " Wed,  May 05 2021 21:51:17 GMT", "Wed, 05 May 2021 21:51:17 GMT", "Wed, 5 May 2021 21:51:17 UTC"} {
		if got := parseDate(s); !got.Equal(want) {
			t.Errorf("%q: %v", s, got)
		}
	}
	if got := parseDate("yesterday"); !got.IsZero() {
		t.Errorf("%v", got)
	}
	if got := clockRange("clock=20210505T215117.5Z-"); !got.Equal(want.Add(500 * time.Millisecond)) {
		t.Errorf("%v", got)
	}
	for _, s := range []string{"npt=0.000-", "clock=now-", ""} {
		if got := clockRange(s); !got.IsZero() {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]struct {
		dial, uri, user, password, err string
	}{
		"rtsp://cam/path":                  {dial: "cam:554", uri: "rtsp://cam/path"},
		"RTSP://cam:8554/path?a=b&c":       {dial: "cam:8554", uri: "rtsp://cam:8554/path?a=b&c"},
		"rtsps://cam/x":                    {dial: "cam:322", uri: "rtsps://cam/x"},
		"rtsp://u:p@cam":                   {dial: "cam:554", uri: "rtsp://cam", user: "u", password: "p"},
		"rtsp://u%40x:p%2Fq@cam/y":         {dial: "cam:554", uri: "rtsp://cam/y", user: "u@x", password: "p/q"},
		"rtsp://u:p@ss@cam/y":              {dial: "cam:554", uri: "rtsp://cam/y", user: "u", password: "p@ss"},
		"rtsp://[fe80::1]:554/y":           {dial: "[fe80::1]:554", uri: "rtsp://[fe80::1]:554/y"},
		"rtsp://[fe80::1]/y":               {dial: "[fe80::1]:554", uri: "rtsp://[fe80::1]/y"},
		" rtsp://cam/with blank ":          {dial: "cam:554", uri: "rtsp://cam/with%20blank"},
		"http://cam/x":                     {err: "does not begin with rtsp"},
		"cam/x":                            {err: "does not begin with rtsp"},
		"rtsp:///x":                        {err: "no host"},
		"rtsp://cam:port/x":                {err: "no number"},
		"rtsp://cam/x\r\nInjected: header": {err: "blanks"},
	} {
		a, err := parseAddress(in)
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		if err != nil || a.dial != want.dial || a.uri != want.uri || a.user != want.user || a.password.Reveal() != want.password {
			t.Errorf("%q: %+v %v", in, a, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"DESCRIBE rtsp://admin:geheim@10.0.0.1/x: no": "DESCRIBE rtsp://***@10.0.0.1/x: no",
		"rtsp://h/user=admin&password=geheim&c=1":     "",
		"rtsp://h/live?pwd=geheim":                    "",
		"no address: at all":                          "no address: at all",
	} {
		got := redact(in)
		if want != "" && got != want || strings.Contains(got, "geheim") {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestControlURL(t *testing.T) {
	for _, c := range [][3]string{
		{"rtsp://h/x/", "trackID=1", "rtsp://h/x/trackID=1"},
		{"rtsp://h/x", "trackID=1", "rtsp://h/x/trackID=1"},
		{"rtsp://h/H264?channel=1&proto=Onvif", "video", "rtsp://h/H264?channel=1&proto=Onvif/video"},
		{"rtsp://h/cam?channel=1/", "trackID=0", "rtsp://h/cam?channel=1/trackID=0"},
		{"rtsp://h/x", "rtsp://other/y", "rtsp://other/y"},
		{"rtsp://h/x", "*", "rtsp://h/x"},
		{"rtsp://h/x", "", "rtsp://h/x"},
		{"rtsp://h/x", "?ctype=video", "rtsp://h/x?ctype=video"},
		{"rtsp://h/x/", "/track1", "rtsp://h/x/track1"},
	} {
		if got := joinControl(c[0], c[1]); got != c[2] {
			t.Errorf("%q + %q = %q, want %q", c[0], c[1], got, c[2])
		}
	}
	for in, want := range map[string]string{
		"":                          "rtsp://req/p",
		"rtsp://base/x/":            "rtsp://base/x/",
		"192.168.1.10:554/stream0/": "rtsp://192.168.1.10:554/stream0/",
		"/relative":                 "rtsp://req/p",
	} {
		m := &message{headers: []header{{"Content-Base", in}}}
		if got := baseURL(m, "rtsp://req/p"); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := baseURL(&message{headers: []header{{"content-location", "rtsp://loc/"}}}, "rtsp://req/p"); got != "rtsp://loc/" {
		t.Errorf("%q", got)
	}
}
