package hnsw

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/engram-stream/engram/stages/index/epoch"
	"github.com/engram-stream/engram/stages/index/quant"
)

// mostLevels bounds how high a node may reach; of 2^32 nodes of degree 32 one in two reaches the eighth.
const mostLevels = 12

// Options say what a graph is of.
type Options struct {
	Scheme  *quant.Scheme
	Frame   *quant.Frame // of all codes
	Measure Measure
	Unit    bool   // vectors are scaled to length 1: Distance then ranks as the cosine does
	Degree  int    // entries of a list at level 0, half as many above it: even, 8 to 128; 0: 32
	Seed    uint64 // of the levels
	// Epochs count the searches, and whoever else holds on to what it has found; nil: the graph has its own.
	Epochs *epoch.Epochs
}

// Graph holds nodes and their lists. Any number of searchers, and one builder.
type Graph struct {
	// immutable
	scheme  *quant.Scheme
	frame   *quant.Frame
	measure Measure
	unit    bool
	degree  int
	seed    uint64

	storage  atomic.Pointer[storage] // replaced when it grows
	top      atomic.Uint64           // of an entry; 0: there is none
	apart    atomic.Pointer[apart]   // never changed, but replaced; nil: there are none
	numbered atomic.Uint32           // numbers below it have been given to nodes
	live     atomic.Int64            // nodes in the graph
	epochs   *epoch.Epochs           // of whoever reads
}

// New returns an empty graph. A degree out of range panics.
func New(o Options) *Graph {
	if o.Degree == 0 {
		o.Degree = 32
	}
	if o.Degree < 8 || o.Degree > 128 || o.Degree%2 != 0 {
		panic(fmt.Sprintf("hnsw: a degree of %d", o.Degree))
	}
	if o.Epochs == nil {
		o.Epochs = &epoch.Epochs{}
	}
	g := &Graph{epochs: o.Epochs, scheme: o.Scheme, frame: o.Frame, measure: o.Measure, unit: o.Unit, degree: o.Degree, seed: o.Seed}
	g.storage.Store(newStorage(o.Scheme, o.Degree))
	return g
}

// Len returns how many nodes are in the graph.
func (g *Graph) Len() int { return int(g.live.Load()) }

// Bytes returns how many bytes the graph's nodes take.
func (g *Graph) Bytes() int {
	s := g.storage.Load()
	return len(s.records)*8 + len(s.codes) + 4*(len(s.lists)+len(s.distances)+len(s.upper)+len(s.upperDistances)+
		len(s.first)+len(s.slots)) + len(s.levels)
}

// Frame returns the frame of the codes.
func (g *Graph) Frame() *quant.Frame { return g.frame }

// entry is where walks begin: a node that reaches the highest level.
type entry struct {
	node  Node
	level int
}

func (g *Graph) entry() (entry, bool) {
	top := g.top.Load()
	return entry{node: Node(top), level: int(top>>32) - 1}, top != 0
}

func (g *Graph) setEntry(e entry) { g.top.Store(uint64(e.level+1)<<32 | uint64(e.node)) }

// freeSlot is the slot of a number that no node has.
const freeSlot = ^uint32(0)

func (g *Graph) has(s *storage, n Node) bool { return atomic.LoadUint32(&s.slots[n]) != freeSlot }

// Each calls visit for the nodes that are in the graph, by rising number, until it returns false.
func (g *Graph) Each(visit func(n Node, slot uint32) bool) {
	st := g.storage.Load()
	defer runtime.KeepAlive(st)
	for n := range min(g.numbered.Load(), st.limit) {
		if slot := atomic.LoadUint32(&st.slots[n]); slot != freeSlot && !visit(Node(n), slot) {
			return
		}
	}
}

// levelOf draws the level of a slot's node: level l is reached by one in half the degree to the power of l, and a slot's is
// always the same.
func (g *Graph) levelOf(slot uint32) int {
	// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
	x := g.seed + (uint64(slot)+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	uniform := (float64((x^x>>31)>>11) + 1) / (1 << 53)
	return min(int(-math.Log(uniform)/math.Log(float64(g.degree/2))), mostLevels-1)
}
