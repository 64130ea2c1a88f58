package indexbench

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// spaceName is the one space of a measurement.
const spaceName = "bench"

// record is what the journal keeps of an op: 8 bytes of an observation. A forget stands in forgets.
type record struct {
	tag uint32
	row uint32 // forgotten: the op is a forget, and tag its number
}

const (
	forgotten = ^uint32(0)

	// recordBytes is what the journal's records take of an observation, which is not the index's.
	recordBytes = 8
)

// journal implements the index's Journal over a data set. Safe for concurrent use.
type journal struct {
	rows  *vectors.Rows
	space memory.Space

	mu      sync.RWMutex
	records []record         // guarded by mu; of version and ordinal i+1
	forgets []*memory.Forget // guarded by mu
}

func newJournal(rows *vectors.Rows, metric memory.Metric, room int) *journal {
	return &journal{
		rows: rows, records: make([]record, 0, room),
		space: memory.Space{Name: spaceName, Incarnation: 1, Dimension: rows.Dimension(), Metric: metric},
	}
}

// Space implements the index's Journal.
func (j *journal) Space(name string) (memory.Space, bool) { return j.space, name == spaceName }

// OnDelete implements the index's Journal: nothing is deleted.
func (*journal) OnDelete(func(memory.Space)) {}

// ReadOp implements the index's Journal.
func (j *journal) ReadOp(o memory.Ordinal) (memory.Op, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if o == 0 || int(o) > len(j.records) {
		return memory.Op{}, fault.New(fault.Internal, "there is no op %d", o)
	}
	return j.op(int(o) - 1), nil
}

// ReplayOps implements the index's Journal.
func (j *journal) ReplayOps(ctx context.Context, fn func(memory.Space, memory.Version, memory.Ordinal, memory.Op) error) error {
	j.mu.RLock()
	n := len(j.records)
	j.mu.RUnlock()
	for i := range n {
		op, err := j.ReadOp(memory.Ordinal(i + 1))
		if err == nil {
			err = fn(j.space, memory.Version(i+1), memory.Ordinal(i+1), op)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// op returns op i. Callers hold mu.
func (j *journal) op(i int) memory.Op {
	r := j.records[i]
	op := memory.Op{Kind: memory.OpObserve, Sequence: uint64(i + 1)}
	if r.row == forgotten {
		op.Kind, op.Forget = memory.OpForget, j.forgets[r.tag]
		return op
	}
	op.Observe = &memory.Observation{ID: idOf(r.tag), Confidence: 1, Vector: j.rows.Row(int(r.row))}
	return op
}

// observe appends rows under tags, and returns them as they come to the index.
func (j *journal) observe(from *session.Attachment, records []record) []session.Appended {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, records...)
	return j.appended(from, len(records))
}

// forget appends a forget.
func (j *journal) forget(from *session.Attachment, f *memory.Forget) []session.Appended {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, record{tag: uint32(len(j.forgets)), row: forgotten})
	j.forgets = append(j.forgets, f)
	return j.appended(from, 1)
}

// appended returns the last n ops. Callers hold mu.
func (j *journal) appended(from *session.Attachment, n int) []session.Appended {
	items := make([]session.Appended, n)
	for i := range items {
		at := len(j.records) - n + i
		items[i] = session.Appended{
			Op: session.Op{Op: j.op(at), From: from}, Incarnation: j.space.Incarnation,
			Version: memory.Version(at + 1), Ordinal: memory.Ordinal(at + 1), Durable: durable,
		}
	}
	return items
}

func (j *journal) len() int {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return len(j.records)
}

// observedAfter returns how many observations have come after a version.
func (j *journal) observedAfter(v memory.Version) int {
	j.mu.RLock()
	defer j.mu.RUnlock()
	n := 0
	for _, r := range j.records[v:] {
		if r.row != forgotten {
			n++
		}
	}
	return n
}

// A memory's id is its tag: "r17".
const idPrefix = "r"

func idOf(tag uint32) string { return idPrefix + strconv.FormatUint(uint64(tag), 10) }

func tagOf(id string) (uint32, error) {
	tag, err := strconv.ParseUint(strings.TrimPrefix(id, idPrefix), 10, 32)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "the index has found %q, which was not observed", id)
	}
	return uint32(tag), nil
}

// settled is a memory.Durability that is decided.
type settled struct{ done chan struct{} }

var durable = func() settled {
	s := settled{done: make(chan struct{})}
	close(s.done)
	return s
}()

// Done implements memory.Durability.
func (s settled) Done() <-chan struct{} { return s.done }

// Err implements memory.Durability.
func (settled) Err() error { return nil }
