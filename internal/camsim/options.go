package camsim

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options say what cameras to simulate. The zero value is one camera with a main stream of 1920x1080 at 30 pictures a
// second in 3 Mb/s and a sub stream of 640x360 at 10 pictures a second in 200 kb/s, no audio, no password.
type Options struct {
	Cameras int // streams /cam0 … and /cam0/sub …; 0 is 1

	Width, Height int // of the main streams; 0x0 is 1920x1080
	FPS           int // pictures a second; 0 is 30. Also the rate at which files are played
	GOP           int // pictures from one key sample to the next; 0 is 2 seconds
	BitRate       int // bits a second; 0 is 3,000,000

	SubWidth, SubHeight int  // of the sub streams; 0x0 is 640x360
	SubFPS              int  // 0 is 10
	SubGOP              int  // 0 is 2 seconds
	SubBitRate          int  // 0 is 200,000
	NoSub               bool // no sub streams

	Droppable bool // every second picture is used by no other (nal_ref_idc 0)
	PCM       bool // the strip's macroblocks are I_PCM

	// Files are played by the main streams in a loop instead of what is made on the fly: at most one of video (.h264
	// .264 .avc .h265 .265 .hevc), one of audio (.aac .alaw .ulaw .l16 .wav) and one transcript (.sdp, .txt), whose
	// description is sent to clients as it is.
	Files []string

	Audio    bool // a tone in G.711 A-law on all streams, with a beep at each full second
	Metadata bool // an ONVIF metadata track with one document a second, on the main streams

	User, Password string   // asked for when User is not empty
	Auth           []string // schemes offered, in order; nil is md5 and basic

	SessionTimeout time.Duration // 0 is 60 s; negative: sessions do not expire and no timeout is told

	Faults []PathFault // switched on from the start

	PacketSize   int           // bytes of RTP payload, at most; 0 is 1,400
	QueueBytes   int           // what a slow reader may leave waiting; 0 is 4 MiB
	WriteTimeout time.Duration // how long one write may hang; 0 is 10 s
	Seed         int64         // of everything random
	Log          *slog.Logger  // nil is silent
}

// withDefaults returns o with every zero replaced.
func (o Options) withDefaults() Options {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Cameras, 1)
	if o.Width == 0 && o.Height == 0 {
		o.Width, o.Height = 1920, 1080
	}
	set(&o.FPS, 30)
	set(&o.GOP, 2*o.FPS)
	set(&o.BitRate, 3_000_000)
	if o.SubWidth == 0 && o.SubHeight == 0 {
		o.SubWidth, o.SubHeight = 640, 360
	}
	set(&o.SubFPS, 10)
	set(&o.SubGOP, 2*o.SubFPS)
	set(&o.SubBitRate, 200_000)
	set(&o.PacketSize, 1400)
	set(&o.QueueBytes, 4<<20)
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 60 * time.Second
	}
	if o.Auth == nil {
		o.Auth = []string{AuthMD5, AuthBasic}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// check names the first option that makes no sense. o has its defaults.
func (o *Options) check() error {
	positive := []struct {
		name  string
		value int
		most  int
	}{
		{"cameras", o.Cameras, 10_000},
		{"pictures a second", o.FPS, 1000}, {"sub stream's pictures a second", o.SubFPS, 1000},
		{"GOP", o.GOP, 1 << 30}, {"sub stream's GOP", o.SubGOP, 1 << 30},
		{"bit rate", o.BitRate, 1_000_000_000}, {"sub stream's bit rate", o.SubBitRate, 1_000_000_000},
		{"queue size", o.QueueBytes, 1 << 30},
	}
	for _, p := range positive {
		if p.value < 1 || p.value > p.most {
			return fmt.Errorf("%s %d is outside 1-%d", p.name, p.value, p.most)
		}
	}
	if o.PacketSize < 100 || o.PacketSize > 60_000 {
		return fmt.Errorf("packet size %d is outside 100-60000", o.PacketSize)
	}
	for _, s := range [][2]int{{o.Width, o.Height}, {o.SubWidth, o.SubHeight}} {
		if _, _, err := ParseSize(fmt.Sprintf("%dx%d", s[0], s[1])); err != nil {
			return err
		}
	}
	for _, s := range o.Auth {
		if !validScheme(s) {
			return fmt.Errorf("no authentication scheme %q", s)
		}
	}
	if o.User == "" && o.Password != "" {
		return errors.New("a password without a user")
	}
	return nil
}
