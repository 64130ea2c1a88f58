package hnsw

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/engram-stream/engram/internal/arena"
	"github.com/engram-stream/engram/stages/index/quant"
)

// Node numbers a graph's nodes from 0. Numbers of removed nodes are used again.
type Node uint32

// MaxNodes is how many nodes a graph can number.
const MaxNodes = 1<<31 - 1

// A list's entry is a node, or none where the list ends.
const (
	none = ^uint32(0)
	held = uint32(1) << 31 // the entry holds one of the two in the tree: it stays
	mask = held - 1
)

// finePadded is the length of int8 codes up to which nothing is gained by 1-bit codes: these take no fewer cache lines to
// get at, and an estimate's error, which falls with the square root of the length, is too large to find the way by.
const finePadded = 256

// besideCode is how many words of a record follow its 1-bit code.
const besideCode = 3

// storage is where the nodes are. A growing graph replaces it; the arrays go on in the same memory, or in a copy of it. All
// but lists are written before a node is in a list and do not change until its number is used again.
//
//	records   | 1-bit code | norm, factor | ones, lift | scale, squared | padding |   a node: 128 bytes at 768 dimensions
//	codes     | int8 × padded |
//	lists     | none-terminated, degree entries at level 0 |                          atomic
//	upper     | one list of half the degree for each level from 1 on |               atomic; a node's begin at first
//	distances, upperDistances: of the entries to the node, the writer's own
type storage struct {
	// immutable
	words, stride, padded int
	degree                int       // of level 0
	fine                  bool      // nodes are compared by int8 codes only
	cosines               []float32 // of angles between 1-bit codes, by the bits in which they differ

	limit          uint32 // nodes there is room for
	records        []uint64
	codes          []int8
	lists          []uint32
	distances      []float32
	upper          []uint32
	upperDistances []float32
	levels         []uint8
	first          []uint32 // in lists of upper
	slots          []uint32

	memory [9]*arena.Memory // keeps the arrays alive
}

func newStorage(scheme *quant.Scheme, degree int) *storage {
	words := scheme.Words()
	s := &storage{words: words, stride: (words + besideCode + 1) / 2 * 2, padded: scheme.Padded(), degree: degree}
	s.fine = s.padded <= finePadded
	s.cosines = make([]float32, s.padded+1)
	for i := range s.cosines {
		s.cosines[i] = float32(math.Cos(math.Pi * float64(i) / float64(scheme.Dimension())))
	}
	return s
}

// grown returns a storage with room for so many nodes and upper lists, at least what there is; new lists are empty.
func (s *storage) grown(nodes, upperLists int) *storage {
	g := *s
	m, d := &g.memory, s.degree
	g.records, m[0] = arena.Grow(m[0], s.records, nodes*s.stride)
	g.codes, m[1] = arena.Grow(m[1], s.codes, nodes*s.padded)
	g.lists, m[2] = arena.Grow(m[2], s.lists, nodes*d)
	g.distances, m[3] = arena.Grow(m[3], s.distances, nodes*d)
	g.levels, m[4] = arena.Grow(m[4], s.levels, nodes)
	g.first, m[5] = arena.Grow(m[5], s.first, nodes)
	g.slots, m[6] = arena.Grow(m[6], s.slots, nodes)
	upper := max(upperLists*d/2, len(s.upper))
	g.upper, m[7] = arena.Grow(m[7], s.upper, upper)
	g.upperDistances, m[8] = arena.Grow(m[8], s.upperDistances, upper)
	fill(g.lists[len(s.lists):])
	fill(g.upper[len(s.upper):])
	g.limit = uint32(nodes)
	return &g
}

func fill(entries []uint32) {
	for i := range entries {
		entries[i] = none
	}
}

// list returns the entries of a node at one of its levels.
func (s *storage) list(n Node, level int) []uint32 {
	if level == 0 {
		return part(s.lists, int(n), s.degree)
	}
	return part(s.upper, int(s.first[n])+level-1, s.degree/2)
}

// listDistances returns the distances beside list's entries. Writer only.
func (s *storage) listDistances(n Node, level int) []float32 {
	if level == 0 {
		return part(s.distances, int(n), s.degree)
	}
	return part(s.upperDistances, int(s.first[n])+level-1, s.degree/2)
}

// part returns the i-th piece of an array of pieces of a size.
func part[T any](all []T, i, size int) []T { return all[i*size : (i+1)*size : (i+1)*size] }

// beside is what stands beside the codes of a node, in its record.
type beside struct {
	norm, factor float32 // see quant.Bits
	ones         float32
	lift         float32 // see scorer
	scale        float32 // see quant.Int8
	squared      int32
}

// besideOf returns what stands beside a node's codes.
func (s *storage) besideOf(n Node) *beside {
	return (*beside)(unsafe.Pointer(&s.records[int(n)*s.stride+s.words]))
}

// bits returns a node's 1-bit code.
func (s *storage) bits(n Node) []uint64 {
	at := int(n) * s.stride
	return s.records[at : at+s.words : at+s.words]
}

// code returns a node's int8 code.
func (s *storage) code(n Node) []int8 {
	return part(s.codes, int(n), s.padded)
}

// factors returns what stands beside a node's int8 code.
func (s *storage) factors(n Node) quant.Int8 {
	b := s.besideOf(n)
	return quant.Int8{Scale: b.scale, Squared: b.squared}
}

// entries calls visit for each node in a list, until it returns false. It may be called while the list is written.
func entries(list []uint32, visit func(i int, n Node) bool) {
	for i := range list {
		e := atomic.LoadUint32(&list[i])
		if e == none || !visit(i, Node(e&mask)) {
			return
		}
	}
}

// key orders distances, of any sign, as whole numbers do.
func key(distance float32) uint32 {
	b := math.Float32bits(distance)
	if b&held != 0 {
		return ^b
	}
	return b | held
}
