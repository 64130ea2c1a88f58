package index

import (
	"time"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// instant is a time as the tier keeps it: microseconds since 1970, rounded down. So what is earlier by instant is earlier,
// and of equal instants the journal's record tells.
func instant(t time.Time) int64 { return t.UnixMicro() }

// covers reports whether a memory is old enough for a forget. Its id is the caller's business.
func covers(f *memory.Forget, r fresh.Record, journal Journal) (bool, error) {
	if f.ObservedBefore.IsZero() {
		return true, nil
	}
	if before := instant(f.ObservedBefore); r.At != before {
		return r.At < before, nil
	}
	if f.ObservedBefore.Nanosecond()%int(time.Microsecond) == 0 {
		return false, nil // it is the first moment of its instant
	}
	op, err := readObserve(journal, r)
	if err != nil {
		return false, err
	}
	return op.Observe.At().Before(f.ObservedBefore), nil
}
