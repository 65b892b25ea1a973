// Package front is the server's doors: one TCP address for browsers and scripts, and a Unix socket in the data directory
// for the commands of the user who runs the server.
//
// The TCP door is open on loopback only as long as there are no logins (package config refuses other addresses), so it
// guards against what reaches loopback all the same: other sites' pages in the user's browser. A request must name a
// loopback host (against DNS rebinding), and one that changes something must not come from another origin
// (http.CrossOriginProtection). Behind the socket stands the file system: mode 0600 in a directory of mode 0700, and the
// peer's user must be ours or root.
//
// Headers, bodies and idle times are bounded. Run blocks until ctx ends, gives requests a moment to finish and closes.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Options describe the doors.
type Options struct {
	Handler http.Handler
	Log     *slog.Logger
	// Grace is how long requests may go on when the server stops; 0 is 5 s.
	Grace time.Duration
}

const (
	maxHeader   = 16 << 10
	maxBody     = 1 << 20
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	defaultWait = 5 * time.Second
)

// Listen opens the TCP door. Its error tells what to do.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is taken by another program, perhaps by another Nightjar: stop it, or choose another address with --listen", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("the port of %s is reserved for root: choose one above 1023 with --listen", address)
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}

// ListenSocket opens the socket at path, replacing one that nobody serves any more. The caller holds the data directory's
// lock, so a socket that is there is left over.
func ListenSocket(path string) (net.Listener, error) {
	if len(path) > 100 {
		return nil, fmt.Errorf("the path of the socket %s is longer than Unix sockets take (100 bytes): choose a data directory with a shorter path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace the socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protect the socket: %w", err)
	}
	return peers{l}, nil
}

// Run serves the listeners until ctx ends.
func Run(ctx context.Context, o Options, tcp, socket net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := func(h http.Handler) *http.Server {
		return &http.Server{
			Handler: bounded(h), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
			ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return base },
		}
	}
	doors := map[net.Listener]*http.Server{}
	if tcp != nil {
		doors[tcp] = server(guarded(o.Handler))
	}
	if socket != nil {
		doors[socket] = server(o.Handler)
	}
	g, failed := errgroup.WithContext(ctx) // ends with ctx, or when a door fails
	for l, s := range doors {
		g.Go(func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	<-failed.Done()
	wait := o.Grace
	if wait == 0 {
		wait = defaultWait
	}
	limit, stop := context.WithTimeout(base, wait)
	defer stop()
	for _, s := range doors {
		if s.Shutdown(limit) != nil {
			cancel() // what still runs sees its context end
			s.Close()
		}
	}
	return g.Wait()
}

// bounded limits what a request may send.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	})
}

// guarded refuses what other sites' pages could make the user's browser send.
func guarded(h http.Handler) http.Handler {
	var origin http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, "This server answers on its loopback address only; use http://127.0.0.1 or http://localhost with its port.")
			return
		}
		if err := origin.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "A page of another site may not change anything here.")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"title\":%q,\"status\":%d,\"detail\":%q}\n", http.StatusText(status), status, sentence)
}

// loopbackHost reports whether a Host header names this machine's loopback.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// peers is a Unix listener that takes connections of our own user and of root only.
type peers struct{ net.Listener }

func (p peers) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil || sameUser(c) {
			return c, err
		}
		c.Close()
	}
}

// sameUser asks the kernel who is on the other side (unix(7), SO_PEERCRED).
func sameUser(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	same := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		same = err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
	})
	return err == nil && same
}
