package taillog

import (
	"encoding/binary"
	"fmt"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// Recording is what replaying entries tells of a recording that is not sealed.
type Recording struct {
	Description recording.Description // as of its begin, with the latest start; no tracks
	StartFinal  bool                  // the start is settled
	Builder     recording.Builder
	Summer      recording.Summer // over the bytes that the builder knows
	Ended       *End             // how it was finished; nil if it was not
	Abandoned   bool
	Seq         uint32 // number of its latest entry

	entries []byte // all entries but held ones, each after its length, for Limit
	begun   bool
	held    []held
}

// held is a sample that waits for its chunk.
type held struct {
	info recording.SampleInfo
	data []byte
}

// AppendEntry appends an entry with its length, as progress records hold them.
func AppendEntry(b, entry []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(entry))), entry...)
}

// apply replays one entry. The bytes of samples are not its business. A held sample's data is kept, not copied.
func (r *Recording) apply(entry []byte) error {
	if len(entry) == 0 || !r.begun && entry[0] != beginEntry {
		return fmt.Errorf("%w: does not begin a recording", ErrEntry)
	}
	if entry[0]&sampleEntry != 0 {
		return r.applySample(entry)
	}
	body := entry[1:]
	switch entry[0] {
	case beginEntry:
		if r.begun || len(body) == 0 {
			return fmt.Errorf("%w: begin", ErrEntry)
		}
		d, err := recording.ParseDescription(body[1:])
		if err != nil {
			return err
		}
		r.Description, r.StartFinal, r.begun = *d, body[0] != 0, true
		r.Summer = recording.NewSummer(d.ID)
	case trackEntry:
		if len(body) == 0 || r.Builder.Tracks() == MaxTracks {
			return fmt.Errorf("%w: track", ErrEntry)
		}
		p := reader{rest: body[1:]}
		usual := p.varint()
		entry, err := recording.ParseEntry(p.rest)
		if err != nil || p.bad || entry.ClockRate == 0 || usual < 0 || usual > recording.MaxSampleDuration {
			return fmt.Errorf("%w: track", ErrEntry)
		}
		r.Builder.AddTrack(media.Kind(body[0]), entry, usual)
	case startEntry:
		if len(body) == 0 {
			return fmt.Errorf("%w: start", ErrEntry)
		}
		p := reader{rest: body[1:]}
		start := media.WallTime(p.varint())
		if p.bad || len(p.rest) > 0 {
			return fmt.Errorf("%w: start", ErrEntry)
		}
		r.Description.Start, r.StartFinal = start, body[0] != 0
	case endEntry:
		end, err := parseEnd(body)
		if err != nil {
			return err
		}
		r.Ended = end
	case abandonEntry:
		r.Abandoned = true
	case heldEntry:
		info, data, err := parseSample(body, &r.Builder, true)
		if err != nil {
			return err
		}
		if int(info.Size) != len(data) {
			return fmt.Errorf("%w: held sample of %d bytes has %d", ErrEntry, info.Size, len(data))
		}
		r.held = append(r.held, held{info, data})
		return nil // it comes again as a sample entry
	default:
		return fmt.Errorf("%w: kind %d", ErrEntry, entry[0])
	}
	r.entries = AppendEntry(r.entries, entry)
	return nil
}

func (r *Recording) applySample(entry []byte) error {
	info, rest, err := parseSample(entry, &r.Builder, false)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: sample", ErrEntry)
	}
	if err := r.Builder.Add(info); err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	for i := range r.held {
		if r.held[i].info.Track == info.Track {
			r.held = append(r.held[:i], r.held[i+1:]...)
			break
		}
	}
	r.entries = AppendEntry(r.entries, entry)
	return nil
}

// applyAll replays entries that each stand after their length.
func (r *Recording) applyAll(entries []byte) error {
	p := reader{rest: entries}
	for len(p.rest) > 0 {
		entry := p.take(p.uvarint())
		if p.bad {
			return fmt.Errorf("%w: cut short", ErrEntry)
		}
		if err := r.apply(entry); err != nil {
			return err
		}
	}
	return nil
}

// Limit returns the recording as it was when its sample file held no more than size bytes: an end that came later is
// forgotten. The Summer is left for the caller, who has the bytes.
func (r *Recording) Limit(size int64) (*Recording, error) {
	short := &Recording{Seq: r.Seq}
	p := reader{rest: r.entries}
	for len(p.rest) > 0 {
		entry := p.take(p.uvarint())
		if entry[0]&sampleEntry != 0 {
			info, _, err := parseSample(entry, &short.Builder, false)
			if err != nil {
				return nil, err
			}
			if short.Builder.Bytes()+int64(info.Size) > size {
				break
			}
		}
		if err := short.apply(entry); err != nil {
			return nil, err
		}
	}
	if short.Builder.Bytes() < r.Builder.Bytes() {
		short.Ended = nil
	}
	short.Description.Start, short.StartFinal = r.Description.Start, r.StartFinal
	short.Abandoned = r.Abandoned
	return short, nil
}

// Entries returns all entries so far, each after its length, for carrying the recording over.
func (r *Recording) Entries() []byte { return r.entries }
