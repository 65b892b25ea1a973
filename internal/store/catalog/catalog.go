// Package catalog keeps what is known about cameras, streams, directories and recordings in one SQLite database, the
// file catalog.db of the data directory (schema.sql, docs/format/catalog.md). It is the only place where SQL is spoken;
// its methods are the seam.
//
// Nouns: an open is one opening for writing, numbered and named by a UUID; a flush is one transaction that adds the rows
// of complete recordings; garbage is a sample file whose row is gone. Counters that start-up, calendars and quotas need
// (usage, hour) are kept by the transactions that add and delete recordings, so nothing ever scans the rows.
//
// Invariants: every transaction is durable when its method returns (WAL, synchronous=FULL); a recording has a row, or a
// garbage row, or neither, never two of them; ids are reserved durably before they are used; usage and hour equal the
// sums over the rows. Only package archive calls the methods that change recordings together with files: Flush,
// MarkGarbage, ForgetGarbage.
//
// The data directory is locked, exclusively for writing, shared for reading. All methods may be called concurrently:
// one connection writes, under a mutex that is held during the transaction's disk writes; at most two others read, each
// seeing the last commit. Nothing runs in the background; checkpoints of the WAL happen within commits.
package catalog

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/store/vfs"
)

// FileName is the database's name in the data directory.
const FileName = "catalog.db"

// Mode says what a catalog is opened for.
type Mode int

// The modes. Any number of readers share a data directory; a writer has it alone.
const (
	ReadOnly Mode = iota
	ReadWrite
)

// Options say which catalog to open, and how. All fields but FS are required; BootID only for ReadWrite.
type Options struct {
	FS     vfs.FS           // nil: vfs.OS(). Another one carries the database too, over a single connection
	Dir    string           // the data directory
	Mode   Mode             //
	Now    func() time.Time // the server's clock; with a monotonic reading, if open durations are to be right
	BootID string           // the machine's boot, for the open's row
}

// Catalog is an open catalog.
type Catalog struct {
	options Options
	uuid    recording.UUID
	open    OpenRow // of this opening; zero in mode ReadOnly
	began   time.Time
	lock    io.Closer
	dialect dialer
	entries entryCache

	mu     sync.Mutex // held during a transaction
	writer *conn      // guarded by mu; in mode ReadOnly nil
	closed bool       // guarded by mu

	// readers holds the free reading connections; nil ones are opened at first use. In single-connection mode it is nil
	// and reads go through writer.
	readers chan *conn
}

// maxReaders is how many connections read at once; each costs an address range and a page cache.
const maxReaders = 2

//go:embed schema.sql
var schemaSQL string

// Init makes a new catalog in a data directory that exists and has none.
func Init(ctx context.Context, o Options) error {
	o = o.withDefaults()
	o.Mode = ReadWrite
	lock, err := lockDataDir(o)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := create(ctx, o); err != nil {
		return fmt.Errorf("create catalog in %s: %w", o.Dir, err)
	}
	return nil
}

// create makes the file, and its name durable, before SQLite sees it: SQLite passes over some errors of directory syncs.
func create(ctx context.Context, o Options) error {
	f, err := o.FS.OpenFile(filepath.Join(o.Dir, FileName), vfs.Options{Write: true, Create: true})
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), o.FS.SyncDir(o.Dir)); err != nil {
		return err
	}
	d, err := newDialer(o)
	if err != nil {
		return err
	}
	defer d.close()
	c, err := d.dial(ctx, sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	return errors.Join(initSchema(ctx, c, media.WallTimeOf(o.Now())), c.close())
}

func initSchema(ctx context.Context, c *conn, now media.WallTime) error {
	v, err := c.schemaVersion()
	if err != nil {
		return err
	}
	if v != 0 {
		return fmt.Errorf("there is one: %w", ErrExists)
	}
	return c.transaction(ctx, func() error {
		if err := c.db.Exec(schemaSQL); err != nil {
			return err
		}
		if err := c.exec("insert into meta (id, uuid, created_90k) values (1, ?, ?)", newUUID(), int64(now)); err != nil {
			return err
		}
		return c.db.Exec(fmt.Sprintf("pragma application_id=%d; pragma user_version=%d", applicationID, schemaVersion))
	})
}

// Open opens the catalog of a data directory. In mode ReadWrite it upgrades an older schema and adds the row of this
// open.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	o = o.withDefaults()
	lock, err := lockDataDir(o)
	if err != nil {
		return nil, err
	}
	c := &Catalog{options: o, lock: lock, began: o.Now()}
	if err := c.start(ctx); err != nil {
		c.shut()
		err = explain(ctx, err)
		return nil, fmt.Errorf("open catalog in %s: %w", o.Dir, err)
	}
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	return o
}

func lockDataDir(o Options) (io.Closer, error) {
	lock, err := o.FS.Lock(o.Dir, o.Mode == ReadWrite)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("data directory %s is in use by another process; stop it, or ask the running server: %w", o.Dir, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data directory %s does not exist; make it, or correct the path: %w", o.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("lock data directory %s: %w", o.Dir, err)
	}
	return lock, nil
}

func (c *Catalog) start(ctx context.Context) (err error) {
	if _, err := c.options.FS.Stat(filepath.Join(c.options.Dir, FileName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w there; make one with \"nightjar init --data %s\"", ErrNoCatalog, c.options.Dir)
	} else if err != nil {
		return err
	}
	if c.dialect, err = newDialer(c.options); err != nil {
		return err
	}
	first, err := c.dialect.dial(ctx, c.dialect.flags())
	if err != nil {
		return err
	}
	if c.options.Mode == ReadWrite {
		c.writer = first
	}
	if !c.dialect.single() {
		c.readers = make(chan *conn, maxReaders)
		for range maxReaders - 1 {
			c.readers <- nil
		}
		if c.options.Mode == ReadOnly {
			c.readers <- first
		} else {
			c.readers <- nil
		}
	} else if c.writer == nil {
		c.writer = first
	}
	if err := first.checkVersion(ctx, c.options.Mode); err != nil {
		return err
	}
	if err := first.queryRow("select uuid from meta", func(r *row) { c.uuid = r.uuid() }); err != nil {
		return err
	}
	if c.options.Mode == ReadOnly {
		return nil
	}
	if err := c.insertOpen(ctx); err != nil {
		return err
	}
	// The WAL exists from that first transaction on, until Close. The SQLite library at hand syncs the file itself where
	// it means to sync the directory, so its name is made durable here.
	return c.options.FS.SyncDir(c.options.Dir)
}

func (c *Catalog) insertOpen(ctx context.Context) error {
	o := OpenRow{BootID: c.options.BootID, Start: media.WallTimeOf(c.began)}
	o.UUID = newUUID()
	return c.write(ctx, func(tx *conn) error {
		id, err := tx.queryInt("select coalesce(max(id), 0) + 1 from open")
		if err != nil {
			return err
		}
		o.ID = uint32(id)
		c.open = o
		return tx.exec("insert into open (id, uuid, boot_id, start_90k) values (?, ?, ?, ?)", id, o.UUID, o.BootID, int64(o.Start))
	})
}

// Close ends the open: its row gets the end time, the WAL is folded into the database, the lock is given back.
func (c *Catalog) Close() error {
	var err error
	if c.options.Mode == ReadWrite {
		err = c.write(context.Background(), func(tx *conn) error { return c.touchOpen(tx) })
	}
	return errors.Join(err, c.shut())
}

// shut closes what is open, whatever that is. It waits for reads under way.
func (c *Catalog) shut() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var errs []error
	if c.readers != nil {
		for range maxReaders {
			if r := <-c.readers; r != nil {
				errs = append(errs, r.close())
			}
		}
		close(c.readers)
	}
	if c.writer != nil {
		errs = append(errs, c.writer.close())
	}
	if c.dialect != nil {
		c.dialect.close()
	}
	return errors.Join(append(errs, c.lock.Close())...)
}

// UUID returns the catalog's identity.
func (c *Catalog) UUID() recording.UUID { return c.uuid }

// CurrentOpen returns the row of this opening; the zero value in mode ReadOnly.
func (c *Catalog) CurrentOpen() OpenRow { return c.open }

// Opens calls yield for every open, the oldest first.
func (c *Catalog) Opens(ctx context.Context) (opens []OpenRow, err error) {
	err = c.read(ctx, func(tx *conn) error {
		const sql = "select id, uuid, boot_id, start_90k, coalesce(end_90k, 0), coalesce(duration_90k, 0) from open order by id"
		return tx.query(sql, func(r *row) error {
			opens = append(opens, OpenRow{
				OpenRef: sampledir.OpenRef{ID: uint32(r.int64()), UUID: r.uuid()}, BootID: r.text(),
				Start: media.WallTime(r.int64()), End: media.WallTime(r.int64()), Duration: media.WallDuration(r.int64()),
			})
			return nil
		})
	})
	return opens, err
}

// touchOpen notes in a transaction that this open lives.
func (c *Catalog) touchOpen(tx *conn) error {
	now := c.options.Now()
	return tx.exec("update open set end_90k = ?, duration_90k = ? where id = ?",
		int64(media.WallTimeOf(now)), int64(media.WallDurationOf(now.Sub(c.began))), c.open.ID)
}

// now returns the server's clock.
func (c *Catalog) now() media.WallTime { return media.WallTimeOf(c.options.Now()) }

var errClosed = errors.New("catalog is closed")

// write runs f in a transaction that is durable when write returns without error.
func (c *Catalog) write(ctx context.Context, f func(tx *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.options.Mode == ReadOnly:
		return ErrReadOnly
	case c.closed:
		return errClosed
	}
	return explain(ctx, c.writer.transaction(ctx, func() error { return f(c.writer) }))
}

// explain marks errors by which SQLite says that its file is broken, or that ctx ended.
func explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, sqlite3.NOTADB) || errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// read runs f on a connection that sees one committed state of the catalog. f must not call methods of c.
func (c *Catalog) read(ctx context.Context, f func(tx *conn) error) error {
	if c.readers == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return errClosed
		}
		return explain(ctx, c.writer.snapshot(ctx, f))
	}
	var r *conn
	var ok bool
	select {
	case r, ok = <-c.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !ok {
		return errClosed
	}
	if r == nil {
		var err error
		if r, err = c.dialect.dial(ctx, sqlite3.OPEN_READONLY); err != nil {
			c.readers <- nil
			return fmt.Errorf("open another connection to the catalog: %w", err)
		}
	}
	defer func() { c.readers <- r }()
	return explain(ctx, r.snapshot(ctx, f))
}

// snapshot runs f in a reading transaction.
func (c *conn) snapshot(ctx context.Context, f func(tx *conn) error) error {
	old := c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(old)
	if err := c.db.Exec("begin"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f(c)
	c.db.SetInterrupt(context.Background())
	if end := c.db.Exec("rollback"); end != nil && !c.db.GetAutocommit() {
		err = errors.Join(err, fmt.Errorf("end of reading: %w", end))
	}
	return err
}

// newUUID returns a random UUID (RFC 9562 section 5.4). crypto/rand does not fail.
func newUUID() (u recording.UUID) {
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
