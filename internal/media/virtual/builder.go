package virtual

import (
	"fmt"
	"io"
	"math"
)

// Builder puts a File together, front to back. The zero Builder is ready; slices of length 0 are left out.
type Builder struct {
	slices []slice
	size   int64
	err    error
}

// Size returns the length so far: the offset of what is added next.
func (b *Builder) Size() int64 { return b.size }

// Literal adds bytes, which must not change from then on. Neighbouring literals stay apart under their labels.
func (b *Builder) Literal(label string, p []byte) {
	b.add(int64(len(p)), slice{literal: p, label: label})
}

// Generated adds size bytes that g makes when they are read.
func (b *Builder) Generated(size int64, g Generator) { b.add(size, slice{generator: g}) }

// Nested adds size bytes that are laid out when they are read.
func (b *Builder) Nested(size int64, n Nested) { b.add(size, slice{nested: n}) }

// External adds size bytes of a source from off on. It joins the slice before it where the two touch in the source.
func (b *Builder) External(size int64, o Opener, off int64) {
	if off < 0 || off > math.MaxInt64-max(size, 0) {
		b.fail(fmt.Errorf("external range %d+%d of %v", off, size, o))
		return
	}
	if last := len(b.slices) - 1; last >= 0 && size > 0 && b.err == nil && b.slices[last].opener == o {
		begin := int64(0)
		if last > 0 {
			begin = b.slices[last-1].end
		}
		if s := &b.slices[last]; s.source+s.end-begin == off && size <= math.MaxInt64-b.size {
			b.size += size
			s.end = b.size
			return
		}
	}
	b.add(size, slice{opener: o, source: off})
}

func (b *Builder) add(size int64, s slice) {
	if size < 0 || size > math.MaxInt64-b.size {
		b.fail(fmt.Errorf("slice of %d bytes at %d", size, b.size))
		return
	}
	if size == 0 || b.err != nil {
		return
	}
	b.size += size
	s.end = b.size
	b.slices = append(b.slices, s)
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// File returns what was added; the Builder must not be used afterwards. The error is the first length or offset that
// cannot be.
func (b *Builder) File() (*File, error) {
	if b.err != nil {
		return nil, fmt.Errorf("build virtual file: %w", b.err)
	}
	return &File{slices: b.slices, keptSlice: -1}, nil
}

// Explain writes one line per slice: offset, length, kind, and what it is. Nothing is generated or opened.
func (f *File) Explain(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%d bytes in %d slices\n%14s %12s  %-9s %s\n", f.Size(), len(f.slices), "offset", "length", "kind", "content"); err != nil {
		return err
	}
	for i := range f.slices {
		s := &f.slices[i]
		begin := f.start(i)
		kind, label := "literal", s.label
		switch {
		case s.generator != nil:
			kind, label = "generated", s.generator.String()
		case s.nested != nil:
			kind, label = "nested", s.nested.String()
		case s.opener != nil:
			kind, label = "external", fmt.Sprintf("%v from %d on", s.opener, s.source)
		}
		if _, err := fmt.Fprintf(w, "%14d %12d  %-9s %s\n", begin, s.end-begin, kind, label); err != nil {
			return err
		}
	}
	return nil
}
