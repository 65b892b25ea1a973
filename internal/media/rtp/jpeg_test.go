package rtp

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"nightjar/internal/media"
)

// jpegPackets takes a baseline JPEG apart and writes it as the payloads of RFC 2435, tables in band.
func jpegPackets(t testing.TB, b []byte, q byte, size int) [][]byte {
	t.Helper()
	var tables, scan []byte
	var width, height int
	for at := 2; scan == nil; {
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		body := b[at+4 : at+2+n]
		switch b[at+1] {
		case 0xdb:
			for len(body) >= 65 {
				tables = append(tables, body[1:65]...)
				body = body[65:]
			}
		case 0xc0:
			height, width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
		case 0xda:
			scan = b[at+2+n:]
		}
		at += 2 + n
	}
	var out [][]byte
	for offset := 0; offset < len(scan); offset += size {
		p := binary.BigEndian.AppendUint32(nil, uint32(offset))
		p = append(p, 1, q, byte(width/8), byte(height/8))
		if offset == 0 && q >= 128 {
			p = append(p, 0, 0, byte(len(tables)>>8), byte(len(tables)))
			p = append(p, tables...)
		}
		out = append(out, append(p, scan[offset:min(offset+size, len(scan))]...))
	}
	return out
}

func picture() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 160, 96))
	for y := range 96 {
		for x := range 160 {
			m.Set(x, y, color.RGBA{uint8(x), uint8(2 * y), uint8(x * y), 255})
		}
	}
	return m
}

func encoded(t testing.TB, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(), &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func samePicture(t testing.TB, a, b []byte) {
	t.Helper()
	pa, err := jpeg.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	pb, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	ya, yb := pa.(*image.YCbCr), pb.(*image.YCbCr)
	if !bytes.Equal(ya.Y, yb.Y) || !bytes.Equal(ya.Cb, yb.Cb) || !bytes.Equal(ya.Cr, yb.Cr) {
		t.Error("the pictures differ")
	}
}

func TestJPEGRoundTrip(t *testing.T) {
	// Q 50 stands for the typical tables unscaled, as does quality 50 of the encoder: no tables in band are needed.
	for _, c := range []struct {
		q       byte
		quality int
	}{{255, 80}, {128, 30}, {50, 50}, {25, 25}, {90, 90}} {
		want := encoded(t, c.quality)
		d := NewJPEG()
		var got []byte
		packets := jpegPackets(t, want, c.q, 700)
		for i, payload := range packets {
			p := Packet{Timestamp: 9, Marker: i == len(packets)-1, Payload: payload}
			err := d.Push(&p, 0, func(u *Unit) error {
				got = bytes.Clone(u.Data)
				if u.Width != 160 || u.Height != 96 || u.Flags != media.Key || u.Timestamp != 9 {
					t.Errorf("%+v", u)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		samePicture(t, want, got)
	}
}

func TestJPEGLoss(t *testing.T) {
	packets := jpegPackets(t, encoded(t, 80), 200, 500)
	d := NewJPEG()
	var flags []media.Flags
	emit := func(u *Unit) error { flags = append(flags, u.Flags); return nil }
	send := func(ts uint32, skip int, tables bool) {
		lost := 0
		for i, payload := range packets {
			if i == skip {
				lost = 1
				continue
			}
			if i == 0 && !tables {
				// Q 128 to 254: tables that came once may be left out (RFC 2435 section 3.1.8).
				payload = append(append([]byte{}, payload[:8]...), 0, 0, 0, 0)
				payload = append(payload, packets[0][8+4+128:]...)
			}
			p := Packet{Timestamp: ts, Marker: i == len(packets)-1, Payload: payload}
			if err := d.Push(&p, lost, emit); err != nil {
				t.Log(err)
			}
			lost = 0
		}
	}
	send(1, -1, true)
	send(2, 2, true)
	send(3, -1, false)
	send(4, 0, true)
	send(5, -1, true)
	want := []media.Flags{media.Key, media.Key | media.AfterLoss, media.Key | media.AfterLoss}
	if len(flags) != len(want) || flags[0] != want[0] || flags[1] != want[1] || flags[2] != want[2] {
		t.Errorf("%v, want %v", flags, want)
	}
}

func TestJPEGBroken(t *testing.T) {
	checkCases(t, false, func() Depacketizer { return NewJPEG() }, []depacketizerCase{
		{name: "short", in: []pkt{{1, true, 0, "00000000 01 32 14"}}, errs: []string{"7 bytes"}},
		{name: "type", in: []pkt{{1, true, 0, "00000000 02 32 14 0c"}}, errs: []string{"unsupported: JPEG type"}},
		{name: "Q 0", in: []pkt{{1, true, 0, "00000000 01 00 14 0c"}}, errs: []string{"Q 0"}},
		{name: "Q 100", in: []pkt{{1, true, 0, "00000000 01 64 14 0c"}}, errs: []string{"Q 100"}},
		{name: "tables never came", in: []pkt{{1, true, 0, "00000000 01 ff 14 0c 0000 0000"}}, errs: []string{"never came"}},
		{name: "cut tables", in: []pkt{{1, true, 0, "00000000 01 ff 14 0c 0000 0040 01"}}, errs: []string{"tables of 64 bytes in 1"}},
		{name: "odd tables", in: []pkt{{1, true, 0, "00000000 01 ff 14 0c 0000 0001 01"}}, errs: []string{"tables of 1 bytes"}},
		{name: "16 bits", in: []pkt{{1, true, 0, "00000000 01 ff 14 0c 0001 0001 01"}}, errs: []string{"16 bits"}},
		{name: "restart", in: []pkt{{1, true, 0, "00000000 41 32 14 0c 00"}}, errs: []string{"restart"}},
		{name: "size", in: []pkt{{1, true, 0, "00000000 01 32 00 00"}}, errs: []string{"unknown size"}},
		{name: "no beginning", in: []pkt{{1, true, 0, "00000009 01 32 14 0c aa"}}, errs: []string{"the beginning"}},
		{name: "offset", in: []pkt{{1, false, 0, "00000000 01 32 14 0c aa"}, {1, true, 0, "00000002 01 32 14 0c aa"}}, errs: []string{"offset 2, expected 1"}},
	})
}
