package catalog

import (
	"encoding/binary"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// totals is what one recording adds to, or takes from, the tables usage and hour.
type totals struct {
	stream    recording.StreamID
	directory DirectoryID
	start     media.WallTime
	duration  media.WallDuration
	bytes     int64
	samples   int64
}

const ticksPerHour = 3600 * media.TicksPerSecond

// add counts the recording in (sign 1) or out (sign -1).
func (t *totals) add(tx *conn, sign int64) error {
	const use = `insert into usage (stream_id, directory_id, recordings, bytes, disk_bytes, duration_90k)
		values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (stream_id, directory_id) do update set recordings = recordings + ?3,
		bytes = bytes + ?4, disk_bytes = disk_bytes + ?5, duration_90k = duration_90k + ?6`
	err := tx.exec(use, uint32(t.stream), int64(t.directory), sign, sign*t.bytes, sign*DiskBytes(t.bytes), sign*int64(t.duration))
	if err != nil {
		return err
	}
	hour := floorHour(t.start)
	return t.eachHour(func(h int64, d media.WallDuration) error {
		var n, bytes, samples int64
		if h == hour {
			n, bytes, samples = sign, sign*t.bytes, sign*t.samples
		}
		const add = `insert into hour (stream_id, hour, duration_90k, recordings, bytes, samples)
			values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (stream_id, hour) do update set duration_90k = duration_90k + ?3,
			recordings = recordings + ?4, bytes = bytes + ?5, samples = samples + ?6`
		if err := tx.exec(add, uint32(t.stream), h, sign*int64(d), n, bytes, samples); err != nil || sign > 0 {
			return err
		}
		return tx.exec("delete from hour where stream_id = ? and hour = ? and recordings = 0 and duration_90k = 0", uint32(t.stream), h)
	})
}

// eachHour divides the recording's span over the hours it touches; the hour of its start is always among them.
func (t *totals) eachHour(yield func(hour int64, d media.WallDuration) error) error {
	end := t.start.Add(t.duration)
	for from := t.start; ; {
		h := floorHour(from)
		to := min(end, media.WallTime((h+1)*ticksPerHour))
		if err := yield(h, to.Sub(from)); err != nil || to == end {
			return err
		}
		from = to
	}
}

// floorHour returns the UTC hour that t lies in, also before 1970.
func floorHour(t media.WallTime) int64 {
	h := int64(t) / ticksPerHour
	if int64(t)%ticksPerHour < 0 {
		h--
	}
	return h
}

func encodeSums(sums []uint32) []byte {
	b := make([]byte, 0, 4*len(sums))
	for _, s := range sums {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return b
}

func decodeSums(b []byte) []uint32 {
	if len(b) == 0 {
		return nil
	}
	sums := make([]uint32, 0, len(b)/4)
	for ; len(b) >= 4; b = b[4:] {
		sums = append(sums, binary.LittleEndian.Uint32(b))
	}
	return sums
}
