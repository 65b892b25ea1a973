package camera

import (
	"context"
	"sync"
)

// Gate bounds how many streams connect at once, so that a reboot of all cameras makes no storm; who waits goes in order
// of priority, then of arrival. The zero Gate and the nil Gate let everybody pass.
type Gate struct {
	Limit int // at most so many at a time; 0 for no bound

	mu      sync.Mutex
	inside  int       // guarded by mu
	waiting []*waiter // guarded by mu, in the order of service
}

type waiter struct {
	priority int
	admit    chan struct{}
}

// enter waits for a place and returns the function that gives it back, which may be called more than once.
func (g *Gate) enter(ctx context.Context, priority int) (release func(), err error) {
	if g == nil || g.Limit <= 0 {
		return func() {}, ctx.Err()
	}
	g.mu.Lock()
	if g.inside < g.Limit {
		g.inside++
		g.mu.Unlock()
		return sync.OnceFunc(g.leave), nil
	}
	w := &waiter{priority, make(chan struct{})}
	at := len(g.waiting)
	for at > 0 && g.waiting[at-1].priority < priority {
		at--
	}
	g.waiting = append(g.waiting, nil)
	copy(g.waiting[at+1:], g.waiting[at:])
	g.waiting[at] = w
	g.mu.Unlock()
	select {
	case <-w.admit:
		return sync.OnceFunc(g.leave), nil
	case <-ctx.Done():
		g.forget(w)
		return nil, ctx.Err()
	}
}

// leave gives the place to the first who waits.
func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.inside--
		return
	}
	first := g.waiting[0]
	g.waiting = g.waiting[1:]
	close(first.admit)
}

// forget removes a waiter that gave up, or passes its place on if it was admitted meanwhile.
func (g *Gate) forget(w *waiter) {
	g.mu.Lock()
	for i, other := range g.waiting {
		if other == w {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			g.mu.Unlock()
			return
		}
	}
	g.mu.Unlock()
	g.leave()
}
