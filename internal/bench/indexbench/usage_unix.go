//go:build unix

package indexbench

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns what this process has taken of all cores.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
