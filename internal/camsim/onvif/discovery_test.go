package onvif

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// message writes a datagram of a client.
func message(action, body string) []byte { return discoveryMessage(action, everyone, "", body) }

const plainProbe = "<d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe>"

func TestProbes(t *testing.T) {
	_, s, f := newAsking(t, Options{})
	endpoint := s.devices[0].endpoint()
	resolve := func(e string) string {
		return "<d:Resolve><w:EndpointReference><w:Address>" + e + "</w:Address></w:EndpointReference></d:Resolve>"
	}
	scopes := func(by, v string) string {
		return `<d:Probe><d:Scopes MatchBy="` + by + `">` + v + "</d:Scopes></d:Probe>"
	}
	for _, c := range []struct{ name, body, want string }{
		{"by type", plainProbe, "ProbeMatches"},
		{"for anything", "<d:Probe/>", "ProbeMatches"},
		{"for a device", "<d:Probe><d:Types>x:Device dn:NetworkVideoTransmitter</d:Types><d:Scopes/></d:Probe>", "ProbeMatches"},
		{"for a printer", "<d:Probe><d:Types>p:Printer</d:Types></d:Probe>", ""},
		{"scope", scopes("", "onvif://www.onvif.org/name/cam0"), "ProbeMatches"},
		{"part of a scope", scopes("", "onvif://www.onvif.org/type/ onvif://www.onvif.org"), "ProbeMatches"},
		{"part of a segment", scopes("", "onvif://www.onvif.org/na"), ""},
		{"other scope", scopes("", "onvif://www.onvif.org/type onvif://www.onvif.org/name/cam1"), ""},
		{"exact", scopes(nsDiscovery+"/strcmp0", "onvif://www.onvif.org/name/cam0"), "ProbeMatches"},
		{"not exact", scopes(nsDiscovery+"/strcmp0", "onvif://www.onvif.org/name"), ""},
		{"resolve", resolve(endpoint), "ResolveMatches"},
		{"resolve another", resolve("urn:uuid:0"), ""},
		{"a Hello of ours", "<d:Hello/>", ""},
		{"no discovery", "<tds:GetHostname/>", ""},
	} {
		answers := s.discover(message("Probe", c.body), "10.0.0.7:80")
		if c.want == "" {
			if len(answers) != 0 {
				t.Errorf("%s: %s", c.name, answers[0])
			}
			continue
		}
		if len(answers) != 1 {
			t.Errorf("%s: %d answers", c.name, len(answers))
			continue
		}
		r, err := ParseRequest(answers[0])
		if err != nil {
			t.Fatal(err)
		}
		match := r.Operation.child(strings.TrimSuffix(c.want, "es"))
		if r.Operation.Name.Local != c.want || match.text("EndpointReference", "Address") != endpoint || match.text("XAddrs") != "http://10.0.0.7:80/onvif/device_service" ||
			!strings.HasPrefix(r.header("RelatesTo").Text, "urn:uuid:") || r.header("RelatesTo").Text == r.header("MessageID").Text {
			t.Errorf("%s: %s", c.name, answers[0])
		}
	}
	if len(s.discover([]byte("junk"), "")) != 0 {
		t.Error("junk was answered")
	}
	f.Reboot(0)
	if len(s.discover(message("Probe", plainProbe), "")) != 0 {
		t.Error("a camera that is down was found")
	}
}

// heard is what a listener of the group or a prober gets.
type heard struct {
	operation *Node
	from      string
}

// hear reads datagrams until the socket closes.
func hear(c *net.UDPConn) <-chan heard {
	all := make(chan heard, 100)
	go func() {
		defer close(all)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if r, err := ParseRequest(buf[:n]); err == nil {
				all <- heard{r.Operation, from.String()}
			}
		}
	}()
	return all
}

// expectHeard waits for an operation.
func expectHeard(t *testing.T, all <-chan heard, want string) heard {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case h, ok := <-all:
			if !ok {
				t.Fatalf("closed before %s", want)
			}
			if h.operation.Name.Local == want {
				return h
			}
		case <-limit:
			t.Fatalf("no %s", want)
		}
	}
}

// The test runs itself again in a network namespace whose loopback interface takes multicast.
func TestDiscoveryOnTheNet(t *testing.T) {
	if os.Getenv("NIGHTJAR_IN_NETNS") == "1" {
		discoverOnTheNet(t)
		return
	}
	const up = `ip link set lo up && ip link set lo multicast on && ip route add 239.0.0.0/8 dev lo && exec "$0" "$@"`
	if out, err := exec.CommandContext(t.Context(), "unshare", "-n", "sh", "-c", up, "true").CombinedOutput(); err != nil {
		t.Skipf("multicast discovery: needs root, unshare and ip: %v %s", err, out)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	nodePath := ""
	if os.Getenv("NIGHTJAR_LONG") == "1" {
		nodePath = discoveryClient(t)
	}
	cmd := exec.CommandContext(ctx, "unshare", "-n", "sh", "-c", up, self, "-test.run=^TestDiscoveryOnTheNet$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), "NIGHTJAR_IN_NETNS=1", "NODE_PATH="+nodePath)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDiscoveryOnTheNet") {
		t.Errorf("in a namespace: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// discoveryClient installs the npm package onvif where there is npm.
func discoveryClient(t *testing.T) string {
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "onvif@0.8.3")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Logf("npm package onvif as a discoverer: %v %s", err, out)
		return ""
	}
	return filepath.Join(dir, "node_modules")
}

func discoverOnTheNet(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	group, err := net.ListenMulticastUDP("udp4", lo, net.UDPAddrFromAddrPort(discoveryGroup))
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	announced := hear(group)

	_, s, f := newAsking(t, Options{})
	web, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, web) }()
	d, err := s.OpenDiscovery(web.Addr())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	_, port, _ := net.SplitHostPort(web.Addr().String())
	here := "http://127.0.0.1:" + port + "/onvif/device_service"
	if h := expectHeard(t, announced, "Hello"); h.operation.text("XAddrs") != here {
		t.Errorf("Hello from %q, want %q", h.operation.text("XAddrs"), here)
	}

	client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := hear(client)
	for _, to := range []string{"239.255.255.250:3702", "127.0.0.1:3702"} {
		addr, _ := net.ResolveUDPAddr("udp4", to)
		client.WriteTo(message("Probe", plainProbe), addr)
		h := expectHeard(t, answers, "ProbeMatches")
		if got := h.operation.text("ProbeMatch", "XAddrs"); got != here || h.from != "127.0.0.1:3702" {
			t.Errorf("probe to %s: %q from %s", to, got, h.from)
		}
		client.WriteTo(message("Resolve", "<d:Resolve><w:EndpointReference><w:Address>"+s.devices[0].endpoint()+"</w:Address></w:EndpointReference></d:Resolve>"), addr)
		expectHeard(t, answers, "ResolveMatches")
	}
	f.mu.Lock()
	f.boots++
	f.mu.Unlock()
	expectHeard(t, announced, "Hello") // again after a reboot
	if os.Getenv("NODE_PATH") != "" {
		out, err := exec.CommandContext(t.Context(), "node", "testdata/discover.js").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != here {
			t.Errorf("npm package: %v %s", err, out)
		}
		t.Logf("npm package found %s", out)
	}
	cancel()
	if h := expectHeard(t, announced, "Bye"); h.operation.text("EndpointReference", "Address") != s.devices[0].endpoint() {
		t.Errorf("Bye %s", dump(h.operation))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
