package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the page")

const page = "../../docs/ref/cli.md"

// TestDocPage holds docs/ref/cli.md to what the verbs' own help says.
func TestDocPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The command line\n\nStatus: **current**. Made from the program's own help by `go test ./cmd/nightjar -update`.\n\n")
	b.WriteString("`nightjar` without arguments prints the state of the server of the data directory in five lines. `--data` names the data\ndirectory; its default is `$NIGHTJAR_DATA`, else `/var/lib/nightjar`. While a server runs there, the verbs talk to it through\nits Unix socket; otherwise they do the same by themselves.\n\nExit codes: 0 done; 1 it did not work, and the sentence on standard error says what to do (`check`: there are findings;\n`nightjar` alone: no server runs); 2 the command line can't be understood (`check`: it could not check).\n")
	os.Unsetenv("NIGHTJAR_DATA")
	for _, v := range verbs() {
		var out bytes.Buffer
		if v.name == "help" {
			continue
		}
		if code := run(context.Background(), terminal{strings.NewReader(""), &out, &out}, []string{"help", strings.Fields(v.name)[0], strings.Join(strings.Fields(v.name)[1:], "")}[:1+len(strings.Fields(v.name))]); code != 0 {
			t.Errorf("help %s: exit %d: %s", v.name, code, out.String())
		}
		fmt.Fprintf(&b, "\n## nightjar %s\n\n```\n%s```\n", v.name, out.String())
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
		t.Errorf("%s is out of date: go test ./cmd/nightjar -update", page)
	}
}
