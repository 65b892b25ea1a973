package camsim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// transcript is a real camera's answer to DESCRIBE that we give as it is, with the answer to PLAY beside it if there is
// one. What differs from request to request (CSeq, session, sequence numbers) is filled in. Immutable once read.
type transcript struct {
	headers []header // of the DESCRIBE answer, CSeq left out
	body    []byte
	session string // id that the DESCRIBE answer gives out already
	medias  []sdpMedia
	playing []header // of the PLAY answer; nil without one
	dir     string   // where it was found
}

// sdpMedia is what we read of a media description.
type sdpMedia struct {
	kind        string // video, audio, application …
	payloadType byte
	encoding    string // of rtpmap, upper case; of static types the name in RFC 3551
	rate        int64
	channels    int
	config      []byte
	control     string
}

// readTranscript reads NAME_describe.txt (an RTSP answer) or an .sdp file, and NAME_play.txt where it exists.
func readTranscript(name string, data []byte) (*transcript, error) {
	t := &transcript{body: data, dir: filepath.Dir(name)}
	if bytes.HasPrefix(data, []byte("RTSP/")) {
		head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
		if !ok {
			return nil, errors.New("an RTSP answer without an empty line")
		}
		t.body, t.headers = body, headersOf(head)
		for _, h := range t.headers {
			if strings.EqualFold(h.name, "Session") {
				t.session, _, _ = strings.Cut(h.value, ";")
			}
		}
	} else {
		t.headers = []header{{"Content-Type", "application/sdp"}}
	}
	t.medias = parseMedias(t.body)
	if stem, ok := strings.CutSuffix(name, "_describe.txt"); ok {
		if play, err := os.ReadFile(stem + "_play.txt"); err == nil {
			head, _, _ := bytes.Cut(play, []byte("\r\n\r\n"))
			t.playing = headersOf(head)
		}
	}
	return t, nil
}

// headersOf returns the header fields of an answer that we can repeat.
func headersOf(head []byte) []header {
	var all []header
	for _, line := range strings.Split(string(head), "\r\n")[1:] {
		name, value, ok := strings.Cut(line, ":")
		if ok && !strings.EqualFold(name, "CSeq") && !strings.EqualFold(name, "Content-Length") {
			all = append(all, header{name, strings.TrimSpace(value)})
		}
	}
	return all
}

// parseMedias reads the media descriptions of an SDP, however odd.
func parseMedias(body []byte) []sdpMedia {
	var all []sdpMedia
	for _, line := range strings.Split(string(body), "\n") {
		line = strings.TrimRight(line, "\r")
		if rest, ok := strings.CutPrefix(line, "m="); ok {
			all = append(all, newMedia(rest))
			continue
		}
		if len(all) == 0 {
			continue
		}
		m := &all[len(all)-1]
		if rest, ok := strings.CutPrefix(line, "a=control:"); ok {
			m.control = strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(line, "a=rtpmap:"); ok {
			m.mapped(rest)
		} else if rest, ok := strings.CutPrefix(line, "a=fmtp:"); ok {
			m.parameters(rest)
		}
	}
	return all
}

// newMedia reads the m= line.
func newMedia(s string) sdpMedia {
	words := strings.Fields(s)
	m := sdpMedia{rate: 90_000, channels: 1}
	if len(words) > 0 {
		m.kind = words[0]
	}
	if len(words) > 3 {
		if pt, err := strconv.ParseUint(words[3], 10, 7); err == nil {
			m.payloadType = byte(pt)
		}
	}
	switch { // RFC 3551 tables 4 and 5
	case m.kind == "audio" && m.payloadType == 0:
		m.encoding, m.rate = "PCMU", 8000
	case m.kind == "audio" && m.payloadType == 8:
		m.encoding, m.rate = "PCMA", 8000
	case m.kind == "video" && m.payloadType == 26:
		m.encoding = "JPEG"
	}
	return m
}

// mapped reads an rtpmap; only that of the first payload type counts.
func (m *sdpMedia) mapped(s string) {
	pt, rest, _ := strings.Cut(s, " ")
	if pt != strconv.Itoa(int(m.payloadType)) {
		return
	}
	parts := strings.Split(strings.TrimSpace(rest), "/")
	m.encoding = strings.ToUpper(parts[0])
	if len(parts) > 1 {
		if r, err := strconv.ParseInt(parts[1], 10, 32); err == nil && r > 0 {
			m.rate = r
		}
	}
	if len(parts) > 2 {
		if c, err := strconv.Atoi(parts[2]); err == nil && c > 0 {
			m.channels = c
		}
	}
}

func (m *sdpMedia) parameters(s string) {
	_, rest, _ := strings.Cut(s, " ")
	for _, p := range strings.Split(rest, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "config="); ok {
			m.config, _ = hex.DecodeString(v)
		}
	}
}

// describe fills in the answer to DESCRIBE.
func (t *transcript) describe(r *response) {
	r.headers = append(r.headers, t.headers...)
	r.body = t.body
}

var (
	seqPattern  = regexp.MustCompile(`seq=\d+`)
	timePattern = regexp.MustCompile(`rtptime=\d+`)
	ssrcPattern = regexp.MustCompile(`ssrc=[0-9a-fA-F]+`)
)

// play fills in the answer to PLAY in the shape that the camera gave it. It reports false where no such answer is known.
func (t *transcript) play(r *response, st *stream, s *session) bool {
	if t.playing == nil {
		return false
	}
	for _, h := range t.playing {
		switch strings.ToLower(h.name) {
		case "session":
			continue
		case "rtp-info":
			h.value = fillRTPInfo(h.value, st, s)
		}
		r.headers = append(r.headers, h)
	}
	return true
}

// fillRTPInfo puts our numbers into a recorded RTP-Info, entry by entry in the order of tracks. Entries beyond the
// tracks that were set up keep the camera's numbers, as a camera would name tracks that nobody asked for.
func fillRTPInfo(value string, st *stream, s *session) string {
	parts := strings.Split(value, ",url=")
	for i := range min(len(parts), len(s.outlets)) {
		o := s.outlets[i]
		if o.track.feed == noFeed {
			continue
		}
		parts[i] = seqPattern.ReplaceAllString(parts[i], fmt.Sprintf("seq=%d", o.seq))
		parts[i] = timePattern.ReplaceAllString(parts[i], fmt.Sprintf("rtptime=%d", o.offset+uint32(st.ticks(o, o.first))))
		parts[i] = ssrcPattern.ReplaceAllString(parts[i], fmt.Sprintf("ssrc=%08x", o.ssrc))
	}
	return strings.Join(parts, ",url=")
}

// trackIndex finds the media that a SETUP of a transcript's stream means: the one with the longest control value that
// the URI ends in, else the first that has not been set up in the session, as with cameras that give no control value.
func (t *transcript) trackIndex(st *stream, x *exchange) int {
	best, length := -1, 0
	for i, m := range t.medias {
		if m.control != "" && strings.HasSuffix(x.uri, m.control) && len(m.control) > length {
			best, length = i, len(m.control)
		}
	}
	if best >= 0 && !t.taken(best, x) {
		return best
	}
	for i := range st.tracks {
		if !t.taken(i, x) && (best < 0 || t.medias[i].control == t.medias[best].control) {
			return i
		}
	}
	return best
}

// taken reports whether the session has set the track up already. Called under the stream's lock.
func (t *transcript) taken(i int, x *exchange) bool {
	return x.session != nil && x.session.outlet(i) != nil
}

// openReplay gives a stream a transcript's description and sources that match its first video and first audio.
func (st *stream) openReplay(files *fileSet) (err error) {
	t := files.transcript
	st.replay = t
	for _, m := range t.medias {
		tr := &track{control: m.control, payloadType: m.payloadType, rate: m.rate}
		switch {
		case m.kind == "video" && st.video == nil:
			if err := st.replayVideo(m, files, tr); err != nil {
				return err
			}
		case m.kind == "audio" && st.audio == nil:
			if st.audio = replayAudio(m, files); st.audio != nil {
				tr.feed = audioFeed
			}
		case m.encoding == "VND.ONVIF.METADATA":
			tr.feed, st.meta = metadataFeed, true
		}
		st.tracks = append(st.tracks, tr)
	}
	return nil
}

func (st *stream) replayVideo(m sdpMedia, files *fileSet, tr *track) (err error) {
	switch {
	case files.video != nil && files.video.codec == m.encoding:
		st.video = &looped{es: files.video}
	case m.encoding == "H264":
		if st.video, err = st.newVideo(st.enc.width, st.enc.height); err != nil {
			return err
		}
	default:
		return nil // a codec that we cannot make: the track is there and nothing comes
	}
	tr.feed = videoFeed
	return nil
}

// replayAudio returns a source for an audio media: the file where it matches, a tone, silence, or nil.
func replayAudio(m sdpMedia, files *fileSet) audioSource {
	if files.audio != nil {
		a := files.audio()
		if f := a.format(); strings.EqualFold(f.encoding, m.encoding) && int64(f.rate) == m.rate {
			return a
		}
	}
	switch {
	case m.encoding == "PCMA" && m.rate == toneRate:
		return newTone(false)
	case m.encoding == "PCMU" && m.rate == toneRate:
		return newTone(true)
	case m.encoding == "MPEG4-GENERIC" && m.channels <= 2 && len(m.config) >= 2:
		channels := int(m.config[1] >> 3 & 15)
		if channels == 1 || channels == 2 {
			return silence(int(m.rate), channels, m.config)
		}
	}
	return nil
}

// completeReplay finds a file for a transcript of H.265, which we cannot make: es/kvs.h265 beside or above it.
func (f *fileSet) completeReplay() error {
	t := f.transcript
	for _, m := range t.medias {
		if m.kind != "video" {
			continue
		}
		if m.encoding != "H265" || f.video != nil && f.video.codec == "H265" {
			return nil
		}
		return f.findH265(t)
	}
	return nil
}

func (f *fileSet) findH265(t *transcript) error {
	dir := t.dir
	for range 4 {
		name := filepath.Join(dir, "es", "kvs.h265")
		if data, err := os.ReadFile(name); err == nil {
			if f.video, err = readElementary(data, true); err != nil {
				return fmt.Errorf("play file %s: %w", name, err)
			}
			return nil
		}
		dir = filepath.Dir(dir)
	}
	return errors.New("the transcript is of H.265 video: give an .h265 file beside it")
}
