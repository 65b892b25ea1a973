package metrics_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"nightjar/internal/sys/metrics"
)

var update = flag.Bool("update", false, "write the golden files anew")

func example() *metrics.Registry {
	r := metrics.New()
	samples := func(camera, stream string) metrics.Counter {
		return r.Counter("nightjar_samples_total", "Samples received.", "camera", camera, "stream", stream)
	}
	samples("yard", "main").Add(12345)
	samples("yard", "sub").Add(1)
	samples("yard", "sub").Add(1)
	samples("yard", "sub").Add(-5)
	samples("new\nline \"quoted\" back\\slash", "main").Add(0.5)
	r.Gauge("nightjar_open_connections", "Connections, \"now\".\nSecond line \\ end.").Set(3)
	g := r.Gauge("nightjar_clock_offset_seconds", "Offset of the clock.", "camera", "gate")
	g.Set(-0.25)
	g.Add(-1)
	r.Gauge("nightjar_odd", "Odd values.", "v", "inf").Set(math.Inf(1))
	r.Gauge("nightjar_odd", "Odd values.", "v", "nan").Set(math.NaN())
	r.Gauge("nightjar_odd", "Odd values.", "v", "large").Set(1e21)
	r.GaugeFunc("nightjar_uptime_seconds", "Time since the start.", func() float64 { return 86400 })
	r.CounterFunc("nightjar_cpu_seconds_total", "CPU time used.", func() float64 { return 1.5 }, "mode", "user")
	h := r.Histogram("nightjar_sync_seconds", "Duration of syncs.", []float64{0.001, 0.1, 1, 10}, "directory", "/media/a")
	for _, v := range []float64{0.0005, 0.001, 0.05, 5, 100, math.NaN()} {
		h.Observe(v)
	}
	r.Histogram("nightjar_queue", "Nothing observed.", []float64{1})
	return r
}

func TestGolden(t *testing.T) {
	for format, name := range map[metrics.Format]string{metrics.Prometheus: "prometheus.txt", metrics.OpenMetrics: "openmetrics.txt"} {
		var got bytes.Buffer
		if err := example().Write(&got, format); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		checkText(t, got.String(), format)
	}
}

var (
	metaLine   = regexp.MustCompile(`^# (TYPE|HELP) ([a-z][a-z0-9_]*) (.+)$`)
	sampleLine = regexp.MustCompile(`^([a-z][a-z0-9_]*)(\{((?:[a-z][a-z0-9_]*="(?:[^"\\]|\\["\\n])*",?)+)\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`)
)

// checkText reads a text by the rules of its format: each line is of a known form, samples stand under their family, no
// series comes twice, and OpenMetrics ends as it must.
func checkText(t *testing.T, text string, format metrics.Format) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("not UTF-8")
	}
	rest, ended := strings.CutSuffix(text, "# EOF\n")
	if ended != (format == metrics.OpenMetrics) || strings.Contains("\n"+rest, "\n# EOF") {
		t.Error("EOF is where it should not be, or not where it should")
	}
	family, kind := "", ""
	seen := map[string]bool{}
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		if m := metaLine.FindStringSubmatch(line); m != nil {
			if m[1] == "TYPE" {
				family, kind = m[2], m[3]
			}
			if m[2] != family || seen[m[1]+family] {
				t.Errorf("line %q stands in family %s, or again", line, family)
			}
			seen[m[1]+family] = true
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %q is of no known form", line)
			continue
		}
		if seen[m[1]+m[2]] {
			t.Errorf("series %s%s comes twice", m[1], m[2])
		}
		seen[m[1]+m[2]] = true
		var endings []string
		switch {
		case kind == "histogram":
			endings = []string{"_bucket", "_sum", "_count"}
		case kind == "counter" && format == metrics.OpenMetrics:
			endings = []string{"_total"}
		default:
			endings = []string{""}
		}
		if ending, ok := strings.CutPrefix(m[1], family); !ok || !strings.Contains("|"+strings.Join(endings, "|")+"|", "|"+ending+"|") {
			t.Errorf("sample %s in family %s of kind %s", m[1], family, kind)
		}
		if strings.HasSuffix(m[1], "_bucket") && format == metrics.OpenMetrics && !regexp.MustCompile(`le="(\+Inf|[^"]*[.e][^"]*)"`).MatchString(m[3]) {
			t.Errorf("bound of %q is not canonical", line)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("a", "help", 1.0)
	f.Add("\"\\\n", "\\\"\n# EOF\n", math.Inf(-1))
	f.Add("\xff\x00 ", "\xc3", 1e300)
	f.Add(`x",camera="y`, `x`, math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, label, help string, v float64) {
		if help == "" || strings.Contains(help, "\r") || strings.Contains(label, "\r") {
			return
		}
		r := metrics.New()
		r.Gauge("a_gauge", help, "one", label, "two", "x").Set(v)
		r.Gauge("a_gauge", help, "one", "x", "two", label)
		r.Counter("a_total_total", help, "one", label).Add(v)
		r.Histogram("a_histogram", help, []float64{1, 2.5}, "one", label).Observe(v)
		for _, format := range []metrics.Format{metrics.Prometheus, metrics.OpenMetrics} {
			var out strings.Builder
			if err := r.Write(&out, format); err != nil {
				t.Fatal(err)
			}
			checkText(t, out.String(), format)
		}
		r.Remove("one", label)
		var out strings.Builder
		r.Write(&out, metrics.Prometheus)
		if left := strings.Count(out.String(), "\n"); label != "x" && left != 3 || label == "x" && left != 0 {
			t.Errorf("after Remove(%q):\n%s", label, out.String())
		}
	})
}

func TestBound(t *testing.T) {
	r := metrics.New()
	for i := range metrics.MaxSeries + 50 {
		r.Counter("a_total", "A.", "n", fmt.Sprint(i)).Add(1)
	}
	var out strings.Builder
	r.Write(&out, metrics.Prometheus)
	if n := strings.Count(out.String(), "\n"); n != metrics.MaxSeries+1+2 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(out.String(), `a_total{n="other"} 50`) {
		t.Error("the rest is not counted together")
	}
	r.Remove("n", "7")
	if got := r.Counter("a_total", "A.", "n", "new").Value(); got != 0 {
		t.Errorf("a new series in a free place begins with %v", got)
	}
}

func TestMistakesPanic(t *testing.T) {
	for name, mistake := range map[string]func(r *metrics.Registry){
		"name":               func(r *metrics.Registry) { r.Gauge("a-b", "H.") },
		"empty name":         func(r *metrics.Registry) { r.Gauge("", "H.") },
		"no help":            func(r *metrics.Registry) { r.Gauge("a", "") },
		"counter":            func(r *metrics.Registry) { r.Counter("a", "H.") },
		"gauge as counter":   func(r *metrics.Registry) { r.Gauge("a_total", "H.") },
		"reserved ending":    func(r *metrics.Registry) { r.Gauge("a_bucket", "H.") },
		"label without":      func(r *metrics.Registry) { r.Gauge("a", "H.", "x") },
		"label name":         func(r *metrics.Registry) { r.Gauge("a", "H.", "X", "v") },
		"le":                 func(r *metrics.Registry) { r.Gauge("a", "H.", "le", "v") },
		"label twice":        func(r *metrics.Registry) { r.Gauge("a", "H.", "x", "v", "x", "w") },
		"bounds":             func(r *metrics.Registry) { r.Histogram("a", "H.", []float64{1, 1}) },
		"other kind":         func(r *metrics.Registry) { r.Gauge("a", "H."); r.Histogram("a", "H.", nil) },
		"other help":         func(r *metrics.Registry) { r.Gauge("a", "H."); r.Gauge("a", "I.") },
		"other labels":       func(r *metrics.Registry) { r.Gauge("a", "H."); r.Gauge("a", "H.", "x", "y") },
		"other bounds":       func(r *metrics.Registry) { r.Histogram("a", "H.", nil); r.Histogram("a", "H.", []float64{1}) },
		"same base":          func(r *metrics.Registry) { r.Gauge("a", "H."); r.Counter("a_total", "H.") },
		"infinite as bounds": func(r *metrics.Registry) { r.Histogram("a", "H.", []float64{1, math.Inf(1)}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			mistake(metrics.New())
		}()
	}
}

func TestFormatFor(t *testing.T) {
	for accept, want := range map[string]metrics.Format{
		"":            metrics.Prometheus,
		"*/*":         metrics.Prometheus,
		"text/plain":  metrics.Prometheus,
		"text/html,*": metrics.Prometheus,
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4": metrics.OpenMetrics,
		"text/plain, Application/OpenMetrics-Text":                                        metrics.OpenMetrics,
	} {
		if got := metrics.FormatFor(accept); got != want {
			t.Errorf("FormatFor(%q) = %v", accept, got)
		}
	}
	if a, b := metrics.Prometheus.ContentType(), metrics.OpenMetrics.ContentType(); a == b || !strings.HasPrefix(a, "text/plain; version=0.0.4") {
		t.Errorf("content types %q, %q", a, b)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteError(t *testing.T) {
	if err := example().Write(brokenWriter{}, metrics.Prometheus); err == nil {
		t.Error("the error of the writer is lost")
	}
}

func TestConcurrently(t *testing.T) {
	r := metrics.New()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 500 {
				r.Counter("a_total", "A.").Add(1)
				r.Gauge("b", "B.", "i", fmt.Sprint(i)).Add(0.5)
				r.Histogram("c", "C.", []float64{1, 2}).Observe(float64(n % 4))
				if n%50 == 0 {
					r.Write(&bytes.Buffer{}, metrics.OpenMetrics)
					r.Remove("i", fmt.Sprint(i+1))
				}
			}
		})
	}
	wg.Wait()
	if got := r.Counter("a_total", "A.").Value(); got != 2000 {
		t.Errorf("counted %v; want 2000", got)
	}
}

func BenchmarkCounter(b *testing.B) {
	c := metrics.New().Counter("a_total", "A.")
	for b.Loop() {
		c.Add(1)
	}
}
