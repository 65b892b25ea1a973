package onvif

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxSpan bounds durations: ten years.
const maxSpan = 10 * 365 * 24 * time.Hour

// parseDuration reads an xs:duration (XML Schema part 2 section 3.2.6) such as PT60S or P1DT2H. A year counts 365 days
// and a month 30.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, negative := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return 0, bad
	}
	const day = 24 * time.Hour
	date := []designator{{'Y', 365 * day}, {'M', 30 * day}, {'D', day}}
	clock := []designator{{'H', time.Hour}, {'M', time.Minute}, {'S', time.Second}}
	before, after, timed := strings.Cut(rest, "T")
	if !timed {
		after = ""
	}
	total := 0.0
	for _, part := range []struct {
		text  string
		units []designator
	}{{before, date}, {after, clock}} {
		for part.text != "" {
			end := strings.IndexFunc(part.text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
			if end < 1 {
				return 0, bad
			}
			unit := -1
			for i, u := range part.units {
				if u.letter == part.text[end] {
					unit = i
				}
			}
			n, err := strconv.ParseFloat(part.text[:end], 64)
			if unit < 0 || err != nil || strings.Contains(part.text[:end], ".") && part.units[unit].letter != 'S' {
				return 0, bad
			}
			total += n * float64(part.units[unit].unit)
			part.text, part.units = part.text[end+1:], part.units[unit+1:]
		}
	}
	if total > float64(maxSpan) {
		return 0, fmt.Errorf("%q is longer than ten years", s)
	}
	if negative {
		total = -total
	}
	return time.Duration(total), nil
}

// designator is one of the letters of a duration.
type designator struct {
	letter byte
	unit   time.Duration
}

// formatDuration writes an xs:duration in seconds.
func formatDuration(d time.Duration) string {
	return "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}

// parseTermination reads an absolute or relative time (WS-BaseNotification section 3.2, AbsoluteOrRelativeTimeType).
func parseTermination(s string, now time.Time) (time.Time, error) {
	if strings.HasPrefix(s, "P") || strings.HasPrefix(s, "-P") {
		d, err := parseDuration(s)
		return now.Add(d), err
	}
	t, err := parseTime(s)
	if err != nil {
		return t, err
	}
	return t, nil
}

// parseTime reads an xs:dateTime; without a zone it is UTC.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05.999999999", s); err != nil {
			return t, fmt.Errorf("%q is no time", s)
		}
	}
	return t, nil
}
