package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"nightjar/internal/store/recording"
)

// DamageError says that stored bytes are not those that were recorded.
type DamageError struct {
	ID    recording.ID
	Block int // of recording.BlockSize bytes
	Path  string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("recording %v: block %d of %s does not have its checksum: the disk changed it", e.ID, e.Block, e.Path)
}

// maxProved bounds how many recordings are remembered as proved.
const maxProved = 4096

// provedBlocks remembers which blocks of which sample files had their checksums, since the start of the process.
type provedBlocks struct {
	mu    sync.Mutex
	files map[recording.ID]*provedFile // guarded by mu
}

// provedFile is one sample file as it was when its blocks were looked at.
type provedFile struct {
	device, inode uint64
	size          int64
	modTime       time.Time

	mu     sync.Mutex
	blocks []bool // guarded by mu; by block: has its checksum
}

func newProvedBlocks() *provedBlocks { return &provedBlocks{files: make(map[recording.ID]*provedFile)} }

// find returns what is known of a file; nothing if it changed since.
func (p *provedBlocks) find(a *Archive, id recording.ID, path string) (*provedFile, error) {
	info, err := a.fs.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("look at sample file: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[id]
	if f != nil && f.device == info.Device && f.inode == info.Inode && f.size == info.Size && f.modTime.Equal(info.ModTime) {
		return f, nil
	}
	for other := range p.files {
		if len(p.files) < maxProved {
			break
		}
		delete(p.files, other) // any one: it only costs reading it again
	}
	f = &provedFile{
		device: info.Device, inode: info.Inode, size: info.Size, modTime: info.ModTime,
		blocks: make([]bool, (info.Size+recording.BlockSize-1)/recording.BlockSize),
	}
	p.files[id] = f
	return f, nil
}

// prove compares the blocks that [offset, offset+n) touches with their checksums. Called with mu held.
func (s *Samples) prove(offset, n int64) error {
	if s.have == nil {
		f, err := s.a.proved.find(s.a, s.id, s.path)
		if err != nil {
			return err
		}
		s.have = f
	}
	first, last := int(offset/recording.BlockSize), int((offset+n-1)/recording.BlockSize)
	s.have.mu.Lock()
	defer s.have.mu.Unlock()
	var sums []uint32
	var buf []byte
	for b := first; b <= last; b++ {
		if b >= len(s.have.blocks) {
			return &DamageError{ID: s.id, Block: b, Path: s.path} // shorter than it should be
		}
		if s.have.blocks[b] {
			continue
		}
		if sums == nil {
			d, err := s.a.Describe(context.Background(), s.id)
			if err != nil {
				return err
			}
			sums, buf = d.BlockSums, make([]byte, recording.BlockSize)
			s.size = min(s.size, d.Bytes)
		}
		m, err := s.file.ReadAt(buf[:min(recording.BlockSize, s.size-int64(b)*recording.BlockSize)], int64(b)*recording.BlockSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read sample file of recording %v: %w", s.id, err)
		}
		if b >= len(sums) || recording.BlockSum(s.id, uint32(b), buf[:m]) != sums[b] {
			return &DamageError{ID: s.id, Block: b, Path: s.path}
		}
		s.have.blocks[b] = true
	}
	return nil
}
