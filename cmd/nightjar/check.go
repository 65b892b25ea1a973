package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/server/api"
	"nightjar/internal/store/check"
	"nightjar/internal/store/vfs"
)

func runCheck(ctx context.Context, t terminal, v *verb, args []string) error {
	f := v.flags(t)
	data := f.String("data", defaultData(), "data directory")
	name := f.String("level", "size", "how deep: presence, size or hash (reads every byte)")
	asJSON := f.Bool("json", false, "print JSON, version 1")
	if _, err := parse(f, args); err != nil {
		return err
	}
	level, err := check.ParseLevel(*name)
	if err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	show := func(x check.Finding) {
		if *asJSON {
			return
		}
		fmt.Fprintln(t.out, x)
		if x.Hint != "" {
			fmt.Fprintln(t.out, "  "+x.Hint)
		}
	}
	report, err := checkStore(ctx, t, *data, level, show)
	if err != nil {
		fmt.Fprintf(t.err, "nightjar check: could not check: %v\n", err)
		return exitError(2)
	}
	return printReport(t, report, *asJSON)
}

// checkStore lets the server check its store or, if none runs, does so by itself. show is called for each finding.
func checkStore(ctx context.Context, t terminal, data string, level check.Level, show func(check.Finding)) (*api.CheckReport, error) {
	report := api.NewCheckReport(level)
	c, running, err := dial(data)
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	if running {
		if err := c.call(ctx, "POST", "/checks?level="+level.String(), nil, report); err != nil {
			return nil, err
		}
		for _, list := range [][]api.CheckFinding{report.Findings, report.Notes} {
			for i := range list {
				show(list[i].Finding())
			}
		}
		return report, nil
	}
	shown := time.Now()
	summary, err := check.Run(ctx, check.Options{Data: data, Level: level, Now: time.Now, Progress: func(s check.Summary) {
		if now := time.Now(); now.Sub(shown) > 2*time.Second {
			shown = now
			fmt.Fprintf(t.err, "%d of %d recordings\n", s.Recordings, s.Total)
		}
	}}, func(x check.Finding) {
		report.Add(x)
		show(x)
	})
	if errors.Is(err, vfs.ErrLocked) {
		err = fmt.Errorf("another program has %s open and does not answer on its socket; end it, then check: %w", data, err)
	}
	report.End(summary)
	return report, err
}

// printReport ends the report; findings make exit code 1.
func printReport(t terminal, r *api.CheckReport, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s\n", text)
	} else {
		fmt.Fprintf(t.out, "%d recordings and %d files checked by %s (%s read): %d findings\n", r.Recordings, r.Files, r.Level, size(r.Bytes), len(r.Findings))
	}
	if len(r.Findings) > 0 {
		return exitError(1)
	}
	return nil
}
