package taillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Survivors is what a killed process left in the open blocks.
type Survivors struct {
	mapping vfs.Mapping
	blocks  map[blockKey][]byte
	pages   map[recording.ID][]leftPage
}

type blockKey struct {
	id recording.ID
	n  uint32
}

type leftPage struct {
	n    uint32
	data []byte
}

// OpenSurvivors reads the open blocks that the given writer left, if the machine was not started anew since. It returns
// nil, without error, when there is nothing to be had: after a power cut nothing in the file is to be trusted.
func OpenSurvivors(fsys vfs.FS, name string, writer Identity, boot recording.UUID) (*Survivors, error) {
	if writer.Boot != boot {
		return nil, nil
	}
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at open blocks: %w", err)
	}
	if info.Size < blocksHeaderSize || info.Size > 1<<30 {
		return nil, nil
	}
	mapping, err := fsys.Map(name, int(info.Size))
	if err != nil {
		return nil, fmt.Errorf("map open blocks: %w", err)
	}
	mem := mapping.Bytes()
	id, g, ok := parseBlocksHeader(mem)
	if !ok || id != writer || g.size() != len(mem) {
		return nil, mapping.Close()
	}
	s := &Survivors{mapping: mapping, blocks: make(map[blockKey][]byte), pages: make(map[recording.ID][]leftPage)}
	for i := range g.blocks {
		if id, n, ok := getSlot(mem[g.blockTable()+i*slotSize:][:slotSize]); ok {
			s.blocks[blockKey{id, n}] = mem[g.firstBlock()+i*BlockSize:][:BlockSize]
		}
	}
	for i := range g.pages {
		if id, n, ok := getSlot(mem[g.pageTable()+i*slotSize:][:slotSize]); ok {
			s.pages[id] = append(s.pages[id], leftPage{n, mem[g.firstPage()+i*PageSize:][:PageSize]})
		}
	}
	for _, pages := range s.pages {
		slices.SortFunc(pages, func(a, b leftPage) int { return int(int64(a.n) - int64(b.n)) })
	}
	return s, nil
}

// Recordings lists the recordings of which frames are left.
func (s *Survivors) Recordings() []recording.ID {
	if s == nil {
		return nil
	}
	var ids []recording.ID
	for id := range s.pages {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Close unmaps the file.
func (s *Survivors) Close() error {
	if s == nil {
		return nil
	}
	return s.mapping.Close()
}

// Extend replays the frames that follow a recording's latest entry: r is as the log knows it, or empty if it does not.
// Bytes that a frame speaks of come from a block or, if they had been written already, from file. Extend stops at the
// first frame whose bytes are not there. The samples' bytes that file lacks are written to it, those of held samples
// too; nothing is synced. It returns how many samples were won.
func (s *Survivors) Extend(id recording.ID, r *Recording, file vfs.File) (samples int, err error) {
	if s == nil {
		return 0, nil
	}
	before := r.Builder.Bytes()
	size, err := file.Size()
	if err != nil {
		return 0, fmt.Errorf("size of sample file of recording %v: %w", id, err)
	}
	for _, page := range s.pages[id] {
		for rest := page.data; len(rest) >= frameHead; {
			n := int(binary.LittleEndian.Uint32(rest))
			if n == 0 || n > len(rest)-frameHead {
				break
			}
			frame := rest[:frameHead+n]
			rest = rest[frameHead+n:]
			seq := binary.LittleEndian.Uint32(frame[4:])
			if r.begun && seq <= r.Seq {
				continue
			}
			if seq != r.Seq+1 {
				break
			}
			won, ok, err := s.frame(id, r, file, size, frame)
			if err != nil {
				return samples, err
			}
			if !ok {
				break
			}
			samples += won
		}
	}
	if err := s.writeBlocks(id, file, before, r.Builder.Bytes()); err != nil {
		return samples, err
	}
	left := r.held // behind what the blocks hold
	r.held = nil
	for _, h := range left {
		if err := s.append(r, AppendSample(nil, &r.Builder, &h.info), h.data); err != nil {
			break // the track never began in the file, or the like
		}
		if _, err := file.WriteAt(h.data, r.Builder.Bytes()-int64(len(h.data))); err != nil {
			return samples, fmt.Errorf("write sample file of recording %v: %w", id, err)
		}
		samples++
	}
	return samples, nil
}

// frame replays one frame if it and its bytes are sound.
func (s *Survivors) frame(id recording.ID, r *Recording, file vfs.File, size int64, frame []byte) (samples int, ok bool, err error) {
	entry, seq := frame[frameHead:], binary.LittleEndian.Uint32(frame[4:])
	var data []byte
	if entry[0]&sampleEntry != 0 && r.begun {
		info, _, err := parseSample(entry, &r.Builder, false)
		if err != nil {
			return 0, false, nil //nolint:nilerr // a frame that makes no sense is a torn one
		}
		if data, err = s.read(id, file, size, r.Builder.Bytes(), int(info.Size)); err != nil || data == nil {
			return 0, false, err
		}
		samples = 1
	}
	if binary.LittleEndian.Uint32(frame[8:]) != frameSum(new([12]byte), id, seq, entry, data) || r.apply(entry) != nil || r.Description.ID != id {
		return 0, false, nil
	}
	r.Seq = seq
	_, _ = r.Summer.Write(data)
	return samples, true, nil
}

// append replays an entry that no frame held.
func (s *Survivors) append(r *Recording, entry, data []byte) error {
	if err := r.apply(entry); err != nil {
		return err
	}
	_, _ = r.Summer.Write(data)
	return nil
}

// read returns bytes of a recording; nil if they are nowhere.
func (s *Survivors) read(id recording.ID, file vfs.File, size, offset int64, n int) ([]byte, error) {
	if n > 1<<30 {
		return nil, nil
	}
	var data []byte
	for n > 0 {
		in := int(offset % BlockSize)
		part := min(n, BlockSize-in)
		if block, ok := s.blocks[blockKey{id, uint32(offset / BlockSize)}]; ok {
			data = append(data, block[in:in+part]...)
		} else {
			if offset+int64(part) > size {
				return nil, nil
			}
			at := len(data)
			data = append(data, make([]byte, part)...)
			if m, err := file.ReadAt(data[at:], offset); err != nil && !(errors.Is(err, io.EOF) && m == part) {
				return nil, fmt.Errorf("read sample file of recording %v: %w", id, err)
			}
		}
		offset, n = offset+int64(part), n-part
	}
	return data, nil
}

// writeBlocks copies what the blocks hold of [from, to) to the file.
func (s *Survivors) writeBlocks(id recording.ID, file vfs.File, from, to int64) error {
	for offset := from; offset < to; {
		in := int(offset % BlockSize)
		part := min(to-offset, int64(BlockSize-in))
		if block, ok := s.blocks[blockKey{id, uint32(offset / BlockSize)}]; ok {
			if _, err := file.WriteAt(block[in:in+int(part)], offset); err != nil {
				return fmt.Errorf("write sample file of recording %v: %w", id, err)
			}
		}
		offset += part
	}
	return nil
}
