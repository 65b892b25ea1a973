package taillog

import (
	"encoding/binary"
	"hash/crc32"

	"nightjar/internal/store/recording"
)

// A pending frame is an entry in a page of the open blocks: length of the entry, its
// number, a checksum (4 bytes each, little-endian), the entry. The checksum covers recording id, number, entry and, for a sample entry, the
// sample's bytes, so that a frame is only believed together with what it speaks of.
const frameHead = 12

// MaxEntry is the longest entry that fits a page.
const MaxEntry = PageSize - frameHead

func frameSum(seed *[12]byte, id recording.ID, seq uint32, entry, data []byte) uint32 {
	binary.LittleEndian.PutUint64(seed[:], uint64(id))
	binary.LittleEndian.PutUint32(seed[8:], seq)
	sum := crc32.Update(crc32.Update(0, castagnoli, seed[:]), castagnoli, entry)
	return crc32.Update(sum, castagnoli, data)
}

// Pending is one recording's queue of pending frames. It belongs to one goroutine at a time.
type Pending struct {
	blocks *Blocks
	id     recording.ID
	seq    uint32 // number of the latest entry
	pageN  uint32
	pages  []page
	seed   [12]byte // of a checksum; here so that it need not be allocated
}

// NewPending returns an empty queue.
func NewPending(blocks *Blocks, id recording.ID) *Pending { return &Pending{blocks: blocks, id: id} }

// Seq returns the number of the latest entry.
func (p *Pending) Seq() uint32 { return p.seq }

// Reserve makes sure that entries of n bytes altogether, count of them, will fit. It returns false when there are no
// pages left.
func (p *Pending) Reserve(n, count int) bool {
	if k := len(p.pages); k > 0 && PageSize-p.pages[k-1].used >= n+count*frameHead {
		return true
	}
	return p.turn()
}

// turn goes to a new page.
func (p *Pending) turn() bool {
	var next page
	if !p.blocks.getPage(p.id, p.pageN, &next) {
		return false
	}
	p.pages = append(p.pages, next)
	p.pageN++
	return true
}

// Add stores an entry; for a sample entry together with the checksum of the sample's bytes, which are in the blocks
// already. It returns the stored entry, valid until it is released, or nil when it could not be stored: it has its
// number all the same, and is lost if the process is killed before a batch holds it.
func (p *Pending) Add(entry, data []byte) []byte {
	p.seq++
	if len(entry) > MaxEntry || !p.Reserve(len(entry), 1) {
		return nil
	}
	page := &p.pages[len(p.pages)-1]
	frame := page.data[page.used:]
	stored := frame[frameHead:][:len(entry):len(entry)]
	copy(stored, entry)
	binary.LittleEndian.PutUint32(frame[4:], p.seq)
	binary.LittleEndian.PutUint32(frame[8:], frameSum(&p.seed, p.id, p.seq, entry, data))
	binary.LittleEndian.PutUint32(frame, uint32(len(entry)))
	page.used += frameHead + len(entry)
	if page.used+frameHead <= PageSize {
		clear(page.data[page.used:][:frameHead]) // what stood there before does not follow
	}
	page.last = p.seq
	return stored
}

// Release gives back the pages whose entries are all covered by a durable batch that ends with entry number seq.
func (p *Pending) Release(seq uint32) {
	n := 0
	for n < len(p.pages) && p.pages[n].last <= seq {
		p.blocks.putPage(&p.pages[n])
		n++
	}
	p.pages = append(p.pages[:0], p.pages[n:]...)
}

// Drop gives all pages back.
func (p *Pending) Drop() {
	for i := range p.pages {
		p.blocks.putPage(&p.pages[i])
	}
	p.pages = p.pages[:0]
}

// Pages returns how many pages are in use.
func (p *Pending) Pages() int { return len(p.pages) }
