package nvr_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/camsim"
	"nightjar/internal/server/config"
	"nightjar/internal/server/nvr"
)

// canary is a password that nothing else contains, with characters that every way of writing text changes.
const canary = `Zei5ig & <k7"%/+ä?>`

// disguises returns the ways in which a password may be written.
func disguises(user, password string) map[string]string {
	quoted, _ := json.Marshal(password) // a string always can be
	all := map[string]string{
		"plain": password, "path": url.PathEscape(password), "query": url.QueryEscape(password), "user info": url.UserPassword("", password).String()[1:],
		"JSON": strings.Trim(string(quoted), `"`), "Go": strings.Trim(fmt.Sprintf("%q", password), `"`),
		"HTML": html.EscapeString(password), "hex": hex.EncodeToString([]byte(password)),
	}
	for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		all[name], all[name+" of both"] = e.EncodeToString([]byte(password)), e.EncodeToString([]byte(user+":"+password))
	}
	return all
}

// TestCanary looks for the cameras' passwords, however written, in everything that the server says or stores.
func TestCanary(t *testing.T) {
	t.Parallel()
	// One camera that takes the password by Digest, one by Basic, one that refuses it, one whose address is wrong.
	digest := simulate(t, camsim.Options{NoSub: true, User: "warden", Password: canary})
	basic := simulate(t, camsim.Options{NoSub: true, User: "warden", Password: canary, Auth: []string{camsim.AuthBasic}})
	refuses := simulate(t, camsim.Options{NoSub: true, User: "warden", Password: "another"})
	data := dataDirectory(t)
	s := serve(t, data)
	said := map[string][]byte{}
	keep := func(what string, a answer) {
		said[what] = append(append(said[what], fmt.Sprintf("%v\n", a.header)...), a.body...)
	}
	with := func(address string) string {
		return (&url.URL{Scheme: "rtsp", User: url.UserPassword("warden", canary), Host: address, Path: "/cam0"}).String()
	}
	keep("add A", s.ask("POST", "/cameras", fields{"name": "A", "main": with(digest.address), "transport": "tcp"}))
	keep("add B", s.ask("POST", "/cameras", fields{"name": "B", "main": basic.url("/cam0"), "username": "warden", "password": canary, "transport": "tcp"}))
	keep("add C", s.ask("POST", "/cameras", fields{"name": "C", "main": with(refuses.address)}))
	keep("add D", s.ask("POST", "/cameras", fields{"name": "D", "main": with("127.0.0.1:1")}))
	keep("add E", s.ask("POST", "/cameras", fields{"name": "E", "main": "rtsp://warden:" + canary + "@[::1/x"}))
	keep("add F", s.ask("POST", "/cameras", fields{"name": "F", "main": strings.Replace(with("x"), "rtsp", "http", 1)}))
	keep("add twice", s.ask("POST", "/cameras", fields{"name": "A", "main": with(digest.address)}))
	s.listed("A/main", 30)
	s.listed("B/main", 30)
	until(t, "C and D have failed", func() bool {
		_, c, _ := s.state("C/main")
		_, d, _ := s.state("D/main")
		return c == "auth-failed" && d == "refused"
	})
	if err := digest.SetFault("/cam0", camsim.Fault{Kind: camsim.Refuse, Value: "500"}); err != nil {
		t.Fatal(err)
	}
	if err := digest.SetFault("/cam0", camsim.Fault{Kind: camsim.Close}); err != nil {
		t.Fatal(err)
	}
	until(t, "A has failed", func() bool { phase, _, _ := s.state("A/main"); return phase == "waiting" })
	root := strings.TrimSuffix(s.base, "/api/v1")
	for _, path := range []string{
		"/api/v1/status", "/api/v1/cameras", "/api/v1/gaps", "/api/v1/directories", "/healthz", "/readyz", "/metrics", "/",
		"/api/v1/cameras/A/main/recordings", "/api/v1/cameras/B/main/span",
	} {
		keep(path, s.ask("GET", root+path, nil))
	}
	for _, cam := range []string{"A", "B", "C", "D"} {
		keep("camera "+cam, s.ask("GET", "/cameras/"+cam, nil))
	}
	for _, stream := range []string{"A/main", "B/main"} {
		r := s.recordings(stream)[0]
		span := fmt.Sprintf("start=%dt&end=%dt", r.StartTime90k, r.StartTime90k+90_000)
		view := s.ask("GET", "/cameras/"+stream+"/view.mp4?"+span, nil)
		if view.status != 200 {
			t.Errorf("view of %s: %d %s", stream, view.status, view.body)
		}
		keep("view "+stream, view)
		keep("layout "+stream, s.ask("GET", "/cameras/"+stream+"/view.mp4.txt?"+span, nil))
	}
	keep("delete", s.ask("DELETE", "/cameras/D", nil))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	// A second server with the passwords from the catalog; and one whose key is another one.
	again := serve(t, data)
	until(t, "B is received again", func() bool { phase, _, _ := again.state("B/main"); return phase == "recording" })
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	said["log"], said["second log"] = []byte(s.log.String()), []byte(again.log.String())
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		said["file "+path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(said["log"], []byte("camera=C")) || !bytes.Contains(said["camera A"], []byte("warden")) {
		t.Errorf("the log or an answer is not what is searched: %s", said["log"])
	}
	for what, text := range said {
		for how, form := range disguises("warden", canary) {
			if at := bytes.Index(text, []byte(form)); at >= 0 {
				t.Errorf("%s holds the password (%s): …%q…", what, how, text[max(0, at-80):min(len(text), at+len(form)+20)])
			}
		}
	}
	wrongKey(t, data)
}

// wrongKey starts a server whose key file was replaced: it says so, and not what it could not read.
func wrongKey(t *testing.T, data string) {
	other := dataDirectory(t)
	key, err := os.ReadFile(filepath.Join(other, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "secret.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := config.Default()
	conf.Data, conf.Listen = data, "127.0.0.1:0"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = nvr.Run(ctx, conf, nvr.Options{Log: discard(), Ready: func(nvr.Info) { t.Error("ready with a wrong key"); cancel() }})
	if err == nil || !strings.Contains(err.Error(), "password of camera") {
		t.Errorf("a wrong key: %v", err)
	}
}
