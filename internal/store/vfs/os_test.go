//go:build linux

package vfs_test

import (
	"os"
	"testing"

	"nightjar/internal/store/vfs"
	"nightjar/internal/store/vfs/vfstest"
)

func TestOS(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
}

func TestOSMemory(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Skipf("no tmpfs at /dev/shm: %v", err)
	}
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		dir, err := os.MkdirTemp("/dev/shm", "nightjar-vfs-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return vfs.OS(), dir
	})
}

func TestAlignedBytes(t *testing.T) {
	for _, n := range []int{0, 1, 511, 4095, 4096, 4097, 1 << 20} {
		b := vfs.AlignedBytes(n)
		if len(b) != n || cap(b) != n {
			t.Errorf("AlignedBytes(%d): length %d, capacity %d", n, len(b), cap(b))
		}
		if n%vfs.BlockSize == 0 && !vfs.Aligned(b, 0) {
			t.Errorf("AlignedBytes(%d) is not aligned", n)
		}
		if n == 2*vfs.BlockSize && vfs.Aligned(b[1:], 0) {
			t.Errorf("an odd address passes for aligned")
		}
	}
}
