package graph

// Batch is the only thing that crosses an edge; whoever receives it owns it. An item of a batch answers for one or
// more items that a source offered (its refs), so whatever becomes of it settles those, exactly once.
//
// Not safe for concurrent use: a batch has one owner at a time.
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

func (b *Batch[T]) group(i int) []ref {
	if b.spans == nil {
		return b.refs[i : i+1]
	}
	start := 0
	if i > 0 {
		start = b.spans[i-1]
	}
	return b.refs[start:b.spans[i]]
}

// Len returns the number of items, settled ones included.
func (b *Batch[T]) Len() int { return len(b.Items) }

// Live returns how many offered items this batch still answers for.
func (b *Batch[T]) Live() int {
	n := 0
	for _, r := range b.refs {
		if r.ledger != nil {
			n++
		}
	}
	return n
}

// Bytes returns the weight of the live items, in bytes, as their source declared it.
func (b *Batch[T]) Bytes() int64 {
	var n int64
	for _, r := range b.refs {
		if r.ledger != nil {
			n += int64(r.ledger.items[r.index].bytes)
		}
	}
	return n
}

// Reject settles item i with a reason; its source learns of it through its Settler. An item already settled or
// moved on is an engine error and panics (caught at the stage boundary).
func (b *Batch[T]) Reject(i int, reason error) {
	settleGroup(b.group(i), Outcome{Err: reason})
}

// RejectLive settles every item still live with the reason.
func (b *Batch[T]) RejectLive(reason error) {
	settleLive(b.refs, Outcome{Err: reason})
}

// Mark attaches a mark to item i. The graph never reads it; the Settler gets it with the outcome.
func (b *Batch[T]) Mark(i int, mark uint8) {
	for _, r := range b.group(i) {
		if r.ledger != nil {
			r.ledger.items[r.index].mark = mark
		}
	}
}

// TryCharge takes credit for the live items from the budget, all or nothing, in one atomic step. The credit returns
// item by item as they settle.
func (b *Batch[T]) TryCharge(budget *Budget) bool {
	if !budget.tryTake(int64(b.Live()), b.Bytes()) {
		return false
	}
	for _, r := range b.refs {
		if r.ledger != nil {
			r.ledger.items[r.index].charged = budget
		}
	}
	return true
}

// Uncharge gives back what TryCharge took for the items still live.
func (b *Batch[T]) Uncharge() {
	for _, r := range b.refs {
		if r.ledger != nil {
			r.ledger.release(r.index)
		}
	}
}

// Take moves the items at the given ascending indexes out of b into a new batch. In b they are gone.
func Take[T any](b *Batch[T], indexes []int) *Batch[T] {
	out := &Batch[T]{Items: make([]T, 0, len(indexes)), refs: make([]ref, 0, len(indexes))}
	if b.spans != nil {
		out.spans = make([]int, 0, len(indexes))
	}
	for _, i := range indexes {
		out.Items = append(out.Items, b.Items[i])
		group := b.group(i)
		for j, r := range group {
			if r.ledger == nil {
				panic("graph: item taken that was settled or moved on")
			}
			out.refs = append(out.refs, r)
			group[j] = ref{}
		}
		if out.spans != nil {
			out.spans = append(out.spans, len(out.refs))
		}
	}
	return out
}

// Map turns b into a batch of other items, out[i] answering for b.Items[i]. b is used up.
func Map[In, Out any](b *Batch[In], out []Out) *Batch[Out] {
	if len(out) != len(b.Items) {
		panic("graph: Map needs an output item for each input item")
	}
	next := &Batch[Out]{Items: out, refs: b.refs, spans: b.spans}
	b.refs, b.spans, b.Items = nil, nil, nil
	return next
}

// Fold turns runs of adjacent items of b into one item each: out[j] answers for the items from ends[j-1] up to, not
// including, ends[j]. The last end is b.Len(). b is used up.
func Fold[In, Out any](b *Batch[In], out []Out, ends []int) *Batch[Out] {
	if len(out) != len(ends) || (len(ends) > 0 && ends[len(ends)-1] != len(b.Items)) {
		panic("graph: Fold needs an end for each output item, the last at the batch's length")
	}
	spans := make([]int, len(ends))
	for j, end := range ends {
		if end > 0 && b.spans != nil {
			spans[j] = b.spans[end-1]
		} else {
			spans[j] = end
		}
	}
	next := &Batch[Out]{Items: out, refs: b.refs, spans: spans}
	b.refs, b.spans, b.Items = nil, nil, nil
	return next
}

// Concat joins batches in order into one. They are used up.
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
	for _, b := range batches {
		if spanned {
			for i := range b.Items {
				out.spans = append(out.spans, len(out.refs)+b.end(i))
			}
		}
		out.Items = append(out.Items, b.Items...)
		out.refs = append(out.refs, b.refs...)
		b.refs, b.spans, b.Items = nil, nil, nil
	}
	return out
}

func (b *Batch[T]) end(i int) int {
	if b.spans == nil {
		return i + 1
	}
	return b.spans[i]
}
