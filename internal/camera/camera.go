// Package camera is one camera as a whole: each of its streams is received by a source, recorded by a recorder, and
// started again whenever it ends, for ever, until the camera is stopped.
//
// A Camera owns its streams. Run blocks and starts one goroutine a stream; State may be called at any time from any
// goroutine. One stream's trouble never touches another: they share nothing but the gate that bounds how many connect at
// once.
package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Source receives one stream: Run is one RTSP session (or what corresponds to it) from connecting to leaving. It hands
// on samples by calling emit from one goroutine and returns why it ended; an error of emit ends it. Clocks may be called
// from within emit.
type Source interface {
	Run(ctx context.Context, emit func(media.Sample) error) error
	Clocks() media.Clocks
}

// Recorder keeps what a source hands on. Write may begin a run; End closes it and begins the gap; Missing tells why
// nothing is kept of what comes, and is empty while it is.
type Recorder interface {
	Missing() (reason recording.Reason, detail string)
	Write(s media.Sample, clocks func() media.Clocks) error
	End(reason recording.Reason, detail string) error
}

// Stream is one stream of a camera with what receives and what keeps it.
type Stream struct {
	Name     string // "main", "sub" or "ext"
	Source   Source
	Recorder Recorder
}

// Options describe a camera.
type Options struct {
	Name     string // for logs and people
	Priority int    // 1 to 10, 10 first
	Streams  []Stream
	Gate     *Gate // bounds concurrent connecting; nil for none
	Log      *slog.Logger
	Now      func() time.Time // the wall clock; nil for time.Now
}

// Phase says what a stream is doing.
type Phase string

// The phases of a stream.
const (
	Connecting Phase = "connecting" // from the first attempt until samples come
	Receiving  Phase = "recording"  // samples come and are recorded
	Waiting    Phase = "waiting"    // it failed and will be tried again; or samples come and can't be recorded now
	Stopped    Phase = "stopped"
)

// State is what a stream is doing now.
type State struct {
	Stream   string
	Phase    Phase
	Since    time.Time
	Reason   recording.Reason // why it last ended; empty while nothing was wrong
	Detail   string           // one sentence on that
	Retry    time.Time        // when it is tried again, in phase Waiting; zero while it is tried all the time
	Attempts int              // failed attempts in a row
}

// Camera is one camera; see Options.
type Camera struct {
	o Options

	mu     sync.Mutex
	states []State // guarded by mu, one for each of o.Streams
}

// New returns a camera that Run will operate.
func New(o Options) *Camera {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Camera{o: o, states: make([]State, len(o.Streams))}
	for i, s := range o.Streams {
		c.states[i] = State{Stream: s.Name, Phase: Stopped, Since: o.Now()}
	}
	return c
}

// Name returns the camera's name.
func (c *Camera) Name() string { return c.o.Name }

// State returns what each stream is doing, in the order of Options.Streams.
func (c *Camera) State() []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]State(nil), c.states...)
}

// Run receives and records every stream until ctx ends; context.Cause tells why the run ended, as a *recording.Error if
// it is to be stored. It returns when all streams have stopped, with an error only if a recorder failed for good.
func (c *Camera) Run(ctx context.Context) error {
	var g errgroup.Group
	for i := range c.o.Streams {
		g.Go(func() error { return c.stream(ctx, i) })
	}
	return g.Wait()
}

// stream receives one stream until ctx ends.
func (c *Camera) stream(ctx context.Context, i int) error {
	s := c.o.Streams[i]
	log := c.o.Log.With("camera", c.o.Name, "stream", s.Name)
	var wait backoff
	for {
		c.set(i, func(st *State) { st.Phase = Connecting })
		err := c.session(ctx, i, &wait)
		stopped := ctx.Err() != nil
		if stopped {
			err = stopReason(ctx)
		}
		reason, detail := Explain(err)
		if endErr := s.Recorder.End(reason, detail); endErr != nil {
			log.Error("recording could not be ended", "err", endErr)
		}
		if stopped {
			c.set(i, func(st *State) { st.Phase, st.Reason, st.Detail = Stopped, reason, detail })
			return nil
		}
		pause := wait.next(reason)
		retry := c.o.Now().Add(pause)
		c.set(i, func(st *State) {
			if st.Phase != Waiting && (st.Reason != reason || st.Attempts == 0) {
				log.Warn("stream ended", "reason", reason, "err", detail)
			}
			st.Phase, st.Reason, st.Detail, st.Retry = Waiting, reason, detail, retry
			st.Attempts++
		})
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// session runs the source once.
func (c *Camera) session(ctx context.Context, i int, wait *backoff) error {
	s := c.o.Streams[i]
	release, err := c.o.Gate.enter(ctx, c.o.Priority)
	if err != nil {
		return err
	}
	defer release()
	receiving := false
	var missing recording.Reason
	return s.Source.Run(ctx, func(sample media.Sample) error {
		if !receiving {
			receiving = true
			release()
			wait.reset()
			c.o.Log.Info("stream is received", "camera", c.o.Name, "stream", s.Name)
			c.set(i, func(st *State) { *st = State{Stream: s.Name, Phase: Receiving} })
		}
		if err := s.Recorder.Write(sample, s.Source.Clocks); err != nil {
			return err
		}
		if reason, detail := s.Recorder.Missing(); reason != missing {
			missing = reason
			c.unrecorded(i, reason, detail)
		}
		return nil
	})
}

// unrecorded notes that what a stream sends can't be recorded, for reason, or, if that is empty, that it is again.
func (c *Camera) unrecorded(i int, reason recording.Reason, detail string) {
	log := c.o.Log.With("camera", c.o.Name, "stream", c.o.Streams[i].Name)
	if reason == "" {
		log.Info("stream is recorded again")
		c.set(i, func(st *State) { st.Phase, st.Reason, st.Detail = Receiving, "", "" })
		return
	}
	log.Warn("stream is received but not recorded", "reason", reason, "err", detail)
	c.set(i, func(st *State) { st.Phase, st.Reason, st.Detail = Waiting, reason, detail })
}

// set changes the state of one stream and notes when it entered its phase.
func (c *Camera) set(i int, change func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.states[i].Phase
	change(&c.states[i])
	if c.states[i].Phase != before || c.states[i].Since.IsZero() {
		c.states[i].Since = c.o.Now()
	}
}

// stopReason says why ctx ended: what its cause says, else that the server stops.
func stopReason(ctx context.Context) error {
	var reason *recording.Error
	if errors.As(context.Cause(ctx), &reason) {
		return reason
	}
	return &recording.Error{Reason: recording.ServerStopped, Err: errors.New("the server was stopped")}
}

// Explain returns the reason and the sentence that are stored for the end of a run.
func Explain(err error) (recording.Reason, string) {
	var reason *recording.Error
	switch {
	case err == nil:
		return recording.CameraClosed, "the camera ended the session"
	case errors.As(err, &reason):
		return reason.Reason, err.Error()
	}
	return recording.ProtocolError, fmt.Sprintf("unexpected: %v", err)
}

// backoff is the pause between attempts: doubling from quick, with jitter, up to a cap that depends on whether anybody
// answers at the address. Owned by the stream's goroutine.
type backoff struct {
	pause    time.Duration
	refusals int // passwords refused in a row
}

const (
	firstPause = 250 * time.Millisecond
	nearCap    = 4 * time.Second  // the host answers: it will be right again soon
	farCap     = 30 * time.Second // nobody there
	// quickRefusals is how many refused passwords are tried again quickly: many cameras lock an account after five to
	// seven, and being locked out of the camera is worse than thirty seconds of delay.
	quickRefusals = 3
)

// reset follows a session that received something.
func (b *backoff) reset() { *b = backoff{} }

// next returns the pause after a session that ended for reason.
func (b *backoff) next(reason recording.Reason) time.Duration {
	limit := nearCap
	switch reason {
	case recording.CameraOffline, recording.DNS:
		limit = farCap
	case recording.AuthFailed:
		b.refusals++
		if b.refusals > quickRefusals {
			b.pause, limit = farCap, farCap
		}
	}
	b.pause = min(max(2*b.pause, firstPause), limit)
	return b.pause*3/4 + rand.N(b.pause/2)
}
