// Package config is the process's configuration: a TOML file with few keys, all optional, and the flags that override
// them. Cameras, directories and retention are not here: they are rows, changed while the server runs.
//
// Only server/nvr and the commands see a Config; every other package gets its own Options. The comments of the fields are
// the manual: docs/ref/config.md is made from them and held to them by a test. Unknown keys are refused with their line.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// DefaultFile is read when it exists and no other file is named.
const DefaultFile = "/etc/nightjar/nightjar.toml"

// Config is what a server process needs to know before it opens its data directory.
type Config struct {
	// Data is the data directory: the catalog, the Unix socket and, unless more are added, the recordings.
	Data string `toml:"data" default:"/var/lib/nightjar"`

	// Listen is the address of the web page and the API, "host:port". Until logins exist only a loopback address is
	// taken; reach it from another machine through an ssh tunnel.
	Listen string `toml:"listen" default:"127.0.0.1:8080"`

	// MediaRoots are the directories beneath which sample file directories may be added, beside the data directory
	// itself.
	MediaRoots []string `toml:"media_roots" default:"/media, /mnt, /srv"`

	// Memory bounds what the server keeps in buffers, for example "96MiB". By default a quarter of the machine's memory
	// or of the cgroup's limit, at least 24 MiB and at most 512 MiB (32 MiB for 32-bit programs).
	Memory Size `toml:"memory" default:"a quarter of the memory"`

	// Connects is how many streams may be connecting at the same time, so that a reboot of all cameras makes no storm.
	Connects int `toml:"connects" default:"8"`

	// LogLevel is what is logged: "debug", "info", "warn" or "error".
	LogLevel string `toml:"log_level" default:"info"`

	// LogFormat is how it is logged: "text" or "json".
	LogFormat string `toml:"log_format" default:"text"`

	// ReadOnly serves what is recorded and records nothing; also the flag --read-only.
	ReadOnly bool `toml:"read_only" default:"false"`
}

// Size is a number of bytes, written with an optional unit: B, KiB, MiB or GiB.
type Size int64

// UnmarshalText reads "96MiB".
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(rest), factor
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(number, "B")), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is no size: write a number and B, KiB, MiB or GiB, for example \"96MiB\"", text)
	}
	*s = Size(n * unit)
	return nil
}

// Default returns the configuration of a machine without a file.
func Default() Config {
	return Config{
		Data: "/var/lib/nightjar", Listen: "127.0.0.1:8080", MediaRoots: []string{"/media", "/mnt", "/srv"},
		Connects: 8, LogLevel: "info", LogFormat: "text",
	}
}

// Load reads the file, or DefaultFile if name is empty and it exists, over the defaults.
func Load(name string) (Config, error) {
	c := Default()
	text, err := os.ReadFile(orDefault(name))
	if errors.Is(err, fs.ErrNotExist) && name == "" {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the configuration: %w", err)
	}
	if err := c.parse(text); err != nil {
		return c, fmt.Errorf("configuration %s: %w", orDefault(name), err)
	}
	return c, nil
}

func orDefault(name string) string {
	if name == "" {
		return DefaultFile
	}
	return name
}

// parse reads TOML over the values that c holds.
func (c *Config) parse(text []byte) error {
	d := toml.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: there is no key %q; the keys are %s", line, strings.Join(first.Key(), "."), strings.Join(Keys(), ", "))
	case errors.As(err, &broken):
		line, _ := broken.Position()
		return fmt.Errorf("line %d: %w", line, err)
	case err != nil:
		return err
	}
	return nil
}

// Check says what is wrong with the configuration, in a sentence that names the key and the way out.
func (c *Config) Check() error {
	if c.Data == "" {
		return errors.New("data is empty: name the data directory")
	}
	if err := CheckListen(c.Listen); err != nil {
		return err
	}
	if c.Connects < 1 || c.Connects > 1000 {
		return fmt.Errorf("connects is %d: choose 1 to 1000", c.Connects)
	}
	if c.Memory != 0 && c.Memory < 8<<20 {
		return fmt.Errorf("memory is %d bytes: at least 8MiB are needed", int64(c.Memory))
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log_level is %q: choose debug, info, warn or error", c.LogLevel)
	}
	switch c.LogFormat {
	case "text", "json":
	default:
		return fmt.Errorf("log_format is %q: choose text or json", c.LogFormat)
	}
	return nil
}

// CheckListen refuses addresses that others could reach: there are no logins yet.
func CheckListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen is %q: write host:port, for example 127.0.0.1:8080", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen is %q: %q is no port", address, port)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen is %q: there are no logins yet, so Nightjar listens on this machine only; use 127.0.0.1:%s and, from another machine, ssh -L %s:127.0.0.1:%s USER@THIS-MACHINE", address, port, port, port)
}
