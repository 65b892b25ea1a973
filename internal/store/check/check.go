// Package check verifies a store, at rest or while its server runs: it compares the catalog, the sample file directories, the tail
// logs and the sample files with each other, and reports every contradiction as a Finding. It repairs nothing and
// writes nothing, and it shares no code with package archive, which it checks: only the formats are common ground, and
// sample indexes it decodes by itself.
//
// Three levels, each with all before it: Presence compares names (seconds), Size also sizes and everything in the
// catalog's blobs (minutes), Hash also reads every byte (hours). A healthy store has no findings, also right after a
// crash: recordings that are sealed in the tail log but have no row yet, unfinished ones, and deleted ones whose file is
// still there are normal, the next start settles them. Findings of severity Info are notes about things that are odd but
// harmless; a store with nothing but these counts as clean.
//
// Run takes the shared locks of the data directory and the sample file directories, so it fails with vfs.ErrLocked while
// a server runs, and any number of checks may run at once. Within the server's own process it takes no locks and is given
// the open catalog (Live), and finds the same while recordings are written, sealed, flushed and deleted around it. It
// starts no goroutines.
package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/vfs"
)

// Level says how thorough a check is.
type Level int

// The levels.
const (
	Presence Level = iota // names of files against rows
	Size                  // and sizes, indexes, layouts
	Hash                  // and the checksums of all bytes
)

var levelNames = []string{"presence", "size", "hash"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel is the inverse of Level.String.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("level %q is not presence, size or hash", name)
}

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // recordings are lost or damaged, or will be
	Warning Severity = "warning" // nothing is lost, but it should not be so
	Info    Severity = "info"    // a note; the store is clean all the same
)

// Kind says what was found.
type Kind string

// The kinds of findings.
const (
	CatalogDamaged  Kind = "catalog-damaged"      // SQLite finds its file broken
	CatalogMismatch Kind = "catalog-inconsistent" // rows contradict each other
	DirectoryWrong  Kind = "directory-mismatch"   // not the directory that the catalog means
	DirectoryError  Kind = "directory-unreadable" // the system refuses to read it
	LogDamaged      Kind = "tail-log-damaged"     // part of the tail log is broken
	MissingFile     Kind = "missing-file"         // a row or seal without its sample file
	MisplacedFile   Kind = "misplaced-file"       // the sample file is in another directory than the row says
	UnknownFile     Kind = "unknown-file"         // a sample file that neither catalog nor tail log knows
	WrongSize       Kind = "wrong-size"           // the sample file is longer or shorter than its row says
	UnreadableFile  Kind = "unreadable-file"      // the system refuses to read the sample file
	BadIndex        Kind = "bad-index"            // a sample index does not decode, or disagrees with its row
	BadLayout       Kind = "bad-layout"           // the chunks of the tracks do not cover the sample file
	BadRow          Kind = "bad-row"              // a row disagrees with itself or with the seal in the tail log
	WrongHash       Kind = "wrong-hash"           // a block of the sample file has changed since it was written
	Quarantined     Kind = "quarantined-files"    // files that an earlier start put aside
	StrayFile       Kind = "stray-file"           // something else in a sample file directory
	Unconfirmed     Kind = "unconfirmed"          // a running store has more contradictions than are looked at twice
)

// Finding is one contradiction.
type Finding struct {
	Kind      Kind
	Severity  Severity
	Dir       string       // path of the directory; empty for the catalog
	Recording recording.ID // 0 if it concerns none
	Detail    string       // what is there and what should be
	Hint      string       // what a person can do
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s", f.Severity, f.Kind)
	if f.Dir != "" {
		s += " in " + f.Dir
	}
	if f.Recording != 0 {
		s += fmt.Sprintf(": recording %v (%s)", f.Recording, f.Recording.FileName())
	}
	return s + ": " + f.Detail
}

// Options say what to check.
type Options struct {
	FS    vfs.FS // nil: vfs.OS()
	Data  string // the data directory
	Level Level
	Now   func() time.Time // required
	// Live is the running server's store to check instead of Data; nil: no server runs.
	Live *Live
	// Progress is told from time to time how far the check is; nil: nobody is.
	Progress func(Summary)
}

// Summary says what was looked at.
type Summary struct {
	Recordings int64 // rows
	Files      int64 // sample files
	Bytes      int64 // of sample files read, at level Hash
	Findings   int64 // without those of severity Info
	Total      int64 // rows there are, for progress
}

// Run checks a store and calls yield for each finding. The error says that the check could not be made or finished; it
// says nothing about the store.
func Run(ctx context.Context, o Options, yield func(Finding)) (Summary, error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Live != nil {
		return runLive(ctx, o, yield)
	}
	c := &checker{options: o, yield: yield}
	cat, err := catalog.Open(ctx, catalog.Options{FS: o.FS, Dir: o.Data, Mode: catalog.ReadOnly, Now: o.Now})
	if errors.Is(err, catalog.ErrDamaged) {
		c.report(Finding{Kind: CatalogDamaged, Severity: Error, Detail: err.Error(), Hint: catalogHint})
		return c.summary, nil
	}
	if err != nil {
		return c.summary, err
	}
	defer cat.Close()
	c.catalog = cat
	err = c.run(ctx)
	return c.summary, err
}

// run makes all steps. The order is that of a recording's life (file, log, row, garbage): what moves on meanwhile is met
// once more, rather than missed.
func (c *checker) run(ctx context.Context) error {
	defer c.close()
	for _, step := range []func(context.Context) error{
		c.verifyCatalog, c.openDirectories, c.rows, c.garbage, c.tailLogs, c.leftovers,
	} {
		err := step(ctx)
		if errors.Is(err, catalog.ErrDamaged) {
			c.report(Finding{Kind: CatalogDamaged, Severity: Error, Detail: err.Error(), Hint: catalogHint})
			return nil // what follows would compare with rows that can't be trusted
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const catalogHint = "keep a copy, then restore the catalog from a backup or rebuild it from its directories"

type checker struct {
	options Options
	yield   func(Finding)
	catalog *catalog.Catalog
	summary Summary
	dirs    []*directory
	only    map[recording.ID]bool // those to look at once more; nil: all there are
}

func (c *checker) report(f Finding) {
	if f.Severity != Info {
		c.summary.Findings++
	}
	c.yield(f)
}

// progress counts a row.
func (c *checker) progress() {
	c.summary.Recordings++
	if c.options.Progress != nil && c.summary.Recordings%1000 == 0 {
		c.options.Progress(c.summary)
	}
}

// skips reports whether a recording is none of those to look at.
func (c *checker) skips(id recording.ID) bool { return c.only != nil && !c.only[id] }

func (c *checker) verifyCatalog(ctx context.Context) error {
	if c.only != nil {
		return nil // it was read as of one instant: there is nothing to look at again
	}
	return c.catalog.Verify(ctx, c.options.Level == Presence, func(p catalog.Problem) {
		f := Finding{Kind: CatalogMismatch, Severity: Error, Recording: p.Recording, Detail: p.Table + ": " + p.Detail, Hint: catalogHint}
		if p.Table == "sqlite" {
			f.Kind = CatalogDamaged
		}
		c.report(f)
	})
}

// openDirectories locks and lists the directories. One that is not what it should be is a finding, and its files are
// left out of the check.
func (c *checker) openDirectories(ctx context.Context) error {
	rows, err := c.catalog.Directories(ctx)
	if err != nil {
		return err
	}
	var beside []*sampledir.Dir
	for _, row := range rows {
		d := &directory{row: row}
		err := c.openDirectory(ctx, d, beside)
		if errors.Is(err, vfs.ErrLocked) {
			return err
		}
		if errors.Is(err, errRemoved) {
			continue
		}
		c.dirs = append(c.dirs, d)
		if d.dir != nil {
			beside = append(beside, d.dir)
		}
		var mismatch *sampledir.MismatchError
		if errors.As(err, &mismatch) {
			c.report(Finding{Kind: DirectoryWrong, Severity: Error, Dir: row.Path, Detail: err.Error(), Hint: mismatch.Hint})
			continue
		}
		if err != nil {
			c.report(Finding{Kind: DirectoryError, Severity: Error, Dir: row.Path, Detail: err.Error(), Hint: diskHint})
			d.broken = true
		}
		use, err := c.catalog.DirectoryUsage(ctx, row.ID)
		if err != nil {
			return err
		}
		for _, u := range use {
			c.summary.Total += u.Recordings
		}
	}
	return nil
}

// errRemoved says that a directory was taken out of the catalog meanwhile.
var errRemoved = errors.New("directory removed")

// openDirectory opens and reads a directory. While the server runs it tries again: a segment of the tail log may have been
// removed, or the directory, between the listing and the reading.
func (c *checker) openDirectory(ctx context.Context, d *directory, beside []*sampledir.Dir) (err error) {
	mode, tries := sampledir.ReadOnly, 1
	if c.options.Live != nil {
		mode, tries = sampledir.Unlocked, 3
	}
	for range tries {
		d.dir, err = sampledir.Open(c.options.FS, d.row.Path, sampledir.Expect{
			CatalogUUID: c.catalog.UUID(), DirUUID: d.row.UUID, LastCompleteOpen: d.row.LastCompleteOpen, Beside: beside,
		}, mode)
		if err == nil {
			err = d.load(c)
		}
		if err == nil || c.options.Live == nil {
			return err
		}
		row, again := c.catalog.Directory(ctx, d.row.ID)
		if errors.Is(again, catalog.ErrNotFound) {
			return errRemoved
		}
		if again != nil {
			return again
		}
		d.row = row
	}
	return err
}

const diskHint = "look at the disk (smartctl) and the kernel's messages (dmesg)"

// close gives the locks back.
func (c *checker) close() {
	for _, d := range c.dirs {
		if d.dir != nil {
			d.dir.Close()
		}
	}
}

// find returns the open directory of a row; nil if it can't be looked at.
func (c *checker) find(id catalog.DirectoryID) *directory {
	for _, d := range c.dirs {
		if d.row.ID == id && d.dir != nil && !d.broken {
			return d
		}
	}
	return nil
}

// rows compares each recording's row with its file.
func (c *checker) rows(ctx context.Context) error {
	if c.only != nil {
		return c.rowsAgain(ctx)
	}
	streams, err := c.catalog.Streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range streams {
		var failed error
		err := c.catalog.Briefs(ctx, s.ID, func(b catalog.Brief) bool {
			c.progress()
			failed = c.row(ctx, b)
			return failed == nil
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) row(ctx context.Context, b catalog.Brief) error {
	d := c.find(b.Directory)
	var present bool
	if d != nil {
		if present = c.present(d, b.ID); !present {
			c.missing(d, b.ID, "it has a row, but its sample file is not there")
		}
	}
	if c.options.Level < Size {
		return nil
	}
	full, err := c.catalog.Describe(ctx, b.ID)
	if errors.Is(err, catalog.ErrNotFound) {
		// Tracks, run or open are missing; the catalog's own verification said so.
		return nil
	}
	if err != nil {
		return err
	}
	path := ""
	if d != nil {
		path = d.row.Path
	}
	c.describe(path, full)
	if d == nil {
		return nil
	}
	c.compareSeal(d, full)
	if present {
		return c.content(ctx, d, full)
	}
	return nil
}

// missing reports a sample file that is not where it should be.
func (c *checker) missing(d *directory, id recording.ID, detail string) {
	for _, other := range c.dirs {
		if other != d && other.dir != nil && !other.broken && other.claim(id) {
			c.report(Finding{
				Kind: MisplacedFile, Severity: Error, Dir: other.row.Path, Recording: id,
				Detail: "its row says that the sample file is in " + d.row.Path, Hint: "move the file there while no server runs",
			})
			return
		}
	}
	c.report(Finding{
		Kind: MissingFile, Severity: Error, Dir: d.row.Path, Recording: id, Detail: detail,
		Hint: "bring the file back from wherever it went; else the recording is lost and can be deleted",
	})
}

// garbage takes account of deleted recordings whose files may still be there.
func (c *checker) garbage(ctx context.Context) error {
	for _, d := range c.dirs {
		list, err := c.catalog.Garbage(ctx, d.row.ID)
		if err != nil {
			return err
		}
		for _, g := range list {
			d.claim(g.ID)
		}
	}
	return nil
}
