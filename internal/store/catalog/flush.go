package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Flush adds recordings and gaps in one durable transaction. A recording that already has a row, or is garbage, is
// passed over, so a flush of which nobody knows whether it happened may be repeated.
func (c *Catalog) Flush(ctx context.Context, b Batch) error {
	err := c.write(ctx, func(tx *conn) error {
		for _, r := range b.Recordings {
			if err := c.insertRecording(tx, r); err != nil {
				return fmt.Errorf("recording %v: %w", r.ID, err)
			}
		}
		for i := range b.Gaps {
			if err := insertGap(tx, &b.Gaps[i]); err != nil {
				return err
			}
		}
		return c.touchOpen(tx)
	})
	if err != nil {
		return fmt.Errorf("flush %d recordings: %w", len(b.Recordings), err)
	}
	return nil
}

func (c *Catalog) insertRecording(tx *conn, r NewRecording) error {
	known, err := tx.queryInt("select exists (select 1 from recording where id = ?1) or exists (select 1 from garbage where recording_id = ?1)", int64(r.ID))
	if err != nil || known != 0 {
		return err
	}
	if err := validate(tx, r); err != nil {
		return err
	}
	runID, runName, err := insertRun(tx, r.Description)
	if err != nil {
		return err
	}
	var name, reason, detail any
	if r.CameraName != runName {
		name = r.CameraName
	}
	if r.EndReason != "" {
		reason = string(r.EndReason)
	}
	if r.EndDetail != "" {
		detail = r.EndDetail
	}
	const add = `insert into recording (id, stream_id, directory_id, open_id, run_id, run_offset, start_90k,
		wall_duration_90k, media_duration_90k, prev_media_duration_90k, start_correction_90k, flags, end_reason, end_detail,
		camera_name, bytes) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	err = tx.exec(add, int64(r.ID), uint32(r.ID.Stream()), int64(r.Directory), r.OpenID, runID, r.RunOffset, int64(r.Start),
		int64(r.WallDuration), int64(r.MediaDuration), int64(r.PrevMediaDuration), int64(r.StartCorrection), uint32(r.Flags),
		reason, detail, name, r.Bytes)
	if err != nil {
		return err
	}
	for i := range r.Tracks {
		if err := insertTrack(tx, r.Description, i); err != nil {
			return fmt.Errorf("track %d: %w", i, err)
		}
	}
	t := totals{
		stream: r.ID.Stream(), directory: r.Directory, start: r.Start, duration: r.WallDuration, bytes: r.Bytes,
		samples: videoSamples(r.Tracks),
	}
	return t.add(tx, 1)
}

// validate refuses what the schema or the lists could not hold, and recordings of another catalog.
func validate(tx *conn, r NewRecording) error {
	switch {
	case r.ID.Stream() == 0 || r.ID.N() == 0:
		return fmt.Errorf("id: %w", ErrInvalid)
	case len(r.Tracks) == 0:
		return fmt.Errorf("no tracks: %w", ErrInvalid)
	case r.WallDuration < 0 || r.WallDuration > MaxDuration:
		return fmt.Errorf("wall duration of %v: %w", r.WallDuration.Std(), ErrInvalid)
	case r.MediaDuration < 0 || r.Bytes < 0:
		return fmt.Errorf("negative media duration or size: %w", ErrInvalid)
	case r.EndReason != "" && !r.EndReason.Valid():
		return fmt.Errorf("end reason %q: %w", r.EndReason, ErrInvalid)
	}
	var stream, camera, open recording.UUID
	var name string
	err := tx.queryRow("select s.uuid, c.uuid, s.name from stream s join camera c on c.id = s.camera_id where s.id = ?",
		func(q *row) { stream, camera, name = q.uuid(), q.uuid(), q.text() }, uint32(r.ID.Stream()))
	if errors.Is(err, errNoRow) {
		return fmt.Errorf("stream %d: %w", r.ID.Stream(), ErrNotFound)
	}
	if err != nil {
		return err
	}
	if stream != r.StreamUUID || camera != r.CameraUUID || name != r.StreamName {
		return fmt.Errorf("stream %d is another one in this catalog: %w", r.ID.Stream(), ErrInvalid)
	}
	err = tx.queryRow("select uuid from open where id = ?", func(q *row) { open = q.uuid() }, r.OpenID)
	if errors.Is(err, errNoRow) || err == nil && open != r.OpenUUID {
		return fmt.Errorf("open %d is not one of this catalog: %w", r.OpenID, ErrNotFound)
	}
	if err != nil {
		return err
	}
	if _, err := tx.queryInt("select id from directory where id = ?", int64(r.Directory)); err != nil {
		return fmt.Errorf("directory %d: %w", r.Directory, ErrNotFound)
	}
	return nil
}

// insertRun returns the row id of the recording's run and the camera name it keeps, adding the run if it is new, and
// the clock readings if the recording carries them.
func insertRun(tx *conn, d *recording.Description) (id int64, name string, err error) {
	err = tx.queryRow("select id, camera_name from run where uuid = ?", func(r *row) { id, name = r.int64(), r.text() }, d.RunUUID)
	switch {
	case errors.Is(err, errNoRow):
		name = d.CameraName
		id, err = addRun(tx, d)
	case err == nil:
		err = tx.exec("update run set recordings = recordings + 1 where id = ?", id)
	}
	if err == nil && d.Clocks != nil {
		k := d.Clocks
		const set = `update run set clocks_offset = ?, clock_wall_ns = ?, clock_synced = ?, clock_uptime_ns = ?,
			clock_play_ns = ?, clock_sender_ns = ?, clock_sender_media_90k = ? where id = ?`
		var synced any
		if k.Synced != nil {
			synced = *k.Synced
		}
		err = tx.exec(set, d.RunOffset, nanos(k.Wall), synced, int64(k.Uptime), nanos(k.PlayTime), nanos(k.SenderNTP),
			int64(k.SenderTime), id)
	}
	if err == nil {
		const count = "update stream set cum_media_duration_90k = max(cum_media_duration_90k, ?), next_n = max(next_n, ?) where id = ?"
		err = tx.exec(count, int64(d.PrevMediaDuration+d.MediaDuration), int64(d.ID.N())+1, uint32(d.ID.Stream()))
	}
	return id, name, err
}

// addRun adds a run, and clears away earlier runs of the stream that lost their recordings while they were the newest.
func addRun(tx *conn, d *recording.Description) (int64, error) {
	stream := uint32(d.ID.Stream())
	if err := tx.exec("delete from run where stream_id = ? and recordings = 0", stream); err != nil {
		return 0, err
	}
	err := tx.exec("insert into run (uuid, stream_id, camera_name, recordings) values (?, ?, ?, 1)", d.RunUUID, stream, d.CameraName)
	if err != nil {
		return 0, err
	}
	id := tx.db.LastInsertRowID()
	return id, tx.exec("update stream set cum_runs = cum_runs + 1 where id = ?", stream)
}

func insertTrack(tx *conn, d *recording.Description, i int) error {
	t := &d.Tracks[i]
	entry, err := insertEntry(tx, &t.Entry)
	if err != nil {
		return err
	}
	var sums []byte
	if i == 0 {
		sums = encodeSums(d.BlockSums)
	}
	err = tx.exec("insert into recording_playback (video_index, extra, layout, block_sums) values (?, ?, ?, ?)",
		t.Index, t.Extra, t.Layout, sums)
	if err != nil {
		return err
	}
	const add = `insert into recording_track (recording_id, number, kind, sample_entry_id, playback_id, start_offset_90k,
		samples, sync_samples, chunks, bytes, duration) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	return tx.exec(add, int64(d.ID), i, int(t.Kind), entry, tx.db.LastInsertRowID(), int64(t.StartOffset), int64(t.Samples),
		int64(t.SyncSamples), int64(t.Chunks), t.Bytes, t.Duration)
}

func videoSamples(tracks []recording.Track) (n int64) {
	for i := range tracks {
		if tracks[i].Kind == media.Video {
			n += int64(tracks[i].Samples)
		}
	}
	return n
}

// nanos is how a clock reading is stored: nanoseconds since 1970, null for none and for years that do not fit.
func nanos(t time.Time) any {
	if t.IsZero() || t.Year() < 1678 || t.Year() > 2261 {
		return nil
	}
	return t.UnixNano()
}
