package rtp

import (
	"bytes"
	"encoding/binary"

	"nightjar/internal/media"
)

// nalInfo is what the assembler needs to know of a NAL unit; cheap to find out, from its first bytes.
type nalInfo struct {
	slice      bool // of a coded picture (video coding layer)
	first      bool // slice: the first of its picture
	key        bool // slice: of an IDR (H.264) or IRAP (H.265) picture
	disposable bool // slice: of a picture that no other needs
	set        bool // parameter set
	recovery   bool // SEI that says: decoding may begin at this picture
	whole      bool // worth a scan for start codes even in the middle of a stream
}

// accessUnit collects the NAL units of one picture, each after its length in 4 bytes. It is shared by H.264 and H.265.
//
// A unit ends with the packet that has the marker bit, provided it holds a slice, or when the timestamp changes. What
// came without any slice (parameter sets and SEI that a camera sends with a marker bit or timestamp of their own) stays
// and becomes part of the unit that follows.
type accessUnit struct {
	inspect func(nal []byte) nalInfo

	buf  []byte
	nal  int // offset of the length of the NAL unit being assembled; -1 when there is none
	unit Unit
	open bool

	slices    int
	needed    bool // a slice of a picture that others need was seen
	recovery  bool // decoding may begin here although the picture is no IDR
	suspect   bool // packets were lost before the unit: its first slice must be the picture's first
	afterLoss bool // to be flagged on the unit

	lastTimestamp uint32 // of the latest unit handed on by marker
	handedOn      bool
	noMarker      bool // the camera sets marker bits within pictures: go by timestamps alone
	scanned       int  // NAL units of ordinary pictures scanned for start codes so far
	startCodes    bool // some had any: scan all
}

// scanFirst is how many NAL units of ordinary pictures are scanned for start codes. Cameras that leave start codes in do
// so from the beginning (V380, VStarcam), and to scan every byte for ever would cost as much as its checksum.
const scanFirst = 256

func (a *accessUnit) init(inspect func([]byte) nalInfo) {
	a.inspect, a.nal = inspect, -1
}

// begin is called for each packet before its payload is looked at.
func (a *accessUnit) begin(p *Packet, lost int, emit Emit) error {
	if a.open && lost > 0 && (a.slices > 0 || a.nal >= 0) {
		// Its middle is missing, or its end: the packet with the marker bit did not come.
		a.endNAL()
		a.damage()
		lost = 0
		if p.Timestamp != a.unit.Timestamp {
			lost = 1
		}
	}
	if a.open && p.Timestamp != a.unit.Timestamp {
		if a.nal >= 0 {
			a.endNAL()
			a.damage()
		}
		switch {
		case a.slices > 0:
			if err := a.flush(emit); err != nil {
				return err
			}
		case a.unit.Flags&media.Damaged != 0:
			// A picture of which nothing came: it is missing before the next one.
			a.unit.Flags &^= media.Damaged
			a.afterLoss = true
		}
	}
	if lost > 0 {
		a.afterLoss, a.suspect = true, true
	}
	a.open = true
	a.unit.Timestamp = p.Timestamp
	return nil
}

// end is called for each packet after its payload was added.
func (a *accessUnit) end(p *Packet, emit Emit) error {
	if !p.Marker || a.noMarker {
		return nil
	}
	if a.nal >= 0 {
		// The end bit is missing, but nothing is: the sender says that the picture is whole.
		a.endNAL()
	}
	if a.slices == 0 {
		return nil
	}
	a.lastTimestamp, a.handedOn = p.Timestamp, true
	return a.flush(emit)
}

func (a *accessUnit) flush(emit Emit) error {
	u := &a.unit
	u.Data = a.buf
	if !a.needed && a.slices > 0 {
		u.Flags |= media.Droppable
	}
	if a.recovery {
		u.Flags |= media.Key
	}
	if a.afterLoss {
		u.Flags |= media.AfterLoss
	}
	err := emit(u)
	a.reset()
	return err
}

func (a *accessUnit) reset() {
	a.buf, a.nal = a.buf[:0], -1
	a.unit = Unit{}
	a.open, a.needed, a.suspect, a.afterLoss, a.recovery = false, false, false, false, false
	a.slices = 0
}

// damage flags the unit that the current packet belongs to.
func (a *accessUnit) damage() { a.unit.Flags |= media.Damaged }

// startNAL begins a NAL unit. One that was not ended is cut short by it.
func (a *accessUnit) startNAL() {
	if a.nal >= 0 {
		a.endNAL()
		a.damage()
	}
	a.nal = len(a.buf)
	a.buf = append(a.buf, 0, 0, 0, 0)
}

// add appends bytes to the NAL unit that was begun.
func (a *accessUnit) add(b ...byte) { a.extend(b) }

func (a *accessUnit) extend(b []byte) {
	if len(a.buf)+len(b) > MaxUnit {
		a.damage()
		return
	}
	a.buf = append(a.buf, b...)
}

// whole adds a whole NAL unit.
func (a *accessUnit) whole(b []byte) {
	a.startNAL()
	a.extend(b)
	a.endNAL()
}

func (a *accessUnit) endNAL() {
	if a.nal < 0 {
		return
	}
	start := a.nal
	a.nal = -1
	nal := a.buf[start+4:]
	if len(nal) == 0 {
		a.buf = a.buf[:start]
		return
	}
	info := a.inspect(nal)
	if info.whole || a.startCodes || a.scanned < scanFirst {
		if !info.whole {
			a.scanned++
		}
		if at := bytes.Index(nal, startCode); at >= 0 {
			a.startCodes = true
			a.split(start)
			return
		}
	}
	binary.BigEndian.PutUint32(a.buf[start:], uint32(len(nal)))
	a.note(info)
}

var startCode = []byte{0, 0, 1}

// split writes what lies between start codes (ITU-T H.264 annex B) as NAL units of their own.
func (a *accessUnit) split(start int) {
	old := append([]byte(nil), a.buf[start+4:]...)
	a.buf = a.buf[:start]
	for len(old) > 0 {
		at := bytes.Index(old, startCode)
		nal := old
		if at >= 0 {
			// zero_byte and trailing_zero_8bits before a start code belong to no NAL unit.
			nal, old = bytes.TrimRight(old[:at], "\x00"), old[at+3:]
		} else {
			old = nil
		}
		if len(nal) == 0 {
			continue
		}
		a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(nal)))
		a.buf = append(a.buf, nal...)
		a.note(a.inspect(nal))
	}
}

func (a *accessUnit) note(info nalInfo) {
	a.unit.Sets = a.unit.Sets || info.set
	a.recovery = a.recovery || info.recovery
	if !info.slice {
		return
	}
	if a.slices == 0 && !info.first {
		switch {
		case a.suspect:
			a.damage()
		case a.handedOn && a.lastTimestamp == a.unit.Timestamp:
			// More of a picture that was handed on already: its marker bit came too early.
			a.noMarker = true
			a.damage()
		}
	}
	a.slices++
	if info.key {
		a.unit.Flags |= media.Key
	}
	if !info.disposable {
		a.needed = true
	}
}
