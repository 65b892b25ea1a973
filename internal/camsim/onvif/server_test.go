package onvif

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a Camera without pictures.
type fake struct {
	mu      sync.Mutex
	streams []Stream
	keys    [2]int
	boots   int
	down    bool
	ahead   time.Duration
}

func newFake() *fake {
	return &fake{streams: []Stream{
		{"main", "/cam0", "H264", Encoding{1920, 1080, 30, 60, 3_000_000}},
		{"sub", "/cam0/sub", "H264", Encoding{640, 360, 10, 20, 200_000}},
	}}
}

func (f *fake) Name() string { return "cam0" }

func (f *fake) Streams() []Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.streams)
}

func (f *fake) Configure(i int, e Encoding) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i == 1 {
		return &ConfigError{"the sub stream is as it is"}
	}
	f.streams[i].Encoding = e
	return nil
}

func (f *fake) ForceKey(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[i]++
}

func (f *fake) Image(i int) (image.Image, error) {
	if i == 1 {
		return nil, errors.New("lens cap on")
	}
	return image.NewGray(image.Rect(0, 0, 32, 16)), nil
}

func (f *fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.ahead)
}

func (f *fake) Reboot(time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boots++
	f.down = true
}

func (f *fake) Boots() (int, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.boots, !f.down
}

// asking is a client of a handler, without a network.
type asking struct {
	t      testing.TB
	h      http.Handler
	header string // content of the SOAP header
}

// post sends an operation, written with the prefixes of our answers, and returns status and answer.
func (a *asking) post(path, operation string) (int, *Node) {
	a.t.Helper()
	body := envelopeStart + "<s:Header>" + a.header + "</s:Header><s:Body>" + operation + "</s:Body></s:Envelope>"
	return a.raw(path, body)
}

func (a *asking) raw(path, body string) (int, *Node) {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), "POST", "http://10.0.0.7:8080"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	in, err := ParseRequest(w.Body.Bytes())
	if err != nil {
		a.t.Fatalf("%s: answer %d %q: %v", body, w.Code, w.Body, err)
	}
	return w.Code, in.Operation
}

// ask sends an operation that has to be answered.
func (a *asking) ask(operation string) *Node {
	a.t.Helper()
	code, n := a.post("/onvif/any", operation)
	if code != 200 || !strings.HasSuffix(n.Name.Local, "Response") {
		a.t.Fatalf("%s: %d %s", operation, code, dump(n))
	}
	return n
}

// refused sends an operation that has to be refused with the innermost subcode.
func (a *asking) refused(operation string, status int, subcode string) *Node {
	a.t.Helper()
	code, n := a.post("/onvif/any", operation)
	got := ""
	for c := n.child("Code"); c != nil; c = c.child("Subcode") {
		got = c.text("Value")
	}
	if code != status || n.Name.Local != "Fault" || got != subcode {
		a.t.Errorf("%s: %d %s, want %d %s", operation, code, dump(n), status, subcode)
	}
	return n
}

// dump writes a node for people.
func dump(n *Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%v%q[", n.Name.Local, n.Attr, n.Text)
	for _, c := range n.Children {
		b.WriteString(dump(c))
	}
	return b.String() + "]"
}

func newAsking(t testing.TB, o Options) (*asking, *Server, *fake) {
	f := newFake()
	o.Cameras = []Camera{f}
	if o.RTSP == "" {
		o.RTSP = "0.0.0.0:8554"
	}
	s := New(o)
	return &asking{t: t, h: s}, s, f
}

func TestDeviceService(t *testing.T) {
	a, _, f := newAsking(t, Options{ClockOffset: -90 * time.Minute})
	f.ahead = time.Hour
	n := a.ask("<tds:GetSystemDateAndTime/>").child("SystemDateAndTime", "UTCDateTime")
	var got [6]int
	for i, p := range [][]string{{"Date", "Year"}, {"Date", "Month"}, {"Date", "Day"}, {"Time", "Hour"}, {"Time", "Minute"}, {"Time", "Second"}} {
		fmt.Sscan(n.text(p...), &got[i])
	}
	told := time.Date(got[0], time.Month(got[1]), got[2], got[3], got[4], got[5], 0, time.UTC)
	if off := time.Until(told); off > -25*time.Minute || off < -35*time.Minute {
		t.Errorf("the device's clock is %v off, want -30m", off)
	}
	for operation, want := range map[string][2]string{
		"<tds:GetDeviceInformation/>": {"SerialNumber", "SIM-cam0"}, "<tds:GetEndpointReference/>": {"GUID", a.h.(*Server).devices[0].endpoint()},
	} {
		if got := a.ask(operation).text(want[0]); got != want[1] {
			t.Errorf("%s: %q", operation, got)
		}
	}
	if got := a.ask("<tds:GetHostname/>").text("HostnameInformation", "Name"); got != "cam0" {
		t.Errorf("hostname %q", got)
	}
	if got := a.ask("<tds:GetNetworkInterfaces/>").text("NetworkInterfaces", "IPv4", "Config", "Manual", "Address"); got != "10.0.0.7" {
		t.Errorf("address %q", got)
	}
	if n := len(a.ask("<tds:GetScopes/>").Children); n != 8 {
		t.Errorf("%d scopes", n)
	}
	if n := a.ask("<tds:GetCapabilities><tds:Category>Media</tds:Category></tds:GetCapabilities>").child("Capabilities"); len(n.Children) != 1 ||
		n.text("Media", "XAddr") != "http://10.0.0.7:8080/onvif/media_service" {
		t.Errorf("%s", dump(n))
	}
	a.refused("<tds:GetCapabilities><tds:Category>Doors</tds:Category></tds:GetCapabilities>", 500, "ter:NoSuchService")
	a.refused("<tds:CreateUsers/>", 500, "ter:ActionNotSupported")
	a.refused("<GetProfiles xmlns='urn:other'/>", 500, "ter:ActionNotSupported")
}

// Every service that GetServices names answers GetServiceCapabilities with what GetServices told of it.
func TestServicesDescribeThemselves(t *testing.T) {
	a, _, _ := newAsking(t, Options{})
	all := a.ask("<tds:GetServices><tds:IncludeCapability>true</tds:IncludeCapability></tds:GetServices>")
	if len(all.Children) != 6 {
		t.Errorf("%d services", len(all.Children))
	}
	for _, s := range all.Children {
		own := a.ask(fmt.Sprintf(`<GetServiceCapabilities xmlns="%s"/>`, s.text("Namespace")))
		if got, want := dump(own.child("Capabilities")), dump(s.child("Capabilities", "Capabilities")); got != want {
			t.Errorf("%s: %s, GetServices says %s", s.text("Namespace"), got, want)
		}
	}
	if s := a.ask("<tds:GetServices/>").Children[0]; s.child("Capabilities") != nil {
		t.Error("capabilities that nobody asked for")
	}
}

// Of all operations a client without credentials may call those of class PRE_AUTH alone.
func TestOnlyPublicOperationsWithoutCredentials(t *testing.T) {
	a, _, f := newAsking(t, Options{User: "admin", Password: "secret"})
	public := []string{"GetSystemDateAndTime", "GetCapabilities", "GetServices", "GetServiceCapabilities", "GetHostname", "GetWsdlUrl"}
	for _, name := range slices.SortedFunc(maps.Keys(operations), func(a, b xml.Name) int { return strings.Compare(a.Space+a.Local, b.Space+b.Local) }) {
		operation := fmt.Sprintf(`<%s xmlns="%s"/>`, name.Local, name.Space)
		if slices.Contains(public, name.Local) {
			a.ask(operation)
		} else {
			a.refused(operation, 401, "ter:NotAuthorized")
		}
	}
	a.refused("<tds:NoSuchThing/>", 401, "ter:NotAuthorized")
	if n, up := f.Boots(); n != 0 || !up {
		t.Error("rebooted by a stranger")
	}
}

func TestMessagesThatAreNone(t *testing.T) {
	a, _, _ := newAsking(t, Options{})
	deep := strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)
	for name, c := range map[string]struct {
		body string
		code string
	}{
		"no XML":        {"hello", "s:Sender"},
		"empty":         {"", "s:Sender"},
		"cut off":       {envelopeStart + "<s:Body><tds:GetHostname/>", "s:Sender"},
		"a DTD":         {`<!DOCTYPE a [<!ENTITY x "y">]>` + envelopeStart + "<s:Body><tds:GetHostname/></s:Body></s:Envelope>", "s:Sender"},
		"an entity":     {envelopeStart + "<s:Body><tds:GetHostname>&x;</tds:GetHostname></s:Body></s:Envelope>", "s:Sender"},
		"no body":       {envelopeStart + "</s:Envelope>", "s:Sender"},
		"too deep":      {envelopeStart + "<s:Body>" + deep + "</s:Body></s:Envelope>", "s:Sender"},
		"too wide":      {envelopeStart + "<s:Body><a>" + strings.Repeat("<b/>", maxNodes) + "</a></s:Body></s:Envelope>", "s:Sender"},
		"too large":     {envelopeStart + "<s:Body><a>" + strings.Repeat("x", maxBody) + "</a></s:Body></s:Envelope>", "s:Sender"},
		"Latin-1":       {`<?xml version="1.0" encoding="ISO-8859-1"?>` + envelopeStart[39:] + "<s:Body><a/></s:Body></s:Envelope>", "s:Sender"},
		"SOAP 1.1":      {`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><a/></s:Body></s:Envelope>`, "s:VersionMismatch"},
		"two documents": {"<a/><a/>", "s:Sender"},
	} {
		code, n := a.raw("/onvif/device_service", c.body)
		if got := n.text("Code", "Value"); code < 400 || got != c.code {
			t.Errorf("%s: %d %s, want %s", name, code, got, c.code)
		}
	}
	for _, path := range []string{"/", "/onvif", "/cam9/onvif/device_service", "/favicon.ico"} {
		w := httptest.NewRecorder()
		a.h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("")))
		if w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, httptest.NewRequest("GET", "/onvif/device_service", nil))
	if w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestAddressing(t *testing.T) {
	a, _, _ := newAsking(t, Options{})
	body := envelopeStart + "<s:Header><a:MessageID>urn:uuid:1</a:MessageID><a:Action>http://x/GetHostnameRequest</a:Action></s:Header><s:Body><tds:GetHostname/></s:Body></s:Envelope>"
	r := httptest.NewRequest("POST", "/onvif/device_service", strings.NewReader(body))
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	in, err := ParseRequest(w.Body.Bytes())
	if err != nil || in.header("RelatesTo").Text != "urn:uuid:1" || in.header("Action").Text != "http://x/GetHostnameResponse" {
		t.Errorf("%v: %s", err, w.Body)
	}
}

// A host that is no host is not handed out in addresses.
func TestHostHeaderIsChecked(t *testing.T) {
	for host, want := range map[string]string{
		"cam:80": "cam:80", "[fe80::1%25eth0]:80": "[fe80::1%25eth0]:80", "": "localhost", "a b": "localhost", `x"><a/>`: "localhost", "é": "localhost",
	} {
		if got := saneHost(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

// token writes a WS-UsernameToken.
func token(user, password, nonce string, created string) string {
	sum := sha1.Sum([]byte(nonce + created + password))
	return `<Security xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><UsernameToken><Username>` + user +
		`</Username><Password Type="` + passwordDigest + `">` + base64.StdEncoding.EncodeToString(sum[:]) + `</Password><Nonce>` +
		base64.StdEncoding.EncodeToString([]byte(nonce)) + `</Nonce><Created>` + created + `</Created></UsernameToken></Security>`
}

func TestUsernameToken(t *testing.T) {
	a, s, _ := newAsking(t, Options{User: "admin", Password: "secret", ClockOffset: time.Hour})
	at := func(d time.Duration) string { return s.devices[0].now().Add(d).UTC().Format(time.RFC3339Nano) }
	const op = "<tds:GetScopes/>"
	a.header = token("admin", "secret", "n1", at(0))
	a.ask(op)
	a.refused(op, 400, "ter:NotAuthorized") // the same nonce again
	a.header = token("admin", "secret", "n2", at(-50*time.Second))
	a.ask(op)
	a.header = token("admin", "secret", "n3", at(50*time.Second))
	a.ask("<tds:GetHostname/>")
	for name, header := range map[string]string{
		"our own clock": token("admin", "secret", "n4", at(-time.Hour)), "too old": token("admin", "secret", "n5", at(-70*time.Second)),
		"too new": token("admin", "secret", "n6", at(70*time.Second)), "wrong password": token("admin", "Secret", "n7", at(0)),
		"wrong user": token("root", "secret", "n8", at(0)), "no nonce": token("admin", "secret", "", at(0)), "no time": token("admin", "secret", "n9", "now"),
		"plain": strings.Replace(token("admin", "secret", "n10", at(0)), "#PasswordDigest", "#PasswordText", 1),
	} {
		a.header = header
		fault := a.refused(op, 400, "ter:NotAuthorized")
		if reason := fault.text("Reason", "Text"); !strings.HasPrefix(reason, "Sender not Authorized") {
			t.Errorf("%s: %s", name, reason)
		}
		a.refused("<tds:GetHostname/>", 400, "ter:NotAuthorized") // wrong is wrong, also where nothing is needed
	}
}

func TestHTTPDigest(t *testing.T) {
	a, _, _ := newAsking(t, Options{User: "admin", Password: "secret"})
	body := envelopeStart + "<s:Body><tds:GetScopes/></s:Body></s:Envelope>"
	send := func(method, path, authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		a.h.ServeHTTP(w, r)
		return w
	}
	for i, algorithm := range []string{"MD5", "SHA-256"} {
		challenge := send("POST", "/onvif/x", "").Header().Values("WWW-Authenticate")
		if len(challenge) != 2 {
			t.Fatalf("%q", challenge)
		}
		p := parseParameters(strings.TrimPrefix(challenge[i], "Digest "))
		if p["algorithm"] != algorithm || p["qop"] != "auth" || p["realm"] != realm || len(p["nonce"]) != 32 {
			t.Fatalf("%q", challenge[i])
		}
		hash := digestHash(algorithm)
		with := func(method, uri, password, count string) string {
			response := hash(strings.Join([]string{hash("admin:" + realm + ":" + password), p["nonce"], count, "abc", "auth", hash(method + ":" + uri)}, ":"))
			return fmt.Sprintf(`Digest username="admin", realm="%s", nonce="%s", uri="%s", algorithm=%s, qop=auth, nc=%s, cnonce="abc", response="%s"`,
				realm, p["nonce"], uri, algorithm, count, response)
		}
		for _, c := range []struct {
			name, method, path, authorization string
			want                              int
		}{
			{"right", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000001"), 200},
			{"same count", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000001"), 401},
			{"a later one", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000005"), 200},
			{"one left out", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000003"), 200},
			{"that again", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000003"), 401},
			{"the first again", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "00000001"), 401},
			{"other path", "POST", "/onvif/y", with("POST", "/onvif/x", "secret", "00000006"), 401},
			{"other method", "POST", "/onvif/x", with("GET", "/onvif/x", "secret", "00000007"), 401},
			{"wrong password", "POST", "/onvif/x", with("POST", "/onvif/x", "secreT", "00000008"), 401},
			{"odd count", "POST", "/onvif/x", with("POST", "/onvif/x", "secret", "9"), 401},
			{"snapshot", "GET", "/onvif/snapshot.jpg?profile=main", with("GET", "/onvif/snapshot.jpg?profile=main", "secret", "00000009"), 200},
			{"Basic", "POST", "/onvif/x", "Basic YWRtaW46c2VjcmV0", 401},
		} {
			w := send(c.method, c.path, c.authorization)
			if w.Code != c.want || w.Code == 401 && len(w.Header().Values("WWW-Authenticate")) != 2 {
				t.Errorf("%s %s: %d %v", algorithm, c.name, w.Code, w.Header())
			}
		}
	}
	if w := send("GET", "/onvif/snapshot.jpg", ""); w.Code != 401 {
		t.Errorf("snapshot without credentials: %d", w.Code)
	}
	stale := send("POST", "/onvif/x", `Digest username="admin", realm="camsim", nonce="x", uri="/onvif/x", qop=auth, nc=00000001, cnonce="a", response="`+
		digestHash("")(strings.Join([]string{digestHash("")("admin:camsim:secret"), "x", "00000001", "a", "auth", digestHash("")("POST:/onvif/x")}, ":"))+`"`)
	if stale.Code != 401 || !strings.Contains(stale.Header().Get("WWW-Authenticate"), "stale=true") {
		t.Errorf("unknown nonce: %d %v", stale.Code, stale.Header())
	}
}

func TestSnapshot(t *testing.T) {
	a, _, _ := newAsking(t, Options{})
	for path, want := range map[string]int{
		"/onvif/snapshot.jpg": 200, "/cam0/onvif/snapshot.jpg?profile=main": 200, "/onvif/snapshot.jpg?profile=sub": 500, "/onvif/snapshot.jpg?profile=x": 404,
	} {
		w := httptest.NewRecorder()
		a.h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		body, _ := io.ReadAll(w.Body)
		if w.Code != want || w.Code == 200 && (string(body[:2]) != "\xff\xd8" || w.Header().Get("Content-Type") != "image/jpeg") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestReboot(t *testing.T) {
	a, s, f := newAsking(t, Options{})
	a.ask("<tev:CreatePullPointSubscription/>")
	a.ask("<tds:SystemReboot/>")
	if n, up := f.Boots(); n != 1 || up {
		t.Fatalf("%d boots, up %v", n, up)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("a camera that is down answered")
			}
		}()
		a.post("/onvif/device_service", "<tds:GetHostname/>")
	}()
	f.mu.Lock()
	f.down = false
	f.mu.Unlock()
	a.ask("<tds:GetHostname/>")
	if n := len(s.State()["cam0"].Subscriptions); n != 0 {
		t.Errorf("%d subscriptions outlived the reboot", n)
	}
}
