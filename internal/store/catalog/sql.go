package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"nightjar/internal/store/recording"
)

// conn is one connection with its prepared statements. Not for concurrent use.
type conn struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
}

func newConn(db *sqlite3.Conn) *conn { return &conn{db: db, stmts: make(map[string]*sqlite3.Stmt)} }

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.db.Close()
}

// prepare returns the statement for a text, prepared at its first use. Texts are constants, so the map stays small.
func (c *conn) prepare(sql string, args []any) (*sqlite3.Stmt, error) {
	s := c.stmts[sql]
	if s == nil {
		var err error
		s, _, err = c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return nil, fmt.Errorf("prepare %q: %w", sql, err)
		}
		c.stmts[sql] = s
	}
	for i, arg := range args {
		if err := bind(s, i+1, arg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func bind(s *sqlite3.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case nil:
		return s.BindNull(i)
	case int64:
		return s.BindInt64(i, v)
	case int:
		return s.BindInt64(i, int64(v))
	case uint32:
		return s.BindInt64(i, int64(v))
	case bool:
		return s.BindBool(i, v)
	case string:
		return s.BindText(i, v)
	case recording.UUID:
		return s.BindBlob(i, v[:])
	case []byte:
		if len(v) == 0 {
			return s.BindNull(i)
		}
		return s.BindBlob(i, v)
	}
	return fmt.Errorf("bind argument %d: type %T", i, arg)
}

// exec runs a statement without result rows.
func (c *conn) exec(sql string, args ...any) error {
	s, err := c.prepare(sql, args)
	if err != nil {
		return err
	}
	return s.Exec()
}

// query runs a statement and calls yield for each result row.
func (c *conn) query(sql string, yield func(r *row) error, args ...any) error {
	s, err := c.prepare(sql, args)
	if err != nil {
		return err
	}
	r := row{stmt: s}
	for s.Step() {
		r.next = 0
		if err := yield(&r); err != nil {
			return errors.Join(err, s.Reset())
		}
	}
	// Reset reports what Step met.
	return s.Reset()
}

// errNoRow says that a query for one row had no result.
var errNoRow = errors.New("no such row")

// queryRow reads exactly one row.
func (c *conn) queryRow(sql string, yield func(r *row), args ...any) error {
	found := false
	err := c.query(sql, func(r *row) error { found = true; yield(r); return nil }, args...)
	if err == nil && !found {
		err = errNoRow
	}
	return err
}

// queryInt reads one integer.
func (c *conn) queryInt(sql string, args ...any) (v int64, err error) {
	err = c.queryRow(sql, func(r *row) { v = r.int64() }, args...)
	return v, err
}

// row reads the columns of a result row from left to right.
type row struct {
	stmt *sqlite3.Stmt
	next int
}

func (r *row) int64() int64 {
	v := r.stmt.ColumnInt64(r.next)
	r.next++
	return v
}

func (r *row) bool() bool { return r.int64() != 0 }

func (r *row) text() string {
	v := r.stmt.ColumnText(r.next)
	r.next++
	return v
}

// blob returns a copy of the column; nil if it is null or empty.
func (r *row) blob() []byte {
	raw := r.stmt.ColumnRawBlob(r.next)
	r.next++
	if len(raw) == 0 {
		return nil
	}
	return append([]byte(nil), raw...)
}

func (r *row) uuid() (u recording.UUID) {
	copy(u[:], r.stmt.ColumnRawBlob(r.next))
	r.next++
	return u
}

// null reports whether the next column is null, and passes over it if it is.
func (r *row) null() bool {
	if r.stmt.ColumnType(r.next) == sqlite3.NULL {
		r.next++
		return true
	}
	return false
}

// transaction runs f between begin and commit; an error of f, or of commit, leaves nothing behind.
func (c *conn) transaction(ctx context.Context, f func() error) error {
	old := c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(old)
	if err := c.db.Exec("begin immediate"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f()
	if err == nil {
		if err = c.db.Exec("commit"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	c.db.SetInterrupt(context.Background())
	if !c.db.GetAutocommit() {
		if rollback := c.db.Exec("rollback"); rollback != nil {
			err = errors.Join(err, fmt.Errorf("rollback: %w", rollback))
		}
	}
	return err
}
