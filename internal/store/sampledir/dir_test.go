package sampledir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

var (
	catalogA = recording.UUID{0xa}
	catalogB = recording.UUID{0xb}
	open1    = OpenRef{1, recording.UUID{1}}
	open2    = OpenRef{2, recording.UUID{2}}
	open3    = OpenRef{3, recording.UUID{3}}
)

// registered makes a directory of catalogA, completely opened by open1 and closed again.
func registered(t *testing.T, fsys vfs.FS, path string) Expect {
	t.Helper()
	d, err := Create(fsys, path, catalogA, open1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.MarkComplete(), d.Close()); err != nil {
		t.Fatal(err)
	}
	return Expect{CatalogUUID: catalogA, DirUUID: d.UUID(), LastCompleteOpen: &open1}
}

// reopen goes through the whole protocol with the given open.
func reopen(fsys vfs.FS, path string, want Expect, open OpenRef) error {
	d, err := Open(fsys, path, want, ReadWrite)
	if err != nil {
		return err
	}
	return errors.Join(d.MarkInProgress(open), d.MarkComplete(), d.Close())
}

func TestOpenProtocol(t *testing.T) {
	fsys, path := vfs.OS(), t.TempDir()
	want := registered(t, fsys, path)
	if err := reopen(fsys, path, want, open2); err != nil {
		t.Fatal(err)
	}
	want.LastCompleteOpen = &open2
	d, err := Open(fsys, path, want, ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := d.Meta()
	if m.InProgress != nil || m.LastComplete == nil || *m.LastComplete != open2 {
		t.Errorf("meta after a complete open: %+v", m)
	}
	if err := d.MarkInProgress(open3); err == nil {
		t.Error("a read-only directory took a mark")
	}
	if names, _ := fsys.ReadDir(path); len(names) != 1 || names[0] != MetaName {
		t.Errorf("left behind: %v", names)
	}
	info, err := fsys.Stat(filepath.Join(path, MetaName))
	if err != nil || info.Size != MetaSize {
		t.Errorf("meta is %d bytes, %v", info.Size, err)
	}
}

func TestReadOnlySharing(t *testing.T) {
	fsys, path := vfs.OS(), t.TempDir()
	want := registered(t, fsys, path)
	a, err := Open(fsys, path, want, ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(fsys, path, want, ReadOnly)
	if err != nil {
		t.Fatalf("second reader: %v", err)
	}
	if _, err := Open(fsys, path, want, ReadWrite); !is(err, InUse) {
		t.Errorf("writer beside readers: %v", err)
	}
	a.Close()
	b.Close()
	w, err := Open(fsys, path, want, ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{ReadOnly, ReadWrite} {
		if _, err := Open(fsys, path, want, mode); !is(err, InUse) {
			t.Errorf("mode %d beside a writer: %v", mode, err)
		}
	}
	if _, err := Create(fsys, path, catalogB, open1); !is(err, InUse) {
		t.Errorf("create beside a writer: %v", err)
	}
	w.Close()
}

func is(err error, what What) bool {
	var e *MismatchError
	return errors.As(err, &e) && e.What == what
}

func TestDeleteThenAddAgain(t *testing.T) {
	fsys, path := vfs.OS(), t.TempDir()
	want := registered(t, fsys, path)
	d, err := Open(fsys, path, want, ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.MarkInProgress(open2), d.MarkComplete()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, recording.NewID(1, 7).FileName())
	if err := os.WriteFile(file, []byte{1}, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(open2); !is(err, HasFiles) {
		t.Errorf("deleted with a sample file in it: %v", err)
	}
	os.Remove(file)
	if err := d.Delete(open2); err != nil {
		t.Fatal(err)
	}
	d.Close()
	// The row may still be there: a crash before it was deleted.
	want.LastCompleteOpen = &open2
	if d, err = Open(fsys, path, want, ReadOnly); err != nil {
		t.Fatalf("open between delete and row: %v", err)
	}
	d.Close()
	again, err := Create(fsys, path, catalogB, open1)
	if err != nil {
		t.Fatalf("add again: %v", err)
	}
	if again.UUID() == want.DirUUID {
		t.Error("the directory kept its UUID")
	}
	if err := errors.Join(again.MarkComplete(), again.Close()); err != nil {
		t.Fatal(err)
	}
}
