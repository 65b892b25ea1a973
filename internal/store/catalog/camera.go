package catalog

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Cameras lists all cameras with their streams, by name.
func (c *Catalog) Cameras(ctx context.Context) (list []Camera, err error) {
	err = c.read(ctx, func(tx *conn) error {
		list, err = cameras(tx, "order by name", nil)
		return err
	})
	return list, err
}

// Camera returns one camera by its UUID (in the usual text form) or its name; the error is ErrNotFound if there is none.
func (c *Catalog) Camera(ctx context.Context, key string) (camera Camera, err error) {
	var list []Camera
	err = c.read(ctx, func(tx *conn) error {
		if u, ok := parseUUID(key); ok {
			list, err = cameras(tx, "where uuid = ?", u)
		} else {
			list, err = cameras(tx, "where name = ?", key)
		}
		if err == nil && len(list) == 0 {
			err = errNoRow
		}
		return err
	})
	if err != nil {
		return camera, notFound(err, "camera %q", key)
	}
	return list[0], nil
}

// CameraByID returns one camera; the error is ErrNotFound if there is none.
func (c *Catalog) CameraByID(ctx context.Context, id CameraID) (camera Camera, err error) {
	err = c.read(ctx, func(tx *conn) error {
		camera, err = cameraByID(tx, id)
		return err
	})
	return camera, err
}

func cameraByID(tx *conn, id CameraID) (Camera, error) {
	list, err := cameras(tx, "where id = ?", int64(id))
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("camera %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return Camera{}, err
	}
	return list[0], nil
}

// cameras reads the cameras that a clause selects; arg is its argument, or nil.
func cameras(tx *conn, clause string, arg any) (list []Camera, err error) {
	var args []any
	if arg != nil {
		args = []any{arg}
	}
	err = tx.query("select id, uuid, name, settings, password from camera "+clause, func(r *row) error {
		k := Camera{ID: CameraID(r.int64()), UUID: r.uuid(), Name: r.text()}
		if err := json.Unmarshal([]byte(r.text()), &k.Settings); err != nil {
			return fmt.Errorf("settings of camera %q: %w", k.Name, err)
		}
		k.Password = r.blob()
		list = append(list, k)
		return nil
	}, args...)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Streams, err = streams(tx, "where camera_id = ? order by id", int64(list[i].ID)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Streams lists all streams by id.
func (c *Catalog) Streams(ctx context.Context) (list []Stream, err error) {
	err = c.read(ctx, func(tx *conn) error {
		list, err = streams(tx, "where id > ? order by id", 0)
		return err
	})
	return list, err
}

// Stream returns one stream; the error is ErrNotFound if there is none.
func (c *Catalog) Stream(ctx context.Context, id recording.StreamID) (s Stream, err error) {
	err = c.read(ctx, func(tx *conn) error {
		list, err := streams(tx, "where id = ?", uint32(id))
		if err == nil && len(list) == 0 {
			return errNoRow
		}
		if err == nil {
			s = list[0]
		}
		return err
	})
	return s, notFound(err, "stream %d", id)
}

func streams(tx *conn, clause string, arg any) (list []Stream, err error) {
	const columns = `id, uuid, camera_id, name, url, directory_id, record, retain_bytes, retain_days, next_n,
		cum_media_duration_90k, cum_runs`
	err = tx.query("select "+columns+" from stream "+clause, func(r *row) error {
		s := Stream{ID: recording.StreamID(r.int64()), UUID: r.uuid(), Camera: CameraID(r.int64()), Name: r.text(), URL: r.text()}
		s.Directory, s.Record = DirectoryID(r.int64()), r.bool()
		if !r.null() {
			v := r.int64()
			s.RetainBytes = &v
		}
		if !r.null() {
			v := int(r.int64())
			s.RetainDays = &v
		}
		s.NextN, s.CumMediaDuration, s.CumRuns = uint32(r.int64()), media.Duration(r.int64()), r.int64()
		list = append(list, s)
		return nil
	}, arg)
	return list, err
}

// AddCamera adds a camera with its streams. Ids are set here, and UUIDs where they are zero.
func (c *Catalog) AddCamera(ctx context.Context, k Camera) (Camera, error) {
	k.Streams = slices.Clone(k.Streams)
	err := c.write(ctx, func(tx *conn) error {
		k.ID = 0
		if k.UUID == (recording.UUID{}) {
			k.UUID = newUUID()
		}
		if err := k.valid(tx); err != nil {
			return err
		}
		settings, err := json.Marshal(k.Settings)
		if err != nil {
			return err
		}
		err = tx.exec("insert into camera (uuid, name, settings, password) values (?, ?, ?, ?)", k.UUID, k.Name, string(settings), k.Password)
		if err != nil {
			return err
		}
		k.ID = CameraID(tx.db.LastInsertRowID())
		for i := range k.Streams {
			if err := addStream(tx, k.ID, &k.Streams[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return k, err
}

// UpdateCamera lets change alter a camera and its streams, in one transaction. Streams are told apart by their names:
// a new name adds one, a missing one removes it, which is refused while it has recordings. Ids, UUIDs and counters
// stay as they are. change must not call the catalog.
func (c *Catalog) UpdateCamera(ctx context.Context, id CameraID, change func(*Camera) error) (k Camera, err error) {
	err = c.write(ctx, func(tx *conn) error {
		before, err := cameraByID(tx, id)
		if err != nil {
			return err
		}
		k = before
		k.Streams = slices.Clone(before.Streams)
		if err := change(&k); err != nil {
			return err
		}
		k.ID, k.UUID = before.ID, before.UUID
		if err := k.valid(tx); err != nil {
			return err
		}
		settings, err := json.Marshal(k.Settings)
		if err != nil {
			return err
		}
		err = tx.exec("update camera set name = ?, settings = ?, password = ? where id = ?", k.Name, string(settings), k.Password, int64(id))
		if err != nil {
			return err
		}
		return updateStreams(tx, &before, &k)
	})
	return k, err
}

func updateStreams(tx *conn, before, after *Camera) error {
	for _, s := range before.Streams {
		if !slices.ContainsFunc(after.Streams, func(t Stream) bool { return t.Name == s.Name }) {
			if err := removeStream(tx, s); err != nil {
				return err
			}
		}
	}
	for i := range after.Streams {
		s := &after.Streams[i]
		at := slices.IndexFunc(before.Streams, func(t Stream) bool { return t.Name == s.Name })
		if at < 0 {
			s.UUID = recording.UUID{}
			if err := addStream(tx, after.ID, s); err != nil {
				return err
			}
			continue
		}
		old := before.Streams[at]
		s.ID, s.UUID, s.Camera = old.ID, old.UUID, old.Camera
		s.NextN, s.CumMediaDuration, s.CumRuns = old.NextN, old.CumMediaDuration, old.CumRuns
		const sql = "update stream set url = ?, directory_id = ?, record = ?, retain_bytes = ?, retain_days = ? where id = ?"
		if err := tx.exec(sql, s.URL, s.directory(), s.Record, nullable(s.RetainBytes), s.days(), uint32(s.ID)); err != nil {
			return err
		}
	}
	return nil
}

func addStream(tx *conn, camera CameraID, s *Stream) error {
	if s.UUID == (recording.UUID{}) {
		s.UUID = newUUID()
	}
	const sql = `insert into stream (uuid, camera_id, name, url, directory_id, record, retain_bytes, retain_days)
		values (?, ?, ?, ?, ?, ?, ?, ?)`
	err := tx.exec(sql, s.UUID, int64(camera), s.Name, s.URL, s.directory(), s.Record, nullable(s.RetainBytes), s.days())
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.Name, err)
	}
	s.ID, s.Camera = recording.StreamID(tx.db.LastInsertRowID()), camera
	s.NextN, s.CumMediaDuration, s.CumRuns = 1, 0, 0
	return nil
}

// RemoveCamera deletes a camera and its streams. It is refused while a stream has recordings, or deleted ones whose
// files are still there.
func (c *Catalog) RemoveCamera(ctx context.Context, id CameraID) error {
	return c.write(ctx, func(tx *conn) error {
		k, err := cameraByID(tx, id)
		if err != nil {
			return err
		}
		for _, s := range k.Streams {
			if err := removeStream(tx, s); err != nil {
				return fmt.Errorf("camera %q: %w", k.Name, err)
			}
		}
		return tx.exec("delete from camera where id = ?", int64(id))
	})
}

func removeStream(tx *conn, s Stream) error {
	first, last := int64(recording.NewID(s.ID, 0)), int64(recording.NewID(s.ID, 1<<32-1))
	err := checkUnused(tx, "stream "+s.Name, []use{
		{"recordings", "select coalesce(sum(recordings), 0) from usage where stream_id = ?"},
	}, int64(s.ID))
	if err != nil {
		return err
	}
	n, err := tx.queryInt("select count(*) from garbage where recording_id between ? and ?", first, last)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("stream %s has %d deleted sample files: %w", s.Name, n, ErrInUse)
	}
	for _, table := range []string{"usage", "hour", "gap", "run"} {
		if err := tx.exec("delete from "+table+" where stream_id = ?", uint32(s.ID)); err != nil {
			return err
		}
	}
	return tx.exec("delete from stream where id = ?", uint32(s.ID))
}

// valid refuses a camera that the schema, or a reader of its settings, would not take, with a sentence for a person.
func (k *Camera) valid(tx *conn) error {
	k.Name = strings.TrimSpace(k.Name)
	if k.Name == "" {
		return fmt.Errorf("a camera needs a name: %w", ErrInvalid)
	}
	if _, ok := parseUUID(k.Name); ok || strings.ContainsAny(k.Name, "/\\\x00\n\r\t") {
		return fmt.Errorf("camera name %q: a name must not look like a UUID nor hold slashes or control characters: %w", k.Name, ErrInvalid)
	}
	taken, err := tx.queryInt("select count(*) from camera where name = ? and id <> ?", k.Name, int64(k.ID))
	if err != nil {
		return err
	}
	if taken > 0 {
		return fmt.Errorf("a camera named %q %w: choose another name", k.Name, ErrExists)
	}
	if p := k.Settings.Priority; p < 0 || p > 10 {
		return fmt.Errorf("camera %q: priority %d is not within 1 and 10: %w", k.Name, p, ErrInvalid)
	}
	if t := k.Settings.Transport; !slices.Contains([]string{"", "auto", "tcp", "udp"}, t) {
		return fmt.Errorf("camera %q: transport %q is not auto, tcp or udp: %w", k.Name, t, ErrInvalid)
	}
	seen := make(map[string]bool)
	for i := range k.Streams {
		s := &k.Streams[i]
		if seen[s.Name] {
			return fmt.Errorf("camera %q: two streams named %q: %w", k.Name, s.Name, ErrInvalid)
		}
		seen[s.Name] = true
		if err := s.valid(tx); err != nil {
			return fmt.Errorf("camera %q: stream %q: %w", k.Name, s.Name, err)
		}
	}
	return nil
}

func (s *Stream) valid(tx *conn) error {
	if !slices.Contains([]string{"main", "sub", "ext"}, s.Name) {
		return fmt.Errorf("a stream is main, sub or ext: %w", ErrInvalid)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		// The text of the error may repeat credentials.
		return fmt.Errorf("the URL cannot be understood: %w", ErrInvalid)
	}
	if u.User != nil {
		return fmt.Errorf("the URL holds credentials, which are kept apart: %w", ErrInvalid)
	}
	if s.RetainBytes != nil && *s.RetainBytes < 0 || s.RetainDays != nil && *s.RetainDays < 1 {
		return fmt.Errorf("a retention limit is at least 0 bytes or 1 day: %w", ErrInvalid)
	}
	if s.Directory == 0 {
		return nil
	}
	if _, err := tx.queryInt("select id from directory where id = ?", int64(s.Directory)); errors.Is(err, errNoRow) {
		return fmt.Errorf("directory %d: %w", s.Directory, ErrNotFound)
	} else if err != nil {
		return err
	}
	return nil
}

func (s *Stream) directory() any {
	if s.Directory == 0 {
		return nil
	}
	return int64(s.Directory)
}

func (s *Stream) days() any {
	if s.RetainDays == nil {
		return nil
	}
	return *s.RetainDays
}

// ReserveIDs sets n ids of a stream apart, durably, before any of them is used, and returns the first. What is not used
// stays a hole.
func (c *Catalog) ReserveIDs(ctx context.Context, stream recording.StreamID, n uint32) (first uint32, err error) {
	err = c.write(ctx, func(tx *conn) error {
		next, err := tx.queryInt("select next_n from stream where id = ?", uint32(stream))
		if err != nil {
			return notFound(err, "stream %d", stream)
		}
		if next+int64(n) > 1<<32-1 {
			return fmt.Errorf("stream %d has used up its ids: remove it and add it again: %w", stream, ErrInvalid)
		}
		first = uint32(next)
		return tx.exec("update stream set next_n = ? where id = ?", next+int64(n), uint32(stream))
	})
	return first, err
}

// RaiseNextID makes sure that ids below next are never given out again: for what the tail log knows and the catalog,
// an older copy, does not.
func (c *Catalog) RaiseNextID(ctx context.Context, stream recording.StreamID, next uint32) error {
	return c.write(ctx, func(tx *conn) error {
		return tx.exec("update stream set next_n = max(next_n, ?) where id = ?", next, uint32(stream))
	})
}

// parseUUID reads the usual text form of a UUID (RFC 9562 section 4).
func parseUUID(text string) (u recording.UUID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return u, false
	}
	n, err := hex.Decode(u[:], []byte(strings.ReplaceAll(text, "-", "")))
	return u, err == nil && n == len(u)
}
