package rtsp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"nightjar/internal/media"
	"nightjar/internal/media/codec"
	"nightjar/internal/media/rtp"
)

// format is a media section that can be received: how to take samples out of its packets and what its track is.
type format struct {
	kind    media.Kind
	codec   media.Codec
	payload uint8
	rate    uint32 // of RTP timestamps
	control string // as in the description

	open  func() rtp.Depacketizer
	track *media.Track   // nil while it is not known (video without usable parameter sets, MJPEG)
	sets  [][]byte       // video: the parameter sets of the description
	adapt func(b []byte) // changes a sample's bytes in place before it is handed on; nil for none
}

// plan is what to set up of a description.
type plan struct {
	video    *format
	audio    *format
	metadata *format
}

// refusal says why a media section can't be received.
type refusal struct{ what string }

func (r *refusal) Error() string { return r.what }

func refuse(f string, args ...any) error { return &refusal{fmt.Sprintf(f, args...)} }

// choose picks the first video that can be received and, if wanted, the first such sound and metadata. The error names
// what there is when no video can be received.
func choose(d *description, audio, metadata bool) (plan, error) {
	var p plan
	var reasons []string
	for i := range d.media {
		m := &d.media[i]
		index := 0
		switch {
		case m.kind == "video" && p.video == nil:
		case m.kind == "audio" && audio && p.audio == nil && !m.sendOnly: // sendonly: the way back, to a loudspeaker
			index = 1
		case m.kind == "application" && metadata && p.metadata == nil:
			index = 2
		default:
			continue
		}
		f, err := newFormat(m, index)
		if err != nil {
			if m.kind == "video" {
				reasons = append(reasons, err.Error())
			}
			continue
		}
		switch {
		case f.kind == media.Video && m.kind == "video":
			p.video = f
		case f.kind == media.Audio && m.kind == "audio":
			p.audio = f
		case f.kind == media.Metadata && m.kind == "application":
			p.metadata = f
		}
	}
	if p.video != nil {
		p.number()
		return p, nil
	}
	if len(reasons) == 0 {
		return p, refuse("the camera offers no video")
	}
	return p, refuse("the camera's video can't be recorded: %s", strings.Join(reasons, "; "))
}

// number gives the tracks their positions: video, then what else there is.
func (p *plan) number() {
	index := 0
	for _, f := range []*format{p.video, p.audio, p.metadata} {
		if f == nil {
			continue
		}
		if f.track != nil && f.track.Index != index {
			t := *f.track
			t.Index = index
			f.track = &t
		}
		index++
	}
}

// newFormat takes the first payload type of a section that can be received.
func newFormat(m *mediaDescription, index int) (*format, error) {
	if m.protocol != "" && !strings.HasPrefix(m.protocol, "RTP/AVP") {
		return nil, refuse("transport protocol %s is not supported", m.protocol)
	}
	if len(m.payloads) == 0 {
		return nil, refuse("no payload type is given")
	}
	var first error
	for _, pt := range m.payloads {
		name, rate, channels := m.encoding(pt)
		f := &format{payload: pt, rate: rate, control: m.control}
		err := f.describe(name, channels, m, index)
		if err == nil {
			return f, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (f *format) describe(name string, channels uint8, m *mediaDescription, index int) error {
	params := parameters(m.fmtp[f.payload])
	switch name {
	case "":
		return refuse("payload type %d is not described", f.payload)
	case "h264":
		return f.h264(params, index)
	case "h265", "hevc":
		return f.h265(params, index)
	case "jpeg":
		f.video(media.MJPEG, func() rtp.Depacketizer {
			d := rtp.NewJPEG()
			d.Width, d.Height = m.width, m.height
			return d
		})
		return nil
	case "mpeg4-generic":
		return f.aac(params, index)
	case "mp4a-latm":
		return f.latm(params, index)
	case "vnd.onvif.metadata":
		return f.onvif(name, index)
	}
	return f.sound(name, channels, params, index)
}

func (f *format) video(c media.Codec, open func() rtp.Depacketizer) {
	f.kind, f.codec, f.open = media.Video, c, open
	if f.rate == 0 {
		f.rate = media.TicksPerSecond
	}
}

func (f *format) h264(params map[string]string, index int) error {
	f.video(media.H264, func() rtp.Depacketizer { return rtp.NewH264() })
	f.decodeSets(params["sprop-parameter-sets"])
	f.build(index)
	return nil
}

func (f *format) h265(params map[string]string, index int) error {
	don, _ := strconv.Atoi(params["sprop-max-don-diff"])
	if _, err := rtp.NewH265(don); err != nil {
		return refuse("%v", err)
	}
	f.video(media.H265, func() rtp.Depacketizer {
		d, _ := rtp.NewH265(0) // refused above if it had to be
		return d
	})
	for _, name := range []string{"sprop-vps", "sprop-sps", "sprop-pps"} {
		f.decodeSets(params[name])
	}
	f.build(index)
	return nil
}

// decodeSets takes base64 values divided by commas. Some cameras leave start codes inside (GW Security) or padding off.
func (f *format) decodeSets(values string) {
	for v := range strings.SplitSeq(values, ",") {
		v = strings.TrimRight(strings.TrimSpace(v), "=")
		if b, err := base64.RawStdEncoding.DecodeString(v); err == nil && len(b) > 0 {
			f.sets = append(f.sets, b)
		}
	}
}

// build makes the track of the description's parameter sets. Cameras send sets that nothing can be done with (VStarcam):
// those in band count then.
func (f *format) build(index int) {
	p := codec.NewParameterSets(f.codec)
	p.LearnAll(f.sets)
	if t, err := p.Track(index); err == nil {
		f.track = t
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (f *format) aac(params map[string]string, index int) error {
	config, err := hex.DecodeString(params["config"])
	if err != nil || len(config) == 0 {
		return refuse("AAC without configuration")
	}
	t, err := codec.AACTrack(index, config)
	if err != nil {
		return refuse("AAC configuration: %v", err)
	}
	c, err := codec.ParseAudioSpecificConfig(config)
	if err != nil {
		return refuse("AAC configuration: %v", err)
	}
	if f.rate == 0 {
		f.rate = c.SampleRate
	}
	p := rtp.AACParams{
		SizeLength: number(params["sizelength"]), IndexLength: number(params["indexlength"]),
		IndexDeltaLength: number(params["indexdeltalength"]), CTSDeltaLength: number(params["ctsdeltalength"]),
		DTSDeltaLength: number(params["dtsdeltalength"]), RandomAccess: params["randomaccessindication"] == "1",
		StreamStateLength: number(params["streamstateindication"]), AuxiliaryDataLength: number(params["auxiliarydatasizelength"]),
		ConstantSize: number(params["constantsize"]), FramesPerUnit: scaleFrames(codec.AACFrames(&c), t.ClockRate, f.rate),
	}
	if _, err := rtp.NewAAC(p); err != nil {
		return refuse("%v", err)
	}
	f.kind, f.codec, f.track = media.Audio, media.AAC, t
	f.open = func() rtp.Depacketizer {
		d, _ := rtp.NewAAC(p) // refused above if it had to be
		return d
	}
	return nil
}

// scaleFrames converts how long a unit lasts from the track's clock to that of RTP timestamps.
func scaleFrames(frames, from, to uint32) uint32 {
	if from == 0 {
		return frames
	}
	return uint32(uint64(frames) * uint64(to) / uint64(from))
}

func (f *format) latm(params map[string]string, index int) error {
	if params["cpresent"] != "0" {
		return refuse("AAC in LATM with configuration in band (cpresent=1)")
	}
	config, err := hex.DecodeString(params["config"])
	if err != nil || len(config) == 0 {
		return refuse("AAC in LATM without configuration")
	}
	mux, err := codec.ParseStreamMuxConfig(config)
	if err != nil {
		return refuse("LATM configuration: %v", err)
	}
	t, err := codec.AACTrack(index, mux.ASC)
	if err != nil {
		return refuse("AAC configuration: %v", err)
	}
	if f.rate == 0 {
		f.rate = mux.Config.SampleRate
	}
	p := rtp.LATMParams{Subframes: mux.SubFrames, FramesPerUnit: scaleFrames(codec.AACFrames(&mux.Config), t.ClockRate, f.rate)}
	f.kind, f.codec, f.track = media.Audio, media.AAC, t
	f.open = func() rtp.Depacketizer { return rtp.NewLATM(p) }
	return nil
}

func (f *format) onvif(name string, index int) error {
	t, err := codec.ONVIFMetadataTrack(index, name)
	if err != nil {
		return refuse("metadata: %v", err)
	}
	if f.rate == 0 {
		f.rate = media.TicksPerSecond
	}
	f.kind, f.codec, f.track = media.Metadata, media.ONVIFMetadata, t
	f.open = func() rtp.Depacketizer { return rtp.NewDocument() }
	return nil
}

// sound describes sound whose packets hold one sample each.
func (f *format) sound(name string, channels uint8, params map[string]string, index int) (err error) {
	bits := 0
	var t *media.Track
	switch name {
	case "pcmu", "pcma":
		f.codec, bits = media.PCMU, 8*int(channels)
		if name == "pcma" {
			f.codec = media.PCMA
		}
		if f.rate == 0 {
			f.rate = 8000
		}
		t, err = codec.G711Track(index, f.codec, f.rate, channels)
	case "l16":
		f.codec, bits = media.L16, 16*int(channels)
		t, err = codec.L16Track(index, f.rate, channels)
	case "opus":
		f.codec, f.rate = media.Opus, 48_000
		t, err = codec.OpusTrack(index, min(channels, 2))
	default:
		n, little := g726Bits(name)
		if n == 0 {
			return refuse("coding %q is not supported", name)
		}
		f.codec, f.rate, bits = media.G726, 8000, n
		t, err = codec.G726Track(index, uint8(n))
		if little {
			f.adapt = func(b []byte) { codec.G726Swap(b, uint8(n)) }
		}
	}
	if err != nil {
		return refuse("%v", err)
	}
	f.kind, f.track = media.Audio, t
	f.open = func() rtp.Depacketizer { return rtp.NewPayload(bits) }
	if f.codec == media.Opus {
		f.open = func() rtp.Depacketizer { return rtp.NewOpus() }
	}
	return nil
}

// g726Bits returns the bits of a code, and whether the first code is in the least significant bits (RFC 3551 section
// 4.5.4); 0 when name is no G.726.
func g726Bits(name string) (bits int, little bool) {
	rate, ok := strings.CutPrefix(name, "g726-")
	if !ok {
		if rate, ok = strings.CutPrefix(name, "aal2-g726-"); !ok {
			return 0, false
		}
	} else {
		little = true
	}
	switch rate {
	case "16":
		return 2, little
	case "24":
		return 3, little
	case "32":
		return 4, little
	case "40":
		return 5, little
	}
	return 0, false
}
