package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Memory is what the machine has and what this process may have of it. All in bytes.
type Memory struct {
	Total     int64 // RAM
	Available int64 // what can be used without swapping, by the kernel's own estimate
	SwapTotal int64
	SwapFree  int64
	Limit     int64  // the least of Total and the limits of the control groups that the process is in
	LimitBy   string // "ram", or the file that holds the limit
}

// Memory reads the memory facts. Without control groups, or without a limit there, Limit is Total.
func (h Host) Memory() (Memory, error) {
	text, err := h.read("proc/meminfo")
	if err != nil {
		return Memory{}, fmt.Errorf("read memory facts: %w", err)
	}
	m, err := parseMeminfo(text)
	if err != nil {
		return Memory{}, err
	}
	m.Limit, m.LimitBy = m.Total, "ram"
	for _, name := range h.limitFiles() {
		text, err := h.read(name)
		if err != nil {
			continue // a group above the one that a container may see
		}
		if limit, ok := parseLimit(text); ok && limit < m.Limit {
			m.Limit, m.LimitBy = limit, "/"+name
		}
	}
	return m, nil
}

// parseMeminfo reads /proc/meminfo (proc_meminfo(5)).
func parseMeminfo(text []byte) (Memory, error) {
	var m Memory
	fields := map[string]*int64{
		"MemTotal:": &m.Total, "MemAvailable:": &m.Available, "SwapTotal:": &m.SwapTotal, "SwapFree:": &m.SwapFree,
	}
	for line := range bytes.Lines(text) {
		w := strings.Fields(string(line))
		if len(w) < 2 {
			continue
		}
		to, wanted := fields[w[0]]
		if !wanted {
			continue
		}
		kb, err := strconv.ParseInt(w[1], 10, 64)
		if err != nil || kb < 0 || kb > 1<<52 {
			return Memory{}, fmt.Errorf("memory facts: %q is no size", w[1])
		}
		*to = kb * 1024
	}
	if m.Total == 0 {
		return Memory{}, errors.New("memory facts: no MemTotal")
	}
	return m, nil
}

// parseLimit reads memory.max, memory.high (cgroup v2) or memory.limit_in_bytes (v1). "max", and v1's number just below
// 2^63, mean that there is none.
func parseLimit(text []byte) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0 && n < 1<<60
}

// limitFiles names the files of all groups from that of the process up to the highest that is mounted.
func (h Host) limitFiles() []string {
	groups, err := h.read("proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounts, err := h.read("proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var out []string
	all := parseMounts(mounts)
	for _, g := range parseGroups(groups) {
		i := slices.IndexFunc(all, func(m cgroupMount) bool { return m.version == g.version })
		if i < 0 {
			continue
		}
		files := []string{"memory.max", "memory.high"}
		if g.version == 1 {
			files = []string{"memory.limit_in_bytes"}
		}
		for dir := all[i].inside(g.path); ; dir = path.Dir(dir) {
			for _, f := range files {
				out = append(out, strings.TrimPrefix(path.Join(all[i].point, dir, f), "/"))
			}
			if dir == "/" {
				break
			}
		}
	}
	return out
}

// group is the control group that accounts the memory of the process in one hierarchy.
type group struct {
	version int
	path    string
}

// parseGroups reads /proc/self/cgroup (cgroups(7)): lines of hierarchy, controllers and path; 0 and none is version 2.
func parseGroups(text []byte) []group {
	var out []group
	for line := range bytes.Lines(text) {
		w := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(w) != 3 || !strings.HasPrefix(w[2], "/") {
			continue
		}
		switch {
		case w[0] == "0" && w[1] == "":
			out = append(out, group{2, path.Clean(w[2])})
		case contains(w[1], "memory"):
			out = append(out, group{1, path.Clean(w[2])})
		}
	}
	return out
}

// cgroupMount is a place where a hierarchy can be seen, from root on.
type cgroupMount struct {
	version     int
	root, point string
}

// inside is the path of a group below the mount point; a group that cannot be seen from here is the mount point itself.
func (m cgroupMount) inside(group string) string {
	if m.root == "/" {
		return group
	}
	rest, ok := strings.CutPrefix(group, m.root)
	if !ok || rest != "" && rest[0] != '/' {
		return "/"
	}
	return path.Clean("/" + rest)
}

// parseMounts reads /proc/self/mountinfo (proc_pid_mountinfo(5)): id, parent, device, root, mount point, options, optional
// fields up to a dash, then type, source and options of the super block.
func parseMounts(text []byte) []cgroupMount {
	var out []cgroupMount
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 || !strings.HasPrefix(l[3], "/") || !strings.HasPrefix(l[4], "/") {
			continue
		}
		m := cgroupMount{root: path.Clean(l[3]), point: path.Clean(l[4])}
		switch {
		case r[0] == "cgroup2":
			m.version = 2
		case r[0] == "cgroup" && contains(r[2], "memory"):
			m.version = 1
		default:
			continue
		}
		out = append(out, m)
	}
	return out
}

// contains looks for a word in a list with commas.
func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// Swap is one place to which memory is swapped.
type Swap struct {
	Name       string
	Compressed bool // zram: memory itself, no wear of a disk
	File       bool
	Size       int64
	Used       int64
	Priority   int
}

// Swaps lists the swap areas in use.
func (h Host) Swaps() ([]Swap, error) {
	text, err := h.read("proc/swaps")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without swap
	}
	if err != nil {
		return nil, fmt.Errorf("read swap areas: %w", err)
	}
	return parseSwaps(text)
}

// parseSwaps reads /proc/swaps: a line of titles, then name, type, size and use in KiB, priority.
func parseSwaps(text []byte) ([]Swap, error) {
	var out []Swap
	first := true
	for line := range bytes.Lines(text) {
		if first {
			first = false
			continue
		}
		w := strings.Fields(string(line))
		if len(w) == 0 {
			continue
		}
		if len(w) < 5 {
			return nil, fmt.Errorf("swap areas: %q has too few fields", strings.TrimSpace(string(line)))
		}
		n := len(w) // a name may hold " (deleted)"
		size, err1 := strconv.ParseInt(w[n-3], 10, 53)
		used, err2 := strconv.ParseInt(w[n-2], 10, 53)
		priority, err3 := strconv.Atoi(w[n-1])
		if err := errors.Join(err1, err2, err3); err != nil || size < 0 || used < 0 {
			return nil, fmt.Errorf("swap areas: %q has no sizes", strings.TrimSpace(string(line)))
		}
		name := unescape(w[0])
		out = append(out, Swap{Name: name, Compressed: strings.HasPrefix(path.Base(name), "zram"), File: w[n-4] == "file",
			Size: size * 1024, Used: used * 1024, Priority: priority})
	}
	return out, nil
}

// unescape undoes the \040 of the kernel for spaces and the like.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
