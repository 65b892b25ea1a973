package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the page")

const page = "../../../docs/ref/api.md"

// TestDocPage holds docs/ref/api.md to the routes.
func TestDocPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The HTTP API, version 1\n\nStatus: **current**. The table is made from the routes by `go test ./internal/server/api -update`.\n\n")
	b.WriteString("`{camera}` is a camera's UUID or its unique name, `{stream}` is `main`, `sub` or `ext`. Times are RFC 3339 (a space for `+`\nis accepted), integer ticks of 90 kHz with suffix `t`, or what people write: `yesterday 14:05`, `10 minutes ago`, `now`.\nJSON is camelCase. Errors are problem details (RFC 9457): `title`, `status`, and a `detail` that says what to do.\n\nThe API listens on loopback and on the Unix socket `nightjar.sock` in the data directory:\n\n```\ncurl --unix-socket DIR/nightjar.sock http://nightjar/api/v1/cameras\n```\n\n")
	b.WriteString("| method | path | what |\n|---|---|---|\n")
	for _, r := range Routes() {
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", r.Method, r.Pattern, r.Text)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is out of date: go test ./internal/server/api -update", page)
	}
}
