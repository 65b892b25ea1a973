package onvif

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

// DeviceState is what the control port tells of a device.
type DeviceState struct {
	PTZ           PTZState            `json:"ptz"`
	Subscriptions []SubscriptionState `json:"subscriptions"`
	Relay         bool                `json:"relay"`
}

// PTZState is the PTZ unit: where it is and what it was told.
type PTZState struct {
	Position Position `json:"position"`
	Speed    Position `json:"speed"`
	Home     Position `json:"home"`
	Presets  []preset `json:"presets"`
	Moves    []Move   `json:"moves"`    // the latest 1,000
	Recorded int      `json:"recorded"` // all of them
}

// SubscriptionState is one pull point.
type SubscriptionState struct {
	ID     string    `json:"id"`
	Ends   time.Time `json:"ends"`
	Queued int       `json:"queued"`
	Pulled int       `json:"pulled"`
	Lost   int       `json:"lost"`
}

// Injected is an event as the control port takes it.
type Injected struct {
	Camera    string            `json:"camera"` // cam0; "" is all
	Topic     string            `json:"topic"`  // without one it is tns1:VideoSource/MotionAlarm
	Operation string            `json:"operation"`
	Source    map[string]string `json:"source"`
	Data      map[string]string `json:"data"`
}

// State returns the state of each device by its camera's name.
func (s *Server) State() map[string]DeviceState {
	all := map[string]DeviceState{}
	for _, d := range s.devices {
		all[d.camera.Name()] = d.state()
	}
	return all
}

func (d *device) state() DeviceState {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ptz.settle(time.Now())
	p := &d.ptz
	x := DeviceState{
		PTZ:           PTZState{p.at, p.speed, p.home, append([]preset{}, p.presets...), append([]Move{}, p.moves...), p.recorded},
		Subscriptions: []SubscriptionState{}, Relay: d.relay,
	}
	for _, u := range d.subscriptions {
		x.Subscriptions = append(x.Subscriptions, SubscriptionState{u.id, u.ends.UTC().Round(0), len(u.queue), u.pulled, u.lost})
	}
	sort.Slice(x.Subscriptions, func(i, j int) bool { return x.Subscriptions[i].ID < x.Subscriptions[j].ID })
	return x
}

// Inject lets an event happen now. It reports how many devices it happened at.
func (s *Server) Inject(e Injected) int {
	items := func(m map[string]string) []Item {
		all := []Item{}
		for k, v := range m {
			all = append(all, Item{k, v})
		}
		slices.SortFunc(all, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
		return all
	}
	n := 0
	for _, d := range s.devices {
		if e.Camera != "" && e.Camera != d.camera.Name() {
			continue
		}
		n++
		x := Event{e.Topic, e.Operation, d.now(), items(e.Source), items(e.Data)}
		if x.Topic == "" {
			x.Topic = topicMotion
		}
		d.mu.Lock()
		d.emit(x)
		d.mu.Unlock()
	}
	return n
}

// Control adds to next, the handler of a control port:
//
//	GET  /ptz      PTZState of each camera
//	GET  /onvif    DeviceState of each camera
//	POST /events   Injected
func (s *Server) Control(next http.Handler) http.Handler {
	m := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v) // fails only when the client has left
	}
	m.HandleFunc("GET /onvif", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.State()) })
	m.HandleFunc("GET /ptz", func(w http.ResponseWriter, _ *http.Request) {
		all := map[string]PTZState{}
		for name, x := range s.State() {
			all[name] = x.PTZ
		}
		answer(w, all)
	})
	m.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		var e Injected
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
			return
		}
		switch e.Operation {
		case "", "Initialized", "Changed", "Deleted":
		default:
			http.Error(w, "operation "+e.Operation+" is none of Initialized, Changed, Deleted", http.StatusBadRequest)
			return
		}
		n := s.Inject(e)
		if n == 0 {
			http.Error(w, "no camera "+e.Camera, http.StatusNotFound)
			return
		}
		answer(w, map[string]int{"devices": n})
	})
	if next != nil {
		m.Handle("/", next)
	}
	return m
}
