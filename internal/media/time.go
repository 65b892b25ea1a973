package media

import "time"

// TicksPerSecond is the unit of the four time types: 90,000 ticks a second, the RTP clock rate of every video payload
// (RFC 3551 section 5, RFC 6184 section 8.1, RFC 7798 section 7.1).
const TicksPerSecond = 90_000

// Time is an instant on the media clock of one run: ticks of 90 kHz since an origin that the source chose. It follows
// the camera's clock and says nothing about the time of day.
type Time int64

// Duration is a span of the media clock, in ticks of 90 kHz.
type Duration int64

// WallTime is an instant of the server's clock: ticks of 90 kHz since 1970-01-01T00:00:00Z, leap seconds not counted.
type WallTime int64

// WallDuration is a span of the server's clock, in ticks of 90 kHz.
type WallDuration int64

// Add returns t moved by d.
func (t Time) Add(d Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) Duration { return Duration(t - u) }

// Add returns t moved by d.
func (t WallTime) Add(d WallDuration) WallTime { return t + WallTime(d) }

// Sub returns the span from u to t.
func (t WallTime) Sub(u WallTime) WallDuration { return WallDuration(t - u) }

// Time converts to the standard library's type in UTC, rounded up to whole nanoseconds, so that WallTimeOf gives t back.
func (t WallTime) Time() time.Time {
	sec, rest := floorDiv(int64(t), TicksPerSecond)
	return time.Unix(sec, (rest*100_000+8)/9).UTC()
}

// WallTimeOf converts t, rounded towards the past to whole ticks.
func WallTimeOf(t time.Time) WallTime {
	return WallTime(t.Unix()*TicksPerSecond + int64(t.Nanosecond())*9/100_000)
}

// Std converts to the standard library's type, rounded towards zero to whole nanoseconds. Spans beyond 292 years
// do not occur.
func (d Duration) Std() time.Duration { return ticksToStd(int64(d)) }

// Std converts to the standard library's type, rounded towards zero to whole nanoseconds.
func (d WallDuration) Std() time.Duration { return ticksToStd(int64(d)) }

// DurationOf converts d, rounded to the nearest tick, halves away from zero.
func DurationOf(d time.Duration) Duration { return Duration(stdToTicks(d)) }

// WallDurationOf converts d, rounded to the nearest tick, halves away from zero.
func WallDurationOf(d time.Duration) WallDuration { return WallDuration(stdToTicks(d)) }

// AsWall reads a span of the camera's clock as a span of ours, tick for tick: the two clocks are taken to run at the
// same rate. It is the only bridge between the two, and each call says why that is right.
func (d Duration) AsWall() WallDuration { return WallDuration(d) }

// AsMedia is the inverse of Duration.AsWall.
func (d WallDuration) AsMedia() Duration { return Duration(d) }

// Rescale returns v·num/den rounded towards zero, without overflow for |v| < 2^62 and num, den < 2^31.
func Rescale(v, num, den int64) int64 {
	return v/den*num + v%den*num/den
}

func ticksToStd(ticks int64) time.Duration {
	return time.Duration(ticks/9*100_000 + ticks%9*100_000/9)
}

func stdToTicks(d time.Duration) int64 {
	half := int64(50_000)
	if d < 0 {
		half = -half
	}
	q, r := int64(d)/100_000, int64(d)%100_000
	return q*9 + (r*9+half)/100_000
}

func floorDiv(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
