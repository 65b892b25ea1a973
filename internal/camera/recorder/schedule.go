package recorder

import "nightjar/internal/media"

const (
	second = media.TicksPerSecond
	minute = 60 * second

	// shortest is how old a recording must be at its planned rotation; younger ones wait for the next instant.
	shortest media.WallDuration = 30 * second
	// longest is the hard bound: a recording that found no key sample by then ends without one.
	longest media.Duration = 5*minute - 5*second
)

// Slot is the place of a stream among the n streams that record: its rotation instants lie at second 60·Index/Of of each
// minute, so that the disk is not asked for everything at once.
type Slot struct{ Index, Of int }

// offset returns the slot's instant within a minute.
func (s Slot) offset() media.WallTime {
	if s.Of <= 0 {
		return 0
	}
	return media.WallTime(int64(s.Index) * minute / int64(s.Of) % minute)
}

// next returns the planned rotation instant of a recording that begins at start: the first one of the slot that leaves
// it at least shortest.
func (s Slot) next(start media.WallTime) media.WallTime {
	earliest := start.Add(shortest)
	into := (earliest - s.offset()) % minute
	if into < 0 {
		into += minute
	}
	if into == 0 {
		return earliest
	}
	return earliest + minute - into
}
