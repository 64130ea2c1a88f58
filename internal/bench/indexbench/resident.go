package indexbench

import (
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
)

// Resident is what of this process lies in memory, in bytes; zero where the system does not tell as Linux does.
type Resident struct {
	Total int64 `json:"total"` // RSS: with the parts of the data set that lie in memory too
	Own   int64 `json:"own"`   // of that, what is no file: the index, the bench and the heap
}

var residentLines = regexp.MustCompile(`(?m)^(VmRSS|RssAnon):\s+(\d+) kB$`)

// resident gives the heap's free memory back first, so that it counts what is held.
func resident() Resident {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what lies beside the heap is given back by what the first has found
	var r Resident
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return r
	}
	for _, m := range residentLines.FindAllSubmatch(text, -1) {
		kib, err := strconv.ParseInt(string(m[2]), 10, 64)
		if err != nil {
			continue
		}
		if string(m[1]) == "VmRSS" {
			r.Total = kib << 10
		} else {
			r.Own = kib << 10
		}
	}
	return r
}
