package index

import (
	"sort"
	"time"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// endings tells which memories were forgotten by which op, in version order, for who watches the space: the tier knows only
// that a slot is dead, and not by what. 4 bytes a memory and 32 a forget.
//
// The writer appends; a view has the slices as they were when it was published. What is appended later lies behind their
// length, in the same array or a copy, so readers never see it.
type endings struct {
	forgets []ending
	slots   []fresh.Slot
}

// ending is one forget that matched something.
type ending struct {
	version memory.Version
	at      int64 // when the server received it, in nanoseconds since 1970
	through int   // its slots end here; they begin where those of the one before end
}

// mark closes the forget at a version whose slots have been appended. One that matched nothing leaves no mark.
func (e *endings) mark(version memory.Version, at time.Time) {
	if len(e.slots) > e.begin(len(e.forgets)) {
		e.forgets = append(e.forgets, ending{version: version, at: at.UnixNano(), through: len(e.slots)})
	}
}

// begin returns where the slots of forget i begin.
func (e *endings) begin(i int) int {
	if i == 0 {
		return 0
	}
	return e.forgets[i-1].through
}

// of returns the slots of forget i.
func (e *endings) of(i int) []fresh.Slot { return e.slots[e.begin(i):e.forgets[i].through] }

// after returns the index of the first forget above a version.
func (e *endings) after(v memory.Version) int {
	return sort.Search(len(e.forgets), func(i int) bool { return e.forgets[i].version > v })
}
