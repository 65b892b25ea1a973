package sampledir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/recording"
)

// rows is a catalog reduced to what the protocol needs: the directory's row, durable at once when it changes, and the
// instants at which it did.
type rows struct {
	fsys    *crashfs.FS
	opens   uint32
	base    rowState // before history
	current rowState
	history []change
}

type rowState struct {
	exists bool
	dir    recording.UUID
	last   OpenRef
}

type change struct {
	after int // operations of the file system before it
	state rowState
}

func (r *rows) set(s rowState) {
	r.current = s
	r.history = append(r.history, change{r.fsys.Seq(), s})
}

// open is a new opening of the catalog for writing.
func (r *rows) open() OpenRef {
	r.opens++
	return OpenRef{r.opens, recording.UUID{byte(r.opens), byte(r.opens >> 8), 0xfe}}
}

// at returns the states that the row may have had while the file system was as after operation n.
func (r *rows) at(n int) (states []rowState) {
	last := r.base
	for _, c := range r.history {
		if c.after > n {
			break
		}
		if c.after == n {
			states = append(states, last)
		}
		last = c.state
	}
	return append(states, last)
}

const dirPath = "/media/a"

// add registers the directory.
func (r *rows) add() error {
	open := r.open()
	d, err := Create(r.fsys, dirPath, catalogA, open)
	if err != nil {
		return err
	}
	defer d.Close()
	r.set(rowState{true, d.UUID(), open})
	return d.MarkComplete()
}

// start opens the directory with a new open, as a server's start does.
func (r *rows) start() (*Dir, OpenRef, error) {
	open := r.open()
	last := r.current.last
	d, err := Open(r.fsys, dirPath, Expect{CatalogUUID: catalogA, DirUUID: r.current.dir, LastCompleteOpen: &last}, ReadWrite)
	if err != nil {
		return nil, open, err
	}
	if err := d.MarkInProgress(open); err != nil {
		d.Close()
		return nil, open, err
	}
	r.set(rowState{true, d.UUID(), open})
	if err := d.MarkComplete(); err != nil {
		d.Close()
		return nil, open, err
	}
	return d, open, nil
}

func (r *rows) restart() error {
	d, _, err := r.start()
	if err != nil {
		return err
	}
	return d.Close()
}

func (r *rows) remove() error {
	d, open, err := r.start()
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Delete(open); err != nil {
		return err
	}
	r.set(rowState{})
	return nil
}

// recover does what follows a crash: the directory opens if it has a row, else it is registered.
func (r *rows) recover() error {
	if !r.current.exists {
		return r.add()
	}
	return r.restart()
}

var workload = []struct {
	name string
	do   func(*rows) error
}{
	{"add", (*rows).add}, {"restart", (*rows).restart}, {"restart again", (*rows).restart}, {"remove", (*rows).remove},
	{"add again", (*rows).add}, {"restart after that", (*rows).restart},
}

func newRows() *rows {
	fsys := crashfs.New(dirPath)
	fsys.Record()
	return &rows{fsys: fsys}
}

// TestCrashPoints cuts the power after every operation of every step of the protocol, in every way, with the row as it
// was just before or after, and expects the pair to open again; and once more within that recovery (within every fifth,
// unless NIGHTJAR_LONG=1).
func TestCrashPoints(t *testing.T) {
	r := newRows()
	for _, w := range workload {
		if err := w.do(r); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
	}
	states := 0
	for n := 0; n <= r.fsys.Seq(); n++ {
		for _, row := range r.at(n) {
			for fsys := range r.fsys.States(n, crashfs.Bounds{}) {
				states++
				fsys.Record()
				after := &rows{fsys: fsys, opens: r.opens, base: row, current: row}
				if err := errors.Join(after.recover(), after.restart()); err != nil {
					t.Fatalf("%s, row %+v: %v", fsys.Origin(), row, err)
				}
				if states%5 == 0 || os.Getenv("NIGHTJAR_LONG") != "" {
					again(t, after, fsys.Origin())
				}
			}
		}
	}
	t.Logf("%d states after %d operations", states, r.fsys.Seq())
	if states < 100 {
		t.Errorf("only %d states", states)
	}
}

// again cuts the power a second time, during recovery.
func again(t *testing.T, r *rows, origin string) {
	for n := 0; n <= r.fsys.Seq(); n++ {
		for _, row := range r.at(n) {
			for fsys := range r.fsys.States(n, crashfs.Bounds{Random: 1, NoSingles: true}) {
				after := &rows{fsys: fsys, opens: r.opens, current: row}
				if err := after.recover(); err != nil {
					t.Fatalf("%s, then %s, row %+v: %v", origin, fsys.Origin(), row, err)
				}
			}
		}
	}
}

// TestErrors lets every operation fail, once without and once with its effect, and expects the next start to succeed.
func TestErrors(t *testing.T) {
	probe := newRows()
	for _, w := range workload {
		if err := w.do(probe); err != nil {
			t.Fatal(err)
		}
	}
	total := probe.fsys.Seq()
	for n := 1; n <= total; n++ {
		for _, happened := range []bool{false, true} {
			r := newRows()
			rule := r.fsys.Inject(crashfs.Rule{From: n, Err: syscall.EIO, Happened: happened})
			name := fmt.Sprintf("operation %d, happened %v", n, happened)
			var failed error
			for _, w := range workload {
				if failed = w.do(r); failed != nil {
					break
				}
			}
			rule.Remove()
			if rule.Hits() != 1 {
				t.Fatalf("%s: rule hit %d times", name, rule.Hits())
			}
			if failed != nil && !errors.Is(failed, syscall.EIO) {
				t.Errorf("%s: the error hides the cause: %v", name, failed)
			}
			r.fsys = r.fsys.Kill()
			if err := errors.Join(r.recover(), r.restart()); err != nil {
				t.Errorf("%s: failed with %v, then %v", name, failed, err)
			}
		}
	}
}

// TestFailedSyncIsFinal expects a Dir whose meta could not be synced to take no further marks.
func TestFailedSyncIsFinal(t *testing.T) {
	fsys := crashfs.New(dirPath)
	want := registered(t, fsys, dirPath)
	d, err := Open(fsys, dirPath, want, ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	fsys.Inject(crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Datasync}, Err: syscall.EIO})
	if err := d.MarkInProgress(open2); !errors.Is(err, syscall.EIO) {
		t.Errorf("mark: %v", err)
	}
	if err := d.MarkInProgress(open2); !errors.Is(err, syscall.EIO) {
		t.Errorf("second mark went on: %v", err)
	}
	d.Close()
	// The catalog's row was not touched, so the next start finds its pair.
	if err := reopen(fsys.Crash(crashfs.KeepAll), dirPath, want, open3); err != nil {
		t.Error(err)
	}
	if err := reopen(fsys.Crash(crashfs.LoseAll), dirPath, want, open3); err != nil {
		t.Error(err)
	}
}

// TestFullDisk expects a registered directory on a full disk to open: that is how room is made.
func TestFullDisk(t *testing.T) {
	fsys := crashfs.New()
	fsys.Mount(dirPath, crashfs.MountOptions{Capacity: 1 << 20, Inodes: 100})
	want := registered(t, fsys, dirPath)
	fsys.SetCapacity(dirPath, 4096, 2)
	if err := reopen(fsys, dirPath, want, open2); err != nil {
		t.Error(err)
	}
}
