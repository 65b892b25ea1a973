package picture

import (
	"fmt"
	"image"
	"time"
)

// Image draws what the picture with this number, taken at utc, shows, at once and without a stream: the same scene that
// an Encoder with these options codes, but for rates. Luma and chroma are stretched to the full range, as JPEG has them
// (JFIF 1.02), so the strip is black at 0 and white at 255.
func Image(o Options, number uint32, utc time.Time) (*image.YCbCr, error) {
	e, err := New(o)
	if err != nil {
		return nil, fmt.Errorf("draw picture: %w", err)
	}
	e.compose(number, utc)
	img := image.NewYCbCr(image.Rect(0, 0, o.Width, o.Height), image.YCbCrSubsampleRatio420)
	for y := range o.Height {
		row := img.Y[y*img.YStride:][:o.Width]
		for x := range row {
			m := e.current[y/16*e.columns+x/16]
			luma := m.dark()
			if m.mask()>>(y%16/cell*4+x%16/cell)&1 != 0 {
				luma = m.light()
			}
			row[x] = stretch(luma, 16, 219, 0)
		}
	}
	for y := range o.Height / 2 {
		for x := range o.Width / 2 {
			m := e.current[y/8*e.columns+x/8]
			i := y*img.CStride + x
			img.Cb[i], img.Cr[i] = stretch(m.cb(), 128, 224, 128), stretch(m.cr(), 128, 224, 128)
		}
	}
	return img, nil
}

// stretch maps a range of so many steps around zero to 255 steps around to, rounded to the nearest.
func stretch(v uint8, zero, steps, to int) uint8 {
	d := (int(v) - zero) * 255
	if d < 0 {
		d -= steps / 2
	} else {
		d += steps / 2
	}
	return uint8(min(max(to+d/steps, 0), 255))
}
