package rtsp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

func reasonOf(err error) recording.Reason {
	var r *recording.Error
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

func TestSession(t *testing.T) {
	play(t, 10*time.Second+time.Millisecond, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) { newSource(c).run(60, 4_294_900_000, 500) }
		o.Synced = func() (bool, bool) { return true, true }
		o.Uptime = func() time.Duration { return time.Hour }
	}, func(t *testing.T, f *fake, c *Client, r *received, err error) {
		if !errors.Is(err, context.DeadlineExceeded) || reasonOf(err) != "" {
			t.Errorf("%v", err)
		}
		if r.samples != [4]int{0, 251, 251, 0} || r.keys != 11 || len(r.tracks) != 1 {
			t.Errorf("%+v", r)
		}
		if r.last[media.Video] != 250*3600 || r.last[media.Audio]-r.first[media.Audio] != 250*3600 {
			t.Errorf("video to %d, audio from %d to %d", r.last[media.Video], r.first[media.Audio], r.last[media.Audio])
		}
		if got := f.requests(); got != "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN" {
			t.Errorf("%s", got)
		}
		if s := c.Stats(); s.Video != 251 || s.Audio != 251 || s.Lost != 0 || s.Broken != 0 || s.Transport != "tcp" || s.Packets < 1000 || s.Bytes < 251*3000 {
			t.Errorf("%+v", s)
		}
		k := c.Clocks()
		if !k.Wall.Equal(f.start) || k.Synced == nil || !*k.Synced || k.Uptime != time.Hour || !k.PlayTime.Equal(time.Date(2026, 11, 20, 13, 30, 51, 0, time.UTC)) || !k.SenderNTP.IsZero() {
			t.Errorf("%+v", k)
		}
	})
}

func TestKeepaliveAndReports(t *testing.T) {
	for name, c := range map[string]struct {
		id     string
		public string
		handle func(c *fakeConn, m *message) bool
		want   string // what is sent at which second, RTCP left out
	}{
		"by parameter":  {want: "30s GET_PARAMETER, 1m0s GET_PARAMETER"},
		"by options":    {public: "OPTIONS, DESCRIBE", want: "30s OPTIONS, 1m0s OPTIONS"},
		"short timeout": {id: "1;timeout=40", want: "20s GET_PARAMETER, 40s GET_PARAMETER, 1m0s GET_PARAMETER"},
		"long timeout":  {id: "1;timeout=600", want: "30s GET_PARAMETER, 1m0s GET_PARAMETER"},
		"ignored": {
			handle: func(_ *fakeConn, m *message) bool { return m.method == "GET_PARAMETER" },
			want:   "30s GET_PARAMETER, 1m0s GET_PARAMETER",
		},
		"refused": {
			handle: func(c *fakeConn, m *message) bool {
				if m.method == "GET_PARAMETER" {
					c.answer(m, 501, "")
				}
				return m.method == "GET_PARAMETER"
			},
			want: "30s GET_PARAMETER, 1m0s OPTIONS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 62*time.Second, func(f *fake, o *Options) {
				f.stream = func(c *fakeConn) { newSource(c).run(90, 0, 0) }
				f.handle = c.handle
				if c.id != "" {
					f.id = c.id
				}
				if c.public != "" {
					f.public = c.public
				}
			}, func(t *testing.T, f *fake, _ *Client, r *received, err error) {
				if reasonOf(err) != "" || r.samples[media.Video] < 1500 {
					t.Errorf("%v after %d samples", err, r.samples[media.Video])
				}
				var got []string
				reports := 0
				for _, l := range f.log {
					switch {
					case strings.HasSuffix(l, "RTCP 201+202"):
						reports++
					case !strings.HasPrefix(l, "0s ") && !strings.HasPrefix(l, "1m2s "):
						got = append(got, l)
					}
				}
				if s := strings.Join(got, ", "); s != c.want {
					t.Errorf("sent %q, want %q", s, c.want)
				}
				if reports != 2*12 {
					t.Errorf("%d receiver reports", reports)
				}
				if tail := strings.Join(f.log[len(f.log)-3:], ", "); tail != "1m2s RTCP 201+203, 1m2s RTCP 201+203, 1m2s TEARDOWN" {
					t.Errorf("ended with %s", tail)
				}
			})
		})
	}
}

// auth makes a handler that wants one of the given challenges answered, as check judges.
func auth(challenges []string, check func(authorization string, m *message) bool) func(c *fakeConn, m *message) bool {
	return func(c *fakeConn, m *message) bool {
		if check(m.get("Authorization"), m) {
			return false
		}
		var headers []string
		for _, ch := range challenges {
			headers = append(headers, "WWW-Authenticate: "+ch)
		}
		c.answer(m, 401, "", headers...)
		return true
	}
}

func TestAuthentication(t *testing.T) {
	digest, strong, basic := `Digest realm="r", nonce="n1", qop="auth"`, `Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth"`, `Basic realm="r"`
	right := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:geheim"))
	for name, c := range map[string]struct {
		handle func(c *fakeConn, m *message) bool
		user   string
		reason recording.Reason // "" for a session that plays
		text   string
		log    string
	}{
		"digest": {
			handle: auth([]string{basic, digest}, func(a string, _ *message) bool { return strings.HasPrefix(a, `Digest username="u"`) }),
			user:   "u", log: "OPTIONS OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"strong digest that the camera can't do": {
			handle: auth([]string{strong, digest}, func(a string, _ *message) bool {
				return strings.HasPrefix(a, "Digest") && !strings.Contains(a, "SHA-256")
			}),
			user: "u", log: "OPTIONS OPTIONS OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"basic after digest": {
			handle: auth([]string{digest, basic}, func(a string, _ *message) bool { return a == right }),
			user:   "u", log: "OPTIONS OPTIONS OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"wrong password": {
			handle: auth([]string{digest, basic}, func(string, *message) bool { return false }),
			user:   "u", reason: recording.AuthFailed, text: "cam: the camera refuses the user name or password", log: "OPTIONS OPTIONS OPTIONS",
		},
		"no user": {
			handle: auth([]string{digest}, func(string, *message) bool { return false }),
			reason: recording.AuthFailed, text: "cam: the camera asks for a user name and password", log: "OPTIONS",
		},
		"unknown scheme": {
			handle: auth([]string{"Negotiate"}, func(string, *message) bool { return false }),
			user:   "u", reason: recording.AuthFailed, text: "authentication that is not known: Negotiate", log: "OPTIONS",
		},
		"stale nonce": {
			handle: auth([]string{`Digest realm="r", nonce="n2", stale=true`}, func(a string, m *message) bool {
				return m.method == "OPTIONS" && strings.Contains(a, `nonce="n2"`) || strings.Contains(a, `nonce="n2"`)
			}),
			user: "u", log: "OPTIONS OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"only from DESCRIBE on": {
			handle: auth([]string{digest}, func(a string, m *message) bool { return m.method == "OPTIONS" || a != "" }),
			user:   "u", log: "OPTIONS DESCRIBE DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"forbidden": {
			handle: func(c *fakeConn, m *message) bool {
				if m.method == "DESCRIBE" {
					c.answer(m, 403, "")
				}
				return m.method == "DESCRIBE"
			},
			user: "u", reason: recording.AuthFailed, text: "DESCRIBE rtsp://cam/stream: the camera answered 403", log: "OPTIONS DESCRIBE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, time.Second, func(f *fake, o *Options) {
				o.Username, o.Password = c.user, secret.New("geheim")
				f.handle = c.handle
				f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
			}, func(t *testing.T, f *fake, _ *Client, r *received, err error) {
				if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
					t.Errorf("%q %v", reasonOf(err), err)
				}
				if got := f.requests(); got != c.log {
					t.Errorf("%s", got)
				}
				if c.reason == "" && r.samples[media.Video] == 0 {
					t.Error("no samples")
				}
			})
		})
	}
}

// The camera closes the connection behind each challenge.
func TestChallengeAndClose(t *testing.T) {
	play(t, time.Second, func(f *fake, o *Options) {
		o.URL = "rtsp://u:geheim@cam/stream"
		f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
		f.handle = func(c *fakeConn, m *message) bool {
			if m.get("Authorization") != "" {
				return false
			}
			c.answer(m, 401, "", `WWW-Authenticate: Digest realm="r", nonce="n"`)
			c.Close()
			return true
		}
	}, func(t *testing.T, f *fake, _ *Client, r *received, err error) {
		if reasonOf(err) != "" || r.samples[media.Video] == 0 || len(f.dials) != 2 {
			t.Errorf("%v, %d samples, dialled %v", err, r.samples[media.Video], f.dials)
		}
	})
}

// The nonce is changed in the middle of the session: the keepalive is sent again with the new one.
func TestNonceChanges(t *testing.T) {
	nonce := "n1"
	play(t, 40*time.Second, func(f *fake, o *Options) {
		o.Username, o.Password = "u", secret.New("p")
		f.stream = func(c *fakeConn) { newSource(c).run(60, 0, 0) }
		f.handle = func(c *fakeConn, m *message) bool {
			if m.method == "GET_PARAMETER" && nonce == "n1" {
				nonce = "n2"
			}
			if strings.Contains(m.get("Authorization"), `nonce="`+nonce+`"`) {
				return false
			}
			c.answer(m, 401, "", `WWW-Authenticate: Digest realm="r", nonce="`+nonce+`"`)
			return true
		}
	}, func(t *testing.T, f *fake, _ *Client, r *received, err error) {
		if got := f.requests(); got != "OPTIONS OPTIONS DESCRIBE SETUP SETUP PLAY GET_PARAMETER GET_PARAMETER TEARDOWN" || reasonOf(err) != "" {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		reason recording.Reason
		text   string
	}{
		{"OPTIONS", 501, "", ""},
		{"DESCRIBE", 404, recording.NotFound, "DESCRIBE rtsp://cam/stream: the camera answered 404 X"},
		{"DESCRIBE", 400, recording.ProtocolError, "400"},
		{"DESCRIBE", 503, recording.Refused, "503"},
		{"SETUP", 453, recording.Refused, "SETUP rtsp://cam/stream/trackID=1: the camera answered 453"},
		{"SETUP", 461, recording.Unsupported, "461"},
		{"PLAY", 500, recording.ProtocolError, "PLAY rtsp://cam/stream/: the camera answered 500"},
		{"PLAY", 454, recording.CameraClosed, "454"},
	} {
		t.Run(fmt.Sprint(c.method, c.status), func(t *testing.T) {
			play(t, time.Second, func(f *fake, o *Options) {
				f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
				f.handle = func(conn *fakeConn, m *message) bool {
					if m.method == c.method {
						conn.answer(m, c.status, "")
					}
					return m.method == c.method
				}
			}, func(t *testing.T, _ *fake, _ *Client, _ *received, err error) {
				if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%q %v", reasonOf(err), err)
				}
			})
		})
	}
}

// Sound that the camera refuses to set up does not cost the video.
func TestSoundRefused(t *testing.T) {
	play(t, time.Second, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
		f.handle = func(c *fakeConn, m *message) bool {
			if strings.HasSuffix(m.uri, "trackID=2") {
				c.answer(m, 404, "")
				return true
			}
			return false
		}
	}, func(t *testing.T, _ *fake, _ *Client, r *received, err error) {
		if reasonOf(err) != "" || r.samples[media.Video] == 0 || r.samples[media.Audio] != 0 {
			t.Errorf("%+v %v", r.samples, err)
		}
	})
}

func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		setup  func(f *fake, o *Options)
		reason recording.Reason
		text   string
		after  time.Duration
		log    string
	}{
		"no answer": {
			setup:  func(f *fake, o *Options) { f.handle = func(*fakeConn, *message) bool { return true } },
			reason: recording.Timeout, text: "OPTIONS rtsp://cam/stream: the camera does not answer", after: 10 * time.Second, log: "OPTIONS",
		},
		"nothing after PLAY": {
			setup:  func(f *fake, o *Options) {},
			reason: recording.Timeout, text: "accepted PLAY over tcp but sent no video", after: 10 * time.Second, log: "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"stops": {
			setup:  func(f *fake, o *Options) { f.stream = func(c *fakeConn) { newSource(c).run(3, 0, 0) } },
			reason: recording.Timeout, text: "no video for 10s", after: 12900 * time.Millisecond, log: "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"own timeout": {
			setup: func(f *fake, o *Options) {
				o.Timeout = 4 * time.Second
				f.stream = func(c *fakeConn) { newSource(c).run(3, 0, 0) }
			},
			reason: recording.Timeout, text: "no video for 4s", after: 6900 * time.Millisecond, log: "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"no key picture": {
			setup: func(f *fake, o *Options) {
				f.stream = func(c *fakeConn) {
					s := newSource(c)
					for i := range 2000 {
						if s.picture(uint32(3600*i), false) != nil {
							return
						}
						<-time.After(40 * time.Millisecond)
					}
				}
			},
			reason: recording.NoKeySample, text: "no picture that can be decoded alone within 30s", after: 30 * time.Second, log: "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"no parameter sets": {
			setup: func(f *fake, o *Options) {
				o.KeyTimeout = 5 * time.Second
				f.sdp = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
				f.stream = func(c *fakeConn) {
					s := newSource(c)
					for i := range 2000 {
						if s.video.H264(uint32(3600*i), nals([]byte{0x65, 0x88, 1}), func(b []byte) error { return c.frame(0, b) }) != nil {
							return
						}
						<-time.After(40 * time.Millisecond)
					}
				}
			},
			reason: recording.NoKeySample, text: "no picture with parameter sets within 5s", after: 5 * time.Second, log: "OPTIONS DESCRIBE SETUP PLAY TEARDOWN",
		},
		"closes": {
			setup: func(f *fake, o *Options) {
				f.stream = func(c *fakeConn) { newSource(c).run(3, 0, 0); c.Close() }
			},
			reason: recording.CameraClosed, text: "the camera closed the connection", after: 3 * time.Second, log: "OPTIONS DESCRIBE SETUP SETUP PLAY",
		},
		"says goodbye": {
			setup: func(f *fake, o *Options) {
				f.stream = func(c *fakeConn) {
					newSource(c).run(3, 0, 0)
					c.write([]byte("TEARDOWN rtsp://cam/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
				}
			},
			reason: recording.CameraClosed, text: "the camera ended the session", after: 3 * time.Second, log: "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN",
		},
		"no RTSP": {
			setup: func(f *fake, o *Options) {
				f.handle = func(c *fakeConn, m *message) bool {
					c.write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
					c.Close()
					return true
				}
			},
			reason: recording.CameraClosed, text: "OPTIONS", log: "OPTIONS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var f0 *fake
			play(t, time.Minute, func(f *fake, o *Options) { c.setup(f, o); f0 = f }, func(t *testing.T, f *fake, _ *Client, _ *received, err error) {
				if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%q %v", reasonOf(err), err)
				}
				if got := time.Since(f0.start).Truncate(100 * time.Millisecond); got != c.after {
					t.Errorf("after %v, want %v", got, c.after)
				}
				if got := f.requests(); got != c.log {
					t.Errorf("%s", got)
				}
			})
		})
	}
}

// A camera that takes TEARDOWN but does not answer holds nobody up for long.
func TestMuteGoodbye(t *testing.T) {
	play(t, 3*time.Second, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) { newSource(c).run(60, 0, 0) }
		f.handle = func(_ *fakeConn, m *message) bool { return m.method == "TEARDOWN" }
	}, func(t *testing.T, f *fake, _ *Client, _ *received, err error) {
		if got := time.Since(f.start).Truncate(100 * time.Millisecond); got != 5*time.Second || !strings.HasSuffix(f.requests(), "PLAY TEARDOWN") {
			t.Errorf("after %v: %s", got, f.requests())
		}
	})
}

func TestDialErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason recording.Reason
		text   string
	}{
		{&net.DNSError{Err: "no such host", Name: "cam"}, recording.DNS, "find the address of cam:554: there is no such host"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, recording.Refused, "connect to cam:554: the address answers, but nothing"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, recording.CameraOffline, "no way to the address"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, recording.CameraOffline, "no answer"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNRESET)}, recording.CameraClosed, "connect to cam:554"},
		{errors.New("odd"), recording.CameraOffline, "connect to cam:554: odd"},
	} {
		client := New(Options{URL: "rtsp://u:geheim@cam/x", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, c.err }})
		err := client.Run(context.Background(), nil)
		if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v: %q %v", c.err, reasonOf(err), err)
		}
	}
	if err := New(Options{URL: "http://cam"}).Run(context.Background(), nil); reasonOf(err) != recording.Unsupported {
		t.Errorf("%v", err)
	}
}

func TestRedirect(t *testing.T) {
	for name, c := range map[string]struct {
		location string
		dials    string
		reason   recording.Reason
		auth     bool // the second place sees the credentials
	}{
		"same host":      {"rtsp://cam/other", "cam:554", "", true},
		"other port":     {"rtsp://cam:8554/other", "cam:554 cam:8554", "", true},
		"other host":     {"rtsp://evil/other", "cam:554 evil:554", recording.AuthFailed, false},
		"no RTSP":        {"http://cam/other", "cam:554", recording.ProtocolError, false},
		"back and forth": {"rtsp://cam/stream", "cam:554", recording.ProtocolError, false},
	} {
		t.Run(name, func(t *testing.T) {
			leaked := false
			play(t, time.Second, func(f *fake, o *Options) {
				o.Username, o.Password = "u", secret.New("p")
				f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
				f.handle = func(conn *fakeConn, m *message) bool {
					if strings.Contains(m.uri, "evil") && m.get("Authorization") != "" {
						leaked = true
					}
					switch {
					case m.get("Authorization") == "":
						conn.answer(m, 401, "", `WWW-Authenticate: Basic realm="r"`)
					case m.method == "DESCRIBE" && strings.HasSuffix(m.uri, "/stream"):
						conn.answer(m, 302, "", "Location: "+c.location)
					default:
						return false
					}
					return true
				}
			}, func(t *testing.T, f *fake, _ *Client, r *received, err error) {
				if reasonOf(err) != c.reason || strings.Join(f.dials, " ") != c.dials || leaked {
					t.Errorf("%v, dialled %v, leaked %v", err, f.dials, leaked)
				}
				if c.auth != (r.samples[media.Video] > 0) {
					t.Errorf("%d samples", r.samples[media.Video])
				}
			})
		})
	}
}

// Auto gives UDP a chance where TCP is refused or brings nothing. (UDP itself: udp_test.go.)
func TestFallback(t *testing.T) {
	for name, refuse := range map[string]bool{"refused": true, "silent": false} {
		t.Run(name, func(t *testing.T) {
			play(t, time.Minute, func(f *fake, o *Options) {
				o.Transport = Auto
				o.ListenPacket = func(context.Context, string, string) (net.PacketConn, error) {
					return nil, errors.New("no sockets here")
				}
				if refuse {
					f.handle = func(c *fakeConn, m *message) bool {
						if m.method == "SETUP" {
							c.answer(m, 461, "")
						}
						return m.method == "SETUP"
					}
				}
			}, func(t *testing.T, f *fake, _ *Client, _ *received, err error) {
				want := "OPTIONS DESCRIBE SETUP SETUP PLAY TEARDOWN OPTIONS DESCRIBE"
				after := 5 * time.Second
				if refuse {
					want, after = "OPTIONS DESCRIBE SETUP OPTIONS DESCRIBE", 0
				}
				if got := f.requests(); got != want || time.Since(f.start) != after {
					t.Errorf("%s after %v", got, time.Since(f.start))
				}
				if !strings.Contains(err.Error(), "no sockets here") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestEmitFails(t *testing.T) {
	full := errors.New("disk full")
	play(t, time.Minute, func(f *fake, o *Options) {
		f.stream = func(c *fakeConn) { newSource(c).run(5, 0, 0) }
	}, func(t *testing.T, f *fake, c *Client, _ *received, _ error) {
		err := c.Run(context.Background(), func(media.Sample) error { return full })
		f.group.Wait()
		if !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
	})
}

// A camera that needs 8 s for its first picture over TCP and refuses UDP is received all the same, at the second attempt.
func TestSlowCamera(t *testing.T) {
	play(t, time.Minute, func(f *fake, o *Options) {
		o.Transport = Auto
		o.ListenPacket = func(context.Context, string, string) (net.PacketConn, error) { return nopPackets{}, nil }
		f.handle = func(c *fakeConn, m *message) bool {
			if m.method == "SETUP" && !strings.Contains(m.get("Transport"), "TCP") {
				c.answer(m, 500, "")
				return true
			}
			return false
		}
		f.stream = func(c *fakeConn) { <-time.After(8 * time.Second); newSource(c).run(5, 0, 0) }
	}, func(t *testing.T, f *fake, c *Client, r *received, err error) {
		if reasonOf(err) != recording.ProtocolError || r.samples[media.Video] != 0 {
			t.Errorf("%v, %d samples", err, r.samples[media.Video])
		}
		ctx, cancel := context.WithTimeout(context.Background(), 12*time.Second)
		defer cancel()
		err = c.Run(ctx, r.emit)
		f.group.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || r.samples[media.Video] == 0 || c.slow {
			t.Errorf("%v, %d samples, slow %v", err, r.samples[media.Video], c.slow)
		}
	})
}

// nopPackets is a socket that does nothing.
type nopPackets struct{ net.PacketConn }

func (nopPackets) LocalAddr() net.Addr { return &net.UDPAddr{Port: 5000} }
func (nopPackets) Close() error        { return nil }
