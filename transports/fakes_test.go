package transports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// pipeline stands for the graph: it does what sequence, admit, journal and notify do to the items of a stream, at once
// or, while held, on release.
type pipeline struct {
	mu       sync.Mutex
	held     []func()
	hold     bool
	full     *session.Refusal // refuse everything as admit does
	err      error            // refuse everything with it
	explode  bool
	rejected map[string]memory.Rejection // by content: what decode finds unfit
	lanes    []session.Incoming
}

func (p *pipeline) Offer(_ context.Context, o graph.Offer[session.Incoming]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.explode {
		panic("boom")
	}
	p.lanes = append(p.lanes, o.Items...)
	from := o.Items[0].From
	if p.err != nil {
		return p.refuseAll(o, p.err)
	}
	if from.Fenced() {
		return p.refuseAll(o, session.ErrSuperseded)
	}
	d := from.Window.Accept(o.Items[0].Sequence, len(o.Items))
	if d.Gap {
		if d.Say {
			from.Outbox.Nack(session.Nack{Expected: d.Expected, Reason: session.NackSequenceGap})
		}
		return p.refuseAll(o, &session.Refusal{Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: d.Expected})
	}
	for i := range d.Skip {
		o.Settler.Settle(i, graph.Outcome{Err: &session.Refusal{Verdict: session.Duplicate}})
		from.Outbox.Again()
	}
	taken := o.Items[d.Skip:]
	if len(taken) > 0 && p.full != nil {
		from.Window.StepBack(taken[0].Sequence)
		from.Outbox.Nack(session.Nack{Expected: taken[0].Sequence, Reason: p.full.Nack, Retry: p.full.Retry})
		for i := range taken {
			o.Settler.Settle(d.Skip+i, graph.Outcome{Err: p.full})
		}
		return p.full
	}
	if len(taken) > 0 {
		from.Outbox.Accept(taken[len(taken)-1].Sequence)
		p.commit(func() { p.deliver(o, d.Skip) })
	}
	return nil
}

func (p *pipeline) refuseAll(o graph.Offer[session.Incoming], err error) error {
	for i := range o.Items {
		o.Settler.Settle(i, graph.Outcome{Err: err})
	}
	return err
}

func (p *pipeline) commit(f func()) {
	if p.hold {
		p.held = append(p.held, f)
		return
	}
	f()
}

func (p *pipeline) deliver(o graph.Offer[session.Incoming], from int) {
	reply := session.Reply{From: o.Items[0].From}
	marks := map[int]uint8{}
	for i := from; i < len(o.Items); i++ {
		it := o.Items[i]
		reply.Through, reply.Version = it.Sequence, memory.Version(it.Sequence)
		r := it.Malformed
		if r == nil && it.Observe != nil {
			if bad, ok := p.rejected[it.Observe.Content]; ok {
				r = &bad
			}
		}
		if r != nil {
			marks[i] = uint8(session.Rejected)
			reply.Rejected = session.AppendRejected(reply.Rejected, session.RejectedRange{First: it.Sequence, Last: it.Sequence, Rejection: *r})
		} else if it.Forget != nil {
			reply.Matched += uint64(len(it.Forget.IDs))
		}
	}
	reply.From.Reply(reply)
	for i := from; i < len(o.Items); i++ {
		o.Settler.Settle(i, graph.Outcome{Mark: marks[i]})
	}
}

func (p *pipeline) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.held {
		f()
	}
	p.held, p.hold = nil, false
}

// journal keeps sessions in memory.
type journal struct {
	mu       sync.Mutex
	spaces   map[string]memory.Space
	sessions map[string]*session.Grant
	detached []string
	ended    []string
	next     int
	listed   []session.Status // what ListSessions pages through, by id
	ending   error            // what EndSession fails with
	granted  func(id string)  // called when a session has been opened, before its stream learns of it; may be nil
}

func newJournal() *journal {
	return &journal{spaces: map[string]memory.Space{}, sessions: map[string]*session.Grant{}}
}

func (j *journal) Space(name string) (memory.Space, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.spaces[name]
	return s, ok
}

func (j *journal) ListSpaces(after string, limit int) []memory.Space {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []memory.Space
	for i := range len(j.spaces) {
		if s, ok := j.spaces[fmt.Sprintf("s%02d", i)]; ok && s.Name > after && len(out) < limit {
			out = append(out, s)
		}
	}
	return out
}

func (j *journal) CreateSpace(_ context.Context, s memory.Space) (memory.Space, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spaces[s.Name] = s
	return s, nil
}

func (j *journal) OpenSession(_ context.Context, r session.OpenRequest) (session.Grant, error) {
	g, err := j.open(r)
	if err == nil && j.granted != nil {
		j.granted(g.SessionID)
	}
	return g, err
}

func (j *journal) open(r session.OpenRequest) (session.Grant, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.SessionID == "" {
		j.next++
		g := &session.Grant{
			SessionID: fmt.Sprintf("s%d", j.next), Token: []byte("token"), Epoch: 1,
			Space: memory.Space{Name: r.Space, Dimension: 3}, DetachTTL: time.Hour,
		}
		j.sessions[g.SessionID] = g
		return *g, nil
	}
	g := j.sessions[r.SessionID]
	if g == nil {
		return session.Grant{}, errUnknown()
	}
	g.Epoch++
	g.Resumed, g.Token = true, nil
	return *g, nil
}

func (j *journal) EndSession(_ context.Context, id string, _ uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending != nil {
		return j.ending
	}
	j.ended = append(j.ended, id)
	return nil
}

func (j *journal) DeleteSpace(context.Context, string) (memory.Space, []string, error) {
	panic("no test of this package deletes a space: see internal/app")
}

func (j *journal) DismissSession(_ context.Context, id string, _ []byte) (session.Status, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := j.sessions[id]
	if g == nil {
		return session.Status{}, errUnknown()
	}
	delete(j.sessions, id)
	return session.Status{
		SessionID: id, Space: g.Space.Name, State: session.Ended, Epoch: g.Epoch, Committed: g.Committed, Version: g.Version,
	}, nil
}

func (j *journal) Session(id string, token []byte) (session.Status, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := j.sessions[id]
	switch {
	case g == nil:
		return session.Status{}, errUnknown()
	case len(token) > 0 && string(token) != "token":
		return session.Status{}, fault.New(fault.PermissionDenied, "not its token")
	}
	return session.Status{
		SessionID: id, Space: g.Space.Name, State: session.Attached, Epoch: g.Epoch, Committed: g.Committed, Version: g.Version,
	}, nil
}

func (j *journal) ListSessions(_ context.Context, space, after string, limit int) (page []session.Status, err error) {
	for _, st := range j.listed {
		if st.SessionID > after && (space == "" || st.Space == space) && len(page) < limit {
			page = append(page, st)
		}
	}
	return page, nil
}

func errUnknown() error {
	return fault.New(fault.NotFound, "unknown or expired").WithReason("SESSION_EXPIRED")
}

func (j *journal) DetachSession(id string, epoch uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.detached = append(j.detached, fmt.Sprintf("%s/%d", id, epoch))
}

func (j *journal) detachedSessions() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.detached...)
}

func (j *journal) JournalStats() (committed uint64, attached, detached int) { return 7, 2, 1 }

// index answers recalls with what recall returns.
type index struct {
	recall func(ctx context.Context, q memory.Query) (memory.Result, error)
	waited []memory.Version
	// unpublished is what WaitPublished fails with
	unpublished error
	feed        memory.Feed // nil: no such space
}

func (x *index) Recall(ctx context.Context, _ string, q memory.Query) (memory.Result, error) {
	return x.recall(ctx, q)
}

func (x *index) Get(_ context.Context, _ string, ids []string, _ bool, _ memory.Hold) ([]memory.Hit, []string, error) {
	return []memory.Hit{{ID: ids[0]}}, ids[1:], nil
}

func (x *index) List(context.Context, string, memory.Version, int, bool, memory.Hold) (page []memory.Hit, last memory.Version, more bool, err error) {
	return nil, 0, false, nil
}

func (x *index) Match(_ context.Context, _ string, f *memory.Forget) (uint64, error) {
	return uint64(len(f.IDs)), nil
}

func (x *index) Feed(space string) (memory.Feed, error) {
	if x.feed == nil {
		return nil, fault.New(fault.NotFound, "space %q does not exist", space)
	}
	return x.feed, nil
}

func (x *index) WaitPublished(_ context.Context, _ string, v memory.Version) error {
	x.waited = append(x.waited, v)
	return x.unpublished
}

func (x *index) Memories(string) (uint64, memory.Version) { return 3, x.Published("") }
func (x *index) Published(string) memory.Version          { return 5 }
func (x *index) Graphed(string) memory.Version            { return 6 } // it has gone on meanwhile
func (x *index) Stats() memory.IndexStats {
	return memory.IndexStats{
		Merged: 1, Merges: 2, FailedMerges: 3, Removed: 4, Merging: 5 * time.Second, Waits: 6, Waited: 7 * time.Second, Rebuilt: 8,
		IndexHeld: x.Held(""), MostBehind: 9, GraphedSpaces: 10, ScannedSpaces: 11, DegradedSpaces: 12, UnloadedSpaces: 20,
	}
}

func (x *index) Held(string) memory.IndexHeld {
	return memory.IndexHeld{Graphed: 13, Scanned: 14, Behind: 15, Codes: 16, Graphs: 17, Records: 18, IDs: 19, Unloaded: 21}
}

// gauge reports a pressure that a test sets.
type gauge struct {
	mu sync.Mutex
	p  session.Pressure
}

func (g *gauge) Pressure() session.Pressure {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.p
}

func (g *gauge) set(p session.Pressure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.p = p
}

func calm() session.Pressure {
	return session.Pressure{State: session.CreditOK, ItemLimit: 100_000, ByteLimit: 512 << 20, Items: 4, DrainPerSecond: 9}
}

// harness is a server over fakes.
type harness struct {
	*Server
	pipeline *pipeline
	journal  *journal
	index    *index
	gauge    *gauge
	work     work
}

func newHarness() *harness {
	h := &harness{
		pipeline: &pipeline{rejected: map[string]memory.Rejection{}}, journal: newJournal(), gauge: &gauge{p: calm()}, work: work{},
		index: &index{recall: func(context.Context, memory.Query) (memory.Result, error) { return memory.Result{Snapshot: 5}, nil }},
	}
	h.Server = NewServer(NewHub(), Services{
		Inlet: h.pipeline, Logger: slog.New(slog.DiscardHandler),
		Admission: graph.NewHandle[Admission](h.gauge), Journal: graph.NewHandle[Journal](h.journal), Index: graph.NewHandle[Index](h.index),
		Embedding: graph.NewHandle[Embedding](noEmbedding{}), Workload: graph.NewHandle[Workload](h.work),
	}, Limits{MessageBytes: 1 << 20, Streams: 4, Calls: 8, AnswerBytes: 1 << 20, RecallLimit: 1000}, nil)
	return h
}

// work is what stages are at work on, by space.
type work map[string][]graph.KeyLoad

func (w work) HeaviestKeys(int) []string           { return slices.Sorted(maps.Keys(w)) }
func (w work) LoadOf(space string) []graph.KeyLoad { return w[space] }

// noEmbedding is a server without an embedder.
type noEmbedding struct{}

func (noEmbedding) Embedder() memory.Embedder { return nil }

var errAborted = errors.New("aborted")

// wire is a Conn whose other end a test holds.
type wire struct {
	in  chan *engramv1.MemoryFlowRequest // closed: half-closed by the client
	out chan *engramv1.MemoryFlowResponse

	closeRead, abort sync.Once
	readClosed       chan struct{}
	aborted          chan struct{}
	result           chan error // what Flow returned
}

func (h *harness) dial(ctx context.Context) *wire {
	w := &wire{
		in: make(chan *engramv1.MemoryFlowRequest, 1024), out: make(chan *engramv1.MemoryFlowResponse, 1024),
		readClosed: make(chan struct{}), aborted: make(chan struct{}), result: make(chan error, 1),
	}
	go func() { w.result <- h.Flow(ctx, w) }()
	return w
}

func (w *wire) Recv() (*engramv1.MemoryFlowRequest, error) {
	select {
	case <-w.readClosed:
		return nil, errAborted
	case <-w.aborted:
		return nil, errAborted
	case m, ok := <-w.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	}
}

func (w *wire) Send(m *engramv1.MemoryFlowResponse) error {
	select {
	case <-w.aborted:
		return errAborted
	case w.out <- m:
		return nil
	}
}

func (w *wire) CloseRead() { w.closeRead.Do(func() { close(w.readClosed) }) }
func (w *wire) Abort()     { w.abort.Do(func() { close(w.aborted) }) }

func helloFrame(space string) *engramv1.MemoryFlowRequest {
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: space}}}
}

func observeFrame(first uint64, contents ...string) *engramv1.MemoryFlowRequest {
	batch := &engramv1.ObserveBatch{FirstSequence: first}
	for _, c := range contents {
		batch.Observations = append(batch.Observations, &engramv1.Observation{Content: c, Embedding: []float32{1, 0, 0}})
	}
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: batch}}
}

func recallFrame(id uint64) *engramv1.MemoryFlowRequest {
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{Recall: &engramv1.RecallOp{
		RecallId: id, Query: &engramv1.RecallQuery{Embedding: []float32{1, 0, 0}},
	}}}
}

func goodbyeFrame(end bool) *engramv1.MemoryFlowRequest {
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{EndSession: end}}}
}
