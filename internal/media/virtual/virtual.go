// Package virtual holds files that are computed when they are read: a File is a row of slices whose lengths are known
// in advance and whose content is literal bytes, made on demand by a Generator, read from an external Source, or a File
// of its own that is only laid out when somebody reads it.
//
// Nouns: File (immutable once built), Builder, Generator, Nested, Opener and Source. A range of a File is found by
// binary search and written slice by slice; what lies outside the range is neither generated nor opened. Offsets are
// 64 bits wide throughout. A Generator or Nested that delivers another length than it promised is an error (*LengthError)
// that ends the range: a File never shifts its bytes to hide a mismatch.
//
// Memory: while a range is written, the slice being generated (a sample table of one recording: some 15 kB a minute), or
// one read buffer, and one open Source. A File keeps at most one generated slice of at most 1 MiB, the one in which the
// latest range ended, since the next range usually begins there.
//
// A File may be read by several goroutines at once; a Builder belongs to one. The package starts no goroutine.
package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"sync"
)

// ErrRange is returned for a range that does not lie within the file.
var ErrRange = errors.New("range outside of the virtual file")

// LengthError tells that a slice delivered other than the promised number of bytes.
type LengthError struct {
	Slice      string // the slice's label
	Have, Want int64
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("%s has %d bytes where %d were promised", e.Slice, e.Have, e.Want)
}

// Generator makes the bytes of one slice. Its String is the slice's label in File.Explain.
type Generator interface {
	// Generate appends the whole slice to dst and returns the result. It may be called any number of times, by several
	// goroutines at once, and appends the same bytes each time.
	Generate(ctx context.Context, dst []byte) ([]byte, error)
	fmt.Stringer
}

// Nested lays out a slice that is a file of its own.
type Nested interface {
	// File returns a file of the promised size; the caller reads it once and drops it.
	File(ctx context.Context) (*File, error)
	fmt.Stringer
}

// Opener opens the source of external slices. Neighbouring slices with equal Openers (==) share one opened Source.
type Opener interface {
	Open(ctx context.Context) (Source, error)
	fmt.Stringer
}

// Source is something with bytes at offsets, normally a sample file.
type Source interface {
	io.ReaderAt
	io.Closer
}

// Sender is a Source that can send its bytes to a connection by itself (sendfile(2)), without moving any offset.
type Sender interface {
	SendTo(conn net.Conn, offset, n int64) (int64, error)
}

// File is a row of slices.
type File struct {
	slices []slice

	mu        sync.Mutex
	kept      []byte // content of the slice with number keptSlice; nil when none is kept
	keptSlice int
}

const (
	maxKept = 1 << 20
	// pieceSize bounds what is handed to the writer at once, so that it can move its deadline on.
	pieceSize = 1 << 20
	// sendMin is the shortest external range worth a system call of its own.
	sendMin  = 32 << 10
	readSize = 256 << 10
)

var readBuffers = sync.Pool{New: func() any {
	b := make([]byte, readSize)
	return &b
}}

// slice is one part of a file. Exactly one of the content fields is set.
type slice struct {
	end    int64 // offset in the file of the first byte after it
	source int64 // external: where it begins in the source

	literal   []byte
	label     string // of literal bytes
	generator Generator
	nested    Nested
	opener    Opener
}

// Size returns the length of the file.
func (f *File) Size() int64 {
	if len(f.slices) == 0 {
		return 0
	}
	return f.slices[len(f.slices)-1].end
}

// start returns the offset of slice i.
func (f *File) start(i int) int64 {
	if i == 0 {
		return 0
	}
	return f.slices[i-1].end
}

// WriteRange writes the n bytes from off on to w. External ranges go to w by ReadFrom where w has it and the source is a
// Sender, so that a plain connection behind w gets them by sendfile; nothing longer than 1 MiB is handed over at once.
// All sources are closed again when it returns.
func (f *File) WriteRange(ctx context.Context, w io.Writer, off, n int64) (err error) {
	out := &writing{w: w}
	defer func() {
		if closeErr := out.use(ctx, nil); err == nil {
			err = closeErr
		}
	}()
	return f.write(ctx, out, off, n)
}

func (f *File) write(ctx context.Context, out *writing, off, n int64) error {
	if off < 0 || n < 0 || off > f.Size() || n > f.Size()-off {
		return fmt.Errorf("bytes %d+%d of %d: %w", off, n, f.Size(), ErrRange)
	}
	if n == 0 {
		return nil
	}
	i := sort.Search(len(f.slices), func(i int) bool { return f.slices[i].end > off })
	for ; n > 0; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin := f.start(i)
		length := f.slices[i].end - begin
		skip := off - begin
		m := min(n, length-skip)
		if err := f.writeSlice(ctx, out, i, skip, m, length); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return nil
}

// writeSlice writes m bytes of slice i, which is length long, from skip on.
func (f *File) writeSlice(ctx context.Context, out *writing, i int, skip, m, length int64) error {
	s := &f.slices[i]
	switch {
	case s.generator != nil:
		return f.writeGenerated(ctx, out, i, skip, m, length)
	case s.nested != nil:
		inner, err := s.nested.File(ctx)
		if err != nil {
			return fmt.Errorf("lay out %v: %w", s.nested, err)
		}
		if inner.Size() != length {
			return &LengthError{s.nested.String(), inner.Size(), length}
		}
		return inner.write(ctx, out, skip, m)
	case s.opener != nil:
		if err := out.use(ctx, s.opener); err != nil {
			return err
		}
		return out.copySource(ctx, s.source+skip, m)
	}
	return out.bytes(s.literal[skip : skip+m])
}

func (f *File) writeGenerated(ctx context.Context, out *writing, i int, skip, m, length int64) error {
	f.mu.Lock()
	var content []byte
	if f.keptSlice == i {
		content = f.kept // never written to again
	}
	f.mu.Unlock()
	if content == nil {
		generator := f.slices[i].generator
		var err error
		content, err = generator.Generate(ctx, out.buffer[:0])
		if err != nil {
			return fmt.Errorf("make %v: %w", generator, err)
		}
		if int64(len(content)) != length {
			return &LengthError{generator.String(), int64(len(content)), length}
		}
		out.buffer = content
		if skip+m < length && length <= maxKept {
			out.buffer = nil
			f.mu.Lock()
			f.kept, f.keptSlice = content, i
			f.mu.Unlock()
		}
	}
	return out.bytes(content[skip : skip+m])
}

// writing is one WriteRange under way.
type writing struct {
	w      io.Writer
	buffer []byte // what the latest generated slice was made in

	opener Opener // what source came from
	source Source
}

// use makes source that of opener, closing what was open; nil only closes.
func (out *writing) use(ctx context.Context, opener Opener) error {
	if out.opener == opener {
		return nil
	}
	if out.source != nil {
		from, err := out.opener, out.source.Close()
		out.opener, out.source = nil, nil
		if err != nil {
			return fmt.Errorf("close %v: %w", from, err)
		}
	}
	if opener == nil {
		return nil
	}
	source, err := opener.Open(ctx)
	if err != nil {
		return fmt.Errorf("open %v: %w", opener, err)
	}
	out.opener, out.source = opener, source
	return nil
}

// bytes writes b in pieces.
func (out *writing) bytes(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), pieceSize)]
		if _, err := out.w.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// copySource writes n bytes of the open source from off on.
func (out *writing) copySource(ctx context.Context, off, n int64) error {
	to, canRead := out.w.(io.ReaderFrom)
	_, canSend := out.source.(Sender)
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := &sourceReader{source: out.source, off: off, n: min(n, pieceSize)}
		want := r.n
		var sent int64
		var err error
		if canRead && canSend && want >= sendMin {
			sent, err = to.ReadFrom(r)
		} else {
			sent, err = r.WriteTo(out.w)
		}
		if err == nil && sent < want {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("send %v: %w", out.opener, err)
		}
		off, n = off+sent, n-sent
	}
	return nil
}

// sourceReader reads a range of a source. Its WriteTo is the way to sendfile(2): net/http's ReadFrom hands a reader that
// it does not know down to the TCP connection's ReadFrom, which copies by io.Copy, which lets a reader with WriteTo write
// itself to that connection (in a wrapper that still offers the descriptor).
type sourceReader struct {
	source Source
	off, n int64
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.n)]
	m, err := r.source.ReadAt(p, r.off)
	r.off, r.n = r.off+int64(m), r.n-int64(m)
	if m > 0 || len(p) == 0 {
		return m, nil
	}
	if err == io.EOF || err == nil {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

func (r *sourceReader) WriteTo(w io.Writer) (total int64, err error) {
	conn, isConn := w.(net.Conn)
	sender, isSender := r.source.(Sender)
	if isConn && isSender {
		sent, err := sender.SendTo(conn, r.off, r.n)
		r.off, r.n = r.off+sent, r.n-sent
		return sent, err
	}
	pooled := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(pooled)
	for r.n > 0 {
		m, err := r.Read(*pooled)
		if err != nil {
			return total, err
		}
		m, err = w.Write((*pooled)[:m])
		total += int64(m)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
