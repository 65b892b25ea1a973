package secret

import (
	"encoding/base64"
	"slices"
	"strings"
)

// base64Least is the shortest secret that is looked for in base64: of fewer bytes too little is left that does not
// depend on the bytes around it.
const base64Least = 3

// mostEncodings bounds how often one thing may be percent-encoded and still be found.
const mostEncodings = 4

// Scrub replaces the given secrets by *** wherever they stand in a text: as they are, percent-encoded in whole or in part
// (up to four times over), escaped as in JSON or Go strings, and inside base64 (of which the whole run is replaced), for example in
// an Authorization header. Empty secrets are passed over.
func Scrub(text string, secrets ...String) string {
	var spans []span
	for _, s := range secrets {
		plain := s.Reveal()
		if plain == "" {
			continue
		}
		spans = append(spans, findEscaped(text, plain)...)
		if len(plain) >= base64Least {
			spans = append(spans, findBase64(text, plain)...)
		}
	}
	return mask(text, spans)
}

// findEscaped finds a secret of which each byte may be escaped in some way.
func findEscaped(text, secret string) []span {
	var spans []span
	for i := range len(text) {
		if c := text[i]; c != secret[0] && c != '%' && c != '\\' && c != '+' {
			continue // the usual case, without memory
		}
		ends := step(text, []int{i}, secret[0])
		for j := 1; j < len(secret) && len(ends) > 0; j++ {
			ends = step(text, ends, secret[j])
		}
		if len(ends) > 0 {
			spans = append(spans, span{i, slices.Max(ends)})
		}
	}
	return spans
}

// step moves each place in the text over one byte of the secret, in every way in which it may be written there.
func step(text string, places []int, c byte) []int {
	var out []int
	add := func(end int) {
		for _, e := range out {
			if e == end {
				return
			}
		}
		out = append(out, end)
	}
	for _, at := range places {
		rest := text[at:]
		if rest == "" {
			continue
		}
		if isByte(rest[0], c) {
			add(at + 1)
		}
		// %25 is a percent sign, or the first half of a sign that was encoded twice.
		for n := 1; rest[0] == '%' && n <= 2*mostEncodings && isHex(rest[n:]); n += 2 {
			if isByte(unhex(rest[n])<<4|unhex(rest[n+1]), c) {
				add(at + n + 2)
			}
			if rest[n:n+2] != "25" {
				break
			}
		}
		if n := backslash(rest, c); n > 0 {
			add(at + n)
		}
	}
	return out
}

// isByte compares a byte of the text with one of the secret; forms write + for a space.
func isByte(found, wanted byte) bool { return found == wanted || found == '+' && wanted == ' ' }

// backslash tells how long the escape of c is that begins a text, as JSON and Go write it; 0: there is none.
func backslash(text string, c byte) int {
	if len(text) < 2 || text[0] != '\\' {
		return 0
	}
	switch {
	case text[1] == 'u' && len(text) >= 6 && text[2:4] == "00" && isHex(text[4:]) && unhex(text[4])<<4|unhex(text[5]) == c:
		return 6
	case text[1] == 'x' && isHex(text[2:]) && unhex(text[2])<<4|unhex(text[3]) == c:
		return 4
	case text[1] == c && strings.IndexByte(`"'\/`, c) >= 0:
		return 2
	case strings.IndexByte("\n\t\r", c) >= 0 && text[1] == "ntr"[strings.IndexByte("\n\t\r", c)]:
		return 2
	}
	return 0
}

// findBase64 finds runs of base64 that hold a secret at any of the three alignments.
func findBase64(text, secret string) []span {
	var spans []span
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		// Characters of 6 bits that come from the secret's bits alone.
		first, last := (shift*8+5)/6, len(padded)*8/6
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			core := alphabet.EncodeToString(padded)[first:last]
			for _, s := range findEscaped(text, core) {
				spans = append(spans, base64Run(text, s.from, s.to))
			}
		}
	}
	return spans
}

func base64Run(text string, from, to int) span {
	for from > 0 && isBase64(text[from-1]) {
		from--
	}
	for to < len(text) && (isBase64(text[to]) || text[to] == '=') {
		to++
	}
	return span{from, to}
}

func isBase64(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("+/-_", c) >= 0
}
