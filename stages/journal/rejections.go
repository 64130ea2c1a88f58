package journal

import (
	"hash/maphash"
	"math"
	"slices"
	"sort"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

// The limits of what the state knows of rejections. A session's covers a default budget full of ops, every other one
// rejected, so that whatever a client has in flight when its stream is lost can be told when it resumes. As the sessions'
// sum nears its own limit (96 MiB), a session that adds more may keep fewer, down to 16; what is beyond that it forgets,
// oldest first.
const (
	maxRejectedRanges = 1 << 16
	maxAllRejected    = 1 << 22
)

// rejectedRange is a run of adjacent numbers rejected for one reason. The texts are not kept: the log has them.
type rejectedRange struct {
	first   uint64
	ordinal log.Ordinal // of the first of them
	count   uint32
	reason  uint32 // a hash of the reason, to join adjacent runs with
}

func (r *rejectedRange) last() uint64 { return r.first + uint64(r.count) - 1 }

// rejections are a session's rejected numbers, ascending. Copies share their ranges: what a copy has seen stays as it is
// but for the last range, which add may extend and whose undo restores.
type rejections struct {
	ranges    []rejectedRange
	forgotten uint64 // up to here some rejected numbers are not in ranges any more; 0: all are
}

// add notes a unit's rejected ops, and cuts the oldest ranges to keep at most most. It returns how to take that back.
func (l *rejections) add(u *unitRecord, most int) (undo func()) {
	before, n := *l, len(l.ranges)
	var last rejectedRange
	if n > 0 {
		last = l.ranges[n-1]
	}
	for _, run := range u.Rejected {
		l.push(rejectedRange{
			first: u.First + run.Start, ordinal: u.Ordinal + log.Ordinal(run.Start), count: uint32(run.Count), reason: hashOf(run.Rejection),
		})
	}
	if over := len(l.ranges) - most; over > 0 {
		l.forgotten = l.ranges[over-1].last()
		l.ranges = l.ranges[over:]
		if cap(l.ranges) > 2*len(l.ranges) { // else a short rest would keep all that was cut
			l.ranges = slices.Clip(slices.Clone(l.ranges))
		}
	}
	return func() {
		*l = before
		if n > 0 {
			l.ranges[n-1] = last
		}
	}
}

func (l *rejections) push(r rejectedRange) {
	if n := len(l.ranges); n > 0 {
		last := &l.ranges[n-1]
		if last.last()+1 == r.first && last.reason == r.reason && uint64(last.count)+uint64(r.count) <= math.MaxUint32 {
			last.count += r.count
			return
		}
	}
	l.ranges = append(l.ranges, r)
}

// within copies the parts of the ranges that lie in [first, last].
func (l *rejections) within(first, last uint64) []rejectedRange {
	from := sort.Search(len(l.ranges), func(i int) bool { return l.ranges[i].last() >= first })
	to := sort.Search(len(l.ranges), func(i int) bool { return l.ranges[i].first > last })
	if from >= to {
		return nil
	}
	out := append([]rejectedRange(nil), l.ranges[from:to]...)
	// Every number of a range has the same reason, so that its first ordinal goes on telling it.
	if head := &out[0]; head.first < first {
		head.count -= uint32(first - head.first)
		head.first = first
	}
	if tail := &out[len(out)-1]; tail.last() > last {
		tail.count -= uint32(tail.last() - last)
	}
	return out
}

var reasonSeed = maphash.MakeSeed()

func hashOf(r memory.Rejection) uint32 { return uint32(maphash.Comparable(reasonSeed, r)) }

// maxToldReasons bounds the texts of the reasons that one answer carries, so that it is never larger than clients read.
const maxToldReasons = 512 << 10

// reasons reads from the log why ranges were rejected; they must be durable. Adjacent ones with the same reason are
// joined. Beyond maxToldReasons bytes only the codes are told. A fault.Corrupt says that the log's bytes are damaged.
func (s *Store) reasons(ranges []rejectedRange) ([]session.RejectedRange, error) {
	var out []session.RejectedRange
	told := 0
	for _, r := range ranges {
		op, err := s.ReadOp(memory.Ordinal(r.ordinal))
		if err != nil {
			return nil, err
		}
		if op.Kind != memory.OpRejected {
			return nil, fault.New(fault.Corrupt, "the op with ordinal %d is not the rejected one of number %d", r.ordinal, r.first).
				WithOp("read journal").WithReason("JOURNAL_CORRUPT")
		}
		why := *op.Rejection
		if told+len(why.Reason)+len(why.Field) > maxToldReasons {
			why = memory.Rejection{Code: why.Code}
		}
		n := len(out)
		if out = session.AppendRejected(out, session.RejectedRange{First: r.first, Last: r.last(), Rejection: why}); len(out) > n {
			told += len(why.Reason) + len(why.Field)
		}
	}
	return out, nil
}
