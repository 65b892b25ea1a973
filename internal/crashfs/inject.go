package crashfs

import (
	"path"
	"slices"
	"strings"
)

// Rule makes operations fail, or wait. The zero value of a field does not restrict.
type Rule struct {
	Kinds []Kind // which operations; empty: all
	// Path is a pattern of path.Match, for the whole name if it holds a slash, else for the last part. For a rename either
	// name may match.
	Path string
	Nth  int // the first matching operation to hit, 1 is the first; 0 means 1
	// Sticky hits all matching operations from Nth on; else only one is hit.
	Sticky bool
	From   int // only operations with this number (Op.Seq) or a later one

	// Err is what the caller gets; nil: the operation goes on, after Stall and Do.
	Err error
	// Happened lets the operation take place and reports Err all the same.
	Happened bool
	// Short is how many bytes a refused write stores before it fails.
	Short int
	// Stall holds the operation back until the channel is closed or gives a value. No lock is held meanwhile.
	Stall <-chan struct{}
	// Do is called, without locks, before the operation takes place; it may call the file system.
	Do func(Op)
}

// Injection is a rule at work.
type Injection struct {
	fs      *FS
	rule    Rule
	matched int // guarded by fs.mu
	hits    int // guarded by fs.mu
}

// Inject adds a rule. Of several that match an operation, the one added first with an error decides about it; all stall.
func (f *FS) Inject(r Rule) *Injection {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &Injection{fs: f, rule: r}
	f.injections = append(f.injections, i)
	return i
}

// Hits returns how many operations the rule has hit.
func (i *Injection) Hits() int {
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	return i.hits
}

// Remove ends the rule; operations that it stalls still wait.
func (i *Injection) Remove() {
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	i.fs.injections = slices.DeleteFunc(i.fs.injections, func(other *Injection) bool { return other == i })
}

// action is what the rules say about one operation.
type action struct {
	err    error
	refuse bool
	short  int
	rules  []Rule
}

// before waits and calls as the rules say, without locks.
func (a *action) before(op Op) {
	for _, r := range a.rules {
		if r.Do != nil {
			r.Do(op)
		}
		if r.Stall != nil {
			<-r.Stall
		}
	}
}

// match counts the operation with every rule.
func (f *FS) match(op Op) action {
	var a action
	for _, i := range f.injections {
		if !i.rule.matches(op) {
			continue
		}
		i.matched++
		first := max(i.rule.Nth, 1)
		if i.matched < first || i.matched > first && !i.rule.Sticky {
			continue
		}
		i.hits++
		if i.rule.Do != nil || i.rule.Stall != nil {
			a.rules = append(a.rules, i.rule)
		}
		if a.err == nil && i.rule.Err != nil {
			a.err, a.refuse, a.short = i.rule.Err, !i.rule.Happened, i.rule.Short
		}
	}
	return a
}

func (r *Rule) matches(op Op) bool {
	if op.Seq < r.From || len(r.Kinds) > 0 && !slices.Contains(r.Kinds, op.Kind) {
		return false
	}
	return r.Path == "" || matchPath(r.Path, op.Path) || op.To != "" && matchPath(r.Path, op.To)
}

func matchPath(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
