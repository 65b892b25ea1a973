package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/sys/secret"
)

const canary = `hunter2"&é@/`

// shown is what a person could see of it, in every way in which a value is turned into text.
func shown(t *testing.T, v any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v", "%q", "%x", "%X", "%d", "%T", "%10s", "%-5v", "%t", "%c"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out["json"] = string(b)
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v)
	out["slog text"], out["slog json"] = text.String(), js.String()
	out["print"] = fmt.Sprint(v)
	out["error"] = fmt.Errorf("with %v: %w", v, os.ErrExist).Error()
	return out
}

func TestStringIsNeverShown(t *testing.T) {
	s := secret.New(canary)
	type inner struct {
		Public  secret.String
		private secret.String
	}
	values := map[string]any{
		"value":   s,
		"pointer": &s,
		"struct":  inner{s, s},
		"deep":    &struct{ A []inner }{[]inner{{s, s}}},
		"map":     map[string]secret.String{"a": s},
		"slice":   []secret.String{s},
		"any":     []any{s, &s},
	}
	for name, v := range values {
		for how, text := range shown(t, v) {
			for _, form := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110"} {
				if strings.Contains(text, form) {
					t.Errorf("%s by %s shows the secret: %s", name, how, text)
				}
			}
			if name == "value" && how != "%T" && !strings.Contains(text, "***") {
				t.Errorf("%s by %s does not show ***: %s", name, how, text)
			}
		}
	}
	if b, err := xml.Marshal(inner{s, s}); err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("xml: %s, %v", b, err)
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q", s.Reveal())
	}
	if got := fmt.Sprintf("[%v|%q]", secret.String{}, secret.String{}); got != `[|""]` {
		t.Errorf("no secret prints as %s", got)
	}
}

func TestStringFromJSON(t *testing.T) {
	stored := secret.New("old")
	for _, tc := range []struct {
		in        string
		reveal    string
		unchanged bool
		or        string
	}{
		{`{"password":"new"}`, "new", false, "new"},
		{`{"password":"***"}`, "", true, "old"},
		{`{"password":"\u002a**"}`, "", true, "old"},
		{`{"password":""}`, "", false, ""},
		{`{"password":null}`, "", false, ""},
		{`{}`, "", false, ""},
		{`{"password":"****"}`, "****", false, "****"},
	} {
		var v struct{ Password secret.String }
		if err := json.Unmarshal([]byte(tc.in), &v); err != nil {
			t.Fatalf("%s: %v", tc.in, err)
		}
		if v.Password.Reveal() != tc.reveal || v.Password.Unchanged() != tc.unchanged || v.Password.Or(stored).Reveal() != tc.or {
			t.Errorf("%s: %q, unchanged %v, with the old one %q", tc.in, v.Password.Reveal(), v.Password.Unchanged(),
				v.Password.Or(stored).Reveal())
		}
	}
	v := struct{ Password secret.String }{stored}
	if err := json.Unmarshal([]byte(`{"password":"***"}`), &v); err != nil || v.Password.Reveal() != "old" {
		t.Errorf("*** over a present value: %q, %v", v.Password.Reveal(), err)
	}
	for _, bad := range []string{`{"password":{"hunter2":1}}`, `{"password":["hunter2"]}`, `{"password":17}`} {
		err := json.Unmarshal([]byte(bad), &v)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestEqual(t *testing.T) {
	a, b := secret.New("x"), secret.New("x")
	if !a.Equal(b) || a.Equal(secret.New("y")) || a.Equal(secret.String{}) || !(secret.String{}).Equal(secret.String{}) {
		t.Error("Equal does not compare texts")
	}
}

func TestRedactURL(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"rtsp://192.0.2.1/stream1", "rtsp://192.0.2.1/stream1"},
		{"rtsp://user:pass@192.0.2.1:554/stream1?a=b", "rtsp://***@192.0.2.1:554/stream1?a=b"},
		{"rtsp://user@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://:pass@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://user:p@ss@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://user:p/s?s#x@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://admin:12/34@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://a/b:secret@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://user:p%40ss@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"rtsp://user:pass%zz@192.0.2.1/", "rtsp://***@192.0.2.1/"},
		{"user:pass@192.0.2.1/stream", "***@192.0.2.1/stream"},
		{"user:a://b@192.0.2.1", "***@192.0.2.1"},
		{"//user:pass@192.0.2.1", "//***@192.0.2.1"},
		{`rtsp:\\user:pass@192.0.2.1`, "***@192.0.2.1"},
		{"rtsp://192.0.2.1/live@high", "rtsp://192.0.2.1/live@high"},
		{"http://h/?password=a&x=1", "http://h/?password=***&x=1"},
		{"http://h/?x=1&PassWord=a%26b&y=2", "http://h/?x=1&PassWord=***&y=2"},
		{"http://h/?x=1&PassWord=a%26b=c&y=2", "http://h/?x=1&PassWord=***&y=2"},
		{"http://h/?x=1&PassWord=a&b", "http://h/?x=1&PassWord=***"},
		{"http://h/?p%61ssword=a", "http://h/?p%61ssword=***"},
		{"http://h/?password%3da", "http://h/?password%3d***"},
		{"http://h/?pwd=a&usr=b", "http://h/?pwd=***&usr=b"},
		{"http://h/?loginuse=u&loginpas=p", "http://h/?loginuse=u&loginpas=***"},
		{"http://h/?access_token=a#b", "http://h/?access_token=***"},
		{"http://h/?api-key=a&keyframe=1", "http://h/?api-key=***&keyframe=1"},
		{"rtsp://h/user=admin&password=x&channel=1&stream=0.sdp?", "rtsp://h/user=admin&password=***&channel=1&stream=0.sdp?"},
		{"rtsp://h/user=admin_password=x_channel=1", "rtsp://h/user=admin_password=***"},
		{"http://h/p?src=rtsp%3A%2F%2Fu%3Ap%40cam%2F1", "http://***%40cam%2F1"},
		{"http://h/p?src=rtsp%253A%252F%252Fu%253Ap%2540cam", "http://***%2540cam"},
		{"", ""},
		{"://@", "://***@"},
		{"%", "%"},
	} {
		if got := secret.RedactURL(tc.in); got != tc.want {
			t.Errorf("RedactURL(%q) = %q; want %q", tc.in, got, tc.want)
		}
	}
}

// TestLongInput gives the worst that somebody could send; it is here for its duration, which must not be noticed.
func TestLongInput(t *testing.T) {
	long := map[string]string{
		"pairs": strings.Repeat("&password=x", 2_000), "signs": strings.Repeat("=", 5_000), "percent": "%" + strings.Repeat("25", 5_000),
		"encoded": strings.Repeat("%25", 5_000), "at": strings.Repeat("@", 5_000), "prefix": strings.Repeat("hunter", 2_000),
	}
	for name, text := range long {
		if got := secret.RedactURL("http://u:hunter2@h/?" + text); strings.Contains(got, "hunter2") {
			t.Errorf("%s: the secret came through", name)
		}
		for _, s := range []string{"hunter2", "%%%%", "====="} {
			if got := secret.Scrub(text+s, secret.New(s)); strings.HasSuffix(got, s) {
				t.Errorf("%s: the secret %s came through", name, s)
			}
		}
	}
}

// FuzzRedactURL puts a marked secret in every place where one can stand; no mark may come through.
func FuzzRedactURL(f *testing.F) {
	for _, seed := range []string{"", "a", "p@ss", "a/b?c#d", "%40", "a=b", "://", "x y", "\x00\xff", "%2540", "a:b@c:d", `\`, "'\""} {
		f.Add(seed, seed, "host:554")
	}
	f.Fuzz(func(t *testing.T, filling, user, host string) {
		const mark = "Zq9Xw"
		if strings.Contains(user+host, mark) {
			return
		}
		hidden := mark + filling + mark
		// An unescaped & followed by a name and = ends a value: nobody can tell.
		value := strings.NewReplacer("&", "", "%", "").Replace(hidden)
		host = strings.NewReplacer("@", "", "%", "").Replace(host)
		for _, raw := range []string{
			"rtsp://" + user + ":" + hidden + "@" + host + "/a",
			"rtsp://" + user + ":" + hidden + "@" + host + "/a?password=" + value + "&b=c",
			"rtsp://" + url.UserPassword(user, hidden).String() + "@" + host,
			"rtsp://" + host + "/a?x=1&pwd=" + value + "&b=c",
			"rtsp://" + host + "/a?token=" + url.QueryEscape(hidden) + "&x=y",
			"http://" + host + "/?src=" + url.QueryEscape("rtsp://u:"+hidden+"@"+host),
			"http://" + host + "/?src=" + url.QueryEscape(url.QueryEscape("rtsp://u:"+hidden+"@"+host)),
			user + ":" + hidden + "@" + host,
		} {
			if got := secret.RedactURL(raw); strings.Contains(got, mark) {
				t.Errorf("RedactURL(%q) = %q", raw, got)
			}
		}
		// Whatever it gets, it comes to an end and does not change what it made.
		once := secret.RedactURL(filling)
		if twice := secret.RedactURL(once); strings.Contains(twice, mark) != strings.Contains(once, mark) {
			t.Errorf("RedactURL of %q = %q", once, twice)
		}
	})
}

func encodings(plain string) map[string]string {
	js, _ := json.Marshal(plain)
	full := ""
	for _, c := range []byte(plain) {
		full += fmt.Sprintf("%%%02x", c)
	}
	out := map[string]string{
		"plain": plain, "query": url.QueryEscape(plain), "path": url.PathEscape(plain), "user": url.UserPassword("u", plain).String(),
		"twice": url.QueryEscape(url.QueryEscape(plain)), "all": full, "json": string(js), "go": fmt.Sprintf("%q", plain),
	}
	for shift := range 3 {
		b := []byte("admin:"[:4+shift%3] + plain + ":x"[:shift])
		out[fmt.Sprintf("base64 %d", shift)] = base64.StdEncoding.EncodeToString(b)
		out[fmt.Sprintf("base64url %d", shift)] = base64.RawURLEncoding.EncodeToString(b)
		out[fmt.Sprintf("base64 in query %d", shift)] = url.QueryEscape(base64.StdEncoding.EncodeToString(b))
	}
	return out
}

func TestScrub(t *testing.T) {
	for _, plain := range []string{"hunter2", "päss wörd", `a"b\c/d`, "%40%", "+ +", "~~~???>>>", "line\nbreak"} {
		for how, text := range encodings(plain) {
			in := "before <" + text + "> after"
			got := secret.Scrub(in, secret.String{}, secret.New("unused-one"), secret.New(plain))
			if strings.Contains(got, text) || strings.Contains(got, plain) || !strings.Contains(got, "***") {
				t.Errorf("%q as %s: %q became %q", plain, how, in, got)
			}
			if !strings.HasPrefix(got, "before <") || !strings.HasSuffix(got, "> after") {
				t.Errorf("%q as %s: %q became %q", plain, how, in, got)
			}
		}
	}
	if got := secret.Scrub("nothing here", secret.New("hunter2")); got != "nothing here" {
		t.Errorf("Scrub changed a text without secrets to %q", got)
	}
	if got := secret.Scrub("aXbbbX", secret.New("X"), secret.New("bb")); got != "a***" {
		t.Errorf("Scrub of touching secrets = %q", got)
	}
}

func FuzzScrub(f *testing.F) {
	for _, seed := range []string{"hunter2", "%25", "\\u0041", "====", "a\x00b", "+++ ///"} {
		f.Add(seed, "prefix", "suffix")
	}
	f.Fuzz(func(t *testing.T, plain, before, after string) {
		if len(plain) < 3 || len(plain) > 100 || strings.Contains(plain, "***") {
			return // longer ones are found as well, but in square time
		}
		for how, text := range encodings(plain) {
			got := secret.Scrub(before+text+after, secret.New(plain))
			for part := range strings.SplitSeq(got, "***") { // the mask may make up the secret anew, with what is beside it
				if strings.Contains(part, plain) {
					t.Errorf("%q as %s between %q and %q: %q", plain, how, before, after, got)
				}
			}
		}
		b := []byte(before + plain + after)
		if got := secret.Scrub(base64.StdEncoding.EncodeToString(b), secret.New(plain)); got != "***" {
			t.Errorf("base64 of %q: %q", b, got)
		}
	})
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if _, err := secret.OpenKey(path); err == nil {
		t.Fatal("OpenKey of nothing succeeded")
	}
	made, err := secret.CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.CreateKey(path); err == nil {
		t.Fatal("CreateKey replaced a key")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Fatalf("key file has mode %v, %v", info.Mode(), err)
	}
	sealed := made.Seal(secret.New(canary), "camera 1")
	if bytes.Contains(sealed, []byte("hunter2")) {
		t.Fatal("the sealed secret can be read")
	}
	if bytes.Equal(sealed, made.Seal(secret.New(canary), "camera 1")) {
		t.Fatal("two seals of one secret are equal")
	}
	key, err := secret.OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := key.Open(sealed, "camera 1"); err != nil || s.Reveal() != canary {
		t.Fatalf("Open = %q, %v", s.Reveal(), err)
	}
	if s, err := key.Open(key.Seal(secret.String{}, "x"), "x"); err != nil || !s.IsZero() {
		t.Fatalf("Open of no secret = %q, %v", s.Reveal(), err)
	}
	if _, err := key.Open(sealed, "camera 2"); err == nil {
		t.Error("a sealed secret works in another place")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := key.Open(bad, "camera 1"); err == nil {
			t.Errorf("byte %d changed, and Open succeeds", i)
		}
		if _, err := key.Open(sealed[:i], "camera 1"); err == nil {
			t.Errorf("cut to %d bytes, and Open succeeds", i)
		}
	}
	other, err := secret.CreateKey(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(sealed, "camera 1"); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("Open with another key: %v", err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, err := secret.CreateKey(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"group may read":  {string(text), 0o640, "chmod 600"},
		"others may read": {string(text), 0o604, "chmod 600"},
		"short":           {string(text[:40]), 0o600, "damaged"},
		"other prefix":    {"x" + string(text), 0o600, "damaged"},
		"empty":           {"", 0o600, "damaged"},
		"not hex":         {strings.Replace(string(text), "key-1 ", "key-1 z", 1), 0o600, "damaged"},
		"huge":            {strings.Repeat(string(text), 100), 0o600, "damaged"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		_, err := secret.OpenKey(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
	if _, err := secret.OpenKey(dir); err == nil {
		t.Error("OpenKey of a directory succeeded")
	}
}
