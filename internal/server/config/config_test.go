package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the page")

const page = "../../../docs/ref/config.md"

func TestDocPage(t *testing.T) {
	want, err := Page()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: go test ./internal/server/config -update", page)
	}
	keys, err := Manual()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Name == "" || k.Default == "" || len(k.Text) < 20 {
			t.Errorf("key %+v is not explained", k)
		}
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	text := `
data = "/a"
listen = "127.0.0.1:1"
media_roots = ["/b"]
memory = "96MiB"
connects = 3
log_level = "debug"
log_format = "json"
read_only = true
`
	var c Config
	if err := c.parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s was not read", v.Type().Field(i).Name)
		}
	}
	if c.Memory != 96<<20 {
		t.Errorf("memory is %d", c.Memory)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"data = \"/a\"\nretention = 5\n", `line 2: there is no key "retention"`},
		{"data = 5\n", "line 1"},
		{"memory = \"lots\"\n", "no size"},
		{"listen = \"0.0.0.0:8080\"\n", "ssh -L 8080"},
		{"listen = \"[::]:8080\"\n", "no logins yet"},
		{"listen = \"8080\"\n", "host:port"},
		{"listen = \"127.0.0.1:99999\"\n", "no port"},
		{"connects = 0\n", "1 to 1000"},
		{"memory = \"1MiB\"\n", "at least 8MiB"},
		{"log_level = \"loud\"\n", "debug, info"},
		{"log_format = \"xml\"\n", "text or json"},
		{"data = \"\"\n", "name the data directory"},
	} {
		conf := Default()
		err := conf.parse([]byte(c.text))
		if err == nil {
			err = conf.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); err == nil {
		t.Error("a named file that does not exist was taken")
	}
	name := filepath.Join(t.TempDir(), "n.toml")
	if err := os.WriteFile(name, []byte("connects = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(name)
	if err != nil || c.Connects != 2 || c.Listen != Default().Listen {
		t.Errorf("%+v, %v", c, err)
	}
	for _, ok := range []string{"localhost:0", "[::1]:8080", "127.1.2.3:80"} {
		if err := CheckListen(ok); err != nil {
			t.Error(err)
		}
	}
}
