// Package graphtest is the test kit of package graph: batches with recorded outcomes, a recording Port, and
// VerifyStage, the contract test that every stage runs.
//
// A test of one stage makes a batch with NewBatch, a port with NewPort, calls Process, and reads what was sent from
// the port and what was settled from the Outcomes. VerifyStage then puts the stage through random batches, failing
// ports, hard stops and a real engine.
package graphtest

import (
	"fmt"
	"sync"

	"github.com/engram-stream/engram/graph"
)

// Outcomes records what became of each item of one offer. Safe for concurrent use.
type Outcomes struct {
	mu     sync.Mutex
	given  map[int]graph.Outcome // guarded by mu
	order  []int                 // guarded by mu; items in the order they were settled
	faults []string              // guarded by mu; items settled twice
}

// NewOutcomes returns an empty record.
func NewOutcomes() *Outcomes { return &Outcomes{given: make(map[int]graph.Outcome)} }

// Settle implements graph.Settler.
func (o *Outcomes) Settle(item int, outcome graph.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, twice := o.given[item]; twice {
		o.faults = append(o.faults, fmt.Sprintf("item %d settled twice", item))
	}
	o.given[item] = outcome
	o.order = append(o.order, item)
}

// Of returns the outcome of item i and whether it has one.
func (o *Outcomes) Of(i int) (graph.Outcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out, ok := o.given[i]
	return out, ok
}

// Err returns the reason with which item i was rejected; nil when it was delivered or has no outcome.
func (o *Outcomes) Err(i int) error {
	out, _ := o.Of(i)
	return out.Err
}

// Settled returns how many items have an outcome.
func (o *Outcomes) Settled() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.given)
}

// Order returns the items in the order they were settled.
func (o *Outcomes) Order() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]int(nil), o.order...)
}

// Faults lists the items that were settled more than once.
func (o *Outcomes) Faults() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.faults...)
}

// NewBatch returns a batch of items of one byte each, offered together, and the record of their outcomes.
func NewBatch[T any](items ...T) (*graph.Batch[T], *Outcomes) {
	return NewWeighed(items, func(T) int32 { return 1 })
}

// NewWeighed is NewBatch with a weight in bytes for each item.
func NewWeighed[T any](items []T, weight func(T) int32) (*graph.Batch[T], *Outcomes) {
	o := NewOutcomes()
	return graph.NewBatch(OfferOf(items, weight, o)), o
}

// OfferOf makes an offer of items with a weight in bytes for each.
func OfferOf[T any](items []T, weight func(T) int32, s graph.Settler) graph.Offer[T] {
	bytes := make([]int32, len(items))
	for i, item := range items {
		bytes[i] = weight(item)
	}
	return graph.Offer[T]{Items: append([]T(nil), items...), Bytes: bytes, Settler: s}
}
