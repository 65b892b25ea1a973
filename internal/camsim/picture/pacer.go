package picture

// delimiter is what goes before each NAL unit, a start code or a length.
const delimiter = 4

// keyWeight is the size of a key picture in sizes of a P picture.
const keyWeight = 6

// horizon bounds how many pictures are planned ahead.
const horizon = 10_000

// pacer tells how large pictures should be and makes them so. All sizes are in bytes, scaled by unit so that no
// fraction is lost.
type pacer struct {
	unit    int64 // 8 * FPS: bytes are counted in 1/unit
	perEach int64 // what a picture earns, in 1/unit bytes
	gop     int64

	balance int64 // earned minus spent
	left    int64 // pictures to come in this GOP

	filler []byte // 0x0C, then 0xFF; end is where 0x80 stands
	end    int
}

func newPacer(o *Options) pacer {
	return pacer{unit: 8 * int64(o.FPS), perEach: int64(o.BitRate) * int64(o.FPSDen), gop: int64(min(o.GOP, horizon))}
}

// fill returns the filler data NAL unit (section 7.3.2.7) for a picture of a size, or nil if none is due.
func (p *pacer) fill(key bool, size int) []byte {
	if p.perEach == 0 {
		return nil
	}
	if key || p.left <= 0 {
		p.left = p.gop
	}
	// What may be spent until the GOP's end, and this picture's share of it.
	budget := p.balance + p.left*p.perEach
	share := budget / p.left
	if key {
		share = budget / (p.left - 1 + keyWeight) * keyWeight
	}
	n := int(share/p.unit) - size - delimiter
	var f []byte
	if n >= 2 {
		f = p.make(n)
		size += n + delimiter
	}
	p.left--
	p.balance += p.perEach - int64(size)*p.unit
	// A forced key picture or content above the bit rate must not starve what follows for longer than a GOP.
	p.balance = max(p.balance, -p.gop*p.perEach)
	return f
}

// make returns a filler NAL unit of n bytes, in the one buffer there is.
func (p *pacer) make(n int) []byte {
	if n > len(p.filler) {
		p.filler = make([]byte, n+n/8)
		for i := range p.filler {
			p.filler[i] = 0xFF
		}
		p.filler[0] = 0x0C
		p.end = 0
	}
	if p.end > 0 {
		p.filler[p.end] = 0xFF
	}
	p.end = n - 1
	p.filler[p.end] = 0x80
	return p.filler[:n]
}
