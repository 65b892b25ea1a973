package onvif

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Tokens that every device has.
const (
	videoSource  = "source0"
	sourceConfig = "sourceconfig0"
	ptzConfig    = "ptz0"
)

// Bounds of encoder configurations.
const (
	maxFPS = 60
	maxGOP = 600
	minKbs = 16
	maxKbs = 50_000
)

// sizes are offered besides those in use.
var sizes = [][2]int{{3840, 2160}, {2560, 1440}, {1920, 1080}, {1280, 720}, {640, 480}, {640, 360}, {320, 240}}

func init() {
	serves(nsMedia, map[string]func(c *call) error{
		"+GetServiceCapabilities":             func(c *call) error { writeMediaCapabilities(&c.w); return nil },
		"GetProfiles":                         getProfiles,
		"GetProfile":                          getProfile,
		"GetVideoSources":                     getVideoSources,
		"GetVideoSourceConfigurations":        getSourceConfigurations,
		"GetVideoSourceConfiguration":         getSourceConfiguration,
		"GetStreamUri":                        getStreamURI,
		"GetSnapshotUri":                      getSnapshotURI,
		"GetVideoEncoderConfigurations":       getEncoders,
		"GetVideoEncoderConfiguration":        getEncoder,
		"GetVideoEncoderConfigurationOptions": getEncoderOptions,
		"SetVideoEncoderConfiguration":        setEncoder,
		"SetSynchronizationPoint":             forceKey,
	})
}

func writeMediaCapabilities(w *writer) {
	w.within("trt:Capabilities", func() {
		w.empty("trt:ProfileCapabilities", "MaximumNumberOfProfiles", "2")
		w.empty("trt:StreamingCapabilities", "RTPMulticast", "false", "RTP_TCP", "true", "RTP_RTSP_TCP", "true")
	}, "SnapshotUri", "true", "Rotation", "false", "VideoSourceMode", "false", "OSD", "false")
}

// encoderToken returns the token of a stream's encoder configuration.
func encoderToken(s Stream) string { return "encoder-" + s.Name }

// streams returns the streams that a media service can speak of: version 1.0 knows no H.265.
func (c *call) streams() []Stream {
	all := c.d.camera.Streams()
	if c.op.Name.Space == nsMedia2 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s Stream) bool { return s.Codec != "H264" })
}

// index returns the place among all streams of the one of which match is true, or -1.
func (c *call) index(match func(Stream) bool) int {
	some := c.streams()
	i := slices.IndexFunc(some, match)
	if i < 0 {
		return -1
	}
	return slices.IndexFunc(c.d.camera.Streams(), func(s Stream) bool { return s.Name == some[i].Name })
}

// profile returns the stream of the request's ProfileToken.
func (c *call) profile() (int, Stream, error) {
	token := c.op.text("ProfileToken")
	i := c.index(func(s Stream) bool { return s.Name == token })
	if i < 0 {
		return 0, Stream{}, noProfile(token)
	}
	return i, c.d.camera.Streams()[i], nil
}

// encoder returns the stream of an encoder configuration.
func (c *call) encoder(token string) (int, Stream, error) {
	i := c.index(func(s Stream) bool { return encoderToken(s) == token })
	if i < 0 {
		return 0, Stream{}, noConfig(token)
	}
	return i, c.d.camera.Streams()[i], nil
}

func getProfiles(c *call) error {
	for _, s := range c.streams() {
		c.writeProfile("trt:Profiles", s)
	}
	return nil
}

func getProfile(c *call) error {
	_, s, err := c.profile()
	if err == nil {
		c.writeProfile("trt:Profile", s)
	}
	return err
}

func (c *call) writeProfile(element string, s Stream) {
	w := &c.w
	w.within(element, func() {
		w.text("tt:Name", s.Name)
		c.writeSourceConfiguration("tt:VideoSourceConfiguration")
		writeEncoder(w, "tt:VideoEncoderConfiguration", s)
		w.within("tt:PTZConfiguration", func() { writePTZConfiguration(w) }, "token", ptzConfig)
	}, "token", s.Name, "fixed", "true")
}

func getVideoSources(c *call) error {
	s := c.d.camera.Streams()[0]
	w := &c.w
	w.within("trt:VideoSources", func() {
		w.text("tt:Framerate", s.FPS)
		writeSize(w, "tt:Resolution", s.Width, s.Height)
	}, "token", videoSource)
	return nil
}

func writeSize(w *writer, name string, width, height int) {
	w.within(name, func() {
		w.text("tt:Width", width)
		w.text("tt:Height", height)
	})
}

func getSourceConfigurations(c *call) error {
	prefix := "trt:"
	if c.op.Name.Space == nsMedia2 {
		prefix = "tr2:"
	}
	c.writeSourceConfiguration(prefix + "Configurations")
	return nil
}

func getSourceConfiguration(c *call) error {
	if t := c.op.text("ConfigurationToken"); t != sourceConfig {
		return noConfig(t)
	}
	c.writeSourceConfiguration("trt:Configuration")
	return nil
}

func (c *call) writeSourceConfiguration(element string) {
	all := c.d.camera.Streams()
	w := &c.w
	w.within(element, func() {
		w.text("tt:Name", "source")
		w.text("tt:UseCount", len(all))
		w.text("tt:SourceToken", videoSource)
		w.empty("tt:Bounds", "x", "0", "y", "0", "width", strconv.Itoa(all[0].Width), "height", strconv.Itoa(all[0].Height))
	}, "token", sourceConfig)
}

// writeEncoder writes a VideoEncoderConfiguration of version 1.0.
func writeEncoder(w *writer, element string, s Stream) {
	w.within(element, func() {
		w.text("tt:Name", encoderToken(s))
		w.text("tt:UseCount", 1)
		w.text("tt:Encoding", s.Codec)
		writeSize(w, "tt:Resolution", s.Width, s.Height)
		w.text("tt:Quality", 5)
		w.within("tt:RateControl", func() {
			w.text("tt:FrameRateLimit", s.FPS)
			w.text("tt:EncodingInterval", 1)
			w.text("tt:BitrateLimit", (s.BitRate+500)/1000)
		})
		w.within("tt:H264", func() {
			w.text("tt:GovLength", s.GOP)
			w.text("tt:H264Profile", "Baseline")
		})
		w.within("tt:Multicast", func() {
			w.within("tt:Address", func() {
				w.text("tt:Type", "IPv4")
				w.text("tt:IPv4Address", "0.0.0.0")
			})
			w.text("tt:Port", 0)
			w.text("tt:TTL", 0)
			w.text("tt:AutoStart", false)
		})
		w.text("tt:SessionTimeout", "PT60S")
	}, "token", encoderToken(s))
}

func getEncoders(c *call) error {
	for _, s := range c.streams() {
		writeEncoder(&c.w, "trt:Configurations", s)
	}
	return nil
}

func getEncoder(c *call) error {
	_, s, err := c.encoder(c.op.text("ConfigurationToken"))
	if err == nil {
		writeEncoder(&c.w, "trt:Configuration", s)
	}
	return err
}

// offered returns the sizes that a stream can be set to: the standard ones and its own.
func offered(s Stream) [][2]int {
	own := [2]int{s.Width, s.Height}
	if slices.Contains(sizes, own) {
		return sizes
	}
	return append([][2]int{own}, sizes...)
}

// asked returns the streams whose options a request asks for: one, or without a token all.
func (c *call) asked() ([]Stream, error) {
	if token := c.op.text("ConfigurationToken"); token != "" {
		_, s, err := c.encoder(token)
		return []Stream{s}, err
	}
	if token := c.op.text("ProfileToken"); token != "" {
		_, s, err := c.profile()
		return []Stream{s}, err
	}
	return c.streams(), nil
}

func getEncoderOptions(c *call) error {
	all, err := c.asked()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return noConfig("")
	}
	w := &c.w
	w.within("trt:Options", func() {
		writeRange(w, "tt:QualityRange", 1, 10)
		w.within("tt:H264", func() { writeH264Options(w, all[0]) })
		w.within("tt:Extension", func() {
			w.within("tt:H264", func() {
				writeH264Options(w, all[0])
				writeRange(w, "tt:BitrateRange", minKbs, maxKbs)
			})
		})
	})
	return nil
}

func writeH264Options(w *writer, s Stream) {
	for _, z := range offered(s) {
		writeSize(w, "tt:ResolutionsAvailable", z[0], z[1])
	}
	writeRange(w, "tt:GovLengthRange", 1, maxGOP)
	writeRange(w, "tt:FrameRateRange", 1, maxFPS)
	writeRange(w, "tt:EncodingIntervalRange", 1, 1)
	w.text("tt:H264ProfilesSupported", "Baseline")
}

func writeRange(w *writer, name string, least, most float64) {
	w.within(name, func() {
		w.text("tt:Min", least)
		w.text("tt:Max", most)
	})
}

// setEncoder is SetVideoEncoderConfiguration of both versions, which differ in where GovLength stands.
func setEncoder(c *call) error {
	n := c.op.child("Configuration")
	token, _ := n.attr("token")
	i, s, err := c.encoder(token)
	if err != nil {
		return err
	}
	want, err := wantedEncoding(n, s)
	if err != nil {
		return err
	}
	if want == s.Encoding {
		return nil
	}
	if err := c.d.camera.Configure(i, want); err != nil {
		return sender(err.Error(), "ter:InvalidArgVal", "ter:ConfigModify")
	}
	return nil
}

// wantedEncoding reads a configuration; what it does not mention stays as it is.
func wantedEncoding(n *Node, s Stream) (Encoding, error) {
	e := s.Encoding
	modify := func(format string, a ...any) error {
		return sender(fmt.Sprintf(format, a...), "ter:InvalidArgVal", "ter:ConfigModify")
	}
	if codec := n.text("Encoding"); codec != "" && codec != s.Codec {
		return e, modify("the encoding is %s and cannot be %s", s.Codec, codec)
	}
	values := []struct {
		name string
		to   *int
		unit float64
		most int
		path []string
	}{
		{"width", &e.Width, 1, 8192, []string{"Resolution", "Width"}},
		{"height", &e.Height, 1, 8192, []string{"Resolution", "Height"}},
		{"frame rate", &e.FPS, 1, maxFPS, []string{"RateControl", "FrameRateLimit"}},
		{"bit rate", &e.BitRate, 1000, maxKbs * 1000, []string{"RateControl", "BitrateLimit"}},
		{"GOV length", &e.GOP, 1, maxGOP, []string{"H264", "GovLength"}},
	}
	for _, v := range values {
		text := n.text(v.path...)
		if given, ok := n.attr(v.path[len(v.path)-1]); ok { // version 2.0
			text = given
		}
		if text == "" {
			continue
		}
		x, err := parseNumber(text, v.name)
		if err != nil {
			return e, err
		}
		if x *= v.unit; x < 1 || x > float64(v.most) || x < minKbs*1000 && v.unit == 1000 {
			return e, modify("%s %s is out of range", v.name, text)
		}
		*v.to = int(x + 0.5)
	}
	// The limit in kb/s cannot say the present rate exactly; the rounded value means that it stays.
	if (s.BitRate+500)/1000*1000 == e.BitRate {
		e.BitRate = s.BitRate
	}
	if !slices.Contains(offered(s), [2]int{e.Width, e.Height}) {
		return e, modify("pictures of %dx%d are not offered", e.Width, e.Height)
	}
	return e, nil
}

func getStreamURI(c *call) error {
	_, s, err := c.profile()
	if err != nil {
		return err
	}
	if stream := c.op.text("StreamSetup", "Stream"); stream != "" && stream != "RTP-Unicast" {
		return sender("only RTP-Unicast is served", "ter:InvalidArgVal", "ter:InvalidStreamSetup")
	}
	switch p := c.op.text("StreamSetup", "Transport", "Protocol"); p {
	case "", "UDP", "TCP", "RTSP":
	default:
		return sender("no transport over "+p, "ter:InvalidArgVal", "ter:InvalidStreamSetup")
	}
	c.writeURI(c.rtspURL(s))
	return nil
}

func getSnapshotURI(c *call) error {
	_, s, err := c.profile()
	if err != nil {
		return err
	}
	c.writeURI(c.snapshotURL(s))
	return nil
}

func (c *call) writeURI(uri string) {
	c.w.within("trt:MediaUri", func() {
		c.w.text("tt:Uri", uri)
		c.w.text("tt:InvalidAfterConnect", false)
		c.w.text("tt:InvalidAfterReboot", false)
		c.w.text("tt:Timeout", "PT0S")
	})
}

func (c *call) snapshotURL(s Stream) string { return c.base + "/snapshot.jpg?profile=" + s.Name }

// rtspURL returns the address of a stream as the client can reach it.
func (c *call) rtspURL(s Stream) string {
	host, port, err := net.SplitHostPort(c.d.srv.o.RTSP)
	if err != nil {
		host, port = c.d.srv.o.RTSP, "554"
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "" || ip != nil && ip.IsUnspecified() {
		host = c.host
	}
	return "rtsp://" + net.JoinHostPort(host, port) + s.Path
}

func forceKey(c *call) error {
	i, _, err := c.profile()
	if err == nil {
		c.d.camera.ForceKey(i)
	}
	return err
}
