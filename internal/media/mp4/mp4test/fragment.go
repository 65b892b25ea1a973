package mp4test

// fragments reads the movie fragments (section 8.8) behind a movie without samples of its own.
func (p *parser) fragments(top []box, mvex box) {
	defaults := map[uint32]uint32{}
	for _, b := range p.boxes(mvex.payload, mvex.offset) {
		if b.name == "trex" {
			trex := p.full(b)
			id := trex.u32()
			trex.take(12)
			defaults[id] = trex.u32()
		}
	}
	for i := range top {
		if top[i].name != "moof" {
			continue
		}
		if i+1 == len(top) || top[i+1].name != "mdat" {
			p.fail("moof without mdat behind it")
			return
		}
		for _, b := range p.boxes(top[i].payload, top[i].offset) {
			if b.name == "traf" {
				p.fragment(b, top[i].offset-8, defaults)
			}
		}
	}
}

// fragment reads one traf of the moof box that begins at base.
func (p *parser) fragment(traf box, base uint64, defaults map[uint32]uint32) {
	tfhd := p.full(p.path(traf, "tfhd"))
	if tfhd.flags&^0x2 != 0x20000 { // default-base-is-moof; sample description index may be there
		p.fail("tfhd flags %x", tfhd.flags)
		return
	}
	id := tfhd.u32()
	entry := 1
	if tfhd.flags&2 != 0 {
		entry = int(tfhd.u32())
	}
	var t *Track
	for i := range p.file.Tracks {
		if p.file.Tracks[i].ID == id {
			t = &p.file.Tracks[i]
		}
	}
	if t == nil || entry < 1 || entry > len(t.Entries) {
		p.fail("traf of track %d with sample entry %d", id, entry)
		return
	}
	tfdt := p.full(p.path(traf, "tfdt"))
	decode := int64(tfdt.word())
	if n := len(t.Samples); n > 0 && t.Samples[n-1].Decode+t.Samples[n-1].Duration != decode {
		p.fail("tfdt %d after %d", decode, t.Samples[n-1].Decode+t.Samples[n-1].Duration)
	}
	for _, b := range p.boxes(traf.payload, traf.offset) {
		if b.name != "trun" {
			continue
		}
		c := p.full(b)
		n := int(c.u32())
		offset := base + uint64(c.u32())
		first := uint32(0)
		if c.flags&4 != 0 {
			first = c.u32()
		}
		for i := range n {
			if p.err != nil {
				return
			}
			s := Sample{Offset: offset, Decode: decode, Entry: entry - 1}
			flags := defaults[id]
			if c.flags&0x100 != 0 {
				s.Duration = int64(c.u32())
			}
			if c.flags&0x200 != 0 {
				s.Size = uint64(c.u32())
			}
			if c.flags&0x400 != 0 {
				flags = c.u32()
			} else if i == 0 && c.flags&4 != 0 {
				flags = first
			}
			if c.flags&0x800 != 0 {
				s.Composition = int64(int32(c.u32()))
			}
			s.Key = flags&0x10000 == 0
			offset += s.Size
			decode += s.Duration
			t.Samples = append(t.Samples, s)
		}
		if len(c.b) != 0 {
			p.fail("%d bytes left in trun", len(c.b))
		}
	}
}
