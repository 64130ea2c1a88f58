package graph

// Batch is the only thing that crosses an edge; whoever receives it owns it. An item of a batch answers for one or
// more items that a source offered (its refs), so whatever becomes of it settles those, exactly once.
//
// Weights are counted in offered items and in the bytes that the source declared for them, whatever the items have
// become since. Not safe for concurrent use: a batch has one owner at a time.
type Batch[T any] struct {
	Items []T

	// refs holds the offered items that Items answer for, grouped by item; a nil ledger marks one that has been
	// settled or moved on. spans[i] is the end of item i's group; nil means one ref an item.
	refs  []ref
	spans []int
}

// ref names one offered item.
type ref struct {
	ledger *ledger
	index  int
}

func (r ref) item() *ledgerItem { return &r.ledger.items[r.index] }

// NewBatch returns a batch that belongs to no engine, its items unsettled: what a test hands to a stage.
func NewBatch[T any](o Offer[T]) *Batch[T] {
	return newBatch(o.Items, newLedger(o.Settler, o.Bytes))
}

func newBatch[T any](items []T, l *ledger) *Batch[T] {
	b := &Batch[T]{Items: items, refs: make([]ref, len(items))}
	for i := range b.refs {
		b.refs[i] = ref{ledger: l, index: i}
	}
	return b
}

func (b *Batch[T]) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.end(i - 1)
}

func (b *Batch[T]) end(i int) int {
	if b.spans == nil {
		return i + 1
	}
	return b.spans[i]
}

func (b *Batch[T]) group(i int) []ref { return b.refs[b.start(i):b.end(i)] }

// Len returns the number of items, settled ones included. A batch that a stage is handed has no settled ones.
func (b *Batch[T]) Len() int { return len(b.Items) }

// Live returns how many offered items this batch still answers for.
func (b *Batch[T]) Live() int { return b.weigh().Items }

// Bytes returns the weight of the live items, in bytes, as their source declared it.
func (b *Batch[T]) Bytes() int64 { return b.weigh().Bytes }

func (b *Batch[T]) weigh() Window {
	var w Window
	for _, r := range b.refs {
		if r.ledger != nil {
			w.Items++
			w.Bytes += int64(r.item().bytes)
		}
	}
	return w
}

// Reject settles item i with a reason; its source learns of it through its Settler. An item already settled or
// moved on is an engine error and panics (caught at the stage boundary).
func (b *Batch[T]) Reject(i int, reason error) {
	group := b.group(i)
	mustLive(group)
	settleLive(group, Outcome{Err: reason})
}

// RejectLive settles every item still live with the reason.
func (b *Batch[T]) RejectLive(reason error) { settleLive(b.refs, Outcome{Err: reason}) }

// DeliverLive settles every item still live as delivered. The engine does it after a sink; test kits use it.
func (b *Batch[T]) DeliverLive() { settleLive(b.refs, Outcome{}) }

// Mark attaches a mark to item i. The graph never reads it; the Settler gets it with the outcome.
func (b *Batch[T]) Mark(i int, mark uint8) {
	for _, r := range b.group(i) {
		if r.ledger != nil {
			r.item().mark = mark
		}
	}
}

// TryCharge takes credit for the live items from the budget, all or nothing, in one atomic step. The credit returns
// item by item as they settle. Charging an item twice is an engine error and panics.
func (b *Batch[T]) TryCharge(budget *Budget) bool {
	for _, r := range b.refs {
		if r.ledger != nil && r.item().charged.Load() != nil {
			panic("graph: item charged twice")
		}
	}
	w := b.weigh()
	if !budget.tryTake(int64(w.Items), w.Bytes) {
		return false
	}
	for _, r := range b.refs {
		if r.ledger == nil {
			continue
		}
		it := r.item()
		it.charged.Store(budget)
		if it.place() == abandoned { // it may have had its verdict before the credit, and none follows
			it.release()
		}
	}
	return true
}

// Uncharge gives back what TryCharge took for the items still live.
func (b *Batch[T]) Uncharge() {
	for _, r := range b.refs {
		if r.ledger != nil {
			r.item().release()
		}
	}
}

// Take moves the items at the given ascending indexes out of b into a new batch. In b they are gone: not live, their
// value kept. Taking one that is settled or gone panics.
func Take[T any](b *Batch[T], indexes []int) *Batch[T] {
	out := &Batch[T]{Items: make([]T, 0, len(indexes)), refs: make([]ref, 0, len(indexes))}
	if b.spans != nil {
		out.spans = make([]int, 0, len(indexes))
	}
	for _, i := range indexes {
		group := b.group(i)
		mustLive(group)
		out.Items = append(out.Items, b.Items[i])
		out.refs = append(out.refs, group...)
		if out.spans != nil {
			out.spans = append(out.spans, len(out.refs))
		}
		clear(group)
	}
	return out
}

// Cut splits b after n items, as Take does: the rest is empty when there is none.
func Cut[T any](b *Batch[T], n int) (head, rest *Batch[T]) {
	if b.Len() <= n {
		return b, &Batch[T]{}
	}
	return Take(b, span(0, n)), Take(b, span(n, b.Len()))
}

func span(from, to int) []int {
	indexes := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		indexes = append(indexes, i)
	}
	return indexes
}

// Map turns b into a batch of other items, out[i] answering for b.Items[i]. b is used up.
func Map[In, Out any](b *Batch[In], out []Out) *Batch[Out] {
	if len(out) != len(b.Items) {
		panic("graph: Map needs an output item for each input item")
	}
	next := &Batch[Out]{Items: out, refs: b.refs, spans: b.spans}
	b.empty()
	return next
}

// Fold turns runs of adjacent items of b into one item each: out[j] answers for the items from ends[j-1] up to, not
// including, ends[j]. Runs are not empty and the last end is b.Len(). b is used up.
func Fold[In, Out any](b *Batch[In], out []Out, ends []int) *Batch[Out] {
	last := 0
	spans := make([]int, len(ends))
	for j, end := range ends {
		if end <= last || end > len(b.Items) {
			panic("graph: Fold needs ascending ends within the batch")
		}
		spans[j], last = b.end(end-1), end
	}
	if len(out) != len(ends) || last != len(b.Items) {
		panic("graph: Fold needs an end for each output item, the last at the batch's length")
	}
	next := &Batch[Out]{Items: out, refs: b.refs, spans: spans}
	b.empty()
	return next
}

// Concat joins batches in order into one. They are used up; of a single batch it is that batch.
func Concat[T any](batches ...*Batch[T]) *Batch[T] {
	if len(batches) == 1 {
		return batches[0]
	}
	items, refs, spanned := 0, 0, false
	for _, b := range batches {
		items += len(b.Items)
		refs += len(b.refs)
		spanned = spanned || b.spans != nil
	}
	out := &Batch[T]{Items: make([]T, 0, items), refs: make([]ref, 0, refs)}
	if spanned {
		out.spans = make([]int, 0, items)
	}
	for _, b := range batches {
		if spanned {
			for i := range b.Items {
				out.spans = append(out.spans, len(out.refs)+b.end(i))
			}
		}
		out.Items = append(out.Items, b.Items...)
		out.refs = append(out.refs, b.refs...)
		b.empty()
	}
	return out
}

// detach moves everything into another batch and leaves b empty, so that a sender that goes on using what it has sent
// finds nothing there, instead of what is somebody else's by now.
func (b *Batch[T]) detach() *Batch[T] {
	next := *b
	b.empty()
	return &next
}

func (b *Batch[T]) empty() { b.refs, b.spans, b.Items = nil, nil, nil }

// move hands the live items from one place to the next and weighs them; what is settled is dropped from the batch,
// so that the receiver sees live items only. An item that is not at from was sent before: a bug of the stage, which
// panics with nothing moved.
func (b *Batch[T]) move(from, to place) Window {
	var w Window
	dead := false
	for i, r := range b.refs {
		if r.ledger == nil {
			dead = true
			continue
		}
		switch r.item().move(from, to) {
		case moved:
			w.Items++
			w.Bytes += int64(r.item().bytes)
		case movedAbandoned:
			b.refs[i] = ref{}
			dead = true
		case movedAstray:
			b.unmove(i, from, to)
			panic("graph: item sent twice, or by a stage that does not own it")
		}
	}
	if dead {
		b.Compact()
	}
	return w
}

func (b *Batch[T]) unmove(n int, from, to place) {
	for _, r := range b.refs[:n] {
		if r.ledger != nil {
			r.item().move(to, from)
		}
	}
}

// Compact drops, in place, the items that answer for nothing live. The engine does it wherever a batch is sent; test
// kits use it.
func (b *Batch[T]) Compact() {
	items, refs, spans := b.Items[:0], b.refs[:0], b.spans[:0]
	start := 0
	for i, item := range b.Items {
		end, kept := b.end(i), len(refs)
		for _, r := range b.refs[start:end] {
			if r.ledger != nil {
				refs = append(refs, r)
			}
		}
		start = end
		if len(refs) == kept {
			continue
		}
		items = append(items, item)
		if b.spans != nil {
			spans = append(spans, len(refs))
		}
	}
	clear(b.Items[len(items):])
	clear(b.refs[len(refs):])
	b.Items, b.refs, b.spans = items, refs, spans
}
