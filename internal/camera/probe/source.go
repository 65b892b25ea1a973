package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/camera/rtsp"
	"nightjar/internal/media"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/secret"
)

// source makes the client that a recording would use, with everything that can be received.
func (o *Options) source() (*rtsp.Client, error) {
	transport, err := rtsp.ParseTransport(o.Transport)
	if err != nil {
		return nil, &recording.Error{Reason: recording.ProtocolError, Err: err}
	}
	return rtsp.New(rtsp.Options{
		URL: o.URL, Username: o.Username, Password: o.Password, Transport: transport, Audio: true, Metadata: true,
		Dial: rtsp.Dialer(o.URL),
	}), nil
}

// receive runs the source and fills the report.
func (r *Report) receive(ctx context.Context, o Options, source *rtsp.Client) error {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var end *time.Timer
	err := source.Run(ctx, func(s media.Sample) error {
		if end == nil {
			r.FirstMS = time.Since(began).Milliseconds()
			end = time.NewTimer(o.Duration)
		}
		r.add(&s)
		select {
		case <-end.C:
			return errEnough
		default:
			return nil
		}
	})
	if end != nil {
		end.Stop()
	}
	stats := source.Stats()
	r.Transport, r.Lost = stats.Transport, uint64(stats.Lost)
	if err == nil && end == nil {
		return &recording.Error{Reason: recording.CameraClosed, Err: errors.New("the camera ended the session before a picture came")}
	}
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("%s: %w", secret.RedactURL(o.URL), err)
	}
	return err
}
