package catalog

import (
	"context"
	"fmt"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

func insertGap(tx *conn, g *Gap) error {
	if !g.Reason.Valid() || !g.Open && g.End < g.Start {
		return fmt.Errorf("gap of stream %d with reason %q: %w", g.Stream, g.Reason, ErrInvalid)
	}
	var end any
	if !g.Open {
		end = int64(g.End)
	}
	const add = `insert into gap (stream_id, start_90k, end_90k, reason, detail) values (?1, ?2, ?3, ?4, ?5)
		on conflict (stream_id, start_90k) do update set end_90k = ?3, reason = ?4, detail = ?5`
	if err := tx.exec(add, uint32(g.Stream), int64(g.Start), end, string(g.Reason), g.Detail); err != nil {
		return fmt.Errorf("gap of stream %d: %w", g.Stream, err)
	}
	return nil
}

// Gaps lists the gaps of a stream that overlap [start, end), by start. An open gap lasts for ever.
func (c *Catalog) Gaps(ctx context.Context, stream recording.StreamID, start, end media.WallTime) (gaps []Gap, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = `select start_90k, end_90k, reason, detail from gap
			where stream_id = ? and start_90k < ? and (end_90k is null or end_90k > ?) order by start_90k`
		return tx.query(sql, func(r *row) error {
			g := Gap{Stream: stream, Start: media.WallTime(r.int64())}
			if g.Open = r.null(); !g.Open {
				g.End = media.WallTime(r.int64())
			}
			g.Reason, g.Detail = recording.Reason(r.text()), r.text()
			gaps = append(gaps, g)
			return nil
		}, uint32(stream), int64(end), int64(start))
	})
	return gaps, err
}

// Hours lists the hourly totals of a stream for the UTC hours that overlap [start, end); hours without recordings are
// left out.
func (c *Catalog) Hours(ctx context.Context, stream recording.StreamID, start, end media.WallTime) (hours []Hour, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = `select hour, duration_90k, recordings, bytes, samples from hour
			where stream_id = ? and hour between ? and ? order by hour`
		return tx.query(sql, func(r *row) error {
			hours = append(hours, Hour{
				Hour: r.int64(), Duration: media.WallDuration(r.int64()), Recordings: r.int64(), Bytes: r.int64(), Samples: r.int64(),
			})
			return nil
		}, uint32(stream), floorHour(start), floorHour(end-1))
	})
	return hours, err
}

// StreamUsage totals the recordings of a stream, by directory.
func (c *Catalog) StreamUsage(ctx context.Context, stream recording.StreamID) (map[DirectoryID]Usage, error) {
	use := make(map[DirectoryID]Usage)
	err := c.read(ctx, func(tx *conn) error {
		const sql = "select recordings, bytes, disk_bytes, duration_90k, directory_id from usage where stream_id = ?"
		return tx.query(sql, func(r *row) error {
			u := scanUsage(r)
			use[DirectoryID(r.int64())] = u
			return nil
		}, uint32(stream))
	})
	return use, err
}

// DirectoryUsage totals the recordings in a directory, by stream.
func (c *Catalog) DirectoryUsage(ctx context.Context, dir DirectoryID) (map[recording.StreamID]Usage, error) {
	use := make(map[recording.StreamID]Usage)
	err := c.read(ctx, func(tx *conn) error {
		const sql = "select recordings, bytes, disk_bytes, duration_90k, stream_id from usage where directory_id = ?"
		return tx.query(sql, func(r *row) error {
			u := scanUsage(r)
			use[recording.StreamID(r.int64())] = u
			return nil
		}, int64(dir))
	})
	return use, err
}

func scanUsage(r *row) Usage {
	return Usage{Recordings: r.int64(), Bytes: r.int64(), DiskBytes: r.int64(), Duration: media.WallDuration(r.int64())}
}

// Add returns the sum of two totals.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Recordings + v.Recordings, u.Bytes + v.Bytes, u.DiskBytes + v.DiskBytes, u.Duration + v.Duration}
}

// Setting returns a setting of the server as JSON; the error is ErrNotFound if it was never set.
func (c *Catalog) Setting(ctx context.Context, key string) (value string, err error) {
	err = c.read(ctx, func(tx *conn) error {
		return tx.queryRow("select value from setting where key = ?", func(r *row) { value = r.text() }, key)
	})
	return value, notFound(err, "setting %q", key)
}

// SetSetting stores a setting, which must be JSON.
func (c *Catalog) SetSetting(ctx context.Context, key, value string) error {
	return c.write(ctx, func(tx *conn) error {
		const sql = `insert into setting (key, value, changed_90k) values (?1, ?2, ?3)
			on conflict (key) do update set value = ?2, changed_90k = ?3`
		if err := tx.exec(sql, key, value, int64(c.now())); err != nil {
			return fmt.Errorf("setting %q: %w", key, err)
		}
		return nil
	})
}

// Record adds an entry to the audit log; its ID and At are set here.
func (c *Catalog) Record(ctx context.Context, a Audit) error {
	return c.write(ctx, func(tx *conn) error {
		return tx.exec("insert into audit (at_90k, who, what, subject, detail) values (?, ?, ?, ?, ?)",
			int64(c.now()), a.Who, a.What, a.Subject, a.Detail)
	})
}

// AuditLog returns at most n entries before the one with the given id (0: from the newest), the newest first.
func (c *Catalog) AuditLog(ctx context.Context, before int64, n int) (list []Audit, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = "select id, at_90k, who, what, subject, detail from audit where ?1 = 0 or id < ?1 order by id desc limit ?2"
		return tx.query(sql, func(r *row) error {
			list = append(list, Audit{r.int64(), media.WallTime(r.int64()), r.text(), r.text(), r.text(), r.text()})
			return nil
		}, before, n)
	})
	return list, err
}
