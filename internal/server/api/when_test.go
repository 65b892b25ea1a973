package api

import (
	"testing"
	"time"

	"nightjar/internal/media"
)

func TestParseWhen(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zone data on this machine")
	}
	now := time.Date(2026, 3, 29, 16, 30, 0, 0, berlin) // the day on which summer time begins
	for _, c := range []struct{ text, want string }{
		{"2026-11-20T14:05:00Z", "2026-11-20T14:05:00Z"},
		{"2026-11-20T14:05:00.5+01:00", "2026-11-20T13:05:00.5Z"},
		{"2026-11-20T14:05:00 01:00", "2026-11-20T13:05:00Z"},
		{"2026-11-20 14:05", "2026-11-20T13:05:00Z"},
		{"2026-11-20T14:05:06.25", "2026-11-20T13:05:06.25Z"},
		{"2026-07-01", "2026-06-30T22:00:00Z"},
		{"14:05", "2026-03-29T12:05:00Z"},
		{"today 01:30", "2026-03-29T00:30:00Z"},
		{"yesterday 14:05", "2026-03-28T13:05:00Z"},
		{"now", "2026-03-29T14:30:00Z"},
		{"-10m", "2026-03-29T14:20:00Z"},
		{"90 s ago", "2026-03-29T14:28:30Z"},
		{"2 hours ago", "2026-03-29T12:30:00Z"},
		{"1 day ago", "2026-03-28T15:30:00Z"}, // the same time of day, an hour further off
		{"90000t", "1970-01-01T00:00:01Z"},
	} {
		got, err := ParseWhen(c.text, now)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if s := got.Time().Format(time.RFC3339Nano); s != c.want {
			t.Errorf("%q is %s, want %s", c.text, s, c.want)
		}
	}
	for _, bad := range []string{"", "tomorrow-ish", "25:00", "2026-13-01", "1969-01-01", "t", "5 weeks ago", "-5", "99999-01-01"} {
		if got, err := ParseWhen(bad, now); err == nil {
			t.Errorf("%q was read as %v", bad, got.Time())
		}
	}
}

func FuzzParseWhen(f *testing.F) {
	for _, s := range []string{"now", "yesterday 14:05", "2026-11-20T14:05:00 01:00", "90000t", "10 minutes ago"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseWhen(text, now)
		if err != nil {
			return
		}
		back, err := ParseWhen(got.Time().Format(time.RFC3339Nano), now)
		if inRange := got >= 0 && got < media.WallTimeOf(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)); inRange && (err != nil || back != got) {
			t.Errorf("%q: %d came back as %d, %v", text, got, back, err)
		}
	})
}
