package onvif

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test in fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// create makes a pull point and returns its path.
func (a *asking) create(content string) string {
	a.t.Helper()
	n := a.ask("<tev:CreatePullPointSubscription>" + content + "</tev:CreatePullPointSubscription>")
	return strings.TrimPrefix(n.text("SubscriptionReference", "Address"), "http://10.0.0.7:8080")
}

// pull returns what a pull point has, as TOPIC OPERATION VALUE.
func (a *asking) pull(path string, timeout string, limit int) []string {
	a.t.Helper()
	code, n := a.post(path, fmt.Sprintf("<tev:PullMessages><tev:Timeout>%s</tev:Timeout><tev:MessageLimit>%d</tev:MessageLimit></tev:PullMessages>", timeout, limit))
	if code != 200 {
		return []string{fmt.Sprint(code, " ", n.text("Code", "Subcode", "Value"))}
	}
	all := []string{}
	for _, c := range n.Children {
		if c.Name.Local == "NotificationMessage" {
			m := c.child("Message", "Message")
			operation, _ := m.attr("PropertyOperation")
			value, _ := m.child("Data", "SimpleItem").attr("Value")
			all = append(all, strings.TrimSpace(c.text("Topic")+" "+operation+" "+value))
		}
	}
	return all
}

const (
	motionFilter = `<tev:Filter><wsnt:TopicExpression Dialect="` + dialectConcreteSet + `">x:VideoSource/MotionAlarm</wsnt:TopicExpression></tev:Filter>`
	minute       = "<tev:InitialTerminationTime>PT60S</tev:InitialTerminationTime>"
)

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestPullPoint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, _ := newAsking(t, Options{})
		path := a.create(minute)
		same(t, "at first", a.pull(path, "PT1S", 2), "tns1:VideoSource/MotionAlarm Initialized false", "tns1:RuleEngine/CellMotionDetector/Motion Initialized false")
		same(t, "the rest", a.pull(path, "PT1S", 2), "tns1:Device/Trigger/Relay Initialized inactive")
		before := time.Now()
		same(t, "nothing", a.pull(path, "PT5S", 2))
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("waited %v for nothing", waited)
		}
		got := make(chan []string)
		go func() { got <- a.pull(path, "PT20S", 10) }()
		time.Sleep(3 * time.Second)
		s.devices[0].motion(true)
		same(t, "woken", <-got, "tns1:VideoSource/MotionAlarm Changed true", "tns1:RuleEngine/CellMotionDetector/Motion Changed true")
		a.ask("<tds:SetRelayOutputState><tds:RelayOutputToken>relay0</tds:RelayOutputToken><tds:LogicalState>active</tds:LogicalState></tds:SetRelayOutputState>")
		same(t, "relay", a.pull(path, "PT0S", 10), "tns1:Device/Trigger/Relay Changed active")
		if code, _ := a.post(path, "<tev:SetSynchronizationPoint/>"); code != 200 {
			t.Error(code)
		}
		same(t, "synchronised", a.pull(path, "PT0S", 10), "tns1:VideoSource/MotionAlarm Initialized true",
			"tns1:RuleEngine/CellMotionDetector/Motion Initialized true", "tns1:Device/Trigger/Relay Initialized active")
		a.refused("<tds:SetRelayOutputState><tds:RelayOutputToken>x</tds:RelayOutputToken></tds:SetRelayOutputState>", 400, "ter:RelayToken")
		a.refused("<tds:SetRelayOutputState><tds:RelayOutputToken>relay0</tds:RelayOutputToken><tds:LogicalState>on</tds:LogicalState></tds:SetRelayOutputState>",
			400, "ter:InvalidArgVal")
	})
}

func TestSubscriptionEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, f := newAsking(t, Options{})
		count := func() int { return len(s.State()["cam0"].Subscriptions) }
		kept, expiring, ended := a.create(minute), a.create(minute), a.create(minute)
		if code, _ := a.post(ended, "<wsnt:Unsubscribe/>"); code != 200 || count() != 2 {
			t.Errorf("Unsubscribe: %d, %d left", code, count())
		}
		same(t, "unsubscribed", a.pull(ended, "PT1S", 1), "400 ter:InvalidArgVal")
		time.Sleep(50 * time.Second)
		code, n := a.post(kept, "<wsnt:Renew><wsnt:TerminationTime>PT2M</wsnt:TerminationTime></wsnt:Renew>")
		ends, err := parseTime(n.text("TerminationTime"))
		if off := time.Until(ends) - 2*time.Minute; code != 200 || err != nil || off > 0 || off <= -time.Second {
			t.Errorf("renewed: %d %s", code, dump(n))
		}
		absolute := timestamp(time.Now().Add(2 * time.Minute))
		if code, _ := a.post(kept, "<wsnt:Renew><wsnt:TerminationTime>"+absolute+"</wsnt:TerminationTime></wsnt:Renew>"); code != 200 {
			t.Errorf("renewed until %s: %d", absolute, code)
		}
		a.pull(expiring, "PT0S", 10)
		before := time.Now()
		same(t, "expires while pulled from", a.pull(expiring, "PT30S", 10), "400 ter:InvalidArgVal")
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("expired after %v", waited)
		}
		if count() != 1 {
			t.Errorf("%d left", count())
		}
		time.Sleep(3 * time.Minute)
		if count() != 0 {
			t.Errorf("%d left", count())
		}
		pulled := a.create("") // lives as long as it is pulled from
		for range 10 {
			time.Sleep(50 * time.Second)
			a.pull(pulled, "PT0S", 10)
		}
		if count() != 1 {
			t.Error("expired though it was pulled from")
		}
		cut := make(chan any)
		go func() {
			defer func() { cut <- recover() }()
			a.pull(pulled, "PT30S", 10)
		}()
		time.Sleep(time.Second)
		f.mu.Lock()
		f.boots++ // a quick one: up again before anybody looked
		f.mu.Unlock()
		s.devices[0].up()
		if got := <-cut; got != http.ErrAbortHandler {
			t.Errorf("a reboot while a client waits: %v", got)
		}
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, _ := newAsking(t, Options{})
		first := a.create(motionFilter)
		for range maxSubscriptions - 1 {
			a.create("")
		}
		n := a.refused("<tev:CreatePullPointSubscription/>", 400, "ter:InvalidArgVal")
		if n.child("Detail", "SubscribeCreationFailedFault") == nil {
			t.Errorf("%s", dump(n))
		}
		for i := range maxQueued + 5 {
			s.devices[0].motion(i%2 == 0)
		}
		for _, x := range s.State()["cam0"].Subscriptions {
			if x.Queued != maxQueued || x.Lost == 0 {
				t.Errorf("%+v", x)
			}
		}
		if got := a.pull(first, "PT0S", 100_000); len(got) != maxMessages {
			t.Errorf("%d messages at once", len(got))
		}
		for _, content := range []string{
			"<tev:InitialTerminationTime>PT0S</tev:InitialTerminationTime>", "<tev:InitialTerminationTime>P2D</tev:InitialTerminationTime>",
			"<tev:InitialTerminationTime>soon</tev:InitialTerminationTime>", "<tev:InitialTerminationTime>2001-01-01T00:00:00Z</tev:InitialTerminationTime>",
			`<tev:Filter><wsnt:MessageContent Dialect="x">boolean(//tt:SimpleItem)</wsnt:MessageContent></tev:Filter>`,
			`<tev:Filter><wsnt:TopicExpression>tns1:*</wsnt:TopicExpression></tev:Filter>`,
			`<tev:Filter><wsnt:TopicExpression Dialect="http://x">tns1:Device</wsnt:TopicExpression></tev:Filter>`,
		} {
			n := a.refused("<tev:CreatePullPointSubscription>"+content+"</tev:CreatePullPointSubscription>", 400, "ter:InvalidArgVal")
			if n.child("Detail") == nil {
				t.Errorf("%s", dump(n))
			}
		}
		for _, q := range [][2]string{{"P1D", "1"}, {"PT1S", "0"}, {"PT1S", "x"}, {"", "1"}, {"-PT1S", "1"}} {
			code, _ := a.post(first, "<tev:PullMessages><tev:Timeout>"+q[0]+"</tev:Timeout><tev:MessageLimit>"+q[1]+"</tev:MessageLimit></tev:PullMessages>")
			if code != 400 {
				t.Errorf("%v: %d", q, code)
			}
		}
	})
}

// With reference parameters the header alone tells pull points apart.
func TestReferenceParameters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, _, _ := newAsking(t, Options{ReferenceParameters: true})
		n := a.ask("<tev:CreatePullPointSubscription>" + motionFilter + "</tev:CreatePullPointSubscription>").child("SubscriptionReference")
		if n.text("Address") != "http://10.0.0.7:8080/onvif/event_service" {
			t.Fatalf("%s", dump(n))
		}
		same(t, "without header", a.pull("/onvif/event_service", "PT0S", 9), "400 ter:InvalidArgVal")
		a.header = `<SubscriptionId xmlns="` + axisEvents + `">` + n.text("ReferenceParameters", "SubscriptionId") + "</SubscriptionId>"
		same(t, "with header", a.pull("/onvif/event_service", "PT0S", 9), "tns1:VideoSource/MotionAlarm Initialized false")
	})
}

func TestTopics(t *testing.T) {
	for _, c := range []struct {
		expression, topic string
		want              bool
	}{
		{"tns1:VideoSource/MotionAlarm", topicMotion, true}, {"a:VideoSource/b:MotionAlarm", topicMotion, true},
		{"tns1:VideoSource", topicMotion, false}, {"tns1:VideoSource//.", topicMotion, true}, {"tns1:VideoSource//.", "tns1:VideoSourceX/Y", false},
		{"tns1:RuleEngine//.|tns1:Device//.", topicRelay, true}, {" tns1:RuleEngine//. | tns1:Device/Trigger/Relay ", topicRelay, true},
		{"tns1:RuleEngine/CellMotionDetector/Motion|tns1:Device", topicRelay, false},
	} {
		f, ok := parseTopics(c.expression)
		if !ok || f.takes(c.topic) != c.want {
			t.Errorf("%q takes %q: %v %v", c.expression, c.topic, ok, !c.want)
		}
	}
	for _, bad := range []string{"", "|", "tns1:*", "a//b", "//.", "a b", "a[1]"} {
		if _, ok := parseTopics(bad); ok {
			t.Errorf("%q was taken for a topic", bad)
		}
	}
}

func TestEventPropertiesNameWhatIsTold(t *testing.T) {
	a, s, _ := newAsking(t, Options{})
	set := a.ask("<tev:GetEventProperties/>").child("TopicSet")
	for _, p := range s.devices[0].properties {
		n := set.child(strings.Split(plainTopic(p.Topic), "/")...)
		if topic, _ := n.attr("topic"); topic != "true" || n.child("MessageDescription") == nil {
			t.Errorf("%s is not described", p.Topic)
		}
	}
}

// The control port lets events happen and tells what the device was told to do.
func TestControl(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, _ := newAsking(t, Options{})
		path := a.create(minute)
		a.pull(path, "PT0S", 9)
		h := s.Control(http.NotFoundHandler())
		post := func(body string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/events", strings.NewReader(body)))
			return w.Code
		}
		for body, want := range map[string]int{
			`{"camera":"cam1"}`: 404, `{"what":1}`: 400, `nothing`: 400, `{"operation":"Made"}`: 400,
		} {
			if got := post(body); got != want {
				t.Errorf("%s: %d", body, got)
			}
		}
		post(`{"camera":"cam0","topic":"tns1:RuleEngine/Line/Crossed","source":{"Rule":"r"},"data":{"ObjectId":"7"}}`)
		post(`{"topic":"tns1:X/Y","operation":"Initialized","source":{"a":"<&\""},"data":{"v":"1"}}`)
		post(`{"topic":"tns1:X/Y","operation":"Changed","source":{"a":"<&\""},"data":{"v":"2"}}`)
		same(t, "injected", a.pull(path, "PT0S", 9), "tns1:RuleEngine/Line/Crossed  7", "tns1:X/Y Initialized 1", "tns1:X/Y Changed 2")
		a.post(path, "<tev:SetSynchronizationPoint/>")
		if got := a.pull(path, "PT0S", 9); len(got) != 4 || got[3] != "tns1:X/Y Initialized 2" {
			t.Errorf("%q", got)
		}
		post(`{"topic":"tns1:X/Y","operation":"Deleted","source":{"a":"<&\""}}`)
		same(t, "deleted", a.pull(path, "PT0S", 9), "tns1:X/Y Deleted")
		a.post(path, "<tev:SetSynchronizationPoint/>")
		if got := a.pull(path, "PT0S", 9); len(got) != 3 {
			t.Errorf("%q", got)
		}
		a.ask("<tptz:Stop><tptz:ProfileToken>sub</tptz:ProfileToken></tptz:Stop>")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/ptz", nil))
		var ptz map[string]PTZState
		if err := json.Unmarshal(w.Body.Bytes(), &ptz); err != nil || len(ptz["cam0"].Moves) != 1 || ptz["cam0"].Moves[0].Profile != "sub" {
			t.Errorf("%v: %s", err, w.Body)
		}
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/onvif", nil))
		var state map[string]DeviceState
		if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil || len(state["cam0"].Subscriptions) != 1 {
			t.Errorf("%v: %s", err, w.Body)
		}
	})
}

func TestMotionComesAndGoes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, _ := newAsking(t, Options{Motion: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			s.runMotion(ctx)
			close(done)
		}()
		path := a.create(minute + motionFilter)
		time.Sleep(45 * time.Second)
		same(t, "45 s", a.pull(path, "PT0S", 9), "tns1:VideoSource/MotionAlarm Initialized false", "tns1:VideoSource/MotionAlarm Changed true",
			"tns1:VideoSource/MotionAlarm Changed false", "tns1:VideoSource/MotionAlarm Changed true", "tns1:VideoSource/MotionAlarm Changed false")
		cancel()
		<-done
	})
}
