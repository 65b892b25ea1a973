package catalog

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Problem is something in the database that contradicts itself.
type Problem struct {
	Table     string // where
	Recording recording.ID
	Detail    string
}

// Verify reads the whole database and yields every contradiction: what SQLite itself finds, broken references, totals
// that differ from sums over the rows, counters that lag. It changes nothing. With quick, SQLite's own check leaves out
// that index entries match rows.
func (c *Catalog) Verify(ctx context.Context, quick bool, yield func(Problem)) error {
	return c.read(ctx, func(tx *conn) error {
		for _, f := range []func(*conn, func(Problem)) error{
			func(tx *conn, yield func(Problem)) error { return verifySQLite(tx, quick, yield) },
			verifySchema, verifyReferences, verifyTotals, verifyEntries,
		} {
			if err := f(tx, yield); err != nil {
				return fmt.Errorf("verify catalog: %w", err)
			}
		}
		return nil
	})
}

func verifySQLite(tx *conn, quick bool, yield func(Problem)) error {
	sql := "pragma integrity_check"
	if quick {
		sql = "pragma quick_check"
	}
	err := tx.query(sql, func(r *row) error {
		if text := r.text(); text != "ok" {
			yield(Problem{Table: "sqlite", Detail: text})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tx.query("pragma foreign_key_check", func(r *row) error {
		table, row, parent := r.text(), r.int64(), r.text()
		yield(Problem{Table: table, Detail: fmt.Sprintf("row %d refers to a missing row of %s", row, parent)})
		return nil
	})
}

// verifySchema compares tables and indexes with those that schema.sql makes.
func verifySchema(tx *conn, yield func(Problem)) error {
	db, err := sqlite3.OpenFlags(":memory:", sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE|sqlite3.OPEN_MEMORY)
	if err != nil {
		return err
	}
	fresh := newConn(db)
	defer fresh.close()
	if err := db.Exec(schemaSQL); err != nil {
		return err
	}
	want, err := fresh.objects()
	if err != nil {
		return err
	}
	got, err := tx.objects()
	for name, sql := range got {
		if want[name] != sql {
			yield(Problem{Table: "schema", Detail: name + " is not as this version makes it"})
		}
		delete(want, name)
	}
	for name := range want {
		yield(Problem{Table: "schema", Detail: name + " is missing"})
	}
	return err
}

// objects returns the definitions of all tables and indexes by name.
func (c *conn) objects() (map[string]string, error) {
	list := make(map[string]string)
	err := c.query("select type || ' ' || name, coalesce(sql, '') from sqlite_schema", func(r *row) error {
		name := r.text()
		list[name] = r.text()
		return nil
	})
	return list, err
}

// references are queries for rows that contradict others; each yields a recording id, or 0, and a sentence.
var references = []struct{ table, sql string }{
	{"recording", `select id, 'it has a row and is garbage at once' from recording where id in (select recording_id from garbage)`},
	{"recording", `select r.id, 'its run is missing' from recording r left join run u on u.id = r.run_id where u.id is null`},
	{"recording", `select r.id, 'its directory has no row' from recording r left join directory d on d.id = r.directory_id where d.id is null`},
	{"recording", `select id, 'it has no tracks' from recording r where not exists (select 1 from recording_track t where t.recording_id = r.id)`},
	{"recording", `select r.id, 'its number is not below the stream''s next' from recording r join stream s on s.id = r.stream_id
		where r.id & 4294967295 >= s.next_n`},
	{"recording_track", `select t.recording_id, 'track ' || t.number || ' has no playback row' from recording_track t
		left join recording_playback p on p.id = t.playback_id where p.id is null`},
	{"recording_playback", `select 0, 'row ' || p.id || ' belongs to no track' from recording_playback p
		where p.id not in (select playback_id from recording_track)`},
	{"recording_playback", `select min(recording_id), 'two tracks share playback row ' || playback_id from recording_track
		group by playback_id having count(*) > 1`},
	{"run", `select 0, 'run ' || u.id || ' says ' || u.recordings || ' recordings, there are ' || count(r.id) from run u
		left join recording r on r.run_id = u.id group by u.id having count(r.id) <> u.recordings`},
	{"stream", `select 0, 'stream ' || s.id || ' has media duration ' || s.cum_media_duration_90k || ', its recordings reach ' ||
		max(r.prev_media_duration_90k + r.media_duration_90k) from stream s join recording r on r.stream_id = s.id group by s.id
		having max(r.prev_media_duration_90k + r.media_duration_90k) > s.cum_media_duration_90k`},
	{"usage", `select 0, 'stream ' || u.stream_id || ' in directory ' || u.directory_id || ' says ' || u.recordings || ' recordings, '
		|| u.bytes || ' bytes, ' || u.disk_bytes || ' on disk, duration ' || u.duration_90k || '; the rows say ' || count(r.id)
		|| ', ' || coalesce(sum(r.bytes), 0) || ', ' || coalesce(sum((r.bytes + 4095) / 4096 * 4096), 0) || ', '
		|| coalesce(sum(r.wall_duration_90k), 0)
		from usage u left join recording r on r.stream_id = u.stream_id and r.directory_id = u.directory_id
		group by u.stream_id, u.directory_id having count(r.id) <> u.recordings or coalesce(sum(r.bytes), 0) <> u.bytes
		or coalesce(sum((r.bytes + 4095) / 4096 * 4096), 0) <> u.disk_bytes or coalesce(sum(r.wall_duration_90k), 0) <> u.duration_90k`},
	{"usage", `select min(r.id), 'stream ' || r.stream_id || ' has recordings in directory ' || r.directory_id || ' that no total counts'
		from recording r left join usage u on u.stream_id = r.stream_id and u.directory_id = r.directory_id
		where u.stream_id is null group by r.stream_id, r.directory_id`},
}

func verifyReferences(tx *conn, yield func(Problem)) error {
	for _, q := range references {
		err := tx.query(q.sql, func(r *row) error {
			yield(Problem{Table: q.table, Recording: recording.ID(r.int64()), Detail: r.text()})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type hourKey struct {
	stream recording.StreamID
	hour   int64
}

// verifyTotals recomputes the hours from all recordings and compares them with the table.
func verifyTotals(tx *conn, yield func(Problem)) error {
	sums := make(map[hourKey]Hour)
	const all = `select r.stream_id, r.start_90k, r.wall_duration_90k, r.bytes, (select coalesce(sum(t.samples), 0)
		from recording_track t where t.recording_id = r.id and t.kind = 1) from recording r`
	err := tx.query(all, func(r *row) error {
		t := totals{
			stream: recording.StreamID(r.int64()), start: media.WallTime(r.int64()), duration: media.WallDuration(r.int64()),
			bytes: r.int64(), samples: r.int64(),
		}
		return t.eachHour(func(h int64, d media.WallDuration) error {
			s := sums[hourKey{t.stream, h}]
			s.Duration += d
			if h == floorHour(t.start) {
				s.Recordings, s.Bytes, s.Samples = s.Recordings+1, s.Bytes+t.bytes, s.Samples+t.samples
			}
			sums[hourKey{t.stream, h}] = s
			return nil
		})
	})
	if err != nil {
		return err
	}
	err = tx.query("select stream_id, hour, duration_90k, recordings, bytes, samples from hour", func(r *row) error {
		k := hourKey{recording.StreamID(r.int64()), r.int64()}
		got := Hour{0, media.WallDuration(r.int64()), r.int64(), r.int64(), r.int64()}
		if want := sums[k]; got != want {
			yield(Problem{Table: "hour", Detail: fmt.Sprintf("stream %d, hour %d: the table says %+v, the rows %+v", k.stream, k.hour, got, want)})
		}
		delete(sums, k)
		return nil
	})
	for k, want := range sums {
		yield(Problem{Table: "hour", Detail: fmt.Sprintf("stream %d, hour %d is missing, the rows say %+v", k.stream, k.hour, want)})
	}
	return err
}

// verifyEntries recomputes the digests of the sample entries.
func verifyEntries(tx *conn, yield func(Problem)) error {
	digests := make(map[int64]string)
	err := tx.query("select id, digest from sample_entry", func(r *row) error {
		id := r.int64()
		digests[id] = string(r.blob())
		return nil
	})
	var fresh entryCache
	for id, digest := range digests {
		entry, err := fresh.find(tx, id)
		if err != nil {
			return err
		}
		if string(entryDigest(&entry)) != digest {
			yield(Problem{Table: "sample_entry", Detail: fmt.Sprintf("row %d does not have the digest it was stored under", id)})
		}
	}
	return err
}
