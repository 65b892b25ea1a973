package onvif

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Camera is what a device describes and controls. Its methods may be called concurrently.
type Camera interface {
	Name() string                           // such as cam0: the first part of the device's paths
	Streams() []Stream                      // the main stream first; always as many, with the same names
	Configure(stream int, e Encoding) error // changes the encoder; a *ConfigError says that it cannot
	ForceKey(stream int)                    // lets a key sample come next
	Image(stream int) (image.Image, error)  // the present scene
	Now() time.Time                         // the camera's clock
	Reboot(d time.Duration)                 // takes the camera off the net for d
	Boots() (n int, up bool)                // how often it was rebooted, and whether it can be reached
}

// Encoding is how a stream is encoded.
type Encoding struct {
	Width, Height int
	FPS           int // pictures a second
	GOP           int // pictures from one key sample to the next
	BitRate       int // bits a second
}

// Stream is one stream of a camera.
type Stream struct {
	Name  string // main or sub: token of its profile
	Path  string // of its RTSP URL, with the slash
	Codec string // H264 or H265
	Encoding
}

// ConfigError is a configuration that the camera cannot take.
type ConfigError struct{ Reason string }

func (e *ConfigError) Error() string { return e.Reason }

// Options say what a Server answers. The zero value of every field but Cameras and RTSP is a default.
type Options struct {
	Cameras []Camera
	RTSP    string // HOST:PORT of stream URIs; with an unspecified or empty host the one that the client used

	User, Password string // asked for when User is not empty

	ClockOffset time.Duration // the devices' clocks are ahead of their cameras' by this much
	Skew        time.Duration // how far the time of a WS-UsernameToken may be off; 0 is 60 s
	Motion      time.Duration // motion begins once in so long, and lasts half of it; 0: never
	Offline     time.Duration // how long a reboot by SystemReboot takes; 0 is 5 s

	// ReferenceParameters lets all pull points share one address and differ in a SOAP header that the client has to
	// send back (WS-Addressing 1.0 section 2.1), as Axis devices of firmware 5 to 10 do.
	ReferenceParameters bool

	Log *slog.Logger // nil is silent
}

// Server is the ONVIF side of a set of cameras: an http.Handler.
type Server struct {
	o       Options
	devices []*device
	byName  map[string]*device

	mu     sync.Mutex // guards what follows
	tokens tokenCache
	nonces nonceCache
}

// New returns a server for the cameras.
func New(o Options) *Server {
	if o.Skew == 0 {
		o.Skew = 60 * time.Second
	}
	if o.Offline == 0 {
		o.Offline = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, byName: map[string]*device{}}
	for i, c := range o.Cameras {
		d := newDevice(s, i, c)
		s.devices = append(s.devices, d)
		s.byName[c.Name()] = d
	}
	return s
}

// Serve answers requests at the listener and lets motion come and go until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { s.runMotion(ctx) })
	group.Go(func() { s.watch(ctx) })
	return serveHTTP(ctx, ln, s)
}

// serveHTTP serves until ctx ends; requests in progress are cut off then.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	hs := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	stop := context.AfterFunc(ctx, func() { hs.Close() })
	defer stop()
	if err := hs.Serve(ln); ctx.Err() == nil {
		return fmt.Errorf("serve ONVIF at %v: %w", ln.Addr(), err)
	}
	return nil
}

// watch looks for reboots, so that requests that wait for events are cut off soon.
func (s *Server) watch(ctx context.Context) {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, d := range s.devices {
			d.up()
		}
	}
}

// runMotion begins and ends motion in front of all cameras.
func (s *Server) runMotion(ctx context.Context) {
	if s.o.Motion <= 0 {
		return
	}
	t := time.NewTicker(max(s.o.Motion/2, time.Millisecond))
	defer t.Stop()
	for on := true; ; on = !on {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, d := range s.devices {
			d.motion(on)
		}
	}
}

// call is one request being answered.
type call struct {
	gone <-chan struct{} // closed when the client has left
	d    *device
	req  *Request
	op   *Node
	base string // of the device's addresses, without a slash at the end
	host string // that the client used, without port
	rest string // of the path behind /onvif/
	w    writer
}

// operation is what a device can do for a client.
type operation struct {
	public bool // access class PRE_AUTH (ONVIF Core section 5.9.4.3)
	do     func(c *call) error
}

// operations are all of them, by the name of the request.
var operations = map[xml.Name]operation{}

// serves adds the operations of a namespace; those whose name begins with a plus are public.
func serves(space string, all map[string]func(c *call) error) {
	for name, do := range all {
		name, public := strings.CutPrefix(name, "+")
		operations[xml.Name{Space: space, Local: name}] = operation{public, do}
	}
}

// ServeHTTP answers SOAP requests and sends snapshots.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, prefix, rest := s.find(r.URL.Path)
	if d == nil {
		http.NotFound(w, r)
		return
	}
	if !d.up() {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	host := saneHost(r.Host)
	switch {
	case rest == "snapshot.jpg" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.serveSnapshot(w, r, d)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "SOAP requests are sent with POST", http.StatusMethodNotAllowed)
	default:
		c := &call{gone: r.Context().Done(), d: d, base: "http://" + host + prefix, host: hostname(host), rest: rest}
		s.serveSOAP(w, r, c)
	}
}

// find returns the device of a path, the path's part up to /onvif, and what follows that.
func (s *Server) find(path string) (d *device, prefix, rest string) {
	if rest, ok := strings.CutPrefix(path, "/onvif/"); ok && len(s.devices) > 0 {
		return s.devices[0], "/onvif", rest
	}
	name, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/onvif/")
	if !ok {
		return nil, "", ""
	}
	return s.byName[name], "/" + name + "/onvif", rest
}

// serveSOAP reads, authenticates and answers one request.
func (s *Server) serveSOAP(w http.ResponseWriter, r *http.Request, c *call) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			panic(http.ErrAbortHandler) // the client is gone
		}
		reply(w, "", "", "", invalid("a request of more than %d bytes", maxBody))
		return
	}
	c.req, err = ParseRequest(body)
	if err != nil {
		f := sender(err.Error(), "ter:WellFormed")
		if errors.Is(err, errVersion) {
			f = &fault{code: "VersionMismatch", reason: err.Error()}
		}
		reply(w, "", "", "", f)
		return
	}
	c.op = c.req.Operation
	o, known := operations[c.op.Name]
	if err := s.authenticate(r, c.req, known && o.public); err != nil {
		s.refuse(w, r, c, err)
		return
	}
	if !known {
		reply(w, "", "", "", unsupported(c.op.Name.Local))
		return
	}
	boots, _ := c.d.camera.Boots()
	err = o.do(c)
	if n, _ := c.d.camera.Boots(); n != boots {
		panic(http.ErrAbortHandler) // the camera was rebooted meanwhile
	}
	action, relates := c.addressing()
	reply(w, action, relates, c.answer(), err)
	if err == nil && c.op.Name == (xml.Name{Space: nsDevice, Local: "SystemReboot"}) {
		s.o.Log.Info("reboot", "camera", c.d.camera.Name())
		http.NewResponseController(w).Flush() // fails only when the client has left
		c.d.camera.Reboot(s.o.Offline)
	}
}

// answer wraps what the operation wrote.
func (c *call) answer() string {
	prefix := "tds"
	for _, p := range prefixes {
		if p.space == c.op.Name.Space {
			prefix = p.prefix
		}
	}
	name := prefix + ":" + c.op.Name.Local + "Response"
	return "<" + name + ">" + c.w.b.String() + "</" + name + ">"
}

// addressing returns the Action and RelatesTo of the answer (WS-Addressing 1.0 SOAP binding).
func (c *call) addressing() (action, relatesTo string) {
	if n := c.req.header("Action"); n != nil && n.Text != "" {
		action = strings.TrimSuffix(n.Text, "Request") + "Response"
	}
	if n := c.req.header("MessageID"); n != nil {
		relatesTo = n.Text
	}
	return action, relatesTo
}

// reply sends an answer, or the fault that err is.
func reply(w http.ResponseWriter, action, relatesTo, body string, err error) {
	status := http.StatusOK
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = &fault{code: "Receiver", subcodes: []string{"ter:Action"}, reason: err.Error()}
		}
		status, body = f.httpStatus(), f.body()
		action = "http://www.w3.org/2005/08/addressing/soap/fault"
		if relatesTo == "" {
			action = ""
		}
	}
	message := envelope(action, relatesTo, body)
	w.Header().Set("Content-Type", "application/soap+xml; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(message)))
	w.WriteHeader(status)
	w.Write(message) // fails only when the client has left
}

// saneHost returns a Host header if it is fit for addresses that we hand out, else localhost.
func saneHost(host string) string {
	ok := host != ""
	for i := range len(host) {
		c := host[i]
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(".-:[]_%", c) >= 0)
	}
	if !ok {
		return "localhost"
	}
	return host
}

// hostname returns a host without its port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
