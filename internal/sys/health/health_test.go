package health_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/sys/health"
)

// stepping returns a registry whose clock goes on by a second at each look.
func stepping() (*health.Registry, func(n int) time.Time) {
	r := health.New()
	at := func(n int) time.Time { return time.Unix(1_700_000_000+int64(n), 0).UTC() }
	n := 0
	r.Now = func() time.Time { n++; return at(n) }
	return r, at
}

func TestSetAndClear(t *testing.T) {
	r, at := stepping()
	if r.Worst() != health.None || len(r.Snapshot()) != 0 {
		t.Error("a new registry is not healthy")
	}
	r.Set("b", health.Warning, "B is bad.", "Mend B.")
	r.Set("a", health.Notice, "A is odd.", "")
	r.Set("c", health.Critical, "C is broken.", "Replace C.")
	r.Set("d", health.Warning, "D is bad.", "")
	r.Set("a", health.Warning, "A is bad.", "Mend A.") // worse, but the same since it began
	want := []health.Condition{
		{Key: "c", Severity: health.Critical, Sentence: "C is broken.", Hint: "Replace C.", Since: at(3)},
		{Key: "b", Severity: health.Warning, Sentence: "B is bad.", Hint: "Mend B.", Since: at(1)},
		{Key: "a", Severity: health.Warning, Sentence: "A is bad.", Hint: "Mend A.", Since: at(2)},
		{Key: "d", Severity: health.Warning, Sentence: "D is bad.", Since: at(4)},
	}
	if diff := cmp.Diff(want, r.Snapshot()); diff != "" {
		t.Error(diff)
	}
	if c, ok := r.Get("b"); !ok || c != want[1] || r.Worst() != health.Critical {
		t.Errorf("Get = %+v, %v; worst %s", c, ok, r.Worst())
	}
	r.Clear("c")
	r.Clear("c")
	r.Set("b", health.None, "", "")
	if r.Worst() != health.Warning || len(r.Snapshot()) != 2 {
		t.Errorf("after two were cleared: %+v", r.Snapshot())
	}
	r.Set("b", health.Notice, "B again.", "")
	if c, _ := r.Get("b"); c.Since != at(5) {
		t.Errorf("a condition that comes back began at %v", c.Since)
	}
	b, err := json.Marshal(want[3])
	if err != nil || string(b) != `{"key":"d","severity":"warning","sentence":"D is bad.","since":"2023-11-14T22:13:24Z"}` {
		t.Errorf("JSON %s, %v", b, err)
	}
}

func TestSubscribe(t *testing.T) {
	r, _ := stepping()
	var told []string
	cancel := r.Subscribe(func(c health.Change) {
		told = append(told, fmt.Sprintf("%s %s>%s", c.After.Key, c.Before.Severity, c.After.Severity))
	})
	r.Set("a", health.Notice, "A.", "")
	r.Set("a", health.Notice, "A.", "")
	r.Set("a", health.Notice, "A, in other words.", "")
	r.Set("a", health.Critical, "A.", "")
	r.Clear("b")
	r.Clear("a")
	r.Set("x:1", health.Notice, "X.", "")
	r.Set("y:1", health.Notice, "Y.", "")
	r.Set("x:2", health.Notice, "X.", "")
	r.ClearPrefix("x:")
	cancel()
	r.Clear("y:1")
	want := []string{"a none>notice", "a notice>notice", "a notice>critical", "a critical>none", "x:1 none>notice",
		"y:1 none>notice", "x:2 none>notice", "x:1 notice>none", "x:2 notice>none"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

// TestSubscriberSets lets a subscriber change the registry: it neither waits for itself nor is it called from within.
func TestSubscriberSets(t *testing.T) {
	r, _ := stepping()
	inside, deepest := 0, 0
	var told []string
	r.Subscribe(func(c health.Change) {
		inside++
		deepest = max(deepest, inside)
		told = append(told, c.After.Key)
		if len(c.After.Key) < 4 {
			r.Set(c.After.Key+"!", health.Notice, "More.", "")
		}
		inside--
	})
	r.Set("a", health.Notice, "A.", "")
	if deepest != 1 || strings.Join(told, " ") != "a a! a!! a!!!" {
		t.Errorf("told %q, %d deep", told, deepest)
	}
}

func TestBound(t *testing.T) {
	r, _ := stepping()
	for i := range health.MaxConditions - 1 {
		r.Set(fmt.Sprintf("w%03d", i), health.Warning, "W.", "")
	}
	if _, ok := r.Get(health.TooMany); ok {
		t.Fatal("too many before there are too many")
	}
	r.Set("notice", health.Notice, "N.", "")
	if _, ok := r.Get("notice"); ok {
		t.Error("a mild condition pushed a worse one out")
	}
	if c, ok := r.Get(health.TooMany); !ok || c.Hint == "" {
		t.Error("nobody says that something is left out")
	}
	r.Set("critical", health.Critical, "C.", "")
	if _, ok := r.Get("critical"); !ok {
		t.Error("a critical condition found no room")
	}
	last := fmt.Sprintf("w%03d", health.MaxConditions-2)
	if _, ok := r.Get(last); ok {
		t.Error("the youngest of the mildest is still there")
	}
	if n := len(r.Snapshot()); n != health.MaxConditions {
		t.Errorf("%d conditions", n)
	}
	r.Clear("notice")
	r.ClearPrefix(last)
	if _, ok := r.Get(health.TooMany); ok {
		t.Error("too many is still set, though those left out have passed")
	}
}

func TestConcurrently(t *testing.T) {
	r := health.New()
	open := map[string]bool{} // what a subscriber makes of the changes
	r.Subscribe(func(c health.Change) {
		if c.Before.Severity != health.None && !open[c.After.Key] || c.Before.Severity == health.None && open[c.After.Key] {
			t.Errorf("change %+v of %v", c, open[c.After.Key])
		}
		open[c.After.Key] = c.After.Severity != health.None
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 300 {
				key := fmt.Sprint("k", (n*7+i)%20)
				if n%3 == 0 {
					r.Clear(key)
				} else {
					r.Set(key, health.Severity(1+n%3), "S.", "")
				}
				r.Worst()
			}
		})
	}
	wg.Wait()
	for key := range open {
		if _, ok := r.Get(key); ok != open[key] {
			t.Errorf("%s is set: %v; the subscriber thinks %v", key, ok, open[key])
		}
	}
}
