package salvage

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/taillog"
)

// load reads every segment of the log and compares it with the files that are there.
func (d *Directory) load(ctx context.Context) error {
	files, _, err := d.dir.Files()
	if err != nil {
		return err
	}
	l, state, err := taillog.Open(d.dir.FS(), d.dir.Path(), taillog.Identity{Directory: d.dir.UUID()})
	if err != nil {
		return err
	}
	d.log = l
	known := make([]bool, len(files)) // per file: the log accounts for it
	if err := d.readSeals(ctx, files, known, state); err != nil {
		return err
	}
	d.readUnfinished(files, known, state)
	for i, id := range files {
		if state.Removed[id] {
			known[i] = true
		}
	}
	if n := count(known, false); n > 0 {
		d.problems = append(d.problems, fmt.Sprintf("%d sample files have no entry in the tail log and can't be read", n))
	}
	d.summarise()
	return nil
}

// readSeals takes up the finished recordings whose files are there; of the others the log does not say whether they were
// deleted. The newest segment comes first, as a recording's latest seal is the one that counts.
func (d *Directory) readSeals(ctx context.Context, files []recording.ID, known []bool, state *taillog.State) error {
	for _, number := range slices.Backward(d.log.Segments()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		damage, err := d.log.Descriptions(number, func(seal taillog.Seal, full *recording.Description) error {
			i, there := slices.BinarySearch(files, seal.ID)
			if !there || known[i] || state.Removed[seal.ID] {
				return nil
			}
			known[i] = true
			d.take(full, seal)
			return nil
		})
		if err != nil {
			return err
		}
		for _, x := range damage {
			d.problems = append(d.problems, x.Error())
		}
	}
	return nil
}

// take adds one recording.
func (d *Directory) take(full *recording.Description, seal taillog.Seal) {
	id := full.ID
	d.recordings[id.Stream()] = append(d.recordings[id.Stream()], entry{
		id: id, start: full.Start, end: full.End(), segment: seal.Segment, offset: seal.Offset,
	})
	if last := d.seals[id.Stream()]; last == nil || last.ID < id {
		d.seals[id.Stream()] = brief(full)
	}
	for i := range d.streams {
		if s := &d.streams[i]; s.ID == id.Stream() {
			s.Recordings, s.Bytes = s.Recordings+1, s.Bytes+full.Bytes
			return
		}
	}
	d.streams = append(d.streams, Stream{ID: id.Stream(), Recordings: 1, Bytes: full.Bytes})
}

// readUnfinished takes up what was being written, as far as the log calls it good.
func (d *Directory) readUnfinished(files []recording.ID, known []bool, state *taillog.State) {
	for id, r := range state.Open {
		i, there := slices.BinarySearch(files, id)
		good := r.Builder.Bytes()
		if there {
			known[i] = true
		}
		if r.Abandoned || good == 0 || r.Builder.Samples(0) == 0 {
			continue
		}
		info, err := d.dir.FS().Stat(d.dir.Join(id.FileName()))
		if err != nil || info.Size < good {
			d.problems = append(d.problems, fmt.Sprintf("recording %v was being written, and its sample file is shorter than the tail log says", id))
			continue
		}
		full := describeUnfinished(r)
		d.unfinished[id] = full
		d.take(full, taillog.Seal{})
	}
}

// describeUnfinished describes a recording that ends where the log's last word on it does; without an end of its own it
// lasts by the wall as long as by the camera's clock, which is all there is.
func describeUnfinished(r *taillog.Recording) *recording.Description {
	full := r.Description
	end := r.Ended
	if end == nil {
		end = &taillog.End{Guess: true, Reason: recording.Unknown}
	}
	full.Flags |= recording.Recovered
	r.Builder.Describe(&full, end.At, end.Guess, true)
	full.BlockSums = r.Summer.Sums()
	full.StartCorrection, full.EndReason, full.EndDetail = end.StartCorrection, end.Reason, end.Detail
	if full.WallDuration = end.WallDuration; r.Ended == nil {
		full.WallDuration = full.MediaDuration.AsWall()
	}
	return &full
}

// summarise sorts what was found and completes the list of streams.
func (d *Directory) summarise() {
	for id, list := range d.recordings {
		slices.SortFunc(list, byTime)
		order := make([]int32, len(list))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(list[a].id, list[b].id) })
		d.order[id] = order
	}
	for i := range d.streams {
		s := &d.streams[i]
		last := d.seals[s.ID]
		s.UUID, s.CameraUUID, s.Camera, s.Name = last.StreamUUID, last.CameraUUID, last.CameraName, last.StreamName
		list := d.recordings[s.ID]
		s.Start, s.End = list[0].start, latest(list)
	}
	d.seals = nil
	slices.SortFunc(d.streams, func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.Camera, b.Camera), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

func latest(list []entry) (end media.WallTime) {
	for _, e := range list {
		end = max(end, e.end)
	}
	return end
}

func count(list []bool, what bool) (n int) {
	for _, x := range list {
		if x == what {
			n++
		}
	}
	return n
}
