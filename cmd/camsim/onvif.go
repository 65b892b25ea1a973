package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"nightjar/internal/camsim"
	"nightjar/internal/camsim/onvif"
)

// onvifSettings are the flags of the ONVIF side.
type onvifSettings struct {
	address, replay string
	discovery       bool
	shared          bool
	motion, offset  time.Duration
}

func (o *onvifSettings) register(f *flag.FlagSet) {
	f.StringVar(&o.address, "onvif", "", "`address` of the ONVIF port (HTTP); without it there is none")
	f.StringVar(&o.replay, "onvif-replay", "", "answer at the ONVIF port from this `recording`: directory, .tar.gz, .jsonl or .xml")
	f.BoolVar(&o.discovery, "onvif-discovery", false, "answer WS-Discovery at UDP port 3702")
	f.DurationVar(&o.motion, "onvif-motion", 30*time.Second, "motion events come once in this `time`; 0 is never")
	f.DurationVar(&o.offset, "onvif-clock", 0, "the ONVIF devices' clocks are ahead of the cameras' by this `time`")
	f.BoolVar(&o.shared, "onvif-shared-pullpoint", false, "pull points differ in a SOAP header and not in their address, as with Axis")
}

// check finds flags that go with nothing.
func (o *onvifSettings) check() error {
	switch {
	case o.motion < 0:
		return fmt.Errorf("motion once in %v", o.motion)
	case o.address != "" && o.replay != "" && o.discovery:
		return errors.New("--onvif-discovery finds simulated devices, not those of --onvif-replay")
	case o.address == "" && (o.replay != "" || o.discovery):
		return errors.New("--onvif-replay and --onvif-discovery need --onvif HOST:PORT")
	}
	return nil
}

// onvifSide is the open ONVIF port.
type onvifSide struct {
	ln        net.Listener
	server    *onvif.Server // nil with a replay
	discovery *onvif.Discovery
	serve     func(ctx context.Context, ln net.Listener) error
}

// open opens the ports; it returns nil if there is to be none.
func (o *onvifSettings) open(srv *camsim.Server, cams *camsim.Options, rtsp net.Addr) (*onvifSide, error) {
	if o.address == "" {
		return nil, nil
	}
	side := &onvifSide{}
	if o.replay != "" {
		r, err := onvif.OpenReplay(o.replay)
		if err != nil {
			return nil, err
		}
		side.serve = r.Serve
	} else {
		side.server = onvif.New(onvif.Options{
			Cameras: srv.Devices(), RTSP: rtsp.String(), User: cams.User, Password: cams.Password, ClockOffset: o.offset, Motion: o.motion,
			ReferenceParameters: o.shared, Log: cams.Log,
		})
		side.serve = side.server.Serve
	}
	ln, err := net.Listen("tcp", o.address)
	if err != nil {
		return nil, fmt.Errorf("open ONVIF port: %w", err)
	}
	side.ln = ln
	if o.discovery {
		if side.discovery, err = side.server.OpenDiscovery(ln.Addr()); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return side, nil
}

// run serves until ctx ends.
func (s *onvifSide) run(ctx context.Context, log *slog.Logger) {
	var group sync.WaitGroup
	defer group.Wait()
	if s.discovery != nil {
		group.Go(func() {
			if err := s.discovery.Run(ctx); err != nil {
				log.Error("discovery ended", "err", err)
			}
		})
	}
	if err := s.serve(ctx, s.ln); err != nil {
		log.Error("ONVIF port ended", "err", err)
	}
}

// control adds what the control port tells of the ONVIF side. It may be called on nil.
func (s *onvifSide) control(next http.Handler) http.Handler {
	if s == nil || s.server == nil {
		return next
	}
	return s.server.Control(next)
}
