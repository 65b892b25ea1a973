package onvif

import (
	"fmt"
	"testing"
	"time"
)

func TestProfilesOfBothMediaServices(t *testing.T) {
	a, _, f := newAsking(t, Options{})
	for _, p := range []string{"trt", "tr2"} {
		all := a.ask("<" + p + ":GetProfiles><" + p + ":Type>All</" + p + ":Type></" + p + ":GetProfiles>")
		if len(all.Children) != 2 {
			t.Fatalf("%s: %s", p, dump(all))
		}
		first := all.Children[0]
		encoder, source := first.child("VideoEncoderConfiguration"), first.child("VideoSourceConfiguration")
		if p == "tr2" {
			encoder, source = first.child("Configurations", "VideoEncoder"), first.child("Configurations", "VideoSource")
		}
		if name, _ := first.attr("token"); name != "main" || encoder.text("Resolution", "Width") != "1920" || encoder.text("RateControl", "FrameRateLimit") != "30" ||
			encoder.text("RateControl", "BitrateLimit") != "3000" || source.text("SourceToken") != videoSource {
			t.Errorf("%s: %s", p, dump(first))
		}
		uri := a.ask("<" + p + ":GetStreamUri><" + p + ":Protocol>RTSP</" + p + ":Protocol><" + p + ":ProfileToken>sub</" + p + ":ProfileToken></" + p + ":GetStreamUri>")
		if got := uri.text("Uri") + uri.text("MediaUri", "Uri"); got != "rtsp://10.0.0.7:8554/cam0/sub" {
			t.Errorf("%s: %s", p, got)
		}
		a.refused("<"+p+":GetSnapshotUri><"+p+":ProfileToken>third</"+p+":ProfileToken></"+p+":GetSnapshotUri>", 400, "ter:NoProfile")
		a.ask("<" + p + ":SetSynchronizationPoint><" + p + ":ProfileToken>sub</" + p + ":ProfileToken></" + p + ":SetSynchronizationPoint>")
	}
	if f.keys != [2]int{0, 2} {
		t.Errorf("key samples forced: %v", f.keys)
	}
	if n := a.ask("<tr2:GetProfiles/>"); n.Children[0].child("Configurations") != nil {
		t.Error("configurations that nobody asked for")
	}
	a.ask("<trt:GetProfile><trt:ProfileToken>main</trt:ProfileToken></trt:GetProfile>")
	a.refused("<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Multicast</tt:Stream></trt:StreamSetup><trt:ProfileToken>main</trt:ProfileToken></trt:GetStreamUri>",
		400, "ter:InvalidStreamSetup")
	a.refused("<tr2:GetStreamUri><tr2:Protocol>RtspOverHttp</tr2:Protocol><tr2:ProfileToken>main</tr2:ProfileToken></tr2:GetStreamUri>", 400, "ter:InvalidStreamSetup")
}

// Version 1.0 of the media service has no word for H.265.
func TestH265IsForMedia2Alone(t *testing.T) {
	a, _, f := newAsking(t, Options{})
	f.streams[0].Codec = "H265"
	if all := a.ask("<trt:GetProfiles/>"); len(all.Children) != 1 {
		t.Errorf("%s", dump(all))
	}
	if all := a.ask("<tr2:GetProfiles/>"); len(all.Children) != 2 {
		t.Errorf("%s", dump(all))
	}
	a.refused("<trt:GetStreamUri><trt:ProfileToken>main</trt:ProfileToken></trt:GetStreamUri>", 400, "ter:NoProfile")
	a.ask("<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>main</tr2:ProfileToken></tr2:GetStreamUri>")
	if got := a.ask("<tr2:GetVideoEncoderConfigurations/>").Children[0].text("Encoding"); got != "H265" {
		t.Errorf("encoding %s", got)
	}
	// The sub stream keeps its place.
	a.ask("<trt:SetSynchronizationPoint><trt:ProfileToken>sub</trt:ProfileToken></trt:SetSynchronizationPoint>")
	if f.keys != [2]int{0, 1} {
		t.Errorf("key samples forced: %v", f.keys)
	}
}

func TestEncoderConfiguration(t *testing.T) {
	a, _, f := newAsking(t, Options{})
	f.streams[0].BitRate = 3_000_200
	set := func(p, token, content string, attributes string) string {
		return fmt.Sprintf(`<%s:SetVideoEncoderConfiguration><%s:Configuration token="%s"%s>%s</%s:Configuration></%s:SetVideoEncoderConfiguration>`,
			p, p, token, attributes, content, p, p)
	}
	get := func() Encoding { return f.Streams()[0].Encoding }

	a.ask(set("trt", "encoder-main", "<tt:RateControl><tt:BitrateLimit>3000</tt:BitrateLimit></tt:RateControl>", ""))
	if get().BitRate != 3_000_200 {
		t.Error("the rounded bit rate that was read changed it")
	}
	a.ask(set("trt", "encoder-main", "<tt:Resolution><tt:Width>1280</tt:Width><tt:Height>720</tt:Height></tt:Resolution><tt:RateControl>"+
		"<tt:FrameRateLimit>15</tt:FrameRateLimit><tt:BitrateLimit>1500</tt:BitrateLimit></tt:RateControl><tt:H264><tt:GovLength>45</tt:GovLength></tt:H264>", ""))
	if want := (Encoding{1280, 720, 15, 45, 1_500_000}); get() != want {
		t.Errorf("%+v, want %+v", get(), want)
	}
	a.ask(set("tr2", "encoder-main", "<tt:RateControl><tt:FrameRateLimit>12.5</tt:FrameRateLimit></tt:RateControl>", ` GovLength="24"`))
	if want := (Encoding{1280, 720, 13, 24, 1_500_000}); get() != want {
		t.Errorf("%+v, want %+v", get(), want)
	}
	read := a.ask("<trt:GetVideoEncoderConfiguration><trt:ConfigurationToken>encoder-main</trt:ConfigurationToken></trt:GetVideoEncoderConfiguration>").child("Configuration")
	if read.text("H264", "GovLength") != "24" || read.text("RateControl", "FrameRateLimit") != "13" || read.text("Resolution", "Height") != "720" {
		t.Errorf("%s", dump(read))
	}
	for content, subcode := range map[string]string{
		"<tt:Resolution><tt:Width>1281</tt:Width></tt:Resolution>":                          "ter:ConfigModify",
		"<tt:Resolution><tt:Width>wide</tt:Width></tt:Resolution>":                          "ter:InvalidArgVal",
		"<tt:RateControl><tt:FrameRateLimit>0</tt:FrameRateLimit></tt:RateControl>":         "ter:ConfigModify",
		"<tt:RateControl><tt:FrameRateLimit>61</tt:FrameRateLimit></tt:RateControl>":        "ter:ConfigModify",
		"<tt:RateControl><tt:BitrateLimit>1</tt:BitrateLimit></tt:RateControl>":             "ter:ConfigModify",
		"<tt:RateControl><tt:BitrateLimit>99999999</tt:BitrateLimit></tt:RateControl>":      "ter:ConfigModify",
		"<tt:H264><tt:GovLength>601</tt:GovLength></tt:H264>":                               "ter:ConfigModify",
		"<tt:Encoding>JPEG</tt:Encoding>":                                                   "ter:ConfigModify",
		"<tt:RateControl><tt:FrameRateLimit>NaN</tt:FrameRateLimit></tt:RateControl>":       "ter:InvalidArgVal",
		"<tt:RateControl><tt:FrameRateLimit>1e99</tt:FrameRateLimit></tt:RateControl>":      "ter:InvalidArgVal",
		"<tt:Resolution><tt:Width>99999</tt:Width><tt:Height>2</tt:Height></tt:Resolution>": "ter:ConfigModify",
	} {
		a.refused(set("trt", "encoder-main", content, ""), 400, subcode)
	}
	a.refused(set("trt", "encoder-sub", "<tt:RateControl><tt:FrameRateLimit>5</tt:FrameRateLimit></tt:RateControl>", ""), 400, "ter:ConfigModify") // the camera refuses
	a.refused(set("trt", "encoder-third", "", ""), 400, "ter:NoConfig")
	a.refused("<trt:SetVideoEncoderConfiguration/>", 400, "ter:NoConfig")
	if want := (Encoding{1280, 720, 13, 24, 1_500_000}); get() != want {
		t.Errorf("refused and yet %+v", get())
	}
}

// What the options offer can be set.
func TestOptionsCanBeSet(t *testing.T) {
	a, _, f := newAsking(t, Options{})
	f.streams[0].Width, f.streams[0].Height = 1000, 700 // no standard size
	n := a.ask("<trt:GetVideoEncoderConfigurationOptions><trt:ProfileToken>main</trt:ProfileToken></trt:GetVideoEncoderConfigurationOptions>").child("Options", "H264")
	count := 0
	for _, z := range n.Children {
		if z.Name.Local == "ResolutionsAvailable" {
			count++
			a.ask(`<trt:SetVideoEncoderConfiguration><trt:Configuration token="encoder-main"><tt:Resolution><tt:Width>` + z.text("Width") + "</tt:Width><tt:Height>" +
				z.text("Height") + "</tt:Height></tt:Resolution></trt:Configuration></trt:SetVideoEncoderConfiguration>")
		}
	}
	if count != len(sizes)+1 || n.text("FrameRateRange", "Max") != "60" {
		t.Errorf("%s", dump(n))
	}
	if all := a.ask("<tr2:GetVideoEncoderConfigurationOptions/>"); len(all.Children) != 2 {
		t.Errorf("%s", dump(all))
	}
	a.refused("<trt:GetVideoEncoderConfigurationOptions><trt:ConfigurationToken>x</trt:ConfigurationToken></trt:GetVideoEncoderConfigurationOptions>", 400, "ter:NoConfig")
}

func TestImaging(t *testing.T) {
	a, _, _ := newAsking(t, Options{})
	const source = "<timg:VideoSourceToken>source0</timg:VideoSourceToken>"
	set := func(content string) string {
		return "<timg:SetImagingSettings>" + source + "<timg:ImagingSettings>" + content + "</timg:ImagingSettings></timg:SetImagingSettings>"
	}
	a.ask(set("<tt:Brightness>70.5</tt:Brightness><tt:IrCutFilter>OFF</tt:IrCutFilter>"))
	a.refused(set("<tt:Contrast>101</tt:Contrast>"), 400, "ter:SettingsInvalid")
	a.refused(set("<tt:Contrast>1</tt:Contrast><tt:IrCutFilter>MAYBE</tt:IrCutFilter>"), 400, "ter:SettingsInvalid")
	n := a.ask("<timg:GetImagingSettings>" + source + "</timg:GetImagingSettings>").child("ImagingSettings")
	if n.text("Brightness") != "70.5" || n.text("IrCutFilter") != "OFF" || n.text("Contrast") != "50" {
		t.Errorf("%s", dump(n))
	}
	a.refused("<timg:GetImagingSettings><timg:VideoSourceToken>x</timg:VideoSourceToken></timg:GetImagingSettings>", 400, "ter:NoSource")
	a.ask("<timg:GetOptions>" + source + "</timg:GetOptions>")
}

func TestPTZ(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, s, _ := newAsking(t, Options{})
		do := func(name, content string) string {
			return "<tptz:" + name + "><tptz:ProfileToken>main</tptz:ProfileToken>" + content + "</tptz:" + name + ">"
		}
		at := func() (Position, string) {
			n := a.ask(do("GetStatus", "")).child("PTZStatus")
			var p Position
			x, _ := n.child("Position", "PanTilt").attr("x")
			y, _ := n.child("Position", "PanTilt").attr("y")
			z, _ := n.child("Position", "Zoom").attr("x")
			fmt.Sscan(x+" "+y+" "+z, &p.Pan, &p.Tilt, &p.Zoom)
			return p, n.text("MoveStatus", "PanTilt")
		}
		expect := func(want Position, status string) {
			t.Helper()
			got, moving := at()
			near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
			if !near(got.Pan, want.Pan) || !near(got.Tilt, want.Tilt) || !near(got.Zoom, want.Zoom) || moving != status {
				t.Errorf("at %+v %s, want %+v %s", got, moving, want, status)
			}
		}
		a.ask(do("AbsoluteMove", `<tptz:Position><tt:PanTilt x="0.5" y="-0.5"/><tt:Zoom x="0.25"/></tptz:Position>`))
		expect(Position{0.5, -0.5, 0.25}, "IDLE")
		a.ask(do("RelativeMove", `<tptz:Translation><tt:PanTilt x="-0.1" y="0.1"/></tptz:Translation>`))
		expect(Position{0.4, -0.4, 0.25}, "IDLE")
		a.ask(do("ContinuousMove", `<tptz:Velocity><tt:PanTilt x="-0.2" y="0"/></tptz:Velocity><tptz:Timeout>PT3S</tptz:Timeout>`))
		time.Sleep(time.Second)
		expect(Position{0.2, -0.4, 0.25}, "MOVING")
		time.Sleep(10 * time.Second)
		expect(Position{-0.2, -0.4, 0.25}, "IDLE") // the timeout ended it
		a.ask(do("ContinuousMove", `<tptz:Velocity><tt:PanTilt x="1" y="0"/><tt:Zoom x="0.5"/></tptz:Velocity>`))
		time.Sleep(time.Second / 2)
		a.ask(do("Stop", "<tptz:PanTilt>true</tptz:PanTilt><tptz:Zoom>false</tptz:Zoom>"))
		time.Sleep(time.Second / 2)
		expect(Position{0.3, -0.4, 0.75}, "IDLE")
		a.ask(do("Stop", ""))
		token := a.ask(do("SetPreset", "<tptz:PresetName>door</tptz:PresetName>")).text("PresetToken")
		a.ask(do("GotoHomePosition", ""))
		expect(Position{}, "IDLE")
		a.ask(do("GotoPreset", "<tptz:PresetToken>"+token+"</tptz:PresetToken>"))
		expect(Position{0.3, -0.4, 0.75}, "IDLE")
		presets := a.ask(do("GetPresets", ""))
		if got, _ := presets.child("Preset").attr("token"); len(presets.Children) != 1 || got != token || presets.text("Preset", "Name") != "door" {
			t.Errorf("%s", dump(presets))
		}
		a.refused(do("GotoPreset", "<tptz:PresetToken>x</tptz:PresetToken>"), 400, "ter:NoToken")
		a.refused(do("AbsoluteMove", `<tptz:Position><tt:PanTilt x="1.5" y="0"/></tptz:Position>`), 400, "ter:InvalidPosition")
		a.refused(do("AbsoluteMove", ""), 400, "ter:InvalidArgVal")
		a.refused("<tptz:Stop><tptz:ProfileToken>x</tptz:ProfileToken></tptz:Stop>", 400, "ter:NoProfile")
		a.ask(do("SetHomePosition", ""))
		a.ask(do("RemovePreset", "<tptz:PresetToken>"+token+"</tptz:PresetToken>"))
		state := s.State()["cam0"].PTZ
		var names []string
		for _, m := range state.Moves {
			names = append(names, m.Operation)
		}
		want := "[AbsoluteMove RelativeMove ContinuousMove ContinuousMove Stop Stop SetPreset GotoHomePosition GotoPreset SetHomePosition RemovePreset]"
		if fmt.Sprint(names) != want || state.Recorded != 11 || state.Moves[2].Timeout != "PT3S" || state.Moves[2].Vector.Pan != -0.2 || len(state.Presets) != 0 ||
			state.Moves[8].Preset != token || state.Moves[8].Name != "door" {
			t.Errorf("%v\n%+v", names, state)
		}
		for range maxMoves {
			a.ask(do("Stop", ""))
		}
		if state := s.State()["cam0"].PTZ; len(state.Moves) != maxMoves || state.Recorded != 11+maxMoves {
			t.Errorf("%d of %d moves kept", len(state.Moves), state.Recorded)
		}
		a.ask("<tptz:GetNodes/>")
		a.ask("<tptz:GetConfigurations/>")
		a.ask("<tptz:GetNode><tptz:NodeToken>node0</tptz:NodeToken></tptz:GetNode>")
		a.refused("<tptz:GetNode><tptz:NodeToken>x</tptz:NodeToken></tptz:GetNode>", 400, "ter:NoEntity")
	})
}
