package taillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"sync"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

// Sizes of the open-block file (docs/format/open-block.md).
const (
	// BlockSize is how many bytes of a sample file one open block holds; the n-th block of a recording holds the bytes
	// from n·BlockSize on.
	BlockSize = 256 << 10

	// PageSize is how many bytes of pending frames one page holds.
	PageSize = 8 << 10

	blocksHeaderSize = 4096
	slotSize         = 32 // of a table entry
)

var blocksMagic = [16]byte{'n', 'i', 'g', 'h', 't', 'j', 'a', 'r', ' ', 'b', 'l', 'o', 'c', 'k', 's', 0}

const blocksVersion = 1

// geometry places the parts of the file: header, table of blocks, table of pages, pages, blocks.
type geometry struct{ blocks, pages int }

func (g geometry) blockTable() int { return blocksHeaderSize }
func (g geometry) pageTable() int  { return g.blockTable() + roundUp(g.blocks*slotSize) }
func (g geometry) firstPage() int  { return g.pageTable() + roundUp(g.pages*slotSize) }
func (g geometry) firstBlock() int { return g.firstPage() + g.pages*PageSize }
func (g geometry) size() int       { return g.firstBlock() + g.blocks*BlockSize }

func roundUp(n int) int { return (n + vfs.BlockSize - 1) / vfs.BlockSize * vfs.BlockSize }

// Blocks is the memory of one directory that survives a killed process: blocks for bytes of samples, pages for the
// frames that say what the bytes are. All methods may be called concurrently.
type Blocks struct {
	geometry
	mapping vfs.Mapping
	mem     []byte

	mu         sync.Mutex
	freeBlocks slots // guarded by mu
	freePages  slots // guarded by mu
}

// slots are the free ones of a table: the warm ones keep their memory, to be used again at once.
type slots struct {
	warm, cold []int
	first      int // offset of slot 0
	size       int // of one
}

// warmBytes is how much memory the free blocks keep at most, and the free pages.
const warmBytes = 16 * BlockSize

func newSlots(n, first, size int) slots {
	s := slots{first: first, size: size, cold: make([]int, n)}
	for i := range s.cold {
		s.cold[i] = n - 1 - i
	}
	return s
}

func (s *slots) free() int { return len(s.warm) + len(s.cold) }

// get takes a slot that has memory behind it.
func (s *slots) get(m vfs.Mapping) (slot int, ok bool) {
	if last := len(s.warm) - 1; last >= 0 {
		slot, s.warm = s.warm[last], s.warm[:last]
		return slot, true
	}
	last := len(s.cold) - 1
	if last < 0 || m.Reserve(s.first+s.cold[last]*s.size, s.size) != nil {
		return 0, false
	}
	slot, s.cold = s.cold[last], s.cold[:last]
	return slot, true
}

func (s *slots) put(m vfs.Mapping, slot int) {
	if (len(s.warm)+1)*s.size > warmBytes && m.Discard(s.first+slot*s.size, s.size) == nil {
		s.cold = append(s.cold, slot)
		return
	}
	s.warm = append(s.warm, slot)
}

// Block holds BlockSize bytes of a sample file, or its last ones.
type Block struct {
	N    uint32 // position in the sample file, in blocks
	Data []byte // BlockSize bytes, page aligned
	slot int
}

// page holds pending frames of one recording.
type page struct {
	data []byte
	used int
	last uint32 // number of the latest entry in it
	slot int
}

// CreateBlocks makes the file anew, for the writer that identity says, with room for so many blocks and pages. What an
// older file of that name held is gone.
func CreateBlocks(fsys vfs.FS, name string, identity Identity, blocks, pages int) (*Blocks, error) {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old open blocks: %w", err)
	}
	g := geometry{blocks, pages}
	mapping, err := fsys.Map(name, g.size())
	if err != nil {
		return nil, fmt.Errorf("map open blocks: %w", err)
	}
	b := &Blocks{geometry: g, mapping: mapping, mem: mapping.Bytes()}
	b.freeBlocks = newSlots(blocks, g.firstBlock(), BlockSize)
	b.freePages = newSlots(pages, g.firstPage(), PageSize)
	if err := mapping.Discard(g.firstPage(), g.size()-g.firstPage()); err != nil { // memory is taken as it is needed
		return nil, errors.Join(fmt.Errorf("discard open blocks: %w", err), mapping.Close())
	}
	copy(b.mem, encodeBlocksHeader(identity, g))
	return b, nil
}

func encodeBlocksHeader(id Identity, g geometry) []byte {
	b := make([]byte, 96)
	le := binary.LittleEndian
	copy(b, blocksMagic[:])
	le.PutUint32(b[16:], blocksVersion)
	le.PutUint32(b[20:], uint32(g.blocks))
	le.PutUint32(b[24:], uint32(g.pages))
	le.PutUint32(b[28:], id.OpenID)
	copy(b[32:], id.Directory[:])
	copy(b[48:], id.Boot[:])
	copy(b[64:], id.Open[:])
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
	return b
}

func parseBlocksHeader(b []byte) (id Identity, g geometry, ok bool) {
	le := binary.LittleEndian
	if len(b) < 96 || [16]byte(b) != blocksMagic || le.Uint32(b[16:]) != blocksVersion || le.Uint32(b[92:]) != crc32.Checksum(b[:92], castagnoli) {
		return id, g, false
	}
	g = geometry{int(le.Uint32(b[20:])), int(le.Uint32(b[24:]))}
	id = Identity{OpenID: le.Uint32(b[28:]), Directory: recording.UUID(b[32:48]), Boot: recording.UUID(b[48:64]), Open: recording.UUID(b[64:80])}
	return id, g, true
}

// putSlot writes a table entry: recording, position (of a block in its file, of a page among its recording's), checksum.
func putSlot(entry []byte, id recording.ID, n uint32) {
	le := binary.LittleEndian
	le.PutUint32(entry[12:], 0) // while the fields change, the checksum must not fit
	le.PutUint64(entry, uint64(id))
	le.PutUint32(entry[8:], n)
	le.PutUint32(entry[12:], crc32.Checksum(entry[:12], castagnoli))
}

func getSlot(entry []byte) (id recording.ID, n uint32, ok bool) {
	le := binary.LittleEndian
	id, n = recording.ID(le.Uint64(entry)), le.Uint32(entry[8:])
	return id, n, id != 0 && le.Uint32(entry[12:]) == crc32.Checksum(entry[:12], castagnoli)
}

func (b *Blocks) blockSlot(slot int) []byte { return b.mem[b.blockTable()+slot*slotSize:][:slotSize] }
func (b *Blocks) pageSlot(slot int) []byte  { return b.mem[b.pageTable()+slot*slotSize:][:slotSize] }

// Get hands out a block for the n-th BlockSize bytes of a recording; nil when there is none left.
func (b *Blocks) Get(id recording.ID, n uint32) *Block {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot, ok := b.freeBlocks.get(b.mapping)
	if !ok {
		return nil
	}
	putSlot(b.blockSlot(slot), id, n)
	return &Block{N: n, Data: b.mem[b.firstBlock()+slot*BlockSize:][:BlockSize:BlockSize], slot: slot}
}

// Put takes a block back. Its bytes are in the sample file, or not wanted.
func (b *Blocks) Put(block *Block) {
	clear(b.blockSlot(block.slot))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freeBlocks.put(b.mapping, block.slot)
}

// Free returns how many blocks can be handed out.
func (b *Blocks) Free() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.freeBlocks.free()
}

func (b *Blocks) getPage(id recording.ID, n uint32, p *page) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot, ok := b.freePages.get(b.mapping)
	if !ok {
		return false
	}
	*p = page{data: b.mem[b.firstPage()+slot*PageSize:][:PageSize:PageSize], slot: slot}
	clear(p.data[:frameHead]) // no frame of an earlier use stands first
	putSlot(b.pageSlot(slot), id, n)
	return true
}

func (b *Blocks) putPage(p *page) {
	clear(b.pageSlot(p.slot))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freePages.put(b.mapping, p.slot)
}

// Close unmaps the memory; no block may be used afterwards. The file stays.
func (b *Blocks) Close() error { return b.mapping.Close() }
