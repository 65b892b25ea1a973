package judge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// Browser is a headless Chromium with one page, driven over the DevTools protocol through a pipe (messages in JSON,
// each ended by a zero byte). It belongs to one goroutine.
type Browser struct {
	cmd      *exec.Cmd
	stop     context.CancelFunc
	send     *os.File
	receive  *os.File
	messages *bufio.Reader
	profile  string
	said     head

	last       int    // id of the last command
	session    string // of the page
	loaded     bool   // the load event came since it was cleared
	complaints []string
}

func chromiumPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	return ""
}

// OpenBrowser starts Chromium with a new profile and an empty page; it ends with Close or with ctx. args are further
// options.
func OpenBrowser(ctx context.Context, args ...string) (*Browser, error) {
	b := &Browser{}
	if err := b.start(ctx, args); err != nil {
		return nil, fmt.Errorf("start Chromium: %w", errors.Join(err, b.Close()))
	}
	if err := b.openPage(ctx); err != nil {
		return nil, fmt.Errorf("open a page in Chromium: %w", errors.Join(err, b.Close()))
	}
	return b, nil
}

// Chromium is OpenBrowser for tests; the browser is closed at the test's end.
func Chromium(t testing.TB, args ...string) *Browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	b, err := OpenBrowser(ctx, args...)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close Chromium: %v", err)
		}
		cancel()
	})
	return b
}

func (b *Browser) start(ctx context.Context, args []string) error {
	program := chromiumPath()
	if program == "" {
		return exec.ErrNotFound
	}
	var err error
	if b.profile, err = os.MkdirTemp("", "judge-chromium-"); err != nil {
		return err
	}
	theirReceive, send, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirReceive.Close()
	b.send = send
	receive, theirSend, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirSend.Close()
	b.receive, b.messages = receive, bufio.NewReaderSize(receive, 64<<10)

	all := append([]string{"--headless", "--remote-debugging-pipe", "--user-data-dir=" + b.profile, "--no-sandbox",
		"--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
		"--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync",
		"--disable-dev-shm-usage", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
		"--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication",
		"--metrics-recording-only", "--mute-audio", "--hide-scrollbars", "--window-size=1280,800",
		"--autoplay-policy=no-user-gesture-required"}, args...)
	ctx, b.stop = context.WithCancel(ctx)
	b.cmd = command(ctx, program, append(all, "about:blank")...)
	b.cmd.ExtraFiles = []*os.File{theirReceive, theirSend}
	b.cmd.Stderr = &b.said
	b.cmd.Env = append(os.Environ(), "HOME="+b.profile)
	if err := b.cmd.Start(); err != nil {
		b.cmd = nil
		return err
	}
	return nil
}

// openPage attaches to the page and asks for its events.
func (b *Browser) openPage(ctx context.Context) error {
	var targets struct {
		Infos []struct{ TargetID, Type string } `json:"targetInfos"`
	}
	if err := b.call(ctx, "Target.getTargets", nil, &targets); err != nil {
		return err
	}
	var page string
	for _, i := range targets.Infos {
		if i.Type == "page" {
			page = i.TargetID
		}
	}
	if page == "" {
		var made struct{ TargetID string }
		if err := b.call(ctx, "Target.createTarget", map[string]any{"url": "about:blank"}, &made); err != nil {
			return err
		}
		page = made.TargetID
	}
	var attached struct{ SessionID string }
	if err := b.call(ctx, "Target.attachToTarget", map[string]any{"targetId": page, "flatten": true}, &attached); err != nil {
		return err
	}
	b.session = attached.SessionID
	for _, domain := range []string{"Page.enable", "Runtime.enable", "Log.enable"} {
		if err := b.call(ctx, domain, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() error {
	var errs []error
	if b.stop != nil {
		b.stop()
	}
	if b.cmd != nil {
		b.cmd.Wait() // killed: its status tells nothing
	}
	for _, f := range []*os.File{b.send, b.receive} {
		if f != nil {
			f.Close()
		}
	}
	if b.profile != "" {
		// Processes of the group that outlive the first by a moment may still write there.
		var err error
		for range 20 {
			if err = os.RemoveAll(b.profile); err == nil {
				break
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Navigate opens a URL and waits for the page's load event.
func (b *Browser) Navigate(ctx context.Context, url string) error {
	b.loaded = false
	var went struct{ ErrorText string }
	err := b.call(ctx, "Page.navigate", map[string]any{"url": url}, &went)
	if err == nil && went.ErrorText != "" {
		err = errors.New(went.ErrorText)
	}
	for err == nil && !b.loaded {
		_, err = b.read(ctx)
	}
	if err != nil {
		return fmt.Errorf("navigate Chromium to %s: %w", url, err)
	}
	return nil
}

// Evaluate runs JavaScript in the page, waits for the value or promise it yields, and stores it in result, which may be
// nil, by way of JSON.
func (b *Browser) Evaluate(ctx context.Context, script string, result any) error {
	var reply struct {
		Result    struct{ Value json.RawMessage }
		Exception *exception `json:"exceptionDetails"`
	}
	params := map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true}
	err := b.call(ctx, "Runtime.evaluate", params, &reply)
	switch {
	case err != nil:
	case reply.Exception != nil:
		err = errors.New(reply.Exception.String())
	case result != nil && len(reply.Result.Value) == 0:
		err = errors.New("the script yields no value")
	case result != nil:
		err = json.Unmarshal(reply.Result.Value, result)
	}
	if err != nil {
		return fmt.Errorf("evaluate script in Chromium: %w", err)
	}
	return nil
}

// Screenshot returns the page as PNG.
func (b *Browser) Screenshot(ctx context.Context) ([]byte, error) {
	var shot struct{ Data []byte }
	if err := b.call(ctx, "Page.captureScreenshot", map[string]any{"format": "png"}, &shot); err != nil {
		return nil, fmt.Errorf("take screenshot in Chromium: %w", err)
	}
	return shot.Data, nil
}

// Call sends any command of the DevTools protocol to the page and stores its result, unless result is nil.
func (b *Browser) Call(ctx context.Context, method string, params map[string]any, result any) error {
	return b.call(ctx, method, params, result)
}

// Complaints returns what went wrong in the page since the last call: uncaught exceptions, console errors and
// warnings, failed loads.
func (b *Browser) Complaints() []string {
	c := b.complaints
	b.complaints = nil
	return c
}

// exception is Runtime.ExceptionDetails.
type exception struct {
	Text      string
	Exception struct{ Description, Value any }
}

func (e *exception) String() string {
	if e.Exception.Description != nil {
		return fmt.Sprint(e.Text, ": ", e.Exception.Description)
	}
	return fmt.Sprint(e.Text, ": ", e.Exception.Value)
}

// message is anything the browser sends.
type message struct {
	ID     int
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
	Method string
	Params json.RawMessage
}

// call sends a command and reads on until its answer is there.
func (b *Browser) call(ctx context.Context, method string, params map[string]any, result any) error {
	b.last++
	command := map[string]any{"id": b.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	text, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if _, err := b.send.Write(append(text, 0)); err != nil {
		return fmt.Errorf("%s: %w: %s", method, err, b.said.String())
	}
	for {
		m, err := b.read(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", method, err)
		case m.ID != b.last:
		case m.Error != nil:
			return fmt.Errorf("%s: %s (%d)", method, m.Error.Message, m.Error.Code)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		default:
			return nil
		}
	}
}

// read takes the next message and notes what events tell.
func (b *Browser) read(ctx context.Context) (message, error) {
	b.receive.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { b.receive.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := b.messages.ReadBytes(0)
	if err != nil {
		return message{}, errors.Join(err, context.Cause(ctx))
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		return message{}, fmt.Errorf("read message of Chromium: %w", err)
	}
	return m, b.note(m)
}

// note keeps what an event tells.
func (b *Browser) note(m message) error {
	var p struct {
		Type  string
		Args  []struct{ Value, Description any }
		Entry struct{ Level, Text, URL string }
		Exc   exception `json:"exceptionDetails"`
	}
	switch m.Method {
	case "Page.loadEventFired":
		b.loaded = true
		return nil
	case "Inspector.targetCrashed":
		return errors.New("the page crashed")
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
	default:
		return nil
	}
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return fmt.Errorf("read event %s: %w", m.Method, err)
	}
	switch {
	case m.Method == "Runtime.exceptionThrown":
		b.complain(p.Exc.String())
	case m.Method == "Log.entryAdded" && slices.Contains([]string{"error", "warning"}, p.Entry.Level):
		b.complain(p.Entry.Text + " " + p.Entry.URL)
	case m.Method == "Runtime.consoleAPICalled" && slices.Contains([]string{"error", "warning", "assert"}, p.Type):
		var text []any
		for _, a := range p.Args {
			if a.Value != nil {
				text = append(text, a.Value)
			} else {
				text = append(text, a.Description)
			}
		}
		b.complain(p.Type + ": " + fmt.Sprintln(text...))
	}
	return nil
}

// complain keeps one complaint, up to a bound.
func (b *Browser) complain(text string) {
	if len(b.complaints) < 1000 {
		b.complaints = append(b.complaints, text)
	}
}
