package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
	"nightjar/internal/store/vfs"
)

// tick makes durable what the open recordings hold now and seals those that have ended: write all files, sync them, sync
// the directory if names are new, then one batch of the log; never the other way round. Afterwards what the batch covers
// is forgotten in memory. Any error puts the directory into its error state.
func (d *directory) tick() {
	if err := d.tryTick(); err != nil {
		d.fail(err)
	}
}

func (d *directory) tryTick() error {
	writers := d.pickUp()
	for _, w := range writers {
		if err := w.write(); err != nil {
			return err
		}
	}
	if err := syncAll(writers); err != nil {
		return err
	}
	if slices.ContainsFunc(writers, func(w *Writer) bool { return w.created && !w.dirSync }) {
		if err := d.a.fs.SyncDir(d.row.Path); err != nil {
			return fmt.Errorf("sync sample file directory: %w", err)
		}
	}
	for _, w := range writers {
		w.markDurable()
	}
	if err := d.report(writers); err != nil {
		return err
	}
	d.settle(writers)
	return d.unlink()
}

// syncsAtOnce is how many files are synced together: a journalling file system then commits once for many of them.
const syncsAtOnce = 8

func syncAll(writers []*Writer) error {
	var group errgroup.Group
	group.SetLimit(syncsAtOnce)
	for _, w := range writers {
		group.Go(w.sync)
	}
	return group.Wait()
}

// pickUp takes a snapshot of each recording that has something new.
func (d *directory) pickUp() []*Writer {
	d.mu.Lock()
	all := append([]*Writer(nil), d.writers...)
	d.doomed = append(d.doomed, d.removals...)
	d.removals = nil
	d.mu.Unlock()
	var list []*Writer
	for _, w := range all {
		if w.pickUp() {
			list = append(list, w)
		}
	}
	return list
}

func (w *Writer) pickUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) > 0 && !w.abandoned {
		if err := w.releaseHeld(); err != nil {
			_ = w.refuse(err) // the next Append tells
			w.held, w.heldBytes = w.held[:0], 0
		}
	}
	if w.pending.Seq() == w.logged.seq {
		return false
	}
	w.save(&w.next)
	return true
}

// save takes a mark of the present state. Called with mu held.
func (w *Writer) save(m *mark) {
	w.builder.Save(&m.builder)
	m.summer, m.seq, m.entries, m.ended, m.startFinal = w.summer, w.pending.Seq(), len(w.entries), w.ended, w.startFinal
	m.start, m.abandoned = w.desc.Start, w.abandoned
}

// write brings the file up to the mark. A recording that was given up gets no more bytes.
func (w *Writer) write() error {
	if w.next.abandoned {
		return nil
	}
	if err := w.create(); err != nil {
		return err
	}
	if err := w.writeFull(); err != nil {
		return err
	}
	return w.writeRest(w.next.bytes())
}

// create makes the sample file, if it is not there yet, with room for a recording as long as usual.
func (w *Writer) create() error {
	if w.file != nil {
		return nil
	}
	file, err := w.a.fs.OpenFile(w.path(), vfs.Options{Write: true, Create: true, Exclusive: true, Direct: true})
	if err != nil {
		return fmt.Errorf("create sample file: %w", err)
	}
	w.file, w.created = file, true
	if size := w.stream.usual.Load(); size > 0 {
		if err := file.Allocate(size); err != nil {
			return fmt.Errorf("allocate sample file: %w", err)
		}
	}
	return nil
}

// writeFull writes the blocks that are full and gives them back.
func (w *Writer) writeFull() error {
	for {
		w.mu.Lock()
		if len(w.blocks) == 0 || w.abandoned {
			w.mu.Unlock()
			return nil
		}
		block, stored := w.blocks[0], w.stored
		end := (int64(block.N) + 1) * taillog.BlockSize
		full := w.builder.Bytes() >= end
		w.mu.Unlock()
		if !full {
			return nil
		}
		if err := w.create(); err != nil {
			return err
		}
		from := stored / vfs.BlockSize * vfs.BlockSize
		if _, err := w.file.WriteAt(block.Data[from%taillog.BlockSize:], from); err != nil {
			return fmt.Errorf("write sample file: %w", err)
		}
		w.mu.Lock()
		w.stored = end
		w.blocks = append(w.blocks[:0], w.blocks[1:]...)
		w.mu.Unlock()
		w.d.blocks.Put(block)
		w.a.release(1)
	}
}

// writeRest writes the bytes of the last block up to good. Where the file takes whole pages only, the last one is filled
// up with zeros; it is written again when more bytes are there.
func (w *Writer) writeRest(good int64) error {
	w.mu.Lock()
	stored := w.stored
	var block *taillog.Block
	if len(w.blocks) > 0 {
		block = w.blocks[0]
	}
	w.mu.Unlock()
	if good <= stored {
		return nil
	}
	start := int64(block.N) * taillog.BlockSize // stored lies in this block: the full ones are written
	from, to := stored-start, good-start
	if w.file.Direct() {
		from = from / vfs.BlockSize * vfs.BlockSize
		pages := to / vfs.BlockSize * vfs.BlockSize
		if pages > from {
			if _, err := w.file.WriteAt(block.Data[from:pages], start+from); err != nil {
				return fmt.Errorf("write sample file: %w", err)
			}
		}
		if pages < to {
			page := w.d.page
			clear(page[copy(page, block.Data[pages:to]):])
			if _, err := w.file.WriteAt(page, start+pages); err != nil {
				return fmt.Errorf("write sample file: %w", err)
			}
		}
	} else if _, err := w.file.WriteAt(block.Data[from:to], start+from); err != nil {
		return fmt.Errorf("write sample file: %w", err)
	}
	w.mu.Lock()
	w.stored = good
	w.mu.Unlock()
	return nil
}

// sync makes the file's bytes durable; when the recording has ended, its length too.
func (w *Writer) sync() error {
	if w.file == nil || w.next.abandoned {
		return nil
	}
	var err error
	if w.next.ended != nil {
		if err = w.file.Truncate(w.next.bytes()); err == nil {
			err = w.file.Sync()
		}
	} else if w.next.bytes() > w.durable.bytes() || !w.dirSync {
		err = w.file.Datasync()
	}
	if err != nil {
		return fmt.Errorf("sync sample file: %w", err)
	}
	if !w.file.Direct() {
		from, to := w.durable.bytes()/vfs.BlockSize*vfs.BlockSize, w.next.bytes()/vfs.BlockSize*vfs.BlockSize
		_ = w.file.DropCache(from, to-from) // failing, it costs only memory
	}
	return nil
}

// markDurable notes that the state of this tick is on the disk, whatever becomes of the log.
func (w *Writer) markDurable() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirSync = w.created
	w.durable, w.next = w.next, w.durable
}

// report appends the batch of this tick to the log.
func (d *directory) report(writers []*Writer) error {
	b := &d.batch
	b.Progress, b.Sealed, b.Removed = b.Progress[:0], nil, append([]recording.ID(nil), d.doomed...)
	for _, w := range writers {
		switch {
		case w.durable.abandoned:
			if w.known() {
				b.Removed = append(b.Removed, w.id)
			}
		case w.durable.ended != nil:
			b.Sealed = append(b.Sealed, w.describeMark(&w.durable))
		default:
			b.Progress = append(b.Progress, w.progress(&w.logged))
		}
	}
	if b.Empty() {
		return nil
	}
	return d.log.Append(b)
}

// progress says how far the recording is durable, beyond what the log knows.
func (w *Writer) progress(since *mark) taillog.Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.durable
	before := len(since.summer.Full(0))
	p := taillog.Progress{
		ID: w.id, From: since.seq, To: m.seq, Entries: w.entries[since.entries:m.entries:m.entries], Good: m.bytes(),
		Before: uint32(before), Full: m.summer.Full(before),
	}
	p.Partial, _ = m.summer.Partial()
	return p
}

// describeMark describes an ended recording as of a mark.
func (w *Writer) describeMark(m *mark) *recording.Description {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.desc
	d.Start = m.start
	m.builder.Describe(&d, m.ended.At, m.ended.Guess, true)
	d.WallDuration, d.StartCorrection = m.ended.WallDuration, m.ended.StartCorrection
	d.EndReason, d.EndDetail = m.ended.Reason, m.ended.Detail
	d.BlockSums = m.summer.Sums()
	return &d
}

// settle forgets in memory what the log holds now, and hands sealed recordings on.
func (d *directory) settle(writers []*Writer) {
	sealed := d.batch.Sealed
	for _, w := range writers {
		w.mu.Lock()
		gone := w.durable.abandoned
		if gone || w.durable.ended != nil {
			w.drop()
		} else {
			w.pending.Release(w.durable.seq)
			w.logged.seq, w.logged.entries, w.logged.summer = w.durable.seq, w.durable.entries, w.durable.summer
		}
		w.mu.Unlock()
		switch {
		case gone:
			if w.known() {
				d.dropped = append(d.dropped, w.id)
			}
			d.remove(w, nil)
		case w.durable.ended != nil:
			d.remove(w, sealed[0])
			sealed = sealed[1:]
		}
	}
}

// known reports whether something of the recording may be on the disk.
func (w *Writer) known() bool { return w.created || w.logged.seq > 0 }

// remove takes a recording out of those in progress, as sealed, or, with nil, as given up.
func (d *directory) remove(w *Writer, sealed *recording.Description) {
	w.closeFile()
	d.mu.Lock()
	for i := range d.writers {
		if d.writers[i] == w {
			d.writers = append(d.writers[:i], d.writers[i+1:]...)
			break
		}
	}
	d.mu.Unlock()
	a := d.a
	a.mu.Lock()
	defer a.mu.Unlock()
	close(w.done)
	delete(a.live, w.id)
	if sealed == nil {
		return
	}
	a.sealed[w.id] = &catalog.NewRecording{Description: sealed, Directory: d.row.ID}
	if sealed.WallDuration > 0 {
		w.stream.usual.Store(sealed.Bytes + sealed.Bytes/16)
	}
	kick(a.flushNow)
}

func (w *Writer) closeFile() {
	if w.file != nil {
		_ = w.file.Close() // synced before, or given up
		w.file = nil
	}
}

// writeFull writes full blocks between ticks.
func (d *directory) writeFull() {
	d.mu.Lock()
	writers := append([]*Writer(nil), d.writers...)
	d.mu.Unlock()
	for _, w := range writers {
		if err := w.writeFull(); err != nil {
			d.fail(err)
			return
		}
	}
}

// unlink removes the files that the log calls removed: of deleted recordings, and of those that were given up.
func (d *directory) unlink() error {
	if len(d.doomed)+len(d.dropped) == 0 {
		return nil
	}
	for _, list := range [][]recording.ID{d.doomed, d.dropped} {
		for _, id := range list {
			if err := d.a.fs.Remove(d.join(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("unlink sample file: %w", err)
			}
		}
	}
	if err := d.a.fs.SyncDir(d.row.Path); err != nil {
		return fmt.Errorf("sync sample file directory: %w", err)
	}
	if len(d.doomed) > 0 {
		d.a.mu.Lock()
		d.a.forget = append(d.a.forget, d.doomed...)
		d.a.mu.Unlock()
		kick(d.a.flushNow)
	}
	d.doomed, d.dropped = nil, nil
	return nil
}
