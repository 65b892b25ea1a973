package rtsp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"nightjar/internal/sys/dial"
)

// ParseTransport reads what a person chose: auto (also ""), tcp or udp.
func ParseTransport(text string) (Transport, error) {
	switch text {
	case "", "auto":
		return Auto, nil
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	}
	return Auto, fmt.Errorf("transport %q: choose auto, tcp or udp", text)
}

// Dialer returns the dial function for a stream's URL, by the rules of package dial. A URL that names a loopback address
// outright is taken for a person's word that the camera is on this machine; a name that resolves to one is not.
func Dialer(streamURL string) func(ctx context.Context, network, address string) (net.Conn, error) {
	var d dial.Dialer
	if u, err := url.Parse(streamURL); err == nil {
		ip, err := netip.ParseAddr(u.Hostname())
		d.Loopback = u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	}
	return d.DialContext
}
