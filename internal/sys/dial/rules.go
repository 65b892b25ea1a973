package dial

import (
	"fmt"
	"net/netip"
)

// Rule names why an address is refused.
type Rule string

// The rules.
const (
	Unspecified Rule = "unspecified"  // 0.0.0.0/8, ::
	LinkLocal   Rule = "link-local"   // 169.254.0.0/16, fe80::/10 (RFC 3927, RFC 4291 section 2.5.6)
	Multicast   Rule = "multicast"    // 224.0.0.0/4, ff00::/8
	Broadcast   Rule = "broadcast"    // 255.255.255.255
	Metadata    Rule = "metadata"     // where cloud machines find their credentials
	Loopback    Rule = "loopback"     // 127.0.0.0/8, ::1, unless the Dialer allows it
	Own         Rule = "own-listener" // a listener of this server, whatever the Dialer allows
	Network     Rule = "network"      // a network that is not TCP or UDP
)

// Error is the refusal of an address.
type Error struct {
	Rule    Rule
	Address string // what was about to be connected to, after name resolution
}

func (e *Error) Error() string {
	return fmt.Sprintf("address %s is refused by the rule %q", e.Address, string(e.Rule))
}

var (
	metadata = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // EC2, GCE, Azure and most others
		netip.MustParseAddr("fd00:ec2::254"),   // EC2 over IPv6
		netip.MustParseAddr("fd20:ce::254"),    // GCE over IPv6
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	}
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")

	// IPv6 forms that carry an IPv4 address, which a gateway on the way would take out again.
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 section 2.1
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056 section 2
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1
)

// broken returns the rule that an address breaks, or "".
func broken(addr netip.Addr, loopback bool) Rule {
	addr = addr.Unmap().WithZone("")
	for _, m := range metadata {
		if addr == m {
			return Metadata
		}
	}
	switch {
	case addr.IsUnspecified(), thisNetwork.Contains(addr):
		return Unspecified
	case addr.IsLoopback():
		if loopback {
			return ""
		}
		return Loopback
	case addr.IsLinkLocalUnicast():
		return LinkLocal
	case addr.IsMulticast():
		return Multicast
	case addr == broadcast:
		return Broadcast
	case addr.Is4():
		return ""
	}
	if inner, ok := embedded(addr); ok {
		return broken(inner, loopback)
	}
	return ""
}

// embedded returns the IPv4 address inside an IPv6 address.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatible.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
