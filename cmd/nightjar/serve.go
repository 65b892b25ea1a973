package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"nightjar/internal/camsim"
	"nightjar/internal/server/api"
	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
	"nightjar/internal/store/catalog"
)

// logger makes the log that the configuration asks for, on standard error.
func logger(t terminal, c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(t.err, o))
	}
	return slog.New(slog.NewTextHandler(t.err, o))
}

func runRun(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	file := f.String("config", "", "configuration file (default "+config.DefaultFile+" if it exists)")
	data := f.String("data", "", "data directory")
	listen := f.String("listen", "", "address of the page and the API, on this machine only")
	readOnly := f.Bool("read-only", false, "serve what is recorded, record nothing")
	if _, err := parse(f, args); err != nil {
		return err
	}
	c, err := config.Load(*file)
	if err != nil {
		return err
	}
	if *data != "" {
		c.Data = *data
	} else if env := os.Getenv("NIGHTJAR_DATA"); env != "" {
		c.Data = env
	}
	if *listen != "" {
		c.Listen = *listen
	}
	c.ReadOnly = c.ReadOnly || *readOnly
	if err := c.Check(); err != nil {
		return err
	}
	return nvr.Run(ctx, c, nvr.Options{
		Version: version, Log: logger(t, &c), Ready: func(i nvr.Info) { fmt.Fprintf(t.out, "Nightjar %s: http://%s\n", version, i.Address) },
	})
}

func runStatus(ctx context.Context, t terminal, _ *verb, _ []string) error {
	data := defaultData()
	if _, err := os.Stat(filepath.Join(data, nvr.SocketName)); err != nil {
		fmt.Fprintf(t.out, "Recording:  no server runs in %s\nKeeps:      -\nProblems:   start it with `nightjar run`, or try `nightjar demo`\nPage:       -\nHelp:       nightjar help\n", data)
		return exitError(1)
	}
	var s struct {
		Version, Oldest             string
		Cameras, Streams, Recording int
		Problems                    []string
		Bytes, AvailableBytes       int64
		OldestSeconds               int64
		Address                     string
	}
	err := with(ctx, data, func(c *client) error {
		if c.offline {
			return errors.New("the server of " + data + " does not run; start it with `nightjar run`")
		}
		return c.call(ctx, "GET", "/status", nil, &s)
	})
	if err != nil {
		return err
	}
	problems := "none"
	if len(s.Problems) > 0 {
		problems = strings.Join(s.Problems, "; ")
	}
	fmt.Fprintf(t.out, "Recording:  %d of %d streams of %d cameras\n", s.Recording, s.Streams, s.Cameras)
	fmt.Fprintf(t.out, "Keeps:      %s in %s, %s free\n", span(s.OldestSeconds), size(s.Bytes), size(s.AvailableBytes))
	fmt.Fprintf(t.out, "Problems:   %s\n", problems)
	fmt.Fprintf(t.out, "Page:       http://%s\n", s.Address)
	fmt.Fprintf(t.out, "Version:    %s\n", s.Version)
	return nil
}

func runVersion(_ context.Context, t terminal, v *verb, args []string) error {
	if _, err := parse(v.flags(t), args); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "nightjar %s\n", version)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	fmt.Fprintf(t.out, "%s\n", info.GoVersion)
	for _, m := range info.Deps {
		fmt.Fprintf(t.out, "  %s %s\n", m.Path, m.Version)
	}
	return nil
}

func runDemo(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", "", "keep the recordings here; by default they go when the demo ends")
	listen := f.String("listen", config.Default().Listen, "address of the page, on this machine only")
	cameras := f.Int("cameras", 2, "how many cameras to simulate")
	if _, err := parse(f, args); err != nil {
		return err
	}
	if *cameras < 1 || *cameras > 64 {
		return fmt.Errorf("--cameras is %d: choose 1 to 64; %w", *cameras, errUsage)
	}
	c := config.Default()
	c.Data, c.Listen = *data, *listen
	if c.Data == "" {
		dir, err := os.MkdirTemp("", "nightjar-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.Data = dir
	}
	if err := c.Check(); err != nil {
		return err
	}
	c.LogLevel = "warn"
	if _, err := os.Stat(filepath.Join(c.Data, catalog.FileName)); errors.Is(err, os.ErrNotExist) {
		if err := nvr.Init(ctx, c.Data); err != nil {
			return err
		}
	}
	return demo(ctx, t, c, *cameras)
}

// demo runs simulated cameras and a recorder for them until ctx ends.
func demo(ctx context.Context, t terminal, c config.Config, cameras int) error {
	rtsp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sim := camsim.New(camsim.Options{Cameras: cameras, Audio: true})
	simulated := make(chan error, 1)
	go func() { simulated <- sim.Serve(ctx, rtsp) }()
	var wanted []api.NewCamera
	for i := range cameras {
		url := fmt.Sprintf("rtsp://%s/cam%d", rtsp.Addr(), i)
		wanted = append(wanted, api.NewCamera{Name: demoName(i), Main: url, Sub: url + "/sub", Transport: "tcp", Audio: true, Description: "simulated"})
	}
	err = nvr.Run(ctx, c, nvr.Options{
		Version: version, Log: logger(t, &c), Cameras: wanted,
		Ready: func(i nvr.Info) {
			_, port, _ := net.SplitHostPort(i.Address)
			fmt.Fprintf(t.out, "Nightjar records %d simulated cameras.\n\n  Page:    http://%s\n  Remote:  if this machine has no screen, run this on the one that has, then open the page there:\n           ssh -L %s:127.0.0.1:%s %s\n  Data:    %s\n  Stop:    Ctrl-C\n",
				cameras, i.Address, port, port, hostName(), c.Data)
		},
	})
	stop()
	return errors.Join(err, <-simulated)
}

// demoName names a simulated camera.
func demoName(i int) string {
	names := []string{"Front door", "Garden", "Garage", "Yard"}
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("Camera %d", i+1)
}

// hostName is what a person calls this machine from another one.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "THIS-MACHINE"
	}
	return name
}
