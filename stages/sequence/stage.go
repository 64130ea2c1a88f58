// Package sequence is the stage that keeps a session's ops in the order of their numbers.
//
// Each op is taken, or refused as a duplicate (its number was taken before, so the ack is repeated), as a gap (a
// number before it is missing, so nothing is taken until it comes), or as superseded (a newer stream has taken the
// session over). What is taken of one attachment has the next numbers, in order, without holes. When what follows
// refuses, the numbers are given back before the next frame is read, so after a nack at N nothing above N is taken.
//
// It is a filter: the journal decides again, for good, when it appends. The decisions are session.Window's; its state
// is the attachment's, so the stage is safe for concurrent use as long as an attachment has one reader.
package sequence

import (
	"context"
	"errors"
	"fmt"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `sequence`.
func Register(r *graph.Registry) {
	graph.Register(r, "sequence", graph.Doc{
		Summary: "Keeps a session's order: duplicates are acked again, gaps nacked, what an old stream sends superseded.",
		Traits:  graph.Traits{Fused: true, Ordered: true},
	}, Config{Gap: GapNack, DetachTTL: defaultDetachTTL, MaxDetached: defaultMaxDetached},
		func(c Config, _ graph.Deps) (graph.Stage[session.Op, session.Op], error) {
			return &stage{policy: policy{c}}, nil
		})
}

type stage struct{ policy policy }

// Exports implements graph.Exporter: a SessionPolicy.
func (s *stage) Exports() []any { return []any{SessionPolicy(s.policy)} }

// Process implements graph.Stage.
func (s *stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	var failed error
	for _, r := range runs(in.Items) {
		if err := pass(ctx, in, r, out); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// pass decides on one run and sends on what is taken of it.
func pass(ctx context.Context, in *graph.Batch[session.Op], r run, out graph.Port[session.Op]) error {
	if r.from.Fenced() {
		rejectRange(in, r.start, r.end(), session.ErrSuperseded)
		return nil
	}
	d := r.from.Window.Accept(r.first, r.count)
	if d.Gap {
		rejectRange(in, r.start, r.end(), gap(r, d))
		return nil
	}
	if d.Skip > 0 {
		rejectRange(in, r.start, r.start+d.Skip, errDuplicate)
		r.from.Outbox.Again()
	}
	if d.Take == 0 {
		return nil
	}
	if err := out.Send(ctx, part(in, r.start+d.Skip, r.end())); err != nil {
		giveBack(r.from, r.first+uint64(d.Skip), err)
		return err
	}
	// A refusal that another goroutine has found meanwhile may have taken some of it back.
	r.from.Outbox.Accept(min(r.first+uint64(r.count), r.from.Window.Expected()) - 1)
	return nil
}

// errDuplicate refuses an op whose number was taken before on this attachment, or was settled when it began.
var errDuplicate = &session.Refusal{Verdict: session.Duplicate}

// gap tells the client to go back, once, and returns the refusal for what is discarded.
func gap(r run, d session.Decision) *session.Refusal {
	refusal := &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: d.Expected,
		Cause: fmt.Errorf("number %d came, but %d comes next; send again from there", r.first, d.Expected),
	}
	if d.Say {
		tell(r.from, refusal)
	}
	return refusal
}

// giveBack returns the numbers from first on, which were not taken in the end. A refusal is told to the client;
// any other failure ends its stream, which its transport sees to.
func giveBack(from *session.Attachment, first uint64, err error) {
	expected := from.Window.StepBack(first)
	if refusal, ok := errors.AsType[*session.Refusal](err); ok && refusal.Verdict == session.Nacked {
		told := *refusal
		told.Expected = expected
		tell(from, &told)
	}
}

func tell(from *session.Attachment, r *session.Refusal) {
	from.Nack(session.Nack{Expected: r.Expected, Reason: r.Nack, Retry: r.Retry, Fill: r.Fill, Message: r.Error()})
}

func rejectRange(in *graph.Batch[session.Op], start, end int, reason error) {
	for i := start; i < end; i++ {
		in.Reject(i, reason)
	}
}

// part moves a stretch out of a batch; the whole of it is the batch itself.
func part(in *graph.Batch[session.Op], start, end int) *graph.Batch[session.Op] {
	if start == 0 && end == in.Len() {
		return in
	}
	indexes := make([]int, 0, end-start)
	for i := start; i < end; i++ {
		indexes = append(indexes, i)
	}
	return graph.Take(in, indexes)
}
