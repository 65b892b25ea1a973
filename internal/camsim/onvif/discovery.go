package onvif

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Namespaces of WS-Discovery (April 2005) as ONVIF uses it (ONVIF Core section 7).
const (
	nsDiscovery  = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
	nsAddressing = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsNetwork    = "http://www.onvif.org/ver10/network/wsdl"

	everyone = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
	nobody   = nsAddressing + "/role/anonymous"
)

// discoveryGroup is where clients send probes (WS-Discovery section 2.4).
var discoveryGroup = netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 255, 255, 250}), 3702)

// lookAgain is how often the discovery looks for cameras that came back from a reboot.
const lookAgain = time.Second

// Discovery answers probes, multicast and unicast, and says Hello and Bye.
type Discovery struct {
	srv   *Server
	conn  *net.UDPConn
	http  netip.AddrPort // of the devices' addresses
	ifs   []net.Interface
	boots []int
}

// OpenDiscovery opens port 3702 and joins its group on every interface that has an IPv4 address. The devices are told to
// be at the HTTP address, with our own address towards the client if that is unspecified.
func (s *Server) OpenDiscovery(http net.Addr) (*Discovery, error) {
	at, err := netip.ParseAddrPort(http.String())
	if err != nil {
		return nil, fmt.Errorf("open discovery: %w", err)
	}
	reuse := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
		return errors.Join(err, failed)
	}}
	pc, err := reuse.ListenPacket(context.Background(), "udp4", fmt.Sprintf(":%d", discoveryGroup.Port()))
	if err != nil {
		return nil, fmt.Errorf("open discovery: %w", err)
	}
	d := &Discovery{srv: s, conn: pc.(*net.UDPConn), http: at}
	all, err := net.Interfaces()
	if err != nil {
		pc.Close()
		return nil, fmt.Errorf("open discovery: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && interfaceAddress(i).IsValid() && d.option(i, syscall.IP_ADD_MEMBERSHIP) == nil {
			d.ifs = append(d.ifs, i)
		}
	}
	if len(d.ifs) == 0 {
		pc.Close()
		return nil, fmt.Errorf("open discovery: no interface can join %v", discoveryGroup.Addr())
	}
	return d, nil
}

// option joins the group on an interface, or lets what is sent to it leave by the interface.
func (d *Discovery) option(i net.Interface, option int) error {
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		r := &syscall.IPMreqn{Multiaddr: discoveryGroup.Addr().As4(), Ifindex: int32(i.Index)}
		failed = syscall.SetsockoptIPMreqn(int(fd), syscall.IPPROTO_IP, option, r)
	})
	return errors.Join(err, failed)
}

// interfaceAddress returns the first IPv4 address of an interface.
func interfaceAddress(i net.Interface) netip.Addr {
	all, _ := i.Addrs() // an interface without addresses cannot be used
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// Run says Hello, answers until ctx ends, says Bye and closes the port.
func (d *Discovery) Run(ctx context.Context) error {
	defer d.conn.Close()
	stop := context.AfterFunc(ctx, func() { d.conn.SetReadDeadline(time.Now()) })
	defer stop()
	for _, x := range d.srv.devices {
		n, _ := x.camera.Boots()
		d.boots = append(d.boots, n)
		d.announce("Hello", x)
	}
	buf := make([]byte, 1<<16)
	for ctx.Err() == nil {
		d.conn.SetReadDeadline(time.Now().Add(lookAgain))
		if ctx.Err() != nil { // the deadline above may have replaced the one of the end
			break
		}
		n, from, err := d.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			d.greetAgain()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read discovery: %w", err)
		case err == nil:
			for _, m := range d.srv.discover(buf[:n], d.httpFor(from)) {
				d.conn.WriteToUDPAddrPort(m, from) // a datagram may be lost anyway
			}
		}
	}
	for _, x := range d.srv.devices {
		d.announce("Bye", x)
	}
	return nil
}

// greetAgain says Hello for cameras that are back from a reboot.
func (d *Discovery) greetAgain() {
	for i, x := range d.srv.devices {
		if n, up := x.camera.Boots(); up && n != d.boots[i] {
			d.boots[i] = n
			d.announce("Hello", x)
		}
	}
}

// announce sends Hello or Bye on all interfaces. What cannot be sent is lost, as on a net without clients.
func (d *Discovery) announce(what string, x *device) {
	for _, i := range d.ifs {
		if d.option(i, syscall.IP_MULTICAST_IF) != nil {
			continue
		}
		var w writer
		w.within("d:"+what, func() { writeTarget(&w, x, d.address(interfaceAddress(i)), what == "Hello") })
		d.conn.WriteToUDPAddrPort(discoveryMessage(what, everyone, "", w.b.String()), discoveryGroup)
	}
}

// httpFor returns the HTTP address as a client reaches it.
func (d *Discovery) httpFor(client netip.AddrPort) string {
	if !d.http.Addr().IsUnspecified() {
		return d.http.String()
	}
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(client)) // sends nothing
	if err != nil {
		return d.http.String()
	}
	defer c.Close()
	return d.address(c.LocalAddr().(*net.UDPAddr).AddrPort().Addr())
}

func (d *Discovery) address(own netip.Addr) string {
	if !d.http.Addr().IsUnspecified() {
		own = d.http.Addr()
	}
	return netip.AddrPortFrom(own.Unmap(), d.http.Port()).String()
}

// discover returns the answers to a datagram: one for each device that is meant. What is no probe is not answered.
func (s *Server) discover(datagram []byte, http string) [][]byte {
	r, err := ParseRequest(datagram)
	if err != nil || r.Operation.Name.Space != nsDiscovery {
		return nil
	}
	var id string
	if n := r.header("MessageID"); n != nil {
		id = n.Text
	}
	var all [][]byte
	for _, d := range s.devices {
		if _, up := d.camera.Boots(); !up {
			continue
		}
		var w writer
		switch op := r.Operation; {
		case op.Name.Local == "Probe" && probed(op, d):
			w.within("d:ProbeMatches", func() { w.within("d:ProbeMatch", func() { writeTarget(&w, d, http, true) }) })
			all = append(all, discoveryMessage("ProbeMatches", nobody, id, w.b.String()))
		case op.Name.Local == "Resolve" && op.text("EndpointReference", "Address") == d.endpoint():
			w.within("d:ResolveMatches", func() { w.within("d:ResolveMatch", func() { writeTarget(&w, d, http, true) }) })
			all = append(all, discoveryMessage("ResolveMatches", nobody, id, w.b.String()))
		}
	}
	return all
}

// probed reports whether a device has all types and scopes of a probe (WS-Discovery section 5.1). Types are compared
// without their prefixes, scopes as strings or, by default, as prefixes that end where a segment does.
func probed(probe *Node, d *device) bool {
	for t := range strings.FieldsSeq(probe.text("Types")) {
		if _, local, ok := strings.Cut(t, ":"); ok {
			t = local
		}
		if t != "NetworkVideoTransmitter" && t != "Device" {
			return false
		}
	}
	scopes := probe.child("Scopes")
	rule, _ := scopes.attr("MatchBy")
	for want := range strings.FieldsSeq(probe.text("Scopes")) {
		found := false
		for _, have := range d.scopes() {
			rest, begins := strings.CutPrefix(have, strings.TrimSuffix(want, "/"))
			found = found || have == want || begins && (rest == "" || rest[0] == '/') && !strings.HasSuffix(rule, "strcmp0")
		}
		if !found {
			return false
		}
	}
	return true
}

// writeTarget writes what all messages say of a device; a Bye says its endpoint alone.
func writeTarget(w *writer, d *device, http string, all bool) {
	w.within("w:EndpointReference", func() { w.text("w:Address", d.endpoint()) })
	if !all {
		return
	}
	w.text("d:Types", "dn:NetworkVideoTransmitter tds:Device")
	w.text("d:Scopes", strings.Join(d.scopes(), " "))
	w.text("d:XAddrs", "http://"+http+d.home())
	w.text("d:MetadataVersion", 1)
}

// home is the path of the device service.
func (d *device) home() string {
	if d.index == 0 {
		return "/onvif/device_service"
	}
	return "/" + d.camera.Name() + "/onvif/device_service"
}

// discoveryMessage returns a whole datagram.
func discoveryMessage(action, to, relatesTo, body string) []byte {
	var w writer
	w.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	w.within("s:Envelope", func() {
		w.within("s:Header", func() {
			w.text("w:MessageID", "urn:uuid:"+randomUUID())
			if relatesTo != "" {
				w.text("w:RelatesTo", relatesTo)
			}
			w.text("w:To", to)
			w.text("w:Action", nsDiscovery+"/"+action)
		})
		w.within("s:Body", func() { w.b.WriteString(body) })
	}, "xmlns:s", nsSOAP, "xmlns:w", nsAddressing, "xmlns:d", nsDiscovery, "xmlns:dn", nsNetwork, "xmlns:tds", nsDevice)
	return []byte(w.b.String())
}

func randomUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
