package catalog

import (
	"context"
	"errors"
	"fmt"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// MarkGarbage replaces the rows of recordings by garbage rows, takes them out of the totals and notes the missing
// seconds in the gap ledger, in one durable transaction; only then may their files be unlinked. Ids without a row are
// passed over: somebody else was first.
func (c *Catalog) MarkGarbage(ctx context.Context, ids []recording.ID, reason recording.Reason, now media.WallTime) error {
	if !reason.Valid() {
		return fmt.Errorf("delete recordings with reason %q: %w", reason, ErrInvalid)
	}
	err := c.write(ctx, func(tx *conn) error {
		for _, id := range ids {
			if err := markGarbage(tx, id, reason, now); err != nil {
				return fmt.Errorf("recording %v: %w", id, err)
			}
		}
		return c.touchOpen(tx)
	})
	if err != nil {
		return fmt.Errorf("delete %d recordings: %w", len(ids), err)
	}
	return nil
}

func markGarbage(tx *conn, id recording.ID, reason recording.Reason, now media.WallTime) error {
	t := totals{stream: id.Stream()}
	var run int64
	const find = "select directory_id, run_id, start_90k, wall_duration_90k, bytes from recording where id = ?"
	err := tx.queryRow(find, func(r *row) {
		t.directory, run, t.start = DirectoryID(r.int64()), r.int64(), media.WallTime(r.int64())
		t.duration, t.bytes = media.WallDuration(r.int64()), r.int64()
	}, int64(id))
	if errors.Is(err, errNoRow) {
		return nil
	}
	if err != nil {
		return err
	}
	t.samples, err = tx.queryInt("select coalesce(sum(samples), 0) from recording_track where recording_id = ? and kind = ?",
		int64(id), int(media.Video))
	if err != nil {
		return err
	}
	for _, sql := range []string{
		"delete from recording_playback where id in (select playback_id from recording_track where recording_id = ?)",
		"delete from recording_track where recording_id = ?",
		"delete from recording where id = ?",
	} {
		if err := tx.exec(sql, int64(id)); err != nil {
			return err
		}
	}
	if err := tx.exec("update run set recordings = recordings - 1 where id = ?", run); err != nil {
		return err
	}
	const last = `delete from run where id = ?1 and recordings = 0
		and id <> (select max(id) from run where stream_id = ?2)`
	if err := tx.exec(last, run, uint32(t.stream)); err != nil {
		return err
	}
	if err := t.add(tx, -1); err != nil {
		return err
	}
	const add = "insert into garbage (directory_id, recording_id, reason, bytes, at_90k) values (?, ?, ?, ?, ?)"
	if err := tx.exec(add, int64(t.directory), int64(id), string(reason), t.bytes, int64(now)); err != nil {
		return err
	}
	return extendGap(tx, t.stream, t.start, t.start.Add(t.duration), reason)
}

// extendGap adds the span of a deleted recording to the gap ledger: to the gap of the same reason that ends where the
// span begins, if there is one, so that a year of retention is one row.
func extendGap(tx *conn, stream recording.StreamID, start, end media.WallTime, reason recording.Reason) error {
	if start == end {
		return nil
	}
	const extend = `update gap set end_90k = ?1 where stream_id = ?2 and end_90k = ?3 and reason = ?4 and start_90k =
		(select max(start_90k) from gap where stream_id = ?2 and start_90k < ?3)`
	if err := tx.exec(extend, int64(end), uint32(stream), int64(start), string(reason)); err != nil {
		return err
	}
	if tx.db.Changes() > 0 {
		return nil
	}
	const add = `insert into gap (stream_id, start_90k, end_90k, reason, detail) values (?1, ?2, ?3, ?4, '')
		on conflict (stream_id, start_90k) do update set end_90k = max(end_90k, excluded.end_90k)`
	return tx.exec(add, uint32(stream), int64(start), int64(end), string(reason))
}

// Garbage lists the sample files of a directory whose recordings are deleted, by id.
func (c *Catalog) Garbage(ctx context.Context, dir DirectoryID) (list []Garbage, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = "select recording_id, reason, bytes, at_90k from garbage where directory_id = ? order by recording_id"
		return tx.query(sql, func(r *row) error {
			list = append(list, Garbage{
				ID: recording.ID(r.int64()), Directory: dir, Reason: recording.Reason(r.text()), Bytes: r.int64(),
				At: media.WallTime(r.int64()),
			})
			return nil
		}, int64(dir))
	})
	return list, err
}

// ForgetGarbage deletes garbage rows after their files were unlinked and the directory was synced.
func (c *Catalog) ForgetGarbage(ctx context.Context, ids []recording.ID) error {
	return c.write(ctx, func(tx *conn) error {
		for _, id := range ids {
			if err := tx.exec("delete from garbage where recording_id = ?", int64(id)); err != nil {
				return fmt.Errorf("forget garbage %v: %w", id, err)
			}
		}
		return c.touchOpen(tx)
	})
}
