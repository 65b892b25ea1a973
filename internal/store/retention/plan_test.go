package retention

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

const (
	minute media.WallDuration = 60 * media.TicksPerSecond
	mb                        = 1 << 20
)

// stream makes a stream with n one-minute recordings of a size in directory 1, the first beginning at minute from.
func stream(id recording.StreamID, from, n int, size int64) Stream {
	p := Part{Directory: 1}
	for i := range n {
		p.Oldest = append(p.Oldest, catalog.Brief{
			ID: recording.NewID(id, uint32(i+1)), Directory: 1, Start: media.WallTime(from+i) * media.WallTime(minute),
			Duration: minute, Bytes: size,
		})
		p.Use = p.Use.Add(catalog.Usage{Recordings: 1, Bytes: size, DiskBytes: catalog.DiskBytes(size), Duration: minute})
	}
	return Stream{ID: id, Parts: []Part{p}}
}

// ns returns the numbers of a stream's deleted recordings.
func ns(list []Deletion, id recording.StreamID) (out []uint32) {
	for _, d := range list {
		if d.ID.Stream() == id {
			out = append(out, d.ID.N())
		}
	}
	return out
}

func upTo(n uint32) (out []uint32) {
	for i := uint32(1); i <= n; i++ {
		out = append(out, i)
	}
	return out
}

func at(minutes int) media.WallTime { return media.WallTime(minutes) * media.WallTime(minute) }

func TestPlanNothing(t *testing.T) {
	limit := int64(1 << 40)
	s := stream(1, 0, 100, mb)
	s.MaxBytes, s.MaxAge = &limit, day
	state := State{Streams: []Stream{s}, Directories: []Directory{{ID: 1, Total: 1 << 40, Available: 1 << 39}}}
	if r := Plan(&state, at(100)); len(r.Deletions) != 0 || r.More || r.Short != nil {
		t.Errorf("%+v", r)
	}
}

func TestPlanBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int64
		have  int
		want  uint32
	}{
		{"well below", 200 * mb, 100, 0},
		{"just below what four minutes fill", 100 * mb, 96, 0},
		{"reached within four minutes", 100 * mb, 97, 6}, // to 96 - 5 % at most
		{"above", 100 * mb, 150, 59},
		{"all but the last two", 0, 10, 8},
		{"nothing to give", 0, 2, 0},
		{"large limit: ten minutes at once", 1000 * mb, 997, 11},
	} {
		s := stream(1, 0, c.have, mb)
		s.MaxBytes = &c.limit
		r := Plan(&State{Streams: []Stream{s}}, at(c.have))
		if got := ns(r.Deletions, 1); !slices.Equal(got, upTo(c.want)) {
			t.Errorf("%s: deleted %v, want the first %d", c.name, got, c.want)
		}
		for _, d := range r.Deletions {
			if d.Cause != Bytes || d.Reason != recording.Retention || d.Directory != 1 {
				t.Errorf("%s: %+v", c.name, d)
			}
		}
	}
}

func TestPlanRoundsUp(t *testing.T) {
	limit := int64(50 * 4096)
	s := stream(1, 0, 60, 1) // one byte takes a block
	s.MaxBytes = &limit
	r := Plan(&State{Streams: []Stream{s}}, at(60))
	if left := 60 - len(r.Deletions); left > 50 || left < 44 {
		t.Errorf("%d recordings left of a limit of 50 blocks", left)
	}
}

func TestPlanAge(t *testing.T) {
	const dayMinutes = 24 * 60
	s := stream(1, 0, 3000, mb)
	s.MaxAge = day
	for _, c := range []struct {
		now  int
		want uint32
	}{
		{dayMinutes, 0},
		{dayMinutes + 1, 11}, // one is too old, ten more soon will be
		{dayMinutes + 100, 110},
		{1 << 20, 3000 - KeepLast},
	} {
		if got := ns(Plan(&State{Streams: []Stream{s}}, at(c.now)).Deletions, 1); !slices.Equal(got, upTo(c.want)) {
			t.Errorf("at minute %d: deleted %d, want %d", c.now, len(got), c.want)
		}
		if r := Plan(&State{Streams: []Stream{s}, ClockUncertain: true}, at(c.now)); len(r.Deletions) != 0 {
			t.Errorf("at minute %d: an uncertain clock deleted %d", c.now, len(r.Deletions))
		}
	}
}

// TestPlanFloor fills a disk with a busy and a quiet camera that began at different times: both keep the same days.
func TestPlanFloor(t *testing.T) {
	floor := int64(100 * mb)
	state := State{
		Streams:     []Stream{stream(1, 0, 100, 4*mb), stream(2, 30, 70, mb), stream(3, 98, 2, mb)},
		Directories: []Directory{{ID: 1, Total: 1 << 30, Available: 10 * mb, Pending: 6 * mb, MinFree: &floor}},
	}
	r := Plan(&state, at(100))
	// Wanted are 84 MB and a tenth of the floor: 23 recordings of the busy one, all older than the quiet one's first.
	if got := ns(r.Deletions, 1); !slices.Equal(got, upTo(24)) || len(r.Deletions) != 24 {
		t.Errorf("deleted %v", got)
	}
	state.Directories[0].Available = 0
	state.Directories[0].Pending = 0
	big := int64(300 * mb)
	state.Directories[0].MinFree = &big
	r = Plan(&state, at(100))
	first, second := ns(r.Deletions, 1), ns(r.Deletions, 2)
	if diff := len(first) - (len(second) + 30); diff < 0 || diff > 1 {
		t.Errorf("minute %d of one camera and %d of the other are left first", len(first), 30+len(second))
	}
	if len(ns(r.Deletions, 3)) != 0 {
		t.Error("the last recordings of a stream went")
	}
	if !slices.IsSortedFunc(r.Deletions, func(a, b Deletion) int { return int(a.Start - b.Start) }) {
		t.Error("not the oldest first")
	}
}

func TestPlanShort(t *testing.T) {
	state := State{
		Streams:     []Stream{stream(1, 0, 10, mb)},
		Directories: []Directory{{ID: 1, Total: 100_000_000_000, Available: 1_000_000_000}, {ID: 2, Total: 0, Missing: true}},
	}
	r := Plan(&state, at(10))
	if len(r.Deletions) != 8 || r.Short[1] != 4_000_000_000-8*mb || len(r.Short) != 1 {
		t.Errorf("%d deletions, short %v", len(r.Deletions), r.Short)
	}
}

func TestPlanUnknown(t *testing.T) {
	limit := int64(10 * mb)
	s := stream(1, 0, 100, mb)
	s.MaxBytes = &limit
	s.Parts[0].Oldest = s.Parts[0].Oldest[:20]
	r := Plan(&State{Streams: []Stream{s}}, at(100))
	if !r.More || len(r.Deletions) != 20 {
		t.Errorf("%d deletions, more %v", len(r.Deletions), r.More)
	}
	s.MaxBytes = nil
	floor := int64(90 * mb)
	r = Plan(&State{Streams: []Stream{s, stream(2, 500, 50, mb)}, Directories: []Directory{{ID: 1, MinFree: &floor}}}, at(1000))
	if !r.More || len(r.Deletions) != 20 || r.Short != nil {
		t.Errorf("went on to the other stream: %d deletions, more %v, short %v", len(r.Deletions), r.More, r.Short)
	}
}

func TestPlanTwoDirectories(t *testing.T) {
	limit := int64(20 * mb)
	s := stream(1, 0, 30, mb)
	moved := stream(1, 30, 10, mb)
	for i := range moved.Parts[0].Oldest {
		moved.Parts[0].Oldest[i].ID += 30
		moved.Parts[0].Oldest[i].Directory = 2
	}
	moved.Parts[0].Directory = 2
	s.Parts = append(moved.Parts, s.Parts...)
	s.MaxBytes = &limit
	r := Plan(&State{Streams: []Stream{s}}, at(40))
	if got := ns(r.Deletions, 1); !slices.Equal(got, upTo(uint32(len(got)))) || len(got) < 20 {
		t.Errorf("deleted %v", got)
	}
	floor := int64(5 * mb)
	s.MaxBytes = nil
	r = Plan(&State{Streams: []Stream{s}, Directories: []Directory{{ID: 2, MinFree: &floor}}}, at(40))
	for _, d := range r.Deletions {
		if d.Directory != 2 {
			t.Errorf("deleted %+v for another directory", d)
		}
	}
	if len(r.Deletions) < 5 {
		t.Errorf("%d deletions", len(r.Deletions))
	}
}

func TestDefaultFloor(t *testing.T) {
	for total, want := range map[int64]int64{
		1_000_000_000_000: 50_000_000_000, 50_000_000_000: 5_000_000_000, 8_000_000_000: 4_000_000_000, 0: 0,
	} {
		if got := DefaultFloor(total); got != want {
			t.Errorf("of %d: %d, want %d", total, got, want)
		}
	}
}

// TestPlanRandom plans for random states and checks what must hold of every plan against a straightforward reading of
// the limits.
func TestPlanRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		state, now := randomState(rng)
		if problem := examine(state, now, Plan(state, now)); problem != "" {
			t.Fatalf("%s\nstate %+v\nnow %d\nplan %+v", problem, *state, now, Plan(state, now))
		}
	}
}

func randomState(rng *rand.Rand) (*State, media.WallTime) {
	var s State
	now := at(rng.IntN(4000))
	for id := recording.StreamID(1); int(id) <= 1+rng.IntN(4); id++ {
		n := rng.IntN(60)
		one := stream(id, rng.IntN(3000), n, int64(rng.IntN(3*mb)))
		for i := range one.Parts[0].Oldest { // runs that overlap and holes
			one.Parts[0].Oldest[i].Start += media.WallTime(rng.IntN(int(3 * minute)))
		}
		slices.SortFunc(one.Parts[0].Oldest, func(a, b catalog.Brief) int { return int(a.Start - b.Start) })
		one = split(rng, one)
		if rng.IntN(2) == 0 {
			limit := rng.Int64N(60 * mb)
			one.MaxBytes = &limit
		}
		if rng.IntN(2) == 0 {
			one.MaxAge = media.WallDuration(1+rng.IntN(3)) * day
		}
		s.Streams = append(s.Streams, one)
	}
	for id := catalog.DirectoryID(1); id <= 2; id++ {
		floor := rng.Int64N(200 * mb)
		s.Directories = append(s.Directories, Directory{
			ID: id, Available: rng.Int64N(200 * mb), Pending: rng.Int64N(10 * mb), MinFree: &floor, Missing: rng.IntN(5) == 0,
		})
	}
	s.ClockUncertain = rng.IntN(4) == 0
	return &s, now
}

// split moves some recordings of a stream to directory 2.
func split(rng *rand.Rand, s Stream) Stream {
	parts := []Part{{Directory: 1}, {Directory: 2}}
	for _, b := range s.Parts[0].Oldest {
		to := &parts[rng.IntN(2)]
		b.Directory = to.Directory
		to.Oldest = append(to.Oldest, b)
		to.Use = to.Use.Add(catalog.Usage{Recordings: 1, Bytes: b.Bytes, DiskBytes: catalog.DiskBytes(b.Bytes), Duration: b.Duration})
	}
	s.Parts = parts
	return s
}

// examine returns what is wrong with a plan, or "".
func examine(s *State, now media.WallTime, r Result) string {
	gone := make(map[recording.ID]Cause)
	freed := make(map[catalog.DirectoryID]int64)
	for _, d := range r.Deletions {
		if gone[d.ID] != "" {
			return "deleted twice"
		}
		gone[d.ID] = d.Cause
		freed[d.Directory] += d.DiskBytes
	}
	if r.More {
		return "wants more although all is known"
	}
	for i := range s.Streams {
		if problem := examineStream(s, &s.Streams[i], now, gone); problem != "" {
			return problem
		}
	}
	for _, d := range s.Directories {
		if problem := examineDirectory(s, &d, gone, freed[d.ID], r.Short[d.ID]); problem != "" {
			return problem
		}
	}
	return ""
}

// all lists the recordings of a stream, the oldest first.
func all(s *Stream) (list []catalog.Brief) {
	for _, p := range s.Parts {
		list = append(list, p.Oldest...)
	}
	slices.SortFunc(list, func(a, b catalog.Brief) int {
		if a.Start != b.Start {
			return int(a.Start - b.Start)
		}
		return int(a.ID) - int(b.ID)
	})
	return list
}

func examineStream(state *State, s *Stream, now media.WallTime, gone map[recording.ID]Cause) string {
	var before, after, largest int64
	left, kept := 0, false
	list := all(s)
	cutoff := now.Add(-s.MaxAge)
	for _, b := range list {
		size := catalog.DiskBytes(b.Bytes)
		before += size
		largest = max(largest, size)
		switch cause := gone[b.ID]; cause {
		case "":
			kept = true
			left++
			after += size
		case Age:
			if s.MaxAge == 0 || state.ClockUncertain || b.Start.Add(b.Duration) > cutoff.Add(batch) {
				return "deleted by age what is young"
			}
			if kept {
				return "left a hole by age"
			}
		case Bytes:
			if s.MaxBytes == nil || kept {
				return "left a hole by bytes, or had no such limit"
			}
		}
	}
	if left < min(KeepLast, len(list)) {
		return "the newest recordings went"
	}
	if left > KeepLast && s.MaxBytes != nil && after > *s.MaxBytes {
		return "byte limit not kept"
	}
	if s.MaxBytes != nil && before < *s.MaxBytes-*s.MaxBytes/20 {
		for _, b := range list {
			if gone[b.ID] == Bytes {
				return "deleted by bytes below the limit"
			}
		}
	}
	for _, b := range list {
		if left > KeepLast && !state.ClockUncertain && s.MaxAge > 0 && gone[b.ID] == "" && b.Start.Add(b.Duration) <= cutoff && !kept {
			return "age limit not kept"
		}
	}
	return ""
}

func examineDirectory(s *State, d *Directory, gone map[recording.ID]Cause, freed, short int64) string {
	free := d.Available + d.Pending + freed
	var newestGone media.WallTime
	byFloor := false
	oldestLeft := media.WallTime(1 << 60)
	for i := range s.Streams {
		st := &s.Streams[i]
		left := 0
		for _, b := range all(st) {
			if gone[b.ID] == "" {
				left++
			}
		}
		for _, b := range all(st) {
			switch {
			case b.Directory != d.ID:
			case gone[b.ID] == Floor:
				byFloor = true
				newestGone = max(newestGone, b.Start)
			case gone[b.ID] == "" && left > KeepLast:
				oldestLeft = min(oldestLeft, b.Start)
			}
		}
	}
	switch {
	case d.Missing && (byFloor || short != 0):
		return "deleted for a missing directory"
	case byFloor && newestGone > oldestLeft:
		return "an older recording stayed"
	case !d.Missing && free < *d.MinFree && (oldestLeft < 1<<60 || short != *d.MinFree-free):
		return "free space not kept and not reported"
	case byFloor && free > *d.MinFree+*d.MinFree/10+3*mb+4096 && d.Available+d.Pending >= *d.MinFree:
		return "deleted although there was room"
	}
	return ""
}
