package hnsw

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/engram-stream/engram/stages/index/quant"
)

// savedHead is how a saved graph begins, little-endian; the frame's centroid follows, and the nodes by number:
//
//	node: | slot u32 | and unless that is freeSlot, for each level from 0 to the slot's: list |
//	list: | n u8 | entry u32 × n | distance f32 × n |
type savedHead struct {
	Degree   uint32
	Measure  uint8
	Unit     uint8
	Padded   uint32
	Seed     uint64
	Ef       uint32
	Numbered uint32
	Live     uint64
	Top      uint64
	PerUnit  float64
}

// Save writes the graph without its codes: whoever has the vectors can make them again. It must not run beside another call of
// the builder's. An error is the writer's.
func (b *Builder) Save(w io.Writer) error {
	g := b.graph
	st := g.storage.Load()
	defer runtime.KeepAlive(st)
	numbered := g.numbered.Load()
	head := bytes.NewBuffer(nil)
	_ = binary.Write(head, binary.LittleEndian, savedHead{ // never fails: the size is fixed
		Degree: uint32(g.degree), Measure: uint8(g.measure), Unit: flag(g.unit), Padded: uint32(st.padded), Seed: g.seed,
		Ef: uint32(b.ef), Numbered: numbered, Live: uint64(g.live.Load()), Top: g.top.Load(), PerUnit: g.frame.PerUnit(),
	})
	buf := head.Bytes()
	for _, c := range g.frame.Centroid() {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(c))
	}
	for n := range Node(numbered) {
		slot := atomic.LoadUint32(&st.slots[n])
		buf = binary.LittleEndian.AppendUint32(buf, slot)
		for level := 0; slot != freeSlot && level <= int(st.levels[n]); level++ {
			buf = appendList(buf, st.list(n, level), st.listDistances(n, level))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	_, err := w.Write(buf)
	return err
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func appendList(buf []byte, list []uint32, distances []float32) []byte {
	n := slices.Index(list, none)
	if n < 0 {
		n = len(list)
	}
	buf = append(buf, uint8(n))
	for _, e := range list[:n] {
		buf = binary.LittleEndian.AppendUint32(buf, e)
	}
	for _, d := range distances[:n] {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(d))
	}
	return buf
}

// Restorer is a saved graph on its way back: it gets its codes by Put and is a graph again by Finish. One goroutine's.
type Restorer struct {
	builder *Builder
	st      *storage
	order   []Node // by slot
	next    int    // of order: those before it have their codes
	scratch quant.Scratch
	buf     []byte // of one list's entries and distances
}

// Restore reads what Save has written. o is as New has it, but the frame and the seed, which are the saved ones. The error says
// that it is of another kind, or is not a graph, or is the reader's; one that the reader lets pass may be damaged in ways that
// only Validate finds.
func Restore(r io.Reader, o Options) (*Restorer, error) {
	var head savedHead
	if err := binary.Read(r, binary.LittleEndian, &head); err != nil {
		return nil, err
	}
	if head.Padded != uint32(o.Scheme.Padded()) {
		return nil, fmt.Errorf("hnsw: a saved graph of codes of %d components, not %d", head.Padded, o.Scheme.Padded())
	}
	centroid := make([]float32, head.Padded)
	if err := binary.Read(r, binary.LittleEndian, centroid); err != nil {
		return nil, err
	}
	var err error
	if o.Frame, err = o.Scheme.FrameOf(centroid, head.PerUnit); err != nil {
		return nil, err
	}
	o.Seed = head.Seed
	g := New(o)
	if head.Degree != uint32(g.degree) || head.Measure != uint8(g.measure) || head.Unit != flag(g.unit) {
		return nil, fmt.Errorf("hnsw: a saved graph of degree %d, measure %d, unit %d, not %d, %d, %d",
			head.Degree, head.Measure, head.Unit, g.degree, g.measure, flag(g.unit))
	}
	if head.Numbered > MaxNodes || head.Live > uint64(head.Numbered) {
		return nil, fmt.Errorf("hnsw: a saved graph of %d nodes of %d", head.Live, head.Numbered)
	}
	s := &Restorer{builder: NewBuilder(g, int(head.Ef))}
	if err := s.read(r, head); err != nil {
		return nil, err
	}
	return s, s.check(head)
}

// read reads the nodes.
func (s *Restorer) read(r io.Reader, head savedHead) error {
	b := s.builder
	s.st = b.graph.storage.Load()
	s.buf = make([]byte, 8*s.st.degree)
	var word [4]byte
	for n := range Node(head.Numbered) {
		if _, err := io.ReadFull(r, word[:]); err != nil {
			return err
		}
		if uint32(n) == s.st.limit { // room comes with what is read: a number alone is no reason for it
			s.st = s.st.grown(int(min(head.Numbered, 2*s.st.limit+1024)), int(b.upperLists))
		}
		slot := binary.LittleEndian.Uint32(word[:])
		s.st.slots[n] = slot
		if slot == freeSlot {
			b.free = append(b.free, n)
			continue
		}
		s.order = append(s.order, n)
		if err := s.readLists(r, n, b.graph.levelOf(slot)); err != nil {
			return err
		}
	}
	slices.Reverse(b.free)
	slices.SortFunc(s.order, func(x, y Node) int { return cmp.Compare(s.st.slots[x], s.st.slots[y]) })
	b.graph.storage.Store(s.st)
	b.graph.numbered.Store(head.Numbered)
	b.graph.live.Store(int64(head.Live))
	b.graph.top.Store(head.Top)
	return nil
}

func (s *Restorer) readLists(r io.Reader, n Node, level int) error {
	b := s.builder
	if need := (int(b.upperLists) + level) * s.st.degree / 2; need > len(s.st.upper) {
		s.st = s.st.grown(int(s.st.limit), 2*int(b.upperLists)+level+8)
	}
	s.st.levels[n], s.st.first[n] = uint8(level), b.upperLists
	b.upperLists += uint32(level)
	buf := s.buf
	for l := range level + 1 {
		list, distances := s.st.list(n, l), s.st.listDistances(n, l)
		if _, err := io.ReadFull(r, buf[:1]); err != nil {
			return err
		}
		count := int(buf[0])
		if count > len(list) {
			return fmt.Errorf("hnsw: node %d of a saved graph has %d neighbours at level %d", n, count, l)
		}
		if _, err := io.ReadFull(r, buf[:8*count]); err != nil {
			return err
		}
		for i := range count {
			list[i] = binary.LittleEndian.Uint32(buf[4*i:])
			distances[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf[4*(count+i):]))
		}
	}
	return nil
}

// check makes sure that walks stay within the graph, whatever was read.
func (s *Restorer) check(head savedHead) error {
	g := s.builder.graph
	if uint64(len(s.order)) != head.Live {
		return fmt.Errorf("hnsw: a saved graph has %d nodes and says %d", len(s.order), head.Live)
	}
	for i, n := range s.order[min(1, len(s.order)):] {
		if slot := s.st.slots[n]; slot == s.st.slots[s.order[i]] {
			return fmt.Errorf("hnsw: slot %d is in a saved graph twice", slot)
		}
	}
	in := func(n Node, level int) bool {
		return uint32(n) < head.Numbered && s.st.slots[n] != freeSlot && int(s.st.levels[n]) >= level
	}
	e, ok := g.entry()
	if ok != (len(s.order) > 0) || ok && (!in(e.node, e.level) || int(s.st.levels[e.node]) != e.level) {
		return fmt.Errorf("hnsw: a saved graph's entry is node %d at level %d, which it has not", e.node, e.level)
	}
	for _, n := range s.order {
		for level := range int(s.st.levels[n]) + 1 {
			for _, e := range s.st.list(n, level) {
				if e == none {
					break
				}
				if other := Node(e & mask); !in(other, level) || other == n {
					return fmt.Errorf("hnsw: node %d of a saved graph lists %d at level %d", n, other, level)
				}
			}
		}
	}
	return nil
}

// Put gives the node of a slot its code; slots come in ascending order, those that are not in the graph too. It panics when one
// that is was left out, and for a code of another length.
func (s *Restorer) Put(slot uint32, code []int8, f quant.Int8) {
	if s.next == len(s.order) || s.st.slots[s.order[s.next]] > slot {
		return
	}
	n := s.order[s.next]
	if s.st.slots[n] != slot || len(code) != s.st.padded {
		panic(fmt.Sprintf("hnsw: a code of %d components for slot %d, where slot %d is due", len(code), slot, s.st.slots[n]))
	}
	g := s.builder.graph
	copy(s.st.code(n), code)
	*s.st.besideOf(n) = g.beside(g.frame.EncodeAgain(s.st.bits(n), code, f, &s.scratch), f)
	s.next++
}

// Finish returns the builder of the graph, which is as it was. The error says that there are nodes without a code, or that the
// codes are not those that it had.
func (s *Restorer) Finish() (*Builder, error) {
	if s.next < len(s.order) {
		return nil, fmt.Errorf("hnsw: %d of %d nodes of a saved graph have no vector, the first of slot %d",
			len(s.order)-s.next, len(s.order), s.st.slots[s.order[s.next]])
	}
	if err := s.compare(); err != nil {
		return nil, err
	}
	s.builder.graph.findApart(func(Node) bool { return false })
	return s.builder, nil
}

// sameCode is the part of their lengths, squared, by which the distance of two nodes may differ from the saved one: codes that are
// made on another machine may be rounded in another way.
const sameCode = 0.01

// compare makes sure that each node is as far from the first that it lists as it was: a graph of other vectors than those that it
// was built of finds next to nothing.
func (s *Restorer) compare() error {
	l := s.builder.linker(0)
	l.attend(s.st)
	length := func(n Node) float64 {
		b := s.st.besideOf(n)
		scale := float64(b.scale) * l.perUnit
		return scale*scale*float64(b.squared) + float64(b.lift)*float64(b.lift)
	}
	var now [1]float32
	for _, n := range s.order {
		first := s.st.list(n, 0)[0]
		if first == none {
			continue
		}
		other := Node(first & mask)
		l.between(now[:], n, []uint32{uint32(other)})
		if saved := s.st.listDistances(n, 0)[0]; math.Abs(float64(now[0])-float64(saved)) > sameCode*(length(n)+length(other)) {
			return fmt.Errorf("hnsw: slots %d and %d of a saved graph were %v apart, and the vectors given for them are %v apart",
				s.st.slots[n], s.st.slots[other], saved, now[0])
		}
	}
	return nil
}

// Graph returns the graph that the builder builds.
func (b *Builder) Graph() *Graph { return b.graph }
