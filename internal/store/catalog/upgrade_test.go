package catalog

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpgrade runs steps that the test brings along, through success, failure in the middle and a repetition.
func TestUpgrade(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	c := f.writer
	add := func(name string) step {
		return func(tx *conn) error { return tx.exec("create table " + name + " (x integer)") }
	}
	fail := errors.New("no room")
	f.mu.Lock()
	defer f.mu.Unlock()
	err := c.upgrade(ctx, 1, 3, []step{add("second"), func(*conn) error { return fail }})
	if !errors.Is(err, fail) || !strings.Contains(err.Error(), "from version 2 to 3") {
		t.Errorf("failed step: %v", err)
	}
	if v, err := c.schemaVersion(); v != 1 || err != nil {
		t.Errorf("after a failure: version %d, %v", v, err)
	}
	if n, _ := c.queryInt("select count(*) from sqlite_schema where name = 'second'"); n != 0 {
		t.Error("a failed upgrade left a table")
	}
	if err := c.upgrade(ctx, 1, 3, []step{add("second"), add("third")}); err != nil {
		t.Fatal(err)
	}
	if v, err := c.schemaVersion(); v != 3 || err != nil {
		t.Errorf("version %d, %v", v, err)
	}
	if err := c.upgrade(ctx, 3, 4, []step{add("x")}); err == nil {
		t.Error("missing steps went unnoticed")
	}
	if len(steps) != schemaVersion-1 {
		t.Errorf("%d steps lead to version %d", len(steps), schemaVersion)
	}
}

// TestReadAfterKill copies the files of an open catalog, as a kill would leave them, and opens the copy both ways: the
// reader must see what only the WAL holds.
func TestReadAfterKill(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	f.flush(t, f.describe(0, 1, minute))
	for _, mode := range []Mode{ReadOnly, ReadWrite} {
		dir := t.TempDir()
		for _, name := range []string{FileName, FileName + "-wal"} {
			copyFile(t, filepath.Join(f.options.Dir, name), filepath.Join(dir, name))
		}
		c, err := Open(ctx, options(dir, mode))
		if err != nil {
			t.Fatal(err)
		}
		other := &fixture{Catalog: c}
		if got := other.list(t, 1, 0, 1<<60); len(got) != 1 {
			t.Errorf("mode %d: listed %v", mode, got)
		}
		other.verified(t)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	out.Close()
}

// TestClosed expects calls after Close to fail and Close to be harmless twice.
func TestClosed(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Cameras(ctx); err == nil {
		t.Error("read after close")
	}
	if err := f.SetSetting(ctx, "a", "1"); err == nil {
		t.Error("wrote after close")
	}
	if _, err := os.Stat(filepath.Join(f.options.Dir, FileName+"-wal")); err == nil {
		t.Error("the WAL was not folded in")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	g := newFixture(t)
	if err := g.SetSetting(cancelled, "a", "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled write: %v", err)
	}
	if err := g.SetSetting(ctx, "a", "1"); err != nil {
		t.Errorf("after a cancelled one: %v", err)
	}
}

// TestSchemaPage expects docs/format/catalog.md to name every table and column.
func TestSchemaPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/format/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	err = f.read(context.Background(), func(tx *conn) error {
		const sql = "select m.name, c.name from sqlite_schema m join pragma_table_info(m.name) c where m.type = 'table' and m.name not like 'sqlite%'"
		return tx.query(sql, func(r *row) error {
			if table, column := r.text(), r.text(); !strings.Contains(string(page), "`"+column+"`") || !strings.Contains(string(page), "### "+table+"\n") {
				t.Errorf("the page does not explain %s.%s", table, column)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
