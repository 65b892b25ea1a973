package onvif

import (
	"fmt"
	"net/http"
)

// fault is a SOAP fault (SOAP 1.2 part 1 section 5.4; ONVIF Core 5.8.2): who is to blame, up to two levels of subcode,
// and a sentence.
type fault struct {
	status   int    // of HTTP; 0 is 400 for what the sender did and 500 for the receiver
	code     string // Sender, Receiver, VersionMismatch
	subcodes []string
	reason   string
	detail   func(w *writer) // content of the detail element, or nil
}

func (f *fault) Error() string { return fmt.Sprintf("%s %v: %s", f.code, f.subcodes, f.reason) }

// httpStatus follows SOAP 1.2 part 2 table 20.
func (f *fault) httpStatus() int {
	switch {
	case f.status != 0:
		return f.status
	case f.code == "Sender":
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// body writes the fault element.
func (f *fault) body() string {
	var w writer
	w.within("s:Fault", func() {
		w.within("s:Code", func() {
			w.text("s:Value", "s:"+f.code)
			for _, c := range f.subcodes {
				w.open("s:Subcode")
				w.text("s:Value", c)
			}
			for range f.subcodes {
				w.shut("s:Subcode")
			}
		})
		w.within("s:Reason", func() { w.text("s:Text", f.reason, "xml:lang", "en") })
		if f.detail != nil {
			w.within("s:Detail", func() { f.detail(&w) })
		}
	})
	return w.b.String()
}

// sender is a fault of the client, with its subcodes outermost first.
func sender(reason string, subcodes ...string) *fault {
	return &fault{code: "Sender", subcodes: subcodes, reason: reason}
}

// invalid is a wrong argument.
func invalid(format string, a ...any) *fault {
	return sender(fmt.Sprintf(format, a...), "ter:InvalidArgVal")
}

func noProfile(token string) *fault {
	return sender(fmt.Sprintf("there is no profile %q", token), "ter:InvalidArgVal", "ter:NoProfile")
}

func noConfig(token string) *fault {
	return sender(fmt.Sprintf("there is no configuration %q", token), "ter:InvalidArgVal", "ter:NoConfig")
}

func notAuthorized(reason string) *fault {
	return sender("Sender not Authorized: "+reason, "ter:NotAuthorized")
}

func unsupported(operation string) *fault {
	return &fault{code: "Receiver", subcodes: []string{"ter:ActionNotSupported"}, reason: "Optional Action Not Implemented: " + operation}
}
