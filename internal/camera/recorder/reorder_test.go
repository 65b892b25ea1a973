package recorder

import (
	"errors"
	"testing"

	"nightjar/internal/media"
)

const picture = media.Duration(3000)

// show runs presentation times (in pictures) through a reorder and returns what it gave, checking what always holds.
func show(t *testing.T, r *reorder, bound int, order []int) (decode []media.Time) {
	t.Helper()
	for i, n := range order {
		time := media.Time(n) * media.Time(picture)
		d, c, err := r.next(time, bound, picture)
		if err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
		if d.Add(c) != time {
			t.Fatalf("sample %d: %d + %d is not its presentation time %d", i, d, c, time)
		}
		if len(decode) > 0 && d <= decode[len(decode)-1] {
			t.Fatalf("sample %d: decode time %d after %d", i, d, decode[len(decode)-1])
		}
		decode = append(decode, d)
	}
	return decode
}

func TestWithoutReordering(t *testing.T) {
	var r reorder
	for i, d := range show(t, &r, 4, []int{0, 1, 2, 3, 7, 8}) {
		if want := []media.Time{0, 1, 2, 3, 7, 8}[i] * 3000; d != want {
			t.Errorf("sample %d decodes at %d, want its presentation time %d", i, d, want)
		}
	}
}

// pyramid is the decoding order of groups of pictures in which every fourth picture is decoded before the three it
// follows in output, the middle one before its neighbours: depth 2.
func pyramid(groups int) []int {
	order := []int{0}
	for g := range groups {
		order = append(order, 4*g+4, 4*g+2, 4*g+1, 4*g+3)
	}
	return order
}

func TestReorderSettles(t *testing.T) {
	var r reorder
	decode := show(t, &r, 4, pyramid(50))
	if r.depth != 2 {
		t.Errorf("learnt depth %d, want 2", r.depth)
	}
	for i := 20; i < len(decode); i++ {
		if got := decode[i].Sub(decode[i-1]); got != picture {
			t.Fatalf("sample %d lasts %d after the start, want %d", i-1, got, picture)
		}
	}
	r.restart()
	decode = show(t, &r, 4, pyramid(10))
	for i := 1; i < len(decode); i++ {
		if got := decode[i].Sub(decode[i-1]); got != picture {
			t.Fatalf("second run: sample %d lasts %d, want %d from the first sample on", i-1, got, picture)
		}
	}
}

func TestBackwards(t *testing.T) {
	for _, c := range []struct {
		name  string
		bound int
		back  media.Time
	}{{"no reordering announced", 0, 1}, {"further than reordering explains", 2, 90_000 * 10}} {
		t.Run(c.name, func(t *testing.T) {
			r := reorder{}
			show(t, &r, c.bound, []int{400, 401})
			_, _, err := r.next(401*3000-c.back, c.bound, picture)
			var back *errBackwards
			if !errors.As(err, &back) {
				t.Fatalf("got %v", err)
			}
		})
	}
	r := reorder{}
	show(t, &r, 0, []int{5})
	if d, c, err := r.next(5*3000, 0, picture); err != nil || d != 5*3000+1 || c != 0 {
		t.Errorf("the same time again: %d %d %v, want one tick later", d, c, err)
	}
}
