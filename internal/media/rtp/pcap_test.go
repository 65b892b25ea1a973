package rtp

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"nightjar/internal/media"
)

// sharedFile returns the path of a file of the shared test data, which is beside the repository, or skips.
func sharedFile(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "..", "shared", "testdata", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared test data is not here: %v", err)
	}
	return path
}

// udpPayloads returns the payloads of a little-endian pcap file of Ethernet or Linux cooked frames with IPv4 and UDP.
func udpPayloads(t testing.TB, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(sharedFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 24 || hex.EncodeToString(b[:4]) != "d4c3b2a1" {
		t.Fatalf("%s is no little-endian pcap file", name)
	}
	link := map[uint32]int{1: 14, 113: 16, 0: 4}[binary.LittleEndian.Uint32(b[20:])]
	if link == 0 {
		t.Fatalf("%s: link type %d", name, binary.LittleEndian.Uint32(b[20:]))
	}
	var out [][]byte
	for b = b[24:]; len(b) >= 16; {
		n := int(binary.LittleEndian.Uint32(b[8:]))
		f := b[16 : 16+n]
		b = b[16+n:]
		ip := f[link:]
		if len(ip) < 28 || ip[0]>>4 != 4 || ip[9] != 17 {
			continue
		}
		udp := ip[4*int(ip[0]&15):]
		if size := int(binary.BigEndian.Uint16(udp[4:])); size >= 8 && size <= len(udp) {
			out = append(out, udp[8:size])
		}
	}
	return out
}

func TestCameraCapture(t *testing.T) {
	packets := udpPayloads(t, "pcap/vzvca_h264_rtp.pcap")
	if len(packets) != 3896 {
		t.Fatalf("%d packets", len(packets))
	}
	d := NewH264()
	var r Reorder
	var clock Clock
	var units, keys, sets, damaged, afterLoss, lost int
	var last int64
	emit := func(u *Unit) error {
		units++
		checkLengths(t, u.Data)
		if u.Flags&media.Key != 0 {
			keys++
		}
		if u.Sets {
			sets++
		}
		if u.Flags&media.Damaged != 0 {
			damaged++
		}
		if u.Flags&media.AfterLoss != 0 {
			afterLoss++
		}
		ticks, step := clock.Unwrap(u.Timestamp)
		if step != Forward {
			t.Errorf("unit %d: step %v", units, step)
		}
		last = ticks
		return nil
	}
	push := func(b []byte, missing int) {
		p, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		lost += missing
		if err := d.Push(&p, missing, emit); err != nil {
			t.Logf("sequence %d: %v", p.Sequence, err)
		}
	}
	drain := func() {
		for {
			b, missing, ok := r.Next()
			if !ok {
				return
			}
			push(b, missing)
		}
	}
	for _, b := range packets {
		p, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.Add(p.Sequence, b); a == InOrder {
			push(b, 0)
		} else if a != Gap {
			t.Errorf("sequence %d: %v", p.Sequence, a)
		}
		drain()
	}
	for r.Held() > 0 {
		r.Skip()
		drain()
	}
	stats := r.Stats()
	if lost != 1 || stats.Lost != 1 || stats.Late != 0 || stats.Duplicates != 0 || stats.Received != 3896 {
		t.Errorf("lost %d; %d lost, %d late, %d duplicates, %d received", lost, stats.Lost, stats.Late, stats.Duplicates, stats.Received)
	}
	if keys != 15 || sets != 15 {
		t.Errorf("%d key pictures, %d with parameter sets", keys, sets)
	}
	if damaged+afterLoss != 1 {
		t.Errorf("%d damaged, %d after loss", damaged, afterLoss)
	}
	if seconds := float64(last) / 90_000; seconds < 89 || seconds > 90.5 {
		t.Errorf("%.2f s", seconds)
	}
	t.Logf("%d units, %.2f s, %d damaged, %d after loss", units, float64(last)/90_000, damaged, afterLoss)
}

func checkLengths(t testing.TB, b []byte) (units int) {
	t.Helper()
	if len(b) == 0 {
		t.Error("empty unit")
	}
	for len(b) > 0 {
		if len(b) < 5 {
			t.Fatalf("%d bytes left", len(b))
		}
		n := int(binary.BigEndian.Uint32(b))
		if n == 0 || n > len(b)-4 {
			t.Fatalf("NAL unit of %d in %d bytes", n, len(b)-4)
		}
		b = b[4+n:]
		units++
	}
	return units
}

func TestControlCapture(t *testing.T) {
	types := map[uint8]int{}
	for _, b := range udpPayloads(t, "pcap/ndpi_rtcp_multiple_pkts_in_the_same_datagram.pcap") {
		for len(b) > 0 {
			p, rest, err := NextControl(b)
			if err != nil {
				t.Fatalf("%v in % x", err, b)
			}
			types[p.Type]++
			if p.Type == TypeSenderReport {
				if _, err := p.SenderReport(); err != nil {
					t.Error(err)
				}
			}
			b = rest
		}
	}
	t.Logf("%v", types)
	if types[TypeSenderReport]+types[TypeReceiverReport] < 5 {
		t.Errorf("packets by type: %v", types)
	}
}
