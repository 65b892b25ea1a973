package rtsp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"nightjar/internal/media/rtp"
	"nightjar/internal/store/recording"
	"nightjar/internal/sys/dial"
)

// fail makes the error that Run returns: a reason and a sentence without credentials.
func fail(reason recording.Reason, format string, args ...any) error {
	return &recording.Error{Reason: reason, Err: &sentence{err: fmt.Errorf(format, args...)}}
}

// sentence is an error whose text holds no credentials.
type sentence struct{ err error }

func (s *sentence) Error() string { return redact(s.err.Error()) }
func (s *sentence) Unwrap() error { return s.err }

// statusError is an answer other than 2xx.
type statusError struct {
	method string
	answer *message
}

func (e *statusError) Error() string { return "the camera answered " + e.answer.String() }

// explain turns an error of something attempted into the one Run returns.
func explain(attempt string, err error) error {
	var already *recording.Error
	var h *handed
	if errors.As(err, &already) || errors.As(err, &h) {
		return err
	}
	var status *statusError
	if errors.As(err, &status) {
		return fail(statusReason(status.answer.status), "%s: %w", attempt, err)
	}
	var refused *refusal
	var unsupported *rtp.UnsupportedError
	if errors.As(err, &refused) || errors.As(err, &unsupported) {
		return fail(recording.Unsupported, "%s: %w", attempt, err)
	}
	return fail(networkReason(err), "%s: %w", attempt, plain(err))
}

// statusReason is the reason for each status code (RFC 2326 section 11).
func statusReason(status int) recording.Reason {
	switch status {
	case 401, 403, 407:
		return recording.AuthFailed
	case 404, 410:
		return recording.NotFound
	case 415, 461, 551:
		return recording.Unsupported
	case 453, 503:
		return recording.Refused
	case 408, 504:
		return recording.Timeout
	case 454:
		return recording.CameraClosed
	}
	return recording.ProtocolError
}

// networkReason is the reason for an error of a connection that had been made.
func networkReason(err error) recording.Reason {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return recording.CameraClosed
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return recording.Timeout
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return recording.CameraOffline
	}
	return recording.ProtocolError
}

// plain says in words what the most frequent errors mean.
func plain(err error) error {
	switch networkReason(err) {
	case recording.CameraClosed:
		return worded{"the camera closed the connection", err}
	case recording.Timeout:
		return worded{"the camera does not answer", err}
	}
	return err
}

// worded is an error with other words.
type worded struct {
	text string
	err  error
}

func (w worded) Error() string { return w.text }
func (w worded) Unwrap() error { return w.err }

// dialError turns an error of connecting into the one Run returns.
func dialError(host string, err error) error {
	var dns *net.DNSError
	var already *recording.Error
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &already), errors.Is(err, context.Canceled):
		return err
	case dial.CauseOf(err) == dial.Denied:
		return fail(recording.Refused, "connect to %s: %w", host, err)
	case errors.As(err, &dns):
		return fail(recording.DNS, "find the address of %s: %w", host, worded{"there is no such host", err})
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(recording.Refused, "connect to %s: %w", host, worded{"the address answers, but nothing takes connections on this port", err})
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name):
		return fail(recording.AuthFailed, "connect to %s: the camera's certificate can't be trusted: %w", host, err)
	case errors.As(err, &record):
		return fail(recording.ProtocolError, "connect to %s: %w", host, worded{"the camera does not speak TLS on this port", err})
	case isTimeout(err):
		return fail(recording.CameraOffline, "connect to %s: %w", host, worded{"no answer", err})
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return fail(recording.CameraOffline, "connect to %s: %w", host, worded{"no way to the address", err})
	}
	reason := networkReason(err)
	if reason == recording.ProtocolError {
		reason = recording.CameraOffline
	}
	return fail(reason, "connect to %s: %w", host, err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
