package onvif

import (
	"strings"
	"testing"
	"time"
)

func TestParseRequest(t *testing.T) {
	r, err := ParseRequest([]byte(`<?xml version="1.0"?><!-- a client --><e:Envelope xmlns:e="` + nsSOAP + `" xmlns:x="urn:x"><e:Header><x:To m="1"> there </x:To></e:Header>` +
		`<x:Odd/><e:Body xmlns="urn:y"><Do b="2" xmlns:c="urn:c" c:d="3">a<Sub>&lt;&#65;</Sub>b<![CDATA[<]]></Do><Second/></e:Body></e:Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	op := r.Operation
	b, _ := op.attr("b")
	d, _ := op.attr("d")
	if op.Name.Space != "urn:y" || op.Name.Local != "Do" || op.Text != "ab<" || op.text("Sub") != "<A" || b != "2" || d != "3" || len(op.Attr) != 2 ||
		r.header("To").Text != "there" || r.header("To").Name.Space != "urn:x" {
		t.Errorf("%s %s", dump(op), dump(r.Header[0]))
	}
	if op.child("Sub", "Nothing", "More") != nil || op.text("Nothing") != "" || r.header("From") != nil {
		t.Error("something where nothing is")
	}
}

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"PT0S": 0, "PT60S": time.Minute, "PT1M": time.Minute, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "P1Y2M": 425 * day,
		"-PT5S": -5 * time.Second, "PT0.25S": 250 * time.Millisecond,
	} {
		got, err := parseDuration(s)
		if err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
		if back, err := parseDuration(formatDuration(want.Abs())); err != nil || back != want.Abs() {
			t.Errorf("%v written as %s: %v %v", want, formatDuration(want.Abs()), back, err)
		}
	}
	for _, s := range []string{"", "P", "PT", "1S", "P1S", "PT1D", "PT1S1M", "PT1", "PTS", "P1.5D", "PT1.5M", "P11Y", "P1DT", "PT1SX", "--PT1S", "PT1..S", "PT-1S", "P1é"} {
		if d, err := parseDuration(s); err == nil {
			t.Errorf("%q is %v", s, d)
		}
	}
}

// rewrite writes a node again, every name with its namespace in place.
func rewrite(w *writer, n *Node) {
	w.b.WriteString("<")
	if n.Name.Space != "" {
		w.b.WriteString("n:")
	}
	w.b.WriteString(n.Name.Local)
	if n.Name.Space != "" {
		w.b.WriteString(` xmlns:n="`)
		w.escape(n.Name.Space)
		w.b.WriteString(`"`)
	}
	w.b.WriteString(">")
	w.escape(n.Text)
	for _, c := range n.Children {
		rewrite(w, c)
	}
	w.b.WriteString("</")
	if n.Name.Space != "" {
		w.b.WriteString("n:")
	}
	w.b.WriteString(n.Name.Local + ">")
}

func equalNodes(a, b *Node) bool {
	if a.Name != b.Name || a.Text != b.Text || len(a.Children) != len(b.Children) {
		return false
	}
	for i := range a.Children {
		if !equalNodes(a.Children[i], b.Children[i]) {
			return false
		}
	}
	return true
}

// FuzzParseRequest: what was read, written again, reads the same; and a device answers whatever was sent.
func FuzzParseRequest(f *testing.F) {
	for name := range operations {
		f.Add([]byte(envelopeStart + `<s:Header><a:MessageID>1</a:MessageID></s:Header><s:Body><` + name.Local + ` xmlns="` + name.Space + `"><ProfileToken>main</ProfileToken></` +
			name.Local + `></s:Body></s:Envelope>`))
	}
	f.Add([]byte(envelopeStart + token("admin", "secret", "n", "2026-01-01T00:00:00Z") + "<s:Body><a/></s:Body></s:Envelope>"))
	f.Add([]byte(`<!DOCTYPE a><a/>`))
	a, _, _ := newAsking(f, Options{User: "admin", Password: "secret"})
	open, _, camera := newAsking(f, Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseRequest(body)
		if err != nil {
			return
		}
		var w writer
		w.b.WriteString(`<e:Envelope xmlns:e="` + nsSOAP + `"><e:Body>`)
		rewrite(&w, r.Operation)
		w.b.WriteString("</e:Body></e:Envelope>")
		again, err := ParseRequest([]byte(w.b.String()))
		// Names that are no XML names when they stand behind a prefix, and growth beyond the bounds, are no mistakes.
		if err == nil && !equalNodes(r.Operation, again.Operation) {
			t.Errorf("%s\nis read as\n%s", dump(r.Operation), dump(again.Operation))
		}
		if strings.Contains(r.Operation.Name.Local, "PullMessages") || r.Operation.Name.Local == "SystemReboot" {
			return // one waits, the other cuts the connection
		}
		a.t, open.t = t, t
		a.raw("/onvif/device_service", string(body))
		open.raw("/onvif/device_service", string(body))
		camera.mu.Lock()
		camera.boots, camera.down = 0, false
		camera.mu.Unlock()
	})
}

// FuzzParameters: any Authorization header is read without panic, and what is quoted comes back.
func FuzzParameters(f *testing.F) {
	f.Add(`username="a\"b", realm=x , nc=00000001`, "v")
	f.Fuzz(func(t *testing.T, s, value string) {
		parseParameters(s)
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
		if got := parseParameters(`a=b, v="` + quoted + `"`); got["v"] != value || got["a"] != "b" {
			t.Errorf("%q came back as %q", value, got)
		}
	})
}

// FuzzDuration: what is read is within bounds, and written again reads the same.
func FuzzDuration(f *testing.F) {
	f.Add("P1Y2M3DT4H5M6.7S")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if err != nil {
			return
		}
		if d > maxSpan || d < -maxSpan {
			t.Errorf("%q is %v", s, d)
		}
		if back, err := parseDuration(formatDuration(d.Abs())); err != nil || (back-d.Abs()).Abs() > time.Microsecond {
			t.Errorf("%v came back as %v: %v", d, back, err)
		}
	})
}
