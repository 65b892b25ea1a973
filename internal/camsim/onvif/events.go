package onvif

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Item is one name and value of an event's source or data.
type Item struct{ Name, Value string }

// Event is something that happened (ONVIF Core section 9.4.3).
type Event struct {
	Topic     string // with the prefix tns1, as in tns1:VideoSource/MotionAlarm
	Operation string // Initialized, Changed or Deleted of a property; "" is an event that is none
	Time      time.Time
	Source    []Item
	Data      []Item
}

// Topics of what the devices tell by themselves.
const (
	topicMotion     = "tns1:VideoSource/MotionAlarm"
	topicCellMotion = "tns1:RuleEngine/CellMotionDetector/Motion"
	topicRelay      = "tns1:Device/Trigger/Relay"
)

func motionAlarm(on bool, at time.Time) Event {
	return Event{topicMotion, "Initialized", at, []Item{{"Source", videoSource}}, []Item{{"State", strconv.FormatBool(on)}}}
}

func cellMotion(on bool, at time.Time) Event {
	source := []Item{{"VideoSourceConfigurationToken", sourceConfig}, {"VideoAnalyticsConfigurationToken", "analytics0"}, {"Rule", "motion"}}
	return Event{topicCellMotion, "Initialized", at, source, []Item{{"IsMotion", strconv.FormatBool(on)}}}
}

func relayEvent(on bool, at time.Time) Event {
	state := "inactive"
	if on {
		state = "active"
	}
	return Event{topicRelay, "Initialized", at, []Item{{"RelayToken", relayToken}}, []Item{{"LogicalState", state}}}
}

// motion tells that motion has begun or ended.
func (d *device) motion(on bool) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.emit(motionAlarm(on, now))
	d.emit(cellMotion(on, now))
}

// emit sends an event to all pull points that ask for its topic. Of a property it becomes the present state, told as
// Changed unless its Operation says that it was deleted. Called under d.mu.
func (d *device) emit(e Event) {
	switch at := slices.IndexFunc(d.properties, e.sameProperty); {
	case e.Operation == "":
	case e.Operation == "Deleted":
		if at >= 0 {
			d.properties = slices.Delete(d.properties, at, at+1)
		}
	case at >= 0:
		e.Operation = "Changed"
		d.properties[at] = e
	case len(d.properties) < maxProperties:
		d.properties = append(d.properties, e)
	}
	for _, x := range d.subscriptions {
		x.put(e)
	}
}

// maxProperties bounds the states that are remembered; those beyond are told but not synchronised.
const maxProperties = 1000

func (e *Event) sameProperty(o Event) bool {
	return e.Topic == o.Topic && slices.Equal(e.Source, o.Source)
}

// write writes the event as a NotificationMessage (WS-BaseNotification section 3.2, ONVIF Core section 9.4.3).
func (e *Event) write(w *writer) {
	w.within("wsnt:NotificationMessage", func() {
		w.text("wsnt:Topic", e.Topic, "Dialect", dialectConcreteSet)
		w.within("wsnt:Message", func() {
			attributes := []string{"UtcTime", e.Time.UTC().Format("2006-01-02T15:04:05.000Z")}
			if e.Operation != "" {
				attributes = append(attributes, "PropertyOperation", e.Operation)
			}
			w.within("tt:Message", func() {
				writeItems(w, "tt:Source", e.Source)
				writeItems(w, "tt:Data", e.Data)
			}, attributes...)
		})
	})
}

func writeItems(w *writer, name string, items []Item) {
	w.within(name, func() {
		for _, i := range items {
			w.empty("tt:SimpleItem", "Name", i.Name, "Value", i.Value)
		}
	})
}

// Dialects of topic expressions (ONVIF Core section 9.6.3, WS-Topics section 8.1 and 8.2).
const (
	dialectConcreteSet = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
	dialectConcrete    = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
)

// topicFilter selects events; the zero value selects all.
type topicFilter struct{ alternatives []string }

// parseTopics reads a topic expression: topics joined by |, each perhaps with //. behind it for all below.
func parseTopics(expression string) (topicFilter, bool) {
	var f topicFilter
	for t := range strings.SplitSeq(expression, "|") {
		t = strings.TrimSpace(t)
		name := strings.TrimSuffix(t, "//.")
		if name == "" || strings.ContainsAny(name, " \t\n*[]()") || strings.Contains(name, "//") {
			return f, false
		}
		f.alternatives = append(f.alternatives, t)
	}
	return f, true
}

// takes reports whether the filter selects a topic. Prefixes are not looked at: clients bind them as they like.
func (f topicFilter) takes(topic string) bool {
	if len(f.alternatives) == 0 {
		return true
	}
	topic = plainTopic(topic)
	for _, a := range f.alternatives {
		name, below := strings.CutSuffix(a, "//.")
		name = plainTopic(name)
		if topic == name || below && strings.HasPrefix(topic, name+"/") {
			return true
		}
	}
	return false
}

// plainTopic returns a topic without the prefixes of its parts.
func plainTopic(topic string) string {
	parts := strings.Split(topic, "/")
	for i, p := range parts {
		if _, local, ok := strings.Cut(p, ":"); ok {
			parts[i] = local
		}
	}
	return strings.Join(parts, "/")
}

// maxQueued is how many events a pull point holds.
const maxQueued = 1000

// subscription is a pull point. Its fields are guarded by device.mu.
type subscription struct {
	id      string
	filter  topicFilter
	ends    time.Time // by our clock
	keep    time.Duration
	expiry  *time.Timer
	queue   []Event
	lost    int
	pulled  int
	gone    bool
	changed chan struct{} // closed and replaced when something was put in, or when it is gone
}

// put queues an event if the subscriber asked for its topic.
func (x *subscription) put(e Event) {
	if !x.filter.takes(e.Topic) {
		return
	}
	if len(x.queue) == maxQueued {
		x.queue = slices.Delete(x.queue, 0, 1)
		x.lost++
	}
	x.queue = append(x.queue, e)
	x.wake()
}

func (x *subscription) wake() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// synchronise queues the present state of all properties.
func (d *device) synchronise(x *subscription) {
	for _, p := range d.properties {
		p.Operation = "Initialized"
		x.put(p)
	}
}

// subscribe adds a pull point. Called under d.mu.
func (d *device) subscribe(f topicFilter, keep time.Duration) *subscription {
	d.lastID++
	x := &subscription{id: strconv.Itoa(d.lastID), filter: f, changed: make(chan struct{})}
	d.subscriptions[x.id] = x
	d.renew(x, keep)
	d.synchronise(x)
	return x
}

// renew lets a subscription end in so long. Called under d.mu.
func (d *device) renew(x *subscription, keep time.Duration) {
	if x.expiry != nil {
		x.expiry.Stop()
	}
	x.ends = time.Now().Add(keep)
	x.expiry = time.AfterFunc(keep, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !x.gone && !time.Now().Before(x.ends) {
			d.drop(x)
		}
	})
}

// drop ends a subscription. Called under d.mu.
func (d *device) drop(x *subscription) {
	x.gone = true
	x.expiry.Stop()
	delete(d.subscriptions, x.id)
	x.wake()
}
