package secret

import (
	"slices"
	"strings"
)

// sensitive are the parts of names whose values RedactURL hides, lower case. Cameras have their own spellings: pwd, psw,
// loginpas, passwd. A name that ends in key or is one of the short ones counts too.
var sensitive = []string{"pass", "pwd", "psw", "token", "secret", "auth", "cred", "sess", "loginpas", "signature", "otp"}

var sensitiveShort = []string{"pw", "pas", "pin", "sig", "sid", "hash", "code", "key"}

// RedactURL replaces by *** what may be secret in a URL: user name and password, and the values of names such as
// password, pwd or token, in the query or anywhere else (some cameras take them in the path). It does not expect a well
// formed URL: where a character can be read both as part of a password and as the end of one, more is hidden rather than
// less. What it cannot know is where an unescaped password of the form a&b=c ends.
func RedactURL(raw string) string {
	spans := namedSecrets(raw)
	if s, ok := userInfo(raw); ok {
		spans = append(spans, s)
	}
	return mask(raw, spans)
}

// span is a range of bytes to be hidden.
type span struct{ from, to int }

// mask puts *** in the place of all spans; overlapping and touching ones share it.
func mask(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var out strings.Builder
	done := 0
	for i := 0; i < len(spans); {
		s := spans[i]
		for i++; i < len(spans) && spans[i].from <= s.to; i++ {
			s.to = max(s.to, spans[i].to)
		}
		out.WriteString(text[done:s.from])
		out.WriteString(Mask)
		done = s.to
	}
	out.WriteString(text[done:])
	return out.String()
}

// userInfo finds what stands before the last @, be it written %40. RFC 3986 section 3.2 would end it at the first slash,
// but people paste passwords with slashes, question marks and more; a colon or an @ on the way shows one.
func userInfo(raw string) (span, bool) {
	from := schemeEnd(raw)
	rest := raw[from:]
	last := lastSign(rest, '@')
	if last < 0 {
		return span{}, false
	}
	head := rest[:last]
	if strings.Contains(decodeAll(head), ":") || strings.Contains(decodeAll(head), "@") || !strings.ContainsAny(head, `/?#\`) {
		return span{from, from + last}, true
	}
	return span{}, false
}

// schemeEnd is where the authority begins, or would.
func schemeEnd(raw string) int {
	i := strings.Index(raw, "//")
	if i < 0 {
		return 0
	}
	scheme, colon := strings.CutSuffix(raw[:i], ":")
	if !colon && i > 0 {
		return 0
	}
	for _, c := range []byte(strings.ToLower(scheme)) {
		if !isLetter(c) && (c < '0' || c > '9') && strings.IndexByte("+-.", c) < 0 {
			return 0
		}
	}
	return i + len("//")
}

// lastSign finds the last place of a character, plain or percent-encoded any number of times.
func lastSign(text string, c byte) int {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == c {
			return i
		}
		if text[i] == '%' {
			if d, n := decodeSign(text[i:]); n > 1 && d == c {
				return i
			}
		}
	}
	return -1
}

// decodeSign decodes the character at the start of text and tells how long it is: 1 if it is not encoded, 3 for %40, 5
// for %2540, and so on.
func decodeSign(text string) (c byte, n int) {
	if text[0] != '%' {
		return text[0], 1
	}
	at := 1
	for strings.HasPrefix(text[at:], "25") && isHex(text[at+2:]) {
		at += 2
	}
	if !isHex(text[at:]) {
		return '%', 1
	}
	return unhex(text[at])<<4 | unhex(text[at+1]), at + 2
}

func isHex(text string) bool {
	return len(text) >= 2 && strings.IndexByte(hexDigits, text[0]) >= 0 && strings.IndexByte(hexDigits, text[1]) >= 0
}

const hexDigits = "0123456789abcdefABCDEF"

func unhex(c byte) byte {
	i := strings.IndexByte(hexDigits, c)
	if i >= 16 {
		i -= 6
	}
	return byte(i)
}

// decodeAll undoes percent-encoding, however often it was done.
func decodeAll(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var out strings.Builder
	for len(text) > 0 {
		c, n := decodeSign(text)
		out.WriteByte(c)
		text = text[n:]
	}
	return out.String()
}

// namedSecrets finds the values of all name=value pairs with a sensitive name.
func namedSecrets(raw string) []span {
	var spans []span
	for i := 0; i < len(raw); {
		c, n := decodeSign(raw[i:])
		if c != '=' {
			i += n
			continue
		}
		if isSensitive(nameBefore(raw[:i])) {
			spans = append(spans, span{i + n, valueEnd(raw, i+n, n)})
		}
		i += n
	}
	return spans
}

// longestName bounds what is looked at to find a name; names of parameters are short.
const longestName = 256

// nameBefore returns the decoded name that ends text, in lower case.
func nameBefore(text string) string {
	text = text[max(0, len(text)-longestName):]
	decoded := strings.ToLower(decodeAll(text))
	return decoded[strings.LastIndexAny(decoded, "?&;/#@=:, \t\r\n\"'")+1:]
}

func isSensitive(name string) bool {
	for _, part := range sensitive {
		if strings.Contains(name, part) {
			return true
		}
	}
	for _, word := range sensitiveShort {
		if rest, ok := strings.CutSuffix(name, word); ok && (rest == "" || word == "key" || !isLetter(rest[len(rest)-1])) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }

// valueEnd ends a value at an & that begins another pair, else at the end of the text. An & that is percent-encoded more
// often than the = of the pair (which takes signLength bytes) belongs to the value.
func valueEnd(raw string, from, signLength int) int {
	for i := from; i < len(raw); {
		c, n := decodeSign(raw[i:])
		if c == '&' && n <= signLength && beginsPair(raw[i+n:]) {
			return i
		}
		i += n
	}
	return len(raw)
}

func beginsPair(text string) bool {
	for i := 0; i < len(text); {
		c, n := decodeSign(text[i:])
		switch {
		case c == '=':
			return i > 0
		case c == '_', c == '-', c == '.', c == '[', c == ']', '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z':
			i += n
		default:
			return false
		}
	}
	return false
}
