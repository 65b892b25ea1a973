package onvif

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Bounds of subscriptions.
const (
	maxSubscriptions = 20
	maxKeep          = 24 * time.Hour
	defaultKeep      = time.Minute
	maxPull          = 10 * time.Minute
	maxMessages      = 100
	axisEvents       = "http://www.axis.com/2009/event"
)

func init() {
	pull := map[string]func(c *call) error{
		"+GetServiceCapabilities":     func(c *call) error { writeEventCapabilities(&c.w); return nil },
		"GetEventProperties":          getEventProperties,
		"CreatePullPointSubscription": createPullPoint,
		"PullMessages":                pullMessages,
		"SetSynchronizationPoint":     setSynchronizationPoint,
	}
	serves(nsEvents, pull)
	serves(nsNotify, map[string]func(c *call) error{"Renew": renew, "Unsubscribe": unsubscribe})
}

func writeEventCapabilities(w *writer) {
	w.empty("tev:Capabilities", "WSSubscriptionPolicySupport", "false", "WSPullPointSupport", "true",
		"WSPausableSubscriptionManagerInterfaceSupport", "false", "MaxNotificationProducers", "0", "MaxPullPoints", strconv.Itoa(maxSubscriptions),
		"PersistentNotificationStorage", "false")
}

// getEventProperties describes the topics that are told without being injected (ONVIF Core section 9.8).
func getEventProperties(c *call) error {
	w := &c.w
	w.text("tev:TopicNamespaceLocation", "http://www.onvif.org/onvif/ver10/topics/topicns.xml")
	w.text("wsnt:FixedTopicSet", false)
	described := func(source, sourceType, data, dataType string) {
		w.within("tt:MessageDescription", func() {
			w.within("tt:Source", func() { w.empty("tt:SimpleItemDescription", "Name", source, "Type", sourceType) })
			w.within("tt:Data", func() { w.empty("tt:SimpleItemDescription", "Name", data, "Type", dataType) })
		}, "IsProperty", "true")
	}
	w.within("wstop:TopicSet", func() {
		w.within("tns1:VideoSource", func() {
			w.within("MotionAlarm", func() { described("Source", "tt:ReferenceToken", "State", "xsd:boolean") }, "wstop:topic", "true")
		})
		w.within("tns1:RuleEngine", func() {
			w.within("CellMotionDetector", func() {
				w.within("Motion", func() { described("Rule", "xsd:string", "IsMotion", "xsd:boolean") }, "wstop:topic", "true")
			})
		})
		w.within("tns1:Device", func() {
			w.within("Trigger", func() {
				w.within("Relay", func() { described("RelayToken", "tt:ReferenceToken", "LogicalState", "tt:RelayLogicalState") }, "wstop:topic", "true")
			})
		})
	}, "xmlns:xsd", "http://www.w3.org/2001/XMLSchema")
	w.text("wsnt:TopicExpressionDialect", dialectConcreteSet)
	w.text("wsnt:TopicExpressionDialect", dialectConcrete)
	w.text("tev:MessageContentFilterDialect", "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter")
	w.text("tev:MessageContentSchemaLocation", "http://www.onvif.org/onvif/ver10/schema/onvif.xsd")
	return nil
}

// filterOf reads the Filter of a subscription. Message content filters are not understood.
func filterOf(n *Node) (topicFilter, error) {
	var all topicFilter
	if n == nil {
		return all, nil
	}
	for _, c := range n.Children {
		f, ok := parseTopics(c.Text)
		if dialect, given := c.attr("Dialect"); given && dialect != dialectConcrete && dialect != dialectConcreteSet {
			ok = false
		}
		if c.Name.Local != "TopicExpression" || !ok {
			return all, notification("wsnt:InvalidFilterFault", "this filter is not understood: "+c.Name.Local+" "+c.Text)
		}
		all.alternatives = append(all.alternatives, f.alternatives...)
	}
	return all, nil
}

// notification is a fault of WS-BaseNotification, told as detail.
func notification(name, reason string) *fault {
	f := sender(reason, "ter:InvalidArgVal")
	f.detail = func(w *writer) { w.within(name, func() {}) }
	return f
}

// keepOf reads how long a subscription is to live.
func keepOf(c *call, text, faultName string) (time.Duration, error) {
	now := c.d.now()
	ends, err := parseTermination(text, now)
	if err != nil {
		return 0, notification(faultName, err.Error())
	}
	keep := ends.Sub(now)
	if keep <= 0 || keep > maxKeep {
		return 0, notification(faultName, "a subscription lasts up to "+formatDuration(maxKeep)+" and not "+text)
	}
	return keep, nil
}

func createPullPoint(c *call) error {
	f, err := filterOf(c.op.child("Filter"))
	if err != nil {
		return err
	}
	keep := defaultKeep
	text := c.op.text("InitialTerminationTime")
	if text != "" {
		if keep, err = keepOf(c, text, "wsnt:UnacceptableInitialTerminationTimeFault"); err != nil {
			return err
		}
	}
	now := c.d.now()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if len(c.d.subscriptions) >= maxSubscriptions {
		return notification("wsnt:SubscribeCreationFailedFault", "there are "+strconv.Itoa(maxSubscriptions)+" subscriptions already")
	}
	x := c.d.subscribe(f, keep)
	if text == "" {
		x.keep = keep // such a one lives as long as it is pulled from (ONVIF Core section 9.2.1)
	}
	c.w.within("tev:SubscriptionReference", func() {
		if c.d.srv.o.ReferenceParameters {
			c.w.text("a:Address", c.base+"/event_service")
			c.w.within("a:ReferenceParameters", func() { c.w.text("dom0:SubscriptionId", x.id, "xmlns:dom0", axisEvents) })
			return
		}
		c.w.text("a:Address", c.base+"/subscription/"+x.id)
	})
	c.w.text("wsnt:CurrentTime", now)
	c.w.text("wsnt:TerminationTime", now.Add(keep))
	return nil
}

// subscription returns the one that the request is about. Called under d.mu.
func (c *call) subscription() (*subscription, error) {
	id, ok := strings.CutPrefix(c.rest, "subscription/")
	if n := c.req.header("SubscriptionId"); !ok && n != nil {
		id, ok = n.Text, true
	}
	if x := c.d.subscriptions[id]; ok && x != nil {
		return x, nil
	}
	f := sender("there is no such subscription, or it has ended", "ter:InvalidArgVal")
	f.detail = func(w *writer) {
		w.within("rw:ResourceUnknownFault", func() {}, "xmlns:rw", "http://docs.oasis-open.org/wsrf/rw-2")
	}
	return nil, f
}

// pullMessages waits for events (ONVIF Core section 9.2.2): it answers as soon as there is one, at most MessageLimit of
// them, or when Timeout is over.
func pullMessages(c *call) error {
	timeout, err := parseDuration(c.op.text("Timeout"))
	if err != nil {
		return invalid("Timeout: %v", err)
	}
	limit, err := strconv.Atoi(c.op.text("MessageLimit"))
	if err != nil || limit < 1 {
		return invalid("MessageLimit is %q", c.op.text("MessageLimit"))
	}
	if timeout < 0 || timeout > maxPull {
		f := invalid("Timeout: at most %s", formatDuration(maxPull))
		f.detail = func(w *writer) {
			w.within("tev:PullMessagesFaultResponse", func() {
				w.text("tev:MaxTimeout", formatDuration(maxPull))
				w.text("tev:MaxMessageLimit", maxMessages)
			})
		}
		return f
	}
	all, ends, err := c.await(timeout, min(limit, maxMessages))
	if err != nil {
		return err
	}
	c.w.text("tev:CurrentTime", c.d.now())
	c.w.text("tev:TerminationTime", c.d.now().Add(time.Until(ends)))
	for i := range all {
		all[i].write(&c.w)
	}
	return nil
}

// await takes up to limit events out of the subscription, waiting for the first.
func (c *call) await(timeout time.Duration, limit int) ([]Event, time.Time, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for over := false; ; {
		c.d.mu.Lock()
		x, err := c.subscription()
		if err != nil {
			c.d.mu.Unlock()
			return nil, time.Time{}, err
		}
		if len(x.queue) > 0 || over {
			n := min(limit, len(x.queue))
			all := append([]Event(nil), x.queue[:n]...)
			x.queue = x.queue[n:]
			x.pulled += n
			if x.keep > 0 {
				c.d.renew(x, x.keep)
			}
			ends := x.ends
			c.d.mu.Unlock()
			return all, ends, nil
		}
		changed := x.changed
		c.d.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-c.gone:
			return nil, time.Time{}, context.Canceled
		}
	}
}

func renew(c *call) error {
	text := c.op.text("TerminationTime")
	if text == "" {
		text = formatDuration(defaultKeep)
	}
	keep, err := keepOf(c, text, "wsnt:UnacceptableTerminationTimeFault")
	if err != nil {
		return err
	}
	now := c.d.now()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	x, err := c.subscription()
	if err != nil {
		return err
	}
	c.d.renew(x, keep)
	c.w.text("wsnt:TerminationTime", now.Add(keep))
	c.w.text("wsnt:CurrentTime", now)
	return nil
}

func unsubscribe(c *call) error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	x, err := c.subscription()
	if err == nil {
		c.d.drop(x)
	}
	return err
}

func setSynchronizationPoint(c *call) error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	x, err := c.subscription()
	if err == nil {
		c.d.synchronise(x)
	}
	return err
}
