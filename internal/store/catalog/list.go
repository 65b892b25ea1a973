package catalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// pageRows is how many recordings are read at once; between pages the connection is free for others.
const pageRows = 512

// descriptionColumns and the joins that they need; scanDescription reads them in this order.
const descriptionColumns = `r.id, s.uuid, c.uuid, s.name, r.camera_name, u.camera_name, r.open_id, o.uuid, u.uuid, r.run_offset,
	r.start_90k, r.wall_duration_90k, r.media_duration_90k, r.prev_media_duration_90k, r.start_correction_90k, r.flags,
	r.end_reason, r.end_detail, r.bytes, u.clocks_offset, u.clock_wall_ns, u.clock_synced, u.clock_uptime_ns,
	u.clock_play_ns, u.clock_sender_ns, u.clock_sender_media_90k
	from recording r cross join run u on u.id = r.run_id cross join open o on o.id = r.open_id
	cross join stream s on s.id = r.stream_id cross join camera c on c.id = s.camera_id`

func scanDescription(r *row) *recording.Description {
	d := &recording.Description{ID: recording.ID(r.int64()), StreamUUID: r.uuid(), CameraUUID: r.uuid(), StreamName: r.text()}
	if !r.null() {
		d.CameraName = r.text()
		r.next++
	} else {
		d.CameraName = r.text()
	}
	d.OpenID, d.OpenUUID = uint32(r.int64()), r.uuid()
	d.RunUUID, d.RunOffset = r.uuid(), uint32(r.int64())
	d.Start, d.WallDuration = media.WallTime(r.int64()), media.WallDuration(r.int64())
	d.MediaDuration, d.PrevMediaDuration = media.Duration(r.int64()), media.Duration(r.int64())
	d.StartCorrection, d.Flags = media.WallDuration(r.int64()), recording.RecordingFlags(r.int64())
	d.EndReason, d.EndDetail, d.Bytes = recording.Reason(r.text()), r.text(), r.int64()
	if !r.null() && uint32(r.int64()) == d.RunOffset {
		d.Clocks = scanClocks(r)
	}
	return d
}

func scanClocks(r *row) *media.Clocks {
	var k media.Clocks
	k.Wall = scanTime(r)
	if !r.null() {
		synced := r.bool()
		k.Synced = &synced
	}
	k.Uptime = time.Duration(r.int64())
	k.PlayTime, k.SenderNTP = scanTime(r), scanTime(r)
	k.SenderTime = media.Time(r.int64())
	return &k
}

func scanTime(r *row) time.Time {
	if r.null() {
		return time.Time{}
	}
	return time.Unix(0, r.int64()).UTC()
}

const trackColumns = "kind, sample_entry_id, playback_id, start_offset_90k, samples, sync_samples, chunks, bytes, duration"

func scanTrack(r *row) (t recording.Track, entry, playback int64) {
	t.Kind, entry, playback = media.Kind(r.int64()), r.int64(), r.int64()
	t.StartOffset, t.Samples, t.SyncSamples = media.Duration(r.int64()), int32(r.int64()), int32(r.int64())
	t.Chunks, t.Bytes, t.Duration = int32(r.int64()), r.int64(), r.int64()
	return t, entry, playback
}

// Recordings calls yield, in order of start and id, for each recording of a stream that overlaps [start, end): it begins
// before end and ends after start. Index, Extra, Layout and BlockSums are left nil. The list is read in pages; a
// recording that is deleted meanwhile may be missing. yield may use the catalog.
func (c *Catalog) Recordings(ctx context.Context, stream recording.StreamID, start, end media.WallTime,
	yield func(*recording.Description) bool) error {
	afterStart, afterID := start.Add(-MaxDuration)-1, recording.ID(0)
	for {
		page := make([]*recording.Description, 0, 64)
		err := c.read(ctx, func(tx *conn) error {
			const sql = "select " + descriptionColumns + ` where r.stream_id = ?1 and (r.start_90k, r.id) > (?2, ?3)
				and r.start_90k < ?4 and r.start_90k + r.wall_duration_90k > ?5 order by r.start_90k, r.id limit ?6`
			err := tx.query(sql, func(r *row) error { page = append(page, scanDescription(r)); return nil },
				uint32(stream), int64(afterStart), int64(afterID), int64(end), int64(start), pageRows)
			if err != nil {
				return err
			}
			for _, d := range page {
				if err := c.readTracks(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list recordings of stream %d: %w", stream, err)
		}
		for _, d := range page {
			if !yield(d) {
				return nil
			}
		}
		if len(page) < pageRows {
			return nil
		}
		last := page[len(page)-1]
		afterStart, afterID = last.Start, last.ID
	}
}

func (c *Catalog) readTracks(tx *conn, d *recording.Description) error {
	d.Tracks = make([]recording.Track, 0, 2)
	const sql = "select " + trackColumns + " from recording_track where recording_id = ? order by number"
	return tx.query(sql, func(r *row) (err error) {
		t, entry, _ := scanTrack(r)
		t.Entry, err = c.entries.find(tx, entry)
		d.Tracks = append(d.Tracks, t)
		return err
	}, int64(d.ID))
}

// Describe returns everything about one recording. The error is ErrNotFound if it has no row.
func (c *Catalog) Describe(ctx context.Context, id recording.ID) (d *recording.Description, err error) {
	err = c.read(ctx, func(tx *conn) error {
		err := tx.queryRow("select "+descriptionColumns+" where r.id = ?", func(r *row) { d = scanDescription(r) }, int64(id))
		if err != nil {
			return err
		}
		d.Tracks, d.BlockSums, err = c.playback(tx, id)
		return err
	})
	return d, notFound(err, "recording %v", id)
}

// Tracks returns the tracks of one recording with their index, extra and layout blobs.
func (c *Catalog) Tracks(ctx context.Context, id recording.ID) (tracks []recording.Track, err error) {
	err = c.read(ctx, func(tx *conn) (err error) {
		if tracks, _, err = c.playback(tx, id); err == nil && len(tracks) == 0 {
			err = errNoRow
		}
		return err
	})
	return tracks, notFound(err, "recording %v", id)
}

// playback reads the tracks of a recording with their blobs, and its block sums.
func (c *Catalog) playback(tx *conn, id recording.ID) (tracks []recording.Track, sums []uint32, err error) {
	const sql = `select t.kind, t.sample_entry_id, t.playback_id, t.start_offset_90k, t.samples, t.sync_samples, t.chunks,
		t.bytes, t.duration, p.video_index, p.extra, p.layout, p.block_sums
		from recording_track t join recording_playback p on p.id = t.playback_id where t.recording_id = ? order by t.number`
	err = tx.query(sql, func(r *row) (err error) {
		t, entry, _ := scanTrack(r)
		t.Index, t.Extra, t.Layout = r.blob(), r.blob(), r.blob()
		if len(tracks) == 0 {
			sums = decodeSums(r.blob())
		}
		t.Entry, err = c.entries.find(tx, entry)
		tracks = append(tracks, t)
		return err
	}, int64(id))
	return tracks, sums, err
}

// Missing returns those of the ids that have neither a row nor are garbage, in the order given.
func (c *Catalog) Missing(ctx context.Context, ids []recording.ID) (missing []recording.ID, err error) {
	err = c.read(ctx, func(tx *conn) error {
		for _, id := range ids {
			const sql = "select exists (select 1 from recording where id = ?1) or exists (select 1 from garbage where recording_id = ?1)"
			known, err := tx.queryInt(sql, int64(id))
			if err != nil {
				return err
			}
			if known == 0 {
				missing = append(missing, id)
			}
		}
		return nil
	})
	return missing, err
}

// DirectoryOf returns the directory that holds the sample file of a recording.
func (c *Catalog) DirectoryOf(ctx context.Context, id recording.ID) (dir DirectoryID, err error) {
	err = c.read(ctx, func(tx *conn) error {
		v, err := tx.queryInt("select directory_id from recording where id = ?", int64(id))
		dir = DirectoryID(v)
		return err
	})
	return dir, notFound(err, "recording %v", id)
}

// Oldest returns at most n recordings of a stream in a directory, or with directory 0 in any, those that began first.
func (c *Catalog) Oldest(ctx context.Context, stream recording.StreamID, dir DirectoryID, n int) (list []Brief, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = `select id, directory_id, start_90k, wall_duration_90k, bytes from recording
			where stream_id = ?1 and (?2 = 0 or directory_id = ?2) order by start_90k, id limit ?3`
		return tx.query(sql, func(r *row) error { list = append(list, scanBrief(r)); return nil }, uint32(stream), int64(dir), n)
	})
	return list, err
}

// Briefs calls yield for every recording of a stream, in order of start and id, until yield returns false. It reads in
// pages, like Recordings.
func (c *Catalog) Briefs(ctx context.Context, stream recording.StreamID, yield func(Brief) bool) error {
	page := make([]Brief, 0, pageRows)
	last := Brief{Start: math.MinInt64}
	for {
		page = page[:0]
		err := c.read(ctx, func(tx *conn) error {
			const sql = `select id, directory_id, start_90k, wall_duration_90k, bytes from recording
				where stream_id = ?1 and (start_90k, id) > (?2, ?3) order by start_90k, id limit ?4`
			return tx.query(sql, func(r *row) error { page = append(page, scanBrief(r)); return nil },
				uint32(stream), int64(last.Start), int64(last.ID), pageRows)
		})
		if err != nil {
			return fmt.Errorf("list recordings of stream %d: %w", stream, err)
		}
		for _, b := range page {
			if !yield(b) {
				return nil
			}
		}
		if len(page) < pageRows {
			return nil
		}
		last = page[len(page)-1]
	}
}

func scanBrief(r *row) Brief {
	return Brief{
		ID: recording.ID(r.int64()), Directory: DirectoryID(r.int64()), Start: media.WallTime(r.int64()),
		Duration: media.WallDuration(r.int64()), Bytes: r.int64(),
	}
}

// notFound turns errNoRow into ErrNotFound and says what was looked for.
func notFound(err error, format string, args ...any) error {
	if errors.Is(err, errNoRow) {
		err = ErrNotFound
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
