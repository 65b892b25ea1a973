package onvif

import (
	"strconv"
	"strings"
)

func init() {
	serves(nsMedia2, map[string]func(c *call) error{
		"+GetServiceCapabilities":             func(c *call) error { writeMedia2Capabilities(&c.w); return nil },
		"GetProfiles":                         getProfiles2,
		"GetStreamUri":                        getStreamURI2,
		"GetSnapshotUri":                      getSnapshotURI2,
		"GetVideoSourceConfigurations":        getSourceConfigurations,
		"GetVideoEncoderConfigurations":       getEncoders2,
		"GetVideoEncoderConfigurationOptions": getEncoderOptions2,
		"SetVideoEncoderConfiguration":        setEncoder,
		"SetSynchronizationPoint":             forceKey,
	})
}

func writeMedia2Capabilities(w *writer) {
	w.within("tr2:Capabilities", func() {
		w.empty("tr2:ProfileCapabilities", "MaximumNumberOfProfiles", "2", "ConfigurationsSupported", "VideoSource VideoEncoder PTZ")
		w.empty("tr2:StreamingCapabilities", "RTSPStreaming", "true", "RTPMulticast", "false", "RTP_RTSP_TCP", "true")
	}, "SnapshotUri", "true", "Rotation", "false", "OSD", "false")
}

// getProfiles2 lists the profiles; configurations only of the types asked for (Media 2 section 5.2.2).
func getProfiles2(c *call) error {
	types := map[string]bool{}
	token := ""
	for _, n := range c.op.Children {
		switch n.Name.Local {
		case "Type":
			types[n.Text] = true
		case "Token":
			token = n.Text
		}
	}
	found := false
	for _, s := range c.streams() {
		if token != "" && s.Name != token {
			continue
		}
		found = true
		c.w.within("tr2:Profiles", func() {
			c.w.text("tr2:Name", s.Name)
			if len(types) == 0 {
				return
			}
			c.w.within("tr2:Configurations", func() {
				if types["All"] || types["VideoSource"] {
					c.writeSourceConfiguration("tr2:VideoSource")
				}
				if types["All"] || types["VideoEncoder"] {
					writeEncoder2(&c.w, "tr2:VideoEncoder", s)
				}
				if types["All"] || types["PTZ"] {
					c.w.within("tr2:PTZ", func() { writePTZConfiguration(&c.w) }, "token", ptzConfig)
				}
			})
		}, "token", s.Name, "fixed", "true")
	}
	if !found && token != "" {
		return noProfile(token)
	}
	return nil
}

// writeEncoder2 writes a VideoEncoder2Configuration.
func writeEncoder2(w *writer, element string, s Stream) {
	profile := "Baseline"
	if s.Codec == "H265" {
		profile = "Main"
	}
	w.within(element, func() {
		w.text("tt:Name", encoderToken(s))
		w.text("tt:UseCount", 1)
		w.text("tt:Encoding", s.Codec)
		writeSize(w, "tt:Resolution", s.Width, s.Height)
		w.within("tt:RateControl", func() {
			w.text("tt:FrameRateLimit", s.FPS)
			w.text("tt:BitrateLimit", (s.BitRate+500)/1000)
		}, "ConstantBitRate", "true")
		w.text("tt:Quality", 5)
	}, "token", encoderToken(s), "GovLength", strconv.Itoa(s.GOP), "Profile", profile)
}

func getEncoders2(c *call) error {
	all, err := c.asked()
	if err != nil {
		return err
	}
	for _, s := range all {
		writeEncoder2(&c.w, "tr2:Configurations", s)
	}
	return nil
}

func getEncoderOptions2(c *call) error {
	all, err := c.asked()
	if err != nil {
		return err
	}
	w := &c.w
	var rates []string
	for i := 1; i <= maxFPS; i++ {
		rates = append(rates, strconv.Itoa(i))
	}
	for _, s := range all {
		w.within("tr2:Options", func() {
			w.text("tt:Encoding", s.Codec)
			writeRange(w, "tt:QualityRange", 1, 10)
			for _, z := range offered(s) {
				writeSize(w, "tt:ResolutionsAvailable", z[0], z[1])
			}
			writeRange(w, "tt:BitrateRange", minKbs, maxKbs)
		}, "GovLengthRange", "1 "+strconv.Itoa(maxGOP), "FrameRatesSupported", strings.Join(rates, " "),
			"ProfilesSupported", "Baseline", "ConstantBitRateSupported", "true")
	}
	return nil
}

func getStreamURI2(c *call) error {
	_, s, err := c.profile()
	if err != nil {
		return err
	}
	switch p := c.op.text("Protocol"); p {
	case "RtspUnicast", "RTSP":
	default:
		return sender("no streaming over "+p, "ter:InvalidArgVal", "ter:InvalidStreamSetup")
	}
	c.w.text("tr2:Uri", c.rtspURL(s))
	return nil
}

func getSnapshotURI2(c *call) error {
	_, s, err := c.profile()
	if err == nil {
		c.w.text("tr2:Uri", c.snapshotURL(s))
	}
	return err
}
