package nvr

import (
	"os"
	"strings"
	"time"
)

// siteZone returns the machine's time zone under its IANA name, which pages and scripts can work with; UTC if it has none.
func siteZone() *time.Location {
	for _, name := range zoneNames() {
		if zone, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
			return zone
		}
	}
	return time.UTC
}

// zoneNames lists where a machine keeps the name: the environment, the link /etc/localtime, the file /etc/timezone.
func zoneNames() (names []string) {
	names = append(names, strings.TrimPrefix(os.Getenv("TZ"), ":"))
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(target, "zoneinfo/"); ok {
			names = append(names, name)
		}
	}
	if text, err := os.ReadFile("/etc/timezone"); err == nil {
		names = append(names, strings.TrimSpace(string(text)))
	}
	return names
}
