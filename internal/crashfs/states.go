package crashfs

import (
	"fmt"
	"iter"
	"maps"
)

// Units lists what a power cut would put at stake now.
func (f *FS) Units() []Unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchMappings()
	return f.disk.units()
}

// Crash returns the file system as it is found after a power cut at this instant. f itself goes on.
func (f *FS) Crash(p Policy) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchMappings()
	return f.cut(f.disk, f.seq, p)
}

// Kill returns the file system as the next process finds it when this one dies now. f itself goes on.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchMappings()
	return f.killed(f.disk, f.seq)
}

// CrashAt returns what a power cut right after operation n would have left. It needs Record before operation n.
func (f *FS) CrashAt(n int, p Policy) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut(f.replay(n), n, p)
}

// KillAt returns what the next process would have found had this one died right after operation n (of which nothing is
// half done). It needs Record before operation n.
func (f *FS) KillAt(n int) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.killed(f.replay(n), n)
}

func (f *FS) cut(d *disk, n int, p Policy) *FS {
	units := d.units()
	fates := make([]Fate, len(units))
	for i, u := range units {
		fates[i] = p(u)
	}
	return newFS(f.opts, d.crash(units, fates), f.aliases, fmt.Sprintf("power cut after %d", n))
}

func (f *FS) killed(d *disk, n int) *FS {
	return newFS(f.opts, d.clone(false), f.aliases, fmt.Sprintf("killed after %d", n))
}

// replay returns the disk as it was after operation n.
func (f *FS) replay(n int) *disk {
	rec := f.mustRecord()
	if n < rec.from || n > f.seq {
		panic(fmt.Sprintf("crashfs: operation %d of %d..%d", n, rec.from, f.seq))
	}
	d := rec.start.clone(true)
	for _, e := range rec.effects {
		if e.seq > n {
			break
		}
		d.apply(e)
	}
	return d
}

func (f *FS) mustRecord() *recorder {
	if f.recorder == nil {
		panic("crashfs: nothing was recorded; call Record first")
	}
	return f.recorder
}

// Bounds say how many states States makes of one instant. The zero value is a thorough choice for short workloads.
type Bounds struct {
	Random int    // random subsets, torn ones included; 0: 4, negative: none
	Seed   uint64 // of the random subsets
	Max    int    // states of one instant; 0: 256. The first are: all lost, all kept, the random ones.
	// NoSingles leaves out the states in which one unit is lost or kept alone, or torn at 512 or 4,096 bytes.
	NoSingles bool
}

// States makes the file systems that a power cut right after operation n could have left: everything unsynced lost,
// everything kept, random subsets, each unit lost alone, each kept alone, and each write torn at either grain while the
// rest is lost or kept. It needs Record before operation n.
func (f *FS) States(n int, b Bounds) iter.Seq[*FS] {
	return func(yield func(*FS) bool) {
		f.mu.Lock()
		d, aliases := f.replay(n), maps.Clone(f.aliases)
		f.mu.Unlock()
		f.statesOf(d, aliases, n, b, yield)
	}
}

// AllStates is States for each operation since Record (and for the instant before the first), without those that left the
// disk as it was. All are made in one pass, so that it costs little more than the states themselves.
func (f *FS) AllStates(b Bounds) iter.Seq[*FS] {
	return func(yield func(*FS) bool) {
		f.mu.Lock()
		rec := f.mustRecord()
		f.catchMappings()
		effects := rec.effects
		d, aliases := rec.start.clone(true), maps.Clone(f.aliases)
		f.mu.Unlock()
		n := rec.from
		for {
			if !f.statesOf(d, aliases, n, b, yield) || len(effects) == 0 {
				return
			}
			for n = effects[0].seq; len(effects) > 0 && effects[0].seq == n; effects = effects[1:] {
				d.apply(effects[0])
			}
		}
	}
}

// statesOf yields the states of one instant and reports whether more are wanted.
func (f *FS) statesOf(d *disk, aliases map[string]string, n int, b Bounds, yield func(*FS) bool) bool {
	units := d.units()
	fates := make([]Fate, len(units))
	limit := b.Max
	if limit == 0 {
		limit = 256
	}
	count := 0
	emit := func(note string, p Policy) bool {
		if count++; count > limit {
			return true
		}
		for i, u := range units {
			fates[i] = p(u)
		}
		return yield(newFS(f.opts, d.crash(units, fates), aliases, fmt.Sprintf("power cut after %d: %s", n, note)))
	}
	if !emit("all lost", LoseAll) {
		return false
	}
	if len(units) == 0 {
		return true
	}
	if !emit("all kept", KeepAll) {
		return false
	}
	random := b.Random
	if random == 0 {
		random = 4
	}
	for i := range random {
		seed := mix(b.Seed, mix(uint64(n), uint64(i)))
		if !emit(fmt.Sprintf("random subset %#x", seed), Random(seed)) {
			return false
		}
	}
	return b.NoSingles || singles(units, emit)
}

// singles goes through the states in which one unit differs from all others.
func singles(units []Unit, emit func(string, Policy) bool) bool {
	keep, lose := Fate{Keep: true}, Fate{}
	for _, u := range units {
		note := u.String()
		if len(units) > 1 && !(emit(note+" lost alone", Only(u.Index, lose, keep)) &&
			emit(note+" kept alone", Only(u.Index, keep, lose))) {
			return false
		}
		grown := u.Kind == UnitSize && u.from >= 0
		if u.Kind != UnitData && !grown {
			continue
		}
		for _, grain := range []int64{512, pageSize} {
			if u.Size <= grain && u.Offset/grain == (u.Offset+u.Size-1)/grain {
				continue // one sector does not tear
			}
			torn := Fate{Keep: true, Tear: mix(uint64(u.Index), uint64(grain)) | 1, Grain: grain}
			if !(emit(fmt.Sprintf("%s torn at %d, the rest kept", note, grain), Only(u.Index, torn, keep)) &&
				emit(fmt.Sprintf("%s torn at %d, the rest lost", note, grain), Only(u.Index, torn, lose))) {
				return false
			}
		}
	}
	return true
}
