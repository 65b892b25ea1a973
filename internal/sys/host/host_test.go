//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const meminfo = `MemTotal:         248120 kB
MemFree:           10000 kB
MemAvailable:     123456 kB
SwapTotal:        524284 kB
SwapFree:         524000 kB
HugePages_Total:       0
`

func TestMemory(t *testing.T) {
	const mountV1 = "30 23 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n" +
		"31 23 0:27 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
	const mountV2 = "24 18 0:22 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	for _, tc := range []struct {
		name  string
		files map[string]string
		limit int64
		by    string
	}{
		{"no groups", nil, 248120 << 10, "ram"},
		{"v2", map[string]string{
			"proc/self/cgroup": "0::/system.slice/nightjar.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/nightjar.service/memory.max": "67108864\n",
		}, 64 << 20, "/sys/fs/cgroup/system.slice/nightjar.service/memory.max"},
		{"v2, a group above is tighter", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/b/memory.max": "67108864\n", "sys/fs/cgroup/a/memory.max": "33554432\n",
		}, 32 << 20, "/sys/fs/cgroup/a/memory.max"},
		{"v2, throttled before", map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.high": "50000000\n",
		}, 50000000, "/sys/fs/cgroup/a/memory.high"},
		{"v2 in a container with a name space of its own", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/memory.max": "1000000\n",
		}, 1000000, "/sys/fs/cgroup/memory.max"},
		{"v1", map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/m\n0::/x\n", "proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "100000000\n",
		}, 100000000, "/sys/fs/cgroup/memory/m/memory.limit_in_bytes"},
		{"v1 without limit", map[string]string{
			"proc/self/cgroup": "4:memory:/m\n", "proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "9223372036854771712\n",
		}, 248120 << 10, "ram"},
		{"v1 in a container that sees its own group only", map[string]string{
			"proc/self/cgroup":                           "4:memory:/docker/abc\n",
			"proc/self/mountinfo":                        strings.Replace(mountV1, "0:26 /", "0:26 /docker/abc", 1),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "100000000\n",
		}, 100000000, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"v1, path not visible", map[string]string{
			"proc/self/cgroup": "4:memory:/docker/abc\n", "proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "100000000\n",
		}, 100000000, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"limit above the memory", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/memory.max": "999999999999\n",
		}, 248120 << 10, "ram"},
	} {
		files := fstest.MapFS{"proc/meminfo": {Data: []byte(meminfo)}}
		for name, text := range tc.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		got, err := Host{files}.Memory()
		want := Memory{Total: 248120 << 10, Available: 123456 << 10, SwapTotal: 524284 << 10, SwapFree: 524000 << 10,
			Limit: tc.limit, LimitBy: tc.by}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", tc.name, err, diff)
		}
	}
}

func TestBadMeminfo(t *testing.T) {
	for _, text := range []string{"", "MemFree: 3 kB\n", "MemTotal: x kB\n", "MemTotal: -1 kB\n", "MemTotal: 99999999999999999999 kB\n", "MemTotal:\n"} {
		if m, err := parseMeminfo([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, m)
		}
	}
}

func TestSwaps(t *testing.T) {
	files := fstest.MapFS{}
	if got, err := (Host{files}).Swaps(); got != nil || err != nil {
		t.Errorf("without /proc/swaps: %v, %v", got, err)
	}
	files["proc/swaps"] = &fstest.MapFile{Data: []byte(`Filename				Type		Size		Used		Priority
/dev/zram0                              partition	131072		1024		100
/var/swap\040file                       file		524284		0		-2
/old (deleted)                          file		4		4		-3
`)}
	got, err := Host{files}.Swaps()
	want := []Swap{
		{Name: "/dev/zram0", Compressed: true, Size: 128 << 20, Used: 1 << 20, Priority: 100},
		{Name: "/var/swap file", File: true, Size: 524284 << 10, Priority: -2},
		{Name: "/old", File: true, Size: 4096, Used: 4096, Priority: -3},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, bad := range []string{"t\n/dev/x\n", "t\n/dev/x file a b c\n", "t\n/dev/x file -1 0 0\n"} {
		if got, err := parseSwaps([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestPressure(t *testing.T) {
	files := fstest.MapFS{"proc/pressure/memory": {Data: []byte(
		"some avg10=1.23 avg60=4.00 avg300=100.00 total=1500000\nfull avg10=0.01 avg60=0.00 avg300=0.00 total=7\n")}}
	got, err := Host{files}.Pressure(MemoryResource)
	want := Pressure{Some: Stall{1.23, 4, 100, 1500 * time.Millisecond}, Full: Stall{0.01, 0, 0, 7 * time.Microsecond}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := (Host{files}).Pressure(DiskResource); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a kernel without the file: %v", err)
	}
	for _, bad := range []string{"", "full avg10=1 total=1\n", "some avg10\n", "some avg10=x\n", "some avg10=NaN\n", "some avg10=101\n", "some total=-1\n"} {
		if p, err := parsePressure([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

func TestBootID(t *testing.T) {
	files := fstest.MapFS{"proc/sys/kernel/random/boot_id": {Data: []byte("0f2c9ac7-38a8-4d4b-a6dd-4ad0a6e9bd84\n")}}
	if id, err := (Host{files}).BootID(); err != nil || id.String() != "0f2c9ac7-38a8-4d4b-a6dd-4ad0a6e9bd84" {
		t.Errorf("%v, %v", id, err)
	}
	files["proc/sys/kernel/random/boot_id"].Data = []byte("zero\n")
	if id, err := (Host{files}).BootID(); err == nil {
		t.Errorf("a bad id: %v", id)
	}
}

func TestClock(t *testing.T) {
	for _, tc := range []struct {
		state  int
		status int32
		want   bool
	}{
		{unix.TIME_OK, unix.STA_PLL, true},
		{unix.TIME_INS, unix.STA_PLL | unix.STA_INS, true},
		{unix.TIME_ERROR, unix.STA_UNSYNC, false},
		{unix.TIME_OK, unix.STA_UNSYNC, false},
		{unix.TIME_ERROR, 0, false},
	} {
		tx := unix.Timex{Status: tc.status, Maxerror: 16_000_000, Esterror: 250}
		want := Clock{Synchronized: tc.want, MaxError: 16 * time.Second, EstError: 250 * time.Microsecond}
		if got := clockOf(tc.state, &tx); got != want {
			t.Errorf("state %d, status %#x: %+v; want %+v", tc.state, tc.status, got, want)
		}
	}
}

// TestThisMachine asks the real one: what every Linux has must be there and make sense.
func TestThisMachine(t *testing.T) {
	var h Host
	m, err := h.Memory()
	if err != nil || m.Limit <= 0 || m.Limit > m.Total || m.Available > m.Total || m.LimitBy == "" {
		t.Errorf("memory %+v, %v", m, err)
	}
	if id, err := h.BootID(); err != nil || id.Version() != 4 {
		t.Errorf("boot id %v, %v", id, err)
	}
	one, err := h.Uptime()
	if err != nil || one <= 0 {
		t.Errorf("uptime %v, %v", one, err)
	}
	if two, err := h.Uptime(); err != nil || two < one {
		t.Errorf("uptime went from %v to %v, %v", one, two, err)
	}
	if c, err := h.Clock(); err != nil || c.MaxError < 0 {
		t.Errorf("clock %+v, %v", c, err)
	}
	if _, err := h.Swaps(); err != nil {
		t.Error(err)
	}
	for _, r := range []Resource{MemoryResource, DiskResource, CPUResource} {
		if _, err := h.Pressure(r); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("pressure %s: %v", r, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(meminfo))
	f.Add([]byte("some avg10=1.23 avg60=4.00 avg300=100.00 total=1500000\n"))
	f.Add([]byte("Filename Type Size Used Priority\n/dev/zram0 partition 131072 1024 100\n"))
	f.Add([]byte("4:memory:/m\n0::/x/../y\n"))
	f.Add([]byte("30 23 0:26 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := parseMeminfo(text); err == nil && (m.Total <= 0 || m.Available < 0 || m.SwapTotal < 0 || m.SwapFree < 0) {
			t.Errorf("memory %+v", m)
		}
		if p, err := parsePressure(text); err == nil && (p.Some.Avg10 < 0 || p.Some.Avg10 > 100 || p.Some.Total < 0) {
			t.Errorf("pressure %+v", p)
		}
		if swaps, err := parseSwaps(text); err == nil {
			for _, s := range swaps {
				if s.Size < 0 || s.Used < 0 {
					t.Errorf("swap %+v", s)
				}
			}
		}
		parseLimit(text)
		files := fstest.MapFS{
			"proc/meminfo": {Data: []byte(meminfo)}, "proc/self/cgroup": {Data: text}, "proc/self/mountinfo": {Data: text},
		}
		if m, err := (Host{files}).Memory(); err != nil || m.Limit != m.Total {
			t.Errorf("%+v, %v", m, err)
		}
		_ = fmt.Sprint(parseGroups(text), parseMounts(text))
	})
}
