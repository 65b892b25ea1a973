package crashfs

import "nightjar/internal/store/vfs"

const pageSize = vfs.BlockSize

// owner marks the pages that one content may change in place; all others are shared and copied first.
type owner struct{ _ byte }

type page struct {
	bytes *[pageSize]byte // nil: a hole, all zeros
	owner *owner
}

// content is the bytes of a file: pages that are shared between copies until one of them is written.
// Behind size everything is zero, except while a crash is being put together (writeRaw).
type content struct {
	size   int64
	pages  []page
	owner  *owner
	shared bool  // the slice pages is also another content's
	used   int64 // pages that are not holes
}

func newContent() *content { return &content{owner: new(owner)} }

// clone returns an independent copy; it costs nothing but what is written later.
func (c *content) clone() *content {
	c.owner, c.shared = new(owner), true
	return &content{size: c.size, pages: c.pages, owner: new(owner), shared: true, used: c.used}
}

func (c *content) unshare(n int) {
	if c.shared {
		c.pages, c.shared = append(make([]page, 0, max(n, len(c.pages))), c.pages...), false
	}
}

// at returns page i to be written.
func (c *content) at(i int) *[pageSize]byte {
	c.unshare(i + 1)
	for len(c.pages) <= i {
		c.pages = append(c.pages, page{})
	}
	p := &c.pages[i]
	switch {
	case p.bytes == nil:
		p.bytes, p.owner = new([pageSize]byte), c.owner
		c.used++
	case p.owner != c.owner:
		bytes := *p.bytes
		p.bytes, p.owner = &bytes, c.owner
	}
	return p.bytes
}

// write stores b and makes the content longer if need be.
func (c *content) write(b []byte, offset int64) {
	c.writeRaw(b, offset)
	c.size = max(c.size, offset+int64(len(b)))
}

// writeRaw stores b without regard to the size.
func (c *content) writeRaw(b []byte, offset int64) {
	for len(b) > 0 {
		n := copy(c.at(int(offset / pageSize))[offset%pageSize:], b)
		b, offset = b[n:], offset+int64(n)
	}
}

// resize cuts or lengthens; what was cut off reads as zeros if it comes back.
func (c *content) resize(size int64) {
	if size < c.size {
		c.trim(size)
	}
	c.size = size
}

// trim clears everything from size on.
func (c *content) trim(size int64) {
	keep := int((size + pageSize - 1) / pageSize)
	if len(c.pages) > keep {
		for _, p := range c.pages[keep:] {
			if p.bytes != nil {
				c.used--
			}
		}
		c.unshare(0)
		clear(c.pages[keep:])
		c.pages = c.pages[:keep]
	}
	if rest := size % pageSize; rest != 0 && len(c.pages) == keep && c.pages[keep-1].bytes != nil {
		clear(c.at(keep - 1)[rest:])
	}
}

// punch makes holes of whole pages.
func (c *content) punch(first, n int) {
	c.unshare(0)
	for i := first; i < first+n && i < len(c.pages); i++ {
		if c.pages[i].bytes != nil {
			c.pages[i] = page{}
			c.used--
		}
	}
}

// readAt fills b as far as the content goes and returns how much that is.
func (c *content) readAt(b []byte, offset int64) int {
	if offset >= c.size {
		return 0
	}
	if int64(len(b)) > c.size-offset {
		b = b[:c.size-offset]
	}
	for done := 0; done < len(b); {
		at := offset + int64(done)
		i, from := int(at/pageSize), at%pageSize
		part := b[done:min(len(b), done+int(pageSize-from))]
		if i < len(c.pages) && c.pages[i].bytes != nil {
			copy(part, c.pages[i].bytes[from:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(b)
}

// hole reports whether page i takes no space.
func (c *content) hole(i int64) bool { return i >= int64(len(c.pages)) || c.pages[i].bytes == nil }
