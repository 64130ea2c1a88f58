package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// pair is a kernel over two arrays, a record and a query: x and y. It is emitted for one pair, and for one query against
// records that ids name.
type pair struct {
	name      string
	tier      tier
	single    string // the name of the kernel for one pair
	many      string // and of that for many records; "" where there is none
	element   string // of both arrays
	result    string
	size      int // bytes of an element
	lanes     int // elements a step takes
	unroll    int
	accs      int
	corrected bool // a single pair takes as many accumulators again, for what is subtracted
	planes    int  // y is this many arrays of x's length, one after the other
	ahead     int  // records that are fetched before they are needed
	step      func(s *state, i int)
	tail      func(s *state, k Register)
	tail2     func(s *state, mask VecVirtual) // tail for AVX2, whose loads take a vector of words as their mask
	result32  func(s *state) Register         // where the result is, as an XMM (float) or a 32-bit register

	constants func(s *state) // kept in registers over a call
	query     func(s *state) // what depends on the query alone, for many; y and n may be used up
}

// state is what an emitted kernel has in registers.
type state struct {
	tier     tier
	x, y     pointer
	n        GPVirtual
	stride   [4]GPVirtual // of y's planes; [1] and [3] are in bytes once and thrice a plane's
	accs     []VecVirtual
	constant []VecVirtual
	offset   GPVirtual // what many subtracts from each result
}

// plane is the operand for x's i-th step in the p-th plane of y.
func (s *state) plane(p, i int) Mem {
	m := s.y.mem(i)
	switch p {
	case 1:
		m.Index, m.Scale = s.stride[1], 1
	case 2:
		m.Index, m.Scale = s.stride[1], 2
	case 3:
		m.Index, m.Scale = s.stride[3], 1
	}
	return m
}

func (p pair) newState() *state {
	return &state{tier: p.tier, x: pointer{bytes: p.size * p.lanes}, y: pointer{bytes: p.size * p.lanes}}
}

// emitSingle writes func(x, y []element) result.
func (p pair) emitSingle() {
	kernel(p.single+p.tier.name, fmt.Sprintf("func(x, y []%s) %s", p.element, p.result))
	s := p.newState()
	s.x.at = Load(Param("x").Base(), GP64()).(GPVirtual)
	s.y.at = Load(Param("y").Base(), GP64()).(GPVirtual)
	s.n = Load(Param("x").Len(), GP64()).(GPVirtual)
	p.strides(s)
	if p.constants != nil {
		p.constants(s)
	}
	p.sweep(s, "pair")
	r := p.result32(s)
	VZEROUPPER()
	Store(r, ReturnIndex(0))
	RET()
}

func (p pair) strides(s *state) {
	if p.planes == 0 {
		return
	}
	s.stride[1], s.stride[3] = GP64(), GP64()
	MOVQ(s.n, s.stride[1])
	SHLQ(Imm(3), s.stride[1])
	LEAQ(Mem{Base: s.stride[1], Index: s.stride[1], Scale: 2}, s.stride[3])
}

func (p pair) sweep(s *state, label string) {
	accs := p.accs
	if p.corrected && s.offset == nil {
		accs *= 2
	}
	s.accs = s.tier.zeros(accs)
	var tail func(k Register)
	defer p.lastWords(s, label)
	if p.tail != nil {
		tail = func(k Register) { p.tail(s, k) }
	}
	sweep{
		tier: p.tier, label: label, n: s.n, lanes: p.lanes, unroll: p.unroll,
		pointers: []pointer{s.x, s.y}, step: func(i int) { p.step(s, i) }, tail: tail,
	}.emit()
}

// lastWords takes up to three words after the vectors of four.
func (p pair) lastWords(s *state, label string) {
	if p.tail2 == nil {
		return
	}
	done := LabelRef(label + "_last")
	TESTQ(s.n, s.n)
	JZ(done)
	at, mask := GP64(), YMM()
	LEAQ(table("wordMasks", []uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 0, 0, 0, 0, 0, 0}), at)
	NEGQ(s.n)
	VMOVDQU(Mem{Base: at, Index: s.n, Scale: 8, Disp: 24}, mask)
	p.tail2(s, mask)
	Label(string(done))
}

// emitMany writes a kernel that fills out with the results of the query and the records that ids name. Stride is in bytes.
// AVX2 demands a query of whole steps where it has no tail2.
func (p pair) emitMany() {
	kernel(p.many+p.tier.name, fmt.Sprintf(
		"func(out []%s, query, records []%s, stride int, ids []uint32)", p.result, p.element))
	s := p.newState()
	base := Load(Param("records").Base(), GP64())
	stride := Load(Param("stride"), GP64())
	ids := Load(Param("ids").Base(), GP64())
	count := Load(Param("ids").Len(), GP64())
	out := Load(Param("out").Base(), GP64())
	p.reload(s)
	p.strides(s)
	if p.constants != nil {
		p.constants(s)
	}
	if p.query != nil {
		p.query(s)
	}
	TESTQ(count, count)
	JZ(LabelRef("end"))

	Label("record")
	p.prefetch(base, stride, ids, count)
	p.reload(s)
	s.x.at = address(base, stride, Mem{Base: ids})
	p.sweep(s, "pair")
	switch r := p.result32(s).(type) {
	case VecVirtual:
		VMOVSS(r, Mem{Base: out})
	case GPVirtual:
		if s.offset != nil {
			SUBL(s.offset, r)
		}
		MOVL(r, Mem{Base: out})
	}
	ADDQ(Imm(4), ids)
	ADDQ(Imm(4), out)
	DECQ(count)
	JNZ(LabelRef("record"))
	Label("end")
	VZEROUPPER()
	RET()
}

func (p pair) reload(s *state) {
	s.y.at = Load(Param("query").Base(), GP64()).(GPVirtual)
	s.n = Load(Param("query").Len(), GP64()).(GPVirtual)
	if p.planes > 0 {
		SHRQ(Imm(2), s.n) // of four planes
	}
}

// address is where the record begins whose id is in memory.
func address(base, stride Register, id Mem) GPVirtual {
	at := GP64()
	MOVL(id, at.As32())
	IMULQ(stride, at)
	ADDQ(base, at)
	return at
}

// prefetch asks for the record that is needed some records later. A prefetch never faults, so a line too many does no harm.
func (p pair) prefetch(base, stride, ids, count Register) {
	CMPQ(count, Imm(uint64(p.ahead)))
	JLE(LabelRef("near"))
	at := address(base, stride, Mem{Base: ids, Disp: 4 * p.ahead})
	bytes := Load(Param("query").Len(), GP64()).(GPVirtual)
	switch {
	case p.planes > 0: // the query has four planes of 8 bytes a word, a record only one
		SHLQ(Imm(1), bytes)
	case p.size == 4:
		SHLQ(Imm(2), bytes)
	case p.size == 8:
		SHLQ(Imm(3), bytes)
	}
	Label("line")
	PREFETCHT0(Mem{Base: at})
	ADDQ(Imm(64), at)
	SUBQ(Imm(64), bytes)
	JG(LabelRef("line"))
	Label("near")
}
