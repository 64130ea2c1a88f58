package client

import (
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// goAwayGrace is how long a server that said GoAway may be silent before it ends the stream.
const goAwayGrace = 10 * time.Second

// read takes the server's frames until the stream ends, and returns why; nil after Closed.
func (s *Session) read(st *stream) error {
	for {
		response, err := st.wire.Receive()
		if err != nil {
			return err
		}
		st.watchdog.Reset(st.silence)
		done, err := s.receive(st, response)
		s.tell()
		if done || err != nil {
			return err
		}
	}
}

// receive takes one frame. done means that it was the last one.
func (s *Session) receive(st *stream, response *engramv1.MemoryFlowResponse) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.poke()
	switch f := response.GetFrame().(type) {
	case *engramv1.MemoryFlowResponse_Ack:
		err = s.settled(f.Ack.GetCommittedThrough(), f.Ack.GetRejected())
	case *engramv1.MemoryFlowResponse_Nack:
		err = s.nacked(f.Nack)
	case *engramv1.MemoryFlowResponse_Credit:
		s.credited(f.Credit)
	case *engramv1.MemoryFlowResponse_RecallStarted:
		s.recalls.started(f.RecallStarted)
	case *engramv1.MemoryFlowResponse_RecallChunk:
		s.recalls.chunk(f.RecallChunk)
	case *engramv1.MemoryFlowResponse_RecallDone:
		s.recalled(st, f.RecallDone)
	case *engramv1.MemoryFlowResponse_GoAway:
		err = s.goingAway(st, f.GoAway)
	case *engramv1.MemoryFlowResponse_Closed:
		return true, s.closed(f.Closed)
	}
	return false, err
}

// recalled ends a recall. One that a leaving server broke off is asked again on the next stream.
func (s *Session) recalled(st *stream, done *engramv1.RecallDone) {
	if st.goAway != nil && done.GetCode() != 0 {
		return
	}
	s.recalls.done(done)
}

func (s *Session) settled(through uint64, rejected []*engramv1.Rejection) error {
	before := s.send.committed
	err := s.send.settle(through, rejections(rejected), s.decide)
	if s.send.committed > before {
		s.change()
	}
	return err
}

func (s *Session) nacked(n *engramv1.Nack) error {
	if err := s.send.nack(n.GetExpectedSequence(), n.GetRetryAfter().AsDuration(), time.Now()); err != nil {
		return err
	}
	s.note(Event{Kind: EventNacked, Sequence: s.send.next, After: max(time.Until(s.send.holdUntil), 0), Err: &Error{
		Op: "observe", Code: nackCode(n.GetReason()), Reason: nackReason(n.GetReason()), Message: n.GetMessage(),
		RetryAfter: n.GetRetryAfter().AsDuration(),
	}})
	return nil
}

func nackCode(r engramv1.Nack_Reason) connect.Code {
	switch r {
	case engramv1.Nack_REASON_SEQUENCE_GAP:
		return connect.CodeOutOfRange
	case engramv1.Nack_REASON_STORAGE_UNAVAILABLE:
		return connect.CodeUnavailable
	default:
		return connect.CodeResourceExhausted
	}
}

func nackReason(r engramv1.Nack_Reason) string {
	const prefix = len("REASON_")
	return r.String()[prefix:]
}

func (s *Session) credited(c *engramv1.Credit) {
	before := s.send.slow
	s.send.credit(c, time.Now())
	switch {
	case s.send.slow && !before:
		s.note(Event{Kind: EventSlowDown})
	case before && !s.send.slow:
		s.note(Event{Kind: EventSpeedUp})
	}
}

// goingAway notes that the server will end the stream; what it still settles comes before that.
func (s *Session) goingAway(st *stream, g *engramv1.GoAway) error {
	if g.GetReason() == engramv1.GoAway_REASON_FENCED {
		return fenced()
	}
	st.goAway = g
	st.silence = min(st.silence, goAwayGrace)
	st.watchdog.Reset(st.silence)
	return nil
}

func (s *Session) closed(c *engramv1.Closed) error {
	if err := s.settled(c.GetCommittedThrough(), nil); err != nil {
		return err
	}
	if s.ending == nil || !s.ending.said {
		return &Error{Op: "session", Code: connect.CodeUnavailable, Message: "the server closed the stream"}
	}
	return nil
}
