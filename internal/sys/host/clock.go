//go:build linux

package host

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is what the kernel knows about the wall clock (adjtimex(2)).
type Clock struct {
	Synchronized bool          // a time service has set it since the boot and keeps it
	MaxError     time.Duration // by the kernel's account; grows while nobody corrects the clock
	EstError     time.Duration
}

// Clock reads the state of the wall clock. It changes nothing.
func (h Host) Clock() (Clock, error) {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		return Clock{}, fmt.Errorf("read the state of the clock: %w", err)
	}
	return clockOf(state, &tx), nil
}

// clockOf reads the answer of adjtimex. TIME_ERROR also stands for a lost pulse-per-second signal; the status bit alone
// would miss a kernel that has given up on its time.
func clockOf(state int, tx *unix.Timex) Clock {
	return Clock{
		Synchronized: state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0,
		MaxError:     time.Duration(tx.Maxerror) * time.Microsecond,
		EstError:     time.Duration(tx.Esterror) * time.Microsecond,
	}
}

// Uptime is the time since the boot, sleep included (CLOCK_BOOTTIME). It never goes back.
func (h Host) Uptime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the time since the boot: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
