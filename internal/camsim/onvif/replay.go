package onvif

import (
	"context"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Replay answers SOAP requests with what a real device was recorded to say, whatever the path: the answer to the same
// operation with the same arguments, or else the answers to that operation one after the other, and again from the
// first. HTTP addresses of the device's services become ours; RTSP addresses and everything else stay as recorded. No
// authentication is asked for. After its last recorded answer, PullMessages waits for the timeout of the request, as a
// device at which nothing more happens.
type Replay struct {
	byName  map[xml.Name]*sequence
	byLocal map[string]*sequence // of operations whose namespace was not recorded, or is another one

	mu sync.Mutex // guards the sequences' places
}

// sequence is the answers to one operation.
type sequence struct {
	all  []*exchange
	next int
}

func newReplay(all []*exchange) *Replay {
	r := &Replay{byName: map[xml.Name]*sequence{}, byLocal: map[string]*sequence{}}
	for _, x := range all {
		if r.byName[x.name] == nil {
			r.byName[x.name] = &sequence{}
		}
		s := r.byName[x.name]
		s.all = append(s.all, x)
		if r.byLocal[x.name.Local] == nil || x.name.Space == "" {
			r.byLocal[x.name.Local] = s
		}
	}
	return r
}

// Operations returns the names of the operations that can be answered, sorted.
func (r *Replay) Operations() []string {
	var all []string
	for n := range r.byName {
		all = append(all, strings.TrimSpace(n.Space+" "+n.Local))
	}
	slices.Sort(all)
	return all
}

// Serve answers requests at the listener until ctx ends.
func (r *Replay) Serve(ctx context.Context, ln net.Listener) error { return serveHTTP(ctx, ln, r) }

// ServeHTTP answers one request.
func (r *Replay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil {
		reply(w, "", "", "", invalid("read request: %v", err))
		return
	}
	in, err := ParseRequest(body)
	if err != nil {
		reply(w, "", "", "", sender(err.Error(), "ter:WellFormed"))
		return
	}
	x, again := r.find(in.Operation)
	if x == nil {
		reply(w, "", "", "", unsupported(in.Operation.Name.Local+" was not recorded"))
		return
	}
	if again && in.Operation.Name.Local == "PullMessages" && !pause(q.Context(), in.Operation) {
		return
	}
	answer := readdress(x.answer, saneHost(q.Host))
	w.Header().Set("Content-Type", "application/soap+xml; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(x.httpStatus())
	w.Write(answer) // fails only when the client has left
}

// find returns the answer to an operation, and whether it is given once more from the first on.
func (r *Replay) find(op *Node) (x *exchange, again bool) {
	s := r.byName[op.Name]
	if s == nil {
		s = r.byLocal[op.Name.Local]
	}
	if s == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var same []int
	for i, x := range s.all {
		if x.request != nil && len(op.Children) > 0 && sameArguments(op, x.request) {
			same = append(same, i)
		}
	}
	i := s.next % len(s.all)
	again = s.next > 0 && i == 0
	if len(same) > 0 && len(same) < len(s.all) { // the next one of those with the same arguments
		at := 0
		for at < len(same)-1 && same[at] < i {
			at++
		}
		i = same[at]
	}
	s.next = max(s.next+1, 1)
	return s.all[i], again
}

// sameArguments compares names, texts and attributes of two operations.
func sameArguments(a, b *Node) bool {
	return a.Name == b.Name && a.Text == b.Text && slices.Equal(a.Attr, b.Attr) && slices.EqualFunc(a.Children, b.Children, sameArguments)
}

// pause waits as long as a request lets us; false: the client is gone.
func pause(ctx context.Context, op *Node) bool {
	d, err := parseDuration(op.text("Timeout"))
	if err != nil {
		d = time.Second
	}
	t := time.NewTimer(min(max(d, 0), maxPull))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// httpStatus is the recorded one, or follows from who is to blame in a fault (SOAP 1.2 part 2 table 20).
func (x *exchange) httpStatus() int {
	switch {
	case x.status >= 200 && x.status <= 599:
		return x.status
	case !x.refused:
		return http.StatusOK
	}
	f := sender("")
	if a, err := ParseRequest(x.answer); err != nil || !strings.HasSuffix(a.Operation.text("Code", "Value"), "Sender") {
		f.code = "Receiver"
	}
	return f.httpStatus()
}

// addressed finds the HTTP addresses in elements that hold addresses of the device.
var addressed = regexp.MustCompile(`(<(?:[\w.-]+:)?(?:XAddr|Address|Uri)(?:\s[^<>]*)?>\s*)https?://([^/<>\s]+)`)

// readdress puts our host where the device's own stood.
func readdress(answer []byte, host string) []byte {
	return addressed.ReplaceAllFunc(answer, func(m []byte) []byte {
		parts := addressed.FindSubmatch(m)
		if h := string(parts[2]); strings.HasSuffix(h, "w3.org") || strings.HasSuffix(h, "xmlsoap.org") || strings.HasSuffix(h, "onvif.org") {
			return m // an identifier, no address
		}
		return append(slices.Clone(parts[1]), "http://"+host...)
	})
}
