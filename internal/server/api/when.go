package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/media"
)

// ParseWhen reads an instant as people and programs write it:
//
//	2026-11-20T14:05:00Z, 2026-11-20T14:05:00.5+01:00    RFC 3339; a space is accepted for the "+" that URLs turn into one
//	160614450000000t                                     ticks of 90 kHz since 1970 UTC
//	2026-11-20 14:05[:06[.5]], 2026-11-20                site time
//	14:05[:06], today 14:05, yesterday 14:05, now        site time
//	-10m, 90 s ago, 2 hours ago                          back from now
//
// Site time is in the zone of now. A local time that a clock change skips or repeats is taken as package time does.
func ParseWhen(text string, now time.Time) (media.WallTime, error) {
	s := strings.TrimSpace(text)
	if ticks, ok := strings.CutSuffix(s, "t"); ok {
		if n, err := strconv.ParseInt(ticks, 10, 64); err == nil {
			return media.WallTime(n), nil
		}
	}
	if t, err := parseRFC3339(s); err == nil {
		return within(t, text)
	}
	if t, ok := parseAgo(s, now); ok {
		return within(t, text)
	}
	if t, ok := parseLocal(s, now); ok {
		return within(t, text)
	}
	return 0, fmt.Errorf("%q is no time: write 2026-11-20T14:05:00Z, \"2026-11-20 14:05\", \"yesterday 14:05\", \"14:05\", \"10 minutes ago\" or \"now\"", text)
}

// within refuses instants that ticks of 90 kHz could not hold, and those before 1970.
func within(t time.Time, text string) (media.WallTime, error) {
	if t.Year() < 1970 || t.Year() > 9999 {
		return 0, fmt.Errorf("%q lies outside the years 1970 to 9999", text)
	}
	return media.WallTimeOf(t), nil
}

// parseRFC3339 takes a space before the zone's offset for the plus sign that it was before somebody decoded the URL.
func parseRFC3339(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil && len(s) > 6 && s[len(s)-6] == ' ' {
		t, err = time.Parse(time.RFC3339Nano, s[:len(s)-6]+"+"+s[len(s)-5:])
	}
	return t, err
}

// parseAgo reads "-10m", "10m ago", "90 seconds ago" and "2 hours ago".
func parseAgo(s string, now time.Time) (time.Time, bool) {
	span, ok := strings.CutPrefix(s, "-")
	if !ok {
		if span, ok = strings.CutSuffix(s, " ago"); !ok {
			return time.Time{}, false
		}
	}
	if d, err := time.ParseDuration(span); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	number, unit, _ := strings.Cut(span, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 1_000_000 {
		return time.Time{}, false
	}
	if len(unit) > 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	switch unit {
	case "s", "second", "sec":
		return now.Add(-time.Duration(n) * time.Second), true
	case "minute", "min", "m":
		return now.Add(-time.Duration(n) * time.Minute), true
	case "hour", "h":
		return now.Add(-time.Duration(n) * time.Hour), true
	case "day", "d":
		return now.AddDate(0, 0, -n), true
	}
	return time.Time{}, false
}

// parseLocal reads a day, a time of day, or both, in the zone of now.
func parseLocal(s string, now time.Time) (time.Time, bool) {
	if s == "now" {
		return now, true
	}
	day, clock, both := strings.Cut(s, " ")
	if !both {
		if d, c, ok := strings.Cut(day, "T"); ok {
			day, clock = d, c
		} else if strings.Contains(day, ":") {
			day, clock = "today", day
		}
	}
	y, m, d := now.Date()
	switch day {
	case "today":
	case "yesterday":
		d--
	default:
		t, err := time.Parse("2006-01-02", day)
		if err != nil {
			return time.Time{}, false
		}
		y, m, d = t.Date()
	}
	if clock == "" {
		return time.Date(y, m, d, 0, 0, 0, 0, now.Location()), true
	}
	for _, layout := range []string{"15:04:05.999999999", "15:04"} {
		if t, err := time.Parse(layout, strings.TrimSpace(clock)); err == nil {
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), true
		}
	}
	return time.Time{}, false
}

// FormatWhen writes an instant as it is echoed to people: site time with milliseconds and the zone's offset.
func FormatWhen(t media.WallTime, zone *time.Location) string {
	return t.Time().In(zone).Format("2006-01-02 15:04:05.000 -07:00")
}
