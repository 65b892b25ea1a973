package salvage

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// samples are the bytes of a recording. Whatever part is asked for, whole blocks are read and compared with their sums.
type samples struct {
	file vfs.File
	id   recording.ID
	size int64
	sums []uint32

	mu    sync.Mutex
	buf   []byte // guarded by mu; the bytes of block
	block int64  // guarded by mu; -1: none
}

// Close closes the file.
func (s *samples) Close() error { return s.file.Close() }

// ReadAt reads bytes.
func (s *samples) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read recording %v at %d: negative offset", s.id, offset)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) {
		at := offset + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		block := at / recording.BlockSize
		if err := s.load(block); err != nil {
			return n, err
		}
		n += copy(p[n:], s.buf[at-block*recording.BlockSize:])
	}
	return n, nil
}

// load reads and verifies a block. Called with mu held.
func (s *samples) load(block int64) error {
	if s.block == block {
		return nil
	}
	s.block = -1
	if s.buf == nil {
		s.buf = make([]byte, min(s.size, recording.BlockSize))
	}
	start := block * recording.BlockSize
	s.buf = s.buf[:min(recording.BlockSize, s.size-start)]
	n, err := s.file.ReadAt(s.buf, start)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(s.buf)) {
		return fmt.Errorf("read sample file %s at %d: %w", s.id.FileName(), start, err)
	}
	if block >= int64(len(s.sums)) || recording.BlockSum(s.id, uint32(block), s.buf) != s.sums[block] {
		return fmt.Errorf("sample file %s: bytes %d to %d are not those that were written", s.id.FileName(), start, start+int64(n))
	}
	s.block = block
	return nil
}
