package picture

import (
	"testing"
	"time"
)

// The drawn image says in its strip what was asked for, and shows the scene that the encoder codes.
func TestImageHasTheStripAndTheScene(t *testing.T) {
	at := time.UnixMilli(1_790_000_123_456)
	for _, size := range [][2]int{{1920, 1080}, {640, 360}, {320, 240}} {
		o := Options{Width: size[0], Height: size[1], FPS: 10, Name: "cam0", Seed: 3}
		img, err := Image(o, 0x01020304, at)
		if err != nil {
			t.Fatal(err)
		}
		if b := img.Bounds(); b.Dx() != size[0] || b.Dy() != size[1] {
			t.Fatalf("%v", b)
		}
		var got [StripBits / 8]byte
		columns := size[0] / 16
		for k := range StripBits {
			switch y := img.YCbCrAt(k%columns*16+8, k/columns*16+8).Y; y {
			case 255:
				got[k/8] |= 0x80 >> (k % 8)
			case 0:
			default:
				t.Fatalf("%v: bit %d has luma %d", size, k, y)
			}
		}
		if want := Strip(0x01020304, at); got != want {
			t.Errorf("%v: strip % x, want % x", size, got, want)
		}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		e.Next(0x01020304, at, true)
		for y := 2; y < size[1]; y += cell {
			for x := 2; x < size[0]; x += cell {
				m := e.current[y/16*e.columns+x/16]
				want := int(m.dark())
				if m.mask()>>(y%16/cell*4+x%16/cell)&1 != 0 {
					want = int(m.light())
				}
				back := (int(img.YCbCrAt(x, y).Y)*219+127)/255 + 16
				if back != want {
					t.Fatalf("%v: luma at %d,%d is %d, coded as %d", size, x, y, back, want)
				}
			}
		}
	}
	if _, err := Image(Options{Width: 32, Height: 32}, 0, at); err == nil {
		t.Error("a picture without room for the strip was drawn")
	}
}
