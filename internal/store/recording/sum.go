package recording

import (
	"encoding/binary"
	"hash/crc32"
)

// BlockSize is how many bytes of a sample file one checksum covers; the last block may be shorter.
const BlockSize = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BlockSum returns the checksum of block n (counted from 0) of a recording's sample file: CRC32C (RFC 3720 appendix B.4:
// polynomial 1EDC6F41, reflected, initial value and final complement all ones) over the 12 bytes id (8, little-endian),
// n (4, little-endian), followed by the block's bytes. So a block that was read from another place, or another
// recording, does not pass for this one.
func BlockSum(id ID, n uint32, data []byte) uint32 {
	return crc32.Update(blockSeed(id, n), castagnoli, data)
}

func blockSeed(id ID, n uint32) uint32 {
	var seed [12]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(id))
	binary.LittleEndian.PutUint32(seed[8:], n)
	return crc32.Update(0, castagnoli, seed[:])
}

// Summer computes the block sums of a sample file from its bytes in order. Copying the value takes a snapshot, as with
// IndexEncoder.
type Summer struct {
	id      ID
	sums    []uint32 // of the blocks that are full
	sum     uint32   // of the block in progress
	partial int      // bytes in it
}

// NewSummer returns a Summer for a file of which nothing was seen yet.
func NewSummer(id ID) Summer { return Summer{id: id, sum: blockSeed(id, 0)} }

// ResumeSummer returns a Summer that goes on after size bytes, of which full are the sums of the full blocks and partial
// is the one of the rest (ignored when there is no rest).
func ResumeSummer(id ID, size int64, full []uint32, partial uint32) Summer {
	s := Summer{id: id, sums: full, sum: partial, partial: int(size % BlockSize)}
	if s.partial == 0 {
		s.sum = blockSeed(id, uint32(len(full)))
	}
	return s
}

// Write adds bytes; it never fails.
func (s *Summer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), BlockSize-s.partial)]
		s.sum = crc32.Update(s.sum, castagnoli, part)
		s.partial += len(part)
		p = p[len(part):]
		if s.partial == BlockSize {
			s.sums = append(s.sums, s.sum)
			s.partial, s.sum = 0, blockSeed(s.id, uint32(len(s.sums)))
		}
	}
	return n, nil
}

// Size returns how many bytes were seen.
func (s *Summer) Size() int64 { return int64(len(s.sums))*BlockSize + int64(s.partial) }

// Full returns the sums of the blocks from the given one on that are full; the caller does not change them.
func (s *Summer) Full(from int) []uint32 { return s.sums[from:len(s.sums):len(s.sums)] }

// Partial returns the sum of the block in progress and how many bytes it covers.
func (s *Summer) Partial() (sum uint32, size int) { return s.sum, s.partial }

// Sums returns a new slice with the sums of all blocks, a shorter last one included.
func (s *Summer) Sums() []uint32 {
	sums := make([]uint32, 0, len(s.sums)+1)
	sums = append(sums, s.sums...)
	if s.partial > 0 {
		sums = append(sums, s.sum)
	}
	return sums
}
