package view

import (
	"os"
	"testing"

	"nightjar/internal/media"
)

func TestDump(t *testing.T) {
	if os.Getenv("DUMP") == "" {
		t.Skip()
	}
	aac, next := aacSound(t)
	for n, c := range []struct {
		f    *film
		a, b float64
	}{{shoot(t, nil, nil, 2), 0.52, 0.53}, {shoot(t, aac, next, 4, 4), 1.11, 8.01}} {
		name, _ := write(t, New(c.f, Options{Now: later}), Request{Stream: 1, Start: fakeStart.Add(media.WallDuration(c.a * 90000)), End: fakeStart.Add(media.WallDuration(c.b * 90000))})
		b, _ := os.ReadFile(name)
		os.WriteFile(os.Getenv("DUMP")+string(rune('a'+n))+".mp4", b, 0o644)
	}
}
