package journal

import (
	"context"
	"sync"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/journal/log"
)

// readBuffers keeps the buffers of ReadOp; larger ones than maxReadBuffer are left to the collector.
var readBuffers = sync.Pool{New: func() any { return new([]byte) }}

const maxReadBuffer = 1 << 20

// ReadOp reads one durable op, its checksum checked. An observation has its vector as it was sent. A fault.NotFound says
// that no durable op has the ordinal, a fault.Corrupt that its bytes are damaged. What it returns is the caller's.
func (s *Store) ReadOp(o memory.Ordinal) (memory.Op, error) {
	buf := readBuffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxReadBuffer {
			readBuffers.Put(buf)
		}
	}()
	b, err := s.log.Read(log.Ordinal(o), (*buf)[:0])
	*buf = b[:0]
	if err != nil {
		return memory.Op{}, err
	}
	return decodeStored(b, o)
}

func decodeStored(b []byte, o memory.Ordinal) (memory.Op, error) {
	op, err := decodeOp(b)
	if err != nil {
		return op, fault.Wrap(fault.Corrupt, err, "the op with ordinal %d passes its checksum and can not be decoded", o).
			WithOp("read journal").WithReason("JOURNAL_CORRUPT")
	}
	return op, nil
}

// ReplayOps calls fn for each op that is durable now, in the order of the log, every checksum checked; those of deleted
// spaces are left out. space is as it is now. It ends with fn's error, the context's, or a fault.Corrupt. What fn gets is its own. Appends go on meanwhile, but
// Close waits for it.
func (s *Store) ReplayOps(ctx context.Context,
	fn func(space memory.Space, v memory.Version, o memory.Ordinal, op memory.Op) error,
) error {
	return s.log.Replay(ctx, func(e log.Entry) error {
		if e.Kind != kindUnit {
			return nil
		}
		r, err := decodeRecord(e.Kind, e.Meta)
		if err != nil {
			return contradiction(e.LSN, "%v", err)
		}
		return s.replayUnit(r.(*unitRecord), e, fn)
	})
}

func (s *Store) replayUnit(u *unitRecord, e log.Entry,
	fn func(memory.Space, memory.Version, memory.Ordinal, memory.Op) error,
) error {
	sp, ok := s.Space(u.Space)
	if !ok || sp.Incarnation > u.Incarnation {
		return nil // it has been deleted; the state has seen that
	}
	if sp.Incarnation < u.Incarnation {
		return contradiction(e.LSN, "unit for space %q incarnation %d, which does not exist", u.Space, u.Incarnation)
	}
	for i, item := range e.Items {
		o := memory.Ordinal(e.Ordinal) + memory.Ordinal(i)
		op, err := decodeStored(item, o)
		if err != nil {
			return err
		}
		if err := fn(sp, u.Base+memory.Version(i), o, op); err != nil {
			return err
		}
	}
	return nil
}
