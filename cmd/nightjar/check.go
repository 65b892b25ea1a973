package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/store/check"
	"nightjar/internal/store/vfs"
)

// checkReport is the JSON of a check, version 1.
type checkReport struct {
	Version    int            `json:"version"`
	Level      string         `json:"level"`
	Recordings int64          `json:"recordings"`
	Files      int64          `json:"files"`
	Bytes      int64          `json:"bytesRead"`
	Findings   []checkFinding `json:"findings"`
	Notes      []checkFinding `json:"notes"` // odd but harmless; they do not count
}

type checkFinding struct {
	Kind      string `json:"kind"`
	Severity  string `json:"severity"`
	Directory string `json:"directory,omitempty"`
	Recording string `json:"recording,omitempty"` // stream/n
	Detail    string `json:"detail"`
	Hint      string `json:"hint,omitempty"`
}

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
	report := checkReport{Version: 1, Level: level.String(), Findings: []checkFinding{}, Notes: []checkFinding{}}
	shown := time.Now()
	summary, err := check.Run(ctx, check.Options{Data: *data, Level: level, Now: time.Now, Progress: func(s check.Summary) {
		if now := time.Now(); now.Sub(shown) > 2*time.Second {
			shown = now
			fmt.Fprintf(t.err, "%d of %d recordings\n", s.Recordings, s.Total)
		}
	}}, func(x check.Finding) {
		report.add(x)
		if !*asJSON {
			fmt.Fprintln(t.out, x)
			if x.Hint != "" {
				fmt.Fprintln(t.out, "  "+x.Hint)
			}
		}
	})
	if err != nil {
		if errors.Is(err, vfs.ErrLocked) {
			err = fmt.Errorf("a server runs in %s; stop it, then check: %w", *data, err)
		}
		fmt.Fprintf(t.err, "nightjar check: could not check: %v\n", err)
		return exitError(2)
	}
	report.Recordings, report.Files, report.Bytes = summary.Recordings, summary.Files, summary.Bytes
	return report.print(t, *asJSON)
}

func (r *checkReport) add(x check.Finding) {
	j := checkFinding{Kind: string(x.Kind), Severity: string(x.Severity), Directory: x.Dir, Detail: x.Detail, Hint: x.Hint}
	if x.Recording != 0 {
		j.Recording = x.Recording.String()
	}
	if x.Severity == check.Info {
		r.Notes = append(r.Notes, j)
	} else {
		r.Findings = append(r.Findings, j)
	}
}

// print ends the report; findings make exit code 1.
func (r *checkReport) print(t terminal, asJSON bool) error {
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
