package camsim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// transport is one choice of a Transport header (RFC 2326 section 12.39).
type transport struct {
	tcp       bool
	multicast bool
	secure    bool     // SAVP: refused
	channels  [2]byte  // interleaved
	chosen    bool     // the client named the channels
	ports     [2]int   // client_port
	rest      []string // parameters without meaning to us
}

// parseTransports reads all choices of a Transport header, in the client's order of preference. Unknown profiles are
// kept as choices that nobody accepts.
func parseTransports(value string) ([]transport, error) {
	var all []transport
	for _, choice := range strings.Split(value, ",") {
		t, err := parseTransport(strings.TrimSpace(choice))
		if err != nil {
			return nil, fmt.Errorf("transport %q: %w", choice, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func parseTransport(choice string) (transport, error) {
	var t transport
	parts := strings.Split(choice, ";")
	switch strings.ToUpper(parts[0]) {
	case "RTP/AVP", "RTP/AVP/UDP":
	case "RTP/AVP/TCP":
		t.tcp = true
	default:
		t.secure = true
	}
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(name) {
		case "multicast":
			t.multicast = true
		case "interleaved":
			lo, hi, err := parsePair(value, 255)
			if err != nil {
				return t, err
			}
			t.channels, t.chosen = [2]byte{byte(lo), byte(hi)}, true
		case "client_port":
			lo, hi, err := parsePair(value, 65535)
			if err != nil {
				return t, err
			}
			t.ports = [2]int{lo, hi}
		default:
			t.rest = append(t.rest, p)
		}
	}
	return t, nil
}

// parsePair reads "4-5", or "4" for the pair 4, 5.
func parsePair(s string, limit int) (lo, hi int, err error) {
	a, b, two := strings.Cut(s, "-")
	if lo, err = strconv.Atoi(a); err != nil {
		return 0, 0, fmt.Errorf("pair %q is not numbers", s)
	}
	hi = lo + 1
	if two {
		if hi, err = strconv.Atoi(b); err != nil {
			return 0, 0, fmt.Errorf("pair %q is not numbers", s)
		}
	}
	if lo < 0 || hi < 0 || lo > limit || hi > limit {
		return 0, 0, fmt.Errorf("pair %q is outside 0-%d", s, limit)
	}
	return lo, hi, nil
}

// udpPair is a server's even RTP port with the odd RTCP port above it (RFC 3550 section 11), and where the client's are.
type udpPair struct {
	rtp, rtcp           *net.UDPConn
	clientRTP, clientTC netip.AddrPort
}

func (u *udpPair) close() {
	u.rtp.Close()
	u.rtcp.Close()
}

func (u *udpPair) ports() (int, int) {
	p := u.rtp.LocalAddr().(*net.UDPAddr).Port
	return p, p + 1
}

// openPair binds a free pair of ports on the local address and points it at the client's ports.
func openPair(local, remote net.Addr, ports [2]int) (*udpPair, error) {
	l, ok1 := local.(*net.TCPAddr)
	r, ok2 := remote.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return nil, errors.New("UDP needs an RTSP connection over TCP/IP")
	}
	ip, ok := netip.AddrFromSlice(r.IP)
	if !ok {
		return nil, fmt.Errorf("client address %v is not an IP address", remote)
	}
	if r.Zone != "" {
		ip = ip.WithZone(r.Zone)
	} else {
		ip = ip.Unmap()
	}
	var last error
	for range 64 {
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: l.IP, Zone: l.Zone})
		if err != nil {
			return nil, fmt.Errorf("bind RTP port: %w", err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		if port%2 != 0 {
			a.Close()
			continue
		}
		b, err := net.ListenUDP("udp", &net.UDPAddr{IP: l.IP, Zone: l.Zone, Port: port + 1})
		if err != nil {
			a.Close()
			last = err
			continue
		}
		return &udpPair{
			rtp: a, rtcp: b,
			clientRTP: netip.AddrPortFrom(ip, uint16(ports[0])),
			clientTC:  netip.AddrPortFrom(ip, uint16(ports[1])),
		}, nil
	}
	return nil, fmt.Errorf("no free pair of UDP ports in 64 tries: %w", last)
}
