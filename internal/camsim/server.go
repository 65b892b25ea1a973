package camsim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"nightjar/internal/camsim/picture"
)

// Server is a set of simulated cameras behind one RTSP address.
type Server struct {
	o       Options
	start   time.Time // of all streams' clocks
	streams map[string]*stream
	paths   []string // in order

	opening sync.Once
	broken  error
	files   fileSet

	group sync.WaitGroup // connections, streams, UDP readers

	mu        sync.Mutex // guards what follows
	rng       *rand.Rand
	sessions  map[string]*session
	conns     map[*conn]bool
	listener  net.Listener
	rebooting time.Duration // how long the port is to stay closed; negative unless Reboot closed listener
	down      bool          // connections are refused
	reboots   int
}

// New returns a server with the given cameras. It opens nothing; see Open.
func New(o Options) *Server {
	s := &Server{
		o: o.withDefaults(), start: time.Now(), streams: map[string]*stream{},
		sessions: map[string]*session{}, conns: map[*conn]bool{},
	}
	s.rng = rand.New(rand.NewPCG(uint64(s.o.Seed), 1<<63))
	if s.broken = s.o.check(); s.broken != nil {
		return s
	}
	for i := range s.o.Cameras {
		s.paths = append(s.paths, fmt.Sprintf("/cam%d", i))
		if !s.o.NoSub {
			s.paths = append(s.paths, fmt.Sprintf("/cam%d/sub", i))
		}
	}
	main := encoding{s.o.Width, s.o.Height, s.o.FPS, s.o.GOP, s.o.BitRate}
	sub := encoding{s.o.SubWidth, s.o.SubHeight, s.o.SubFPS, s.o.SubGOP, s.o.SubBitRate}
	for i, p := range s.paths {
		enc := main
		if strings.HasSuffix(p, "/sub") {
			enc = sub
		}
		s.streams[p] = newStream(s, p, i, len(s.paths), enc)
	}
	return s
}

// Open reads the files and switches the faults on, once. Serve and ServeConn do it themselves; calling it first tells mistakes before a port is
// open. The first mistake in the options is returned here too.
func (s *Server) Open() error {
	s.opening.Do(func() {
		if s.broken == nil {
			s.files, s.broken = readFiles(s.o.Files)
		}
		for _, f := range s.o.Faults {
			if s.broken == nil {
				s.broken = s.setFault(f.Path, f.Fault)
			}
		}
	})
	return s.broken
}

// Paths returns the streams' paths.
func (s *Server) Paths() []string { return slices.Clone(s.paths) }

// Serve answers clients of the listener until ctx ends, then closes all connections and waits for all its goroutines.
// It closes the listener; fault Reboot opens a new one on the same address.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer s.group.Wait()
	if err := s.Open(); err != nil {
		ln.Close()
		return err
	}
	for {
		err := s.accept(ctx, ln)
		if ctx.Err() != nil {
			return nil
		}
		down := s.takeReboot()
		if down < 0 {
			return fmt.Errorf("accept RTSP connection: %w", err)
		}
		if ln, err = s.relisten(ctx, ln.Addr(), down); ln == nil {
			return err
		}
	}
}

// accept hands connections on until the listener closes.
func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	s.listener, s.rebooting = ln, -1
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return err
		}
		if err != nil { // a connection that broke in the queue, or no descriptors left: try again soon
			s.o.Log.Warn("accept failed", "err", err)
			wait := time.NewTimer(50 * time.Millisecond)
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
			continue
		}
		s.group.Go(func() {
			if err := s.ServeConn(ctx, nc); err != nil {
				s.o.Log.Info("connection ended", "err", err)
			}
		})
	}
}

// takeReboot returns how long the port is to stay closed, negative if nobody asked for that.
func (s *Server) takeReboot() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.rebooting
	s.rebooting = -1
	return d
}

// relisten opens the address again after the camera was down. It returns nil and no error when ctx ended.
func (s *Server) relisten(ctx context.Context, addr net.Addr, down time.Duration) (net.Listener, error) {
	t := time.NewTimer(down)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, nil
	}
	ln, err := net.Listen(addr.Network(), addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen again after reboot: %w", err)
	}
	s.up()
	return ln, nil
}

// up takes connections again.
func (s *Server) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// ServeConn answers one client until it leaves, an error, or ctx ends. The sessions of the connection end with it.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	if err := s.Open(); err != nil {
		nc.Close()
		return err
	}
	c := newConn(s, nc)
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		c.fail("reboot", true)
		return nil
	}
	s.conns[c] = true
	s.mu.Unlock()
	s.haunt(c)
	err := c.serve(ctx)
	s.leave(ctx, c)
	return err
}

// haunt gives the ghosts that have no connection this one (fault Ghost).
func (s *Server) haunt(c *conn) {
	for _, x := range s.all() {
		x.stream.mu.Lock()
		if x.ghost && x.conn == nil && !x.ended && x.stream.faults.ghost {
			x.conn = c
		}
		x.stream.mu.Unlock()
	}
}

// leave ends the sessions of a connection that is gone; those of a haunted stream live on.
func (s *Server) leave(ctx context.Context, c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	reason := c.why()
	if reason == "" {
		reason = "disconnected"
	}
	for _, x := range s.all() {
		x.stream.mu.Lock()
		mine := x.conn == c
		haunts := mine && x.stream.faults.ghost && x.playing && ctx.Err() == nil && reason != "reboot" && x.expiry != nil
		if haunts {
			x.conn, x.ghost = nil, true
		}
		x.stream.mu.Unlock()
		if mine && !haunts {
			s.end(x, reason)
		}
	}
}

// all returns the living sessions.
func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, x := range s.sessions {
		all = append(all, x)
	}
	return all
}

// newSession makes a session of a stream for a connection, with the given id or, if "", a new one.
func (s *Server) newSession(id string, st *stream, c *conn) *session {
	s.mu.Lock()
	for id == "" || s.sessions[id] != nil {
		id = fmt.Sprintf("%08X", s.rng.Uint32())
	}
	x := &session{id: id, srv: s, stream: st, conn: c}
	x.counts.ID, x.counts.Started = id, time.Now().Round(0).UTC()
	s.sessions[id] = x
	if s.o.SessionTimeout > 0 {
		x.expiry = time.AfterFunc(s.o.SessionTimeout, func() { s.expire(x) })
	}
	s.mu.Unlock()
	return x
}

func (s *Server) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// expire ends a session that was not kept alive, and closes its connection if that carries it.
func (s *Server) expire(x *session) {
	x.stream.mu.Lock()
	c, carried := x.conn, x.transport() == "tcp" && x.playing && !x.ghost
	x.stream.mu.Unlock()
	s.end(x, "expired")
	if c != nil && carried {
		c.fail("expired", false)
	}
}

// end takes a session out of the world.
func (s *Server) end(x *session, reason string) {
	s.mu.Lock()
	delete(s.sessions, x.id)
	s.mu.Unlock()
	if x.expiry != nil {
		x.expiry.Stop()
	}
	st := x.stream
	st.mu.Lock()
	defer st.mu.Unlock()
	if x.ended {
		return
	}
	x.ended = true
	st.remove(x)
	if st.setups--; st.setups < 0 {
		st.setups = 0
	}
	for _, o := range x.outlets {
		if o.udp != nil {
			o.udp.close()
		}
	}
	x.countMu.Lock()
	x.counts.Transport = x.transport()
	x.counts.EndReason = reason
	at := time.Now().Round(0).UTC()
	x.counts.Ended = &at
	x.countMu.Unlock()
	if len(st.past) == pastSessions {
		st.forgotten.add(st.past[0].snapshot().Totals)
		st.past = append(st.past[:0], st.past[1:]...)
	}
	st.past = append(st.past, x)
	if i := len(st.past) - 1 - pastWritten; i >= 0 {
		st.past[i].countMu.Lock()
		st.past[i].log = nil
		st.past[i].countMu.Unlock()
	}
}

// rtcpFrom keeps the sessions of a connection alive: a receiver report came in.
func (s *Server) rtcpFrom(c *conn) {
	for _, x := range s.all() {
		x.stream.mu.Lock()
		mine := x.conn == c && !x.ghost
		x.stream.mu.Unlock()
		if mine {
			x.reported()
		}
	}
}

// nonce returns a fresh random value for authentication.
func (s *Server) nonce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%016x%016x", s.rng.Uint64(), s.rng.Uint64())
}

// Reboot lets all cameras restart: connections die, the port is closed for d, sessions are forgotten.
func (s *Server) Reboot(d time.Duration) {
	s.mu.Lock()
	s.down = true
	s.reboots++
	var conns []*conn
	for c := range s.conns {
		conns = append(conns, c)
	}
	if s.listener != nil {
		s.rebooting = d
		s.listener.Close()
		s.listener = nil
	} else { // served by ServeConn alone, or down already
		time.AfterFunc(d, s.up)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.fail("reboot", true)
	}
	for _, x := range s.all() {
		s.end(x, "reboot")
	}
}

// SetFault switches a fault of a stream, or with path "" of all, on or with the value "off" off.
func (s *Server) SetFault(path string, f Fault) error {
	if err := s.Open(); err != nil {
		return err
	}
	return s.setFault(path, f)
}

func (s *Server) setFault(path string, f Fault) error {
	if path != "" && s.streams[path] == nil {
		return fmt.Errorf("no stream %q", path)
	}
	if f.Kind == Reboot { // one port, one mains plug: it happens to all
		var probe faults
		err := probe.set(f)
		if err == nil && probe.once.kind == Reboot {
			s.Reboot(probe.once.d)
		}
		return err
	}
	for _, p := range s.paths {
		if path != "" && p != path {
			continue
		}
		if err := s.streams[p].setFault(f); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) pictureOptions(w, h int) picture.Options {
	gop := st.enc.gop
	if st.faults.longGOP > 0 {
		gop = st.faults.longGOP
	}
	return picture.Options{
		Width: w, Height: h, FPS: st.enc.fps, GOP: gop, BitRate: st.enc.bitRate,
		Droppable: st.srv.o.Droppable, PCM: st.srv.o.PCM, Name: st.path[1:], Seed: st.srv.o.Seed + int64(st.index),
	}
}

// open makes the sources at first use: an encoder needs memory, and most streams of a large set are never played.
// Called under stream.mu.
func (st *stream) open() error {
	if st.opened {
		return st.broken
	}
	st.opened = true
	st.broken = st.openSources()
	if st.broken != nil {
		st.broken = fmt.Errorf("open stream %s: %w", st.path, st.broken)
		st.srv.o.Log.Error("stream cannot be played", "err", st.broken)
	}
	return st.broken
}

func (st *stream) openSources() (err error) {
	files := &st.srv.files
	main := !strings.HasSuffix(st.path, "/sub")
	if main && files.transcript != nil {
		return st.openReplay(files)
	}
	if main && files.video != nil {
		st.video = &looped{es: files.video}
	} else if st.video, err = st.newVideo(st.enc.width, st.enc.height); err != nil {
		return err
	}
	st.tracks = []*track{{control: "trackID=0", feed: videoFeed, payloadType: videoPayloadType, rate: 90_000}}
	switch {
	case main && files.audio != nil:
		st.audio = files.audio()
	case st.srv.o.Audio:
		st.audio = newTone(false)
	}
	if st.audio != nil {
		f := st.audio.format()
		st.tracks = append(st.tracks, &track{control: "trackID=1", feed: audioFeed, payloadType: f.payloadType(), rate: int64(f.rate)})
	}
	if st.srv.o.Metadata && main {
		st.meta = true
		st.tracks = append(st.tracks, &track{control: "trackID=2", feed: metadataFeed, payloadType: metadataPayloadType, rate: 90_000})
	}
	return nil
}

// newVideo returns a source of generated pictures, as an interface that is nil on error.
func (st *stream) newVideo(w, h int) (videoSource, error) {
	g, err := newGenerated(st.pictureOptions(w, h))
	if err != nil {
		return nil, err
	}
	return g, nil
}
