package graph

import "sync/atomic"

// Budget bounds what the whole process holds in memory on behalf of its sources, in items and bytes. Credit is taken
// through Batch.TryCharge and returns when the item settles. Safe for concurrent use; taking both is one atomic step
// in effect: a failed half is given back and a reader may only see more in use than there is, never less.
type Budget struct {
	limit Window

	items    atomic.Int64
	bytes    atomic.Int64
	returned atomic.Uint64 // items given back since the start
}

// NewBudget returns a full budget.
func NewBudget(limit Window) *Budget { return &Budget{limit: limit} }

// Limit returns the budget's size.
func (b *Budget) Limit() Window { return b.limit }

// Used returns the items and bytes now in use.
func (b *Budget) Used() Window { return Window{Items: int(b.items.Load()), Bytes: b.bytes.Load()} }

// Returned counts the items given back since the start: the drain of the process, as a counter.
func (b *Budget) Returned() uint64 { return b.returned.Load() }

// Fill returns the fuller of the two dimensions, 0 to 1.
func (b *Budget) Fill() float64 {
	u := b.Used()
	return max(float64(u.Items)/float64(b.limit.Items), float64(u.Bytes)/float64(b.limit.Bytes))
}

func (b *Budget) tryTake(items, bytes int64) bool {
	if b.items.Add(items) > int64(b.limit.Items) {
		b.items.Add(-items)
		return false
	}
	if b.bytes.Add(bytes) > b.limit.Bytes {
		b.bytes.Add(-bytes)
		b.items.Add(-items)
		return false
	}
	return true
}

func (b *Budget) give(items, bytes int64) {
	b.bytes.Add(-bytes)
	b.items.Add(-items)
	b.returned.Add(uint64(items))
}
