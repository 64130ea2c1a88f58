package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// fakeJournal is a journal in memory. Safe for concurrent use.
type fakeJournal struct {
	mu      sync.RWMutex
	spaces  map[string]memory.Space   // guarded by mu
	next    map[string]memory.Version // guarded by mu; the last version given
	records []fakeRecord              // guarded by mu; ordinal-1 → op

	// onRead, if set, is asked before each ReadOp; guarded by mu.
	onRead func(memory.Ordinal) error
	// replays counts the calls of ReplayOps; guarded by mu.
	replays int

	incarnation uint64             // guarded by mu; the last one given
	onDelete    func(memory.Space) // set by Open
}

type fakeRecord struct {
	space       string
	incarnation uint64
	version     memory.Version
	op          memory.Op
}

func newFakeJournal() *fakeJournal {
	return &fakeJournal{spaces: map[string]memory.Space{}, next: map[string]memory.Version{}}
}

func (j *fakeJournal) Space(name string) (memory.Space, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	s, ok := j.spaces[name]
	return s, ok
}

func (j *fakeJournal) ReadOp(o memory.Ordinal) (memory.Op, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.onRead != nil {
		if err := j.onRead(o); err != nil {
			return memory.Op{}, err
		}
	}
	if o == 0 || int(o) > len(j.records) {
		return memory.Op{}, fault.New(fault.Internal, "no record %d", o)
	}
	return j.records[o-1].op, nil
}

func (j *fakeJournal) ReplayOps(ctx context.Context, fn func(memory.Space, memory.Version, memory.Ordinal, memory.Op) error) error {
	j.mu.Lock()
	j.replays++
	records, spaces := j.records, maps.Clone(j.spaces)
	j.mu.Unlock()
	for i, r := range records {
		space := spaces[r.space]
		if space.Incarnation != r.incarnation {
			continue
		}
		if err := errors.Join(ctx.Err(), fn(space, r.version, memory.Ordinal(i+1), r.op)); err != nil {
			return err
		}
	}
	return nil
}

// createSpace makes a space with a shape.
func (j *fakeJournal) createSpace(name string, dimension int, metric memory.Metric) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.incarnation++
	j.spaces[name] = memory.Space{Name: name, Incarnation: j.incarnation, Dimension: dimension, Metric: metric}
}

func (j *fakeJournal) OnDelete(fn func(memory.Space)) { j.onDelete = fn }

// deleteSpace deletes a space durably; told says whether the index learns of it.
func (j *fakeJournal) deleteSpace(name string, told bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if told {
		j.onDelete(j.spaces[name])
	}
	delete(j.spaces, name)
	delete(j.next, name)
}

// append gives ops their versions and ordinals, under one fate.
func (j *fakeJournal) append(from *session.Attachment, f *fate, ops ...memory.Op) []session.Appended {
	j.mu.Lock()
	defer j.mu.Unlock()
	items := make([]session.Appended, len(ops))
	for i, op := range ops {
		space, known := j.spaces[from.Space]
		if !known {
			j.incarnation++
			space = memory.Space{Name: from.Space, Incarnation: j.incarnation, Metric: memory.Cosine}
		}
		if op.Kind == memory.OpObserve && space.Dimension == 0 {
			space.Dimension = len(op.Observe.Vector)
		}
		j.spaces[from.Space] = space
		j.next[from.Space]++
		v := j.next[from.Space]
		op.Sequence = uint64(v)
		j.records = append(j.records, fakeRecord{space: from.Space, incarnation: space.Incarnation, version: v, op: op})
		items[i] = session.Appended{
			Op: session.Op{Op: op, From: from}, Incarnation: space.Incarnation, Version: v, Ordinal: memory.Ordinal(len(j.records)), Durable: f,
		}
	}
	return items
}

// savepoint returns what undoes everything appended since.
func (j *fakeJournal) savepoint() (undo func()) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	spaces, next, n := maps.Clone(j.spaces), maps.Clone(j.next), len(j.records)
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.spaces, j.next, j.records = spaces, next, j.records[:n:n]
	}
}

func (j *fakeJournal) failReads(onRead func(memory.Ordinal) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.onRead = onRead
}

func (j *fakeJournal) replayed() int {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.replays
}

// fate is a Durability that a test decides.
type fate struct {
	done chan struct{}
	err  error // set before done is closed
}

func newFate() *fate                  { return &fate{done: make(chan struct{})} }
func (f *fate) Done() <-chan struct{} { return f.done }
func (f *fate) Err() error            { return f.err }
func (f *fate) decide(err error)      { f.err = err; close(f.done) }
func durable() *fate                  { f := newFate(); f.decide(nil); return f }
func lost() *fate                     { f := newFate(); f.decide(errDisk); return f }

var errDisk = errors.New("disk gone")

// fixedLimits are recall's limits of a test.
type fixedLimits struct{ workers, queue, maxLimit int }

func (l fixedLimits) RecallLimits() (workers, queue, maxLimit int) {
	return l.workers, l.queue, l.maxLimit
}

var roomy = fixedLimits{workers: 2, queue: 64, maxLimit: memory.MaxRecallLimit}

// openStage returns an open stage over a journal.
// folder is where an index keeps files.
type folder string

func (f folder) IndexDir() string { return string(f) }

// nowhere is no folder.
var nowhere = graph.NewHandle[DataDir](folder(""))

func openStage(t testing.TB, j *fakeJournal, l fixedLimits) *Stage {
	t.Helper()
	s := newStage(plain, nil, graph.NewHandle[Journal](j), graph.NewHandle[Limits](l), nowhere)
	require.NoError(t, s.Open(context.Background()))
	return s
}

func at(space string) *session.Attachment {
	return &session.Attachment{SessionID: "s-" + space, Space: space, Epoch: 1, Window: session.NewWindow(1)}
}

func observe(id string, vector ...float32) memory.Op {
	return memory.Op{Kind: memory.OpObserve, Observe: &memory.Observation{
		ID: id, Vector: vector, Confidence: 1, Content: "content of " + id,
		Metadata: map[string]memory.Value{"n": int64(len(id))},
	}}
}

func forget(ids ...string) memory.Op {
	return memory.Op{Kind: memory.OpForget, Forget: &memory.Forget{IDs: ids}}
}

func rejected() memory.Op {
	return memory.Op{Kind: memory.OpRejected, Rejection: &memory.Rejection{Code: 3, Reason: "poison"}}
}

func numbered(n int) string { return fmt.Sprintf("m%d", n) }

// plain are settings without graphs.
var plain = Config{Rescore: true}
