package deliver

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxRanges bounds the ranges of one request.
const maxRanges = 16

// byteRange is [start, end).
type byteRange struct{ start, end int64 }

func (r byteRange) length() int64 { return r.end - r.start }

func (r byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.start, r.end-1, size)
}

// ranges returns what of the file is wanted; none means all of it. ok is false if nothing that is wanted exists, or too
// many ranges are.
func (c *Content) ranges(r *http.Request, size int64) (list []byteRange, ok bool) {
	header := r.Header.Get("Range")
	if header == "" || r.Method != http.MethodGet {
		return nil, true
	}
	if condition := r.Header.Get("If-Range"); condition != "" && condition != c.ETag {
		return nil, true // another tag, a weak one, or a date: we give none
	}
	return parseRanges(header, size)
}

// parseRanges reads a Range header (RFC 9110 section 14.1.2). The ranges come back joined where they overlap or touch,
// in the order in which they were first asked for. A header that is not well-formed counts as absent.
func parseRanges(header string, size int64) (list []byteRange, ok bool) {
	unit, set, found := strings.Cut(header, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return nil, true
	}
	asked := 0
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue // empty list elements are allowed (section 5.6.1.2)
		}
		if asked++; asked > maxRanges {
			return nil, false
		}
		r, valid := parseRange(spec, size)
		if !valid {
			return nil, true
		}
		if r.start < r.end {
			list = join(list, r)
		}
	}
	if asked == 0 {
		return nil, true
	}
	return list, len(list) > 0
}

// parseRange reads one range; an empty one is not satisfiable.
func parseRange(spec string, size int64) (r byteRange, valid bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found || first == "" && last == "" {
		return r, false
	}
	if first == "" {
		n, ok := parsePosition(last)
		return byteRange{size - min(n, size), size}, ok
	}
	begin, ok := parsePosition(first)
	if !ok {
		return r, false
	}
	if last == "" {
		return byteRange{min(begin, size), size}, true
	}
	end, ok := parsePosition(last)
	if !ok || end < begin {
		return r, false
	}
	return byteRange{min(begin, size), min(end, size-1) + 1}, true
}

// parsePosition reads digits; numbers beyond 63 bits are as good as the largest.
func parsePosition(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 2, true
	}
	return min(n, 1<<63-2), true
}

// join adds r to a list of ranges that do not touch each other.
func join(list []byteRange, r byteRange) []byteRange {
	at := len(list)
	for i := len(list) - 1; i >= 0; i-- {
		if o := list[i]; o.start <= r.end && r.start <= o.end {
			r = byteRange{min(o.start, r.start), max(o.end, r.end)}
			list = slices.Delete(list, i, i+1)
			at = i
		}
	}
	return slices.Insert(list, min(at, len(list)), r)
}
