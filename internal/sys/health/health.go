// Package health holds what is wrong at present: conditions, each with a sentence that says what it is and a hint that says
// what to do. Parts set a condition when they notice it and clear it when it has passed; the status page, /readyz, the
// command line and notifications read them all at one place.
//
// A condition has a key, made of what is concerned and of what is the matter, such as "directory:7:full" or
// "camera:yard:main:offline". Setting it again with other words changes it and keeps the time at which it began.
//
// A Registry has a bound of MaxConditions; above it the mildest condition gives way to a worse one, and one condition of
// the registry itself (TooMany) says so.
//
// All methods may be called concurrently. Subscribers are called by those who set and clear, one after the other and in the
// order of the changes.
package health

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxConditions bounds the conditions of a registry.
const MaxConditions = 500

// TooMany is the key of the condition that stands for those that found no room.
const TooMany = "health:too-many"

// Severity says how bad a condition is.
type Severity int

// The severities. None is what a healthy server has.
const (
	None     Severity = iota
	Notice            // worth knowing: nothing is lost
	Warning           // something is lost or soon will be, unless somebody acts
	Critical          // footage is being lost now
)

func (s Severity) String() string {
	switch s {
	case None:
		return "none"
	case Notice:
		return "notice"
	case Warning:
		return "warning"
	default:
		return "critical"
	}
}

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Condition is something that is wrong.
type Condition struct {
	Key      string    `json:"key"`
	Severity Severity  `json:"severity"`
	Sentence string    `json:"sentence"`       // for a person, with a full stop and without secrets
	Hint     string    `json:"hint,omitempty"` // what to do about it; may be empty
	Since    time.Time `json:"since"`          // when it began
}

// Change is a condition that was set, changed or cleared.
type Change struct {
	Before Condition // Severity None: it is new
	After  Condition // Severity None: it has passed
}

// Registry is the set of present conditions.
type Registry struct {
	// Now gives the times; nil: time.Now. To be set before first use.
	Now func() time.Time

	mu          sync.Mutex
	conditions  map[string]Condition // guarded by mu
	suppressed  map[string]bool      // guarded by mu; keys that found no room
	subscribers map[int]func(Change) // guarded by mu
	nextID      int                  // guarded by mu
	queue       []Change             // guarded by mu; what subscribers have not been told yet
	telling     bool                 // guarded by mu; somebody is telling them
}

// New makes an empty registry.
func New() *Registry {
	return &Registry{conditions: map[string]Condition{}, suppressed: map[string]bool{}, subscribers: map[int]func(Change){}}
}

// Set says that a condition holds. Severity None clears it.
func (r *Registry) Set(key string, severity Severity, sentence, hint string) {
	if severity <= None {
		r.Clear(key)
		return
	}
	r.mu.Lock()
	r.set(Condition{Key: key, Severity: min(severity, Critical), Sentence: sentence, Hint: hint})
	r.mu.Unlock()
	r.tell()
}

// set needs the lock.
func (r *Registry) set(c Condition) {
	before, known := r.conditions[c.Key]
	c.Since = before.Since
	if !known {
		c.Since = r.now()
		if c.Key != TooMany && !r.makeRoom(c) {
			return
		}
	}
	if c == before {
		return
	}
	r.conditions[c.Key] = c
	delete(r.suppressed, c.Key)
	r.queue = append(r.queue, Change{before, c})
}

// makeRoom drops the mildest of the conditions, the youngest first, if there are too many and c is worse. One place is kept
// for TooMany.
func (r *Registry) makeRoom(c Condition) bool {
	mildest := c
	count := 0
	for key, other := range r.conditions {
		if key == TooMany {
			continue
		}
		count++
		if other.Severity < c.Severity && (mildest.Key == c.Key || worseFirst(mildest, other) < 0) {
			mildest = other
		}
	}
	if count < MaxConditions-1 {
		return true
	}
	r.drop(mildest.Key)
	if len(r.suppressed) < MaxConditions {
		r.suppressed[mildest.Key] = true
	}
	r.set(Condition{Key: TooMany, Severity: Warning, Sentence: "There are more problems than are listed here.",
		Hint: "Solve the ones listed; the others show when they are noticed again."})
	return mildest.Key != c.Key
}

// Clear says that a condition has passed. To clear what is not set does nothing.
func (r *Registry) Clear(key string) {
	r.mu.Lock()
	r.clear(key)
	r.mu.Unlock()
	r.tell()
}

// ClearPrefix clears all conditions whose key begins with a text: those of a camera that was removed.
func (r *Registry) ClearPrefix(prefix string) {
	r.mu.Lock()
	for _, keys := range []([]string){slices.Sorted(maps.Keys(r.conditions)), slices.Sorted(maps.Keys(r.suppressed))} {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				r.clear(key)
			}
		}
	}
	r.mu.Unlock()
	r.tell()
}

// clear needs the lock.
func (r *Registry) clear(key string) {
	r.drop(key)
	delete(r.suppressed, key)
	if len(r.suppressed) == 0 {
		r.drop(TooMany)
	}
}

func (r *Registry) drop(key string) {
	if before, known := r.conditions[key]; known {
		delete(r.conditions, key)
		r.queue = append(r.queue, Change{Before: before, After: Condition{Key: key}})
	}
}

func (r *Registry) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Get returns one condition.
func (r *Registry) Get(key string) (Condition, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.conditions[key]
	return c, ok
}

// Snapshot lists the present conditions, the worst first, of equally bad ones the oldest first.
func (r *Registry) Snapshot() []Condition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.conditions), worseFirst)
}

func worseFirst(a, b Condition) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
}

// Worst returns the severity of the worst condition.
func (r *Registry) Worst() Severity {
	r.mu.Lock()
	defer r.mu.Unlock()
	worst := None
	for _, c := range r.conditions {
		worst = max(worst, c.Severity)
	}
	return worst
}

// Subscribe lets f know of every change from now on, until the returned function is called. f is called without locks, by
// whoever makes the change (or makes another one at the same time), so it must be quick; it may use the registry.
func (r *Registry) Subscribe(f func(Change)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.nextID
	r.nextID++
	r.subscribers[id] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.subscribers, id)
	}
}

// tell empties the queue, unless somebody does already: then that one goes on until it is empty. So changes are told in
// their order, a subscriber is never called twice at a time, and one that sets conditions does not wait for itself.
func (r *Registry) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.telling {
		return
	}
	r.telling = true
	for len(r.queue) > 0 {
		c := r.queue[0]
		r.queue = r.queue[1:]
		for _, id := range slices.Sorted(maps.Keys(r.subscribers)) {
			if f := r.subscribers[id]; f != nil {
				r.mu.Unlock()
				f(c)
				r.mu.Lock()
			}
		}
	}
	r.queue, r.telling = nil, false
}
