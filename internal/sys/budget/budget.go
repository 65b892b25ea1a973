// Package budget keeps the memory of all buffers together under one limit, in bytes, and says who has to do with less when
// it gets tight.
//
// Who keeps a buffer has an Account and takes bytes before it allocates, gives them back when it lets go. A Budget is the
// sum of its accounts. Streams have a priority from 1 to 10; 10 is served longest.
//
// # The policy when memory runs short
//
// Pressure is how full the budget is, or what others report (Press: the kernel's stall figures, a slow disk, little free
// space), whichever is higher. Two things follow from it.
//
// Take refuses. The last tenth of the budget is kept for high priorities: priority p may fill the budget up to
// (90 + p) %, so a stream of priority 10 finds room when all others are refused. Whoever is refused goes without: a viewer
// loses samples, a recorder ends its recording with a reason. Nobody waits.
//
// Level rises, before it comes to that. Parts ask for the level of a priority now and then and do with less at and above
// the level that names them: the sheds, in the order of the constants. Each step takes 5 % of the budget; within a step the
// lowest priority goes first. A level is left when the pressure is more than 5 % below the point where it was reached, in
// the reverse order, so that nothing flaps.
//
//	pressure   level at priority 1 .. 10
//	< 70 %     Normal
//	70 - 75 %  ShedViewers   (70.0 % at priority 1, 70.5 % at 2, … 74.5 % at 10)
//	75 - 80 %  ShedRings
//	80 - 85 %  ShedSubLive
//	85 - 90 %  KeysOnly
//	90 - 95 %  PauseRecording
//
// All methods may be called concurrently; Take, Give and Level take no lock.
package budget

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Level says what is to be shed. Levels are ordered: each includes those before it.
type Level int

// The levels, in the order in which things are given up.
const (
	Normal         Level = iota // nothing is shed
	ShedViewers                 // the queues of viewers are cut short
	ShedRings                   // the rings from which new viewers start are let go
	ShedSubLive                 // sub-streams are no longer offered live
	KeysOnly                    // viewers get key samples only
	PauseRecording              // recording ends until the level falls
)

func (l Level) String() string {
	switch l {
	case Normal:
		return "normal"
	case ShedViewers:
		return "shed viewers' queues"
	case ShedRings:
		return "shed live rings"
	case ShedSubLive:
		return "shed live sub-streams"
	case KeysOnly:
		return "key samples only"
	default:
		return "pause recording"
	}
}

// Priorities of streams.
const (
	MinPriority     = 1
	DefaultPriority = 5
	MaxPriority     = 10
)

const (
	thousand   = 1000 // pressure is counted in thousandths of the limit
	firstLevel = 700
	levelStep  = 50
	hysteresis = 50
)

// Budget is one limit for many accounts.
type Budget struct {
	limit   atomic.Int64
	used    atomic.Int64
	outside atomic.Int64 // thousandths; the most that Press was told
	held    atomic.Int64 // thousandths; follows the pressure up at once, down with hysteresis

	mu       sync.Mutex
	accounts map[*Account]bool // guarded by mu
	sources  map[string]int64  // guarded by mu
}

// New makes a budget of limit bytes.
func New(limit int64) *Budget {
	b := &Budget{accounts: map[*Account]bool{}, sources: map[string]int64{}}
	b.limit.Store(max(limit, 1))
	return b
}

// Default is the limit for a process that may have memory bytes in all: a quarter, between 8 MiB and 1 GiB. The rest is
// for the program itself, the catalog's cache and the garbage collector.
func Default(memory int64) int64 { return min(max(memory/4, 8<<20), 1<<30) }

// SetLimit changes the limit. What is taken stays taken.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(max(limit, 1)) }

// Limit returns the limit.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Used returns the sum of all accounts.
func (b *Budget) Used() int64 { return b.used.Load() }

// Press reports pressure from outside, in thousandths, under the name of its source; it holds until the same source
// reports another value. 0 takes it back.
func (b *Budget) Press(source string, thousandths int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sources[source] = int64(min(max(thousandths, 0), thousand))
	if thousandths <= 0 {
		delete(b.sources, source)
	}
	most := int64(0)
	for _, p := range b.sources {
		most = max(most, p)
	}
	b.outside.Store(most)
	b.follow()
}

// Pressure returns how tight it is right now, in thousandths, without hysteresis.
func (b *Budget) Pressure() int { return int(b.pressure()) }

func (b *Budget) pressure() int64 {
	limit, used := b.limit.Load(), b.used.Load()
	own := int64(thousand)
	if used < limit {
		own = int64(float64(used) / float64(limit) * thousand)
	}
	return max(own, b.outside.Load())
}

// follow brings held to where the pressure allows it to be and returns it.
func (b *Budget) follow() int64 {
	for {
		now, held := b.pressure(), b.held.Load()
		next := min(max(now, held), now+hysteresis)
		if next == held || b.held.CompareAndSwap(held, next) {
			return next
		}
	}
}

// Level says what a stream of a priority has to give up now.
func (b *Budget) Level(priority int) Level {
	start := int64(firstLevel + 5*(clampPriority(priority)-1))
	held := b.follow()
	if held < start {
		return Normal
	}
	return min(ShedViewers+Level((held-start)/levelStep), PauseRecording)
}

func clampPriority(p int) int { return min(max(p, MinPriority), MaxPriority) }

// Account is the memory of one buffer or of a group of them.
type Account struct {
	budget   *Budget
	name     string
	priority atomic.Int64
	used     atomic.Int64
	refused  atomic.Int64
	wrong    atomic.Int64
}

// Account opens an account. The name is for people and need not be unique; a priority out of range is put into it.
func (b *Budget) Account(name string, priority int) *Account {
	a := &Account{budget: b, name: name}
	a.SetPriority(priority)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[a] = true
	return a
}

// SetPriority changes the priority.
func (a *Account) SetPriority(priority int) { a.priority.Store(int64(clampPriority(priority))) }

// Take asks for n bytes and says whether they may be used.
func (a *Account) Take(n int64) bool {
	if n < 0 {
		a.wrong.Add(1)
		return false
	}
	b := a.budget
	used, limit := b.used.Add(n), b.limit.Load()
	if room := limit - limit/100*(MaxPriority-a.priority.Load()); used > room || used < 0 {
		b.used.Add(-n)
		a.refused.Add(1)
		return false
	}
	a.used.Add(n)
	if used > limit/thousand*firstLevel {
		b.follow()
	}
	return true
}

// Give returns n bytes. To return more than was taken is a mistake of the caller; it is counted (Usage.Mistakes), and only
// what was taken is returned.
func (a *Account) Give(n int64) {
	if n < 0 {
		a.wrong.Add(1)
		return
	}
	if left := a.used.Add(-n); left < 0 {
		back := min(-left, n)
		a.used.Add(back)
		a.wrong.Add(1)
		n -= back
	}
	a.budget.used.Add(-n)
}

// Close returns what the account still holds and ends it; it must not be used afterwards.
func (a *Account) Close() {
	a.Give(a.used.Load())
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	delete(a.budget.accounts, a)
}

// Usage is the state of one account.
type Usage struct {
	Name     string
	Priority int
	Used     int64
	Refused  int64 // calls of Take
	Mistakes int64 // negative sizes, and more given than taken
}

// Usage returns what the account holds.
func (a *Account) Usage() Usage {
	return Usage{Name: a.name, Priority: int(a.priority.Load()), Used: a.used.Load(), Refused: a.refused.Load(),
		Mistakes: a.wrong.Load()}
}

// Usages lists all open accounts, by name.
func (b *Budget) Usages() []Usage {
	b.mu.Lock()
	accounts := slices.Collect(maps.Keys(b.accounts))
	b.mu.Unlock()
	out := make([]Usage, len(accounts))
	for i, a := range accounts {
		out[i] = a.Usage()
	}
	slices.SortFunc(out, func(x, y Usage) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(y.Used, x.Used))
	})
	return out
}
