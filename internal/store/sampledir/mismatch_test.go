package sampledir

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nightjar/internal/crashfs"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/vfs"
)

func put(t *testing.T, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fsys.OpenFile(name, vfs.Options{Write: true, Create: true, Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	f.Close()
}

func get(t *testing.T, fsys vfs.FS, name string) []byte {
	t.Helper()
	d := Dir{fsys: fsys, path: filepath.Dir(name)}
	data, err := d.readMeta()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMixUps plants every mix-up and expects it to be named, with both sides and the way out, and nothing to be written.
func TestMixUps(t *testing.T) {
	other := recording.UUID{0xcc}
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, fsys *crashfs.FS, want *Expect)
		what  What
		words []string // that the message must hold
	}{
		{"removed", func(t *testing.T, f *crashfs.FS, _ *Expect) { f.Remove(dirPath + "/meta"); f.Remove(dirPath) }, Missing, []string{"mount"}},
		{"a file", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			f.Remove(dirPath + "/meta")
			f.Remove(dirPath)
			put(t, f, dirPath, nil)
		}, NotDirectory, []string{"directory"}},
		{"not mounted", func(t *testing.T, f *crashfs.FS, _ *Expect) { f.Remove(dirPath + "/meta") }, NoMeta, []string{"empty", "not mounted"}},
		{"other disk", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			f.Remove(dirPath + "/meta")
			put(t, f, dirPath+"/holiday.jpg", []byte("x"))
		}, NoMeta, []string{"holiday.jpg", "right one"}},
		{"meta lost", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			f.Remove(dirPath + "/meta")
			put(t, f, dirPath+"/0000000100000001", []byte("x"))
		}, NoMeta, []string{"1 sample files", "rebuild"}},
		{"never registered", func(t *testing.T, f *crashfs.FS, _ *Expect) { put(t, f, dirPath+"/meta", nil) }, Unfinished, []string{"add it again"}},
		{"zeros", func(t *testing.T, f *crashfs.FS, _ *Expect) { put(t, f, dirPath+"/meta", make([]byte, 512)) }, Unfinished, []string{"add it again"}},
		{"cut", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			put(t, f, dirPath+"/meta", get(t, f, dirPath+"/meta")[:100])
		}, WrongSize, []string{"100 bytes", "512"}},
		{"long", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			put(t, f, dirPath+"/meta", append(get(t, f, dirPath+"/meta"), 0))
		}, WrongSize, []string{"513 bytes"}},
		{"long zeros", func(t *testing.T, f *crashfs.FS, _ *Expect) { put(t, f, dirPath+"/meta", make([]byte, 513)) }, WrongSize, []string{"513 bytes"}},
		{"torn", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			data := get(t, f, dirPath+"/meta")
			data[25] ^= 1
			put(t, f, dirPath+"/meta", data)
		}, Torn, []string{"CRC32C", "rebuild"}},
		{"torn padding", func(t *testing.T, f *crashfs.FS, _ *Expect) {
			data := get(t, f, dirPath+"/meta")
			data[500] = 1
			put(t, f, dirPath+"/meta", data)
		}, Torn, []string{"CRC32C"}},
		{"seed's own program", func(t *testing.T, f *crashfs.FS, _ *Expect) { put(t, f, dirPath+"/meta", seedMeta()) }, ForeignFormat, []string{"another program", "adopt"}},
		{"newer", func(t *testing.T, f *crashfs.FS, w *Expect) {
			put(t, f, dirPath+"/meta", newerMeta(w.DirUUID))
		}, NewerVersion, []string{"format 2", "knows 1"}},
		{"foreign catalog", func(_ *testing.T, _ *crashfs.FS, w *Expect) { w.CatalogUUID = catalogB }, ForeignCatalog,
			[]string{"0a000000-", "0b000000-", "data directory"}},
		{"other directory", func(_ *testing.T, _ *crashfs.FS, w *Expect) { w.DirUUID = other }, OtherDirectory, []string{"cc000000-", "exchange the mounts"}},
		{"older copy of the directory", func(_ *testing.T, _ *crashfs.FS, w *Expect) { w.LastCompleteOpen = &open2 }, DirOlder, []string{"open 1", "open 2", "older copy"}},
		{"older copy of the catalog", func(t *testing.T, f *crashfs.FS, w *Expect) {
			if err := reopen(f, dirPath, *w, open2); err != nil {
				t.Fatal(err)
			}
		}, CatalogOlder, []string{"open 1", "open 2", "older copy"}},
		{"catalog from before the directory", func(_ *testing.T, _ *crashfs.FS, w *Expect) { w.LastCompleteOpen = nil }, CatalogOlder, []string{"open 1", "never"}},
		{"forked and crossed", func(_ *testing.T, _ *crashfs.FS, w *Expect) { w.LastCompleteOpen = &OpenRef{1, other} }, Forked,
			[]string{"open 1 (01000000-", "open 1 (cc000000-", "each went on alone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := crashfs.New("/media", dirPath)
			want := registered(t, fsys, dirPath)
			c.plant(t, fsys, &want)
			fsys.Record()
			for _, mode := range []Mode{ReadOnly, ReadWrite} {
				_, err := Open(fsys, dirPath, want, mode)
				if !is(err, c.what) {
					t.Fatalf("mode %d: %v, want %q", mode, err, c.what)
				}
				var e *MismatchError
				errors.As(err, &e)
				if e.Path != dirPath || e.Hint == "" {
					t.Errorf("without path or hint: %+v", e)
				}
				for _, word := range c.words {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q does not say %q", err, word)
					}
				}
			}
			unwritten(t, fsys)
			if lock, err := fsys.Lock("/media", true); err != nil {
				t.Error(err)
			} else {
				lock.Close()
			}
		})
	}
}

// unwritten expects no operation since Record that changes anything.
func unwritten(t *testing.T, fsys *crashfs.FS) {
	t.Helper()
	for _, op := range fsys.Trace() {
		if slices.Contains([]crashfs.Kind{
			crashfs.Create, crashfs.Write, crashfs.Truncate, crashfs.Allocate, crashfs.Remove, crashfs.Rename, crashfs.Mkdir, crashfs.Map,
		}, op.Kind) {
			t.Errorf("wrote to a wrong directory: %v", op)
		}
	}
}

// seedMeta is a meta file as the seed's own program writes it: the same fields without version and checksum.
func seedMeta() []byte {
	var msg []byte
	msg = appendBytes(msg, fieldDB, catalogA[:])
	msg = appendBytes(msg, fieldDir, catalogB[:])
	msg = appendBytes(msg, fieldComplete, encodeOpen(&open1))
	return append(append([]byte{byte(len(msg))}, msg...), make([]byte, MetaSize-1-len(msg))...)
}

// newerMeta is a valid meta file of format 2.
func newerMeta(dir recording.UUID) []byte {
	data := EncodeMeta(&Meta{Catalog: catalogA, Dir: dir})
	at := slices.Index(data, fieldVersion<<3|wireVarint)
	for data[at+1] != 1 || data[at+2] != fieldCRC<<3|wireFixed32 {
		at += 1 + slices.Index(data[at+1:], fieldVersion<<3|wireVarint)
	}
	data[at+1] = 2
	return reseal(data)
}

func TestSameDirectoryTwice(t *testing.T) {
	fsys := crashfs.New(dirPath)
	want := registered(t, fsys, dirPath)
	fsys.Alias("/srv/b", dirPath)
	d, err := Open(fsys, dirPath, want, ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want.Beside = []*Dir{d}
	_, err = Open(fsys, "/srv/b", want, ReadOnly)
	if !is(err, Twice) || !strings.Contains(err.Error(), dirPath) || !strings.Contains(err.Error(), "/srv/b") {
		t.Errorf("open: %v", err)
	}
	if _, err := Create(fsys, "/srv/b", catalogA, open2, d); !is(err, Twice) {
		t.Errorf("create: %v", err)
	}
}

func TestNotWritable(t *testing.T) {
	for _, cause := range []error{syscall.EACCES, syscall.EROFS} {
		for _, kind := range []crashfs.Kind{crashfs.Lock, crashfs.Open, crashfs.Create} {
			if kind == crashfs.Lock && cause == syscall.EROFS {
				continue // locks are taken on read-only mounts
			}
			fsys := crashfs.New(dirPath)
			want := registered(t, fsys, dirPath)
			rule := crashfs.Rule{Kinds: []crashfs.Kind{kind}, Err: cause}
			if kind == crashfs.Open {
				rule.Nth = 2 // the first reads
			}
			rule.From = fsys.Seq() + 1
			fsys.Inject(rule)
			fsys.Record()
			_, err := Open(fsys, dirPath, want, ReadWrite)
			if !is(err, NotWritable) || !errors.Is(err, cause) {
				t.Errorf("%s refused with %v: %v", kind, cause, err)
			}
			for _, op := range fsys.Trace() {
				if op.Kind == crashfs.Write {
					t.Errorf("%s refused with %v: %v", kind, cause, op)
				}
			}
		}
	}
	fsys := crashfs.New(dirPath)
	fsys.Inject(crashfs.Rule{Kinds: []crashfs.Kind{crashfs.Create}, Err: syscall.EROFS})
	if _, err := Create(fsys, dirPath, catalogA, open1); !is(err, NotWritable) {
		t.Errorf("create: %v", err)
	}
}

// TestCreateRefuses expects Create to take no directory that somebody may miss.
func TestCreateRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, fsys *crashfs.FS)
		what  What
	}{
		{"missing", func(t *testing.T, f *crashfs.FS) { f.Remove(dirPath) }, Missing},
		{"registered", func(t *testing.T, f *crashfs.FS) { registered(t, f, dirPath) }, Registered},
		{"sample files", func(t *testing.T, f *crashfs.FS) { put(t, f, dirPath+"/0000000100000001", nil) }, HasFiles},
		{"torn", func(t *testing.T, f *crashfs.FS) {
			data := EncodeMeta(&Meta{Catalog: catalogA})
			data[40] ^= 0x10
			put(t, f, dirPath+"/meta", data)
		}, Torn},
		{"foreign", func(t *testing.T, f *crashfs.FS) { put(t, f, dirPath+"/meta", seedMeta()) }, ForeignFormat},
		{"newer", func(t *testing.T, f *crashfs.FS) { put(t, f, dirPath+"/meta", newerMeta(catalogB)) }, NewerVersion},
		{"wrong size", func(t *testing.T, f *crashfs.FS) { put(t, f, dirPath+"/meta", []byte{1}) }, WrongSize},
	} {
		fsys := crashfs.New(dirPath)
		c.plant(t, fsys)
		fsys.Record()
		if _, err := Create(fsys, dirPath, catalogA, open2); !is(err, c.what) {
			t.Errorf("%s: %v, want %q", c.name, err, c.what)
		}
		unwritten(t, fsys)
		// The lock was given back.
		if lock, err := fsys.Lock(dirPath, true); err == nil {
			lock.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	fsys := crashfs.New(dirPath)
	put(t, fsys, dirPath+"/meta", make([]byte, 512)) // an interrupted creation
	put(t, fsys, dirPath+"/lost+found", nil)
	d, err := Create(fsys, dirPath, catalogA, open2)
	if err != nil {
		t.Fatal(err)
	}
	ids, others, err := d.Files()
	if err != nil || len(ids) != 0 || len(others) != 1 {
		t.Errorf("files %v %v %v", ids, others, err)
	}
	d.Close()
}
