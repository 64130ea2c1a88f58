package fresh

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/stages/index/quant"
)

const (
	// stride is how many slots are scanned between two looks at the context: some 20 µs at 768 dimensions.
	stride = 1024
	// splitComponents is the least work, in components of vectors, worth one more goroutine: some ms.
	splitComponents = 64 << 20
	// maxSplit bounds the goroutines of one scan.
	maxSplit = 16
	// Of the nearest by their 1-bit codes so many times what is asked for, and so many more, are compared by their int8 codes.
	coarseTimes, coarseMore = 2, 136
)

// Query asks a tier for the best K slots at a snapshot.
type Query struct {
	Vector  []float32 // of finite components; not changed
	Version uint64    // the snapshot, published before the scan begins
	K       int       // >= 1
	From    Slot      // where the scan begins; slots that are released are left out in any case
	// Keep drops slots that it returns false for; nil keeps all. Called concurrently.
	Keep func(Slot) bool
	// Share lends goroutines to large scans; nil means none.
	Share *Share
}

// Share bounds the extra goroutines of all the scans that use it together. Safe for concurrent use.
type Share struct{ free atomic.Int64 }

// NewShare returns a share of n goroutines.
func NewShare(n int) *Share {
	s := &Share{}
	s.free.Store(int64(n))
	return s
}

// take lends up to n goroutines, without waiting.
func (s *Share) take(n int) int {
	for s != nil && n > 0 {
		free := s.free.Load()
		lent := min(free, int64(n))
		if lent <= 0 {
			return 0
		}
		if s.free.CompareAndSwap(free, free-lent) {
			return int(lent)
		}
	}
	return 0
}

func (s *Share) give(n int) {
	if n > 0 {
		s.free.Add(int64(n))
	}
}

// Scan compares the query with every slot from its From on that is visible at its version, and returns the best K by falling score, ties by
// rising birth, and how many such slots the snapshot has, dead ones included. Scores are of codes: near, not exact. A small tier
// is compared by its int8 codes; in a large one these only tell which of the nearest by 1-bit codes are nearest. The answer
// does not depend on how the work is split. It ends early only with the context's error. A vector of another dimension or K
// below 1 panics.
func (t *Tier) Scan(ctx context.Context, q Query) (found []Candidate, compared int, err error) {
	if q.K < 1 {
		panic(fmt.Sprintf("fresh: a query for %d hits", q.K))
	}
	s := t.newScan(ctx, q)
	helpers := q.Share.take(s.worthwhile() - 1)
	defer q.Share.give(helpers)
	workers := make([]worker, helpers+1)
	s.run(workers)
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	nearest, near := make([]top, len(workers), len(workers)+1), make([]top, len(workers))
	for i, w := range workers {
		nearest[i], near[i] = w.nearest, w.near
		compared += w.compared
	}
	nearer := top{heap: best(s.coarse, near...)}
	for i := range nearer.heap {
		b, offset := s.at(nearer.heap[i].Slot)
		nearer.heap[i].Score = s.approximate(b, offset)
	}
	return best(q.K, append(nearest, nearer)...), compared, nil
}

// Visible returns slots from first on that are visible at a version, by rising birth, after looking at n of them at most; next
// is where to go on, unless last says that there are no more. Their scores are 0.
func (t *Tier) Visible(first Slot, n int, version uint64) (found []Candidate, next Slot, last bool) {
	end := Slot(t.end.Load())
	s := scan{blocks: t.directory.Load().blocks, q: Query{Version: version}}
	for until := min(uint64(first)+uint64(n), uint64(end)); uint64(first) < until; first++ {
		b, offset := s.at(first)
		if b.records[offset].birth > version {
			return found, first, true
		}
		if !s.hidden(b, first, offset) {
			found = append(found, b.candidate(first, offset, 0))
		}
	}
	return found, first, first >= end
}

// scan is what the workers of one Scan share.
type scan struct {
	ctx    context.Context
	q      Query
	tier   *Tier
	from   Slot
	end    Slot
	blocks []*block
	next   atomic.Uint64 // the next stride to take

	query     *quant.Query
	tables    []byte // of the query, for blocks
	estimated bool   // 1-bit codes tell which are near
	coarse    int    // how many of those that are near are compared by int8 codes
}

// newScan loads the end before the directory: step 6 of the protocol.
func (t *Tier) newScan(ctx context.Context, q Query) *scan {
	end := Slot(t.end.Load())
	d := t.directory.Load()
	s := &scan{ctx: ctx, q: q, tier: t, end: end, blocks: d.blocks, coarse: coarseTimes*q.K + coarseMore}
	s.from = max(q.From, d.firstCoded())
	s.next.Store((uint64(s.from) + firstBlock) / stride)
	if s.query, s.estimated = t.metric.encode(t.scheme, q.Vector, d.frame); s.estimated {
		s.tables = make([]byte, simd.TableBytes*t.scheme.Words())
		simd.QueryTables(s.tables, s.query.Planes)
	}
	return s
}

func (s *scan) at(slot Slot) (*block, int) {
	index, offset := locate(slot)
	return s.blocks[index], offset
}

// approximate is the score of a place by its int8 code.
func (s *scan) approximate(b *block, offset int) float32 {
	codes := simd.DotInt8(s.query.Code, b.code(offset, len(s.query.Code)))
	runtime.KeepAlive(b)
	return s.tier.metric.approximate(s.query, codes, b.factors[offset])
}

// run scans with all the workers: the first on the caller's goroutine, the others on their own. They share the strides, so one
// that no processor has come to by the time that all are taken is not waited for. A panic of any is the caller's.
func (s *scan) run(workers []worker) {
	helpers := make([]helper, len(workers)-1)
	for i := range helpers {
		h, w := &helpers[i], &workers[i+1]
		h.ended = make(chan struct{})
		go func() {
			if h.state.CompareAndSwap(helperIdle, helperStarted) {
				defer close(h.ended)
				h.catcher.Try(func() { w.run(s) })
			}
		}()
	}
	var own panics.Catcher
	own.Try(func() { workers[0].run(s) })
	for i := range helpers {
		if h := &helpers[i]; !h.state.CompareAndSwap(helperIdle, helperNotNeeded) {
			<-h.ended
			h.catcher.Repanic()
		}
	}
	own.Repanic()
}

// helper is a goroutine that is lent to a scan.
type helper struct {
	state   atomic.Uint32
	ended   chan struct{} // closed when one that has started is done
	catcher panics.Catcher
}

// The states of a helper.
const (
	helperIdle = iota
	helperStarted
	helperNotNeeded
)

// worthwhile returns how many goroutines the work feeds.
func (s *scan) worthwhile() int {
	return min(int((int64(s.end)-int64(s.from))*int64(s.tier.Dimension())/splitComponents), maxSplit)
}

// worker is one goroutine's part of a scan.
type worker struct {
	nearest  top // by int8 codes
	near     top // by 1-bit codes: the score is the negated estimate
	compared int
}

// room is where a worker estimates a stride.
type room struct {
	sums, indexes [stride]uint32
	estimates     [stride]float32
}

var rooms = sync.Pool{New: func() any { return new(room) }}

func (w *worker) run(s *scan) {
	w.nearest.k, w.near.k = s.q.K, s.coarse
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	for s.ctx.Err() == nil {
		// All blocks but the first begin firstBlock before a whole group's worth of slots, and so do all strides but the first.
		until := s.next.Add(1)*stride - firstBlock
		first := max(until, stride, uint64(s.from)+stride) - stride
		if first >= uint64(s.end) {
			return
		}
		if !w.scan(s, r, Slot(first), Slot(min(until, uint64(s.end)))) {
			return
		}
	}
}

// scan takes the slots from first up to, not including, end. It returns false when it met the snapshot's edge: all
// later strides lie beyond it.
func (w *worker) scan(s *scan, r *room, first, end Slot) bool {
	for first < end {
		b, offset := s.at(first)
		count := min(int(end-first), len(b.records)-offset)
		seen := b.seen(offset, count, s.q.Version)
		head, whole := 0, 0
		if s.estimated && b.coarse != nil {
			// Codes are interleaved: those of a group that is not full yet stand beside what is being written.
			head = min(-offset&(simd.Lanes-1), seen)
			whole = (seen - head) / simd.Lanes * simd.Lanes
			w.estimate(s, r, b, first+Slot(head), offset+head, whole)
		}
		for i := range seen - whole {
			if i >= head {
				i += whole
			}
			w.look(s, b, first+Slot(i), offset+i)
		}
		w.compared += seen
		if seen < count {
			return false
		}
		first += Slot(count)
	}
	return true
}

// seen returns how many of count slots from offset on were born up to a version.
func (b *block) seen(offset, count int, version uint64) int {
	records := b.records[offset : offset+count]
	if records[count-1].birth <= version {
		return count
	}
	return sort.Search(count, func(i int) bool { return records[i].birth > version })
}

// hidden reports whether a slot is dead at the snapshot, or dropped.
func (s *scan) hidden(b *block, slot Slot, offset int) bool {
	death := b.deaths[offset].Load()
	return death != 0 && death <= s.q.Version || s.q.Keep != nil && !s.q.Keep(slot)
}

// estimate finds the slots that are near by their 1-bit codes: count of them, in whole groups.
func (w *worker) estimate(s *scan, r *room, b *block, first Slot, offset, count int) {
	c, words := b.coarse, s.tier.scheme.Words()
	simd.DotBits4Blocks(r.sums[:count], c.bits[offset*words*8:(offset+count)*words*8], s.tables)
	threshold := float32(math.MaxFloat32)
	if len(w.near.heap) == w.near.k {
		threshold = -w.near.heap[0].Score
	}
	end := offset + count
	found := simd.FilterEstimates(r.indexes[:], r.estimates[:], simd.Codes{
		Sums: r.sums[:count], Norms: c.norms[offset:end], Factors: c.factors[offset:end], Ones: c.ones[offset:end],
	}, s.query.Estimate, threshold, 0)
	runtime.KeepAlive(b)
	for i, at := range r.indexes[:found] {
		slot, offset := first+Slot(at), offset+int(at)
		score := -r.estimates[i]
		switch {
		case math.IsInf(float64(score), 1): // there is no estimate
			w.look(s, b, slot, offset)
		case w.near.beats(score) && !s.hidden(b, slot, offset):
			w.near.offer(b.candidate(slot, offset, score))
		}
	}
}

// look compares a slot by its int8 code.
func (w *worker) look(s *scan, b *block, slot Slot, offset int) {
	if !s.hidden(b, slot, offset) {
		w.keep(b.candidate(slot, offset, s.approximate(b, offset)))
	}
}

func (w *worker) keep(c Candidate) {
	if w.nearest.beats(c.Score) {
		w.nearest.offer(c)
	}
}

func (b *block) candidate(slot Slot, offset int, score float32) Candidate {
	r := &b.records[offset]
	return Candidate{Slot: slot, Score: score, Birth: r.birth, Ordinal: r.ordinal}
}
