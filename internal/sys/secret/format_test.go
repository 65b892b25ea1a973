package secret_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightjar/internal/sys/secret"
)

// example is what docs/format/secret.md shows.
type example struct {
	keyFile, context, password string
	sealed                     []byte
}

func readExample(t *testing.T) example {
	t.Helper()
	page, err := os.ReadFile("../../../docs/format/secret.md")
	if err != nil {
		t.Fatal(err)
	}
	only := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(page), -1)
		if len(found) != 1 {
			t.Fatalf("%d places of the page match %s", len(found), pattern)
		}
		return found[0][1]
	}
	e := example{
		keyFile:  only(`(?m)^    (nightjar-key-1 .*)$`) + "\n",
		context:  only(`(?m)^    (camera [0-9a-f]+)$`),
		password: only("The password `(.*?)`"),
	}
	for _, line := range regexp.MustCompile(`(?m)^    ([0-9a-f]{2}(?: [0-9a-f]{2})*)$`).FindAllStringSubmatch(string(page), -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		e.sealed = append(e.sealed, b...)
	}
	return e
}

func keyOf(t *testing.T, text string) *secret.Key {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := secret.OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestFormatPage opens the page's example with the package.
func TestFormatPage(t *testing.T) {
	e := readExample(t)
	key := keyOf(t, e.keyFile)
	got, err := key.Open(e.sealed, e.context)
	if err != nil || got.Reveal() != e.password {
		t.Errorf("Open = %q, %v; the page says %q", got.Reveal(), err, e.password)
	}
	if _, err := key.Open(e.sealed, strings.Replace(e.context, "30", "31", 1)); err == nil {
		t.Error("the example opens in another context")
	}
	if len(e.keyFile) != 80 || len(e.sealed) != len(e.password)+33 {
		t.Errorf("%d bytes of key file, %d sealed ones", len(e.keyFile), len(e.sealed))
	}
	other := keyOf(t, strings.Replace(e.keyFile, "00", "ff", 1))
	if _, err := other.Open(e.sealed, e.context); !errors.Is(err, secret.ErrOtherKey) {
		t.Errorf("Open with another key: %v", err)
	}
}

// TestFormatFields opens what the package makes by the page's tables alone.
func TestFormatFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	key, err := secret.CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 80 || string(text[:15]) != "nightjar-key-1 " || text[79] != '\n' {
		t.Fatalf("key file of %d bytes begins %q", len(text), text[:min(len(text), 15)])
	}
	raw, err := hex.DecodeString(string(text[15:79]))
	if err != nil {
		t.Fatal(err)
	}
	const context = "camera 303132333435363738393a3b3c3d3e3f"
	sealed := key.Seal(secret.New(canary), context)
	id := sha256.Sum256(raw)
	if sealed[0] != 1 || string(sealed[1:5]) != string(id[:4]) {
		t.Errorf("sealed secret begins % x", sealed[:5])
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, sealed[5:17], sealed[17:], append(sealed[:5:5], context...))
	if err != nil || string(plain) != canary {
		t.Errorf("by the page it holds %q, %v", plain, err)
	}
}
