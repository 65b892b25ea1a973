package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// client speaks the API over the Unix socket of a data directory.
type client struct {
	http.Client
	offline bool // no server runs: this process serves the socket for the while
}

// defaultData is the data directory of commands that name none.
func defaultData() string {
	if dir := os.Getenv("NIGHTJAR_DATA"); dir != "" {
		return dir
	}
	return config.Default().Data
}

// with calls f with a client for the data directory: of the server that runs there or, if none does, of one that this
// process runs for the while, without cameras and without a page, so that the result is the same.
func with(ctx context.Context, data string, f func(*client) error) error {
	c, running, err := dial(data)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	if running {
		return f(c)
	}
	return offline(ctx, data, c, f)
}

// dial returns a client for a data directory and whether a server runs there.
func dial(data string) (c *client, running bool, err error) {
	socket := filepath.Join(data, nvr.SocketName)
	c = &client{Client: http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}}
	probe, err := net.DialTimeout("unix", socket, time.Second)
	switch {
	case err == nil:
		probe.Close()
		return c, true, nil
	case errors.Is(err, os.ErrPermission):
		return nil, false, fmt.Errorf("the data directory %s belongs to another user; run this as that user or as root: %w", data, err)
	case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return nil, false, fmt.Errorf("the server of %s does not take connections on its socket: %w", data, err)
	}
	return c, false, nil
}

// offline runs a server without cameras around f.
func offline(ctx context.Context, data string, c *client, f func(*client) error) error {
	c.offline = true
	conf := config.Default()
	conf.Data = data
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- nvr.Run(ctx, conf, nvr.Options{
			Version: version, SocketOnly: true, Log: slog.New(slog.DiscardHandler), Ready: func(nvr.Info) { close(ready) },
		})
	}()
	select {
	case err := <-done:
		return errors.Join(err, context.Cause(ctx)) // nothing was done: interrupted, or it could not begin
	case <-ready:
	}
	err := f(c)
	c.CloseIdleConnections()
	stop()
	return errors.Join(err, <-done)
}

// call sends a request and decodes the answer into out, which may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://nightjar/api/v1"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := c.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode >= 300 {
		return problemOf(a)
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*json.RawMessage); ok {
		text, err := io.ReadAll(a.Body)
		*raw = text
		return err
	}
	return json.NewDecoder(a.Body).Decode(out)
}

// problemOf returns the sentence of a problem document.
func problemOf(a *http.Response) error {
	var p struct{ Detail string }
	text, err := io.ReadAll(io.LimitReader(a.Body, 64<<10))
	if err == nil && json.Unmarshal(text, &p) == nil && p.Detail != "" {
		return errors.New(p.Detail)
	}
	return fmt.Errorf("the server answered %s: %s", a.Status, strings.TrimSpace(string(text)))
}

// listing is a verb that prints what the API answers at path: as it is with --json, else as the table that show writes of
// list, into which the answer was read.
func listing(ctx context.Context, t terminal, v *verb, args []string, path string, list any, show func(w io.Writer)) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	asJSON := f.Bool("json", false, "print JSON")
	if _, err := parse(f, args); err != nil {
		return err
	}
	return with(ctx, *data, func(c *client) error {
		var raw json.RawMessage
		if err := c.call(ctx, "GET", path, nil, &raw); err != nil {
			return err
		}
		if *asJSON {
			_, err := t.out.Write(raw)
			return err
		}
		if err := json.Unmarshal(raw, list); err != nil {
			return err
		}
		w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
		show(w)
		return w.Flush()
	})
}
