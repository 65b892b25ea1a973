package rtp

import (
	"fmt"
	"strings"
	"testing"
)

func TestSequence(t *testing.T) {
	type step struct {
		seq  uint16
		want Arrival
		gap  int
	}
	for name, steps := range map[string][]step{
		"in order over the wrap":   {{65534, InOrder, 0}, {65535, InOrder, 0}, {0, InOrder, 0}, {1, InOrder, 0}},
		"gap over the wrap":        {{65534, InOrder, 0}, {2, Gap, 3}, {3, InOrder, 0}},
		"duplicate":                {{5, InOrder, 0}, {5, Duplicate, 0}, {6, InOrder, 0}, {5, Duplicate, 0}},
		"late, then again":         {{5, InOrder, 0}, {8, Gap, 2}, {6, Late, 0}, {6, Duplicate, 0}, {9, InOrder, 0}, {7, Late, 0}},
		"before the first":         {{5, InOrder, 0}, {4, Duplicate, 0}, {6, InOrder, 0}},
		"begins anew ahead":        {{5, InOrder, 0}, {20000, Restart, 0}, {20001, InOrder, 0}},
		"begins anew far back":     {{50000, InOrder, 0}, {30000, Restart, 0}},
		"largest gap":              {{0, InOrder, 0}, {maxDropout + 1, Gap, maxDropout}},
		"one more is a restart":    {{0, InOrder, 0}, {maxDropout + 2, Restart, 0}},
		"old ones after a big gap": {{0, InOrder, 0}, {2500, Gap, 2499}, {2000, Late, 0}, {2001, Late, 0}, {2501, InOrder, 0}},
	} {
		var s Sequence
		for i, st := range steps {
			got, gap := s.Add(st.seq)
			if got != st.want || gap != st.gap {
				t.Errorf("%s, step %d: %v %d, want %v %d", name, i, got, gap, st.want, st.gap)
			}
		}
	}
}

func TestSequenceCounts(t *testing.T) {
	var s Sequence
	for _, seq := range []uint16{10, 11, 14, 12, 12, 15} {
		s.Add(seq)
	}
	if s.Received != 5 || s.Lost != 1 || s.Late != 1 || s.Duplicates != 1 {
		t.Errorf("%+v", s)
	}
}

// A camera that begins its numbers anew a little further back must not be taken for late packets for ever.
func TestSequenceBeginsAnewNearby(t *testing.T) {
	var s Sequence
	for seq := range uint16(500) {
		s.Add(seq)
	}
	var restarted bool
	for seq := range uint16(500) {
		if a, _ := s.Add(seq); a == Restart {
			restarted = true
			if seq > maxOldRun {
				t.Errorf("restart only at %d", seq)
			}
		}
	}
	if !restarted || s.Restarts != 1 {
		t.Errorf("%d restarts", s.Restarts)
	}
}

func TestClock(t *testing.T) {
	c := Clock{MaxForward: 900_000, MaxBackward: 9000}
	const first = uint32(0xfffff000) // wraps after 4096 ticks
	for i, st := range []struct {
		ticks int64
		step  Step
	}{
		{0, Forward}, {3000, Forward}, {6000, Forward}, {3000, Backward}, {903_000, Forward}, {1_803_001, JumpAhead},
		{0, JumpBack}, {0, Forward}, {9000, Forward}, {0, Backward}, {-9001, JumpBack},
	} {
		got, step := c.Unwrap(first + uint32(st.ticks))
		if got != st.ticks || step != st.step {
			t.Errorf("%d: %d %v, want %d %v", i, got, step, st.ticks, st.step)
		}
	}
}

// run pushes numbers through a buffer and tells what comes out: "3" a packet, "-2" two lost.
func run(r *Reorder, seqs ...uint16) string {
	var out []string
	for _, seq := range seqs {
		b := []byte{byte(seq >> 8), byte(seq)}
		switch a := r.Add(seq, b); a {
		case InOrder:
			out = append(out, fmt.Sprint(seq))
		case Restart:
			out = append(out, fmt.Sprint("restart ", seq))
		case Duplicate, Late:
			out = append(out, a.String())
		}
		out = append(out, drain(r)...)
	}
	return strings.Join(out, " ")
}

func drain(r *Reorder) (out []string) {
	for {
		b, lost, ok := r.Next()
		if !ok {
			return out
		}
		if lost > 0 {
			out = append(out, fmt.Sprint(-lost))
		}
		out = append(out, fmt.Sprint(int(b[0])<<8|int(b[1])))
	}
}

func TestReorder(t *testing.T) {
	for name, c := range map[string]struct {
		in   []uint16
		max  int
		want string
	}{
		"in order":       {in: []uint16{1, 2, 3}, want: "1 2 3"},
		"swapped":        {in: []uint16{1, 3, 2, 4}, want: "1 2 3 4"},
		"wrap":           {in: []uint16{65534, 0, 65535, 1}, want: "65534 65535 0 1"},
		"held duplicate": {in: []uint16{1, 3, 3, 2, 2}, want: "1 duplicate 2 3 duplicate"},
		"waits":          {in: []uint16{1, 3, 4, 5}, max: 4, want: "1"},
		"full":           {in: []uint16{1, 3, 4, 5}, max: 3, want: "1 -1 3 4 5"},
		"late":           {in: []uint16{1, 4, 5, 6, 2, 7}, max: 3, want: "1 -2 4 5 6 late 7"},
		"two gaps":       {in: []uint16{1, 3, 5, 6}, max: 3, want: "1 -1 3"},
		"far off once":   {in: []uint16{1, 30000, 2, 3}, want: "1 duplicate 2 3"},
		"far off twice":  {in: []uint16{1, 30000, 30001, 30002}, want: "1 duplicate restart 30001 30002"},
	} {
		r := &Reorder{MaxPackets: c.max}
		if got := run(r, c.in...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestReorderBytes(t *testing.T) {
	r := &Reorder{MaxBytes: 4}
	if got := run(r, 1, 3, 4); got != "1 -1 3 4" {
		t.Errorf("%q", got)
	}
}

func TestReorderSkip(t *testing.T) {
	r := &Reorder{}
	if got := run(r, 1, 3, 5); got != "1" {
		t.Errorf("%q", got)
	}
	r.Skip()
	if got := strings.Join(drain(r), " "); got != "-1 3" {
		t.Errorf("%q", got)
	}
	if r.Held() != 1 {
		t.Errorf("%d held", r.Held())
	}
	r.Skip()
	if got := strings.Join(drain(r), " "); got != "-1 5" {
		t.Errorf("%q", got)
	}
	if s := r.Stats(); s.Lost != 2 || s.Received != 3 {
		t.Errorf("%+v", s)
	}
}
