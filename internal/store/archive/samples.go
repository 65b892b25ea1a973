package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// Samples are the bytes of one recording's sample file. Of a growing recording they are those that were there when they
// were opened, wherever they are: in the file or in memory. Complete blocks are compared with their checksums before
// they are handed out, once while the file stays the same. All methods but Close may be called concurrently.
type Samples struct {
	a      *Archive
	id     recording.ID
	size   int64
	writer *Writer // nil if the recording was complete
	path   string

	mu   sync.Mutex
	file vfs.File    // guarded by mu; nil until needed
	have *provedFile // guarded by mu; nil until needed
}

// OpenSamples opens the bytes of a recording. The error is catalog.ErrNotFound if there is none.
func (a *Archive) OpenSamples(id recording.ID) (*Samples, error) {
	a.mu.Lock()
	w, r := a.live[id], a.sealed[id]
	if r == nil {
		r = a.stuck[id]
	}
	a.mu.Unlock()
	s := &Samples{a: a, id: id}
	var dir catalog.DirectoryID
	switch {
	case r != nil:
		dir, s.size = r.Directory, r.Bytes
	case w != nil:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.abandoned {
			return nil, fmt.Errorf("recording %v: %w", id, catalog.ErrNotFound)
		}
		s.writer, s.size, s.path = w, w.builder.Bytes(), w.path()
		return s, nil
	default:
		var err error
		if dir, err = a.catalog.DirectoryOf(context.Background(), id); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	d := a.dirs[dir]
	a.mu.Unlock()
	if d == nil {
		return nil, &recording.Error{Reason: recording.DiskMissing, Err: fmt.Errorf("the sample file directory of recording %v is not in use", id)}
	}
	s.path = d.join(id)
	if err := s.open(); err != nil {
		return nil, err
	}
	if r == nil {
		var err error
		if s.size, err = s.file.Size(); err != nil {
			return nil, errors.Join(fmt.Errorf("size of sample file: %w", err), s.file.Close())
		}
	}
	return s, nil
}

// open opens the file if it is not open yet. Called with mu held, or before anybody else has s.
func (s *Samples) open() error {
	if s.file != nil {
		return nil
	}
	file, err := s.a.fs.Open(s.path)
	if err != nil {
		return fmt.Errorf("open sample file %s: %w", filepath.Base(s.path), err)
	}
	s.file = file
	return nil
}

// Size returns how many bytes there are.
func (s *Samples) Size() int64 { return s.size }

// Close closes the file.
func (s *Samples) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// ReadAt reads bytes.
func (s *Samples) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read recording %v at %d: negative offset", s.id, offset)
	}
	if offset >= s.size {
		return 0, io.EOF
	}
	if int64(len(p)) > s.size-offset {
		p, err = p[:s.size-offset], io.EOF
	}
	for n < len(p) {
		m, readErr := s.readSome(p[n:], offset+int64(n))
		n += m
		if readErr != nil {
			return n, readErr
		}
	}
	return n, err
}

// readSome reads at least one byte.
func (s *Samples) readSome(p []byte, offset int64) (int, error) {
	n, err := s.inFile(offset, int64(len(p)))
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return s.writer.readMemory(p, offset)
	}
	file, err := s.prepare(offset, n)
	if err != nil {
		return 0, err
	}
	m, err := file.ReadAt(p[:n], offset)
	if errors.Is(err, io.EOF) && int64(m) == n {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read sample file of recording %v: %w", s.id, err)
	}
	return m, err
}

// inFile returns how many of n bytes from offset on are in the file.
func (s *Samples) inFile(offset, n int64) (int64, error) {
	if s.writer == nil {
		return n, nil
	}
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if offset >= s.writer.builder.Bytes() {
		return 0, fmt.Errorf("recording %v: its end was lost: %w", s.id, io.ErrUnexpectedEOF)
	}
	return max(0, min(n, s.writer.stored-offset)), nil
}

// readMemory reads from the blocks that are not in the file yet. It reads nothing, without error, if they are by now.
func (w *Writer) readMemory(p []byte, offset int64) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if offset < w.stored {
		return 0, nil
	}
	for _, b := range w.blocks {
		start := int64(b.N) * taillog.BlockSize
		if at := offset + int64(n) - start; at >= 0 && at < taillog.BlockSize {
			end := min(w.builder.Bytes()-start, taillog.BlockSize)
			n += copy(p[n:], b.Data[at:max(at, end)])
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("recording %v: its end was lost: %w", w.id, io.ErrUnexpectedEOF)
	}
	return n, nil
}

// prepare opens the file and makes sure that what is in a range of it may be handed out.
func (s *Samples) prepare(offset, n int64) (vfs.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.writer == nil {
		if err := s.prove(offset, n); err != nil {
			return nil, err
		}
	}
	return s.file, nil
}

// memoryPiece is how much of a growing recording is sent at once from memory.
const memoryPiece = 64 << 10

// SendTo sends n bytes from offset on to conn, as far as they are in the file without copying them. It returns how many
// were sent.
func (s *Samples) SendTo(conn net.Conn, offset, n int64) (sent int64, err error) {
	if offset < 0 || n < 0 || offset+n > s.size {
		return 0, fmt.Errorf("send [%d,+%d) of recording %v, which has %d bytes", offset, n, s.id, s.size)
	}
	for sent < n {
		m, err := s.sendSome(conn, offset+sent, n-sent)
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (s *Samples) sendSome(conn net.Conn, offset, n int64) (int64, error) {
	in, err := s.inFile(offset, n)
	if err != nil {
		return 0, err
	}
	if in > 0 {
		file, err := s.prepare(offset, in)
		if err != nil {
			return 0, err
		}
		return file.SendTo(conn, offset, in)
	}
	buf := make([]byte, min(n, memoryPiece))
	m, err := s.writer.readMemory(buf, offset)
	if err != nil || m == 0 {
		return 0, err
	}
	m, err = conn.Write(buf[:m])
	return int64(m), err
}
