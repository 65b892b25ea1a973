package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/judge"
)

// tileStrips reads the strip of the picture that each tile of the wall shows.
const tileStrips = `(() => [...document.querySelectorAll('#wall .tile')].map((tile) => {
  const videos = [...tile.querySelectorAll('video')].filter((v) => v.readyState >= 2 && v.videoWidth);
  videos.sort((a, b) => (b.style.zIndex || 0) - (a.style.zIndex || 0));
  const video = videos[0];
  if (!video) return [];
  const columns = Math.floor(video.videoWidth / 16), rows = Math.ceil(88 / columns);
  const canvas = document.createElement('canvas');
  canvas.width = columns * 16;
  canvas.height = rows * 16;
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  const luma = [];
  for (let k = 0; k < 88; k++) {
    let sum = 0;
    for (let y = 4; y < 12; y++) for (let x = 4; x < 12; x++)
      sum += pixels[((Math.floor(k / columns) * 16 + y) * canvas.width + k % columns * 16 + x) * 4 + 1];
    luma.push(Math.round(sum / 64));
  }
  return luma;
}))()`

// TestE2EPage is the demo in a browser: the page shows moving pictures of two cameras and complains about nothing.
func TestE2EPage(t *testing.T) {
	needE2E(t)
	judge.Need(t, "chromium")
	began := time.Now()
	demo := launchNightjar(t, "demo", "--listen", "127.0.0.1:0")
	said := demo.out.String()
	if !strings.Contains(said, "ssh -L") || !strings.Contains(said, "Ctrl-C") {
		t.Errorf("demo says: %s", said)
	}
	b := judge.Chromium(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must(t, b.Navigate(ctx, demo.base+"/"))
	shown := func() (strips []judge.Strip) {
		var tiles [][]int
		must(t, b.Evaluate(ctx, tileStrips, &tiles))
		for _, tile := range tiles {
			luma := make([]byte, len(tile))
			for i, v := range tile {
				luma[i] = byte(v)
			}
			strips = append(strips, judge.ReadStrip(luma))
		}
		return strips
	}
	both := func() bool {
		s := shown()
		return len(s) == 2 && s[0].OK && s[1].OK
	}
	within(t, time.Minute, "two cameras show a picture", both)
	first := time.Since(began)
	before := shown()
	within(t, 30*time.Second, "the pictures move", func() bool {
		now := shown()
		return both() && len(now) == 2 && now[0].OK && now[1].OK && now[0].Number > before[0].Number && now[1].Number > before[1].Number
	})
	within(t, 30*time.Second, "the pictures are of now", func() bool {
		s := shown()
		return len(s) == 2 && s[0].OK && time.Since(s[0].UTC) < 15*time.Second && time.Since(s[1].UTC) < 15*time.Second
	})
	late := time.Since(shown()[0].UTC)

	must(t, b.Evaluate(ctx, `(async () => {
  document.getElementById('from').value = '5 seconds ago';
  document.getElementById('to').value = 'now';
  document.getElementById('span').requestSubmit();
  const player = document.getElementById('player');
  for (let i = 0; i < 100 && player.readyState < 2; i++) await new Promise((r) => setTimeout(r, 100));
  if (player.readyState < 2) throw new Error('the player shows nothing: ' + document.getElementById('said').textContent);
  return player.videoWidth;
})()`, new(int)))
	dir := os.Getenv("NIGHTJAR_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, width := range []int{360, 1920} {
		for _, scheme := range []string{"dark", "light"} {
			screenshot(t, ctx, b, width, scheme, filepath.Join(dir, fmt.Sprintf("page-%d-%s.png", width, scheme)))
		}
	}
	if c := b.Complaints(); len(c) > 0 {
		t.Errorf("the page: %s", strings.Join(c, "\n"))
	}
	figures(t, "pictures of two cameras %v after the start, %v behind; screenshots in %s", first.Round(100*time.Millisecond), late.Round(100*time.Millisecond), dir)
}

// screenshot looks at the page at a width and in a colour scheme; nothing may stick out to the right.
func screenshot(t *testing.T, ctx context.Context, b *judge.Browser, width int, scheme, file string) {
	t.Helper()
	must(t, b.Call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": max(width*9/16, 740), "deviceScaleFactor": 1, "mobile": width < 500,
	}, nil))
	must(t, b.Call(ctx, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil))
	var page struct {
		Inner, Scroll int
		Ground        string
	}
	must(t, b.Evaluate(ctx, `(async () => {
  scrollTo(0, 0);
  await new Promise((r) => setTimeout(r, 700));
  return {Inner: innerWidth, Scroll: document.documentElement.scrollWidth, Ground: getComputedStyle(document.body).backgroundColor};
})()`, &page))
	if page.Scroll > width {
		t.Errorf("at %d pixels the page is %d wide", width, page.Scroll)
	}
	var r, g, bl int
	if _, err := fmt.Sscanf(page.Ground, "rgb(%d, %d, %d)", &r, &g, &bl); err == nil && (r+g+bl > 384) != (scheme == "light") {
		t.Errorf("the ground in the %s scheme is %s", scheme, page.Ground)
	}
	png, err := b.Screenshot(ctx)
	must(t, err)
	if len(png) < 5000 {
		t.Errorf("a screenshot of %d bytes", len(png))
	}
	must(t, os.WriteFile(file, png, 0o644))
}
