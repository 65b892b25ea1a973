package nvr_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nightjar/internal/camsim"
	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// silent takes connections and answers nothing: streams that connect there keep connecting.
type silent struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func listenSilently(t *testing.T) *silent {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		s.hangUp()
	})
	return s
}

func (s *silent) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// hangUp stops listening and closes what was taken.
func (s *silent) hangUp() {
	s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// TestConfigMediaRoots adds directories inside and outside the roots, also by way of a link.
func TestConfigMediaRoots(t *testing.T) {
	t.Parallel()
	disks, outside := t.TempDir(), t.TempDir()
	for _, dir := range []string{disks + "/a", disks + "/b", outside + "/c"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside+"/c", disks+"/link"); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dataDirectory(t), func(c *config.Config, _ *nvr.Options) { c.MediaRoots = []string{disks} })
	s.must("POST", "/directories", fields{"path": disks + "/a"}, nil)
	for path, says := range map[string]string{
		outside + "/c": "add its parent to media_roots", disks + "/link": "add its parent to media_roots",
		disks + "/../" + filepath.Base(outside) + "/c": "media_roots", disks + "/none": "does not exist", "relative": "no absolute path",
	} {
		if text := s.refused(422, "POST", "/directories", fields{"path": path}); !strings.Contains(text, says) {
			t.Errorf("%s: %q, want %q in it", path, text, says)
		}
	}
	plain := serve(t, dataDirectory(t))
	s.refused(409, "POST", "/directories", fields{"path": disks + "/a"}) // once is enough
	plain.refused(422, "POST", "/directories", fields{"path": disks + "/b"})
	var list struct{ Directories []struct{ UUID, Path string } }
	s.must("GET", "/directories", nil, &list)
	if len(list.Directories) != 2 || list.Directories[1].Path != disks+"/a" {
		t.Fatalf("directories: %+v", list)
	}
	s.must("DELETE", "/directories/"+list.Directories[1].UUID, nil, nil)
	s.must("POST", "/directories", fields{"path": disks + "/a"}, nil) // it was left empty
}

// TestConfigMemory looks at the size of the memory that holds open blocks.
func TestConfigMemory(t *testing.T) {
	t.Parallel()
	for _, size := range []config.Size{8 << 20, 24 << 20} {
		s := serve(t, dataDirectory(t), func(c *config.Config, _ *nvr.Options) { c.Memory = size })
		var list struct{ Directories []struct{ UUID string } }
		s.must("GET", "/directories", nil, &list)
		pattern := filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "*", "*"+strings.ReplaceAll(list.Directories[0].UUID, "-", "")+"*")
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Size(); got < int64(size) || got > int64(size)*3/2 { // with what describes them
			t.Errorf("memory %d: the blocks take %d bytes", size, got)
		}
	}
}

// TestConfigConnects lets three cameras hang while they connect, then frees places: the camera of the higher priority
// goes first.
func TestConfigConnects(t *testing.T) {
	t.Parallel()
	hanging := listenSilently(t)
	sim := simulate(t, camsim.Options{Cameras: 2, NoSub: true})
	s := serve(t, dataDirectory(t), func(c *config.Config, _ *nvr.Options) { c.Connects = 2 })
	for i := range 2 {
		s.must("POST", "/cameras", fields{"name": fmt.Sprint("hanging", i), "main": fmt.Sprintf("rtsp://%s/%d", hanging.Addr(), i)}, nil)
	}
	until(t, "two cameras hang", func() bool { return hanging.taken() == 2 })
	s.must("POST", "/cameras", fields{"name": "low", "main": sim.url("/cam0"), "transport": "tcp", "priority": 1}, nil)
	s.must("POST", "/cameras", fields{"name": "high", "main": sim.url("/cam1"), "transport": "tcp", "priority": 10}, nil)
	if n := sim.Counts().Connections; n != 0 {
		t.Errorf("%d connections beyond the limit", n)
	}
	hanging.hangUp()
	until(t, "both record", func() bool { return sent(sim, "/cam0") > 0 && sent(sim, "/cam1") > 0 })

	many := listenSilently(t)
	wide := serve(t, dataDirectory(t), func(c *config.Config, _ *nvr.Options) { c.Connects = 3 })
	for i := range 4 {
		wide.must("POST", "/cameras", fields{"name": fmt.Sprint(i), "main": fmt.Sprintf("rtsp://%s/%d", many.Addr(), i)}, nil)
	}
	until(t, "three hang", func() bool { return many.taken() == 3 })
}

// TestPriority holds the only place, lets two cameras wait, and looks who goes first.
func TestPriority(t *testing.T) {
	t.Parallel()
	hanging := listenSilently(t)
	sim := simulate(t, camsim.Options{Cameras: 2, NoSub: true})
	s := serve(t, dataDirectory(t), func(c *config.Config, _ *nvr.Options) { c.Connects = 1 })
	s.must("POST", "/cameras", fields{"name": "hanging", "main": "rtsp://" + hanging.Addr().String() + "/"}, nil)
	until(t, "it hangs", func() bool { return hanging.taken() == 1 })
	s.must("POST", "/cameras", fields{"name": "low", "main": sim.url("/cam0"), "transport": "tcp", "priority": 1}, nil)
	s.must("POST", "/cameras", fields{"name": "high", "main": sim.url("/cam1"), "transport": "tcp", "priority": 10}, nil)
	until(t, "both wait", func() bool {
		low, _, _ := s.state("low/main")
		high, _, _ := s.state("high/main")
		return low == "connecting" && high == "connecting"
	})
	hanging.hangUp()
	until(t, "both record", func() bool { return sent(sim, "/cam0") > 0 && sent(sim, "/cam1") > 0 })
	paths := sim.Counts().Paths
	if low, high := paths["/cam0"].Sessions[0].Started, paths["/cam1"].Sessions[0].Started; !high.Before(low) {
		t.Errorf("priority 10 began at %v, priority 1 at %v", high, low)
	}
}

// TestCameraFields adds a camera with every field and looks at what each does.
func TestCameraFields(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{Cameras: 2, Audio: true, User: "viewer", Password: "open sesame"})
	data := dataDirectory(t)
	s := serve(t, data)
	s.must("POST", "/cameras", fields{
		"name": " Yard ", "description": "by the gate", "main": sim.url("/cam0"), "sub": sim.url("/cam0/sub"), "ext": sim.url("/cam1"),
		"username": "viewer", "password": "open sesame", "transport": "udp", "audio": true, "priority": 7, "retainDays": 3, "retainBytes": 1 << 30,
	}, nil)
	s.must("POST", "/cameras", fields{
		"name": "Silent", "main": strings.Replace(sim.url("/cam1/sub"), "rtsp://", "rtsp://viewer:open%20sesame@", 1), "transport": "tcp",
	}, nil)
	s.must("POST", "/cameras", fields{"name": "Wrong", "main": sim.url("/cam1"), "username": "viewer", "password": "guess"}, nil)
	type camera struct {
		Name, Description, Username, Transport string
		HasPassword, Audio                     bool
		Priority                               int
		Streams                                []struct {
			Name, URL, Directory    string
			Record                  bool
			RetainDays, RetainBytes *int64
		}
	}
	check := func(s *server) {
		t.Helper()
		var c camera
		s.must("GET", "/cameras/Yard", nil, &c)
		if c.Name != "Yard" || c.Description != "by the gate" || c.Username != "viewer" || !c.HasPassword || c.Transport != "udp" || !c.Audio || c.Priority != 7 {
			t.Errorf("camera: %+v", c)
		}
		if len(c.Streams) != 3 || c.Streams[1].URL != sim.url("/cam0/sub") || *c.Streams[2].RetainDays != 3 || *c.Streams[0].RetainBytes != 1<<30 ||
			!c.Streams[0].Record || c.Streams[0].Directory != nvr.DefaultDirectory(data) {
			t.Errorf("streams: %+v", c.Streams)
		}
		s.must("GET", "/cameras/Silent", nil, &c)
		if c.Streams[0].URL != sim.url("/cam1/sub") || c.Username != "viewer" || !c.HasPassword || c.Audio || c.Priority != 5 {
			t.Errorf("credentials in a URL: %+v", c)
		}
	}
	check(s)
	for _, path := range []string{"/cam0", "/cam0/sub", "/cam1", "/cam1/sub"} {
		until(t, path+" sends", func() bool { return sent(sim, path) > 0 })
	}
	paths := sim.Counts().Paths
	if a, b := paths["/cam0"].Sessions[0].Transport, paths["/cam1/sub"].Sessions[0].Transport; a != "udp" || b != "tcp" {
		t.Errorf("transports %s and %s", a, b)
	}
	until(t, "sound is sent", func() bool { return sim.Counts().Paths["/cam0"].AudioSamplesSent > 0 })
	if n := sim.Counts().Paths["/cam1/sub"].AudioSamplesSent; n != 0 {
		t.Errorf("%d samples of sound that nobody wants", n)
	}
	until(t, "the wrong password is told", func() bool {
		phase, reason, _ := s.state("Wrong/main")
		return phase == "waiting" && reason == "auth-failed"
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	check(serve(t, data)) // all of it is stored
}

// TestCameraRefusals holds the sentences for fields that make no sense.
func TestCameraRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, dataDirectory(t))
	good := func(change fields) fields {
		f := fields{"name": "A", "main": "rtsp://127.0.0.1:1/x"}
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	s.must("POST", "/cameras", good(fields{"name": "taken"}), nil)
	for _, c := range []struct {
		status int
		change fields
		says   string
	}{
		{422, fields{"name": ""}, "needs a name"},
		{422, fields{"name": "a/b"}, "without slash"},
		{409, fields{"name": "taken"}, "choose another name"},
		{422, fields{"main": ""}, "needs the URL"},
		{422, fields{"main": "http://x/y"}, "write rtsp://"},
		{422, fields{"sub": "nonsense"}, "write rtsp://"},
		{422, fields{"transport": "pigeon"}, "auto, tcp or udp"},
		{422, fields{"priority": 11}, "1 (first to be given up) to 10"},
		{422, fields{"retainDays": 0}, "at least 1"},
		{422, fields{"retainBytes": -1}, "negative"},
		{400, fields{"colour": "red"}, "colour"},
		{400, fields{"audio": "yes"}, "audio"},
	} {
		if text := s.refused(c.status, "POST", "/cameras", good(c.change)); !strings.Contains(text, c.says) {
			t.Errorf("%v: %q, want %q in it", c.change, text, c.says)
		}
	}
	for _, c := range []struct {
		change fields
		says   string
	}{
		{fields{"record": 1}, "true or false"}, {fields{"retainDays": 0.5}, "whole"}, {fields{"retainBytes": -1}, "whole"},
		{fields{"directory": "/none"}, "add it first"}, {fields{"speed": 3}, "the keys are"},
	} {
		if text := s.refused(422, "PATCH", "/cameras/taken/main", c.change); !strings.Contains(text, c.says) {
			t.Errorf("%v: %q, want %q in it", c.change, text, c.says)
		}
	}
	if a := s.ask("POST", "/cameras", nil); a.status != 415 {
		t.Errorf("no JSON: %d %s", a.status, a.body)
	}
}

// TestStreamSettings changes record, directory and the limits of a stream that records.
func TestStreamSettings(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{})
	data, disk := dataDirectory(t), t.TempDir()
	roots := func(c *config.Config, _ *nvr.Options) { c.MediaRoots = []string{disk} }
	s := serve(t, data, roots)
	s.must("POST", "/directories", fields{"path": disk}, nil)
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "sub": sim.url("/cam0/sub"), "transport": "tcp"}, nil)
	until(t, "it sends", func() bool { return sent(sim, "/cam0") > 15 })
	s.must("PATCH", "/cameras/A/main", fields{"directory": disk, "retainDays": 2}, nil)
	until(t, "it records in the other directory", func() bool { return len(sampleFiles(t, disk)) == 1 })
	if n := len(sampleFiles(t, nvr.DefaultDirectory(data))); n == 0 {
		t.Error("the recordings in the old directory are gone")
	}
	until(t, "the first recording has ended", func() bool { return len(s.recordings("A/main")) == 1 })
	if r := s.recordings("A/main")[0]; r.EndReason != "settings-change" {
		t.Errorf("recording: %+v", r)
	}
	for _, change := range []fields{{"directory": nvr.DefaultDirectory(data)}, {"record": false}} {
		before := sent(sim, "/cam0")
		until(t, "it sends again", func() bool { return sent(sim, "/cam0") > before+15 })
		s.must("PATCH", "/cameras/A/main", change, nil)
	}
	until(t, "the session has ended", func() bool { return sim.Counts().RTSPSessions == 1 })
	if phase, _, _ := s.state("A/main"); phase != "stopped" {
		t.Errorf("a stream that does not record is %s", phase)
	}
	s.must("PATCH", "/cameras/A/main", fields{"retainDays": nil}, nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	s = serve(t, data, roots)
	if n := len(s.recordings("A/main")); n != 3 {
		t.Fatalf("%d recordings of main", n)
	}
	const first = "0000000100000001"
	sub := s.recordings("A/sub")
	if !slices.Contains(sampleFiles(t, nvr.DefaultDirectory(data)), first) {
		t.Error("the first file of main is not there")
	}
	s.must("PATCH", "/cameras/A/main", fields{"retainBytes": 0}, nil)
	until(t, "all of main but its two latest recordings is deleted", func() bool {
		return len(s.recordings("A/main")) == 2 && !slices.Contains(sampleFiles(t, nvr.DefaultDirectory(data)), first)
	})
	if g := s.gaps("A/main"); len(g) == 0 || g[0].Reason != "retention" {
		t.Errorf("gaps after retention: %+v", g)
	}
	if n := len(s.recordings("A/sub")); n < len(sub) {
		t.Errorf("%d recordings of sub, there were %d", n, len(sub))
	}
}

// sampleFiles lists the sample files of a directory.
func sampleFiles(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) == 16 {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestReadOnly serves what is recorded and changes nothing.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	data := dataDirectory(t)
	s := serve(t, data)
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	until(t, "it sends", func() bool { return sent(sim, "/cam0") > 15 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	before := sent(sim, "/cam0")
	s = serve(t, data, func(c *config.Config, _ *nvr.Options) { c.ReadOnly = true })
	r := s.recordings("A/main")
	if len(r) != 1 {
		t.Fatalf("recordings: %+v", r)
	}
	if a := s.ask("GET", fmt.Sprintf("/cameras/A/main/view.mp4?start=%dt&end=%dt", r[0].StartTime90k, r[0].EndTime90k), nil); a.status != 200 {
		t.Errorf("view: %d %s", a.status, a.body)
	}
	for _, c := range [][2]string{
		{"POST", "/cameras"}, {"DELETE", "/cameras/A?confirm=A"}, {"PATCH", "/cameras/A/main"}, {"POST", "/directories"},
	} {
		body := map[string]any{"POST /cameras": fields{"name": "B", "main": sim.url("/cam0")}, "PATCH /cameras/A/main": fields{"record": false},
			"POST /directories": fields{"path": "/srv"}}[c[0]+" "+c[1]]
		if text := s.refused(409, c[0], c[1], body); !strings.Contains(text, "read-only") {
			t.Errorf("%s %s: %q", c[0], c[1], text)
		}
	}
	if after := sent(sim, "/cam0"); after != before || sim.Counts().RTSPSessions != 0 {
		t.Errorf("a read-only server received %d samples", after-before)
	}
}

// TestProbes asks the probes and the metrics of a server with a camera that works and one that does not.
func TestProbes(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	s := serve(t, dataDirectory(t))
	root := strings.TrimSuffix(s.base, "/api/v1")
	if a := s.ask("GET", root+"/healthz", nil); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	s.must("POST", "/cameras", fields{"name": "A", "main": sim.url("/cam0"), "transport": "tcp"}, nil)
	until(t, "it is ready", func() bool { return s.ask("GET", root+"/readyz", nil).status == 200 })
	until(t, "samples are counted", func() bool {
		return metric(s, `nightjar_stream_video_samples_total{camera="A",stream="main"}`) >= 10
	})
	if v := metric(s, `nightjar_stream_recording{camera="A",stream="main"}`); v != 1 {
		t.Errorf("nightjar_stream_recording is %v", v)
	}
	if v := metric(s, `nightjar_build{version="test"}`); v != 1 {
		t.Errorf("nightjar_build is %v", v)
	}
	if v := metric(s, fmt.Sprintf("nightjar_directory_available_bytes{directory=%q}", nvr.DefaultDirectory(s.conf.Data))); v <= 0 {
		t.Errorf("nightjar_directory_available_bytes is %v", v)
	}
	s.must("POST", "/cameras", fields{"name": "B", "main": "rtsp://127.0.0.1:1/x"}, nil)
	until(t, "B is not ready", func() bool { return s.ask("GET", root+"/readyz", nil).status == 503 })
	s.must("DELETE", "/cameras/B?confirm=B", nil, nil)
	s.must("DELETE", "/cameras/A?confirm=A", nil, nil)
	if a := s.ask("GET", root+"/metrics", nil); strings.Contains(string(a.body), `camera="`) {
		t.Errorf("metrics of removed cameras: %s", a.body)
	}
	if a := s.ask("GET", root+"/readyz", nil); a.status != 200 {
		t.Errorf("readyz without cameras: %d %s", a.status, a.body)
	}
}

// metric returns a series' value, -1 without one.
func metric(s *server, series string) float64 {
	a := s.ask("GET", strings.TrimSuffix(s.base, "/api/v1")+"/metrics", nil)
	for _, line := range strings.Split(string(a.body), "\n") {
		var v float64
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return -1
}
