package crashfs_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/vfs"
)

// randomRun does random operations on a few names in two directories.
type randomRun struct {
	f     *crashfs.FS
	rng   *rand.Rand
	files []vfs.File
}

func newRandomRun(f *crashfs.FS, seed uint64) *randomRun {
	return &randomRun{f: f, rng: rand.New(rand.NewPCG(seed, 1))}
}

func (r *randomRun) name() string {
	return fmt.Sprintf("/%c/%c", "de"[r.rng.IntN(2)], "abc"[r.rng.IntN(3)])
}

func (r *randomRun) step(t *testing.T) {
	t.Helper()
	if r.rng.IntN(4) == 0 || len(r.files) == 0 {
		r.changeNames()
		return
	}
	h := r.files[r.rng.IntN(len(r.files))]
	var err error
	switch r.rng.IntN(8) {
	case 0:
		err = h.Sync()
	case 1:
		err = h.Truncate(r.rng.Int64N(20_000))
	case 2:
		err = h.Allocate(r.rng.Int64N(20_000))
	default:
		b := make([]byte, r.rng.IntN(9000))
		c := byte('a' + r.rng.IntN(26))
		for i := range b {
			b[i] = c
		}
		_, err = h.WriteAt(b, r.rng.Int64N(10_000))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// changeNames does not look at errors: many of these operations cannot succeed.
func (r *randomRun) changeNames() {
	switch r.rng.IntN(5) {
	case 0:
		r.f.Remove(r.name())
	case 1:
		r.f.Rename(r.name(), r.name())
	case 2:
		r.f.SyncDir([]string{"/d", "/e"}[r.rng.IntN(2)])
	default:
		if h, err := r.f.OpenFile(r.name(), vfs.Options{Write: true, Create: true}); err == nil {
			r.files = append(r.files, h)
		}
	}
}

func (r *randomRun) syncAll(t *testing.T) {
	t.Helper()
	for _, h := range r.files {
		ok(t, h.Sync())
	}
	ok(t, r.f.SyncDir("/d"))
	ok(t, r.f.SyncDir("/e"))
}
