package camsim

import (
	"errors"
	"fmt"
	"image"
	"time"

	"nightjar/internal/camsim/onvif"
	"nightjar/internal/camsim/picture"
)

// Device is one camera as its ONVIF side sees it: an onvif.Camera.
type Device struct {
	srv     *Server
	name    string
	streams []*stream // main, sub
}

// Devices returns all cameras, in order.
func (s *Server) Devices() []onvif.Camera {
	var all []onvif.Camera
	var last *Device
	for _, p := range s.paths {
		st := s.streams[p]
		if name := "/cam" + fmt.Sprint(len(all)); p == name {
			last = &Device{srv: s, name: name[1:]}
			all = append(all, last)
		}
		last.streams = append(last.streams, st)
	}
	return all
}

// Name returns cam0 and so on.
func (d *Device) Name() string { return d.name }

// Streams describes the streams as they are encoded now. The sizes are those of generated pictures; a file's may differ.
func (d *Device) Streams() []onvif.Stream {
	opened := d.srv.Open() == nil
	var all []onvif.Stream
	for i, st := range d.streams {
		st.mu.Lock()
		x := onvif.Stream{Name: "main", Path: st.path, Codec: "H264", Encoding: onvif.Encoding{
			Width: st.enc.width, Height: st.enc.height, FPS: st.enc.fps, GOP: st.enc.gop, BitRate: st.enc.bitRate,
		}}
		if i > 0 {
			x.Name = "sub"
		}
		if v := d.srv.files.video; opened && v != nil && i == 0 {
			x.Codec = v.codec
		}
		st.mu.Unlock()
		all = append(all, x)
	}
	return all
}

// Configure changes a stream's encoder. Sessions go on: the next picture is a key sample of the new encoder, and samples
// are numbered as if the new rate had been in force from the start, so that sample n is still due at start + n/rate.
func (d *Device) Configure(i int, e onvif.Encoding) error {
	if err := d.srv.Open(); err != nil {
		return err
	}
	return d.streams[i].configure(encoding{e.Width, e.Height, e.FPS, e.GOP, e.BitRate}, time.Now())
}

func (s *stream) configure(enc encoding, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	old := s.enc
	if g, ok := s.video.(*generated); !ok || g == nil {
		return &onvif.ConfigError{Reason: "the stream's pictures come from a file"}
	}
	s.enc = enc
	if err := s.renew(enc.width, enc.height); err != nil {
		s.enc = old
		var why *onvif.ConfigError
		if !errors.As(err, &why) {
			err = &onvif.ConfigError{Reason: err.Error()}
		}
		return err
	}
	s.renumber(old, now)
	select { // the stream's goroutine waits for a picture at the old rate
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// renumber goes on with the first sample that is due from now on at the new rate, later than all that were sent.
func (s *stream) renumber(old encoding, now time.Time) {
	if old.fps == s.enc.fps || !s.running {
		return
	}
	sent := scale(s.next-1, int64(old.fps), 90_000)
	s.next = ceilScale(s.clock.at(now)-s.phase, int64(s.enc.fps))
	for scale(s.next, int64(s.enc.fps), 90_000) <= sent {
		s.next++
	}
	for _, x := range s.sessions {
		for _, o := range x.outlets {
			if o.track.feed == videoFeed {
				o.first = s.next
			}
		}
	}
}

// ForceKey lets the next picture be a key sample.
func (d *Device) ForceKey(i int) {
	st := d.streams[i]
	st.mu.Lock()
	defer st.mu.Unlock()
	st.forceKey = true
}

// Image draws the scene of this instant, also for a stream whose pictures come from a file.
func (d *Device) Image(i int) (image.Image, error) {
	st := d.streams[i]
	st.mu.Lock()
	at := st.clock.at(time.Now())
	n := max(0, ceilScale(at-st.phase+1, int64(st.enc.fps))-1)
	utc := st.clock.utc(st.due(n))
	o := st.pictureOptions(st.enc.width, st.enc.height)
	st.mu.Unlock()
	img, err := picture.Image(o, uint32(n), utc)
	if err != nil {
		return nil, err
	}
	return img, nil
}

// Now returns the time on the main stream's clock.
func (d *Device) Now() time.Time {
	st := d.streams[0]
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.clock.utc(st.clock.at(time.Now()))
}

// Reboot lets all cameras restart: one port, one mains plug.
func (d *Device) Reboot(down time.Duration) { d.srv.Reboot(down) }

// Boots returns how often the cameras were rebooted, and whether the port is open.
func (d *Device) Boots() (n int, up bool) {
	d.srv.mu.Lock()
	defer d.srv.mu.Unlock()
	return d.srv.reboots, !d.srv.down
}
