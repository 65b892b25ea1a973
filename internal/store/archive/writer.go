package archive

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// Sample is a sample on its way into a recording.
type Sample struct {
	Track       *media.Track
	Flags       media.Flags
	Decode      media.Time
	Composition media.Duration // presentation minus decoding time
	Frames      uint32
	Data        []byte
}

// End says how a recording ends.
type End struct {
	At              media.Time // decode time of what follows
	Guess           bool       // nothing is known to follow: the last sample lasts as long as usual
	WallDuration    media.WallDuration
	StartCorrection media.WallDuration
	Reason          recording.Reason // set if the run ends with this recording
	Detail          string
}

// Samples of other tracks than the video wait until a chunk of them goes into the file: until the next key sample, for a
// second, or until so many bytes wait. Larger ones do not wait.
const (
	maxHeldTime   = media.Duration(media.TicksPerSecond)
	maxHeldBytes  = 16 << 10
	maxHeldSample = 2 << 10
)

// Writer is a recording in progress. One goroutine calls Append, SetStart, Finish and Abandon.
type Writer struct {
	a      *Archive
	d      *directory
	stream *stream
	id     recording.ID
	done   chan struct{} // closed when it is sealed, or gone

	mu         sync.Mutex
	desc       recording.Description // guarded by mu; without tracks
	startFinal bool                  // guarded by mu
	tracks     []*media.Track        // guarded by mu; by number in the builder
	builder    recording.Builder     // guarded by mu
	summer     recording.Summer      // guarded by mu
	entries    []byte                // guarded by mu; all but held ones, each after its length
	pending    *taillog.Pending      // guarded by mu
	blocks     []*taillog.Block      // guarded by mu; bytes from stored on, in file order
	stored     int64                 // guarded by mu; bytes that can be read from the file
	held       []heldSample          // guarded by mu
	heldBytes  int                   // guarded by mu
	ended      *taillog.End          // guarded by mu
	abandoned  bool                  // guarded by mu
	err        *recording.Error      // guarded by mu; why it takes no more samples
	scratch    []byte                // guarded by mu

	// Owned by the directory's goroutine, but for durable, which is guarded by mu.
	file    vfs.File
	created bool
	dirSync bool // the file's name is durable
	durable mark // what is durable in the file
	logged  mark // what the log knows
	next    mark // what the tick under way makes durable
}

// mark is a state of a recording between two entries.
type mark struct {
	builder    recording.Builder
	summer     recording.Summer
	seq        uint32
	entries    int
	ended      *taillog.End
	start      media.WallTime
	startFinal bool
	abandoned  bool
}

func (m *mark) bytes() int64 { return m.builder.Bytes() }

// heldSample is a sample that waits in a page of the open blocks.
type heldSample struct {
	info recording.SampleInfo
	data []byte
}

// ID returns the recording's id.
func (w *Writer) ID() recording.ID { return w.id }

// SetStart moves the recording's start; with final it is settled, and the recording is listed from then on.
func (w *Writer) SetStart(start media.WallTime, final bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil || w.err != nil {
		return
	}
	w.desc.Start, w.startFinal = start, final
	w.entry(taillog.AppendStart(w.scratch[:0], start, final), nil)
}

// entry stores an entry that is not a held one, both as pending frame and for the log.
func (w *Writer) entry(e, data []byte) {
	w.pending.Add(e, data) // if it does not fit, the next tick takes it all the same
	w.entries = taillog.AppendEntry(w.entries, e)
	w.scratch = e[:0]
}

var errEnded = errors.New("the recording has ended")

// Append adds a sample; it copies the data. The error is a *recording.Error: disk-stalled if the memory for what is not on
// disk yet is used up, the directory's trouble if it has some, clock-step if the decode times go back. After an error
// the recording takes nothing more and must be finished.
func (w *Writer) Append(s Sample) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.ended != nil || w.abandoned {
		return fmt.Errorf("append to recording %v: %w", w.id, errEnded)
	}
	track, err := w.track(s.Track)
	if err != nil {
		return w.refuse(err)
	}
	info := recording.SampleInfo{
		Track: track, Flags: s.Flags, Decode: s.Decode, Composition: s.Composition, Frames: s.Frames, Size: int32(min(len(s.Data), 1<<31-1)),
	}
	if track > 0 {
		return w.appendOther(&info, s.Data)
	}
	if len(w.held) > 0 && s.Flags&media.Key != 0 {
		if err := w.releaseHeld(); err != nil {
			return w.refuse(err)
		}
	}
	if err := w.put(&info, s.Data); err != nil {
		return w.refuse(err)
	}
	return nil
}

// refuse keeps the error for all later calls.
func (w *Writer) refuse(err error) error {
	var known *recording.Error
	if !errors.As(err, &known) {
		known = &recording.Error{Reason: recording.ClockStep, Err: err}
	}
	w.err = &recording.Error{Reason: known.Reason, Err: fmt.Errorf("recording %v: %w", w.id, known.Err)}
	return w.err
}

// track returns the number of a track in the builder, announcing it if it is new.
func (w *Writer) track(t *media.Track) (int, error) {
	if t.Kind == media.Video {
		return 0, nil // the caller begins another recording when the parameters change
	}
	for i, known := range w.tracks {
		if known == t {
			return i, nil
		}
	}
	for i, known := range w.tracks {
		if i > 0 && known.Kind == t.Kind && known.ClockRate == t.ClockRate && bytes.Equal(known.SampleEntry, t.SampleEntry) {
			return i, nil
		}
	}
	if len(w.tracks) == taillog.MaxTracks {
		return 0, &recording.Error{Reason: recording.Unsupported, Err: errors.New("too many tracks")}
	}
	if t.ClockRate == 0 {
		return 0, &recording.Error{Reason: recording.Unsupported, Err: fmt.Errorf("%s track without clock rate", t.Kind)}
	}
	w.addTrack(t)
	return len(w.tracks) - 1, nil
}

func (w *Writer) addTrack(t *media.Track) {
	entry := recording.EntryOf(t)
	w.tracks = append(w.tracks, t)
	w.builder.AddTrack(t.Kind, entry, int64(t.FrameDuration))
	w.entry(taillog.AppendTrack(w.scratch[:0], t.Kind, &entry, int64(t.FrameDuration)), nil)
}

// appendOther takes a sample of another track than the video: it waits for its chunk, if it is small.
func (w *Writer) appendOther(info *recording.SampleInfo, data []byte) error {
	if len(data) == 0 || w.builder.Samples(0) == 0 {
		return nil // nothing to keep, or before the first picture
	}
	info.Flags |= media.Key
	info.Composition = 0
	oldest := info.Decode
	for i := range w.held {
		oldest = min(oldest, w.held[i].info.Decode)
		if w.held[i].info.Track == info.Track {
			info.Decode = max(info.Decode, w.held[i].info.Decode)
		}
	}
	if w.builder.Samples(info.Track) > 0 {
		info.Decode = max(info.Decode, w.builder.LastDecode(info.Track))
	}
	full := w.heldBytes+len(data) > maxHeldBytes || info.Decode.Sub(oldest) >= maxHeldTime
	if len(w.held) > 0 && (full || len(data) > maxHeldSample) {
		if err := w.releaseHeld(); err != nil {
			return w.refuse(err)
		}
	}
	if len(data) <= maxHeldSample {
		w.scratch = taillog.AppendHeld(w.scratch[:0], w.builder.Kind(info.Track), info, data)
		if stored := w.pending.Add(w.scratch, nil); stored != nil {
			w.held = append(w.held, heldSample{*info, stored[len(stored)-len(data):]})
			w.heldBytes += len(data)
			return nil
		}
	}
	if err := w.put(info, data); err != nil {
		return w.refuse(err)
	}
	return nil
}

// releaseHeld puts the samples that wait into the file, those of each track together.
func (w *Writer) releaseHeld() error {
	for track := 1; track < len(w.tracks); track++ {
		for i := range w.held {
			if w.held[i].info.Track != track {
				continue
			}
			if err := w.put(&w.held[i].info, w.held[i].data); err != nil {
				return err
			}
		}
	}
	w.held, w.heldBytes = w.held[:0], 0
	return nil
}

// put adds a sample's bytes to the blocks and its entry to the queue: all of it, or, with an error, nothing.
func (w *Writer) put(info *recording.SampleInfo, data []byte) error {
	if err := w.builder.Check(*info); err != nil {
		return err
	}
	at := w.builder.Bytes()
	if err := w.makeRoom(at, at+int64(len(data))); err != nil {
		return err
	}
	for rest, i := data, len(w.blocks)-int(lastBlock(at+int64(len(data)))-at/taillog.BlockSize)-1; len(rest) > 0; i++ {
		n := copy(w.blocks[i].Data[at%taillog.BlockSize:], rest)
		rest, at = rest[n:], at+int64(n)
	}
	_, _ = w.summer.Write(data)
	w.entry(taillog.AppendSample(w.scratch[:0], &w.builder, info), data)
	if err := w.builder.Add(*info); err != nil {
		return err // can't be, after Check
	}
	if at/taillog.BlockSize > w.stored/taillog.BlockSize || w.pending.Pages() >= busyPages {
		w.d.wake(w.pending.Pages() >= busyPages)
	}
	return nil
}

// busyPages is how many pages of frames a recording may collect before it asks for a tick ahead of time.
const busyPages = 32

// lastBlock returns the block that holds the byte before end.
func lastBlock(end int64) int64 { return (end - 1) / taillog.BlockSize }

// makeRoom takes the blocks that bytes [from, to) need beyond those there are.
func (w *Writer) makeRoom(from, to int64) error {
	have := from / taillog.BlockSize // first block that is not there
	if from%taillog.BlockSize > 0 {
		have++
	}
	need := int(lastBlock(to) + 1 - have)
	if need <= 0 {
		return nil
	}
	if int64(len(w.blocks)+need) > blocksOf(w.a.o.StreamBytes) || !w.a.acquire(need) {
		return &recording.Error{Reason: recording.DiskStalled, Err: fmt.Errorf("%s is too slow: the memory for what waits to be written is used up",
			w.d.row.Path)}
	}
	for i := range need {
		block := w.d.blocks.Get(w.id, uint32(have)+uint32(i))
		if block == nil {
			for range i {
				w.dropLastBlock()
			}
			w.a.release(need - i)
			return &recording.Error{Reason: recording.DiskStalled, Err: errors.New("no memory is left for open blocks")}
		}
		w.blocks = append(w.blocks, block)
	}
	return nil
}

func (w *Writer) dropLastBlock() {
	last := len(w.blocks) - 1
	w.d.blocks.Put(w.blocks[last])
	w.blocks = w.blocks[:last]
	w.a.release(1)
}

// drop gives all memory back.
func (w *Writer) drop() {
	for len(w.blocks) > 0 {
		w.dropLastBlock()
	}
	w.pending.Drop()
	w.held, w.heldBytes = nil, 0
}
