// Package decode is the stage that turns what came off the wire into ops: checked, with its defaults filled in.
//
// Every item that comes in goes out, in order: as an observe, a forget, or, when it can never be stored, as a
// rejection that names the field and the reason and consumes its number like any op. Vectors come out as one
// []float32 of 1 to memory.MaxDimension finite components, as many as the space has, not all zero under cosine. An
// observation with content and no vector comes out without one, where this server's embedder is the space's.
//
// A space that nothing has been written to is taken for an empty one under cosine; the journal, which decides who
// writes first, checks the dimension again. The core (this file, observe.go, room.go, vector.go) is pure; stage.go is the shell.
package decode

import (
	"fmt"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// maxText bounds a rejection's field and reason, in bytes each: both are stored, and may quote what a client sent.
const maxText = 256

// target is what ops are held to: a space, whose dimension is 0 while it has none, and what embeds on this server, by its
// identity; empty: nothing does.
type target struct {
	memory.Space
	server string
	room   room
}

// decode makes an op of an item.
func decode(in *session.Incoming, to *target) session.Op {
	op := session.Op{From: in.From, EndOfFrame: in.EndOfFrame, Op: memory.Op{Sequence: in.Sequence}}
	switch rejection := fill(&op.Op, in, to); {
	case rejection != nil:
		op.Kind, op.Observe, op.Forget = memory.OpRejected, nil, nil
		op.Rejection = bounded(rejection)
	case op.Observe != nil:
		op.Kind = memory.OpObserve
	default:
		op.Kind = memory.OpForget
	}
	return op
}

func fill(op *memory.Op, in *session.Incoming, to *target) (rejection *memory.Rejection) {
	switch {
	case in.Malformed != nil:
		rejection = in.Malformed
	case in.Observe != nil:
		op.Observe, rejection = observe(in, to)
	case in.Forget != nil:
		op.Forget, rejection = in.Forget, checkForget(in.Forget)
	default:
		rejection = invalid("", "neither an observation nor a forget")
	}
	return rejection
}

func checkForget(f *memory.Forget) *memory.Rejection {
	switch n := len(f.IDs); {
	case n == 0 && f.ObservedBefore.IsZero():
		return invalid("target.memory_ids", "nothing is named to forget")
	case n > memory.MaxForgetIDs:
		return invalid("target.memory_ids", "%d memories, the most is %d", n, memory.MaxForgetIDs)
	}
	return nil
}

func invalid(field, format string, args ...any) *memory.Rejection {
	return &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: field, Reason: fmt.Sprintf(format, args...)}
}

func bounded(r *memory.Rejection) *memory.Rejection {
	if len(r.Field) <= maxText && len(r.Reason) <= maxText {
		return r
	}
	return &memory.Rejection{Code: r.Code, Field: cut(r.Field), Reason: cut(r.Reason)}
}

func cut(text string) string {
	const more = "…"
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-len(more)], "") + more
}
