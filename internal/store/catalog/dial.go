package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	sqlitevfs "github.com/ncruces/go-sqlite3/vfs"

	"nightjar/internal/store/vfs"
)

// minSQLite is the oldest library that may write: earlier ones can corrupt a database when a WAL is reset.
var minSQLite = [3]int{3, 51, 3}

// dialer opens connections to one database: through SQLite's own access to the operating system, or through a vfs.FS.
type dialer interface {
	dial(ctx context.Context, flags sqlite3.OpenFlag) (*conn, error)
	flags() sqlite3.OpenFlag // of the first connection
	single() bool            // whether there can be only one connection
	close()
}

func newDialer(o Options) (dialer, error) {
	path := filepath.Join(o.Dir, FileName)
	if o.FS == vfs.OS() {
		return osDialer{path: path, mode: o.Mode}, nil
	}
	d := &fsDialer{path: path, shim: &shim{fsys: o.FS, dir: o.Dir}}
	d.name = fmt.Sprintf("nightjar-%p", d)
	sqlitevfs.Register(d.name, d.shim)
	return d, nil
}

// osDialer is the normal way: several connections that share the WAL index in a mapped file.
type osDialer struct {
	path string
	mode Mode
}

func (d osDialer) flags() sqlite3.OpenFlag {
	if d.mode == ReadOnly {
		return sqlite3.OPEN_READONLY
	}
	return sqlite3.OPEN_READWRITE
}

func (d osDialer) single() bool { return false }
func (d osDialer) close()       {}

func (d osDialer) dial(ctx context.Context, flags sqlite3.OpenFlag) (*conn, error) {
	return dialWith(ctx, d.path, flags, false)
}

// fsDialer carries the database over a vfs.FS: for file systems that fail on purpose. Without shared memory for the WAL
// index there is one connection, in exclusive locking mode; the lock on the data directory keeps others out.
type fsDialer struct {
	path string
	name string
	shim *shim
}

func (d *fsDialer) flags() sqlite3.OpenFlag { return sqlite3.OPEN_READWRITE }
func (d *fsDialer) single() bool            { return true }
func (d *fsDialer) close()                  { sqlitevfs.Unregister(d.name) }

func (d *fsDialer) dial(ctx context.Context, flags sqlite3.OpenFlag) (*conn, error) {
	uri := "file:" + (&pathEscaper).Replace(d.path) + "?vfs=" + d.name
	return dialWith(ctx, uri, flags|sqlite3.OPEN_URI, true)
}

var pathEscaper = *strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23")

// pragmas set up a connection. The page size counts only when the database is made: small pages, because a flush of N
// streams rewrites about one page of each table per stream. cache_size is in KiB when negative.
const pragmas = `
pragma page_size=1024;
pragma auto_vacuum=none;
pragma busy_timeout=10000;
pragma foreign_keys=on;
pragma synchronous=full;
pragma cache_size=-1024;
pragma temp_store=memory;
pragma mmap_size=0;
pragma trusted_schema=off;
pragma cell_size_check=on;
pragma journal_size_limit=8388608;
pragma wal_autocheckpoint=4000;
`

func dialWith(ctx context.Context, name string, flags sqlite3.OpenFlag, exclusive bool) (*conn, error) {
	db, err := sqlite3.OpenFlags(name, flags)
	if err != nil {
		return nil, err
	}
	c := newConn(db)
	db.SetInterrupt(ctx)
	err = c.setUp(flags, exclusive)
	db.SetInterrupt(context.Background())
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) setUp(flags sqlite3.OpenFlag, exclusive bool) error {
	if exclusive {
		// Before the first look at the file: a WAL without shared memory can only be read in this mode.
		if err := c.db.Exec("pragma locking_mode=exclusive"); err != nil {
			return err
		}
	}
	if err := c.db.Exec(pragmas); err != nil {
		return err
	}
	if err := c.checkLibrary(); err != nil {
		return err
	}
	if flags&sqlite3.OPEN_READONLY != 0 {
		return nil
	}
	return c.wantText("pragma journal_mode=wal", "wal")
}

// wantText runs a pragma and insists on its answer.
func (c *conn) wantText(sql, want string) error {
	s, _, err := c.db.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	if !s.Step() {
		return fmt.Errorf("%s: no answer: %w", sql, s.Err())
	}
	if got := s.ColumnText(0); got != want {
		return fmt.Errorf("%s: answered %q", sql, got)
	}
	return nil
}

func (c *conn) checkLibrary() error {
	var text string
	if err := c.queryRow("select sqlite_version()", func(r *row) { text = r.text() }); err != nil {
		return err
	}
	var v [3]int
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return fmt.Errorf("version of SQLite %q: %w", text, err)
	}
	for i := range v {
		if v[i] != minSQLite[i] {
			if v[i] < minSQLite[i] {
				return fmt.Errorf("SQLite %s is too old: at least %d.%d.%d is needed", text, minSQLite[0], minSQLite[1], minSQLite[2])
			}
			break
		}
	}
	return nil
}
