package virtual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// pattern is a Generator, Opener and Source of bytes that depend on their position alone.
type pattern struct {
	name      string
	size      int64
	short     int // generate that many bytes fewer
	fail      error
	generated int
	opened    int
	open      int
	sent      int64
}

func (p *pattern) String() string { return p.name }

func at(off int64) byte { return byte(off*7 + off>>8 + off>>31) }

func (p *pattern) Generate(_ context.Context, dst []byte) ([]byte, error) {
	p.generated++
	for i := range p.size - int64(p.short) {
		dst = append(dst, at(i))
	}
	return dst, p.fail
}

func (p *pattern) Open(context.Context) (Source, error) {
	if p.fail != nil {
		return nil, p.fail
	}
	p.opened++
	p.open++
	return p, nil
}

func (p *pattern) Close() error { p.open--; return nil }

func (p *pattern) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		if off+int64(i) >= p.size {
			return i, io.EOF
		}
		b[i] = at(off + int64(i))
	}
	return len(b), nil
}

// sendingPattern can also send by itself.
type sendingPattern struct{ pattern }

func (p *sendingPattern) Open(ctx context.Context) (Source, error) {
	_, err := p.pattern.Open(ctx)
	return p, err
}

func (p *sendingPattern) SendTo(conn net.Conn, off, n int64) (int64, error) {
	b := make([]byte, n)
	if _, err := p.ReadAt(b, off); err != nil {
		return 0, err
	}
	m, err := conn.Write(b)
	p.sent += int64(m)
	return int64(m), err
}

type nested struct{ f *File }

func (n nested) String() string                      { return "nested" }
func (n nested) File(context.Context) (*File, error) { return n.f, nil }

// randomFile builds a file and, beside it, what it must contain.
func randomFile(t *testing.T, r *rand.Rand, depth int) (*File, []byte, []*pattern) {
	var b Builder
	var want []byte
	var all []*pattern
	for i := range r.IntN(12) {
		n := r.Int64N(300)
		if r.IntN(6) == 0 {
			n = 0
		}
		switch p := (&pattern{name: fmt.Sprint("p", i), size: n}); r.IntN(4) {
		case 0:
			lit, _ := p.Generate(context.Background(), nil)
			b.Literal("bytes", lit)
			want = append(want, lit...)
		case 1:
			all = append(all, p)
			b.Generated(n, p)
			want, _ = p.Generate(context.Background(), want)
		case 2:
			all = append(all, p)
			p.size += 1000
			off := r.Int64N(1000)
			buf := make([]byte, n)
			_, _ = p.ReadAt(buf, off)
			want = append(want, buf...)
			cut := r.Int64N(n + 1)
			b.External(cut, p, off) // two slices that touch become one
			b.External(n-cut, p, off+cut)
		case 3:
			if depth == 0 {
				continue
			}
			f, inner, ps := randomFile(t, r, depth-1)
			all = append(all, ps...)
			b.Nested(f.Size(), nested{f})
			want = append(want, inner...)
		}
	}
	f, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	return f, want, all
}

// TestAnyRangeIsSliceOfWhole is the law of the package.
func TestAnyRangeIsSliceOfWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		f, want, patterns := randomFile(t, r, 2)
		if f.Size() != int64(len(want)) {
			t.Fatalf("size %d, want %d", f.Size(), len(want))
		}
		for range 30 {
			off := r.IntN(len(want) + 1)
			n := r.IntN(len(want) - off + 1)
			var got bytes.Buffer
			if err := f.WriteRange(t.Context(), &got, int64(off), int64(n)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want[off:off+n]) {
				t.Fatalf("bytes %d+%d differ", off, n)
			}
		}
		for _, p := range patterns {
			if p.open != 0 {
				t.Fatalf("%v left open %d times", p, p.open)
			}
		}
	}
}

func TestBeyond4GiB(t *testing.T) {
	src := &pattern{name: "big", size: 9 << 30}
	var b Builder
	b.External(5<<30, src, 1<<30)
	b.Generated(100, &pattern{name: "mid", size: 100})
	b.External(3<<30, src, 6<<30)
	f, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	if f.Size() != 8<<30+100 {
		t.Fatalf("size %d", f.Size())
	}
	var got bytes.Buffer
	if err := f.WriteRange(t.Context(), &got, 5<<30-10, 120); err != nil {
		t.Fatal(err)
	}
	for i, c := range got.Bytes() {
		var want byte
		switch {
		case i < 10:
			want = at(6<<30 - 10 + int64(i))
		case i < 110:
			want = at(int64(i - 10))
		default:
			want = at(6<<30 + int64(i-110))
		}
		if c != want {
			t.Fatalf("byte %d is %d, want %d", i, c, want)
		}
	}
}

func TestOnlyWhatIsAsked(t *testing.T) {
	var b Builder
	ps := []*pattern{{name: "a", size: 10}, {name: "b", size: 10}, {name: "c", size: 10}}
	for _, p := range ps {
		b.Generated(10, p)
	}
	f, _ := b.File()
	for range 5 {
		if err := f.WriteRange(t.Context(), io.Discard, 12, 3); err != nil {
			t.Fatal(err)
		}
	}
	if ps[0].generated != 0 || ps[2].generated != 0 {
		t.Error("a slice outside of the range was generated")
	}
	if ps[1].generated != 1 {
		t.Errorf("generated %d times, want once: the last slice is kept", ps[1].generated)
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	var le *LengthError
	for name, c := range map[string]struct {
		build func(*Builder)
		check func(error) bool
	}{
		"generator too short": {func(b *Builder) { b.Generated(10, &pattern{name: "g", size: 10, short: 1}) }, func(err error) bool { return errors.As(err, &le) && le.Have == 9 && le.Want == 10 }},
		"generator too long":  {func(b *Builder) { b.Generated(9, &pattern{name: "g", size: 10}) }, func(err error) bool { return errors.As(err, &le) }},
		"generator fails":     {func(b *Builder) { b.Generated(10, &pattern{name: "g", size: 10, fail: broken}) }, func(err error) bool { return errors.Is(err, broken) }},
		"source fails":        {func(b *Builder) { b.External(10, &pattern{name: "s", fail: broken}, 0) }, func(err error) bool { return errors.Is(err, broken) }},
		"source too short":    {func(b *Builder) { b.External(10, &pattern{name: "s", size: 9}, 0) }, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"nested too short":    {func(b *Builder) { b.Nested(10, nested{&File{}}) }, func(err error) bool { return errors.As(err, &le) }},
	} {
		var b Builder
		c.build(&b)
		f, err := b.File()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WriteRange(t.Context(), io.Discard, 0, f.Size()); err == nil || !c.check(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, _ := (&Builder{}).File()
	for _, r := range [][2]int64{{0, 1}, {-1, 0}, {1, 0}, {0, -1}, {math.MaxInt64, math.MaxInt64}} {
		if err := f.WriteRange(t.Context(), io.Discard, r[0], r[1]); !errors.Is(err, ErrRange) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if err := f.WriteRange(t.Context(), io.Discard, 0, 0); err != nil {
		t.Error(err)
	}
	var b Builder
	b.External(math.MaxInt64, &pattern{}, 0)
	b.External(1, &pattern{}, 0)
	if _, err := b.File(); err == nil {
		t.Error("a file longer than 2^63-1 was built")
	}
}

func TestCancelled(t *testing.T) {
	src := &pattern{name: "s", size: 10 << 20}
	var b Builder
	b.External(src.size, src, 0)
	f, _ := b.File()
	ctx, cancel := context.WithCancel(t.Context())
	w := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if err := f.WriteRange(ctx, w, 0, f.Size()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if src.opened != 1 || src.open != 0 {
		t.Errorf("opened %d times, left open %d", src.opened, src.open)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestSendTo shows that a TCP connection's ReadFrom ends in the source's SendTo.
func TestSendTo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []byte)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- b
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	src := &sendingPattern{pattern{name: "s", size: 3 << 20}}
	var b Builder
	b.Literal("head", []byte("head"))
	b.External(src.size, src, 0)
	f, _ := b.File()
	if err := f.WriteRange(t.Context(), c, 0, f.Size()); err != nil {
		t.Error(err)
	}
	c.Close()
	body := <-got
	want, _ := src.Generate(t.Context(), []byte("head"))
	if !bytes.Equal(body, want) {
		t.Errorf("%d bytes arrived, other than the %d sent", len(body), len(want))
	}
	if src.sent != src.size {
		t.Errorf("%d of %d bytes went by SendTo", src.sent, src.size)
	}
}

func TestExplain(t *testing.T) {
	p := &pattern{name: "table", size: 5}
	var b Builder
	b.Literal("ftyp", []byte("1234"))
	b.Generated(5, p)
	b.External(7, p, 3)
	f, _ := b.File()
	var out strings.Builder
	if err := f.Explain(&out); err != nil {
		t.Fatal(err)
	}
	want := `16 bytes in 3 slices
        offset       length  kind      content
             0            4  literal   ftyp
             4            5  generated table
             9            7  external  table from 3 on
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	if p.generated+p.opened != 0 {
		t.Error("explaining read something")
	}
}
