package camsim

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Payload types of the dynamic range (RFC 3551 section 6) that generated descriptions use.
const (
	videoPayloadType    = 96
	metadataPayloadType = 107
)

// sdp describes the stream (RFC 4566), with the faults in force.
func (s *stream) sdp() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d 1 IN IP4 127.0.0.1\r\ns=camsim %s\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n", s.clock.wall.Unix(), s.path)
	b.WriteString("a=tool:camsim\r\na=control:*\r\na=range:npt=now-\r\n")
	for _, t := range s.tracks {
		switch t.feed {
		case videoFeed:
			if s.faults.noVideo {
				continue
			}
			s.sdpVideo(&b, t)
		case audioFeed:
			s.sdpAudio(&b, t)
		case metadataFeed:
			fmt.Fprintf(&b, "m=application 0 RTP/AVP %d\r\na=rtpmap:%[1]d vnd.onvif.metadata/90000\r\n", t.payloadType)
		}
		fmt.Fprintf(&b, "a=recvonly\r\na=control:%s\r\n", t.control)
	}
	text := b.String()
	if s.faults.wrongSDP == "truncated" {
		text = text[:len(text)*2/3]
	}
	return []byte(text)
}

func (s *stream) sdpVideo(b *strings.Builder, t *track) {
	pt, codec := t.payloadType, s.video.codec()
	if s.faults.wrongSDP == "payload-type" {
		pt++
	}
	name := codec
	if s.faults.codec != "" {
		name = s.faults.codec
	}
	fmt.Fprintf(b, "m=video 0 RTP/AVP %d\r\na=rtpmap:%[1]d %s/90000\r\n", pt, name)
	if s.faults.codec == "" {
		if f := s.formatParameters(codec); f != "" {
			fmt.Fprintf(b, "a=fmtp:%d %s\r\n", pt, f)
		}
	}
	fmt.Fprintf(b, "a=framerate:%d\r\n", s.enc.fps)
}

// formatParameters are those of RFC 6184 section 8.1 or RFC 7798 section 7.1.
func (s *stream) formatParameters(codec string) string {
	sets := s.video.parameterSets()
	switch s.faults.wrongSDP {
	case "size":
		sets = s.otherSets(sets)
	case "no-sprop":
		sets = nil
	}
	encode := func(i int) string {
		if s.faults.wrongSDP == "garbage" {
			return "!not*base64!"
		}
		return base64.StdEncoding.EncodeToString(sets[i])
	}
	switch {
	case codec == "H264" && len(sets) == 2 && len(sets[0]) > 3:
		return fmt.Sprintf("packetization-mode=1;profile-level-id=%s;sprop-parameter-sets=%s,%s",
			strings.ToUpper(hex.EncodeToString(sets[0][1:4])), encode(0), encode(1))
	case codec == "H264":
		return "packetization-mode=1"
	case codec == "H265" && len(sets) == 3:
		return fmt.Sprintf("sprop-vps=%s;sprop-sps=%s;sprop-pps=%s", encode(0), encode(1), encode(2))
	}
	return ""
}

// otherSets returns parameter sets of another size than the stream has.
func (s *stream) otherSets(sets [][]byte) [][]byte {
	if s.video.codec() != "H264" {
		return sets[:0]
	}
	w, h := 320, 240
	if s.enc.width == w && s.enc.height == h {
		w, h = 352, 288
	}
	g, err := newGenerated(s.pictureOptions(w, h))
	if err != nil {
		return nil
	}
	return g.parameterSets()
}

func (s *stream) sdpAudio(b *strings.Builder, t *track) {
	f := s.audio.format()
	channels := ""
	if f.channels > 1 || f.aac {
		channels = fmt.Sprintf("/%d", f.channels)
	}
	fmt.Fprintf(b, "m=audio 0 RTP/AVP %d\r\na=rtpmap:%[1]d %s/%d%s\r\n", t.payloadType, f.encoding, f.rate, channels)
	if f.aac {
		fmt.Fprintf(b, "a=fmtp:%d streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=%s\r\n",
			t.payloadType, strings.ToUpper(hex.EncodeToString(f.config)))
	}
}

// trackURL joins a stream's URL and a control value (RFC 2326 appendix C.1.1).
func trackURL(base, control string) string {
	if control == "" || control == "*" {
		return base
	}
	if u, err := url.Parse(control); err == nil && u.Scheme != "" {
		return control
	}
	return strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(control, "/")
}

// splitURI returns the path of a request URI without query, and the control value of a track at its end ("trackID=1"),
// wherever the client put the query.
func splitURI(uri string) (path, control string) {
	if i := strings.Index(uri, "://"); i >= 0 {
		uri = uri[i+3:]
		i = strings.IndexByte(uri, '/')
		if i < 0 {
			return "/", ""
		}
		uri = uri[i:]
	}
	if i := strings.LastIndex(uri, "trackID="); i > 0 {
		control, _, _ = strings.Cut(uri[i:], "?")
		control, _, _ = strings.Cut(control, "/")
		control, _, _ = strings.Cut(control, "&")
		uri = uri[:i]
	}
	uri, _, _ = strings.Cut(uri, "?")
	return "/" + strings.Trim(uri, "/"), control
}

// appendMetadata writes one document of an ONVIF metadata stream with a motion state that changes every ten seconds.
func appendMetadata(dst []byte, utc time.Time, k int64) []byte {
	return fmt.Appendf(dst, `<?xml version="1.0" encoding="UTF-8"?><tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema">`+
		`<tt:Event><wsnt:NotificationMessage xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tns1="http://www.onvif.org/ver10/topics">`+
		`<wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">tns1:VideoSource/MotionAlarm</wsnt:Topic>`+
		`<wsnt:Message><tt:Message UtcTime=%q PropertyOperation="Changed"><tt:Source><tt:SimpleItem Name="Source" Value="0"/></tt:Source>`+
		`<tt:Data><tt:SimpleItem Name="State" Value="%t"/></tt:Data></tt:Message></wsnt:Message>`+
		`</wsnt:NotificationMessage></tt:Event></tt:MetadataStream>`,
		utc.Format("2006-01-02T15:04:05.000Z"), k/10%2 == 1)
}
