package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"nightjar/internal/camera/probe"
	"nightjar/internal/server/api"
	"nightjar/internal/server/config"
	"nightjar/internal/sys/secret"
)

// readPassword takes the first line of standard input.
func readPassword(t terminal) (secret.String, error) {
	line, err := bufio.NewReader(io.LimitReader(t.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return secret.String{}, fmt.Errorf("read the password from standard input: %w", err)
	}
	return secret.New(strings.TrimRight(line, "\r\n")), nil
}

func runCameraAdd(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	var n struct {
		api.NewCamera
		Password string `json:"password,omitempty"` // in clear: to the server of the same user, through its socket
	}
	f.StringVar(&n.Main, "main", "", "URL of the main stream, rtsp://HOST[:PORT]/PATH")
	f.StringVar(&n.Sub, "sub", "", "URL of the sub stream")
	f.StringVar(&n.Ext, "ext", "", "URL of a further stream")
	f.StringVar(&n.Username, "username", "", "user name at the camera")
	stdin := f.Bool("password-stdin", false, "read the password from standard input")
	f.StringVar(&n.Transport, "transport", "auto", "how pictures travel: auto, tcp or udp")
	audio := f.String("audio", "off", "record sound: on or off")
	f.IntVar(&n.Priority, "priority", 5, "1 (given up first) to 10")
	days := f.Int("keep-days", 0, "keep recordings for so many days at most; 0 for as long as there is space")
	keep := f.String("keep-bytes", "", "keep at most so much of each stream, for example 200GiB")
	f.StringVar(&n.Description, "description", "", "a note")
	data := f.String("data", defaultData(), "data directory")
	plain, err := parse(f, args, "NAME")
	if err != nil {
		return err
	}
	n.Name = plain[0]
	switch *audio {
	case "on", "off":
		n.Audio = *audio == "on"
	default:
		return fmt.Errorf("--audio is %q: choose on or off; %w", *audio, errUsage)
	}
	if *days > 0 {
		n.RetainDays = days
	}
	if *keep != "" {
		var size config.Size
		if err := size.UnmarshalText([]byte(*keep)); err != nil {
			return fmt.Errorf("--keep-bytes: %w; %w", err, errUsage)
		}
		bytes := int64(size)
		n.RetainBytes = &bytes
	}
	if *stdin {
		password, err := readPassword(t)
		if err != nil {
			return err
		}
		n.Password = password.Reveal()
	}
	return with(ctx, *data, func(c *client) error {
		var made struct {
			Name    string
			Streams []struct{ Name, URL string }
		}
		if err := c.call(ctx, "POST", "/cameras", n, &made); err != nil {
			return err
		}
		for _, s := range made.Streams {
			fmt.Fprintf(t.out, "%s/%s records from %s\n", made.Name, s.Name, s.URL)
		}
		if c.offline {
			fmt.Fprintln(t.out, "No server runs there now; recording begins when it is started with `nightjar run`.")
		}
		return nil
	})
}

// cameraList is what the API tells of cameras.
type cameraList struct {
	Zone    string
	Cameras []struct {
		Name    string
		Streams []struct {
			Name, URL string
			Record    bool
			State     struct{ Phase, Since, Reason, Detail, Hint string }
			Kept      struct {
				Recordings, Bytes int64
				DurationSeconds   int64
				Oldest            string
			}
		}
	}
}

func runCameraList(ctx context.Context, t terminal, v *verb, args []string) error {
	var list cameraList
	return listing(ctx, t, v, args, "/cameras", &list, func(w io.Writer) {
		if len(list.Cameras) == 0 {
			fmt.Fprintln(w, "No cameras yet. Add one: nightjar camera add NAME --main rtsp://HOST/PATH")
			return
		}
		fmt.Fprintln(w, "STREAM\tSTATE\tKEPT\tSIZE\tURL")
		for _, cam := range list.Cameras {
			for _, s := range cam.Streams {
				state := s.State.Phase
				if s.State.Detail != "" && state != "recording" {
					state += " (" + s.State.Detail
					if s.State.Hint != "" {
						state += "; " + s.State.Hint
					}
					state += ")"
				}
				fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\n", cam.Name, s.Name, state, span(s.Kept.DurationSeconds), size(s.Kept.Bytes), s.URL)
			}
		}
	})
}

func runCameraRemove(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	yes := f.Bool("yes", false, "delete the recordings too; there is no way back")
	plain, err := parse(f, args, "NAME")
	if err != nil {
		return err
	}
	return with(ctx, *data, func(c *client) error {
		path := "/cameras/" + url.PathEscape(plain[0])
		var cam struct{ Name string }
		if err := c.call(ctx, "GET", path, nil, &cam); err != nil {
			return err
		}
		if *yes {
			path += "?confirm=" + url.QueryEscape(cam.Name)
		}
		var gone struct{ Recordings, Bytes int64 }
		if err := c.call(ctx, "DELETE", path, nil, &gone); err != nil {
			if !*yes {
				return errors.New(strings.Replace(err.Error(), "say so with confirm="+url.QueryEscape(cam.Name), "say so with --yes", 1))
			}
			return err
		}
		fmt.Fprintf(t.out, "%s is removed with %d recordings (%s)\n", cam.Name, gone.Recordings, size(gone.Bytes))
		return nil
	})
}

func runCameraTest(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	o := probe.Options{}
	f.StringVar(&o.Username, "username", "", "user name at the camera")
	stdin := f.Bool("password-stdin", false, "read the password from standard input")
	f.StringVar(&o.Transport, "transport", "auto", "how pictures travel: auto, tcp or udp")
	seconds := f.Int("seconds", 5, "how long to receive")
	asJSON := f.Bool("json", false, "print JSON")
	plain, err := parse(f, args, "URL")
	if err != nil {
		return err
	}
	if *seconds < 1 || *seconds > 3600 {
		return fmt.Errorf("--seconds is %d: choose 1 to 3600; %w", *seconds, errUsage)
	}
	o.URL, o.Duration = plain[0], time.Duration(*seconds)*time.Second
	if *stdin {
		if o.Password, err = readPassword(t); err != nil {
			return err
		}
	}
	if !*asJSON {
		fmt.Fprintf(t.err, "connecting to %s, receiving for %d s …\n", secret.RedactURL(o.URL), *seconds)
	}
	report := probe.Run(ctx, o)
	if *asJSON {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s\n", text)
	} else {
		fmt.Fprint(t.out, report.Text())
	}
	if report.Reason != "" {
		return exitError(1)
	}
	return nil
}
