package camsim

import (
	"fmt"
	"net"
	"strings"
)

// setup answers SETUP (RFC 2326 section 10.4): one track of a stream gets a transport.
func (x *exchange) setup() {
	st := x.stream
	st.mu.Lock()
	if err := st.open(); err != nil {
		st.mu.Unlock()
		x.fail(500)
		return
	}
	index := st.trackIndex(x)
	limit, setups, refused := st.faults.sessionLimit, st.setups, st.faults.noTransport
	st.mu.Unlock()

	if index < 0 {
		x.fail(404)
		return
	}
	choices, err := parseTransports(x.get("Transport"))
	if err != nil {
		x.fail(400)
		return
	}
	t, ok := choose(choices, refused)
	if !ok {
		x.fail(461)
		return
	}
	if x.session == nil {
		id := x.request.session()
		if id != "" && st.replay == nil {
			x.fail(454)
			return
		}
		if limit > 0 && setups >= limit {
			x.fail(453)
			return
		}
		x.session = x.c.srv.newSession(id, st, x.c)
		st.mu.Lock()
		st.setups++
		st.mu.Unlock()
	}
	x.attach(st, index, t)
}

// choose takes the first transport that we can do. refused is tcp, udp, all or "".
func choose(choices []transport, refused string) (transport, bool) {
	for _, t := range choices {
		name := "udp"
		if t.tcp {
			name = "tcp"
		}
		if t.multicast || t.secure || refused == "all" || refused == name || !t.tcp && t.ports[0] == 0 {
			continue
		}
		return t, true
	}
	return transport{}, false
}

// trackIndex finds the track that a SETUP names, -1 without one. Called under st.mu.
func (st *stream) trackIndex(x *exchange) int {
	if st.replay != nil {
		return st.replay.trackIndex(st, x)
	}
	for i, t := range st.tracks {
		if t.control == x.control || x.control == "" && len(st.tracks) == 1 {
			return i
		}
	}
	return -1
}

// attach adds an outlet to the session and answers with its transport.
func (x *exchange) attach(st *stream, index int, t transport) {
	o := &outlet{track: st.tracks[index], index: index}
	value := ""
	if t.tcp {
		o.channel = t.channels
		if !t.chosen {
			o.channel = [2]byte{byte(2 * index), byte(2*index + 1)}
		}
		value = fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", o.channel[0], o.channel[1])
	} else {
		pair, err := openPair(x.c.nc.LocalAddr(), x.c.nc.RemoteAddr(), t.ports)
		if err != nil {
			x.c.srv.o.Log.Warn("no UDP ports", "err", err)
			x.fail(461)
			return
		}
		o.udp = pair
		a, b := pair.ports()
		value = fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d", t.ports[0], t.ports[1], a, b)
		x.c.srv.listenRTCP(x.session, pair)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	s := x.session
	if s.ended || s.playing || s.stream != st {
		if o.udp != nil {
			o.udp.close()
		}
		x.fail(455)
		return
	}
	o.ssrc, o.seq, o.offset = st.rng.Uint32(), uint16(st.rng.Uint32()), st.rng.Uint32()
	s.replace(o)
	x.answer.add("Transport", fmt.Sprintf("%s;ssrc=%08X;mode=\"PLAY\"", value, o.ssrc))
	x.answer.add("Session", s.header())
}

// replace adds the outlet, in the order of tracks, instead of an earlier one of the same track.
func (s *session) replace(o *outlet) {
	for i, old := range s.outlets {
		if old.index == o.index {
			if old.udp != nil {
				old.udp.close()
			}
			s.outlets[i] = o
			return
		}
	}
	s.outlets = append(s.outlets, o)
}

// listenRTCP reads a session's UDP ports until they close: receiver reports keep it alive (RFC 2326 appendix A.2), and
// packets to the RTP port (to open a firewall) are dropped.
func (s *Server) listenRTCP(x *session, pair *udpPair) {
	s.group.Go(func() { drain(pair.rtp, func() {}) })
	s.group.Go(func() { drain(pair.rtcp, x.reported) })
}

// drain reads until the socket is closed. An ICMP answer to what we sent shows as an error and ends nothing.
func drain(c *net.UDPConn, each func()) {
	buf := make([]byte, 2048)
	for {
		_, _, err := c.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			each()
		case strings.Contains(err.Error(), "refused"):
		default:
			return
		}
	}
}
