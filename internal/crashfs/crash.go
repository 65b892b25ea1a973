package crashfs

import (
	"fmt"
	"maps"
	"slices"
)

// UnitKind says what a Unit is.
type UnitKind string

// The kinds of unit.
const (
	UnitData  UnitKind = "data"  // bytes of one write
	UnitPage  UnitKind = "page"  // one page of a mapping
	UnitSize  UnitKind = "size"  // a length: the growth by a write, or a truncate
	UnitEntry UnitKind = "entry" // the names changed by one create, remove or rename
)

// Unit is something that a power cut may take back.
type Unit struct {
	Index  int // in the list of all units of the instant
	Kind   UnitKind
	Path   string // of the file; of an entry what was done, such as "create /a"
	Offset int64
	Size   int64 // bytes, or the new length

	node nodeID
	op   int
	from int64 // UnitSize: the length before a growth, or -1
}

func (u Unit) String() string {
	switch u.Kind {
	case UnitEntry:
		return u.Path
	case UnitSize:
		return fmt.Sprintf("length %d of %s", u.Size, u.Path)
	}
	return fmt.Sprintf("%s %s[%d,+%d)", u.Kind, u.Path, u.Offset, u.Size)
}

// Fate is what becomes of a unit. The zero value: it is lost.
type Fate struct {
	Keep bool
	// Tear, when not 0, is the seed by which a kept unit is torn: of the sectors of UnitData each is kept or lost, a growth
	// in UnitSize stops at some sector. Pages and entries are never torn.
	Tear  uint64
	Grain int64 // size of the sectors: 512, or 4,096 (also when 0)
}

// Policy decides the fate of each unit.
type Policy func(Unit) Fate

// LoseAll takes back everything that was not synced.
func LoseAll(Unit) Fate { return Fate{} }

// KeepAll takes back nothing.
func KeepAll(Unit) Fate { return Fate{Keep: true} }

// Random loses a third of the units, keeps a third, and tears a third, the same ones for each seed.
func Random(seed uint64) Policy {
	return func(u Unit) Fate {
		h := mix(seed, uint64(u.Index))
		switch h % 6 {
		case 0, 1:
			return Fate{}
		case 2, 3:
			return Fate{Keep: true}
		case 4:
			return Fate{Keep: true, Tear: h | 1, Grain: 512}
		default:
			return Fate{Keep: true, Tear: h | 1, Grain: 4096}
		}
	}
}

// Only gives one unit a fate and all others another.
func Only(index int, one, others Fate) Policy {
	return func(u Unit) Fate {
		if u.Index == index {
			return one
		}
		return others
	}
}

// mix is splitmix64: a good hash of two numbers.
func mix(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b + 0x632be59bd9b4e019
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// units lists what a power cut may take back now: names in the order of their change, then files by inode.
func (d *disk) units() []Unit {
	var out []Unit
	add := func(u Unit) {
		u.Index = len(out)
		out = append(out, u)
	}
	for i, op := range d.dirOps {
		if op.state != durable {
			add(Unit{Kind: UnitEntry, Path: op.what, op: i})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.unsure)) {
		n := d.nodes[id]
		if n.links == 0 && n.refs == 0 && !n.inBase {
			continue // no name leads here after any crash
		}
		path := d.path(n)
		for i, op := range n.ops {
			if op.state == durable {
				continue
			}
			if op.data != nil {
				kind := UnitData
				if op.whole {
					kind = UnitPage
				}
				add(Unit{Kind: kind, Path: path, Offset: op.offset, Size: int64(len(op.data)), node: id, op: i})
			}
			if op.size >= 0 {
				from := int64(-1)
				if op.data != nil {
					from = op.grew
				}
				add(Unit{Kind: UnitSize, Path: path, Size: op.size, node: id, op: i, from: from})
			}
		}
	}
	return out
}

// crash makes the disk that is found after a power cut with these fates, one for each of units.
func (d *disk) crash(units []Unit, fates []Fate) *disk {
	out := &disk{nodes: make(map[nodeID]*node, len(d.nodes)), next: d.next, unsure: map[nodeID]bool{},
		journal: d.journal, mounts: cloneMounts(d.mounts)}
	for _, m := range out.mounts {
		m.used, m.usedInodes = 0, 0
	}
	c := &crashing{from: d, to: out, units: units, fates: fates}
	c.placeNames()
	c.build(rootID, entry{})
	return out
}

// crashing is one crash being put together.
type crashing struct {
	from, to *disk
	units    []Unit
	fates    []Fate
	names    map[nodeID]map[string]nodeID // directories whose entries differ from base
	places   map[nodeID]entry             // nodes that are elsewhere than in base
}

// entries returns the entries of a directory, to be changed.
func (c *crashing) entries(dir nodeID) map[string]nodeID {
	m, ok := c.names[dir]
	if !ok {
		m = maps.Clone(c.from.nodes[dir].baseEntries)
		if m == nil {
			m = map[string]nodeID{}
		}
		if c.names == nil {
			c.names = map[nodeID]map[string]nodeID{}
		}
		c.names[dir] = m
	}
	return m
}

func (c *crashing) placeNames() {
	unit, lost := 0, false
	for _, op := range c.from.dirOps {
		keep := true
		if op.state != durable {
			keep = c.fates[unit].Keep
			unit++
			if c.from.journal {
				lost = lost || !keep
				keep = !lost
			}
		}
		if !keep {
			continue
		}
		for _, e := range op.entries {
			if c.from.nodes[e.dir] != nil {
				c.place(e)
			}
		}
	}
}

// place sets one name. A node that is moved leaves the place where the kept operations had put it, even if an operation
// between was lost: it never has two names.
func (c *crashing) place(e entry) {
	names := c.entries(e.dir)
	delete(names, e.name)
	if e.node == 0 {
		return
	}
	n := c.from.nodes[e.node]
	was, moved := c.places[e.node]
	if !moved && n.inBase {
		was, moved = entry{dir: n.baseParent, name: n.baseName}, true
	}
	if moved && c.from.nodes[was.dir] != nil {
		if old := c.entries(was.dir); old[was.name] == e.node {
			delete(old, was.name)
		}
	}
	names[e.name] = e.node
	if c.places == nil {
		c.places = map[nodeID]entry{}
	}
	c.places[e.node] = e
}

// build copies a node and what is below it.
func (c *crashing) build(id nodeID, at entry) {
	old := c.from.nodes[id]
	m := c.to.mounts[old.mount]
	n := &node{id: id, dir: old.dir, mount: old.mount, at: at, modified: old.modified, links: 1, inBase: true,
		baseParent: at.dir, baseName: at.name}
	c.to.nodes[id] = n
	m.usedInodes++
	if !old.dir {
		n.cur = c.content(old)
		n.base = n.cur.clone()
		m.used += n.cur.used
		return
	}
	names, ok := c.names[id]
	switch {
	case m.Volatile:
		names = nil
	case !ok:
		names = old.baseEntries
	}
	n.entries = make(map[string]nodeID, len(names))
	n.baseEntries = make(map[string]nodeID, len(names))
	for name, child := range names {
		if c.to.nodes[child] != nil {
			continue // a circle of directories
		}
		n.entries[name], n.baseEntries[name] = child, child
		c.build(child, entry{dir: id, name: name})
	}
}

// content puts a file together from what is durable and what is kept.
func (c *crashing) content(old *node) *content {
	if len(old.ops) == 0 {
		return old.base.clone()
	}
	unit, _ := slices.BinarySearchFunc(c.units, old.id, func(u Unit, id nodeID) int {
		if u.Kind == UnitEntry || u.node < id {
			return -1
		}
		return 1
	})
	if c.keepsAll(old, unit) {
		return old.cur.clone()
	}
	out := old.base.clone()
	for _, op := range old.ops {
		if op.state == durable {
			if op.data != nil {
				writeTorn(out, op, Fate{Keep: true})
			}
			if op.size >= 0 {
				setSize(out, op, op.size)
			}
			continue
		}
		if op.data != nil {
			writeTorn(out, op, c.fates[unit])
			unit++
		}
		if op.size >= 0 {
			if fate := c.fates[unit]; fate.Keep {
				setSize(out, op, tornSize(op, fate))
			}
			unit++
		}
	}
	out.trim(out.size)
	return out
}

// keepsAll reports whether all units of a file, the first of which is given, are kept untorn.
func (c *crashing) keepsAll(n *node, unit int) bool {
	for ; unit < len(c.units) && c.units[unit].node == n.id; unit++ {
		if f := c.fates[unit]; !f.Keep || f.Tear != 0 {
			return false
		}
	}
	return true
}

// setSize grows for a write and is exact for a truncate.
func setSize(c *content, op fileOp, size int64) {
	if op.data == nil {
		c.resize(size)
		return
	}
	c.size = max(c.size, size)
}

func writeTorn(c *content, op fileOp, fate Fate) {
	switch {
	case !fate.Keep:
		return
	case op.hole:
		c.punch(int(op.offset/pageSize), 1)
		return
	case fate.Tear == 0 || op.whole:
		c.writeRaw(op.data, op.offset)
		return
	}
	grain := fate.grain()
	end := op.offset + int64(len(op.data))
	for at := op.offset; at < end; {
		next := min(end, (at/grain+1)*grain)
		if mix(fate.Tear, uint64(at/grain))&1 == 0 {
			c.writeRaw(op.data[at-op.offset:next-op.offset], at)
		}
		at = next
	}
}

// tornSize is a length between those before and after a write, at the end of a sector.
func tornSize(op fileOp, fate Fate) int64 {
	if fate.Tear == 0 || op.data == nil {
		return op.size
	}
	first := op.grew/fate.grain() + 1
	sectors := op.size/fate.grain() - first + 1
	if sectors <= 0 {
		return op.size
	}
	return (first + int64(mix(fate.Tear, uint64(op.size))%uint64(sectors))) * fate.grain()
}

func (f Fate) grain() int64 {
	if f.Grain == 512 {
		return 512
	}
	return pageSize
}
