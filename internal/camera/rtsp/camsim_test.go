package rtsp

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// simulated runs one session against a simulated camera in fake time. during runs 10 s after the beginning.
func simulated(t *testing.T, o camsim.Options, limit time.Duration, own func(o *Options), during func(srv *camsim.Server),
	check func(t *testing.T, srv *camsim.Server, c *Client, r *received, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		serving, stop := context.WithCancel(t.Context())
		defer stop()
		srv := camsim.New(o)
		if err := srv.Open(); err != nil {
			t.Fatal(err)
		}
		options := Options{URL: "rtsp://cam/cam0", Audio: true, Metadata: true, Transport: TCP}
		options.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go srv.ServeConn(serving, theirs)
			return newBuffered(ours), nil
		}
		if own != nil {
			own(&options)
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if during != nil {
			timer := time.AfterFunc(10*time.Second, func() { during(srv) })
			defer timer.Stop()
		}
		c := New(options)
		var r received
		err := c.Run(ctx, r.emit)
		check(t, srv, c, &r, err)
	})
}

// buffered gives a pipe what a socket has: room for what the other side has not read yet.
type buffered struct {
	net.Conn
	out  chan []byte
	done sync.Once
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, out: make(chan []byte, 100)}
	go func() {
		for p := range b.out {
			c.Write(p)
		}
		c.Close()
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	b.out <- bytes.Clone(p)
	return len(p), nil
}

func (b *buffered) SetDeadline(t time.Time) error    { return b.Conn.SetReadDeadline(t) }
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) Close() error {
	b.done.Do(func() { close(b.out) })
	return nil
}

func smallCamera(faults ...camsim.Fault) camsim.Options {
	o := camsim.Options{Width: 320, Height: 240, FPS: 10, GOP: 10, BitRate: 100_000, NoSub: true, PacketSize: 200, Seed: 1, Audio: true, Metadata: true}
	for _, f := range faults {
		o.Faults = append(o.Faults, camsim.PathFault{Fault: f})
	}
	return o
}

// What each fault of the simulated camera comes to.
func TestSimulatedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault  camsim.Fault // from the start
		later  camsim.Fault // after 10 s
		reason recording.Reason
		check  func(t *testing.T, s Stats, r *received, sent camsim.SessionCounts)
	}{
		"none": {check: func(t *testing.T, s Stats, r *received, sent camsim.SessionCounts) {
			if s.Video != int64(sent.SamplesSent) || s.Lost != 0 || s.Damaged != 0 {
				t.Errorf("%+v, sent %+v", s, sent)
			}
		}},
		"loss": {fault: camsim.Fault{Kind: camsim.Loss, Value: "3"}, check: func(t *testing.T, s Stats, r *received, sent camsim.SessionCounts) {
			flagged := 0
			for _, f := range r.flags {
				if f&(media.Damaged|media.AfterLoss) != 0 {
					flagged++
				}
			}
			if s.Lost == 0 || s.Damaged == 0 || flagged < int(s.Damaged) {
				t.Errorf("%+v, %d flagged", s, flagged)
			}
		}},
		"duplicate": {fault: camsim.Fault{Kind: camsim.Duplicate, Value: "20"}, check: func(t *testing.T, s Stats, r *received, sent camsim.SessionCounts) {
			if s.Duplicates == 0 || s.Lost != 0 || s.Damaged != 0 || s.Video != int64(sent.SamplesSent) {
				t.Errorf("%+v", s)
			}
		}},
		"start codes":         {fault: camsim.Fault{Kind: camsim.StartCodes}},
		"marker on sets":      {fault: camsim.Fault{Kind: camsim.ParamsMarker}},
		"wrap":                {fault: camsim.Fault{Kind: camsim.WrapSoon, Value: "5"}},
		"NTP 0":               {fault: camsim.Fault{Kind: camsim.NTPZero}},
		"no RTCP":             {fault: camsim.Fault{Kind: camsim.NoReports}},
		"jitter":              {fault: camsim.Fault{Kind: camsim.Jitter, Value: "300ms"}},
		"no sprop":            {fault: camsim.Fault{Kind: camsim.WrongSDP, Value: "no-sprop"}},
		"garbage sprop":       {fault: camsim.Fault{Kind: camsim.WrongSDP, Value: "garbage"}},
		"other size in SDP":   {fault: camsim.Fault{Kind: camsim.WrongSDP, Value: "size"}},
		"other payload type":  {fault: camsim.Fault{Kind: camsim.WrongSDP, Value: "payload-type"}},
		"no content type":     {fault: camsim.Fault{Kind: camsim.NoType}},
		"begins within a GOP": {fault: camsim.Fault{Kind: camsim.MidGOP}},
		"mute keepalive":      {fault: camsim.Fault{Kind: camsim.KeepAlive, Value: "mute"}},
		"slow keepalive":      {fault: camsim.Fault{Kind: camsim.KeepAlive, Value: "8s"}},
		"refused keepalive":   {fault: camsim.Fault{Kind: camsim.KeepAlive, Value: "refuse"}},
		"new sender":          {later: camsim.Fault{Kind: camsim.NewSSRC}},
		"new sets": {later: camsim.Fault{Kind: camsim.Parameters}, check: func(t *testing.T, _ Stats, r *received, _ camsim.SessionCounts) {
			if len(r.tracks) != 2 {
				t.Errorf("%d tracks", len(r.tracks))
			}
		}},
		"new size": {later: camsim.Fault{Kind: camsim.Parameters, Value: "640x480"}, check: func(t *testing.T, _ Stats, r *received, _ camsim.SessionCounts) {
			if len(r.tracks) != 2 || r.tracks[1].Width != 640 {
				t.Errorf("%d tracks", len(r.tracks))
			}
		}},
		"stall":            {later: camsim.Fault{Kind: camsim.Stall, Value: "5s"}},
		"wall clock steps": {later: camsim.Fault{Kind: camsim.ClockStep, Value: "1h"}},
		"jump ahead":       {later: camsim.Fault{Kind: camsim.TimeJump, Value: "2000000"}, reason: recording.ClockStep},
		"jump back":        {later: camsim.Fault{Kind: camsim.TimeJump, Value: "-200000"}, reason: recording.ClockStep},
		"long stall":       {later: camsim.Fault{Kind: camsim.Stall}, reason: recording.Timeout},
		"half open":        {later: camsim.Fault{Kind: camsim.HalfOpen}, reason: recording.Timeout},
		"close":            {later: camsim.Fault{Kind: camsim.Close}, reason: recording.CameraClosed},
		"no key pictures":  {fault: camsim.Fault{Kind: camsim.NoKey}, reason: recording.NoKeySample},
		"no video":         {fault: camsim.Fault{Kind: camsim.NoVideo}, reason: recording.Unsupported},
		"VP8":              {fault: camsim.Fault{Kind: camsim.CodecName, Value: "VP8"}, reason: recording.Unsupported},
		"not found":        {fault: camsim.Fault{Kind: camsim.Refuse, Value: "404"}, reason: recording.NotFound},
		"busy":             {fault: camsim.Fault{Kind: camsim.Refuse, Value: "503"}, reason: recording.Refused},
		"no TCP":           {fault: camsim.Fault{Kind: camsim.NoTransport, Value: "tcp"}, reason: recording.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			var faults []camsim.Fault
			if c.fault.Kind != "" {
				faults = append(faults, c.fault)
			}
			during := func(srv *camsim.Server) {
				if c.later.Kind != "" {
					if err := srv.SetFault("/cam0", c.later); err != nil {
						t.Error(err)
					}
				}
			}
			simulated(t, smallCamera(faults...), 45*time.Second+5*time.Millisecond, nil, during,
				func(t *testing.T, srv *camsim.Server, client *Client, r *received, err error) {
					if reasonOf(err) != c.reason {
						t.Errorf("%v", err)
					}
					if c.reason == "" && (r.samples[media.Video] < 380 || r.samples[media.Audio] < 950 || r.samples[media.Metadata] < 38) {
						t.Errorf("%v samples, %+v", r.samples, client.Stats())
					}
					counts := srv.Counts().Paths["/cam0"]
					if c.check != nil && len(counts.Sessions) > 0 {
						c.check(t, client.Stats(), r, counts.Sessions[0])
					}
				})
		})
	}
}

func TestSimulatedPasswords(t *testing.T) {
	for _, auth := range []string{camsim.AuthBasic, camsim.AuthMD5, camsim.AuthMD5NoQop, camsim.AuthSHA256} {
		for password, reason := range map[string]recording.Reason{"right": "", "wrong": recording.AuthFailed} {
			o := smallCamera(camsim.Fault{Kind: camsim.Nonce, Value: "2"})
			o.User, o.Password, o.Auth = "user", "right", []string{auth}
			simulated(t, o, 40*time.Second, func(o *Options) { o.Username, o.Password = "user", secret.New(password) }, nil,
				func(t *testing.T, _ *camsim.Server, _ *Client, r *received, err error) {
					if reasonOf(err) != reason || (reason == "") != (r.samples[media.Video] > 300) {
						t.Errorf("%s, %s password: %v, %v", auth, password, err, r.samples)
					}
				})
		}
	}
}

// The recorded descriptions of real cameras, served by the simulated one: each is received or ends with a named reason.
func TestSimulatedTranscripts(t *testing.T) {
	reasons := map[recording.Reason]int{}
	for _, pattern := range []string{"rtsp/retina/*_describe*.txt", "rtsp/retina/*_sdp.txt", "sdp/*.sdp"} {
		files, err := filepath.Glob(filepath.Join(sharedDir(t, "."), pattern))
		if err != nil {
			t.Fatal(err)
		}
		sort.Strings(files)
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Fatal(err)
			}
			o := smallCamera()
			o.Files = []string{file}
			if err := camsim.New(o).Open(); err != nil {
				t.Logf("%s can't be served: %v", filepath.Base(file), err)
				continue
			}
			simulated(t, o, 31*time.Second, nil, nil, func(t *testing.T, _ *camsim.Server, _ *Client, r *received, err error) {
				reason := reasonOf(err)
				reasons[reason]++
				if reason == "" != (r.samples[media.Video] > 0) || reason != "" && strings.Contains(err.Error(), "%!") {
					t.Errorf("%s: %v samples, %v", filepath.Base(file), r.samples, err)
				}
				if reason != "" {
					t.Logf("%s: %s: %v", filepath.Base(file), reason, err)
				}
			})
		}
	}
	t.Logf("ends: %v", reasons)
}
