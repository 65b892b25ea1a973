package nvr

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/virtual"
	"nightjar/internal/server/api"
	"nightjar/internal/server/webui"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/retention"
	"nightjar/internal/sys/host"
	"nightjar/internal/watch/deliver"
	"nightjar/internal/watch/view"
)

// openStore opens the archive with the memory that it may use.
func (n *NVR) openStore(ctx context.Context) error {
	boot, err := host.Host{}.BootID()
	if err != nil {
		return fmt.Errorf("read the machine's boot id: %w", err)
	}
	volatile, err := volatileDirectory()
	if err != nil {
		n.o.Log.Warn("no memory file system for open blocks; they stay in the sample file directories", "err", err)
	}
	n.archive, err = archive.Open(ctx, archive.Options{
		Data: n.config.Data, ReadOnly: n.config.ReadOnly, Boot: recording.UUID(boot), Volatile: volatile,
		BlockBytes: n.memory(), StreamBytes: n.memory() / 2, Now: time.Now, Log: n.o.Log,
	})
	if err != nil {
		return err
	}
	n.catalog = n.archive.Catalog()
	n.retention = n.retainer()
	return nil
}

// memory returns how much the buffers may take: what the configuration says, or a quarter of what the machine or the
// cgroup has, at least 24 MiB and at most 512 MiB. A 32-bit program gets 32 MiB at most by default: each sample file
// directory maps that much address space.
func (n *NVR) memory() int64 {
	if n.config.Memory > 0 {
		return int64(n.config.Memory)
	}
	m, err := host.Host{}.Memory()
	if err != nil {
		return 32 << 20
	}
	most := int64(512 << 20)
	if strconv.IntSize == 32 {
		most = 32 << 20
	}
	return min(max(m.Limit/4, 24<<20), most)
}

// volatileDirectory returns a directory of this user alone on a memory file system, for what must outlive the process
// and not the machine; "" if there is none.
func volatileDirectory() (string, error) {
	for _, parent := range []string{os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if parent == "" {
			continue
		}
		dir := filepath.Join(parent, fmt.Sprintf("nightjar-%d", os.Geteuid()))
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		// In a directory that everybody may write to, somebody else may have been first.
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
			return "", fmt.Errorf("%s belongs to somebody else or is open to others", dir)
		}
		return dir, nil
	}
	return "", errors.New("none of $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR and /dev/shm can be used")
}

// close closes the archive with the catalog.
func (n *NVR) close() error { return n.archive.Close() }

// handler is everything that is served.
func (n *NVR) handler(address string) http.Handler {
	mux := http.NewServeMux()
	h := api.Handler(api.Options{
		Catalog: n.catalog, Archive: n.archive, NVR: n, Metrics: n.metrics, Log: n.o.Log, Zone: n.zone, Now: time.Now,
		Version: n.o.Version, Started: n.began, Address: address,
		Views: n.views(),
	})
	for _, path := range []string{"/api/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, h)
	}
	mux.Handle("/", webui.Handler())
	return mux
}

// readable is the archive as package view needs it.
type readable struct{ *archive.Archive }

func (r readable) OpenSamples(id recording.ID) (virtual.Source, error) {
	return r.Archive.OpenSamples(id)
}

// views makes what serves spans.
func (n *NVR) views() *deliver.Handler {
	return deliver.New(deliver.Options{
		Views: view.New(readable{n.archive}, view.Options{}), Zone: n.zone, Log: n.o.Log,
		ParseTime: func(text string) (media.WallTime, error) { return api.ParseWhen(text, time.Now().In(n.zone)) },
	})
}

// DirectoryState tells how a sample file directory is.
func (n *NVR) DirectoryState(id catalog.DirectoryID) api.DirectoryState {
	var s api.DirectoryState
	d, err := n.catalog.Directory(context.Background(), id)
	if err != nil {
		return api.DirectoryState{Err: err}
	}
	s.Err = n.archive.Err(id)
	if space, err := n.fs.Space(d.Path); err == nil {
		s.Total, s.Available = space.Total, space.Available
	}
	if info, err := n.fs.Stat(d.Path); err == nil {
		s.Device = info.Device
	}
	s.Floor = retention.DefaultFloor(s.Total)
	if d.MinFree != nil {
		s.Floor = *d.MinFree
	}
	return s
}
