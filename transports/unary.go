package transports

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Observe stores what one request holds, all or nothing as far as room goes, through a session of its own. The
// request's rules have been checked. An ack level below committed is answered at committed: it promises more.
func (s *Server) Observe(ctx context.Context, r *engramv1.ObserveRequest) (*engramv1.ObserveResponse, error) {
	if r.GetAckLevel() == engramv1.AckLevel_ACK_LEVEL_GRAPHED {
		return nil, ungraphed(unbuilt("ack_level GRAPHED").WithField("ack_level"))
	}
	c := s.newCall("observe", r.GetSpace(), r.GetRequestId())
	receipt, err := c.run(ctx, observeOffer(c.att, 1, r.GetObservations(), s.textBytes(), time.Now(), c))
	if err != nil {
		return nil, err
	}
	return &engramv1.ObserveResponse{
		MemoryIds: c.memoryIDs(r.GetObservations(), receipt.rejected), Rejected: rejectionsToWire(receipt.rejected, 1),
		CommitVersion: uint64(receipt.version), Duplicate: receipt.duplicate,
	}, nil
}

// Forget removes memories and answers when that is durable and in force. A request id seen before is answered with
// the version of the first, and with 0 matched: by then nothing was left to match.
func (s *Server) Forget(ctx context.Context, r *engramv1.ForgetRequest) (*engramv1.ForgetResponse, error) {
	if bad := checkTarget(r.GetTarget()); bad != nil {
		kind := fault.InvalidArgument
		if bad.Code == fault.Unimplemented.Code() {
			kind = fault.Unimplemented
		}
		return nil, fault.New(kind, "%s", bad.Reason).WithField(bad.Field).WithReason("INVALID_TARGET")
	}
	if err := s.requireSpace(r.GetSpace()); err != nil {
		return nil, err
	}
	if r.GetDryRun() {
		matched, err := s.Index.Get().Match(ctx, r.GetSpace(), forgetFromWire(r.GetTarget(), time.Now()))
		return &engramv1.ForgetResponse{Matched: matched}, err
	}
	c := s.newCall("forget", r.GetSpace(), r.GetRequestId())
	receipt, err := c.run(ctx, forgetOffer(c.att, 1, r.GetTarget(), time.Now(), c))
	if err != nil {
		return nil, err
	}
	return &engramv1.ForgetResponse{Matched: receipt.matched, CommitVersion: uint64(receipt.version)}, nil
}

// call is a one-shot session: the items of one request, and what became of them. It is their Settler.
type call struct {
	server *Server
	att    *session.Attachment
	counts counts

	open atomic.Int64
	done chan struct{} // closed when every item has its verdict

	mu         sync.Mutex
	failure    error              // guarded by mu: the first that fails the call
	duplicates []*session.Refusal // guarded by mu: one for each run of the original
	fresh      bool               // guarded by mu: something was stored, or rejected, for the first time
}

// receipt is what a call that went through returns.
type receipt struct {
	version   memory.Version
	rejected  []session.RejectedRange // by sequence number, from 1
	matched   uint64
	duplicate bool
}

// newCall opens a one-shot session. A request id names a call of one method in one space: the same id with another
// method or space is another call.
func (s *Server) newCall(method, space, requestID string) *call {
	id := randomID("u")
	if requestID != "" {
		sum := sha256.Sum256([]byte(method + "\x00" + space + "\x00" + requestID))
		id = "r" + encodeID(sum[:16])
	}
	return &call{
		server: s, counts: s.hub.counts(space), done: make(chan struct{}),
		att: &session.Attachment{
			SessionID: id, Space: space, Unary: true, Remember: requestID != "",
			Window: session.NewWindow(1), Outbox: session.NewOutbox(0),
		},
	}
}

func (c *call) run(ctx context.Context, offer graph.Offer[session.Incoming]) (receipt, error) {
	c.open.Store(int64(len(offer.Items)))
	c.counts.receive(len(offer.Items))
	_ = c.server.Inlet.Offer(ctx, offer) // its error is in the outcomes that Settle gets
	select {
	case <-c.done:
	case <-ctx.Done():
		return receipt{}, gaveUp(ctx)
	}
	if c.failure != nil { // no lock: nothing settles after done
		return receipt{}, c.failure
	}
	r := c.acknowledged()
	return r, c.original(ctx, &r)
}

// Settle implements graph.Settler.
func (c *call) Settle(_ int, o graph.Outcome) {
	verdict, refusal := session.VerdictOf(o.Mark, o.Err)
	c.counts.give(verdict)
	c.mu.Lock()
	switch verdict {
	case session.Accepted, session.Rejected:
		c.fresh = true
	case session.Duplicate:
		if n := len(c.duplicates); n == 0 || c.duplicates[n-1] != refusal {
			c.duplicates = append(c.duplicates, refusal)
		}
	default:
		if c.failure == nil {
			c.failure = refused(refusal)
		}
	}
	c.mu.Unlock()
	if c.open.Add(-1) == 0 {
		close(c.done)
	}
}

// refused is the status of a call whose items were not taken.
func refused(r *session.Refusal) error {
	switch {
	case r.Verdict == session.Nacked && r.Nack == session.NackResourceExhausted:
		return overloaded(r)
	case r.Verdict == session.Nacked && fault.KindOf(r) == fault.Unavailable: // a stage says what it waited for
		said := *fault.As(r)
		return said.WithRetryAfter(r.Retry).WithHint("a retry with the same request_id stores it once; %s", said.Hint)
	case r.Verdict == session.Nacked:
		return fault.Wrap(fault.StorageUnavailable, r, "the journal did not take it").WithReason("STORAGE_UNAVAILABLE").
			WithRetryAfter(r.Retry).WithHint("nothing of this is acknowledged; a retry with the same request_id stores it once")
	case errors.Is(r, graph.ErrDraining):
		return errShutdown()
	}
	return fault.Wrap(fault.Unavailable, r, "the server could not take the request to its end").WithReason("ABORTED").
		WithHint("a retry with the same request_id stores it once")
}

// acknowledged reads what notify and the origin sink have left in the outbox.
func (c *call) acknowledged() receipt {
	r := receipt{duplicate: !c.fresh}
	for control, ok := c.att.Outbox.Next(); ok; control, ok = c.att.Outbox.Next() {
		if ack := control.Ack; ack != nil {
			r.version = max(r.version, ack.Version)
			r.rejected = append(r.rejected, ack.Rejected...)
			r.matched += ack.Matched
		}
	}
	return r
}

// original waits until what a duplicate repeats is durable and findable, and adds it to the receipt.
func (c *call) original(ctx context.Context, r *receipt) error {
	var repeated []session.RejectedRange // their numbers come before the fresh ones
	for _, d := range c.duplicates {
		if d.Durable != nil {
			select {
			case <-d.Durable.Done():
			case <-ctx.Done():
				return gaveUp(ctx)
			}
			if err := d.Durable.Err(); err != nil {
				return refused(lostOriginal(err))
			}
		}
		r.version = max(r.version, d.Version)
		if d.Rejected == nil {
			continue
		}
		rejected, err := d.Rejected()
		if err != nil {
			return err
		}
		repeated = session.AppendRejected(repeated, rejected...)
	}
	r.rejected = session.AppendRejected(repeated, r.rejected...)
	if len(c.duplicates) == 0 || r.version == 0 {
		return nil
	}
	return c.server.Index.Get().WaitPublished(ctx, c.att.Space, r.version)
}

// lostOriginal refuses a repeat whose original did not become durable.
func lostOriginal(cause error) *session.Refusal {
	r := &session.Refusal{Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Cause: cause}
	if f := fault.As(cause); f != nil {
		r.Retry = f.RetryAfter
	}
	return r
}

// memoryIDs names what was stored, in the request's order: as the client named it, or as decode derives a name.
func (c *call) memoryIDs(observations []*engramv1.Observation, rejected []session.RejectedRange) []string {
	ids := make([]string, len(observations))
	for i, o := range observations {
		ids[i] = o.GetMemoryId()
		if ids[i] == "" {
			ids[i] = fmt.Sprintf("%s-%d", c.att.SessionID, i+1)
		}
	}
	for _, r := range rejected {
		for n := max(r.First, 1); n <= min(r.Last, uint64(len(ids))); n++ {
			ids[n-1] = ""
		}
	}
	return ids
}

// gaveUp is the status of a caller that waits no longer. What it sent may still be stored.
func gaveUp(ctx context.Context) error {
	kind := fault.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = fault.DeadlineExceeded
	}
	return fault.Wrap(kind, context.Cause(ctx), "the caller waits no longer").
		WithHint("it may still be stored; a retry with the same request_id stores it once")
}
