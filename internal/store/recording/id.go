// Package recording holds the words the store speaks: ids, reasons, the sample index, and the description of one
// recording as the tail log seals it and the catalog keeps it. Pure values and pure functions; no disk, no clock.
package recording

import (
	"fmt"
	"strconv"
)

// UUID is 16 raw bytes (RFC 9562), the identity of a catalog, directory, camera, stream or open at every border.
type UUID [16]byte

// StreamID numbers a stream within one catalog, from 1 on; never reused.
type StreamID uint32

// ID names a recording: stream << 32 | n, where n counts from 1 within the stream. Ids are never reused and may have holes.
type ID uint64

// NewID returns the id of the n-th recording of a stream.
func NewID(stream StreamID, n uint32) ID { return ID(stream)<<32 | ID(n) }

// Stream returns the stream that the recording belongs to.
func (id ID) Stream() StreamID { return StreamID(id >> 32) }

// N returns the position of the recording in its stream.
func (id ID) N() uint32 { return uint32(id) }

// FileName returns the name of the sample file: the id as 16 lower-case hex digits.
func (id ID) FileName() string { return fmt.Sprintf("%016x", uint64(id)) }

// String returns the id as "stream/n" in decimal, for logs.
func (id ID) String() string { return fmt.Sprintf("%d/%d", id.Stream(), id.N()) }

// ParseFileName is the inverse of ID.FileName. It takes no other spelling.
func ParseFileName(name string) (ID, bool) {
	if len(name) != 16 {
		return 0, false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	v, err := strconv.ParseUint(name, 16, 64)
	id := ID(v)
	return id, err == nil && id.Stream() != 0 && id.N() != 0
}
