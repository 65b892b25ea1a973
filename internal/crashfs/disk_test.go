package crashfs

import (
	"bytes"
	"fmt"
	"testing"

	"nightjar/internal/store/vfs"
)

// TestNothingIsKept makes and removes files as a recorder does for a long time, and looks whether the disk forgets them.
func TestNothingIsKept(t *testing.T) {
	f := NewWith(Options{MountOptions: MountOptions{Capacity: 1 << 20, Inodes: 20}}, "/d")
	f.Mount("/run", MountOptions{Volatile: true, Capacity: 1 << 20, Inodes: 10})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		for _, dir := range []string{"/d", "/run"} {
			name := fmt.Sprintf("%s/%d", dir, i)
			h, err := f.OpenFile(name, vfs.Options{Write: true, Create: true, Exclusive: true})
			must(err)
			must(h.Allocate(300_000))
			_, err = h.WriteAt(make([]byte, 200_000), 0)
			must(err)
			must(h.Sync())
			must(f.SyncDir(dir))
			must(f.Rename(name, name+"x"))
			switch i % 3 {
			case 0:
				must(f.SyncDir(dir))
				must(h.Close())
				must(f.Remove(name + "x"))
			case 1:
				must(h.Close())
				must(f.Remove(name + "x"))
			default:
				must(f.Remove(name + "x"))
				must(f.SyncDir(dir))
				must(h.Close())
			}
			must(f.SyncDir(dir))
		}
		m, err := f.Map("/run/block", 1<<16)
		must(err)
		m.Bytes()[0] = 1
		must(m.Close())
		must(f.Remove("/run/block"))
	}
	if n := len(f.disk.nodes); n != 3 {
		t.Errorf("%d nodes are left; want the three directories", n)
	}
	if len(f.disk.dirOps) != 0 || len(f.disk.unsure) != 0 {
		t.Errorf("%d changes of names and %d unsure files are left", len(f.disk.dirOps), len(f.disk.unsure))
	}
	for _, m := range f.disk.mounts {
		if m.used != 0 {
			t.Errorf("mount %d: %d pages are taken", m.Device, m.used)
		}
	}
}

// FuzzContent compares pages that are shared between copies with plain bytes.
func FuzzContent(f *testing.F) {
	f.Add([]byte("w12r3w45c6w78t9"))
	f.Add([]byte("w\xff\xffct\x01w\x03\x80p\x00\x05cw\x00\x10t\xf0"))
	f.Fuzz(func(t *testing.T, program []byte) {
		type pair struct {
			c *content
			b []byte
		}
		pairs := []pair{{newContent(), nil}}
		for i := 0; i+2 < len(program) && i < 300; i += 3 {
			p := &pairs[int(program[i]>>4)%len(pairs)]
			x, y := int64(program[i+1])*97, int64(program[i+2])*61
			switch program[i] % 5 {
			case 0, 1:
				data := bytes.Repeat([]byte{byte(i) | 1}, int(y))
				p.c.write(data, x)
				if grow := int(x) + len(data) - len(p.b); grow > 0 {
					p.b = append(p.b, make([]byte, grow)...)
				}
				copy(p.b[x:], data)
			case 2:
				p.c.resize(x)
				p.b = append(p.b, make([]byte, max(0, int(x)-len(p.b)))...)[:x:x]
			case 3:
				if len(pairs) < 6 {
					pairs = append(pairs, pair{p.c.clone(), bytes.Clone(p.b)})
				}
			default:
				first, n := int(x/pageSize), int(y/pageSize)
				p.c.punch(first, n)
				from := min(first*pageSize, len(p.b))
				clear(p.b[from:max(from, min((first+n)*pageSize, len(p.b)))])
			}
		}
		for i, p := range pairs {
			got := make([]byte, len(p.b)+10)
			if n := p.c.readAt(got, 0); n != len(p.b) || p.c.size != int64(n) || !bytes.Equal(got[:n], p.b) {
				t.Fatalf("copy %d: %d bytes, size %d; want %d, or other bytes", i, n, p.c.size, len(p.b))
			}
			used := int64(0)
			for _, page := range p.c.pages {
				if page.bytes != nil {
					used++
				}
			}
			if used != p.c.used {
				t.Fatalf("copy %d: %d pages counted, %d there", i, p.c.used, used)
			}
		}
	})
}
