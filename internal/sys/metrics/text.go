package metrics

import (
	"bufio"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Format is a form of the text.
type Format int

// The formats.
const (
	Prometheus  Format = iota // text format 0.0.4
	OpenMetrics               // 1.0.0
)

// ContentType is the media type of the text.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// FormatFor chooses by the Accept header of a request: OpenMetrics only for those who name it.
func FormatFor(accept string) Format {
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), "application/openmetrics-text") {
			return OpenMetrics
		}
	}
	return Prometheus
}

// Write writes all families, by name.
func (r *Registry) Write(w io.Writer, format Format) error {
	out := &writer{w: bufio.NewWriter(w), format: format}
	for _, f := range r.snapshot() {
		out.family(f)
	}
	if format == OpenMetrics {
		out.text("# EOF\n")
	}
	return out.w.Flush() // the first error stays
}

// snapshot copies the families, so that nobody waits for a slow reader.
func (r *Registry) snapshot() []*family {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*family, 0, len(r.families))
	for _, name := range slices.Sorted(maps.Keys(r.families)) {
		f := *r.families[name]
		f.series = make(map[string]*series, len(r.families[name].series))
		for key, s := range r.families[name].series {
			c := *s
			f.series[key] = &c
		}
		out = append(out, &f)
	}
	return out
}

type writer struct {
	w      *bufio.Writer
	format Format
}

func (w *writer) text(parts ...string) {
	for _, p := range parts {
		w.w.WriteString(p)
	}
}

func (w *writer) family(f *family) {
	if len(f.series) == 0 {
		return
	}
	name := f.name
	if w.format == OpenMetrics {
		name = f.base()
	}
	// OpenMetrics asks for the type first; the other format does not care.
	w.text("# TYPE ", name, " ", string(f.kind), "\n# HELP ", name, " ", w.help(f.help), "\n")
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		switch {
		case s.hist != nil:
			w.histogram(f.name, s)
		case s.read != nil:
			w.sample(f.name, s.labels, "", s.read())
		default:
			w.sample(f.name, s.labels, "", s.value.load())
		}
	}
}

// histogram writes cumulative counts. They are read one by one, so the sum may lag behind; the count is that of the last
// bucket, so that the lines agree among themselves.
func (w *writer) histogram(name string, s *series) {
	total := uint64(0)
	for i := range s.hist.counts {
		total += s.hist.counts[i].Load()
		bound := math.Inf(1)
		if i < len(s.hist.bounds) {
			bound = s.hist.bounds[i]
		}
		w.sample(name+"_bucket", s.labels, `le="`+w.bound(bound)+`"`, float64(total))
	}
	w.sample(name+"_sum", s.labels, "", s.hist.sum.load())
	w.sample(name+"_count", s.labels, "", float64(total))
}

func (w *writer) sample(name, labels, more string, value float64) {
	w.text(name)
	if labels != "" && more != "" {
		labels += ","
	}
	if labels+more != "" {
		w.text("{", labels, more, "}")
	}
	w.text(" ", formatFloat(value), "\n")
}

// bound writes a bucket's limit; OpenMetrics wants the canonical form of a number, with a point in it.
func (w *writer) bound(v float64) string {
	s := formatFloat(v)
	if w.format == OpenMetrics && !strings.ContainsAny(s, ".eI") {
		s += ".0"
	}
	return s
}

func formatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case math.IsNaN(v):
		return "NaN"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (w *writer) help(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if w.format == OpenMetrics {
		return openMetricsHelp.Replace(s)
	}
	return helpEscapes.Replace(s)
}

var (
	helpEscapes     = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	openMetricsHelp = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	labelEscapes    = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func escapeLabel(v string) string { return labelEscapes.Replace(strings.ToValidUTF8(v, "\ufffd")) }
