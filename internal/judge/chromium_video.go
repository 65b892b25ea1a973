package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// Played is what a <video> element showed.
type Played struct {
	Pictures       []Shown
	Width, Height  int
	Duration       time.Duration
	Total, Dropped int // pictures by getVideoPlaybackQuality; Total counts the dropped ones
}

// Shown is one picture on the screen.
type Shown struct {
	Strip
	Time time.Duration // mediaTime, since the video's start
}

// Strips returns the strips alone.
func (p *Played) Strips() []Strip {
	out := make([]Strip, len(p.Pictures))
	for i, s := range p.Pictures {
		out[i] = s.Strip
	}
	return out
}

// Play plays a video, an http or https URL, at a speed (1: its own) to its end in a page of the same origin, and
// reads the strip of every picture that is presented. A busy machine does not present all of them.
func (b *Browser) Play(ctx context.Context, video string, rate float64) (Played, error) {
	p, err := b.watch(ctx, video, fmt.Sprintf("play(%g)", rate))
	if err != nil {
		return p, fmt.Errorf("play %s in Chromium: %w", video, err)
	}
	return p, nil
}

// Seek shows the picture at each of the times, one after the other, and reads the strips. It is slower than Play but
// misses nothing.
func (b *Browser) Seek(ctx context.Context, video string, times []time.Duration) (Played, error) {
	seconds := make([]float64, len(times))
	for i, t := range times {
		seconds[i] = t.Seconds()
	}
	list, err := json.Marshal(seconds)
	if err != nil {
		return Played{}, err
	}
	p, err := b.watch(ctx, video, "seek("+string(list)+")")
	if err != nil {
		return p, fmt.Errorf("seek in %s in Chromium: %w", video, err)
	}
	return p, nil
}

// watch opens a page of the video's origin, a <video> in it, and runs one of the functions of videoScript.
func (b *Browser) watch(ctx context.Context, video, call string) (Played, error) {
	u, err := url.Parse(video)
	if err != nil {
		return Played{}, err
	}
	if err := b.Navigate(ctx, (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).String()); err != nil {
		return Played{}, err
	}
	source, err := json.Marshal(video)
	if err != nil {
		return Played{}, err
	}
	var got struct {
		Width, Height  int
		Duration       float64
		Total, Dropped int
		Pictures       []struct {
			Time float64
			Luma []int
		}
	}
	if err := b.Evaluate(ctx, fmt.Sprintf("(async () => { const source = %s; %s; return await %s })()", source, videoScript, call), &got); err != nil {
		return Played{}, err
	}
	p := Played{Width: got.Width, Height: got.Height, Total: got.Total, Dropped: got.Dropped, Duration: fromSeconds(got.Duration)}
	for _, s := range got.Pictures {
		luma := make([]byte, len(s.Luma))
		for i, v := range s.Luma {
			luma[i] = byte(min(max(v, 0), 255))
		}
		p.Pictures = append(p.Pictures, Shown{Strip: ReadStrip(luma), Time: fromSeconds(s.Time)})
	}
	return p, nil
}

func fromSeconds(s float64) time.Duration { return time.Duration(s*1e9 + 0.5) }

// videoScript reads strips off a <video> by way of a canvas: the mean of the inner 8x8 pixels of each macroblock.
const videoScript = `
const video = document.createElement('video');
video.muted = true;
video.preload = 'auto';
document.body.replaceChildren(video);
const canvas = document.createElement('canvas');
const pen = canvas.getContext('2d', {willReadFrequently: true});
const pictures = [];
const read = (time) => {
  const columns = Math.floor(video.videoWidth / 16), rows = Math.ceil(88 / columns);
  const w = columns * 16, h = rows * 16;
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  pen.drawImage(video, 0, 0, w, h, 0, 0, w, h);
  const pixels = pen.getImageData(0, 0, w, h).data;
  const luma = [];
  for (let k = 0; k < 88; k++) {
    const left = k % columns * 16 + 4, top = Math.floor(k / columns) * 16 + 4;
    let sum = 0;
    for (let y = top; y < top + 8; y++)
      for (let x = left; x < left + 8; x++) sum += pixels[(y * w + x) * 4 + 1];
    luma.push(Math.round(sum / 64));
  }
  pictures.push({time, luma});
};
const failed = new Promise((_, reject) => {
  video.onerror = () => reject(new Error('video: ' + video.error.code + ' ' + video.error.message));
});
failed.catch(() => {});
const done = () => {
  const quality = video.getVideoPlaybackQuality();
  const out = {width: video.videoWidth, height: video.videoHeight, pictures,
    duration: Number.isFinite(video.duration) ? video.duration : -1,
    total: quality.totalVideoFrames, dropped: quality.droppedVideoFrames};
  video.remove();
  return out;
};
const on = (name) => Promise.race([failed, new Promise(resolve => video.addEventListener(name, resolve, {once: true}))]);
const presented = () => Promise.race([failed, new Promise(resolve => video.requestVideoFrameCallback((_, m) => resolve(m)))]);
const play = async (rate) => {
  const each = (_, m) => { read(m.mediaTime); video.requestVideoFrameCallback(each); };
  video.requestVideoFrameCallback(each);
  const ended = on('ended');
  video.src = source;
  video.playbackRate = rate;
  await Promise.race([failed, video.play()]);
  await ended;
  await new Promise(resolve => setTimeout(resolve, 250));
  return done();
};
const seek = async (times) => {
  const first = presented();
  video.src = source;
  await first;
  for (const t of times) {
    const seeked = on('seeked'), next = presented();
    video.currentTime = t;
    await seeked;
    const m = await next;
    read(m.mediaTime);
  }
  return done();
};
`
