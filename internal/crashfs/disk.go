package crashfs

import (
	"maps"
	"slices"
	"time"
)

// nodeID names a file or directory for ever; it is its inode number too.
type nodeID uint64

const rootID nodeID = 1

// node is a file or directory as the running system sees it (cur, entries), as the disk surely holds it (base,
// baseEntries), and what lies between (ops; the directory operations are the disk's).
type node struct {
	id       nodeID
	dir      bool
	mount    int
	at       entry // where it was put last
	modified time.Time

	cur, base *content
	ops       []fileOp
	reserved  []bool // pages that Allocate or Map took, written or not
	freed     bool   // it takes no space any more

	entries, baseEntries map[string]nodeID
	baseParent           nodeID // where base holds it
	baseName             string

	links, refs, opens int  // names in entries; uses by directory operations; open handles, mappings and locks
	inBase             bool // baseEntries of baseParent holds it

	mem  []byte // the bytes while mapped
	maps int
}

// certainty says what a later crash may do to an operation.
type certainty uint8

const (
	pending certainty = iota // may be lost; the next sync makes it durable
	limbo                    // may be lost; a failed sync dropped it, no later sync helps
	durable                  // stays; still listed only because something uncertain stands before it
)

// fileOp is a write or a change of length that base does not hold.
type fileOp struct {
	state  certainty
	data   []byte // written bytes, or nil: only the length changes
	offset int64
	size   int64 // the length afterwards, or -1: unchanged
	grew   int64 // the length before, if a write changed it
	whole  bool  // a page of a mapping: never torn
	hole   bool  // a page given back
}

// entry is one changed name in a directory; node 0: the name is gone.
type entry struct {
	dir    nodeID
	name   string
	node   nodeID
	synced bool
}

// dirOp is a change of names that happens as a whole or not at all.
type dirOp struct {
	state   certainty
	what    string
	entries []entry
}

type mount struct {
	MountOptions
	point      nodeID
	used       int64 // pages
	usedInodes int64
}

// disk is the state of the file system without handles, locks and rules: a machine that effects move on. It is not safe
// for concurrent use.
type disk struct {
	nodes   map[nodeID]*node
	next    nodeID
	dirOps  []*dirOp
	unsure  map[nodeID]bool // files with ops
	mounts  []*mount
	journal bool // model ext4: see Options
	keepAll bool // a replay: nodes are never dropped, as later effects may name them
}

type effectKind uint8

const (
	effCreate effectKind = iota
	effUnlink
	effRename
	effWrite
	effWritePage
	effResize
	effReserve
	effPunch
	effSync
	effSyncFailed
	effSyncDir
	effSyncDirFailed
)

// effect is one change of a disk. All changes go through apply, so that a list of them can be played again.
type effect struct {
	seq     int
	kind    effectKind
	node    nodeID
	dir     bool
	parent  nodeID
	name    string
	to      nodeID
	toName  string
	offset  int64
	size    int64
	data    []byte
	at      time.Time
	opening bool // effCreate: the new node is opened at once
}

func newDisk(opts Options) *disk {
	d := &disk{nodes: map[nodeID]*node{}, next: rootID + 1, unsure: map[nodeID]bool{}, journal: opts.Journal}
	d.mounts = []*mount{{MountOptions: opts.MountOptions, point: rootID}}
	root := &node{id: rootID, dir: true, inBase: true, links: 1}
	root.entries, root.baseEntries = map[string]nodeID{}, map[string]nodeID{}
	d.nodes[rootID] = root
	return d
}

func (d *disk) apply(e effect) {
	n := d.nodes[e.node]
	switch e.kind {
	case effCreate:
		d.create(e)
	case effUnlink:
		d.change("remove "+join(d.path(d.nodes[e.parent]), e.name), e.at, entry{dir: e.parent, name: e.name})
	case effRename:
		d.change("rename "+d.path(n)+" to "+join(d.path(d.nodes[e.to]), e.toName), e.at,
			entry{dir: e.parent, name: e.name}, entry{dir: e.to, name: e.toName, node: e.node})
	case effWrite, effWritePage:
		d.write(n, e)
	case effResize:
		d.resize(n, e)
	case effReserve:
		d.charge(n, d.missing(n, e.offset, e.size))
		n.reserve(e.offset, e.size)
	case effPunch:
		d.punch(n, e)
	case effSync:
		d.sync(n)
	case effSyncFailed:
		for i := range n.ops {
			if n.ops[i].state == pending {
				n.ops[i].state = limbo
			}
		}
	case effSyncDir:
		d.syncDir(n.id)
	case effSyncDirFailed:
		for _, op := range d.dirOps {
			if op.state == pending && slices.ContainsFunc(op.entries, func(en entry) bool { return en.dir == n.id }) {
				op.state = limbo
			}
		}
	}
}

func (d *disk) create(e effect) {
	n := &node{id: e.node, dir: e.dir, mount: d.nodes[e.parent].mount, modified: e.at}
	if e.dir {
		n.entries, n.baseEntries = map[string]nodeID{}, map[string]nodeID{}
	} else {
		n.cur, n.base = newContent(), newContent()
	}
	d.nodes[n.id] = n
	d.next = max(d.next, n.id+1)
	d.mounts[n.mount].usedInodes++
	if e.opening {
		n.opens++
	}
	d.change("create "+join(d.path(d.nodes[e.parent]), e.name), e.at, entry{dir: e.parent, name: e.name, node: n.id})
}

// change sets names as one operation.
func (d *disk) change(what string, at time.Time, sets ...entry) {
	op := &dirOp{what: what}
	for _, s := range sets {
		dir := d.nodes[s.dir]
		dir.modified = at
		old := dir.entries[s.name]
		if s.node == 0 {
			delete(dir.entries, s.name)
		} else {
			dir.entries[s.name] = s.node
			n := d.nodes[s.node]
			n.links++
			n.at = s
			n.refs++
		}
		op.entries = append(op.entries, s)
		if n := d.nodes[old]; n != nil {
			n.links--
			defer d.release(n)
		}
	}
	if d.mounts[d.nodes[sets[0].dir].mount].Volatile {
		d.settle(op)
		return
	}
	d.dirOps = append(d.dirOps, op)
}

// path is where a node is, or was last.
func (d *disk) path(n *node) string {
	if n == nil || n.id == rootID {
		return "/"
	}
	return join(d.path(d.nodes[n.at.dir]), n.at.name)
}

// release drops a node that nobody can reach any more, neither now nor after a crash.
func (d *disk) release(n *node) {
	if n.links > 0 || n.opens > 0 {
		return
	}
	if !n.freed {
		d.charge(n, -n.pages())
		d.mounts[n.mount].usedInodes--
		n.freed = true
	}
	if n.inBase || n.refs > 0 || d.keepAll {
		return
	}
	delete(d.nodes, n.id)
	delete(d.unsure, n.id)
	for _, id := range n.baseEntries {
		if child := d.nodes[id]; child != nil && child.baseParent == n.id {
			child.inBase = false
			d.release(child)
		}
	}
}

// pages counts what the node takes of its mount.
func (n *node) pages() int64 {
	if n.dir {
		return 0
	}
	count := n.cur.used
	for i, r := range n.reserved {
		if r && (i >= len(n.cur.pages) || n.cur.pages[i].bytes == nil) {
			count++
		}
	}
	return count
}

// missing counts the pages that a write to a range would take.
func (d *disk) missing(n *node, offset, size int64) int64 {
	if size <= 0 {
		return 0
	}
	count := int64(0)
	for i := offset / pageSize; i <= (offset+size-1)/pageSize; i++ {
		if (i >= int64(len(n.reserved)) || !n.reserved[i]) && n.cur.hole(i) {
			count++
		}
	}
	return count
}

func (n *node) reserve(offset, size int64) {
	end := (offset + size + pageSize - 1) / pageSize
	if grow := end - int64(len(n.reserved)); grow > 0 {
		n.reserved = append(n.reserved, make([]bool, grow)...)
	}
	for i := offset / pageSize; i < end; i++ {
		n.reserved[i] = true
	}
}

func (d *disk) charge(n *node, pages int64) { d.mounts[n.mount].used += pages }

func (d *disk) write(n *node, e effect) {
	d.charge(n, d.missing(n, e.offset, int64(len(e.data))))
	op := fileOp{data: e.data, offset: e.offset, size: -1, whole: e.kind == effWritePage}
	if end := e.offset + int64(len(e.data)); end > n.cur.size {
		op.size, op.grew = end, n.cur.size
	}
	n.cur.write(e.data, e.offset)
	n.modified = e.at
	d.note(n, op)
}

func (d *disk) resize(n *node, e effect) {
	before := n.pages()
	if keep := (e.size + pageSize - 1) / pageSize; e.size <= n.cur.size && int64(len(n.reserved)) > keep {
		n.reserved = n.reserved[:keep]
	}
	changed := e.size != n.cur.size
	n.cur.resize(e.size)
	d.charge(n, n.pages()-before)
	n.modified = e.at
	if changed {
		d.note(n, fileOp{size: e.size})
	}
}

func (d *disk) punch(n *node, e effect) {
	before := n.pages()
	first, count := int(e.offset/pageSize), int(e.size/pageSize)
	n.cur.punch(first, count)
	for i := first; i < min(first+count, len(n.reserved)); i++ {
		n.reserved[i] = false
	}
	d.charge(n, n.pages()-before)
	for at := e.offset; at < e.offset+e.size; at += pageSize {
		d.note(n, fileOp{data: zeroPage[:], offset: at, size: -1, whole: true, hole: true})
	}
}

// note remembers what a power cut may take back; on a volatile mount it takes everything anyway.
func (d *disk) note(n *node, op fileOp) {
	if d.mounts[n.mount].Volatile {
		return
	}
	n.ops = append(n.ops, op)
	d.unsure[n.id] = true
}

// sync makes durable what is pending. Where a failed sync left operations in limbo, base cannot simply become cur.
func (d *disk) sync(n *node) {
	if n.dir {
		return
	}
	if d.journal && (slices.ContainsFunc(n.ops, func(op fileOp) bool { return op.state == pending }) || d.renamed(n.id)) {
		d.commit()
	}
	uncertain := false
	for i := range n.ops {
		if n.ops[i].state == pending {
			n.ops[i].state = durable
		}
		uncertain = uncertain || n.ops[i].state == limbo
	}
	if uncertain {
		return
	}
	n.base, n.ops = n.cur.clone(), nil
	delete(d.unsure, n.id)
}

// renamed reports whether a name that leads to the node, or stands in it, has changed since the last commit.
func (d *disk) renamed(id nodeID) bool {
	return slices.ContainsFunc(d.dirOps, func(op *dirOp) bool {
		return op.state == pending && slices.ContainsFunc(op.entries, func(e entry) bool {
			return e.dir == id || e.node == id
		})
	})
}

// commit makes all changes of names durable, as the end of a journal's transaction does.
func (d *disk) commit() {
	for _, op := range d.dirOps {
		if op.state == pending {
			op.state = durable
		}
	}
	d.fold()
}

func (d *disk) syncDir(id nodeID) {
	if d.journal {
		if d.renamed(id) {
			d.commit()
		}
		return
	}
	for _, op := range d.dirOps {
		all := true
		for i := range op.entries {
			if op.entries[i].dir == id {
				op.entries[i].synced = true
			}
			all = all && op.entries[i].synced
		}
		if op.state == pending && all {
			op.state = durable
		}
	}
	d.fold()
}

// fold moves durable directory operations into base, except those that stand behind an uncertain one of the same name.
func (d *disk) fold() {
	type name struct {
		dir  nodeID
		name string
	}
	var held map[name]bool
	rest := d.dirOps[:0]
	for _, op := range d.dirOps {
		keep := op.state != durable
		for _, e := range op.entries {
			keep = keep || held[name{e.dir, e.name}]
		}
		if !keep {
			d.settle(op)
			continue
		}
		if held == nil {
			held = map[name]bool{}
		}
		for _, e := range op.entries {
			held[name{e.dir, e.name}] = true
		}
		rest = append(rest, op)
	}
	clear(d.dirOps[len(rest):])
	d.dirOps = rest
}

// settle applies an operation to base.
func (d *disk) settle(op *dirOp) {
	for _, e := range op.entries {
		if dir := d.nodes[e.dir]; dir != nil { // else itself durably removed
			d.settleName(dir, e)
		}
		if n := d.nodes[e.node]; n != nil {
			n.refs--
			defer d.release(n)
		}
	}
}

func (d *disk) settleName(dir *node, e entry) {
	if old := d.nodes[dir.baseEntries[e.name]]; old != nil && old.id != e.node {
		old.inBase = false
		defer d.release(old)
	}
	delete(dir.baseEntries, e.name)
	n := d.nodes[e.node]
	if n == nil {
		return
	}
	if was := d.nodes[n.baseParent]; n.inBase && was != nil && was.baseEntries[n.baseName] == n.id {
		delete(was.baseEntries, n.baseName) // moved: its former place in base goes with it
	}
	dir.baseEntries[e.name] = n.id
	n.inBase, n.baseParent, n.baseName = true, e.dir, e.name
}

// clone copies the disk as a process leaves it that dies: no handles, everything else as it is. With keepAll it is the
// beginning of a replay and keeps what has no name but was open, too.
func (d *disk) clone(keepAll bool) *disk {
	out := &disk{nodes: make(map[nodeID]*node, len(d.nodes)), next: d.next, unsure: maps.Clone(d.unsure),
		journal: d.journal, mounts: cloneMounts(d.mounts), keepAll: keepAll}
	for _, op := range d.dirOps {
		c := *op
		c.entries = slices.Clone(op.entries)
		out.dirOps = append(out.dirOps, &c)
	}
	for id, n := range d.nodes {
		c := *n
		c.entries, c.baseEntries = maps.Clone(n.entries), maps.Clone(n.baseEntries)
		c.ops, c.reserved = slices.Clone(n.ops), slices.Clone(n.reserved)
		if !n.dir {
			c.cur, c.base = n.cur.clone(), n.base.clone()
		}
		c.opens, c.maps, c.mem = 0, 0, nil
		out.nodes[id] = &c
	}
	for _, n := range out.nodes {
		if n.links == 0 {
			out.release(n)
		}
	}
	return out
}

func cloneMounts(in []*mount) []*mount {
	out := make([]*mount, len(in))
	for i, m := range in {
		c := *m
		out[i] = &c
	}
	return out
}
