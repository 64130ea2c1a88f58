package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// pointer walks an array: bytes is how far one vector's worth of lanes moves it.
type pointer struct {
	at    GPVirtual
	bytes int
}

// mem is the operand for the i-th vector from where the pointer stands.
func (p pointer) mem(i int) Mem { return Mem{Base: p.at, Disp: i * p.bytes} }

// sweep is a loop over n lanes: unrolled, then vector by vector, then one masked step for the rest (AVX-512), or none.
type sweep struct {
	tier     tier
	label    string // unique in its function
	n        GPVirtual
	lanes    int // of a vector
	unroll   int
	pointers []pointer
	step     func(i int)      // the i-th vector of an unrolled round
	tail     func(k Register) // lanes in k only; what lies outside must not be read
}

func (s sweep) emit() {
	if s.unroll > 1 {
		s.loop("unrolled", s.unroll)
	}
	s.loop("single", 1)
	if s.tail == nil || !s.tier.masked() {
		return
	}
	TESTQ(s.n, s.n)
	JZ(LabelRef(s.label + "_done"))
	s.tail(lowLanes(s.n, s.lanes))
	Label(s.label + "_done")
}

// loop leaves in n the lanes that it did not take.
func (s sweep) loop(name string, unroll int) {
	again, end := s.label+"_"+name, s.label+"_"+name+"_end"
	SUBQ(I32(int32(unroll*s.lanes)), s.n)
	JL(LabelRef(end))
	Label(again)
	for i := range unroll {
		s.step(i)
	}
	for _, p := range s.pointers {
		ADDQ(I32(int32(unroll*p.bytes)), p.at)
	}
	SUBQ(I32(int32(unroll*s.lanes)), s.n)
	JGE(LabelRef(again))
	Label(end)
	ADDQ(I32(int32(unroll*s.lanes)), s.n)
}
