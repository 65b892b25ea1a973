package crashfs

import (
	"fmt"
	"slices"
	"unsafe"
)

// Kind names an operation.
type Kind string

// The kinds of operation. A Create is an OpenFile that made a file, or would have.
const (
	Open      Kind = "open"
	Create    Kind = "create"
	Read      Kind = "read"
	Write     Kind = "write"
	Truncate  Kind = "truncate"
	Allocate  Kind = "allocate"
	Sync      Kind = "sync"
	Datasync  Kind = "datasync"
	SyncDir   Kind = "syncdir"
	Mkdir     Kind = "mkdir"
	Remove    Kind = "remove"
	Rename    Kind = "rename"
	ReadDir   Kind = "readdir"
	Stat      Kind = "stat"
	Lock      Kind = "lock"
	Space     Kind = "space"
	Map       Kind = "map"
	Discard   Kind = "discard"
	Reserve   Kind = "reserve"
	DropCache Kind = "dropcache"
	Send      Kind = "send"
	Close     Kind = "close"
	Mark      Kind = "mark"
)

// Op is one operation of the trace.
type Op struct {
	Seq    int // 1 is the first operation of the file system
	Kind   Kind
	Path   string
	To     string // target of a rename
	Offset int64
	Size   int64 // bytes, or the new length
	Err    error // what the caller got; nil until the operation ends
}

func (o Op) String() string {
	s := fmt.Sprintf("%d %s %s", o.Seq, o.Kind, o.Path)
	switch o.Kind {
	case Rename:
		s += " " + o.To
	case Read, Write, Send, DropCache, Discard, Reserve:
		s += fmt.Sprintf(" [%d,+%d)", o.Offset, o.Size)
	case Truncate, Allocate, Map:
		s += fmt.Sprintf(" %d", o.Size)
	}
	if o.Err != nil {
		s += ": " + o.Err.Error()
	}
	return s
}

// recorder keeps all that happened since Record.
type recorder struct {
	start   *disk
	from    int // operations before Record
	ops     []Op
	effects []effect
}

// Record keeps the trace and all bytes written from now on, so that CrashAt, KillAt and States can go back to any
// operation. The memory it takes has no bound.
func (f *FS) Record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchMappings()
	f.recorder = &recorder{start: f.disk.clone(true), from: f.seq}
}

// Trace returns the operations since Record, in the order in which they began.
func (f *FS) Trace() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recorder == nil {
		return nil
	}
	return slices.Clone(f.recorder.ops)
}

// Seq returns the number of the operation that began last; 0: none yet.
func (f *FS) Seq() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// Mark is an operation without effect: a line of the trace, and one more instant for CrashAt and KillAt, where stores
// into mappings would otherwise count with the next operation.
func (f *FS) Mark(note string) {
	f.run(Op{Kind: Mark, Path: note}, func() error { return nil }, nil)
}

// run is the frame of every operation: the trace, the injected rules, the lock. Instead of do, fail is called when a
// rule refuses the operation; it may be nil.
func (f *FS) run(op Op, do func() error, fail func(a action)) error {
	f.mu.Lock()
	if f.recorder != nil {
		f.catchMappings() // stores into mappings happened before this operation
	}
	f.seq++
	op.Seq = f.seq
	slot, rec := 0, f.recorder
	if rec != nil {
		slot = len(rec.ops)
		rec.ops = append(rec.ops, op)
	}
	a := f.match(op)
	f.mu.Unlock()
	a.before(op)

	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if !a.refuse {
		err = do()
	} else if fail != nil {
		fail(a)
	}
	if err == nil {
		err = a.err
	}
	err = wrap(op, err)
	if rec != nil {
		rec.ops[slot].Err = err
	}
	return err
}

// catchMappings takes what the process stored into its mappings for written.
func (f *FS) catchMappings() {
	for _, n := range f.mapped {
		f.catchMapping(n)
	}
}

// catchMapping takes what was stored into one file's mappings for written.
func (f *FS) catchMapping(n *node) {
	whole := n.mem[:cap(n.mem)]
	now := new([pageSize]byte)
	for at := 0; at < len(n.mem); at += pageSize {
		old := &zeroPage
		if i := at / pageSize; i < len(n.cur.pages) && n.cur.pages[i].bytes != nil {
			old = n.cur.pages[i].bytes
		}
		if !look(now, (*[pageSize]byte)(whole[at:at+pageSize]), old) {
			continue
		}
		f.effect(effect{kind: effWritePage, node: n.id, offset: int64(at), data: now[:min(pageSize, len(n.mem)-at)]})
		now = new([pageSize]byte)
	}
}

// look copies a page that the program under test may be changing, and reports whether it differs from old. To read it
// without order is the point, hence no race detection.
//
//go:norace
func look(to, from, old *[pageSize]byte) (differs bool) {
	t, f, o := words(to), words(from), words(old)
	for i := range f {
		t[i] = f[i]
		differs = differs || t[i] != o[i]
	}
	return differs
}

func words(p *[pageSize]byte) *[pageSize / 8]uint64 {
	return (*[pageSize / 8]uint64)(unsafe.Pointer(p))
}

var zeroPage [pageSize]byte
