package nvr

import (
	"context"

	"nightjar/internal/camera"
	"nightjar/internal/camera/rtsp"
	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
)

// measure makes the metrics of the server and of its directories.
func (n *NVR) measure(ctx context.Context) error {
	n.metrics.Gauge("nightjar_build", "1; the label is the server's version.", "version", n.o.Version).Set(1)
	n.metrics.Gauge("nightjar_start_time_seconds", "When the server started, in seconds since 1970.").Set(float64(n.began.UnixNano()) / 1e9)
	directories, err := n.catalog.Directories(ctx)
	for _, d := range directories {
		n.measureDirectory(d)
	}
	return err
}

// measureDirectory makes the metrics of a directory.
func (n *NVR) measureDirectory(d catalog.Directory) {
	n.metrics.GaugeFunc("nightjar_directory_available_bytes", "Free space of a sample file directory's file system.",
		func() float64 { return float64(n.DirectoryState(d.ID).Available) }, "directory", d.Path)
	n.metrics.GaugeFunc("nightjar_directory_up", "1 while a sample file directory can be used.", func() float64 {
		return truth(n.archive.Err(d.ID) == nil)
	}, "directory", d.Path)
}

// measureStream makes the metrics of a stream that is received. They go when its camera is removed.
func (n *NVR) measureStream(cam, stream string, id recording.StreamID, client *rtsp.Client) {
	labels := []string{"camera", cam, "stream", stream}
	n.metrics.GaugeFunc("nightjar_stream_recording", "1 while samples of the stream come and are recorded.", func() float64 {
		return truth(n.StreamState(id).Phase == camera.Receiving)
	}, labels...)
	for _, m := range []struct {
		name, help string
		read       func(rtsp.Stats) int64
	}{
		{"nightjar_stream_video_samples_total", "Video samples received.", func(s rtsp.Stats) int64 { return s.Video }},
		{"nightjar_stream_audio_samples_total", "Audio samples received.", func(s rtsp.Stats) int64 { return s.Audio }},
		{"nightjar_stream_damaged_samples_total", "Samples received with parts missing.", func(s rtsp.Stats) int64 { return s.Damaged }},
		{"nightjar_stream_packets_total", "RTP packets received.", func(s rtsp.Stats) int64 { return s.Packets }},
		{"nightjar_stream_packets_lost_total", "RTP packets that never came.", func(s rtsp.Stats) int64 { return s.Lost }},
		{"nightjar_stream_bytes_total", "Bytes in RTP packets received.", func(s rtsp.Stats) int64 { return s.Bytes }},
	} {
		n.metrics.CounterFunc(m.name, m.help, func() float64 { return float64(m.read(client.Stats())) }, labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
