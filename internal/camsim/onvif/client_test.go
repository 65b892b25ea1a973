package onvif_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/camsim/onvif"
	"nightjar/internal/camsim/picture"
)

// rig is simulated cameras with both ports open.
type rig struct {
	cams    *camsim.Server
	side    *onvif.Server
	rtsp    string
	http    string
	control *httptest.Server
}

// start runs simulated cameras until the test ends.
func start(t *testing.T, o camsim.Options, more onvif.Options) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	rtsp, web := listen(), listen()
	r := &rig{cams: camsim.New(o), rtsp: rtsp.Addr().String(), http: web.Addr().String()}
	if err := r.cams.Open(); err != nil {
		t.Fatal(err)
	}
	more.Cameras, more.RTSP, more.User, more.Password = r.cams.Devices(), r.rtsp, o.User, o.Password
	r.side = onvif.New(more)
	r.control = httptest.NewServer(r.side.Control(r.cams.Control()))
	done := make(chan error, 2)
	go func() { done <- r.cams.Serve(ctx, rtsp) }()
	go func() { done <- r.side.Serve(ctx, web) }()
	t.Cleanup(func() {
		cancel()
		r.control.Close()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// npmClient installs the client package, or skips.
func npmClient(t *testing.T) (nodePath string) {
	t.Helper()
	if os.Getenv("NIGHTJAR_REQUIRE_JUDGES") != "1" && os.Getenv("NIGHTJAR_LONG") != "1" {
		t.Skip("npm package onvif as client: only with NIGHTJAR_REQUIRE_JUDGES=1 or NIGHTJAR_LONG=1")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("NIGHTJAR_REQUIRE_JUDGES") == "1" {
				t.Fatalf("npm package onvif as client: %v", err)
			}
			t.Skipf("npm package onvif as client: %v", err)
		}
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "onvif@0.8.3")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules")
}

// told is what testdata/client.js prints.
type told struct {
	Media2       bool                 `json:"media2"`
	Services     []string             `json:"services"`
	Profiles     []map[string]any     `json:"profiles"`
	Device       map[string]any       `json:"device"`
	Scopes       int                  `json:"scopes"`
	Hostname     string               `json:"hostname"`
	Capabilities []string             `json:"capabilities"`
	URIs         map[string][2]string `json:"uris"`
	URIs2        map[string][2]string `json:"uris2"`
	Encoders     int                  `json:"encoders"`
	Encoders2    int                  `json:"encoders2"`
	Configured   []int                `json:"configured"`
	Presets      []string             `json:"presets"`
	PTZ          map[string]any       `json:"ptz"`
	Brightness   float64              `json:"brightness"`
	Events       []struct {
		Topic, Operation string
	} `json:"events"`
}

// Acceptance: the npm package gets device information, profiles, stream and snapshot URIs and events.
func TestClientOfTheNPMPackage(t *testing.T) {
	nodePath := npmClient(t)
	for _, c := range []struct {
		name, user, path, camera string
		shared                   bool
		offset                   time.Duration
	}{
		{"open", "", "/onvif/device_service", "cam0", false, 0},
		{"password, second camera, clock off by an hour, shared pull point", "admin", "/cam1/onvif/device_service", "cam1", true, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := camsim.Options{Cameras: 2, Width: 1280, Height: 720, FPS: 25, User: c.user}
			if c.user != "" {
				o.Password = "secret"
			}
			r := start(t, o, onvif.Options{ReferenceParameters: c.shared, ClockOffset: c.offset})
			host, port, _ := net.SplitHostPort(r.http)
			cmd := exec.CommandContext(t.Context(), "node", "testdata/client.js", host, port, c.path, o.User, o.Password, r.control.URL)
			cmd.Env = append(os.Environ(), "NODE_PATH="+nodePath)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &errs)
			}
			var got told
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			t.Logf("%s", out)
			checkTold(t, r, &got, c.camera, strings.TrimSuffix(c.path, "/device_service"))
		})
	}
}

func checkTold(t *testing.T, r *rig, got *told, camera, base string) {
	t.Helper()
	uris := map[string][2]string{
		"main": {"rtsp://" + r.rtsp + "/" + camera, "http://" + r.http + base + "/snapshot.jpg?profile=main"},
		"sub":  {"rtsp://" + r.rtsp + "/" + camera + "/sub", "http://" + r.http + base + "/snapshot.jpg?profile=sub"},
	}
	for name, x := range map[string][2]any{
		"media2":       {got.Media2, true},
		"services":     {got.Services, []string{"device", "events", "imaging", "media", "media2", "ptz"}},
		"profiles":     {fmt.Sprint(got.Profiles), "[map[fps:25 token:main width:1280] map[fps:10 token:sub width:640]]"},
		"serial":       {got.Device["serialNumber"], "SIM-" + camera},
		"hostname":     {got.Hostname, camera},
		"scopes":       {got.Scopes, 8},
		"capabilities": {got.Capabilities, []string{"PTZ", "device", "events", "imaging", "media"}},
		"uris":         {got.URIs, uris},
		"uris2":        {got.URIs2, uris},
		"encoders":     {[]int{got.Encoders, got.Encoders2}, []int{2, 2}},
		"configured":   {got.Configured, []int{640, 360, 12, 700, 24}},
		"presets":      {got.Presets, []string{"door"}},
		"ptz":          {fmt.Sprint(got.PTZ), "map[x:0.1 y:0.2 zoom:0.3]"},
		"brightness":   {got.Brightness, 50.0},
	} {
		if !reflect.DeepEqual(x[0], x[1]) {
			t.Errorf("%s: %v, want %v", name, x[0], x[1])
		}
	}
	var topics []string
	for _, e := range got.Events {
		topics = append(topics, e.Topic+" "+e.Operation)
	}
	for _, want := range []string{"tns1:VideoSource/MotionAlarm Initialized", "tns1:RuleEngine/Injected "} {
		if !slices.Contains(topics, want) {
			t.Errorf("no event %q among %q", want, topics)
		}
	}
	var moves []string
	for _, m := range r.side.State()[camera].PTZ.Moves {
		moves = append(moves, m.Operation)
	}
	if want := []string{"ContinuousMove", "Stop", "AbsoluteMove", "SetPreset"}; !slices.Equal(moves, want) {
		t.Errorf("recorded moves %v, want %v", moves, want)
	}
}

// A configuration set over SOAP is what comes over RTSP and what the snapshot shows.
func TestConfigurationReachesTheEncoder(t *testing.T) {
	r := start(t, camsim.Options{Width: 1280, Height: 720, FPS: 25}, onvif.Options{})
	body := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><SetVideoEncoderConfiguration xmlns="http://www.onvif.org/ver10/media/wsdl">` +
		`<Configuration token="encoder-main"><Resolution><Width>640</Width><Height>480</Height></Resolution><RateControl><FrameRateLimit>5</FrameRateLimit>` +
		`<BitrateLimit>500</BitrateLimit></RateControl><H264><GovLength>10</GovLength></H264></Configuration></SetVideoEncoderConfiguration></s:Body></s:Envelope>`
	answer, err := http.Post("http://"+r.http+"/onvif/media_service", "application/soap+xml", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != 200 {
		t.Fatalf("%s", text)
	}
	want := onvif.Encoding{Width: 640, Height: 480, FPS: 5, GOP: 10, BitRate: 500_000}
	if got := r.cams.Devices()[0].Streams()[0].Encoding; got != want {
		t.Errorf("encoding %+v, want %+v", got, want)
	}
	sdp := describe(t, r.rtsp, "/cam0")
	if !strings.Contains(sdp, "a=framerate:5\r\n") {
		t.Errorf("SDP:\n%s", sdp)
	}
	before := time.Now()
	number, at, size := readSnapshot(t, "http://"+r.http+"/onvif/snapshot.jpg?profile=main")
	if size != [2]int{640, 480} || at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("snapshot of %v says %v, number %d", size, at, number)
	}
}

// describe asks for a stream's SDP.
func describe(t *testing.T, addr, path string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "DESCRIBE rtsp://%s%s RTSP/1.0\r\nCSeq: 1\r\n\r\n", addr, path)
	var all []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(all, []byte("a=control:trackID")) {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, all)
		}
		all = append(all, buf[:n]...)
	}
	return string(all)
}

// readSnapshot gets a JPEG and reads its strip.
func readSnapshot(t *testing.T, url string) (number uint32, at time.Time, size [2]int) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	img, err := jpeg.Decode(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	size = [2]int{img.Bounds().Dx(), img.Bounds().Dy()}
	var strip [picture.StripBits / 8]byte
	columns := size[0] / 16
	for k := range picture.StripBits {
		if y, _, _, _ := img.At(k%columns*16+8, k/columns*16+8).RGBA(); y > 0x7fff {
			strip[k/8] |= 0x80 >> (k % 8)
		}
	}
	ms := int64(0)
	for _, b := range strip[4:10] {
		ms = ms<<8 | int64(b)
	}
	number = uint32(strip[0])<<24 | uint32(strip[1])<<16 | uint32(strip[2])<<8 | uint32(strip[3])
	at = time.UnixMilli(ms)
	if picture.Strip(number, at) != strip {
		t.Fatalf("strip % x has a wrong checksum", strip)
	}
	return number, at, size
}
