// Package nvr builds every part of the server, runs them, and stops them in reverse.
//
// Run is the whole program as a function: tests and the commands call it in process. What it starts, from the outside in:
// the archive (ticks, flushes), retention, the doors, the cameras. It stops in reverse, by nesting: cameras end their runs
// with a reason, then the doors close, then the archive makes its last tick and flush, then the catalog is closed. An
// error of the archive or of a door ends everything; an error of a camera never does.
//
// NVR also is what the API changes running things through (api.NVR); its methods may be called concurrently, changes go
// one after the other.
package nvr

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/internal/camera"
	"nightjar/internal/camera/recorder"
	"nightjar/internal/server/api"
	"nightjar/internal/server/config"
	"nightjar/internal/server/front"
	"nightjar/internal/store/archive"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/retention"
	"nightjar/internal/store/vfs"
	"nightjar/internal/sys/metrics"
	"nightjar/internal/sys/secret"
)

const (
	// SocketName is the Unix socket in the data directory.
	SocketName = "nightjar.sock"
	// keyName is the file with the key that seals camera passwords.
	keyName = "secret.key"
)

// DefaultDirectory is the sample file directory that Init makes.
func DefaultDirectory(data string) string { return filepath.Join(data, "samples") }

// Options are what the configuration file does not say.
type Options struct {
	Version    string
	Log        *slog.Logger
	SocketOnly bool            // no page and no cameras: for the commands while no server runs
	Cameras    []api.NewCamera // added at the start if they are not there: the demo's
	Ready      func(Info)      // called once when the doors are open
}

// Info is what there is to say when the server is ready.
type Info struct {
	Address string // of the page; empty with SocketOnly
}

// NVR is a running server.
type NVR struct {
	config    config.Config
	o         Options
	catalog   *catalog.Catalog
	archive   *archive.Archive
	key       *secret.Key
	began     time.Time
	gate      camera.Gate
	launch    chan *running // to supervise
	quit      chan struct{} // closed when supervise has ended
	metrics   *metrics.Registry
	fs        vfs.FS
	zone      *time.Location
	retention *retention.Runner

	changing sync.Mutex // held while cameras or directories are changed; taken before mu

	mu      sync.Mutex
	closing bool                                 // guarded by mu: no change begins any more
	abort   context.CancelFunc                   // guarded by mu: ends the latest change
	running map[catalog.CameraID]*running        // guarded by mu
	slots   map[recording.StreamID]recorder.Slot // guarded by mu
}

// Init makes a data directory: the catalog, the key, and the default sample file directory. The directory itself must
// exist or its parent must; it must hold no catalog yet.
func Init(ctx context.Context, data string) error {
	if err := os.Mkdir(data, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the parent of %s does not exist; is its disk mounted? If so: mkdir -p %s", data, filepath.Dir(data))
		}
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("this user may not make the data directory; make it as root and give it to this user: %w", err)
		}
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := catalog.Init(ctx, catalog.Options{Dir: data, Now: time.Now}); err != nil {
		if errors.Is(err, catalog.ErrExists) {
			return fmt.Errorf("%s holds a catalog already; start it with `nightjar run --data %s`", data, data)
		}
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("this user may not write to %s; give the directory to this user, or run this as its owner: %w", data, err)
		}
		return err
	}
	if _, err := secret.CreateKey(filepath.Join(data, keyName)); err != nil {
		return err
	}
	conf := config.Default()
	conf.Data = data
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n, err := open(ctx, conf, Options{SocketOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return n.run(ctx, func(ctx context.Context) error {
		if err := os.Mkdir(DefaultDirectory(data), 0o700); err != nil {
			return fmt.Errorf("make the sample file directory: %w", err)
		}
		_, err := n.AddDirectory(ctx, DefaultDirectory(data))
		return err
	})
}

// Run is the server: it opens the data directory and serves until ctx ends, then stops in order.
func Run(ctx context.Context, conf config.Config, o Options) (err error) {
	n, err := open(ctx, conf, o)
	if err != nil {
		return err
	}
	var tcp net.Listener
	if !o.SocketOnly {
		if tcp, err = front.Listen(conf.Listen); err != nil {
			return errors.Join(err, n.close())
		}
	}
	socket, err := front.ListenSocket(filepath.Join(conf.Data, SocketName))
	if err != nil {
		if tcp != nil {
			tcp.Close()
		}
		return errors.Join(err, n.close())
	}
	return n.run(ctx, func(ctx context.Context) error { return n.serve(ctx, tcp, socket) })
}

// open opens catalog and archive and what completes them; nothing runs yet.
func open(ctx context.Context, conf config.Config, o Options) (*NVR, error) {
	_, err := os.Stat(filepath.Join(conf.Data, catalog.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no catalog in %s: is its disk mounted? If this is to become a new data directory: nightjar init --data %s", conf.Data, conf.Data)
	}
	n := &NVR{config: conf, o: o, began: time.Now(), running: map[catalog.CameraID]*running{}, launch: make(chan *running), quit: make(chan struct{}), metrics: metrics.New(), fs: vfs.OS(), zone: siteZone()}
	n.gate.Limit = conf.Connects
	n.key, err = secret.OpenKey(filepath.Join(conf.Data, keyName))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the data directory %s belongs to another user; run this as that user: %w", conf.Data, err)
	}
	if err != nil {
		return nil, err
	}
	return n, n.openStore(ctx)
}

// run runs the archive around f and closes everything afterwards.
func (n *NVR) run(ctx context.Context, f func(context.Context) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		err := n.archive.Run(outer)
		if err != nil {
			cancel(err)
		}
		return err
	})
	err := f(inner)
	stop()
	if runErr := g.Wait(); runErr != nil && !errors.Is(err, runErr) {
		err = errors.Join(err, runErr)
	}
	return errors.Join(err, n.close())
}

// serve opens the doors, starts cameras and retention, and blocks until ctx ends or one of them fails.
func (n *NVR) serve(ctx context.Context, tcp, socket net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address := ""
	if tcp != nil {
		address = tcp.Addr().String()
	}
	// The doors stay open until the cameras have ended their runs: a request that waits for one gets its answer.
	doors, closeDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer closeDoors()
	var open, inside errgroup.Group
	open.Go(func() error {
		defer cancel()
		return front.Run(doors, front.Options{Handler: n.handler(address), Log: n.o.Log}, tcp, socket)
	})
	inside.Go(func() error { return n.supervise(ctx) })
	if !n.o.SocketOnly && !n.config.ReadOnly {
		inside.Go(func() error { return n.retain(ctx) })
	}
	err := n.measure(ctx)
	if err == nil {
		err = n.begin(ctx)
	}
	if err == nil {
		if n.o.Ready != nil {
			n.o.Ready(Info{Address: address})
		}
		<-ctx.Done()
	}
	if stopping := ctx.Err() != nil; stopping && (errors.Is(err, context.Canceled) || errors.Is(err, errStopping)) {
		err = nil // it was stopped before it had begun
	}
	cancel()
	err = errors.Join(err, inside.Wait())
	closeDoors()
	err = errors.Join(err, open.Wait())
	n.settle()
	return err
}

// begin adds the cameras of Options and starts all there are. One that is known by its name gets the streams' addresses
// of Options: the demo's change each time.
func (n *NVR) begin(ctx context.Context) error {
	n.changing.Lock() // the doors are open already
	defer n.changing.Unlock()
	known, err := n.catalog.Cameras(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]api.NewCamera{}
	for _, c := range n.o.Cameras {
		wanted[c.Name] = c
	}
	for _, c := range known {
		if w, ok := wanted[c.Name]; ok {
			if c, err = n.readdress(ctx, c.ID, w); err != nil {
				return err
			}
			delete(wanted, c.Name)
		}
		if err := n.start(ctx, c); err != nil {
			return err
		}
	}
	for _, c := range n.o.Cameras {
		if _, missing := wanted[c.Name]; !missing {
			continue
		}
		if _, err := n.addCamera(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// readdress gives a camera's streams the URLs of w.
func (n *NVR) readdress(ctx context.Context, id catalog.CameraID, w api.NewCamera) (catalog.Camera, error) {
	names, urls := w.Streams()
	return n.catalog.UpdateCamera(ctx, id, func(c *catalog.Camera) error {
		for i := range c.Streams {
			if at := slices.Index(names, c.Streams[i].Name); at >= 0 {
				c.Streams[i].URL = urls[at]
			}
		}
		return nil
	})
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() (u recording.UUID) {
	rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}
