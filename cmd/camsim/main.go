// Command camsim simulates cameras: an RTSP server with streams /cam0, /cam0/sub, /cam1 … that makes its own pictures or
// plays files, and goes wrong on request. docs/guide/camsim.md is its manual.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightjar/internal/camsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the flags.
type settings struct {
	listen, control string
	options         camsim.Options
	onvif           onvifSettings
}

// run is main as a value. Exit codes: 0 after an interrupt, 1 when it cannot serve, 2 for wrong flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "camsim:", err)
		return 2
	}
	s.options.Log = slog.New(slog.NewTextHandler(stderr, nil))
	if err := serve(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "camsim:", err)
		return 1
	}
	return 0
}

// serve opens the ports, says so, and serves until ctx ends.
func serve(ctx context.Context, s *settings, stdout io.Writer) error {
	if os.Getenv("GOMAXPROCS") == "" { // waking a second thread costs more than it gains until one is busy
		runtime.GOMAXPROCS(min(runtime.NumCPU(), 1+s.options.Cameras/64))
	}
	srv := camsim.New(s.options)
	if err := srv.Open(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("open RTSP port: %w", err)
	}
	defer ln.Close()
	line := fmt.Sprintf("camsim: %d cameras at rtsp://%s/cam0", s.options.Cameras, ln.Addr())
	if s.options.Cameras > 1 {
		line += fmt.Sprintf(" ... /cam%d", s.options.Cameras-1)
	}
	side, err := s.onvif.open(srv, &s.options, ln.Addr())
	if err != nil {
		return err
	}
	if side != nil {
		sideCtx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { // ends with cancel below
			side.run(sideCtx, s.options.Log)
			close(done)
		}()
		defer func() {
			cancel()
			<-done
		}()
		line += fmt.Sprintf(", ONVIF at http://%s/onvif/device_service", side.ln.Addr())
	}
	if s.control != "" {
		cl, err := net.Listen("tcp", s.control)
		if err != nil {
			return fmt.Errorf("open control port: %w", err)
		}
		control := &http.Server{Handler: side.control(srv.Control()), ReadHeaderTimeout: 10 * time.Second}
		done := make(chan struct{})
		go func() { // ends with control.Close below
			control.Serve(cl)
			close(done)
		}()
		defer func() {
			control.Close()
			<-done
		}()
		line += fmt.Sprintf(", control at http://%s/counts", cl.Addr())
	}
	if _, err := fmt.Fprintln(stdout, line); err != nil {
		return err
	}
	return srv.Serve(ctx, ln)
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	o := &s.options
	var size, sub, rate, subRate, auth string
	timeout := 60.0
	f := flag.NewFlagSet("camsim", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.listen, "listen", "127.0.0.1:8554", "RTSP `address`; port 0 takes a free one")
	f.StringVar(&s.control, "control", "", "`address` of the control port (HTTP); without it there is none")
	f.IntVar(&o.Cameras, "cameras", 1, "`number` of cameras: streams /cam0 ... and /cam0/sub ...")
	f.StringVar(&size, "size", "1920x1080", "`WIDTHxHEIGHT` of the main streams")
	f.IntVar(&o.FPS, "fps", 30, "pictures a second of the main streams, files too")
	f.IntVar(&o.GOP, "gop", 60, "pictures from one key sample to the next")
	f.StringVar(&rate, "bitrate", "3M", "`bits` a second of the main streams, with suffix k or M")
	f.StringVar(&sub, "sub-size", "640x360", "`WIDTHxHEIGHT` of the sub streams, or none")
	f.IntVar(&o.SubFPS, "sub-fps", 10, "pictures a second of the sub streams")
	f.IntVar(&o.SubGOP, "sub-gop", 20, "pictures from one key sample to the next of the sub streams")
	f.StringVar(&subRate, "sub-bitrate", "200k", "`bits` a second of the sub streams")
	f.BoolVar(&o.Droppable, "droppable", false, "every second picture is used by no other")
	f.Func("file", "play this `file` on the main streams: .h264 .h265 video, .aac .alaw .ulaw .l16 .wav audio, .sdp or _describe.txt transcript; may be given once for each sort", func(v string) error {
		o.Files = append(o.Files, v)
		return nil
	})
	f.BoolVar(&o.Audio, "audio", false, "send a G.711 tone with a beep at each full second")
	f.BoolVar(&o.Metadata, "metadata", false, "send an ONVIF metadata track on the main streams")
	f.StringVar(&o.User, "user", "", "`name` that clients must give")
	f.StringVar(&o.Password, "pass", "", "`password` that clients must give")
	f.StringVar(&auth, "auth", "", "`schemes` offered, joined by +: basic md5 md5-no-qop sha-256 (default md5+basic)")
	f.Float64Var(&timeout, "session-timeout", 60, "`seconds` without a sign of life after which a session ends; 0 is never")
	f.Func("fault", "`[PATH:]KIND[=VALUE]` to begin with, may be repeated; see docs/guide/camsim.md", func(v string) error {
		x, err := camsim.ParseFault(v)
		o.Faults = append(o.Faults, x)
		return err
	})
	s.onvif.register(f)
	f.Int64Var(&o.Seed, "seed", 0, "`number` from which everything random follows")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("what is %q? Everything is a flag, see camsim --help", f.Arg(0))
	}
	if auth != "" {
		o.Auth = strings.Split(auth, "+")
	}
	if err := s.onvif.check(); err != nil {
		return nil, err
	}
	return s, s.complete(size, sub, rate, subRate, timeout)
}

// complete turns the texts of flags into options.
func (s *settings) complete(size, sub, rate, subRate string, timeout float64) (err error) {
	o := &s.options
	if o.Width, o.Height, err = camsim.ParseSize(size); err != nil {
		return err
	}
	if o.NoSub = sub == "none"; !o.NoSub {
		if o.SubWidth, o.SubHeight, err = camsim.ParseSize(sub); err != nil {
			return err
		}
	}
	if o.BitRate, err = parseRate(rate); err != nil {
		return err
	}
	if o.SubBitRate, err = parseRate(subRate); err != nil {
		return err
	}
	for _, n := range []int{o.Cameras, o.FPS, o.GOP, o.SubFPS, o.SubGOP} {
		if n < 1 {
			return fmt.Errorf("%d is no number of cameras or pictures", n)
		}
	}
	switch {
	case timeout == 0:
		o.SessionTimeout = -1
	case timeout < 0 || timeout > 1e6:
		return fmt.Errorf("session timeout of %v seconds", timeout)
	default:
		o.SessionTimeout = time.Duration(timeout * float64(time.Second))
	}
	return nil
}

// parseRate reads bits a second: 3M, 200k, 1500000.
func parseRate(v string) (int, error) {
	digits, unit := v, 1.0
	switch {
	case strings.HasSuffix(v, "k"), strings.HasSuffix(v, "K"):
		digits, unit = v[:len(v)-1], 1e3
	case strings.HasSuffix(v, "M"):
		digits, unit = v[:len(v)-1], 1e6
	}
	n, err := strconv.ParseFloat(digits, 64)
	if n *= unit; err != nil || !(n >= 1000 && n <= 1e9) {
		return 0, fmt.Errorf("bit rate %q is not a number of bits from 1k to 1000M", v)
	}
	return int(n), nil
}
