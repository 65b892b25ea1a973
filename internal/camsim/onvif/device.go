package onvif

import (
	"crypto/sha1"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// device is the ONVIF side of one camera.
type device struct {
	srv    *Server
	index  int
	camera Camera

	mu            sync.Mutex // guards what follows
	boots         int        // of the camera, when subscriptions were last looked at
	subscriptions map[string]*subscription
	lastID        int
	properties    []Event // the present state of each property, for synchronisation
	ptz           ptzUnit
	imaging       imagingSettings
	relay         bool
}

func newDevice(s *Server, i int, c Camera) *device {
	d := &device{srv: s, index: i, camera: c, subscriptions: map[string]*subscription{}, ptz: newPTZ(), imaging: defaultImaging}
	d.boots, _ = c.Boots()
	now := c.Now().Add(s.o.ClockOffset)
	d.properties = []Event{
		motionAlarm(false, now),
		cellMotion(false, now),
		relayEvent(false, now),
	}
	return d
}

// now is the device's clock.
func (d *device) now() time.Time { return d.camera.Now().Add(d.srv.o.ClockOffset) }

// up reports whether the camera is on the net, and forgets what a reboot made it forget.
func (d *device) up() bool {
	n, up := d.camera.Boots()
	d.mu.Lock()
	defer d.mu.Unlock()
	if n != d.boots {
		d.boots = n
		for _, x := range d.subscriptions {
			d.drop(x)
		}
	}
	return up
}

// endpoint is the device's address of WS-Discovery: a UUID made from its name (RFC 9562 section 5.5).
func (d *device) endpoint() string {
	u := sha1.Sum([]byte("nightjar camsim " + d.camera.Name()))
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// scopes describe the device (ONVIF Core section 7.3.2.2).
func (d *device) scopes() []string {
	return []string{
		"onvif://www.onvif.org/type/Network_Video_Transmitter", "onvif://www.onvif.org/type/video_encoder", "onvif://www.onvif.org/type/ptz",
		"onvif://www.onvif.org/Profile/Streaming", "onvif://www.onvif.org/Profile/T",
		"onvif://www.onvif.org/hardware/camsim", "onvif://www.onvif.org/name/" + d.camera.Name(), "onvif://www.onvif.org/location/nowhere",
	}
}

func init() {
	serves(nsDevice, map[string]func(c *call) error{
		"+GetSystemDateAndTime":   getSystemDateAndTime,
		"+GetCapabilities":        getCapabilities,
		"+GetServices":            getServices,
		"+GetServiceCapabilities": getDeviceCapabilities,
		"+GetHostname":            getHostname,
		"+GetWsdlUrl":             func(c *call) error { c.w.text("tds:WsdlUrl", "http://www.onvif.org/"); return nil },
		"GetDeviceInformation":    getDeviceInformation,
		"GetScopes":               getScopes,
		"GetNetworkInterfaces":    getNetworkInterfaces,
		"SystemReboot":            func(c *call) error { c.w.text("tds:Message", "Rebooting"); return nil }, // done behind the answer
		"GetRelayOutputs":         getRelayOutputs,
		"SetRelayOutputState":     setRelayOutputState,
		"GetEndpointReference":    func(c *call) error { c.w.text("tds:GUID", c.d.endpoint()); return nil },
	})
}

func getSystemDateAndTime(c *call) error {
	now := c.d.now().UTC()
	w := &c.w
	moment := func(name string) {
		w.within(name, func() {
			w.within("tt:Time", func() {
				w.text("tt:Hour", now.Hour())
				w.text("tt:Minute", now.Minute())
				w.text("tt:Second", now.Second())
			})
			w.within("tt:Date", func() {
				w.text("tt:Year", now.Year())
				w.text("tt:Month", int(now.Month()))
				w.text("tt:Day", now.Day())
			})
		})
	}
	w.within("tds:SystemDateAndTime", func() {
		w.text("tt:DateTimeType", "NTP")
		w.text("tt:DaylightSavings", false)
		w.within("tt:TimeZone", func() { w.text("tt:TZ", "UTC0") })
		moment("tt:UTCDateTime")
		moment("tt:LocalDateTime")
	})
	return nil
}

func getDeviceInformation(c *call) error {
	c.w.text("tds:Manufacturer", "Nightjar")
	c.w.text("tds:Model", "camsim")
	c.w.text("tds:FirmwareVersion", "1.0")
	c.w.text("tds:SerialNumber", "SIM-"+c.d.camera.Name())
	c.w.text("tds:HardwareId", "simulated")
	return nil
}

func getHostname(c *call) error {
	c.w.within("tds:HostnameInformation", func() {
		c.w.text("tt:FromDHCP", false)
		c.w.text("tt:Name", c.d.camera.Name())
	})
	return nil
}

func getScopes(c *call) error {
	for _, s := range c.d.scopes() {
		c.w.within("tds:Scopes", func() {
			c.w.text("tt:ScopeDef", "Fixed")
			c.w.text("tt:ScopeItem", s)
		})
	}
	return nil
}

func getNetworkInterfaces(c *call) error {
	w := &c.w
	w.within("tds:NetworkInterfaces", func() {
		w.text("tt:Enabled", true)
		w.within("tt:Info", func() {
			w.text("tt:Name", "eth0")
			w.text("tt:HwAddress", fmt.Sprintf("02:00:00:00:%02x:%02x", c.d.index>>8&0xff, c.d.index&0xff))
			w.text("tt:MTU", 1500)
		})
		ip := net.ParseIP(c.host)
		if ip == nil || ip.To4() == nil { // the client used a name or IPv6: nothing to tell
			return
		}
		w.within("tt:IPv4", func() {
			w.text("tt:Enabled", true)
			w.within("tt:Config", func() {
				w.within("tt:Manual", func() {
					w.text("tt:Address", ip.String())
					w.text("tt:PrefixLength", 24)
				})
				w.text("tt:DHCP", false)
			})
		})
	}, "token", "eth0")
	return nil
}

// service is one of the services of a device, for GetServices and GetCapabilities.
type service struct {
	space, path  string
	major, minor int
	capabilities func(w *writer) // writes the Capabilities element of GetServiceCapabilities
}

var services []service

func init() {
	services = []service{
		{nsDevice, "device_service", 22, 12, writeDeviceCapabilities},
		{nsMedia, "media_service", 22, 12, writeMediaCapabilities},
		{nsMedia2, "media2_service", 22, 12, writeMedia2Capabilities},
		{nsEvents, "event_service", 22, 12, writeEventCapabilities},
		{nsPTZ, "ptz_service", 22, 12, writePTZCapabilities},
		{nsImaging, "imaging_service", 22, 12, writeImagingCapabilities},
	}
}

func getServices(c *call) error {
	w := &c.w
	for _, s := range services {
		w.within("tds:Service", func() {
			w.text("tds:Namespace", s.space)
			w.text("tds:XAddr", c.base+"/"+s.path)
			if strings.TrimSpace(c.op.text("IncludeCapability")) == "true" {
				w.within("tds:Capabilities", func() { s.capabilities(w) })
			}
			w.within("tds:Version", func() {
				w.text("tt:Major", s.major)
				w.text("tt:Minor", s.minor)
			})
		})
	}
	return nil
}

func getDeviceCapabilities(c *call) error {
	writeDeviceCapabilities(&c.w)
	return nil
}

func writeDeviceCapabilities(w *writer) {
	w.within("tds:Capabilities", func() {
		w.empty("tds:Network", "IPFilter", "false", "ZeroConfiguration", "false", "IPVersion6", "false", "DynDNS", "false", "NTP", "0")
		w.empty("tds:Security", "TLS1.2", "false", "UsernameToken", "true", "HttpDigest", "true", "DefaultAccessPolicy", "true")
		w.empty("tds:System", "DiscoveryResolve", "true", "DiscoveryBye", "true", "RemoteDiscovery", "false", "SystemBackup", "false",
			"SystemLogging", "false", "FirmwareUpgrade", "false")
	})
}

// categories are those of GetCapabilities with their elements, in the order of the schema.
var categories = []struct {
	name  string
	write func(c *call)
}{
	{"Device", func(c *call) {
		c.w.text("tt:XAddr", c.base+"/device_service")
		c.w.within("tt:System", func() {
			for _, x := range []struct {
				name  string
				value bool
			}{{"DiscoveryResolve", true}, {"DiscoveryBye", true}, {"RemoteDiscovery", false}, {"SystemBackup", false}, {"SystemLogging", false}, {"FirmwareUpgrade", false}} {
				c.w.text("tt:"+x.name, x.value)
			}
			c.w.within("tt:SupportedVersions", func() { c.w.text("tt:Major", 22); c.w.text("tt:Minor", 12) })
		})
		c.w.within("tt:IO", func() { c.w.text("tt:InputConnectors", 0); c.w.text("tt:RelayOutputs", 1) })
	}},
	{"Events", func(c *call) {
		c.w.text("tt:XAddr", c.base+"/event_service")
		c.w.text("tt:WSSubscriptionPolicySupport", false)
		c.w.text("tt:WSPullPointSupport", true)
		c.w.text("tt:WSPausableSubscriptionManagerInterfaceSupport", false)
	}},
	{"Imaging", func(c *call) { c.w.text("tt:XAddr", c.base+"/imaging_service") }},
	{"Media", func(c *call) {
		c.w.text("tt:XAddr", c.base+"/media_service")
		c.w.within("tt:StreamingCapabilities", func() {
			c.w.text("tt:RTPMulticast", false)
			c.w.text("tt:RTP_TCP", true)
			c.w.text("tt:RTP_RTSP_TCP", true)
		})
	}},
	{"PTZ", func(c *call) { c.w.text("tt:XAddr", c.base+"/ptz_service") }},
}

func getCapabilities(c *call) error {
	asked := map[string]bool{}
	for _, n := range c.op.Children {
		if n.Name.Local == "Category" {
			asked[n.Text] = true
		}
	}
	all, known := len(asked) == 0 || asked["All"], len(asked) == 0 || asked["All"]
	for _, x := range categories {
		known = known || asked[x.name]
	}
	if !known {
		f := unsupported("no such category")
		f.subcodes = append(f.subcodes, "ter:NoSuchService")
		return f
	}
	c.w.within("tds:Capabilities", func() {
		for _, x := range categories {
			if all || asked[x.name] {
				c.w.within("tt:"+x.name, func() { x.write(c) })
			}
		}
	})
	return nil
}

// relayToken is that of the only relay.
const relayToken = "relay0"

func getRelayOutputs(c *call) error {
	c.w.within("tds:RelayOutputs", func() {
		c.w.within("tt:Properties", func() {
			c.w.text("tt:Mode", "Bistable")
			c.w.text("tt:DelayTime", "PT0S")
			c.w.text("tt:IdleState", "open")
		})
	}, "token", relayToken)
	return nil
}

func setRelayOutputState(c *call) error {
	if t := c.op.text("RelayOutputToken"); t != relayToken {
		return sender(fmt.Sprintf("there is no relay output %q", t), "ter:InvalidArgVal", "ter:RelayToken")
	}
	state := c.op.text("LogicalState")
	if state != "active" && state != "inactive" {
		return invalid("LogicalState is %q, not active or inactive", state)
	}
	now := c.d.now()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if on := state == "active"; on != c.d.relay {
		c.d.relay = on
		c.d.emit(relayEvent(on, now))
	}
	return nil
}
