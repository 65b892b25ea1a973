// Package dial makes outgoing connections, to cameras and whatever else a person may name by an address, without being
// led to places where nobody wants it: the machine's own services, the network's helpers, the cloud's credentials.
//
// The rules (see Rule) are applied to the address that the kernel is about to connect to, after name resolution and for
// each address that a name has, so a name that changes its address between a check and its use gains nothing. Private
// networks are where cameras live; they are not refused.
//
// A Dialer is read only while in use; its methods may be called concurrently.
package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// defaultTimeout bounds a dial, name resolution included.
const defaultTimeout = 10 * time.Second

// Dialer dials by the rules. Its zero value refuses loopback and knows of no listeners.
type Dialer struct {
	// Timeout bounds one dial; 0: 10 s, negative: only the context does.
	Timeout time.Duration
	// Loopback allows 127.0.0.0/8 and ::1: for cameras of which a person confirmed that they are on this machine, and for
	// the demo.
	Loopback bool
	// Own returns the addresses on which this server listens; they are refused even with Loopback. An unspecified address
	// (a listener on all interfaces) means every address of the machine. Nil: none.
	Own func() []netip.AddrPort
	// Resolver looks names up; nil: net.DefaultResolver.
	Resolver *net.Resolver
}

// Confirmed returns a copy of the Dialer that allows loopback.
func (d Dialer) Confirmed() *Dialer {
	d.Loopback = true
	return &d
}

// Dial is DialContext for those who have no context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to an address as net.Dialer does. If all addresses of a name are refused, or the last error was
// that, the error wraps an *Error.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	nd := net.Dialer{Timeout: max(timeout, 0), Resolver: d.Resolver, ControlContext: d.control}
	return nd.DialContext(ctx, network, address)
}

// control stands between name resolution and connect(2): the address here is the one that is used.
func (d *Dialer) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6", "udp4", "udp6":
	default:
		return &Error{Rule: Network, Address: address}
	}
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Error{Rule: Network, Address: address}
	}
	return d.Check(addr)
}

// Check applies the rules to one address; the error is an *Error. It is for addresses that are told by others and used
// without a Dialer; names must go through DialContext.
func (d *Dialer) Check(addr netip.AddrPort) error {
	if rule := broken(addr.Addr(), d.Loopback); rule != "" {
		return &Error{Rule: rule, Address: addr.String()}
	}
	if d.Own == nil {
		return nil
	}
	ip := addr.Addr().Unmap().WithZone("")
	for _, own := range d.Own() {
		if own.Port() != addr.Port() {
			continue
		}
		if at := own.Addr().Unmap().WithZone(""); at == ip || at.IsUnspecified() && onThisMachine(ip) {
			return &Error{Rule: Own, Address: addr.String()}
		}
	}
	return nil
}

func onThisMachine(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // rather a camera too few
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap().WithZone("") == ip {
			return true
		}
	}
	return false
}

// Cause is the kind of a failed connection. The texts are those of the list of reasons by which gaps are recorded, except
// Denied and Canceled, which are not failures of the other side.
type Cause string

// The causes.
const (
	DNS      Cause = "dns"            // the name has no address
	Refused  Cause = "refused"        // the address answers, the port does not take connections
	Offline  Cause = "camera-offline" // no answer from the address at all
	Timeout  Cause = "timeout"        // it stopped answering after it had been connected
	Closed   Cause = "camera-closed"  // it ended the connection
	Denied   Cause = "denied"         // a rule of this package
	Canceled Cause = "canceled"       // the caller gave up
	Other    Cause = ""
)

// CauseOf classifies the error of a dial, or of reads and writes on the connection.
func CauseOf(err error) Cause {
	var denied *Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
		return Other
	case errors.As(err, &denied):
		return Denied
	case errors.As(err, &dns):
		if errors.Is(err, context.Canceled) {
			return Canceled
		}
		return DNS
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case anyOf(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EADDRNOTAVAIL):
		return Offline
	}
	dialing := errors.As(err, &op) && op.Op == "dial"
	switch {
	case dialing && anyOf(err, syscall.ECONNRESET, syscall.ECONNABORTED):
		return Refused
	case dialing && isTimeout(err):
		return Offline
	case isTimeout(err):
		return Timeout
	case anyOf(err, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE):
		return Closed
	}
	return Other
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func anyOf(err error, numbers ...syscall.Errno) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}
