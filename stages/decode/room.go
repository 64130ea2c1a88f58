package decode

import (
	"strconv"
	"strings"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// room is memory for the observations of a batch and for the names that it gives them, in two pieces instead of two an
// observation. Its zero value has none: then each gets its own.
type room struct {
	observations []memory.Observation // not taken yet
	names        strings.Builder
}

// maxDigits is how many digits a number has at most.
const maxDigits = 20

// grow makes room for a batch, which is a wire message. What shares it is let go of together, with the last of it; so it is
// for observations that go their way together. A text has to be embedded first, which may part it from the others.
func (r *room) grow(items []session.Incoming) {
	names := 0
	for i := range items {
		raw := items[i].Observe
		switch {
		case raw == nil || len(raw.Embedding) == 0 && len(raw.EmbeddingF32) == 0:
			return
		case raw.ID == "":
			names += len(items[i].From.SessionID) + len("-") + maxDigits
		}
	}
	r.observations = make([]memory.Observation, len(items))
	r.names.Grow(names)
}

func (r *room) observation() *memory.Observation {
	if len(r.observations) == 0 {
		return &memory.Observation{}
	}
	o := &r.observations[0]
	r.observations = r.observations[1:]
	return o
}

// name names an observation that has no name, by its session and number.
func (r *room) name(sessionID string, sequence uint64) string {
	var digits [maxDigits]byte
	number := strconv.AppendUint(digits[:0], sequence, 10)
	start := r.names.Len()
	if r.names.Cap()-start < len(sessionID)+len("-")+len(number) {
		return sessionID + "-" + string(number)
	}
	r.names.WriteString(sessionID)
	r.names.WriteByte('-')
	r.names.Write(number)
	return r.names.String()[start:]
}
