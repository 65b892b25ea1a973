package rtsp

import (
	"strconv"
	"strings"
	"time"
)

// transport is what a Transport header says (RFC 2326 section 12.39).
type transport struct {
	tcp         bool
	multicast   bool
	interleaved [2]uint8
	channels    bool // interleaved was given
	server      [2]uint16
	serverPorts bool
	source      string
	ssrc        uint32
	hasSSRC     bool
}

// parseTransport reads the first of a Transport header's alternatives. Parameters may come in any order, with blanks
// around them (Luckfox, Hikvision).
func parseTransport(s string) transport {
	s, _, _ = strings.Cut(s, ",")
	var t transport
	for i, part := range strings.Split(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "multicast":
			t.multicast = true
		case "interleaved":
			if a, b, ok := numberPair(value, 255); ok {
				t.interleaved, t.channels = [2]uint8{uint8(a), uint8(b)}, true
			}
		case "server_port":
			if a, b, ok := numberPair(value, 65535); ok {
				t.server, t.serverPorts = [2]uint16{uint16(a), uint16(b)}, true
			}
		case "source":
			t.source = value
		case "ssrc":
			if v, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(value), "0x"), 16, 32); err == nil {
				t.ssrc, t.hasSSRC = uint32(v), true
			}
		default:
			if i == 0 || strings.HasPrefix(strings.ToUpper(name), "RTP/") {
				t.tcp = t.tcp || strings.Contains(strings.ToUpper(name), "/TCP")
			}
		}
	}
	return t
}

// numberPair reads "a-b", or "a" for a-(a+1).
func numberPair(s string, limit int) (a, b int, ok bool) {
	first, second, two := strings.Cut(s, "-")
	a, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || a < 0 || a > limit {
		return 0, 0, false
	}
	b = a + 1
	if two {
		if b, err = strconv.Atoi(strings.TrimSpace(second)); err != nil {
			return 0, 0, false
		}
	}
	return a, b, b >= 0 && b <= limit
}

// defaultSessionTimeout is the one of RFC 2326 section 12.37.
const defaultSessionTimeout = 60 * time.Second

// parseSession reads a Session header.
func parseSession(s string) (id string, timeout time.Duration) {
	id, params, _ := strings.Cut(s, ";")
	timeout = defaultSessionTimeout
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && strings.EqualFold(name, "timeout") && n > 0 && n <= 86400 {
			timeout = time.Duration(n) * time.Second
		}
	}
	return strings.TrimSpace(id), timeout
}

// rtpInfo is what an RTP-Info header says of one stream (RFC 2326 section 12.33). Cameras lie in it; it is believed only
// where the packets agree.
type rtpInfo struct {
	url     string
	rtptime uint32
	hasTime bool
	ssrc    uint32
	hasSSRC bool
}

// parseRTPInfo reads an RTP-Info header. A comma divides entries only before another url, as URLs may hold commas.
func parseRTPInfo(s string) (infos []rtpInfo) {
	for {
		i := indexFold(s, "url=")
		if i < 0 {
			return infos
		}
		s = s[i+len("url="):]
		entry := s
		for from := 0; ; {
			comma := strings.IndexByte(s[from:], ',')
			if comma < 0 {
				break
			}
			comma += from
			from = comma + 1
			if next := strings.TrimLeft(s[from:], " "); len(next) >= 4 && strings.EqualFold(next[:4], "url=") {
				entry = s[:comma]
				break
			}
		}
		s = s[len(entry):]
		infos = append(infos, parseRTPInfoEntry(entry))
	}
}

// indexFold is strings.Index for an ASCII word in any case.
func indexFold(s, word string) int {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

func parseRTPInfoEntry(entry string) (info rtpInfo) {
	// The URL itself may hold ";": the parameters are what is behind the last ones called seq, rtptime and ssrc.
	for i, part := range strings.Split(entry, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case i == 0:
			info.url = strings.TrimSpace(part)
		case !ok:
		case strings.EqualFold(name, "rtptime"):
			if v, err := strconv.ParseUint(value, 10, 32); err == nil { // OMNY sends negative ones
				info.rtptime, info.hasTime = uint32(v), true
			}
		case strings.EqualFold(name, "ssrc"):
			if v, err := strconv.ParseUint(value, 16, 32); err == nil {
				info.ssrc, info.hasSSRC = uint32(v), true
			}
		}
	}
	return info
}

// controlMatches tells whether an RTP-Info URL means the stream with that control URL. Many servers shorten it.
func controlMatches(infoURL, control string) bool {
	infoURL, control = strings.TrimSuffix(infoURL, "/"), strings.TrimSuffix(control, "/")
	return infoURL == control || infoURL != "" && strings.HasSuffix(control, "/"+infoURL)
}

// clockRange returns the instant at which "Range: clock=19961108T142300Z-" begins (RFC 2326 section 3.7).
func clockRange(s string) time.Time {
	v, ok := strings.CutPrefix(strings.TrimSpace(s), "clock=")
	if !ok {
		return time.Time{}
	}
	v, _, _ = strings.Cut(v, "-")
	t, err := time.Parse("20060102T150405.999999999Z", strings.TrimSpace(v))
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseDate reads a Date header. RFC 1123 is the rule; live555 puts the year behind the month.
func parseDate(s string) time.Time {
	s = strings.Join(strings.Fields(s), " ")
	for _, layout := range []string{time.RFC1123, "Mon, Jan 02 2006 15:04:05 MST", "Mon, Jan _2 2006 15:04:05 MST", "Mon, 2 Jan 2006 15:04:05 MST"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
