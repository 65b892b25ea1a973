package camsim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind names a way to go wrong. docs/guide/camsim.md says what each does on the wire.
type Kind string

// The faults of the packets of a stream.
const (
	Loss         Kind = "loss"          // percent of packets left out
	Reorder      Kind = "reorder"       // percent of packets sent after their successor
	Duplicate    Kind = "duplicate"     // percent of packets sent twice
	Jitter       Kind = "jitter"        // each sample late by a random duration up to this
	Burst        Kind = "burst"         // once: sends nothing for this long, then everything at once
	Stall        Kind = "stall"         // no media; requests are answered
	WrapSoon     Kind = "ts-wrap"       // sessions that begin now have timestamps that wrap after so many seconds
	TimeJump     Kind = "ts-jump"       // once: timestamps of playing sessions jump by so many ticks
	NewSSRC      Kind = "ssrc-change"   // once: playing sessions get a new SSRC
	StartCodes   Kind = "start-codes"   // all NAL units of a picture in one, with start codes between them
	ParamsMarker Kind = "params-marker" // marker bit on parameter sets
	NTPZero      Kind = "ntp-zero"      // sender reports say NTP time 0
	NoReports    Kind = "no-rtcp"       // no sender reports
)

// The faults of the camera's clock and encoder.
const (
	Drift        Kind = "drift"      // the camera's clock is fast by so many ppm
	ClockStep    Kind = "clock-step" // once: the camera's wall clock steps by this duration
	Parameters   Kind = "params"     // once: new parameter sets, same size; with WxH a new size
	NoKey        Kind = "no-key"     // so many key samples (without a value all) are left out
	LongGOP      Kind = "long-gop"   // a key sample only every so many pictures
	MidGOP       Kind = "mid-gop"    // sessions begin without waiting for a key sample
	WrongSDP     Kind = "wrong-sdp"  // size, no-sprop, garbage, payload-type or truncated
	NoVideo      Kind = "no-video"   // the SDP has no video
	CodecName    Kind = "codec"      // the SDP calls the video's coding by this name
	NoType       Kind = "no-content-type"
	Redirect     Kind = "redirect"         // DESCRIBE is answered 302 with this Location
	Refuse       Kind = "refuse"           // DESCRIBE is answered with this status (404, 401, 503 …)
	NoTransport  Kind = "refuse-transport" // SETUP over tcp, udp or all is answered 461
	SessionLimit Kind = "session-limit"    // SETUP of more sessions is answered 453
)

// The faults of connections, sessions and authentication.
const (
	Reset     Kind = "reset"     // once: connections that play the stream are reset
	Close     Kind = "close"     // once: connections that play the stream are closed
	HalfOpen  Kind = "half-open" // connections stay open, nothing is sent or answered
	Ghost     Kind = "ghost"     // a session left without TEARDOWN goes on sending, on the next connection
	KeepAlive Kind = "keepalive" // a duration: answered late; mute: not answered; ignore: does not help; refuse: 501
	Password  Kind = "password"  // the password is another one
	Nonce     Kind = "nonce"     // a nonce is good for so many requests (without a value: once, now, replaced)
	AuthKind  Kind = "auth"      // the schemes offered, joined by +
	Reboot    Kind = "reboot"    // once: all connections die, the port is closed for this long
)

// Fault is a way to go wrong and how much. The value "off" ends it; kinds that happen once need no end.
type Fault struct {
	Kind  Kind   `json:"kind"`
	Value string `json:"value"`
}

func (f Fault) String() string {
	if f.Value == "" {
		return string(f.Kind)
	}
	return string(f.Kind) + "=" + f.Value
}

// PathFault is a fault of one stream, or of all with Path "".
type PathFault struct {
	Path string `json:"path"`
	Fault
}

// ParseFault reads KIND[=VALUE], with PATH: before it for one stream ("/cam0/sub:loss=5").
func ParseFault(s string) (PathFault, error) {
	var f PathFault
	kind, value, _ := strings.Cut(s, "=")
	if path, rest, ok := strings.Cut(kind, ":"); ok {
		f.Path, kind = "/"+strings.Trim(path, "/"), rest
	}
	f.Kind, f.Value = Kind(kind), value
	var probe faults
	return f, probe.set(f.Fault)
}

// Kinds returns the names of all faults, sorted.
func Kinds() []Kind {
	var all []Kind
	for k := range setters {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// faults are the faults of a stream, parsed. The zero value is a good camera.
type faults struct {
	loss, reorder, duplicate float64 // probabilities
	jitter                   time.Duration
	stall                    bool
	stallFor                 time.Duration
	wrapSoon                 int
	startCodes, paramsMarker bool
	ntpZero, noReports       bool
	noKey                    int // key samples still to leave out; -1 all
	longGOP                  int
	midGOP                   bool
	wrongSDP, codec          string
	noVideo, noType          bool
	redirect                 string
	refuse                   int
	noTransport              string
	sessionLimit             int
	halfOpen, ghost          bool
	keepAlive                string
	keepAliveDelay           time.Duration
	password                 string
	nonceUses                int
	auth                     []string

	once once                 // what the latest set asked to do now
	text map[Kind]string      // what is on, as it was set
	ends map[Kind]*time.Timer // ends of timed faults
}

// once are the effects that a stream carries out right after set.
type once struct {
	kind  Kind
	d     time.Duration
	n     int64
	f     float64
	w, h  int
	fresh bool
}

var errNoValue = errors.New("needs a value")

// set parses a fault and switches it on, or with the value "off" off.
func (f *faults) set(x Fault) error {
	setter := setters[x.Kind]
	if setter == nil {
		return fmt.Errorf("no fault %q; there are %v", x.Kind, Kinds())
	}
	f.once = once{}
	off := x.Value == "off"
	if off {
		x.Value = ""
	}
	if err := setter(f, x.Value, off); err != nil {
		return fmt.Errorf("fault %v: %w", x, err)
	}
	if f.text == nil {
		f.text = map[Kind]string{}
	}
	delete(f.text, x.Kind)
	if !off && (f.once.kind == "" || f.once.kind == Drift) {
		f.text[x.Kind] = x.Value
	}
	return nil
}

type setter func(f *faults, value string, off bool) error

var setters map[Kind]setter

func init() {
	setters = map[Kind]setter{
		Loss:      percent(func(f *faults) *float64 { return &f.loss }),
		Reorder:   percent(func(f *faults) *float64 { return &f.reorder }),
		Duplicate: percent(func(f *faults) *float64 { return &f.duplicate }),
		Jitter:    duration(func(f *faults) *time.Duration { return &f.jitter }),
		Burst:     now(Burst, needDuration),
		Stall:     setStall,
		WrapSoon:  number(func(f *faults) *int { return &f.wrapSoon }, 5),
		TimeJump:  now(TimeJump, needNumber),
		NewSSRC:   now(NewSSRC, nil),

		StartCodes:   flag(func(f *faults) *bool { return &f.startCodes }),
		ParamsMarker: flag(func(f *faults) *bool { return &f.paramsMarker }),
		NTPZero:      flag(func(f *faults) *bool { return &f.ntpZero }),
		NoReports:    flag(func(f *faults) *bool { return &f.noReports }),
		Drift:        setDrift,
		ClockStep:    now(ClockStep, needDuration),
		Parameters:   now(Parameters, maybeSize),
		NoKey:        number(func(f *faults) *int { return &f.noKey }, -1),
		LongGOP:      setLongGOP,
		MidGOP:       flag(func(f *faults) *bool { return &f.midGOP }),
		WrongSDP: word(func(f *faults) *string { return &f.wrongSDP }, "size",
			"size", "no-sprop", "garbage", "payload-type", "truncated"),
		NoVideo:      flag(func(f *faults) *bool { return &f.noVideo }),
		CodecName:    word(func(f *faults) *string { return &f.codec }, "VP8"),
		NoType:       flag(func(f *faults) *bool { return &f.noType }),
		Redirect:     word(func(f *faults) *string { return &f.redirect }, ""),
		Refuse:       number(func(f *faults) *int { return &f.refuse }, 404),
		NoTransport:  word(func(f *faults) *string { return &f.noTransport }, "all", "tcp", "udp", "all"),
		SessionLimit: number(func(f *faults) *int { return &f.sessionLimit }, 1),

		Reset:     now(Reset, nil),
		Close:     now(Close, nil),
		HalfOpen:  flag(func(f *faults) *bool { return &f.halfOpen }),
		Ghost:     flag(func(f *faults) *bool { return &f.ghost }),
		KeepAlive: setKeepAlive,
		Password:  word(func(f *faults) *string { return &f.password }, "changed"),
		Nonce:     setNonce,
		AuthKind:  setAuth,
		Reboot:    now(Reboot, needDuration),
	}
}

func flag(field func(*faults) *bool) setter {
	return func(f *faults, value string, off bool) error {
		if value != "" && value != "on" {
			return errors.New("takes no value but on and off")
		}
		*field(f) = !off
		return nil
	}
}

func percent(field func(*faults) *float64) setter {
	return func(f *faults, value string, off bool) error {
		if off {
			value = "0"
		}
		p, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return errors.New("needs a percentage from 0 to 100")
		}
		*field(f) = p / 100
		return nil
	}
}

func duration(field func(*faults) *time.Duration) setter {
	return func(f *faults, value string, off bool) error {
		*field(f) = 0
		if off {
			return nil
		}
		d, err := parseSpan(value)
		if err == nil && d < 0 {
			err = errors.New("needs a duration that is not negative")
		}
		if err == nil {
			*field(f) = d
		}
		return err
	}
}

// parseSpan reads a Go duration, or a number of seconds.
func parseSpan(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > -1e9 && n < 1e9 {
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("needs a duration such as 2.5s, 100ms or a number of seconds")
	}
	return d, nil
}

func number(field func(*faults) *int, without int) setter {
	return func(f *faults, value string, off bool) error {
		*field(f) = 0
		if off {
			return nil
		}
		n := without
		if value != "" {
			v, err := strconv.ParseInt(value, 10, 31)
			if err != nil || v < 1 {
				return errors.New("needs a number from 1 on")
			}
			n = int(v)
		}
		*field(f) = n
		return nil
	}
}

func word(field func(*faults) *string, without string, among ...string) setter {
	return func(f *faults, value string, off bool) error {
		*field(f) = ""
		if off {
			return nil
		}
		if value == "" {
			value = without
		}
		switch {
		case value == "":
			return errNoValue
		case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return errors.New("needs a value without white space")
		case among != nil && !slices.Contains(among, value):
			return fmt.Errorf("needs one of %s", strings.Join(among, ", "))
		}
		*field(f) = value
		return nil
	}
}

// now is a fault that happens once, when it is set.
func now(kind Kind, parse func(o *once, value string) error) setter {
	return func(f *faults, value string, off bool) error {
		if off {
			return nil
		}
		if parse == nil {
			if value != "" && value != "on" {
				return errors.New("takes no value")
			}
		} else if err := parse(&f.once, value); err != nil {
			return err
		}
		f.once.kind = kind
		return nil
	}
}

func needDuration(o *once, value string) (err error) {
	o.d, err = parseSpan(value)
	return err
}

func needNumber(o *once, value string) (err error) {
	if o.n, err = strconv.ParseInt(value, 10, 33); err != nil {
		return errors.New("needs a number of ticks")
	}
	return nil
}

func maybeSize(o *once, value string) (err error) {
	if value != "" {
		o.w, o.h, err = ParseSize(value)
	}
	return err
}

// ParseSize reads WIDTHxHEIGHT.
func ParseSize(s string) (w, h int, err error) {
	a, b, _ := strings.Cut(s, "x")
	w, err1 := strconv.Atoi(a)
	h, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil || w < 16 || h < 16 || w > 8192 || h > 8192 || w%2 != 0 || h%2 != 0 {
		return 0, 0, fmt.Errorf("size %q is not WIDTHxHEIGHT with even numbers from 16 to 8192", s)
	}
	return w, h, nil
}

func setStall(f *faults, value string, off bool) error {
	f.stall, f.stallFor = false, 0
	if off {
		return nil
	}
	if value != "" {
		d, err := parseSpan(value)
		if err != nil {
			return err
		}
		f.stallFor = d
	}
	f.stall = true
	return nil
}

func setDrift(f *faults, value string, off bool) error {
	if off {
		value = "0"
	}
	ppm, err := strconv.ParseFloat(strings.TrimSuffix(value, "ppm"), 64)
	if err != nil || !(ppm >= -500_000 && ppm <= 500_000) {
		return errors.New("needs parts per million from -500000 to 500000")
	}
	f.once = once{kind: Drift, f: ppm}
	return nil
}

func setLongGOP(f *faults, value string, off bool) error {
	if err := number(func(f *faults) *int { return &f.longGOP }, 1_000_000)(f, value, off); err != nil {
		return err
	}
	f.once.fresh = true
	return nil
}

func setKeepAlive(f *faults, value string, off bool) error {
	f.keepAlive, f.keepAliveDelay = "", 0
	switch {
	case off:
		return nil
	case value == "mute" || value == "ignore" || value == "refuse":
		f.keepAlive = value
		return nil
	}
	d, err := parseSpan(value)
	if err != nil || d <= 0 {
		return errors.New("needs mute, ignore, refuse or a duration")
	}
	f.keepAliveDelay = d
	return nil
}

func setNonce(f *faults, value string, off bool) error {
	if value == "" && !off {
		f.once.kind = Nonce
		return nil
	}
	return number(func(f *faults) *int { return &f.nonceUses }, 0)(f, value, off)
}

func setAuth(f *faults, value string, off bool) error {
	f.auth = nil
	if off {
		return nil
	}
	schemes := strings.Split(value, "+")
	for _, s := range schemes {
		if !validScheme(s) {
			return fmt.Errorf("needs %s, %s, %s or %s, joined by +", AuthBasic, AuthMD5, AuthMD5NoQop, AuthSHA256)
		}
	}
	f.auth = schemes
	return nil
}
