package media

import (
	"testing"
	"time"
)

func TestWallTimeRoundTrip(t *testing.T) {
	for _, w := range []WallTime{0, 1, -1, 89_999, 90_000, 102254400000000, 128700575999999, -90_001} {
		if got := WallTimeOf(w.Time()); got != w {
			t.Errorf("%d came back as %d", w, got)
		}
	}
	at := time.Date(2006, 1, 2, 0, 0, 0, 0, time.UTC)
	if got := WallTimeOf(at); got != WallTime(at.Unix())*TicksPerSecond {
		t.Errorf("2006-01-02 is %d", got)
	}
}

func TestDurationOf(t *testing.T) {
	for _, c := range []struct {
		std  time.Duration
		want Duration
	}{{time.Second, 90_000}, {time.Second / 30, 3000}, {-time.Second / 30, -3000}, {5 * time.Microsecond, 0}, {6 * time.Microsecond, 1}, {24 * time.Hour, 24 * 3600 * 90_000}} {
		if got := DurationOf(c.std); got != c.want {
			t.Errorf("DurationOf(%v) = %d, want %d", c.std, got, c.want)
		}
	}
	if got := Duration(90_000 * 3600).Std(); got != time.Hour {
		t.Errorf("an hour of ticks is %v", got)
	}
}

func TestRescale(t *testing.T) {
	if got := Rescale(1<<40, 90_000, 44_100); got != (1<<40)*90_000/44_100 {
		t.Errorf("got %d", got)
	}
	if got := Rescale(-7, 3, 2); got != -10 {
		t.Errorf("got %d, want truncation towards zero", got)
	}
}
