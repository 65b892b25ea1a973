package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/camsim"
)

// TestHelp asks every verb for its manual.
func TestHelp(t *testing.T) {
	t.Parallel()
	list := works(t, "help")
	for _, v := range verbs() {
		if !strings.Contains(list, "  "+v.name+" ") {
			t.Errorf("help does not list %s", v.name)
		}
		if v.name == "help" {
			continue
		}
		for _, args := range [][]string{append([]string{"help"}, strings.Fields(v.name)...), append(strings.Fields(v.name), "--help"), append(strings.Fields(v.name), "-h")} {
			if text := works(t, args...); !strings.HasPrefix(text, "usage: nightjar "+v.name) {
				t.Errorf("%v: %s", args, text)
			}
		}
		for _, word := range regexp.MustCompile(`--[a-z-]+`).FindAllString(v.args, -1) {
			if !strings.Contains(works(t, append(strings.Fields(v.name), "--help")...), "\n  "+word+" ") {
				t.Errorf("%s: the manual does not explain %s", v.name, word)
			}
		}
	}
	for _, args := range [][]string{{"--help"}, {"-h"}} {
		if works(t, args...) != list {
			t.Errorf("%v is not help", args)
		}
	}
	if text := works(t, "version"); !strings.HasPrefix(text, "nightjar ") || !strings.Contains(text, "go1.") || !strings.Contains(text, "go-sqlite3") {
		t.Errorf("version: %s", text)
	}
}

// TestUsage gives command lines that can't be understood: exit 2, one sentence, nothing done.
func TestUsage(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct{ args, says string }{
		{"dance", `there is no verb "dance"`},
		{"camera", `there is no verb "camera"`},
		{"camera dance", `"camera dance"`},
		{"help dance", `no verb "dance"`},
		{"camera add", "NAME is missing"},
		{"camera add a b --main rtsp://h/x", `"b" is too much`},
		{"camera add a --main rtsp://h/x --audio loud", "choose on or off"},
		{"camera add a --main rtsp://h/x --keep-bytes much", "--keep-bytes"},
		{"camera remove", "NAME is missing"},
		{"camera test", "URL is missing"},
		{"camera test rtsp://h/x --seconds 0", "choose 1 to 3600"},
		{"dir add", "PATH is missing"},
		{"dir list extra", `"extra" is too much`},
		{"export a --start now --end now -o x", `write CAMERA/main`},
		{"export a/main --start now", "-o are needed"},
		{"export a/main --start now --end now -o x --gaps wide", "keep or close"},
		{"export a/main --start now --end now -o x --audio loud", "on or off"},
		{"run --colour", "flag provided but not defined: -colour"},
		{"demo --cameras 0", "choose 1 to 64"},
		{"version now", `"now" is too much`},
		{"check --level deep", "presence, size or hash"},
	} {
		fails(t, 2, append(strings.Fields(c.args), dataFlag(c.args, none)...), c.says)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a command line that could not be understood made a data directory")
	}
}

// dataFlag names the data directory for the verbs that have the flag.
func dataFlag(args, data string) []string {
	for _, v := range verbs() {
		if strings.HasPrefix(args+" ", v.name+" ") && strings.Contains(v.args, "--data") {
			return []string{"--data", data}
		}
	}
	return nil
}

// TestInit makes a data directory, and not twice, and not anywhere.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if text := works(t, "init", "--data", dir); !strings.Contains(text, "nightjar camera add") || !strings.Contains(text, "nightjar run --data "+dir) {
		t.Errorf("init: %s", text)
	}
	before := tree(t, dir)
	fails(t, 1, []string{"init", "--data", dir}, "holds a catalog already", "nightjar run --data "+dir)
	if after := tree(t, dir); after != before {
		t.Errorf("a second init changed the directory:\n%s\n%s", before, after)
	}
	fails(t, 1, []string{"init", "--data", filepath.Join(dir, "x", "y")}, "does not exist", "mkdir -p")
	fails(t, 1, []string{"run", "--data", t.TempDir()}, "there is no catalog", "nightjar init --data")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, []string{"init", "--data", file}, file, "not a directory")
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory is open to others: %v, %v", info.Mode(), err)
	}
}

// tree lists the files of a directory with their sizes, without those of the catalog that reading may change.
func tree(t testing.TB, dir string) string {
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !strings.HasSuffix(path, "-shm") && !strings.HasSuffix(path, "-wal") && !info.IsDir() {
			fmt.Fprintln(&b, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStatus is `nightjar` alone: five lines, with a server and without.
func TestStatus(t *testing.T) {
	data := dataDirectory(t)
	t.Setenv("NIGHTJAR_DATA", data)
	s := nightjar(t)
	if s.code != 1 || strings.Count(s.out, "\n") != 5 || !strings.Contains(s.out, "no server runs in "+data) {
		t.Errorf("without a server: %v", s)
	}
	sim := simulate(t, camsim.Options{NoSub: true})
	serve(t, "run", "--listen", "127.0.0.1:0")
	works(t, "camera", "add", "A", "--main", sim.url("/cam0"), "--transport", "tcp")
	var text string
	until(t, "it records", func() bool {
		text = works(t)
		return strings.Contains(text, "Recording:  1 of 1 streams of 1 cameras")
	})
	if strings.Count(text, "\n") != 5 || !strings.Contains(text, "Problems:   none") || !strings.Contains(text, "http://127.0.0.1:") {
		t.Errorf("with a server: %s", text)
	}
	works(t, "camera", "add", "B", "--main", "rtsp://127.0.0.1:1/x")
	until(t, "the problem is told", func() bool { return strings.Contains(works(t), "Problems:   B/main: ") })
}

// mask replaces what differs from run to run: UUIDs, addresses, paths of the data directory, sizes of the disk.
func mask(text string, pairs ...string) string {
	text = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(text, "UUID")
	text = regexp.MustCompile(`[0-9.]+ [GT]B of [0-9.]+ [GT]B`).ReplaceAllString(text, "SPACE")
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	return strings.NewReplacer(pairs...).Replace(text)
}

// TestOnlineOffline carries out the same commands with a server and without: the same words come out, and the same state.
func TestOnlineOffline(t *testing.T) {
	t.Parallel()
	talk := func(online bool) string {
		data, disk := dataDirectory(t), t.TempDir()
		roots := filepath.Join(data, "nightjar.toml")
		if err := os.Mkdir(filepath.Join(data, "more"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(roots, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if online {
			serve(t, "run", "--data", data, "--listen", "127.0.0.1:0", "--config", roots)
		}
		var b strings.Builder
		for _, line := range []string{
			"camera list", "camera add A --main rtsp://u:p@127.0.0.1:1/x --sub rtsp://127.0.0.1:1/y --keep-days 3 --keep-bytes 5GiB --priority 2",
			"camera add A --main rtsp://127.0.0.1:1/x", "camera add B --main http://127.0.0.1:1/x", "camera add C --main rtsp://127.0.0.1:1/z --username u --password-stdin",
			"camera add D --main rtsp://127.0.0.1:1/x --priority 11", "camera remove A", "camera remove none --yes", "camera remove a --yes",
			"dir list", "dir add " + data + "/more", "dir add " + data + "/more", "dir add " + data + "/none", "dir add " + disk,
			"dir remove " + data + "/more", "dir remove " + data + "/more", "dir remove " + data + "/samples",
			"export C/main --start yesterday --end now -o " + disk + "/x", "export X/main --start yesterday --end now -o " + disk + "/x",
			"export C/sub --start yesterday --end now -o " + disk + "/x", "export C/main --start yesternight --end now -o " + disk + "/x",
		} {
			s := nightjarInput(t, "secret\n", append(strings.Fields(line), "--data", data)...)
			text := strings.Replace(s.out, "No server runs there now; recording begins when it is started with `nightjar run`.\n", "", 1)
			text = regexp.MustCompile(`(\d\d:\d\d:\d\d\.\d+ )`).ReplaceAllString(text+s.err, "TIME ")
			if strings.Contains(text, "u:p@") || strings.Contains(text, "secret") {
				t.Errorf("%s: the password comes out: %s", line, text)
			}
			fmt.Fprintf(&b, "$ %s\n%sexit %d\n", line, text, s.code)
		}
		var list struct{ Cameras []map[string]any }
		if err := json.Unmarshal([]byte(works(t, "camera", "list", "--json", "--data", data)), &list); err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Cameras {
			for _, s := range c["streams"].([]any) {
				delete(s.(map[string]any), "state")
			}
		}
		state, err := json.MarshalIndent(list.Cameras, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		b.Write(state)
		text := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d+ `).ReplaceAllString(mask(b.String(), data, "DATA", disk, "DISK"), "TIME ")
		return regexp.MustCompile(` \([a-z-]+: [^\n]*\)\n`).ReplaceAllString(text, "\n") // why nothing is there may be known
	}
	offline, online := talk(false), talk(true)
	if offline != online {
		t.Errorf("offline:\n%s\nonline:\n%s", offline, online)
	}
	t.Log(offline)
	if n := strings.Count(offline, "exit 0"); n != 7 {
		t.Errorf("%d commands worked, want 7:\n%s", n, offline)
	}
}

// TestExport writes a span of a camera that records, and reads back what it is told of it.
func TestExport(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true, Audio: true})
	data, out := dataDirectory(t), t.TempDir()
	s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	works(t, "camera", "add", "Front door", "--main", sim.url("/cam0"), "--transport", "tcp", "--audio", "on", "--data", data)
	until(t, "six seconds are recorded", func() bool { return samples(t, s.base, "Front%20door/main") >= 180 })
	export := func(more ...string) said {
		return nightjar(t, append([]string{"export", "Front door/main", "--data", data}, more...)...)
	}
	file := filepath.Join(out, "a.mp4")
	got := export("--start", "4 seconds ago", "--end", "2 s ago", "-o", file)
	echo := regexp.MustCompile(`^Front door/main, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0[12]:00 to \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0[12]:00\n$`)
	if got.code != 0 || !echo.MatchString(got.err) || !strings.HasPrefix(got.out, file+": ") {
		t.Fatalf("export: %v", got)
	}
	first, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(first, []byte("ftyp")) || !bytes.Contains(first, []byte("soun")) {
		t.Errorf("the file: %d bytes, %v", len(first), err)
	}
	sentence(t, "the file exists", lastLine(export("--start", "4 seconds ago", "--end", "2 s ago", "-o", file)), 1, "exists already", "choose another name")
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the file was changed: %v", err)
	}
	silent := filepath.Join(out, "b.mp4")
	if got := export("--start", "-4s", "--end", "now", "--audio", "off", "--gaps", "close", "-o", silent); got.code != 0 {
		t.Errorf("export without sound: %v", got)
	}
	if text, err := os.ReadFile(silent); err != nil || bytes.Contains(text, []byte("soun")) {
		t.Errorf("the silent file has sound, or: %v", err)
	}
	sentence(t, "no directory", lastLine(export("--start", "-4s", "--end", "now", "-o", filepath.Join(out, "none", "c.mp4"))), 1, "none")
	sentence(t, "before", lastLine(export("--start", "2 days ago", "--end", "yesterday", "-o", filepath.Join(out, "d.mp4"))), 1, "nothing of Front door/main is recorded")
	sentence(t, "the wrong way round", lastLine(export("--start", "now", "--end", "-10s", "-o", filepath.Join(out, "e.mp4"))), 1, "the span is empty")

	// Without the server the same file comes out for the same ticks.
	r := recordings(t, s.base, "Front%20door/main")[0]
	span := []string{"--start", fmt.Sprintf("%dt", r.StartTime90k), "--end", fmt.Sprintf("%dt", r.StartTime90k+180_000)}
	if got := export(append(span, "-o", filepath.Join(out, "online.mp4"))...); got.code != 0 {
		t.Fatalf("export: %v", got)
	}
	if code := s.stop(); code != 0 {
		t.Fatalf("the server: exit %d", code)
	}
	if got := export(append(span, "-o", filepath.Join(out, "offline.mp4"))...); got.code != 0 {
		t.Fatalf("export offline: %v", got)
	}
	online, err := os.ReadFile(filepath.Join(out, "online.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	offline, err := os.ReadFile(filepath.Join(out, "offline.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(online, offline) {
		t.Errorf("exports of the same span differ: %d and %d bytes", len(online), len(offline))
	}
	left, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(left) != 4 {
		t.Errorf("failed exports left files: %v, %v", left, err)
	}
}

// lastLine drops what was echoed before the error.
func lastLine(s said) said {
	lines := strings.SplitAfter(strings.TrimSuffix(s.err, "\n"), "\n")
	s.err = lines[len(lines)-1] + "\n"
	return s
}

// TestConfigFile gives settings by the file and looks at their effect; flags win.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	sim := simulate(t, camsim.Options{NoSub: true})
	start := func(text string, args ...string) *server {
		data := dataDirectory(t)
		file := filepath.Join(data, "nightjar.toml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DATA", data)), 0o600); err != nil {
			t.Fatal(err)
		}
		works(t, "camera", "add", "A", "--main", sim.url("/cam0"), "--transport", "tcp", "--data", data)
		return serve(t, append([]string{"run", "--config", file}, args...)...)
	}
	for _, c := range []struct {
		name, text string
		args       []string
		log        *regexp.Regexp // nil: silent
	}{
		{"text", "data = 'DATA'\nlisten = 'localhost:0'", nil, regexp.MustCompile(`level=INFO msg="stream is received" camera=A`)},
		{"JSON", "data = 'DATA'\nlisten = '127.0.0.1:0'\nlog_format = 'json'", nil, regexp.MustCompile(`"level":"INFO","msg":"stream is received","camera":"A"`)},
		{"errors only", "data = 'DATA'\nlisten = '127.0.0.1:1'\nlog_level = 'error'", []string{"--listen", "127.0.0.1:0"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(c.text, c.args...)
			until(t, "it records", func() bool { return stateOf(t, s.base, "A").Phase == "recording" })
			if c.log != nil && !c.log.MatchString(s.err.String()) || c.log == nil && s.err.String() != "" {
				t.Errorf("log: %s", s.err.String())
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
	read := start("data = 'DATA'\nlisten = '127.0.0.1:0'\nread_only = true")
	if p := stateOf(t, read.base, "A").Phase; p != "stopped" {
		t.Errorf("read_only: the camera is %s", p)
	}
}

// TestConfigRefusals holds the sentences for settings that make no sense.
func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	data := dataDirectory(t)
	for text, says := range map[string]string{
		"colour = 3":                 "line 1: there is no key \"colour\"",
		"\nlisten = 3":               "line 2",
		"listen = '0.0.0.0:8080'":    "ssh -L 8080:127.0.0.1:8080",
		"listen = '192.168.1.2:80'":  "no logins yet",
		"listen = 'here'":            "write host:port",
		"memory = '3MiB'":            "at least 8MiB",
		"memory = 'much'":            "is no size",
		"connects = 0":               "choose 1 to 1000",
		"log_level = 'loud'":         "choose debug, info, warn or error",
		"log_format = 'xml'":         "choose text or json",
		"data = ''":                  "name the data directory",
		"media_roots = '/everywhere": "line 1",
	} {
		file := filepath.Join(t.TempDir(), "nightjar.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"run", "--config", file}
		if !strings.HasPrefix(text, "data") {
			args = append(args, "--data", data)
		}
		fails(t, 1, args, says)
	}
	fails(t, 1, []string{"run", "--data", data, "--config", filepath.Join(data, "none.toml")}, "none.toml", "no such file")
	fails(t, 1, []string{"run", "--data", data, "--listen", "0.0.0.0:1234"}, "ssh -L 1234:127.0.0.1:1234")
}

// TestTaken runs a second server on the same data, and one on the same address.
func TestTaken(t *testing.T) {
	t.Parallel()
	data := dataDirectory(t)
	s := serve(t, "run", "--data", data, "--listen", "127.0.0.1:0")
	fails(t, 1, []string{"run", "--data", data, "--listen", "127.0.0.1:0"}, data, "another")
	fails(t, 1, []string{"run", "--data", dataDirectory(t), "--listen", strings.TrimPrefix(s.base, "http://")}, "taken by another program", "--listen")
	works(t, "camera", "list", "--data", data) // the first is not disturbed
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fails(t, 1, []string{"demo", "--listen", l.Addr().String()}, "taken by another program")
}
