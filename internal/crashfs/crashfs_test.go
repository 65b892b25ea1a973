package crashfs_test

import (
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/vfs"
	"nightjar/internal/store/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return crashfs.New("/data/samples"), "/data/samples" })
}

func TestConformanceVolatile(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		f := crashfs.New()
		f.Mount("/run/nightjar", crashfs.MountOptions{Volatile: true, Capacity: 256 << 20, Inodes: 1000, NoDirect: true})
		f.Record()
		return f, "/run/nightjar"
	})
}
