package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/camsim"
)

func TestRunSaysWhereAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, strings.Fields("--listen 127.0.0.1:0 --control 127.0.0.1:0 --cameras 3 --size 320x240 --fault cam1:stall"), in, &errs)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, code %d: %s", err, <-code, &errs)
	}
	m := regexp.MustCompile(`^camsim: 3 cameras at rtsp://127\.0\.0\.1:[1-9]\d*/cam0 \.\.\. /cam2, control at (http://127\.0\.0\.1:\d+/counts)\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("first line %q", line)
	}
	answer, err := http.Get(m[1])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var counts camsim.Counts
	if err := json.NewDecoder(answer.Body).Decode(&counts); err != nil {
		t.Fatal(err)
	}
	if len(counts.Paths) != 6 || fmt.Sprint(counts.Paths["/cam1"].Faults) != "[stall]" || len(counts.Paths["/cam0"].Faults) != 0 {
		t.Errorf("%+v", counts)
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("code %d: %s", c, &errs)
	}
}

// The ONVIF port answers, and the control port tells what it was asked to do.
func TestONVIFPort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, strings.Fields("--listen 127.0.0.1:0 --control 127.0.0.1:0 --onvif 127.0.0.1:0 --size 320x240"), in, &errs)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, code %d: %s", err, <-code, &errs)
	}
	m := regexp.MustCompile(`(rtsp://[^ ,]+), ONVIF at (http://127\.0\.0\.1:\d+/onvif/)device_service, control at (http://127\.0\.0\.1:\d+)/counts\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("first line %q", line)
	}
	ask := func(body string) string {
		answer, err := http.Post(m[2]+"media_service", "application/soap+xml", strings.NewReader(
			`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>`+body+`</s:Body></s:Envelope>`))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("%s: %d %v %s", body, answer.StatusCode, err, text)
		}
		return string(text)
	}
	if got := ask(`<GetStreamUri xmlns="http://www.onvif.org/ver10/media/wsdl"><ProfileToken>main</ProfileToken></GetStreamUri>`); !strings.Contains(got, m[1]+"<") {
		t.Errorf("the stream is at %s: %s", m[1], got)
	}
	ask(`<Stop xmlns="http://www.onvif.org/ver20/ptz/wsdl"><ProfileToken>main</ProfileToken></Stop>`)
	for path, want := range map[string]string{"/ptz": `"operation":"Stop"`, "/counts": `"rtspSessions":0`} {
		answer, err := http.Get(m[3] + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v %s", path, err, text)
		}
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("code %d: %s", c, &errs)
	}
}

func TestFlags(t *testing.T) {
	s, err := parse(strings.Fields("--cameras 2 --size 640x360 --fps 15 --gop 45 --bitrate 1.5M --file a.h264 --file b.aac --audio --user u --pass p "+
		"--session-timeout 0 --fault loss=5 --fault /cam0/sub:stall --listen :0 --control :0 --sub-size none --auth sha-256+md5"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o := s.options
	if o.Cameras != 2 || o.Width != 640 || o.FPS != 15 || o.GOP != 45 || o.BitRate != 1_500_000 || len(o.Files) != 2 || !o.Audio ||
		o.User != "u" || o.Password != "p" || o.SessionTimeout != -1 || len(o.Faults) != 2 || o.Faults[1].Path != "/cam0/sub" || !o.NoSub ||
		strings.Join(o.Auth, " ") != "sha-256 md5" || s.listen != ":0" || s.control != ":0" {
		t.Errorf("%+v", s)
	}
}

func TestWrongFlags(t *testing.T) {
	for flags, want := range map[string]int{
		"--size 5x5": 2, "--bitrate fast": 2, "--bitrate 1": 2, "--fps 0": 2, "--cameras -1": 2, "--fault nothing": 2, "extra": 2, "--session-timeout -4": 2,
		"--sub-size 3": 2, "--no-such-flag": 2, "--help": 0, "--file no-such-file.h264": 1, "--listen nowhere:x": 1, "--auth odd": 1,
		"--listen 127.0.0.1:0 --control nowhere:x": 1, "--listen 127.0.0.1:0 --onvif nowhere:x": 1, "--onvif-discovery": 2, "--onvif-replay x": 2,
		"--onvif :0 --onvif-motion -1s": 2, "--listen 127.0.0.1:0 --onvif 127.0.0.1:0 --onvif-replay no-such-file.jsonl": 1,
	} {
		var errs strings.Builder
		if code := run(t.Context(), strings.Fields(flags), io.Discard, &errs); code != want || errs.Len() == 0 {
			t.Errorf("%s: code %d, want %d: %s", flags, code, want, &errs)
		}
	}
}
