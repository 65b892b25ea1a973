package recording

import (
	"strings"
	"testing"
)

func TestHints(t *testing.T) {
	n := 0
	for _, r := range Reasons() {
		h := r.Hint()
		if h == "" {
			continue
		}
		n++
		if strings.HasSuffix(h, ".") || h[0] < 'a' || h[0] > 'z' || strings.Contains(h, "\n") {
			t.Errorf("%s: %q is no clause", r, h)
		}
	}
	if n < 12 || Unknown.Hint() != "" || Reason("x").Hint() != "" {
		t.Errorf("%d reasons have hints", n)
	}
}
