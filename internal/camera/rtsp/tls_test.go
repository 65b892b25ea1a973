package rtsp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"nightjar/internal/media"
	"nightjar/internal/store/recording"
)

// TestTLS receives over rtsps with a certificate that is trusted, and refuses one that is not.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	f := newFake()
	f.stream = func(c *fakeConn) { newSource(c).picture(0, true) }
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	f.group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.group.Go(func() { f.serve(&fakeConn{Conn: c, f: f, writing: make(chan struct{}, 1)}) })
		}
	})
	defer f.group.Wait()
	defer ln.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var r received
	emit := func(s media.Sample) error { r.emit(s); cancel(); return nil }
	url := "rtsps://" + ln.Addr().String() + "/stream"
	if err := New(Options{URL: url, Transport: TCP}).Run(ctx, emit); reasonOf(err) != recording.AuthFailed {
		t.Errorf("a certificate of nobody: %v", err)
	}
	err = New(Options{URL: url, Transport: TCP, TLSConfig: &tls.Config{RootCAs: trusted}}).Run(ctx, emit)
	if reasonOf(err) != "" || r.samples[media.Video] != 1 {
		t.Errorf("%v, %v", err, r.samples)
	}
}
