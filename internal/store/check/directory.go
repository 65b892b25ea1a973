package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/taillog"
)

// directory is one sample file directory under check.
type directory struct {
	row     catalog.Directory
	dir     *sampledir.Dir // nil if it could not be opened
	broken  bool           // it could not be read
	files   []recording.ID // ascending
	claimed []bool         // per file: something knows of it
	others  []string       // all other names
	log     *taillog.Log
	tail    *taillog.State
}

// Names that belong into a sample file directory beside sample files, meta file and tail log.
const (
	quarantineName = "quarantine" // files that a start could not explain
	blocksName     = "blocks"     // open blocks, where there is no memory file system
	probeName      = "write-test" // left when a start was cut short
	fsckName       = "lost+found" // of ext4
)

// load lists the directory and replays its tail log. In between it learns what is being recorded, so that a file is in
// progress, or in the log by the time of the replay.
func (d *directory) load(c *checker) (err error) {
	if d.files, d.others, err = d.dir.Files(); err != nil {
		return err
	}
	d.claimed = make([]bool, len(d.files))
	if c.options.Live != nil {
		for _, id := range c.options.Live.Writing() {
			d.claim(id)
		}
	}
	d.log, d.tail, err = taillog.Open(c.options.FS, d.row.Path, taillog.Identity{Directory: d.row.UUID})
	if err == nil {
		c.summary.Files += int64(len(d.files))
	}
	return err
}

// claim notes that something knows of a file, and reports whether it is there.
func (d *directory) claim(id recording.ID) bool {
	i, ok := slices.BinarySearch(d.files, id)
	if ok {
		d.claimed[i] = true
	}
	return ok
}

// present claims a sample file and reports whether it is there. While the server runs, it may be younger than the list.
func (c *checker) present(d *directory, id recording.ID) bool {
	if d.claim(id) {
		return true
	}
	return c.options.Live != nil && !c.gone(d, id)
}

// gone reports whether the running server has removed a sample file since it was listed.
func (c *checker) gone(d *directory, id recording.ID) bool {
	if c.options.Live == nil {
		return false
	}
	_, err := c.options.FS.Stat(d.dir.Join(id.FileName()))
	return errors.Is(err, fs.ErrNotExist)
}

// tailLogs compares what the logs say with rows and files. The catalog may lag behind a log, never the other way round
// for what the log still holds.
func (c *checker) tailLogs(ctx context.Context) error {
	for _, d := range c.dirs {
		if d.dir == nil || d.broken {
			continue
		}
		if err := c.sealed(ctx, d); err != nil {
			return err
		}
		c.unfinished(d)
		for id := range d.tail.Removed {
			d.claim(id) // given up or deleted; the next start sees to the file
		}
	}
	return nil
}

// sealed checks recordings that are complete but have no row yet.
func (c *checker) sealed(ctx context.Context, d *directory) error {
	var ids []recording.ID
	for id := range d.tail.Sealed {
		if !c.skips(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids, err := c.catalog.Missing(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		full, err := d.log.ReadSeal(d.tail.Sealed[id])
		if err != nil {
			c.report(Finding{Kind: LogDamaged, Severity: Error, Dir: d.row.Path, Recording: id, Detail: err.Error(), Hint: diskHint})
			d.claim(id)
			continue
		}
		if !c.present(d, id) {
			c.missing(d, id, "it is sealed in the tail log and was never deleted, but its sample file is not there")
			continue
		}
		if c.options.Level < Size {
			continue
		}
		c.describe(d.row.Path, full)
		if err := c.content(ctx, d, full); err != nil {
			return err
		}
	}
	return nil
}

// unfinished checks recordings that were being written when the server ended: their files must hold what the log calls
// good.
func (c *checker) unfinished(d *directory) {
	for id, r := range d.tail.Open {
		if c.skips(id) {
			continue
		}
		there := c.present(d, id)
		good := r.Builder.Bytes()
		if r.Abandoned || good == 0 {
			continue
		}
		if !there {
			c.missing(d, id, fmt.Sprintf("it is unfinished with %d good bytes, but its sample file is not there", good))
			continue
		}
		if c.options.Level < Size {
			continue
		}
		if info, err := c.options.FS.Stat(d.dir.Join(id.FileName())); err != nil {
			c.unreadable(d, id, err)
		} else if info.Size < good {
			c.report(Finding{
				Kind: WrongSize, Severity: Error, Dir: d.row.Path, Recording: id,
				Detail: fmt.Sprintf("it is unfinished and has %d bytes, the tail log says that %d are good", info.Size, good), Hint: diskHint,
			})
		}
	}
}

// leftovers reports what nothing knows of.
func (c *checker) leftovers(ctx context.Context) error {
	for _, d := range c.dirs {
		if d.dir == nil || d.broken {
			continue
		}
		unknown, err := c.unknown(ctx, d)
		if err != nil {
			return err
		}
		c.damage(d, unknown)
		for _, name := range d.others {
			switch _, segment := taillog.ParseSegmentName(name); {
			case segment, name == blocksName, name == probeName, name == fsckName:
			case name == quarantineName:
				c.quarantine(d)
			default:
				c.report(Finding{
					Kind: StrayFile, Severity: Info, Dir: d.row.Path, Detail: fmt.Sprintf("%q is not part of the store", name),
					Hint: "keep other files elsewhere",
				})
			}
		}
	}
	return nil
}

// damage reports broken parts of the tail log. That the newest segment cannot be read at all is what a power cut leaves
// while it is being made, as the one before holds everything then: a note, if all files are accounted for.
func (c *checker) damage(d *directory, unknown int) {
	newest := ""
	if segments := d.log.Segments(); len(segments) > 0 {
		newest = d.log.Path(segments[len(segments)-1])
	}
	for _, damage := range d.tail.Damage {
		f := Finding{
			Kind: LogDamaged, Severity: Warning, Dir: d.row.Path, Detail: damage.Error(),
			Hint: "recordings with rows are not affected; " + diskHint,
		}
		if damage.Segment == newest && damage.Offset == 0 && unknown == 0 {
			f.Severity, f.Hint = Info, "its making was cut short; the next start makes another"
		}
		c.report(f)
	}
}

// unknown reports sample files without row, garbage row or entry in the log. One whose number was reserved but never used
// is what a power cut leaves of a file just made: a note.
func (c *checker) unknown(ctx context.Context, d *directory) (count int, err error) {
	next := make(map[recording.StreamID]uint32)
	streams, err := c.catalog.Streams(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range streams {
		next[s.ID] = s.NextN
	}
	newest := make(map[recording.StreamID]uint32) // highest number that is accounted for
	for i, id := range d.files {
		if d.claimed[i] {
			newest[id.Stream()] = max(newest[id.Stream()], id.N())
		}
	}
	for i, id := range d.files {
		if d.claimed[i] || c.skips(id) || c.gone(d, id) {
			continue
		}
		f := Finding{
			Kind: UnknownFile, Severity: Warning, Dir: d.row.Path, Recording: id,
			Detail: "neither the catalog nor the tail log knows of this sample file",
			Hint:   "the next start gives it back its row if an older part of the tail log knows it, else puts it aside; nothing is deleted",
		}
		switch n := next[id.Stream()]; {
		case n == 0:
			f.Detail += ", and no stream has this number"
		case id.N() > newest[id.Stream()] && id.N() < n && len(d.tail.Damage) == 0:
			f.Severity, f.Detail = Info, "it was being made when the power failed; nothing of it was ever reported good"
		}
		c.report(f)
		count++
	}
	return count, nil
}

func (c *checker) quarantine(d *directory) {
	names, err := c.options.FS.ReadDir(filepath.Join(d.row.Path, quarantineName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.report(Finding{Kind: DirectoryError, Severity: Error, Dir: d.dir.Join(quarantineName), Detail: err.Error(), Hint: diskHint})
	}
	if len(names) > 0 {
		c.report(Finding{
			Kind: Quarantined, Severity: Info, Dir: d.row.Path,
			Detail: fmt.Sprintf("%d files were put aside by earlier starts: %s", len(names), shorten(names)),
			Hint:   "look whether you miss them; delete them by hand if not",
		})
	}
}

// shorten lists the first few names.
func shorten(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], " ") + " …"
	}
	return strings.Join(names, " ")
}

func (c *checker) unreadable(d *directory, id recording.ID, err error) {
	c.report(Finding{Kind: UnreadableFile, Severity: Error, Dir: d.row.Path, Recording: id, Detail: err.Error(), Hint: diskHint})
}
