package onvif

import "fmt"

// imagingSettings are what GetImagingSettings tells. They change nothing in the pictures: those are read by machines.
type imagingSettings struct {
	values [4]float64 // in the order of imagingNames
	filter string     // IrCutFilter
}

// imagingNames are in the order of the schema (ONVIF ImagingSettings20), with IrCutFilter before the last.
var imagingNames = [4]string{"Brightness", "ColorSaturation", "Contrast", "Sharpness"}

var defaultImaging = imagingSettings{[4]float64{50, 50, 50, 50}, "AUTO"}

func init() {
	serves(nsImaging, map[string]func(c *call) error{
		"+GetServiceCapabilities": func(c *call) error { writeImagingCapabilities(&c.w); return nil },
		"GetImagingSettings":      getImaging,
		"SetImagingSettings":      setImaging,
		"GetOptions":              getImagingOptions,
	})
}

func writeImagingCapabilities(w *writer) {
	w.empty("timg:Capabilities", "ImageStabilization", "false", "Presets", "false")
}

// source checks the token of the video source.
func (c *call) source() error {
	if t := c.op.text("VideoSourceToken"); t != videoSource {
		return sender(fmt.Sprintf("there is no video source %q", t), "ter:InvalidArgVal", "ter:NoSource")
	}
	return nil
}

func getImaging(c *call) error {
	if err := c.source(); err != nil {
		return err
	}
	c.d.mu.Lock()
	now := c.d.imaging
	c.d.mu.Unlock()
	c.w.within("timg:ImagingSettings", func() {
		for i, name := range imagingNames {
			if i == 3 {
				c.w.text("tt:IrCutFilter", now.filter)
			}
			c.w.text("tt:"+name, now.values[i])
		}
	})
	return nil
}

func setImaging(c *call) error {
	if err := c.source(); err != nil {
		return err
	}
	n := c.op.child("ImagingSettings")
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	next := c.d.imaging
	bad := func(name string) error {
		return sender(name+" "+n.text(name)+" is not offered", "ter:InvalidArgVal", "ter:SettingsInvalid")
	}
	for i, name := range imagingNames {
		v, err := n.number(next.values[i], name)
		if err != nil {
			return err
		}
		if v < 0 || v > 100 {
			return bad(name)
		}
		next.values[i] = v
	}
	switch f := n.text("IrCutFilter"); f {
	case "ON", "OFF", "AUTO":
		next.filter = f
	case "":
	default:
		return bad("IrCutFilter")
	}
	c.d.imaging = next
	return nil
}

func getImagingOptions(c *call) error {
	if err := c.source(); err != nil {
		return err
	}
	c.w.within("timg:ImagingOptions", func() {
		for i, name := range imagingNames {
			if i == 3 {
				for _, mode := range []string{"ON", "OFF", "AUTO"} {
					c.w.text("tt:IrCutFilterModes", mode)
				}
			}
			writeRange(&c.w, "tt:"+name, 0, 100)
		}
	})
	return nil
}
