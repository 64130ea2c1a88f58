package notify

import (
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// fold turns applied ops into replies: one for each stretch of adjacent ops of one attachment, cut where a wire message
// ends. ends[i] is where the ops of replies[i] end in applied.
func fold(applied []session.Applied) (replies []session.Reply, ends []int) {
	for i := range applied {
		op := &applied[i]
		if i == 0 || op.From != applied[i-1].From || applied[i-1].EndOfFrame {
			replies = append(replies, session.Reply{From: op.From})
			ends = append(ends, i)
		}
		extend(&replies[len(replies)-1], op)
		ends[len(ends)-1] = i + 1
	}
	return replies, ends
}

func extend(r *session.Reply, op *session.Applied) {
	r.Through = max(r.Through, op.Sequence)
	r.Version = max(r.Version, op.Version)
	r.Matched += op.Matched
	if op.Kind == memory.OpRejected {
		r.Rejected = session.AppendRejected(r.Rejected, session.RejectedRange{
			First: op.Sequence, Last: op.Sequence, Rejection: *op.Rejection,
		})
	}
}
