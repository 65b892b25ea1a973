package rtsp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
)

// streamed plays what stream sends and returns what came.
func streamed(t *testing.T, setup func(f *fake, o *Options), stream func(c *fakeConn), check func(t *testing.T, c *Client, r *received, err error)) {
	t.Helper()
	play(t, 20*time.Second, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) { stream(c); <-time.After(time.Millisecond); c.Close() }
		if setup != nil {
			setup(f, o)
		}
	}, func(t *testing.T, f *fake, c *Client, r *received, err error) { check(t, c, r, err) })
}

func TestParameterChange(t *testing.T) {
	var entries []string
	streamed(t, nil, func(c *fakeConn) {
		s := newSource(c)
		for i := range 8 {
			switch i {
			case 2: // sets that repeat those of the description, with a zero byte behind (Reolink)
				s.sps, s.pps = "Z00AKZpkA8ARPyzUBAQFAAADA+gAAOpgBAA=", fakePPS
			case 3: // other sets with a picture that is no key picture: they count from the next key picture on
				s.video.H264(uint32(3600*i), nals(decode(otherSPS), decode(otherPPS), []byte{0x41, 0x9a}), func(b []byte) error { return c.frame(0, b) })
				continue
			case 4:
				s.sps, s.pps = otherSPS, otherPPS
			}
			s.picture(uint32(3600*i), i%2 == 0)
		}
	}, func(t *testing.T, c *Client, r *received, err error) {
		for _, tr := range r.tracks {
			entries = append(entries, fmt.Sprintf("%dx%d", tr.Width, tr.Height))
		}
		if got := strings.Join(entries, " "); got != "1920x1080 2560x1440" || r.samples[media.Video] != 8 {
			t.Errorf("%s, %d samples", got, r.samples[media.Video])
		}
	})
}

func TestClockJumps(t *testing.T) {
	// A set that says that pictures are not reordered: the camera's own order is the order of output.
	const sps = "Z0IAKeNQFAe2AtwEBAaQeJEV"
	for name, c := range map[string]struct {
		ts     []uint32
		wait   time.Duration // before the last
		reason recording.Reason
		last   media.Time
	}{
		"ordinary":              {ts: []uint32{0, 3600, 7200}, last: 7200, reason: recording.CameraClosed},
		"repeated":              {ts: []uint32{0, 3600, 3600}, last: 3601, reason: recording.CameraClosed},
		"slipped back a little": {ts: []uint32{0, 3600, 3000}, last: 3601, reason: recording.CameraClosed},
		"back":                  {ts: []uint32{0, 3600, 4_294_000_000}, last: 3600, reason: recording.ClockStep},
		"ahead":                 {ts: []uint32{0, 3600, 3600 + 990_000}, last: 3600, reason: recording.ClockStep},
		"ahead within limits":   {ts: []uint32{0, 3600, 3600 + 890_000}, last: 893_600, reason: recording.CameraClosed},
		"ahead as time went":    {ts: []uint32{0, 3600, 3600 + 990_000}, wait: 8 * time.Second, last: 993_600, reason: recording.CameraClosed},
		"over the wrap":         {ts: []uint32{4_294_967_000, 200, 4000}, last: 4296, reason: recording.CameraClosed},
	} {
		t.Run(name, func(t *testing.T) {
			streamed(t, nil, func(conn *fakeConn) {
				s := newSource(conn)
				s.sps = sps
				for i, ts := range c.ts {
					if i == len(c.ts)-1 {
						<-time.After(c.wait)
					}
					s.picture(ts, i == 0)
				}
			}, func(t *testing.T, _ *Client, r *received, err error) {
				if reasonOf(err) != c.reason || r.last[media.Video] != c.last {
					t.Errorf("%v, last %d", err, r.last[media.Video])
				}
			})
		})
	}
}

func TestSoundAlignment(t *testing.T) {
	report := func(c *fakeConn, channel byte, ssrc uint32, at time.Time, ts uint32) {
		c.frame(channel, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: ssrc, NTP: rtp.NTPOf(at), Timestamp: ts}))
	}
	camera := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		play   string
		before func(c *fakeConn)
		want   media.Time // of the first sound, whose timestamp is 5000, after video from timestamp 90000 on
	}{
		// The first sound comes 40 ms after the first picture.
		"by arrival": {want: 3600},
		// Sound 5000 is 125 ms (1000/8000) after its rtptime, video 90000 is 100 ms after its own.
		"by the answer to PLAY": {
			play: "RTP-Info: url=rtsp://cam/stream/trackID=1;seq=1;rtptime=81000,url=rtsp://cam/stream/trackID=2;seq=1;rtptime=4000",
			want: 25 * 90,
		},
		"PLAY lies": {
			play: "RTP-Info: url=rtsp://cam/stream/trackID=1;seq=1;rtptime=0,url=rtsp://cam/stream/trackID=2;seq=1;rtptime=1234567890",
			want: 3600,
		},
		"by sender reports": {
			before: func(c *fakeConn) {
				report(c, 1, 1, camera, 90000)
				report(c, 3, 2, camera.Add(50*time.Millisecond), 5000)
			},
			want: 4500,
		},
		"reports without a clock": {
			before: func(c *fakeConn) {
				c.frame(1, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1, Timestamp: 1}))
				c.frame(3, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 2, Timestamp: 1}))
			},
			want: 3600,
		},
		"reports that can't be": {
			before: func(c *fakeConn) {
				report(c, 1, 1, camera, 90000)
				report(c, 3, 2, camera.Add(30*time.Second), 5000)
			},
			want: 3600,
		},
	} {
		t.Run(name, func(t *testing.T) {
			streamed(t, func(f *fake, o *Options) {
				if c.play != "" {
					f.play = []string{c.play}
				}
			}, func(conn *fakeConn) {
				s := newSource(conn)
				s.sound(4680) // before the first picture: not handed on
				s.picture(90000, true)
				if c.before != nil {
					c.before(conn)
				}
				<-time.After(40 * time.Millisecond)
				s.sound(5000)
				s.sound(5320)
			}, func(t *testing.T, _ *Client, r *received, err error) {
				if r.samples[media.Audio] != 2 || r.first[media.Audio] != c.want || r.last[media.Audio] != c.want+3600 {
					t.Errorf("%d samples, first at %d, last at %d", r.samples[media.Audio], r.first[media.Audio], r.last[media.Audio])
				}
			})
		})
	}
}

// The sound's clock is 1000 ppm fast. Sender reports bring it back.
func TestSoundDrift(t *testing.T) {
	play(t, 130*time.Second, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) {
			s := newSource(c)
			start := time.Now()
			for i := range 25 * 120 {
				at := time.Since(start)
				ts := uint32(at * 8008 / time.Second)
				if s.picture(uint32(3600*i), i%25 == 0) != nil || s.sound(ts) != nil {
					return
				}
				if i%125 == 0 {
					c.frame(1, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1, NTP: rtp.NTPOf(time.Now()), Timestamp: uint32(3600 * i)}))
					c.frame(3, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 2, NTP: rtp.NTPOf(time.Now()), Timestamp: ts}))
				}
				<-time.After(40 * time.Millisecond)
			}
			c.Close()
		}
	}, func(t *testing.T, _ *fake, _ *Client, r *received, err error) {
		apart := r.last[media.Audio].Sub(r.last[media.Video]).Std()
		if apart < -20*time.Millisecond || apart > 20*time.Millisecond {
			t.Errorf("%v apart after 2 minutes, %v", apart, err)
		}
	})
}

func TestSenderReportClocks(t *testing.T) {
	camera := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	streamed(t, nil, func(c *fakeConn) {
		s := newSource(c)
		s.picture(90000, true)
		c.frame(1, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1, NTP: rtp.NTPOf(camera), Timestamp: 93600}))
		c.frame(1, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1, NTP: 0, Timestamp: 99999}))
		s.picture(93600, false)
	}, func(t *testing.T, c *Client, _ *received, _ error) {
		if k := c.Clocks(); !k.SenderNTP.Equal(camera) || k.SenderTime != 3600 {
			t.Errorf("%+v", k)
		}
	})
}

func TestOddStreams(t *testing.T) {
	for name, c := range map[string]struct {
		setup  func(f *fake, o *Options)
		stream func(c *fakeConn, s *source)
		video  int
		check  func(t *testing.T, c *Client, r *received)
	}{
		"data before the answer to PLAY": {
			setup: func(f *fake, o *Options) {
				f.handle = func(c *fakeConn, m *message) bool {
					if m.method == "PLAY" {
						s := newSource(c)
						s.picture(0, true)
						c.frame(1, rtp.AppendSenderReport(nil, rtp.SenderReport{SSRC: 1}))
						s.picture(3600, false)
					}
					return false
				}
			},
			stream: func(c *fakeConn, s *source) { s.video.Sequence += 8; s.picture(7200, false) },
			video:  3,
		},
		"data of a session that is gone": {
			setup: func(f *fake, o *Options) {
				f.handle = func(c *fakeConn, m *message) bool {
					if m.method != "PLAY" {
						s := newSource(c)
						s.video.SSRC = 99
						s.picture(0, true)
					}
					return false
				}
			},
			stream: func(c *fakeConn, s *source) { s.picture(0, true); s.picture(3600, false) },
			video:  2,
		},
		"other session mixed in": {
			stream: func(c *fakeConn, s *source) {
				ghost := newSource(c)
				ghost.video.SSRC, ghost.video.Sequence = 99, 30000
				for i := range 5 {
					s.picture(uint32(3600*i), i == 0)
					ghost.picture(uint32(77777+3600*i), i == 0)
				}
			},
			video: 5,
			check: func(t *testing.T, c *Client, r *received) {
				if s := c.Stats(); s.Foreign != 17 || s.Lost != 0 {
					t.Errorf("%+v", s)
				}
			},
		},
		"the announced sender comes second": {
			setup: func(f *fake, o *Options) {
				f.play = []string{"RTP-Info: url=trackID=1;seq=1;rtptime=0;ssrc=00000001"}
			},
			stream: func(c *fakeConn, s *source) {
				ghost := newSource(c)
				ghost.video.SSRC = 99
				ghost.picture(500_000, false)
				s.picture(0, true)
				ghost.picture(503_600, false)
				s.picture(3600, false)
			},
			video: 2,
		},
		"sender changes": {
			stream: func(c *fakeConn, s *source) {
				for i := range 20 {
					if i == 5 {
						s.video.SSRC, s.video.Sequence = 5, 100
					}
					s.picture(uint32(3600*i), i%10 == 0)
				}
			},
			video: 15, // five pictures of three packets are not yet trusted
			check: func(t *testing.T, c *Client, r *received) {
				if r.flags[5]&media.AfterLoss == 0 {
					t.Errorf("flags %b", r.flags)
				}
			},
		},
		"channels of nobody": {
			stream: func(c *fakeConn, s *source) {
				c.frame(9, []byte("what is this"))
				s.picture(0, true)
				c.frame(200, nil)
				s.picture(3600, false)
			},
			video: 2,
		},
		"payload type of nobody": {
			stream: func(c *fakeConn, s *source) {
				s.picture(0, true)
				// Geovision: type 50 with the sequence number of the packet before it.
				p := rtp.Packet{PayloadType: 50, Sequence: s.video.Sequence - 1, SSRC: 1}
				c.frame(0, append(p.AppendHeader(nil), 1, 2, 3))
				s.picture(3600, false)
			},
			video: 2,
		},
		"payload type other than announced": {
			stream: func(c *fakeConn, s *source) {
				s.video.PayloadType = 97
				for i := range 20 {
					s.picture(uint32(3600*i), i%5 == 0)
				}
			},
			video: 15,
		},
		"broken packets": {
			stream: func(c *fakeConn, s *source) {
				s.picture(0, true)
				c.frame(0, []byte{0x80})
				c.frame(0, nil)
				c.frame(1, []byte{0x80, 200, 0, 9})
				s.picture(3600, false)
			},
			video: 2,
		},
		"junk between frames": {
			stream: func(c *fakeConn, s *source) {
				s.picture(0, true)
				c.write([]byte("\x00\x17\xffjunk"))
				s.picture(3600, false)
			},
			video: 2,
			check: func(t *testing.T, c *Client, r *received) {
				if s := c.Stats(); s.Skipped != 7 {
					t.Errorf("%+v", s)
				}
			},
		},
		"requests of the camera": {
			stream: func(c *fakeConn, s *source) {
				s.picture(0, true)
				for _, m := range []string{"OPTIONS", "SET_PARAMETER", "DESCRIBE"} {
					c.write([]byte(m + " rtsp://cam RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
				}
				s.picture(3600, false)
			},
			video: 2,
		},
		"loss within a picture": {
			stream: func(c *fakeConn, s *source) {
				s.picture(0, true)
				n := 0
				s.video.H264(3600, nals(append([]byte{0x41, 0x9a}, bytes.Repeat([]byte{1}, 4000)...)), func(b []byte) error {
					if n++; n == 2 {
						return nil
					}
					return c.frame(0, b)
				})
				s.picture(7200, false)
			},
			video: 3,
			check: func(t *testing.T, c *Client, r *received) {
				if s := c.Stats(); s.Lost != 1 || s.Damaged != 1 || r.flags[1] != media.Damaged || r.flags[2] != 0 {
					t.Errorf("%+v, flags %b", s, r.flags)
				}
			},
		},
		"first key picture damaged": {
			stream: func(c *fakeConn, s *source) {
				n := 0
				s.video.H264(0, nals(decode(fakeSPS), decode(fakePPS), append([]byte{0x65, 0x88}, bytes.Repeat([]byte{1}, 4000)...)), func(b []byte) error {
					if n++; n == 4 {
						return nil
					}
					return c.frame(0, b)
				})
				s.picture(3600, false)
				s.picture(7200, true)
				s.picture(10800, false)
			},
			video: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			streamed(t, c.setup, func(conn *fakeConn) { c.stream(conn, newSource(conn)) }, func(t *testing.T, client *Client, r *received, err error) {
				if r.samples[media.Video] != c.video || reasonOf(err) != recording.CameraClosed {
					t.Errorf("%d samples, %v", r.samples[media.Video], err)
				}
				if c.check != nil {
					c.check(t, client, r)
				}
			})
		})
	}
}

// JPEG has no parameter sets; its track is made of what the packets tell.
func TestMJPEG(t *testing.T) {
	streamed(t, func(f *fake, o *Options) { f.sdp = "m=video 0 RTP/AVP 26\r\n" }, func(c *fakeConn) {
		for i, width := range []byte{80, 80, 40} {
			p := rtp.Packet{PayloadType: 26, Sequence: uint16(i), Timestamp: uint32(3600 * i), Marker: true}
			c.frame(0, append(p.AppendHeader(nil), 0, 0, 0, 0, 1, 50, width, 60, 1, 2, 3))
		}
	}, func(t *testing.T, c *Client, r *received, err error) {
		if r.samples[media.Video] != 3 || r.keys != 3 || len(r.tracks) != 2 || r.tracks[0].Width != 640 || r.tracks[1].Width != 320 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

func TestUnsupportedPackets(t *testing.T) {
	streamed(t, nil, func(c *fakeConn) {
		p := rtp.Packet{PayloadType: 96}
		c.frame(0, append(p.AppendHeader(nil), 0x7a, 0, 0))
	}, func(t *testing.T, c *Client, r *received, err error) {
		if reasonOf(err) != recording.Unsupported || !strings.Contains(err.Error(), "MTAP16") {
			t.Errorf("%v", err)
		}
	})
}

func TestMetadata(t *testing.T) {
	var documents []string
	play(t, time.Second, func(f *fake, o *Options) {
		o.Metadata, o.Audio = true, false
		f.sdp = strings.Split(fakeSDP, "m=audio")[0] + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:meta\r\n"
		f.stream = func(c *fakeConn) {
			s := newSource(c)
			w := rtp.Packetizer{SSRC: 3, PayloadType: 107, MTU: 100}
			s.picture(0, true)
			w.Document(0, []byte("<a>"+strings.Repeat("x", 200)+"</a>"), func(b []byte) error { return c.frame(2, b) })
			<-time.After(time.Millisecond)
			c.Close()
		}
	}, func(t *testing.T, f *fake, c *Client, r *received, err error) {
		if c.Stats().Metadata != 1 || r.samples[media.Metadata] != 1 {
			t.Errorf("%+v %v %v", c.Stats(), documents, err)
		}
	})
}
