package catalog

import (
	"context"
	"fmt"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
)

// defaultTick is how often open recordings are made durable unless a directory says otherwise.
const defaultTick media.WallDuration = 2 * media.TicksPerSecond

const directoryColumns = `d.id, d.uuid, d.path, d.tick_90k, d.min_free_bytes, o.id, o.uuid
	from directory d left join open o on o.id = d.last_complete_open_id`

func scanDirectory(r *row) Directory {
	d := Directory{ID: DirectoryID(r.int64()), UUID: r.uuid(), Path: r.text(), Tick: media.WallDuration(r.int64())}
	if !r.null() {
		v := r.int64()
		d.MinFree = &v
	}
	if !r.null() {
		d.LastCompleteOpen = &sampledir.OpenRef{ID: uint32(r.int64()), UUID: r.uuid()}
	}
	return d
}

// Directories lists the sample file directories by id.
func (c *Catalog) Directories(ctx context.Context) (list []Directory, err error) {
	err = c.read(ctx, func(tx *conn) error {
		return tx.query("select "+directoryColumns+" order by d.id", func(r *row) error {
			list = append(list, scanDirectory(r))
			return nil
		})
	})
	return list, err
}

// Directory returns one directory; the error is ErrNotFound if there is none.
func (c *Catalog) Directory(ctx context.Context, id DirectoryID) (d Directory, err error) {
	err = c.read(ctx, func(tx *conn) error {
		return tx.queryRow("select "+directoryColumns+" where d.id = ?", func(r *row) { d = scanDirectory(r) }, int64(id))
	})
	return d, notFound(err, "directory %d", id)
}

// AddDirectory adds the row of a directory that sampledir.Create made, with this open as its last complete one: the
// step between Create and MarkComplete. ID and LastCompleteOpen are set here.
func (c *Catalog) AddDirectory(ctx context.Context, d Directory) (Directory, error) {
	if d.Tick == 0 {
		d.Tick = defaultTick
	}
	if err := d.valid(); err != nil {
		return d, err
	}
	ref := c.open.OpenRef
	d.LastCompleteOpen = &ref
	err := c.write(ctx, func(tx *conn) error {
		taken, err := tx.queryInt("select count(*) from directory where path = ? or uuid = ?", d.Path, d.UUID)
		if err != nil {
			return err
		}
		if taken > 0 {
			return fmt.Errorf("directory %s %w in this catalog", d.Path, ErrExists)
		}
		const add = "insert into directory (uuid, path, tick_90k, min_free_bytes, last_complete_open_id) values (?, ?, ?, ?, ?)"
		if err := tx.exec(add, d.UUID, d.Path, int64(d.Tick), nullable(d.MinFree), ref.ID); err != nil {
			return err
		}
		d.ID = DirectoryID(tx.db.LastInsertRowID())
		return nil
	})
	return d, err
}

func (d *Directory) valid() error {
	switch {
	case d.Path == "":
		return fmt.Errorf("directory without a path: %w", ErrInvalid)
	case d.UUID == recording.UUID{}:
		return fmt.Errorf("directory %s without a UUID: %w", d.Path, ErrInvalid)
	case d.Tick < media.TicksPerSecond/2 || d.Tick > 60*media.TicksPerSecond:
		return fmt.Errorf("directory %s: tick of %v is not within 0.5 s and 60 s: %w", d.Path, d.Tick.Std(), ErrInvalid)
	case d.MinFree != nil && *d.MinFree < 0:
		return fmt.Errorf("directory %s: negative free space: %w", d.Path, ErrInvalid)
	}
	return nil
}

// UpdateDirectory changes path, tick and free space of a directory.
func (c *Catalog) UpdateDirectory(ctx context.Context, d Directory) error {
	if err := d.valid(); err != nil {
		return err
	}
	return c.write(ctx, func(tx *conn) error {
		taken, err := tx.queryInt("select count(*) from directory where path = ? and id <> ?", d.Path, int64(d.ID))
		if err != nil {
			return err
		}
		if taken > 0 {
			return fmt.Errorf("directory %s %w in this catalog", d.Path, ErrExists)
		}
		err = tx.exec("update directory set path = ?, tick_90k = ?, min_free_bytes = ? where id = ?",
			d.Path, int64(d.Tick), nullable(d.MinFree), int64(d.ID))
		if err == nil && tx.db.Changes() == 0 {
			err = fmt.Errorf("directory %d: %w", d.ID, ErrNotFound)
		}
		return err
	})
}

// CompleteDirectories notes for all given directories at once that this open completed: the step between
// sampledir.MarkInProgress and MarkComplete.
func (c *Catalog) CompleteDirectories(ctx context.Context, ids ...DirectoryID) error {
	return c.write(ctx, func(tx *conn) error {
		for _, id := range ids {
			if err := tx.exec("update directory set last_complete_open_id = ? where id = ?", c.open.ID, int64(id)); err != nil {
				return err
			}
			if tx.db.Changes() == 0 {
				return fmt.Errorf("directory %d: %w", id, ErrNotFound)
			}
		}
		return nil
	})
}

// RemoveDirectory deletes the row of a directory that holds nothing any more and that no stream records into: the step
// after sampledir.Delete.
func (c *Catalog) RemoveDirectory(ctx context.Context, id DirectoryID) error {
	return c.write(ctx, func(tx *conn) error {
		if err := checkUnused(tx, "directory "+fmt.Sprint(id), []use{
			{"recordings", "select coalesce(sum(recordings), 0) from usage where directory_id = ?"},
			{"deleted sample files", "select count(*) from garbage where directory_id = ?"},
			{"streams that record into it", "select count(*) from stream where directory_id = ?"},
		}, int64(id)); err != nil {
			return err
		}
		if err := tx.exec("delete from usage where directory_id = ?", int64(id)); err != nil {
			return err
		}
		err := tx.exec("delete from directory where id = ?", int64(id))
		if err == nil && tx.db.Changes() == 0 {
			err = fmt.Errorf("directory %d: %w", id, ErrNotFound)
		}
		return err
	})
}

// use is something that keeps a row from being deleted.
type use struct{ what, sql string }

func checkUnused(tx *conn, noun string, uses []use, id int64) error {
	for _, u := range uses {
		n, err := tx.queryInt(u.sql, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%s has %d %s: %w", noun, n, u.what, ErrInUse)
		}
	}
	return nil
}

// nullable turns a nil pointer into SQL's null.
func nullable(v *int64) any {
	if v == nil {
		return nil
	}
	return *v
}
