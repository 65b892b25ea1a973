package onvif

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Position is where the camera looks, or how fast it turns: pan and tilt from -1 to 1, zoom from 0 (as a speed -1) to 1.
type Position struct {
	Pan  float64 `json:"pan"`
	Tilt float64 `json:"tilt"`
	Zoom float64 `json:"zoom"`
}

// Move is one command that the PTZ unit was given.
type Move struct {
	At        time.Time `json:"at"` // by the device's clock
	Operation string    `json:"operation"`
	Profile   string    `json:"profile"`
	Vector    *Position `json:"vector,omitempty"` // position, way or speed
	Timeout   string    `json:"timeout,omitempty"`
	Preset    string    `json:"preset,omitempty"` // token
	Name      string    `json:"name,omitempty"`   // of a preset
}

// Bounds of what the PTZ unit remembers.
const (
	maxMoves    = 1000
	maxPresets  = 100
	moveTimeout = 10 * time.Second // of a ContinuousMove without Timeout
)

// Spaces of PTZ coordinates (ONVIF PTZ section 5.7).
const (
	spacePosition     = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/PositionGenericSpace"
	spaceZoomPosition = "http://www.onvif.org/ver10/tptz/ZoomSpaces/PositionGenericSpace"
	spaceWay          = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationGenericSpace"
	spaceZoomWay      = "http://www.onvif.org/ver10/tptz/ZoomSpaces/TranslationGenericSpace"
	spaceSpeed        = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/VelocityGenericSpace"
	spaceZoomSpeed    = "http://www.onvif.org/ver10/tptz/ZoomSpaces/VelocityGenericSpace"
)

// ptzUnit is the moving part of a device. Absolute and relative moves take no time; a continuous move crosses a range
// of 1 in a second at speed 1.
type ptzUnit struct {
	moves    []Move // the latest maxMoves
	recorded int    // all of them
	at       Position
	speed    Position
	from     time.Time // when it was at at
	until    time.Time // end of the continuous move
	home     Position
	presets  []preset
	lastID   int
}

type preset struct {
	Token    string   `json:"token"`
	Name     string   `json:"name"`
	Position Position `json:"position"`
}

func newPTZ() ptzUnit { return ptzUnit{} }

func (p *ptzUnit) record(m Move) {
	if len(p.moves) == maxMoves {
		p.moves = slices.Delete(p.moves, 0, 1)
	}
	p.moves = append(p.moves, m)
	p.recorded++
}

// settle moves on to where the unit is at an instant.
func (p *ptzUnit) settle(now time.Time) {
	end := now
	if p.until.Before(end) {
		end = p.until
	}
	if s := end.Sub(p.from).Seconds(); s > 0 {
		p.at = Position{p.at.Pan + s*p.speed.Pan, p.at.Tilt + s*p.speed.Tilt, p.at.Zoom + s*p.speed.Zoom}.limited()
	}
	p.from = now
	if !now.Before(p.until) {
		p.speed = Position{}
	}
}

// place puts the unit somewhere and ends its motion.
func (p *ptzUnit) place(at Position, now time.Time) {
	p.at, p.speed, p.from, p.until = at.limited(), Position{}, now, now
}

// limited returns the nearest position that can be taken.
func (p Position) limited() Position {
	return Position{min(max(p.Pan, -1), 1), min(max(p.Tilt, -1), 1), min(max(p.Zoom, 0), 1)}
}

func init() {
	serves(nsPTZ, map[string]func(c *call) error{
		"+GetServiceCapabilities": func(c *call) error { writePTZCapabilities(&c.w); return nil },
		"GetNodes":                func(c *call) error { c.writeNode("tptz:PTZNode"); return nil },
		"GetNode":                 getNode,
		"GetConfigurations": func(c *call) error {
			c.w.within("tptz:PTZConfiguration", func() { writePTZConfiguration(&c.w) }, "token", ptzConfig)
			return nil
		},
		"GetConfiguration": getPTZConfiguration,
		"ContinuousMove":   moved(continuousMove),
		"AbsoluteMove":     moved(absoluteMove),
		"RelativeMove":     moved(relativeMove),
		"Stop":             moved(stopMove),
		"GotoPreset":       moved(gotoPreset),
		"SetPreset":        moved(setPreset),
		"RemovePreset":     moved(removePreset),
		"GetPresets":       getPresets,
		"GotoHomePosition": moved(gotoHome),
		"SetHomePosition":  moved(setHome),
		"GetStatus":        getStatus,
	})
}

func writePTZCapabilities(w *writer) {
	w.empty("tptz:Capabilities", "EFlip", "false", "Reverse", "false", "GetCompatibleConfigurations", "false", "MoveStatus", "true", "StatusPosition", "true")
}

func (c *call) writeNode(element string) {
	w := &c.w
	w.within(element, func() {
		w.text("tt:Name", "unit")
		w.within("tt:SupportedPTZSpaces", func() {
			spaces := []struct {
				name, uri string
				least     float64
				plane     bool
			}{
				{"AbsolutePanTiltPositionSpace", spacePosition, -1, true}, {"AbsoluteZoomPositionSpace", spaceZoomPosition, 0, false},
				{"RelativePanTiltTranslationSpace", spaceWay, -1, true}, {"RelativeZoomTranslationSpace", spaceZoomWay, -1, false},
				{"ContinuousPanTiltVelocitySpace", spaceSpeed, -1, true}, {"ContinuousZoomVelocitySpace", spaceZoomSpeed, -1, false},
			}
			for _, s := range spaces {
				w.within("tt:"+s.name, func() {
					w.text("tt:URI", s.uri)
					writeRange(w, "tt:XRange", s.least, 1)
					if s.plane {
						writeRange(w, "tt:YRange", s.least, 1)
					}
				})
			}
		})
		w.text("tt:MaximumNumberOfPresets", maxPresets)
		w.text("tt:HomeSupported", true)
	}, "token", "node0", "FixedHomePosition", "false")
}

func getNode(c *call) error {
	if t := c.op.text("NodeToken"); t != "node0" {
		return sender(fmt.Sprintf("there is no node %q", t), "ter:InvalidArgVal", "ter:NoEntity")
	}
	c.writeNode("tptz:PTZNode")
	return nil
}

func getPTZConfiguration(c *call) error {
	if t := c.op.text("PTZConfigurationToken"); t != ptzConfig {
		return noConfig(t)
	}
	c.w.within("tptz:PTZConfiguration", func() { writePTZConfiguration(&c.w) }, "token", ptzConfig)
	return nil
}

func writePTZConfiguration(w *writer) {
	w.text("tt:Name", "ptz")
	w.text("tt:UseCount", 2)
	w.text("tt:NodeToken", "node0")
	w.text("tt:DefaultAbsolutePantTiltPositionSpace", spacePosition) // spelt so in the schema
	w.text("tt:DefaultAbsoluteZoomPositionSpace", spaceZoomPosition)
	w.text("tt:DefaultRelativePanTiltTranslationSpace", spaceWay)
	w.text("tt:DefaultRelativeZoomTranslationSpace", spaceZoomWay)
	w.text("tt:DefaultContinuousPanTiltVelocitySpace", spaceSpeed)
	w.text("tt:DefaultContinuousZoomVelocitySpace", spaceZoomSpeed)
	w.text("tt:DefaultPTZTimeout", formatDuration(moveTimeout))
}

// moved makes an operation of what one command does to the unit: it checks the profile, and records the command if it
// was carried out.
func moved(do func(c *call, p *ptzUnit, m *Move, now time.Time) error) func(c *call) error {
	return func(c *call) error {
		_, s, err := c.anyProfile()
		if err != nil {
			return err
		}
		m := Move{At: c.d.now().UTC(), Operation: c.op.Name.Local, Profile: s.Name}
		now := time.Now()
		c.d.mu.Lock()
		defer c.d.mu.Unlock()
		c.d.ptz.settle(now)
		if err := do(c, &c.d.ptz, &m, now); err != nil {
			return err
		}
		c.d.ptz.record(m)
		return nil
	}
}

// anyProfile returns the stream of the request's ProfileToken, whatever its codec.
func (c *call) anyProfile() (int, Stream, error) {
	token := c.op.text("ProfileToken")
	for i, s := range c.d.camera.Streams() {
		if s.Name == token {
			return i, s, nil
		}
	}
	return 0, Stream{}, noProfile(token)
}

// vector reads a PTZVector or PTZSpeed; what it does not mention stays as in otherwise.
func vector(n *Node, otherwise Position) (Position, error) {
	if n == nil {
		return otherwise, invalid("no vector")
	}
	p := otherwise
	for _, v := range []struct {
		element, attribute string
		to                 *float64
	}{{"PanTilt", "x", &p.Pan}, {"PanTilt", "y", &p.Tilt}, {"Zoom", "x", &p.Zoom}} {
		text, ok := n.child(v.element).attr(v.attribute)
		if !ok {
			continue
		}
		x, err := parseNumber(text, v.element)
		if err != nil {
			return p, err
		}
		if x < -1 || x > 1 {
			return p, sender(fmt.Sprintf("%s %s=%s is outside the space", v.element, v.attribute, text), "ter:InvalidArgVal", "ter:InvalidPosition")
		}
		*v.to = x
	}
	return p, nil
}

func continuousMove(c *call, p *ptzUnit, m *Move, now time.Time) error {
	v, err := vector(c.op.child("Velocity"), Position{})
	if err != nil {
		return err
	}
	d := moveTimeout
	if text := c.op.text("Timeout"); text != "" {
		if d, err = parseDuration(text); err != nil || d < 0 {
			return invalid("Timeout is %q", text)
		}
		m.Timeout = text
	}
	m.Vector = &v
	p.speed, p.from, p.until = v, now, now.Add(d)
	return nil
}

func absoluteMove(c *call, p *ptzUnit, m *Move, now time.Time) error {
	v, err := vector(c.op.child("Position"), p.at)
	if err != nil {
		return err
	}
	m.Vector = &v
	p.place(v, now)
	return nil
}

func relativeMove(c *call, p *ptzUnit, m *Move, now time.Time) error {
	v, err := vector(c.op.child("Translation"), Position{})
	if err != nil {
		return err
	}
	m.Vector = &v
	p.place(Position{p.at.Pan + v.Pan, p.at.Tilt + v.Tilt, p.at.Zoom + v.Zoom}, now)
	return nil
}

// stopMove ends the motion of what is named; without names, of both (ONVIF PTZ section 5.3.4).
func stopMove(c *call, p *ptzUnit, _ *Move, _ time.Time) error {
	if c.op.text("PanTilt") != "false" {
		p.speed.Pan, p.speed.Tilt = 0, 0
	}
	if c.op.text("Zoom") != "false" {
		p.speed.Zoom = 0
	}
	return nil
}

func (p *ptzUnit) preset(token string) (int, error) {
	i := slices.IndexFunc(p.presets, func(x preset) bool { return x.Token == token })
	if i < 0 {
		return 0, sender(fmt.Sprintf("there is no preset %q", token), "ter:InvalidArgVal", "ter:NoToken")
	}
	return i, nil
}

func gotoPreset(c *call, p *ptzUnit, m *Move, now time.Time) error {
	m.Preset = c.op.text("PresetToken")
	i, err := p.preset(m.Preset)
	if err != nil {
		return err
	}
	m.Name = p.presets[i].Name
	p.place(p.presets[i].Position, now)
	return nil
}

func setPreset(c *call, p *ptzUnit, m *Move, _ time.Time) error {
	m.Preset, m.Name = c.op.text("PresetToken"), c.op.text("PresetName")
	at := p.at
	m.Vector = &at
	if m.Preset != "" {
		i, err := p.preset(m.Preset)
		if err != nil {
			return err
		}
		p.presets[i].Position = at
		if m.Name != "" {
			p.presets[i].Name = m.Name
		}
		c.w.text("tptz:PresetToken", m.Preset)
		return nil
	}
	if len(p.presets) >= maxPresets {
		return &fault{code: "Receiver", subcodes: []string{"ter:Action", "ter:TooManyPresets"}, reason: "no room for another preset"}
	}
	p.lastID++
	m.Preset = "preset" + strconv.Itoa(p.lastID)
	if m.Name == "" {
		m.Name = m.Preset
	}
	p.presets = append(p.presets, preset{m.Preset, m.Name, at})
	c.w.text("tptz:PresetToken", m.Preset)
	return nil
}

func removePreset(c *call, p *ptzUnit, m *Move, _ time.Time) error {
	m.Preset = c.op.text("PresetToken")
	i, err := p.preset(m.Preset)
	if err == nil {
		m.Name = p.presets[i].Name
		p.presets = slices.Delete(p.presets, i, i+1)
	}
	return err
}

func gotoHome(_ *call, p *ptzUnit, _ *Move, now time.Time) error {
	p.place(p.home, now)
	return nil
}

func setHome(_ *call, p *ptzUnit, m *Move, _ time.Time) error {
	p.home = p.at
	at := p.at
	m.Vector = &at
	return nil
}

func writePosition(w *writer, name string, at Position) {
	w.within(name, func() {
		w.empty("tt:PanTilt", "x", format(at.Pan), "y", format(at.Tilt), "space", spacePosition)
		w.empty("tt:Zoom", "x", format(at.Zoom), "space", spaceZoomPosition)
	})
}

func getPresets(c *call) error {
	if _, _, err := c.anyProfile(); err != nil {
		return err
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	for _, p := range c.d.ptz.presets {
		c.w.within("tptz:Preset", func() {
			c.w.text("tt:Name", p.Name)
			writePosition(&c.w, "tt:PTZPosition", p.Position)
		}, "token", p.Token)
	}
	return nil
}

func getStatus(c *call) error {
	if _, _, err := c.anyProfile(); err != nil {
		return err
	}
	now := c.d.now()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	p := &c.d.ptz
	p.settle(time.Now())
	status := func(moving bool) string {
		return strings.ToUpper(map[bool]string{true: "moving", false: "idle"}[moving])
	}
	w := &c.w
	w.within("tptz:PTZStatus", func() {
		writePosition(w, "tt:Position", p.at)
		w.within("tt:MoveStatus", func() {
			w.text("tt:PanTilt", status(p.speed.Pan != 0 || p.speed.Tilt != 0))
			w.text("tt:Zoom", status(p.speed.Zoom != 0))
		})
		w.text("tt:UtcTime", now)
	})
	return nil
}
