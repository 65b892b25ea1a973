// Package metrics counts what the server does and writes it as text for Prometheus or any reader of OpenMetrics.
//
// A Registry holds families; a family has a name, a help text, a type and names of labels; each set of label values in it
// is a series. Whoever counts asks the Registry for a series once and keeps it: adding to it takes no lock.
//
//	samples := registry.Counter("nightjar_samples_total", "Samples received.", "camera", camera, "stream", "main")
//	samples.Add(1)
//
// Registries are passed around; there is no global one. The number of series of a family is bounded (MaxSeries): what
// comes later is counted together in a series whose labels all have the value "other". A definition that contradicts an
// earlier one, or that has a name which the formats do not know, is a mistake in the program and panics.
//
// All methods may be called concurrently.
//
// Formats: Prometheus text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format) and OpenMetrics 1.0
// (https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).
package metrics

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MaxSeries bounds the series of one family, the one for the rest not counted.
const MaxSeries = 1000

// Other is the value of all labels of the series that stands for the rest.
const Other = "other"

type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// Registry is a set of families.
type Registry struct {
	mu       sync.Mutex
	families map[string]*family // guarded by mu
}

// New makes an empty registry.
func New() *Registry { return &Registry{families: map[string]*family{}} }

// family is all series of one name.
type family struct {
	name, help string
	kind       kind
	labels     []string
	buckets    []float64
	series     map[string]*series // guarded by the registry's mu; the key is the text of the labels
}

// series is one line of output, or one histogram. Of value, read and hist exactly one is used.
type series struct {
	labels string
	value  *number
	read   func() float64
	hist   *Histogram
}

// number is a float64 that can be added to without a lock.
type number struct{ bits atomic.Uint64 }

func (n *number) add(v float64) {
	for {
		old := n.bits.Load()
		if n.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func (n *number) load() float64 { return math.Float64frombits(n.bits.Load()) }

// Counter is a number that only grows.
type Counter struct{ n *number }

// Add adds v; a negative v is passed over.
func (c Counter) Add(v float64) {
	if v > 0 {
		c.n.add(v)
	}
}

// Value returns the sum.
func (c Counter) Value() float64 { return c.n.load() }

// Gauge is a number that goes up and down.
type Gauge struct{ n *number }

// Set replaces the value.
func (g Gauge) Set(v float64) { g.n.bits.Store(math.Float64bits(v)) }

// Add changes the value by v.
func (g Gauge) Add(v float64) { g.n.add(v) }

// Value returns the value.
func (g Gauge) Value() float64 { return g.n.load() }

// Histogram counts observations by size.
type Histogram struct {
	bounds []float64
	counts []atomic.Uint64 // one more than bounds: what is above all of them
	sum    number
}

// Observe counts v. NaN is passed over.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i].Add(1)
	h.sum.add(v)
}

// Counter returns a series of a counter; its name must end in _total. Labels are names and values in turn.
func (r *Registry) Counter(name, help string, labels ...string) Counter {
	return Counter{r.get(name, help, counter, nil, labels).value}
}

// Gauge returns a series of a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) Gauge {
	return Gauge{r.get(name, help, gauge, nil, labels).value}
}

// Histogram returns a series of a histogram with the given upper bounds, which must grow. All series of a family have the
// same bounds; the last one, +Inf, is added.
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...string) *Histogram {
	return r.get(name, help, histogram, bounds, labels).hist
}

// CounterFunc makes a counter whose value is asked for when the registry is written. read must not call the registry.
func (r *Registry) CounterFunc(name, help string, read func() float64, labels ...string) {
	r.setFunc(r.get(name, help, counter, nil, labels), read)
}

// GaugeFunc makes a gauge whose value is asked for when the registry is written. read must not call the registry.
func (r *Registry) GaugeFunc(name, help string, read func() float64, labels ...string) {
	r.setFunc(r.get(name, help, gauge, nil, labels), read)
}

func (r *Registry) setFunc(s *series, read func() float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.read = read
}

// Remove ends all series, of all families, that have these labels among theirs: those of a camera that is gone. Who still
// holds one of them counts for nobody.
func (r *Registry) Remove(labels ...string) {
	pairs := make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+escapeLabel(labels[i+1])+`"`)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.families {
		maps.DeleteFunc(f.series, func(key string, _ *series) bool {
			for _, p := range pairs {
				if !strings.Contains(","+key+",", ","+p+",") {
					return false
				}
			}
			return len(pairs) > 0
		})
	}
}

func (r *Registry) get(name, help string, k kind, bounds []float64, labels []string) *series {
	names, values := splitLabels(name, labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.families[name]
	if f == nil {
		f = &family{name: name, help: help, kind: k, labels: names, buckets: bounds, series: map[string]*series{}}
		f.check()
		r.checkClash(f)
		r.families[name] = f
	}
	if f.kind != k || f.help != help || !slices.Equal(f.labels, names) || !slices.Equal(f.buckets, bounds) {
		panic(fmt.Sprintf("metrics: %s is defined twice, and differently", name))
	}
	key := labelText(names, values)
	if s := f.series[key]; s != nil {
		return s
	}
	if len(names) > 0 {
		rest := f.restKey()
		full := MaxSeries
		if f.series[rest] != nil {
			full++
		}
		if len(f.series) >= full {
			key = rest
			if s := f.series[key]; s != nil {
				return s
			}
		}
	}
	s := &series{labels: key}
	if k == histogram {
		s.hist = &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
	} else {
		s.value = new(number)
	}
	f.series[key] = s
	return s
}

// restKey is the key of the series for what found no room.
func (f *family) restKey() string {
	return labelText(f.labels, slices.Repeat([]string{Other}, len(f.labels)))
}

func splitLabels(family string, labels []string) (names, values []string) {
	if len(labels)%2 != 0 {
		panic(fmt.Sprintf("metrics: %s: a label without value", family))
	}
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

func labelText(names, values []string) string {
	var out strings.Builder
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(name + `="` + escapeLabel(values[i]) + `"`)
	}
	return out.String()
}

var (
	goodName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	goodLabel = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// check panics for what the formats forbid, and for what readers would take for a part of another family.
func (f *family) check() {
	bad := func(why string) { panic(fmt.Sprintf("metrics: %s: %s", f.name, why)) }
	if !goodName.MatchString(f.name) {
		bad("bad name")
	}
	if f.help == "" {
		bad("no help text")
	}
	if strings.HasSuffix(f.name, "_total") != (f.kind == counter) {
		bad("counters, and only they, end in _total")
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum", "_created", "_info"} {
		if strings.HasSuffix(f.name, suffix) {
			bad("the ending " + suffix + " has a meaning of its own")
		}
	}
	for i, l := range f.labels {
		if !goodLabel.MatchString(l) || l == "le" || slices.Contains(f.labels[:i], l) {
			bad("bad label " + l)
		}
	}
	if f.kind != histogram {
		return
	}
	for i, b := range f.buckets {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= f.buckets[i-1] {
			bad("bounds that do not grow")
		}
	}
}

// checkClash panics if a counter and a gauge would have one name without the ending.
func (r *Registry) checkClash(f *family) {
	for _, other := range r.families {
		if other.base() == f.base() {
			panic(fmt.Sprintf("metrics: %s and %s are one name in OpenMetrics", f.name, other.name))
		}
	}
}

// base is the name of the family in OpenMetrics, where _total belongs to the sample.
func (f *family) base() string {
	if f.kind == counter {
		return strings.TrimSuffix(f.name, "_total")
	}
	return f.name
}
