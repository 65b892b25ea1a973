package budget_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"nightjar/internal/sys/budget"
)

func TestTake(t *testing.T) {
	b := budget.New(1000)
	low, high := b.Account("low", 1), b.Account("high", 10)
	if !low.Take(910) || low.Take(1) {
		t.Error("priority 1 does not stop at 91 %")
	}
	if !high.Take(90) || high.Take(1) {
		t.Error("priority 10 does not stop at 100 %")
	}
	if b.Used() != 1000 {
		t.Errorf("used %d", b.Used())
	}
	low.Give(500)
	if !high.Take(400) {
		t.Error("no room after bytes were given back")
	}
	low.Close()
	if b.Used() != 490 {
		t.Errorf("used %d after an account was closed; want 490", b.Used())
	}
	u := high.Usage()
	if u.Used != 490 || u.Refused != 1 || u.Mistakes != 0 || u.Priority != 10 || len(b.Usages()) != 1 {
		t.Errorf("usage %+v of %v", u, b.Usages())
	}
}

func TestMistakes(t *testing.T) {
	b := budget.New(1000)
	a, other := b.Account("a", 0), b.Account("other", 99)
	if got := []int{a.Usage().Priority, other.Usage().Priority}; got[0] != 1 || got[1] != 10 {
		t.Errorf("priorities %v", got)
	}
	other.Take(300)
	a.Take(100)
	a.Give(150)
	if a.Usage().Used != 0 || a.Usage().Mistakes != 1 || b.Used() != 300 {
		t.Errorf("after too much was given: %+v, %d in all", a.Usage(), b.Used())
	}
	if a.Take(-5) {
		t.Error("took a negative size")
	}
	a.Give(-5)
	if a.Take(math.MaxInt64) || a.Usage().Mistakes != 3 || b.Used() != 300 {
		t.Errorf("after bad sizes: %+v, %d in all", a.Usage(), b.Used())
	}
	if !budget.New(0).Account("x", 10).Take(1) {
		t.Error("a budget of nothing is not one byte")
	}
}

// TestLevels fills a budget byte by byte and writes down where the level of each priority changes, upwards and downwards:
// the table of the package's doc.
func TestLevels(t *testing.T) {
	b := budget.New(1000)
	a := b.Account("a", 10)
	var levels [11]budget.Level
	changes := map[string]bool{}
	look := func(sign string) {
		for p := 1; p <= 10; p++ {
			if l := b.Level(p); l != levels[p] {
				levels[p] = l
				changes[fmt.Sprintf("%s%d p%d %s", sign, b.Used(), p, l)] = true
			}
		}
	}
	for range 1000 {
		if !a.Take(1) {
			t.Fatal("refused")
		}
		look("+")
	}
	for range 1000 {
		a.Give(1)
		look("-")
	}
	names := []budget.Level{budget.ShedViewers, budget.ShedRings, budget.ShedSubLive, budget.KeysOnly, budget.PauseRecording}
	for i, l := range names {
		for p := 1; p <= 10; p++ {
			at := 700 + 50*i + 5*(p-1)
			before := budget.Normal
			if i > 0 {
				before = names[i-1]
			}
			// Left when the pressure is more than 50 below the point where it was reached.
			for _, want := range []string{fmt.Sprintf("+%d p%d %s", at, p, l), fmt.Sprintf("-%d p%d %s", at-51, p, before)} {
				if !changes[want] {
					t.Errorf("no change %q", want)
				}
				delete(changes, want)
			}
		}
	}
	if len(changes) > 0 {
		t.Errorf("more changes: %v", changes)
	}
}

func TestHysteresis(t *testing.T) {
	b := budget.New(1000)
	a := b.Account("a", 5)
	a.Take(800)
	if l := b.Level(5); l != budget.ShedRings {
		t.Fatalf("level %s at 80 %%", l)
	}
	// A peak between two looks counts, too.
	a.Take(70)
	a.Give(70)
	if l := b.Level(1); l != budget.KeysOnly {
		t.Errorf("level %s after a peak of 87 %%", l)
	}
	changes := 0
	last := b.Level(5)
	for range 100 {
		a.Take(30)
		if l := b.Level(5); l != last {
			changes, last = changes+1, l
		}
		a.Give(30)
		if l := b.Level(5); l != last {
			changes, last = changes+1, l
		}
	}
	if changes > 1 {
		t.Errorf("%d changes of level while the use goes up and down by 3 %%", changes)
	}
}

func TestPress(t *testing.T) {
	b := budget.New(1000)
	b.Press("memory", 860)
	b.Press("disk", 720)
	if b.Pressure() != 860 || b.Level(1) != budget.KeysOnly || b.Level(10) != budget.ShedSubLive {
		t.Errorf("pressure %d, levels %s and %s", b.Pressure(), b.Level(1), b.Level(10))
	}
	b.Press("memory", 0)
	if b.Pressure() != 720 || b.Level(1) != budget.ShedRings {
		t.Errorf("pressure %d, level %s, which the hysteresis holds at 77 %%", b.Pressure(), b.Level(1))
	}
	b.Press("disk", -5)
	if b.Pressure() != 0 || b.Level(1) != budget.Normal {
		t.Errorf("pressure %d, level %s", b.Pressure(), b.Level(1))
	}
	b.Press("x", 5000)
	if b.Pressure() != 1000 || b.Level(10) != budget.PauseRecording {
		t.Errorf("pressure %d, level %s", b.Pressure(), b.Level(10))
	}
}

func TestSetLimit(t *testing.T) {
	b := budget.New(1000)
	a := b.Account("a", 5)
	a.Take(500)
	b.SetLimit(400)
	if b.Pressure() != 1000 || a.Take(1) || b.Limit() != 400 {
		t.Errorf("pressure %d above the limit", b.Pressure())
	}
	b.SetLimit(1 << 60)
	if b.Pressure() != 0 || !a.Take(1<<40) {
		t.Errorf("pressure %d, %+v", b.Pressure(), a.Usage())
	}
	for memory, want := range map[int64]int64{1 << 20: 8 << 20, 256 << 20: 64 << 20, 1 << 40: 1 << 30} {
		if got := budget.Default(memory); got != want {
			t.Errorf("Default(%d) = %d; want %d", memory, got, want)
		}
	}
}

func TestConcurrently(t *testing.T) {
	b := budget.New(10_000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := b.Account(strings.Repeat("x", i), i+1)
			defer a.Close()
			for n := range int64(2000) {
				if a.Take(n) {
					if used := b.Used(); used < 0 {
						t.Errorf("used %d", used)
					}
					b.Level(i)
					a.Give(n)
				}
				b.Usages()
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 || len(b.Usages()) != 0 {
		t.Errorf("%d bytes left, accounts %v", b.Used(), b.Usages())
	}
}

func BenchmarkTakeGive(b *testing.B) {
	a := budget.New(1<<30).Account("a", 5)
	for b.Loop() {
		a.Take(1000)
		a.Give(1000)
	}
}
