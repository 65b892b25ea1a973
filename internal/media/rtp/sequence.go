package rtp

// The distances of RFC 3550 appendix A.1: a number that far ahead or behind is no loss or delay, the sender began anew.
const (
	maxDropout  = 3000
	maxMisorder = 1000 // more than the RFC's 100: Wi-Fi cameras were seen to deliver whole pictures late

	// So many old numbers in unbroken order are not stragglers: the sender began anew a little further back.
	maxOldRun = 64
)

// Arrival says what a sequence number means for the packets before it.
type Arrival uint8

// The kinds of arrival.
const (
	InOrder   Arrival = iota // the very next packet, or the first
	Gap                      // numbers before it are missing
	Duplicate                // it was there already
	Late                     // it fills a gap that was given up
	Restart                  // the sender began a new sequence
)

func (a Arrival) String() string {
	switch a {
	case InOrder:
		return "in order"
	case Gap:
		return "gap"
	case Duplicate:
		return "duplicate"
	case Late:
		return "late"
	case Restart:
		return "restart"
	}
	return "unknown"
}

// Sequence follows the sequence numbers of one source and counts. The zero value is ready.
type Sequence struct {
	next    int64 // extended number of the packet expected next
	started bool
	seen    [maxMisorder/64 + 1]uint64 // which of the latest numbers were there; ring by extended number
	old     uint16                     // the latest old number, and
	oldRun  int                        // how many came in unbroken order up to it

	Received   uint64 // packets that were there, duplicates left out
	Lost       uint64 // numbers passed over; those that came late are taken off again
	Late       uint64
	Duplicates uint64
	Restarts   uint64
}

// seenBits is the number of latest packets that can be told from duplicates.
const seenBits = (maxMisorder/64 + 1) * 64

// Extend returns the extended number nearest to what is expected, without counting anything.
func (s *Sequence) Extend(seq uint16) int64 {
	if !s.started {
		return int64(seq)
	}
	return s.next + int64(int16(seq-uint16(s.next)))
}

// Next returns the extended number expected next; meaningless before the first packet.
func (s *Sequence) Next() int64 { return s.next }

// Started reports whether a packet was seen.
func (s *Sequence) Started() bool { return s.started }

// Reset begins a new sequence with the next packet, as after a change of the sender. The counts go on.
func (s *Sequence) Reset() { s.started = false }

// Add takes the next packet's number and returns what it means and, for Gap, how many packets are missing before it.
func (s *Sequence) Add(seq uint16) (Arrival, int) {
	if !s.started {
		s.restart(seq)
		return InOrder, 0
	}
	ext := s.Extend(seq)
	distance := ext - s.next
	switch {
	case distance == 0:
		s.advance(ext)
		return InOrder, 0
	case distance > 0 && distance <= maxDropout:
		s.Lost += uint64(distance)
		s.advance(ext)
		return Gap, int(distance)
	case distance < 0 && -distance <= maxMisorder && !s.tooManyOld(seq):
		if s.has(ext) {
			s.Duplicates++
			return Duplicate, 0
		}
		s.mark(ext)
		s.Received++
		s.Late++
		if s.Lost > 0 {
			s.Lost--
		}
		return Late, 0
	}
	s.Restarts++
	s.restart(seq)
	return Restart, 0
}

// tooManyOld notes an old number and reports whether it ends a run that can't be stragglers.
func (s *Sequence) tooManyOld(seq uint16) bool {
	if seq == s.old+1 && s.oldRun > 0 {
		s.oldRun++
	} else {
		s.oldRun = 1
	}
	s.old = seq
	return s.oldRun > maxOldRun
}

func (s *Sequence) restart(seq uint16) {
	s.started, s.oldRun = true, 0
	// A number of cycles in hand keeps extended numbers positive, so that the ring's index is.
	s.next = int64(seq) + 1<<16
	// What came before the first packet is not missing, so a straggler from there is a duplicate, not a late loss.
	for i := range s.seen {
		s.seen[i] = ^uint64(0)
	}
	s.advance(s.next)
}

func (s *Sequence) advance(ext int64) {
	if ext-s.next >= seenBits {
		clear(s.seen[:])
	} else {
		for n := s.next; n < ext; n++ {
			s.unmark(n)
		}
	}
	s.mark(ext)
	s.next = ext + 1
	s.oldRun = 0
	s.Received++
}

func (s *Sequence) mark(n int64)   { i := n % seenBits; s.seen[i/64] |= 1 << (i % 64) }
func (s *Sequence) unmark(n int64) { i := n % seenBits; s.seen[i/64] &^= 1 << (i % 64) }

func (s *Sequence) has(n int64) bool {
	i := n % seenBits
	return s.seen[i/64]&(1<<(i%64)) != 0
}
