// Package retention decides which recordings are deleted so that the limits hold, and sees to it that they are.
//
// Plan is pure: it takes what there is (State) and says what goes (Result), oldest first. The limits are bytes and age
// per stream, and free space to keep per directory. When the free space rules, the oldest recording of all streams in
// the directory goes first, so that every camera keeps the same days. The newest recordings of a stream never go, nor
// does what has no row yet, as it is not in the State.
//
// A limit is kept ahead of time and in batches: near it, about ten minutes of footage go at once, because a deletion of
// one recording costs the catalog almost as much as that of ten (docs/adr/0002-catalog-pages.md).
//
// Runner.Run does it for a Store every ten seconds and when woken. Sizes are room on disk: rounded up to whole blocks.
package retention

import (
	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// KeepLast is how many of a stream's newest recordings are never deleted: about the last two minutes.
const KeepLast = 2

const (
	// ahead is how much footage a byte limit makes room for beyond the rows: what is being recorded, what is complete but
	// has no row yet (about 2 min), and what comes before the next look.
	ahead media.WallDuration = 4 * 60 * media.TicksPerSecond
	// batch is how much more goes when something goes.
	batch media.WallDuration = 10 * 60 * media.TicksPerSecond

	day media.WallDuration = 24 * 3600 * media.TicksPerSecond
)

// State is what Plan looks at.
type State struct {
	Streams     []Stream
	Directories []Directory
	// ClockUncertain: the server's clock was never synchronised in this boot. Nothing is deleted by age then, as a
	// clock that is a year ahead would delete a year.
	ClockUncertain bool
}

// Stream is a stream with its limits and recordings.
type Stream struct {
	ID       recording.StreamID
	MaxBytes *int64             // nil: no such limit
	MaxAge   media.WallDuration // 0: no such limit
	Parts    []Part             // one for each directory with recordings of the stream
}

// Part is what a stream has in one directory.
type Part struct {
	Directory catalog.DirectoryID
	Use       catalog.Usage
	Oldest    []catalog.Brief // its first recordings, by start; all of them if their number is Use.Recordings
}

// Directory is a sample file directory with the room that is left.
type Directory struct {
	ID        catalog.DirectoryID
	Total     int64  // size of its file system
	Available int64  // room for new files
	Pending   int64  // room that deleted recordings still take
	MinFree   *int64 // room to keep; nil: DefaultFloor
	Missing   bool   // it can't be looked at; nothing in it is deleted for its sake
}

// Cause says which limit a deletion keeps.
type Cause string

// The causes.
const (
	Age   Cause = "age"
	Bytes Cause = "bytes"
	Floor Cause = "free-space"
)

// Deletion is one recording that goes.
type Deletion struct {
	ID        recording.ID
	Directory catalog.DirectoryID
	DiskBytes int64
	Start     media.WallTime
	Reason    recording.Reason
	Cause     Cause
}

// Result is what a plan comes to.
type Result struct {
	Deletions []Deletion // in the order in which they are to happen
	More      bool       // the lists of oldest recordings were too short: plan again after these deletions
	// Short tells how many bytes a directory lacks although nothing in it may be deleted any more.
	Short map[catalog.DirectoryID]int64
}

// DefaultFloor is the free space that is kept unless a directory says otherwise: the larger of 5 % and 5 GB, but at most
// half of a small disk.
func DefaultFloor(total int64) int64 {
	return min(max(total/20, 5_000_000_000), total/2)
}

// Plan says what has to be deleted now.
func Plan(s *State, now media.WallTime) Result {
	p := planner{streams: make([]planned, len(s.Streams)), freed: make(map[catalog.DirectoryID]int64)}
	for i := range s.Streams {
		p.streams[i] = newPlanned(&s.Streams[i])
	}
	for i := range p.streams {
		if !s.ClockUncertain {
			p.byAge(&p.streams[i], now)
		}
		p.byBytes(&p.streams[i])
	}
	for i := range s.Directories {
		p.byFloor(&s.Directories[i])
	}
	return p.result
}

type planner struct {
	streams []planned
	freed   map[catalog.DirectoryID]int64
	result  Result
}

// planned is a stream of which some recordings are already taken.
type planned struct {
	*Stream
	next  []int // per part: position in Oldest
	left  int64 // recordings
	bytes int64 // on disk
	rate  float64
}

func newPlanned(s *Stream) planned {
	p := planned{Stream: s, next: make([]int, len(s.Parts))}
	var duration media.WallDuration
	for i := range s.Parts {
		p.left += s.Parts[i].Use.Recordings
		p.bytes += s.Parts[i].Use.DiskBytes
		duration += s.Parts[i].Use.Duration
	}
	if duration > 0 {
		p.rate = float64(p.bytes) / float64(duration)
	}
	return p
}

// grows returns how many bytes the stream records in a time.
func (p *planned) grows(d media.WallDuration) int64 { return int64(p.rate * float64(d)) }

// first returns the part with the oldest recording that is left; ok is false if none may be taken. unknown says that
// the lists are too short to tell.
func (p *planned) first() (part int, ok, unknown bool) {
	if p.left <= KeepLast {
		return 0, false, false
	}
	part = -1
	for i := range p.Parts {
		list := p.Parts[i].Oldest
		switch at := p.next[i]; {
		case int64(at) >= p.Parts[i].Use.Recordings:
		case at >= len(list):
			return 0, false, true
		case part < 0 || older(&list[at], &p.Parts[part].Oldest[p.next[part]]):
			part = i
		}
	}
	return part, part >= 0, false
}

func older(a, b *catalog.Brief) bool {
	if a.Start != b.Start {
		return a.Start < b.Start
	}
	return a.ID < b.ID
}

// take deletes the next recording of a part.
func (p *planner) take(s *planned, part int, cause Cause) {
	b := &s.Parts[part].Oldest[s.next[part]]
	size := catalog.DiskBytes(b.Bytes)
	s.next[part]++
	s.left--
	s.bytes -= size
	p.freed[b.Directory] += size
	p.result.Deletions = append(p.result.Deletions, Deletion{
		ID: b.ID, Directory: b.Directory, DiskBytes: size, Start: b.Start, Reason: recording.Retention, Cause: cause,
	})
}

// byAge deletes what is too old, and what would be soon.
func (p *planner) byAge(s *planned, now media.WallTime) {
	if s.MaxAge == 0 {
		return
	}
	limit := now.Add(-s.MaxAge)
	for taken := false; ; taken = true {
		part, ok, unknown := s.first()
		if !ok {
			p.result.More = p.result.More || unknown
			return
		}
		b := &s.Parts[part].Oldest[s.next[part]]
		if end := b.Start.Add(b.Duration); end > limit && (!taken || end > limit.Add(min(batch, s.MaxAge/20))) {
			return
		}
		p.take(s, part, Age)
	}
}

// byBytes keeps a stream's byte limit, with room for what is recorded before the next look.
func (p *planner) byBytes(s *planned) {
	if s.MaxBytes == nil {
		return
	}
	limit := *s.MaxBytes
	limit -= min(s.grows(ahead), limit/20)
	if s.bytes <= limit {
		return
	}
	limit -= min(s.grows(batch), limit/20)
	for s.bytes > limit {
		part, ok, unknown := s.first()
		if !ok {
			p.result.More = p.result.More || unknown
			return
		}
		p.take(s, part, Bytes)
	}
}

// byFloor keeps a directory's free space: of all streams the oldest recording in it goes first.
func (p *planner) byFloor(d *Directory) {
	if d.Missing {
		return
	}
	floor := DefaultFloor(d.Total)
	if d.MinFree != nil {
		floor = *d.MinFree
	}
	free := func() int64 { return d.Available + d.Pending + p.freed[d.ID] }
	if free() >= floor {
		return
	}
	var grows int64
	for i := range p.streams {
		if partOf(&p.streams[i], d.ID) >= 0 {
			grows += p.streams[i].grows(batch)
		}
	}
	goal := floor + min(grows, floor/10)
	for free() < goal {
		s, part, unknown := p.oldestIn(d.ID)
		if unknown {
			p.result.More = true
			return
		}
		if s == nil {
			break
		}
		p.take(s, part, Floor)
	}
	if lack := floor - free(); lack > 0 {
		if p.result.Short == nil {
			p.result.Short = make(map[catalog.DirectoryID]int64)
		}
		p.result.Short[d.ID] = lack
	}
}

// oldestIn finds the stream whose next recording in a directory is the oldest; nil if none may be taken.
func (p *planner) oldestIn(dir catalog.DirectoryID) (best *planned, bestPart int, unknown bool) {
	for i := range p.streams {
		s := &p.streams[i]
		part := partOf(s, dir)
		if part < 0 || s.left <= KeepLast || int64(s.next[part]) >= s.Parts[part].Use.Recordings {
			continue
		}
		if s.next[part] >= len(s.Parts[part].Oldest) {
			return nil, 0, true
		}
		if best == nil || older(&s.Parts[part].Oldest[s.next[part]], &best.Parts[bestPart].Oldest[best.next[bestPart]]) {
			best, bestPart = s, part
		}
	}
	return best, bestPart, false
}

func partOf(s *planned, dir catalog.DirectoryID) int {
	for i := range s.Parts {
		if s.Parts[i].Directory == dir {
			return i
		}
	}
	return -1
}
