package nvr

import (
	"time"

	"nightjar/internal/camera/rtsp"
	"nightjar/internal/store/catalog"
	"nightjar/internal/sys/host"
)

// source makes what receives a stream.
func (n *NVR) source(c *catalog.Camera, st *catalog.Stream) (*rtsp.Client, error) {
	transport, err := rtsp.ParseTransport(c.Settings.Transport)
	if err != nil {
		return nil, err
	}
	password, err := n.password(c)
	if err != nil {
		return nil, err
	}
	return rtsp.New(rtsp.Options{
		URL: st.URL, Username: c.Settings.Username, Password: password, Transport: transport,
		Audio: c.Settings.Audio, Metadata: true, Dial: rtsp.Dialer(st.URL), Batch: batch,
		Synced: clockSynced, Uptime: uptime,
	}), nil
}

// clockSynced asks the kernel whether the server's clock is synchronised.
func clockSynced() (synced, known bool) {
	c, err := host.Host{}.Clock()
	return c.Synchronized, err == nil
}

// uptime returns the time since boot, 0 when it is not to be had.
func uptime() time.Duration {
	d, err := host.Host{}.Uptime()
	if err != nil {
		return 0
	}
	return d
}

// batch is how long pictures may wait in the kernel, so that they are read in fewer, larger pieces: half of what a killed
// process may lose.
func batch() time.Duration { return 200 * time.Millisecond }
