package front

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// broken is a listener that fails for good.
type broken struct{ net.Listener }

var errBroken = errors.New("as arranged")

func (broken) Accept() (net.Conn, error) { return nil, errBroken }

// TestDoorFails has one of two doors fail: Run closes the other and says so.
func TestDoorFails(t *testing.T) {
	var l [2]net.Listener
	for i := range l {
		var err error
		if l[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	err := Run(t.Context(), Options{Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}, l[0], broken{l[1]})
	if !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	if c, err := net.Dial("tcp", l[0].Addr().String()); err == nil {
		c.Close()
		t.Error("the other door is open")
	}
}
