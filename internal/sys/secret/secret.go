// Package secret keeps passwords and tokens out of everything that is printed, logged, stored or sent.
//
//   - String is a value that shows itself as *** to fmt, encoding/json, encoding.TextMarshaler and log/slog, also deep
//     inside other structs; only Reveal gives it away. An empty String shows as empty, so that "none set" can be seen.
//     *** that comes back from a form is taken for "unchanged" and never for a password.
//   - RedactURL and Scrub take secrets out of text that others made.
//   - Key seals secrets for the catalog: AES-256-GCM with a key file beside it, so that a copy of the database alone
//     tells nothing.
//
// Values are immutable and may be used concurrently; a *String is the caller's to guard, as any variable is.
package secret

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Mask is what a secret looks like from outside.
const Mask = "***"

// String is a secret text. The zero value is no secret.
type String struct {
	// Two pointers, as fmt does not ask unexported fields of other structs for their String method, but prints what is in
	// them, behind one pointer too if the verb does not suit; behind a second one it prints an address.
	box       *box
	unchanged bool
}

type box struct{ text *string }

// New makes a secret of a text.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{box: &box{&text}}
}

// Reveal returns the text.
func (s String) Reveal() string {
	if s.box == nil {
		return ""
	}
	return *s.box.text
}

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.box == nil }

// Unchanged reports whether the value was decoded from ***: whoever sent it wants to keep the secret that is stored.
func (s String) Unchanged() bool { return s.unchanged }

// Or returns s, or old if s is Unchanged.
func (s String) Or(old String) String {
	if s.unchanged {
		return old
	}
	return s
}

// Equal compares in constant time for texts of equal length.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

func (s String) mask() string {
	if s.IsZero() && !s.unchanged {
		return ""
	}
	return Mask
}

// String returns *** or nothing.
func (s String) String() string { return s.mask() }

// GoString returns *** or nothing, in quotes.
func (s String) GoString() string { return `"` + s.mask() + `"` }

// Format prints *** or nothing for every verb.
func (s String) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q', verb == 'v' && f.Flag('#'):
		io.WriteString(f, s.GoString())
	default:
		io.WriteString(f, s.mask())
	}
}

// LogValue is *** or nothing.
func (s String) LogValue() slog.Value { return slog.StringValue(s.mask()) }

// MarshalText returns *** or nothing.
func (s String) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }

// MarshalJSON returns *** or nothing as a JSON string.
func (s String) MarshalJSON() ([]byte, error) { return []byte(s.GoString()), nil }

// UnmarshalText takes a new secret; *** keeps the present one and marks it Unchanged.
func (s *String) UnmarshalText(text []byte) error {
	if string(text) == Mask {
		s.unchanged = true
		return nil
	}
	*s = New(string(text))
	return nil
}

// UnmarshalJSON takes a new secret from a JSON string; *** keeps the present one and marks it Unchanged, null does
// nothing. No error repeats the input.
func (s *String) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	var text string
	if json.Unmarshal(data, &text) != nil {
		return fmt.Errorf("decode secret: not a JSON string")
	}
	return s.UnmarshalText([]byte(text))
}
