package camera

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// script is a source that fails as told, one error a session, then sends one sample a second until it is stopped.
type script struct {
	fail     []error
	sessions []time.Time
}

func (s *script) Clocks() media.Clocks { return media.Clocks{} }

func (s *script) Run(ctx context.Context, emit func(media.Sample) error) error {
	s.sessions = append(s.sessions, time.Now())
	if n := len(s.sessions); n <= len(s.fail) && s.fail[n-1] != nil {
		return s.fail[n-1]
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			if err := emit(media.Sample{Arrival: time.Now()}); err != nil {
				return err
			}
		}
	}
}

// ledger is a recorder that notes what it was told.
type ledger struct {
	mu      sync.Mutex
	samples int
	ends    []recording.Reason
	refuse  error
	lost    recording.Reason // guarded by mu: why nothing is recorded
}

func (l *ledger) Write(media.Sample, func() media.Clocks) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples++
	return l.refuse
}

func (l *ledger) Missing() (recording.Reason, string) { return l.missing(), "as scripted" }

func (l *ledger) missing() recording.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *ledger) lose(r recording.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = r
}

func (l *ledger) End(r recording.Reason, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, r)
	return nil
}

func failure(r recording.Reason) error {
	return &recording.Error{Reason: r, Err: errors.New("as scripted")}
}

func TestReconnects(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason recording.Reason
		times  int
		limit  time.Duration // no pause is longer than this with its jitter
	}{
		{"host answers", recording.Refused, 10, nearCap * 5 / 4},
		{"nobody there", recording.CameraOffline, 12, farCap * 5 / 4},
		{"password refused", recording.AuthFailed, 3, nearCap},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, rec := &script{}, &ledger{}
				for range c.times {
					src.fail = append(src.fail, failure(c.reason))
				}
				cam := New(Options{Name: "door", Streams: []Stream{{"main", src, rec}}})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- cam.Run(ctx) }()
				time.Sleep(10 * time.Minute) // of the bubble's time
				if st := cam.State()[0]; st.Phase != Receiving || st.Attempts != 0 {
					t.Errorf("after ten minutes: %+v", st)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if n := len(src.sessions); n != c.times+1 {
					t.Fatalf("%d sessions, want %d failed ones and one that lasts", n, c.times)
				}
				longest := time.Duration(0)
				for i := 1; i < len(src.sessions); i++ {
					longest = max(longest, src.sessions[i].Sub(src.sessions[i-1]))
				}
				if longest > c.limit {
					t.Errorf("a pause of %v, at most %v", longest, c.limit)
				}
				want := append(slices.Repeat([]recording.Reason{c.reason}, c.times), recording.ServerStopped)
				if !slices.Equal(rec.ends, want) {
					t.Errorf("ends %v, want %v", rec.ends, want)
				}
				if rec.samples == 0 {
					t.Error("no samples reached the recorder")
				}
			})
		})
	}
}

func TestPasswordsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{fail: slices.Repeat([]error{failure(recording.AuthFailed)}, 1000)}
		cam := New(Options{Streams: []Stream{{"main", src, &ledger{}}}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := cam.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(src.sessions); n < 10 || n > 30 {
			t.Errorf("%d attempts in ten minutes", n)
		}
	})
}

func TestRecorderFailureEndsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, rec := &script{}, &ledger{refuse: failure(recording.DiskMissing)}
		cam := New(Options{Streams: []Stream{{"main", src, rec}}})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() {
			cancel(&recording.Error{Reason: recording.SettingsChange, Err: errors.New("settings were changed")})
		})
		if err := cam.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if rec.ends[0] != recording.DiskMissing || rec.ends[len(rec.ends)-1] != recording.SettingsChange {
			t.Errorf("ends %v", rec.ends)
		}
		if st := cam.State()[0]; st.Phase != Stopped || st.Reason != recording.SettingsChange {
			t.Errorf("state %+v", st)
		}
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limit: 2}
		var order []int
		var mu sync.Mutex
		release := make([]func(), 2)
		for i := range release {
			release[i], _ = g.enter(t.Context(), 5)
		}
		for _, priority := range []int{1, 9, 5, 9} {
			go func() {
				leave, err := g.enter(t.Context(), priority)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, priority)
				mu.Unlock()
				leave()
			}()
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(gone, 10); err == nil {
			t.Error("a stopped stream entered")
		}
		release[0]()
		release[0]()
		synctest.Wait()
		if !slices.Equal(order, []int{9, 9, 5, 1}) {
			t.Errorf("served %v", order)
		}
		if g.inside != 1 || len(g.waiting) != 0 {
			t.Errorf("%d inside, %d waiting, want 1 and 0", g.inside, len(g.waiting))
		}
	})
}
