package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"nightjar/internal/media"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
)

// Begin says what is known of a recording when it begins.
type Begin struct {
	Stream     recording.StreamID
	Run        recording.UUID
	RunOffset  uint32
	Start      media.WallTime
	StartFinal bool          // else SetStart settles it, and the recording is not listed before
	Clocks     *media.Clocks // in the first recording of a run
	Flags      recording.RecordingFlags
	Video      media.Track
}

// Begin begins the next recording of a stream; the one before must be finished or given up. It does not wait for a disk
// within a run. The first recording of a run reads the stream's rows, so that it has the names and the directory as
// they are now, and ids are reserved in the catalog if none are left. The error is a *recording.Error with the
// directory's trouble, if it has some.
func (a *Archive) Begin(b Begin) (*Writer, error) {
	s, err := a.stream(b.Stream, b.RunOffset == 0)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || a.o.ReadOnly {
		return nil, &recording.Error{Reason: recording.ServerStopped, Err: errors.New("the archive does not record any more")}
	}
	if s.writer != nil {
		return nil, fmt.Errorf("begin recording of stream %d: recording %v is in progress", b.Stream, s.writer.id)
	}
	d := a.dirs[s.row.Directory]
	if d == nil {
		return nil, &recording.Error{Reason: recording.DiskMissing, Err: fmt.Errorf("stream %d has no sample file directory", b.Stream)}
	}
	if s.next == s.bound {
		a.mu.Unlock()
		err := a.reserve(context.Background(), s)
		a.mu.Lock()
		if err != nil {
			return nil, &recording.Error{Reason: recording.DiskError, Err: err}
		}
	}
	w := a.newWriter(s, d, &b)
	if err := d.add(w, &b.Video); err != nil {
		return nil, err
	}
	s.next++
	s.writer = w
	a.live[w.id] = w
	return w, nil
}

// newWriter makes a writer with the stream's next id. Called with mu held.
func (a *Archive) newWriter(s *stream, d *directory, b *Begin) *Writer {
	open := a.catalog.CurrentOpen()
	id := recording.NewID(s.id, s.next)
	w := &Writer{a: a, d: d, stream: s, id: id, done: make(chan struct{}), startFinal: b.StartFinal, summer: recording.NewSummer(id)}
	w.desc = recording.Description{
		ID: id, CameraUUID: s.camera.UUID, StreamUUID: s.row.UUID, CameraName: s.camera.Name, StreamName: s.row.Name,
		OpenID: open.ID, OpenUUID: open.UUID, RunUUID: b.Run, RunOffset: b.RunOffset, Start: b.Start,
		PrevMediaDuration: s.cum, Flags: b.Flags, Clocks: b.Clocks,
	}
	return w
}

// open stores the entries that begin a recording; d.mu is held and d.blocks are there.
func (w *Writer) open(video *media.Track) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = taillog.NewPending(w.d.blocks, w.id)
	w.entry(taillog.AppendBegin(nil, &w.desc, w.startFinal), nil)
	w.addTrack(video)
}

// stream returns what is known of a stream, reading its rows at first use and when a run begins.
func (a *Archive) stream(id recording.StreamID, anew bool) (*stream, error) {
	a.mu.Lock()
	s := a.streams[id]
	a.mu.Unlock()
	if s != nil && !anew {
		return s, nil
	}
	fresh, err := a.loadStream(context.Background(), id)
	if err != nil && s != nil && !errors.Is(err, catalog.ErrNotFound) {
		return s, nil // the catalog has trouble of its own; what was known is good enough
	}
	return fresh, err
}

func (a *Archive) loadStream(ctx context.Context, id recording.StreamID) (*stream, error) {
	row, err := a.catalog.Stream(ctx, id)
	if err != nil {
		return nil, &recording.Error{Reason: recording.DiskError, Err: err}
	}
	camera, err := a.catalog.CameraByID(ctx, row.Camera)
	if err != nil {
		return nil, &recording.Error{Reason: recording.DiskError, Err: err}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.streams[id]; s != nil {
		s.row, s.camera = row, camera
		return s, nil
	}
	s := &stream{id: id, row: row, camera: camera, cum: row.CumMediaDuration}
	a.streams[id] = s
	return s, nil
}

// reserveIDs is how many ids of a stream are set apart at once.
const reserveIDs = 64

// reserve sets ids apart. A name that exists already is passed over: no recording of ours can have made it.
func (a *Archive) reserve(ctx context.Context, s *stream) error {
	first, err := a.catalog.ReserveIDs(ctx, s.id, reserveIDs)
	if err != nil {
		return err
	}
	a.mu.Lock()
	d := a.dirs[s.row.Directory]
	a.mu.Unlock()
	next := first
	for n := first; d != nil && n < first+reserveIDs; n++ {
		name := filepath.Join(d.row.Path, recording.NewID(s.id, n).FileName())
		if _, err := a.fs.Stat(name); err == nil {
			a.log.Error("a file with the name of a future recording exists; its number is passed over", "file", name)
			next = n + 1
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.next < s.bound && first == s.bound {
		s.bound = first + reserveIDs // topped up while there were some left
		if next > first {
			s.next = next
		}
		return nil
	}
	s.next, s.bound = next, first+reserveIDs
	return nil
}

// topUp reserves ids for the streams that will soon be out of them.
func (a *Archive) topUp(ctx context.Context) {
	a.mu.Lock()
	var low []*stream
	for _, s := range a.streams {
		if s.bound > 0 && s.bound-s.next < reserveIDs/4 {
			low = append(low, s)
		}
	}
	a.mu.Unlock()
	for _, s := range low {
		if err := a.reserve(ctx, s); err != nil {
			a.log.Error("no ids could be reserved", "stream", s.id, "err", err)
		}
	}
}

// Finish ends the recording: what is in memory is written and sealed at the next tick. If the directory's trouble ended it
// before, there is nothing left to do, and no error.
func (w *Writer) Finish(e End) error {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil || w.abandoned {
		return nil
	}
	if w.stream.writer == w {
		w.stream.writer = nil
	}
	if len(w.held) > 0 {
		if err := w.releaseHeld(); err != nil { // what waits for its chunk is lost with the memory that it needs
			w.held, w.heldBytes = w.held[:0], 0
		}
	}
	if w.builder.Samples(0) == 0 {
		w.abandon()
		return nil
	}
	end := taillog.End(e)
	if end.Guess || end.At <= w.builder.LastDecode(0) {
		end.Guess = true
		end.At = w.builder.LastDecode(0).Add(w.builder.UsualDuration())
	}
	var d recording.Description
	w.builder.Describe(&d, end.At, end.Guess, false)
	if end.WallDuration <= 0 {
		end.WallDuration = d.MediaDuration.AsWall() // nobody knows better than the camera's clock
	}
	end.WallDuration = min(end.WallDuration, catalog.MaxDuration)
	w.ended, w.startFinal = &end, true
	w.stream.cum = w.desc.PrevMediaDuration + d.MediaDuration
	w.entry(taillog.AppendEnd(w.scratch[:0], &end), nil)
	return nil
}

// Abandon gives the recording up: nothing of it was worth keeping.
func (w *Writer) Abandon(reason recording.Reason, detail string) {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil || w.abandoned {
		return
	}
	if w.stream.writer == w {
		w.stream.writer = nil
	}
	w.a.log.Info("recording given up", "recording", w.id, "reason", reason, "detail", detail)
	w.abandon()
}

// abandon is called with mu held.
func (w *Writer) abandon() {
	w.abandoned = true
	w.entry(taillog.AppendAbandon(w.scratch[:0]), nil)
}

// describe returns the recording as it is in memory; with blobs, if wanted.
func (w *Writer) describe(blobs bool) *recording.Description {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.describeLocked(blobs)
}

func (w *Writer) describeLocked(blobs bool) *recording.Description {
	d := w.desc
	var at media.Time
	guess := true
	if w.ended != nil {
		at, guess = w.ended.At, w.ended.Guess
	}
	w.builder.Describe(&d, at, guess, blobs)
	if w.ended != nil {
		d.WallDuration, d.StartCorrection = w.ended.WallDuration, w.ended.StartCorrection
		d.EndReason, d.EndDetail = w.ended.Reason, w.ended.Detail
	} else {
		d.WallDuration = min(d.MediaDuration.AsWall(), catalog.MaxDuration) // growing: as far as the camera's clock tells
		d.Flags &^= recording.LastDurationGuessed
	}
	if blobs {
		d.BlockSums = w.summer.Sums()
	}
	return &d
}

// path returns the name of the sample file.
func (w *Writer) path() string { return filepath.Join(w.d.row.Path, w.id.FileName()) }
