package transports

import (
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
)

// settler turns the outcomes of a stream's items into counts, and into the nacks that no stage has sent. It is called
// from the reader's goroutine for what the fused stages refuse, from the engine's for the rest.
//
// Who tells the client what: sequence nacks a gap it sees, and an overload that admit reports to it, before the offer
// returns. What the journal or the index refuses later, after the window has moved on, is told here: the window steps
// back, so the client's next frames are a gap until it has gone back.
type settler struct {
	att    *session.Attachment
	counts counts
	work   *pending

	lost       func(cause error) // called for an item that was aborted
	superseded func(cause error) // called for an item that an old epoch sent
	overloaded func(err error)   // called for an item that there was no room for; nil when a nack says enough
}

func (s *settler) offering(n int) {
	s.counts.receive(n)
	s.work.begin(n)
}

// Settle implements graph.Settler.
func (s *settler) Settle(_ int, o graph.Outcome) {
	verdict, refusal := session.VerdictOf(o.Mark, o.Err)
	s.counts.give(verdict)
	switch verdict {
	case session.Nacked:
		s.nack(refusal)
	case session.Aborted:
		s.lost(refusal)
	case session.Superseded:
		s.superseded(refusal)
	}
	s.work.finish()
}

// overloaded is the status of a refusal for want of room: in the queue, or of what the journal limits.
func overloaded(r *session.Refusal) error {
	if f := fault.As(r); r.Late && f != nil { // the journal says what there is no room for
		said := *f
		return said.WithRetryAfter(r.Retry)
	}
	why := "there is no room"
	if r.Cause != nil { // such as a batch that never fits: its client has to know the sizes
		why = r.Cause.Error()
	}
	return fault.New(fault.ResourceExhausted, "%s, with %.0f %% of the queue in use; nothing of this was stored", why, 100*r.Fill).
		WithReason("QUEUE_FULL").WithRetryAfter(r.Retry).WithHint("send it again after the time given")
}

func (s *settler) nack(r *session.Refusal) {
	switch r.Nack {
	case session.NackResourceExhausted:
		if r.Late {
			s.stepBack(r)
		}
		if s.overloaded != nil {
			s.overloaded(overloaded(r))
		}
	case session.NackStorageUnavailable:
		s.stepBack(r)
	case session.NackSequenceGap:
		// The sequence stage's own gap expects what the window expects. A lower number comes from the journal: what it
		// refused had been accepted here.
		if r.Expected < s.att.Window.Expected() {
			s.stepBack(r)
		}
	}
}

func (s *settler) stepBack(r *session.Refusal) {
	expected := s.att.Window.StepBack(r.Expected)
	s.att.Nack(session.Nack{Expected: expected, Reason: r.Nack, Retry: r.Retry, Fill: r.Fill, Message: r.Error()})
}
