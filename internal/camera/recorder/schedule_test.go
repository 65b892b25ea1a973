package recorder

import (
	"testing"

	"nightjar/internal/media"
)

func TestSlotNext(t *testing.T) {
	const base = media.WallTime(1_790_000_000/60*60) * second
	for _, c := range []struct {
		slot  Slot
		start media.WallTime
		want  media.WallTime
	}{
		{Slot{0, 16}, base, base + minute},
		{Slot{0, 16}, base + 30*second, base + minute},
		{Slot{0, 16}, base + 31*second, base + 2*minute},
		{Slot{8, 16}, base, base + 30*second},
		{Slot{8, 16}, base + second, base + 90*second},
		{Slot{1, 3}, base + 19*second, base + 80*second},
		{Slot{}, base + 10*second, base + minute},
	} {
		if got := c.slot.next(c.start); got != c.want {
			t.Errorf("%v from +%d s: +%d s, want +%d s", c.slot, (c.start-base)/second, (got-base)/second, (c.want-base)/second)
		}
	}
}
