package camsim

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// public lists what OPTIONS promises.
const public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

// exchange is one request on its way to an answer.
type exchange struct {
	*request
	c       *conn
	answer  response
	path    string
	control string
	stream  *stream  // nil without one
	session *session // nil without one
	silent  bool     // no answer is sent, or one was queued already
}

func (x *exchange) fail(status int) { x.answer.status = status }

// handle answers one request.
func (c *conn) handle(ctx context.Context, r *request) {
	x := &exchange{request: r, c: c, answer: response{status: 200}}
	x.answer.add("CSeq", r.get("CSeq"))
	x.path, x.control = splitURI(r.uri)
	x.find()
	if x.stream != nil {
		c.stream = x.stream
	}
	if c.halfOpen() {
		return
	}
	if r.get("CSeq") == "" {
		x.fail(400)
		c.send(&x.answer)
		return
	}
	if r.method == "OPTIONS" || x.authorised() {
		x.keepAlive(ctx)
		if !x.silent && x.answer.status == 200 {
			x.dispatch()
		}
	}
	if !x.silent {
		c.send(&x.answer)
	}
}

// halfOpen reports whether fault HalfOpen holds for what the connection is about.
func (c *conn) halfOpen() bool {
	if c.stream == nil {
		return false
	}
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	return c.stream.faults.halfOpen
}

// find settles which session and stream a request is about.
func (x *exchange) find() {
	srv := x.c.srv
	if id := x.request.session(); id != "" {
		x.session = srv.session(id)
	}
	path := strings.TrimSuffix(x.path, "/main")
	switch {
	case srv.streams[path] != nil:
		x.stream = srv.streams[path]
	case x.session != nil:
		x.stream = x.session.stream
	case x.method != "DESCRIBE" && x.c.stream != nil && x.c.stream.foreign():
		x.stream = x.c.stream // a transcript's control URLs lead anywhere
	}
}

// foreign reports whether the stream's description is a transcript.
func (s *stream) foreign() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replay != nil
}

// settings returns what a request needs of the faults of its stream.
func (x *exchange) settings() (password string, schemes []string, uses int) {
	o := &x.c.srv.o
	password, schemes = o.Password, o.Auth
	if x.stream == nil {
		return
	}
	x.stream.mu.Lock()
	defer x.stream.mu.Unlock()
	f := &x.stream.faults
	if f.password != "" {
		password = f.password
	}
	if f.auth != nil {
		schemes = f.auth
	}
	return password, schemes, f.nonceUses
}

// authorised checks the credentials and prepares the 401 otherwise.
func (x *exchange) authorised() bool {
	c := x.c
	user := c.srv.o.User
	if user == "" {
		return true
	}
	password, schemes, uses := x.settings()
	nonce := c.currentNonce()
	v := authorise(x.get("Authorization"), x.method, x.uri, user, password, schemes, nonce)
	if v == granted {
		if c.uses++; uses == 0 || c.uses <= uses {
			return true
		}
		v = stale
	}
	if v == stale && uses > 0 {
		nonce = c.renewNonce()
		c.uses = 0
	}
	x.fail(401)
	for _, value := range challenges(schemes, nonce, v == stale) {
		x.answer.add("WWW-Authenticate", value)
	}
	return false
}

func (c *conn) currentNonce() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nonce
}

// renewNonce makes all answers to the old challenge stale.
func (c *conn) renewNonce() string {
	n := c.srv.nonce()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonce = n
	return n
}

// keepAlive puts off the expiry of the request's session, as far as the fault KeepAlive lets it.
func (x *exchange) keepAlive(ctx context.Context) {
	if x.session == nil {
		return
	}
	st := x.session.stream
	st.mu.Lock()
	how, delay := st.faults.keepAlive, st.faults.keepAliveDelay
	st.mu.Unlock()
	if how != "ignore" {
		x.session.touch()
	}
	if x.method != "OPTIONS" && x.method != "GET_PARAMETER" && x.method != "SET_PARAMETER" {
		return
	}
	switch {
	case how == "mute":
		x.silent = true
	case how == "refuse":
		x.fail(501)
	case delay > 0:
		x.c.pause(ctx, delay)
	}
}

func (x *exchange) dispatch() {
	if x.method == "OPTIONS" {
		x.answer.add("Public", public)
		return
	}
	if x.stream == nil {
		x.fail(404)
		return
	}
	switch x.method {
	case "DESCRIBE":
		x.describe()
	case "SETUP":
		x.setup()
	case "PLAY", "PAUSE", "TEARDOWN":
		if x.session == nil {
			x.fail(454)
			return
		}
		switch x.method {
		case "PLAY":
			x.play()
		case "PAUSE":
			x.pause()
		default:
			x.teardown()
		}
	case "GET_PARAMETER", "SET_PARAMETER":
		if x.request.session() != "" && x.session == nil {
			x.fail(454)
		} else if x.session != nil {
			x.answer.add("Session", x.session.header())
		}
	default:
		x.fail(501)
		x.answer.add("Public", public)
	}
}

// base is the URL of the stream as the client wrote it, without query and track.
func (x *exchange) base() string {
	authority := "camsim"
	if i := strings.Index(x.uri, "://"); i >= 0 {
		authority, _, _ = strings.Cut(x.uri[i+3:], "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			authority = authority[at+1:]
		}
	}
	return "rtsp://" + authority + x.path
}

func (x *exchange) describe() {
	st := x.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.open(); err != nil {
		x.fail(500)
		return
	}
	f := &st.faults
	switch {
	case f.refuse != 0:
		x.fail(f.refuse)
		if f.refuse == 401 {
			x.answer.add("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
		}
		return
	case f.redirect != "":
		x.fail(302)
		to := f.redirect
		if strings.HasPrefix(to, "/") {
			to = strings.TrimSuffix(x.base(), x.path) + to
		}
		x.answer.add("Location", to)
		return
	}
	if st.replay != nil {
		st.replay.describe(&x.answer)
		return
	}
	x.answer.body = st.sdp()
	if !f.noType {
		x.answer.add("Content-Type", "application/sdp")
	}
	x.answer.add("Content-Base", x.base()+"/")
}

func (x *exchange) play() {
	st := x.session.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	s := x.session
	if s.ended || len(s.outlets) == 0 {
		x.fail(455)
		return
	}
	now := time.Now()
	if !s.playing {
		st.begin(s, now)
	}
	x.answer.add("Session", s.header())
	st.addPlayHeaders(&x.answer, s, x.base(), now)
	x.c.send(&x.answer) // before the first sample, which needs stream.mu
	x.silent = true
}

// addPlayHeaders adds Range, RTP-Info and the camera's Date.
func (st *stream) addPlayHeaders(r *response, s *session, base string, now time.Time) {
	if st.replay != nil && st.replay.play(r, st, s) {
		return
	}
	r.add("Date", st.clock.utc(st.clock.at(now)).Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	r.add("Range", "npt=0.000-")
	if info := st.rtpInfo(s, base); info != "" {
		r.add("RTP-Info", info)
	}
}

func (x *exchange) pause() {
	st := x.session.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	st.remove(x.session)
	x.answer.add("Session", x.session.header())
}

func (x *exchange) teardown() {
	x.answer.add("Session", x.session.id)
	x.c.srv.end(x.session, "teardown")
}
