package camsim

import (
	"errors"
	"testing"
	"time"

	"nightjar/internal/camsim/onvif"
)

// A session that plays while the encoder is configured goes on with a key sample at the new size and rate; timestamps
// keep to the clock and never go back.
func TestConfigureWhilePlaying(t *testing.T) {
	for _, fps := range []int{5, 10, 25} {
		bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
			run(1950 * time.Millisecond)
			before := c.shots()
			oldSPS := before[0].unit(7)
			cam := srv.Devices()[0]
			want := onvif.Encoding{Width: 640, Height: 480, FPS: fps, GOP: fps, BitRate: 200_000}
			if err := cam.Configure(0, want); err != nil {
				t.Fatal(err)
			}
			if got := cam.Streams()[0].Encoding; got != want {
				t.Errorf("read back %+v, want %+v", got, want)
			}
			run(3 * time.Second)
			all := c.shots()
			after := all[len(before):]
			if n := len(after); n < 3*fps-1 || n > 3*fps+1 {
				t.Errorf("%d pictures in 3 s at %d a second", n, fps)
			}
			if sps := after[0].unit(7); sps == nil || string(sps) == string(oldSPS) || !after[0].has(5) {
				t.Error("the first picture is no key sample with new parameter sets")
			}
			last := before[len(before)-1].timestamp
			if d := after[0].timestamp - last; d == 0 || d > 90_000/uint32(min(fps, 10))*2 {
				t.Errorf("%d ticks from the old encoder's last picture to the new one's first", d)
			}
			keys := 0
			for i, s := range after {
				if s.has(5) {
					keys++
				}
				if i > 0 && s.timestamp-after[i-1].timestamp != 90_000/uint32(fps) {
					t.Errorf("picture %d: %d ticks after its predecessor", i, s.timestamp-after[i-1].timestamp)
				}
			}
			if keys < 3 || keys > 4 {
				t.Errorf("%d key samples in 3 s, one a second asked for", keys)
			}
		})
	}
}

// A refused configuration changes nothing, and a file cannot be configured.
func TestConfigureRefused(t *testing.T) {
	bubble(t, small(), true, func(t *testing.T, srv *Server, c *client) {
		cam := srv.Devices()[0]
		was := cam.Streams()[0].Encoding
		var why *onvif.ConfigError
		if err := cam.Configure(0, onvif.Encoding{Width: 32, Height: 32, FPS: 5, GOP: 5, BitRate: 1000}); !errors.As(err, &why) {
			t.Errorf("pictures without room for the strip: %v", err)
		}
		if got := cam.Streams()[0].Encoding; got != was {
			t.Errorf("%+v, was %+v", got, was)
		}
		run(time.Second)
		c.forget()
		cam.ForceKey(0)
		run(150 * time.Millisecond)
		if all := c.shots(); len(all) == 0 || !all[0].has(5) {
			t.Error("no key sample after ForceKey")
		}
	})
	o := small()
	o.Files = []string{testdata(t, "es/kvs.h265")}
	srv := New(o)
	cam := srv.Devices()[0]
	if got := cam.Streams()[0].Codec; got != "H265" {
		t.Errorf("codec %s", got)
	}
	var why *onvif.ConfigError
	if err := cam.Configure(0, onvif.Encoding{Width: 640, Height: 480, FPS: 5, GOP: 5, BitRate: 100_000}); !errors.As(err, &why) {
		t.Errorf("a file was configured: %v", err)
	}
	if img, err := cam.Image(0); err != nil || img.Bounds().Dx() != 320 {
		t.Errorf("image of a file's stream: %v", err)
	}
}

func TestDevices(t *testing.T) {
	bubble(t, Options{Cameras: 12, Width: 320, Height: 240, FPS: 10}, false, func(t *testing.T, srv *Server, _ *client) {
		all := srv.Devices()
		if len(all) != 12 {
			t.Fatalf("%d devices", len(all))
		}
		last := all[11]
		if s := last.Streams(); last.Name() != "cam11" || len(s) != 2 || s[0].Path != "/cam11" || s[1].Path != "/cam11/sub" || s[0].Name != "main" || s[1].Name != "sub" {
			t.Errorf("%s: %+v", last.Name(), s)
		}
		if err := srv.SetFault("/cam11", Fault{ClockStep, "1h"}); err != nil {
			t.Fatal(err)
		}
		if d := last.Now().Sub(all[0].Now()); d != time.Hour {
			t.Errorf("the stepped clock is %v ahead", d)
		}
		if n, up := last.Boots(); n != 0 || !up {
			t.Errorf("%d boots, up %v", n, up)
		}
		all[3].Reboot(time.Second)
		if n, up := last.Boots(); n != 1 || up {
			t.Errorf("%d boots, up %v", n, up)
		}
	})
}
