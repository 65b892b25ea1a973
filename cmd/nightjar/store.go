package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightjar/internal/server/nvr"
)

func runInit(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	if _, err := parse(f, args); err != nil {
		return err
	}
	if err := nvr.Init(ctx, *data); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s is ready: a catalog and one sample file directory, %s.\nNext: nightjar camera add NAME --main rtsp://HOST/PATH --data %s, then nightjar run --data %s\n", *data, nvr.DefaultDirectory(*data), *data, *data)
	return nil
}

func runDirAdd(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	plain, err := parse(f, args, "PATH")
	if err != nil {
		return err
	}
	path, err := filepath.Abs(plain[0])
	if err != nil {
		return err
	}
	return with(ctx, *data, func(c *client) error {
		var d struct{ Path, UUID string }
		if err := c.call(ctx, "POST", "/directories", map[string]string{"path": path}, &d); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s is a sample file directory now (%s). Streams use it when told so: their directory setting names it.\n", d.Path, d.UUID)
		return nil
	})
}

// directoryList is what the API tells of directories.
type directoryList struct {
	Directories []struct {
		UUID, Path, State, Detail         string
		Recordings, Bytes                 int64
		TotalBytes, AvailableBytes, Floor int64
	}
}

func runDirList(ctx context.Context, t terminal, v *verb, args []string) error {
	var list directoryList
	return listing(ctx, t, v, args, "/directories", &list, func(w io.Writer) {
		fmt.Fprintln(w, "PATH\tSTATE\tRECORDINGS\tSIZE\tFREE")
		for _, d := range list.Directories {
			state := d.State
			if d.Detail != "" {
				state += " (" + d.Detail + ")"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s of %s\n", d.Path, state, d.Recordings, size(d.Bytes), size(d.AvailableBytes), size(d.TotalBytes))
		}
	})
}

func runDirRemove(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	plain, err := parse(f, args, "PATH")
	if err != nil {
		return err
	}
	path, err := filepath.Abs(plain[0])
	if err != nil {
		return err
	}
	return with(ctx, *data, func(c *client) error {
		var list directoryList
		if err := c.call(ctx, "GET", "/directories", nil, &list); err != nil {
			return err
		}
		var known []string
		for _, d := range list.Directories {
			if d.Path == path || d.UUID == plain[0] {
				if err := c.call(ctx, "DELETE", "/directories/"+d.UUID, nil, nil); err != nil {
					return err
				}
				fmt.Fprintf(t.out, "%s is no sample file directory any more\n", d.Path)
				return nil
			}
			known = append(known, d.Path)
		}
		return fmt.Errorf("%s is no sample file directory of this catalog; there are: %s", path, strings.Join(known, ", "))
	})
}

func runExport(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	start := f.String("start", "", "first instant of the span")
	end := f.String("end", "", "where the span ends")
	out := f.String("o", "", "file to write; it must not exist")
	audio := f.String("audio", "on", "on: with the sound as the camera sent it; off: without")
	gaps := f.String("gaps", "keep", "keep: the clock goes on through gaps; close: gaps are cut out")
	from := f.String("from", "", "sample file directory to read by itself, without its server and catalog: a disk from elsewhere")
	plain, err := parse(f, args, "CAMERA/STREAM")
	if err != nil {
		return err
	}
	at := strings.LastIndexByte(plain[0], '/')
	switch {
	case at <= 0:
		return fmt.Errorf("%q names no stream: write CAMERA/main; %w", plain[0], errUsage)
	case *start == "" || *end == "" || *out == "":
		return fmt.Errorf("--start, --end and -o are needed; %w", errUsage)
	case *gaps != "keep" && *gaps != "close":
		return fmt.Errorf("--gaps is %q: choose keep or close; %w", *gaps, errUsage)
	case *audio != "on" && *audio != "off":
		return fmt.Errorf("--audio is %q: choose on or off; %w", *audio, errUsage)
	}
	if *from != "" {
		return exportFrom(ctx, t, fromRequest{
			directory: *from, camera: plain[0][:at], stream: plain[0][at+1:], start: *start, end: *end, out: *out,
			noAudio: *audio == "off", closeGaps: *gaps == "close",
		})
	}
	base := "/cameras/" + url.PathEscape(plain[0][:at]) + "/" + url.PathEscape(plain[0][at+1:])
	return with(ctx, *data, func(c *client) error {
		var s struct {
			StartTime90k, EndTime90k int64
			Echo                     string
		}
		query := url.Values{"start": {*start}, "end": {*end}}
		if err := c.call(ctx, "GET", base+"/span?"+query.Encode(), nil, &s); err != nil {
			return err
		}
		fmt.Fprintf(t.err, "%s, %s\n", plain[0], s.Echo)
		query = url.Values{"start": {fmt.Sprintf("%dt", s.StartTime90k)}, "end": {fmt.Sprintf("%dt", s.EndTime90k)}, "gaps": {*gaps}}
		if *audio == "off" {
			query.Set("audio", "none")
		}
		return c.download(ctx, t, base+"/view.mp4?"+query.Encode(), *out)
	})
}

// download writes the answer to a new file, which is removed again if it stays incomplete.
func (c *client) download(ctx context.Context, t terminal, path, name string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://nightjar/api/v1"+path, nil)
	if err != nil {
		return err
	}
	a, err := c.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return problemOf(a)
	}
	return save(t, name, a.ContentLength, func(w io.Writer) error {
		_, err := io.Copy(w, a.Body)
		return err
	})
}

// save writes a new file, which is removed again if it stays incomplete. A total below 0 is not known.
func save(t terminal, name string, total int64, write func(io.Writer) error) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already; choose another name or remove it", name)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(name)
		}
	}()
	p := &progress{w: t.err, total: total, shown: time.Now()}
	if err := write(io.MultiWriter(file, p)); err != nil {
		return fmt.Errorf("%s is incomplete and was removed: %w", name, err)
	}
	if total >= 0 && p.done != total {
		return fmt.Errorf("%s is incomplete (%d of %d bytes) and was removed", name, p.done, total)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s: %s\n", name, size(p.done))
	return nil
}

// progress tells how far a download is, every two seconds.
type progress struct {
	w           io.Writer
	done, total int64
	shown       time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if now := time.Now(); now.Sub(p.shown) > 2*time.Second {
		p.shown = now
		fmt.Fprintf(p.w, "%s of %s\n", size(p.done), size(p.total))
	}
	return len(b), nil
}
