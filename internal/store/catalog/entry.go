package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// entryCache keeps sample entries by row id: there are few, and every listed track names one. Its values are shared with
// callers, who do not change them.
type entryCache struct {
	mu   sync.Mutex
	byID map[int64]recording.SampleEntry // guarded by mu
}

// maxCachedEntries bounds the cache to about 100 KB; beyond that it begins anew.
const maxCachedEntries = 512

func (e *entryCache) find(tx *conn, id int64) (entry recording.SampleEntry, err error) {
	e.mu.Lock()
	entry, ok := e.byID[id]
	e.mu.Unlock()
	if ok {
		return entry, nil
	}
	const sql = `select codec, clock_rate, data, rfc6381, width, height, aspect_h, aspect_v, channels, bytes_per_frame,
		reorder_depth from sample_entry where id = ?`
	err = tx.queryRow(sql, func(r *row) {
		entry = recording.SampleEntry{
			Codec: media.Codec(r.text()), ClockRate: uint32(r.int64()), Data: r.blob(), RFC6381: r.text(),
			Width: uint16(r.int64()), Height: uint16(r.int64()), AspectH: uint16(r.int64()), AspectV: uint16(r.int64()),
			Channels: uint8(r.int64()), BytesPerFrame: uint16(r.int64()), ReorderDepth: uint8(r.int64()),
		}
	}, id)
	if err != nil {
		return entry, fmt.Errorf("sample entry %d: %w", id, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.byID) >= maxCachedEntries || e.byID == nil {
		e.byID = make(map[int64]recording.SampleEntry)
	}
	e.byID[id] = entry
	return entry, nil
}

// insertEntry returns the row id of a sample entry, adding it if it is new.
func insertEntry(tx *conn, s *recording.SampleEntry) (id int64, err error) {
	digest := entryDigest(s)
	const add = `insert into sample_entry (digest, codec, clock_rate, data, rfc6381, width, height, aspect_h, aspect_v,
		channels, bytes_per_frame, reorder_depth) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (digest) do nothing`
	err = tx.exec(add, digest, string(s.Codec), s.ClockRate, s.Data, s.RFC6381, int(s.Width), int(s.Height), int(s.AspectH),
		int(s.AspectV), int(s.Channels), int(s.BytesPerFrame), int(s.ReorderDepth))
	if err != nil {
		return 0, fmt.Errorf("add sample entry: %w", err)
	}
	return tx.queryInt("select id from sample_entry where digest = ?", digest)
}

// entryDigest tells sample entries apart: two with the same digest are equal in every field.
func entryDigest(s *recording.SampleEntry) []byte {
	b := binary.AppendUvarint(nil, uint64(len(s.Codec)))
	b = append(b, s.Codec...)
	b = binary.AppendUvarint(b, uint64(len(s.Data)))
	b = append(b, s.Data...)
	b = binary.AppendUvarint(b, uint64(len(s.RFC6381)))
	b = append(b, s.RFC6381...)
	for _, v := range []uint32{
		s.ClockRate, uint32(s.Width), uint32(s.Height), uint32(s.AspectH), uint32(s.AspectV), uint32(s.Channels),
		uint32(s.BytesPerFrame), uint32(s.ReorderDepth),
	} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	sum := sha256.Sum256(b)
	return sum[:16]
}
