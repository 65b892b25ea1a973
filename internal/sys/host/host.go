// Package host reads facts about the machine from the kernel: how much memory this process may have, how hard the machine
// is pressed, whether its clock is set, how long it has been up, which boot this is.
//
// Facts are read anew at each call and nothing is kept; all may be called concurrently. The texts of /proc and /sys are
// parsed by pure functions; kernels that lack a fact give an error that wraps fs.ErrNotExist.
package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Host is the machine. The zero value is the real one.
type Host struct {
	// Files holds proc and sys; nil: those of the machine.
	Files fs.FS
}

// maxFile bounds what is read of one file; mountinfo is the longest.
const maxFile = 1 << 20

func (h Host) read(name string) ([]byte, error) {
	files := h.Files
	if files == nil {
		files = os.DirFS("/")
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// BootID identifies this run of the kernel: two processes that read the same value were not separated by a restart of
// the machine.
func (h Host) BootID() (uuid.UUID, error) {
	text, err := h.read("proc/sys/kernel/random/boot_id")
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("read boot id: %w", err)
	}
	id, err := uuid.ParseBytes(bytes.TrimSpace(text))
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("read boot id: %w", err)
	}
	return id, nil
}

// Resource is something that tasks wait for.
type Resource string

// The resources of pressure stall information.
const (
	MemoryResource Resource = "memory"
	DiskResource   Resource = "io"
	CPUResource    Resource = "cpu"
)

// Pressure tells how much time was lost to waiting for a resource
// (https://docs.kernel.org/accounting/psi.html).
type Pressure struct {
	Some Stall // at least one task waited
	Full Stall // all tasks that could run waited; all zero for the CPU on older kernels
}

// Stall is a share of the time, in percent, over the last 10, 60 and 300 s.
type Stall struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration // since the boot
}

// Pressure reads the pressure stall information of the whole machine.
func (h Host) Pressure(r Resource) (Pressure, error) {
	text, err := h.read("proc/pressure/" + string(r))
	if err != nil {
		return Pressure{}, fmt.Errorf("read pressure: %w", err)
	}
	return parsePressure(text)
}

func parsePressure(text []byte) (Pressure, error) {
	var p Pressure
	seen := false
	for line := range bytes.Lines(text) {
		w := strings.Fields(string(line))
		if len(w) == 0 {
			continue
		}
		var to *Stall
		switch w[0] {
		case "some":
			to, seen = &p.Some, true
		case "full":
			to = &p.Full
		default:
			continue
		}
		if err := parseStall(w[1:], to); err != nil {
			return Pressure{}, err
		}
	}
	if !seen {
		return Pressure{}, errors.New("pressure: no line \"some\"")
	}
	return p, nil
}

func parseStall(words []string, to *Stall) error {
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("pressure: %q is no value", word)
		}
		if name == "total" {
			us, err := strconv.ParseInt(value, 10, 64)
			if err != nil || us < 0 || us > 1<<53 {
				return fmt.Errorf("pressure: %q is no time", word)
			}
			to.Total = time.Duration(us) * time.Microsecond
			continue
		}
		avg, err := strconv.ParseFloat(value, 64)
		if err != nil || !(avg >= 0 && avg <= 100) {
			return fmt.Errorf("pressure: %q is no share", word)
		}
		switch name {
		case "avg10":
			to.Avg10 = avg
		case "avg60":
			to.Avg60 = avg
		case "avg300":
			to.Avg300 = avg
		}
	}
	return nil
}
