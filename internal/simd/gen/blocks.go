package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const codesInBlock = 8

// blocks writes func(out []uint32, blocks, planes []uint64): the inner products of the query with the codes of blocks, whose
// words are interleaved: a vector holds the same word of eight codes (AVX-512), or of four, so that a block takes two rounds.
func blocks(t tier) {
	kernel("dotBits4Blocks"+t.name, "func(out []uint32, blocks, planes []uint64)")
	s := &state{tier: t, x: pointer{bytes: 8 * codesInBlock}, y: pointer{bytes: 8}}
	out := Load(Param("out").Base(), GP64())
	count := Load(Param("out").Len(), GP64())
	s.x.at = Load(Param("blocks").Base(), GP64()).(GPVirtual)
	words := Load(Param("planes").Len(), GP64()).(GPVirtual)
	SHRQ(Imm(2), words)
	s.n = words
	pair{planes: 4}.strides(s)
	var order VecVirtual
	if t == avx2 {
		nibbleConstants(s)
		order = YMM()
		VMOVDQU(table("evenWords", []uint32{0, 2, 4, 6, 0, 2, 4, 6}), order)
	}
	SHRQ(Imm(3), count)
	JZ(LabelRef("end"))

	Label("block")
	for half := range codesInBlock * 8 / t.width {
		sums := blockRound(s, words, half)
		if t == avx512 {
			VPMOVQD(sums, Mem{Base: out})
			continue
		}
		VPERMD(sums, order, sums)
		VMOVDQU(sums.AsX(), Mem{Base: out, Disp: 16 * half})
	}
	bytes := GP64()
	MOVQ(words, bytes)
	SHLQ(Imm(6), bytes) // eight words of 8 bytes for each word of a code
	ADDQ(bytes, s.x.at)
	ADDQ(Imm(4*codesInBlock), out)
	DECQ(count)
	JNZ(LabelRef("block"))
	Label("end")
	VZEROUPPER()
	RET()
}

// blockRound leaves in a vector the sums of the codes of one half of the block at x, which it does not move.
func blockRound(s *state, words GPVirtual, half int) VecVirtual {
	x := GP64()
	MOVQ(s.x.at, x)
	s.y.at = Load(Param("planes").Base(), GP64()).(GPVirtual)
	left := GP64()
	MOVQ(words, left)
	round := *s
	round.x = pointer{at: x, bytes: s.x.bytes}
	accs := 1
	if s.tier == avx512 {
		accs = 4
	}
	round.accs = s.tier.zeros(accs)
	sweep{
		tier: s.tier, label: []string{"lower", "upper"}[half], n: left, lanes: 1, unroll: 4 * s.tier.width / 64,
		pointers: []pointer{round.x, round.y},
		step: func(i int) {
			m := round.x.mem(i)
			m.Disp += half * s.tier.width
			blockWord(&round, m, i)
		},
	}.emit()
	if s.tier == avx512 {
		weigh(round.accs)
	}
	return round.accs[0]
}

// blockWord takes one word of each code.
func blockWord(s *state, m Mem, i int) {
	v := s.tier.vector()
	s.tier.load(m, v)
	if s.tier == avx2 {
		weighted(s, v, s.accs[0], func(p int, to VecVirtual) { VPBROADCASTQ(s.plane(p, i), to) })
		return
	}
	for p := range s.accs {
		both := ZMM()
		VPANDQ_BCST(s.plane(p, i), v, both)
		VPOPCNTQ(both, both)
		VPADDQ(both, s.accs[p], s.accs[p])
	}
}

// filter writes a kernel that appends, from position 0 of indexes and estimates on, each estimate at most the threshold, and
// returns how many. Products and sums are rounded one by one, not fused: all tiers give the same bits.
func filter(t tier) {
	kernel("filterEstimates"+t.name, "func(indexes []uint32, estimates []float32, sums []uint32, "+
		"norms, factors, ones, query []float32, threshold float32, first uint32) int")
	f := &filterState{tier: t, indexes: Load(Param("indexes").Base(), GP64()), estimates: Load(Param("estimates").Base(), GP64())}
	n := Load(Param("sums").Len(), GP64()).(GPVirtual)
	for i, name := range []string{"sums", "norms", "factors", "ones"} {
		f.arrays[i] = pointer{at: Load(Param(name).Base(), GP64()).(GPVirtual), bytes: t.width}
	}
	query := Load(Param("query").Base(), GP64())
	for i := range f.query {
		f.query[i] = t.vector()
		VBROADCASTSS(Mem{Base: query, Disp: 4 * i}, f.query[i])
	}
	f.threshold = t.vector()
	VBROADCASTSS(Load(Param("threshold"), XMM()), f.threshold)
	f.first(Load(Param("first"), GP32()))
	f.kept = GP64()
	XORQ(f.kept, f.kept)
	sweep{
		tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 1, pointers: f.arrays[:],
		step: func(int) { f.step(nil) }, tail: func(k Register) { f.step(k) },
	}.emit()
	VZEROUPPER()
	Store(f.kept, ReturnIndex(0))
	RET()
}

type filterState struct {
	tier               tier
	indexes, estimates Register
	arrays             [4]pointer    // sums, norms, factors, ones
	query              [4]VecVirtual // of Estimate, in its order: PerSum, PerOne, Constant, Norm
	threshold          VecVirtual
	index, step32      VecVirtual // the lanes' indexes, and how far a step moves them (AVX-512)
	base               GPVirtual  // the first lane's index (AVX2)
	scratch            Mem
	kept               GPVirtual
	rounds             int
}

func (f *filterState) first(first Register) {
	if f.tier == avx2 {
		f.base, f.scratch = first.(GPVirtual), AllocLocal(32)
		return
	}
	var lanes [16]uint32
	for i := range lanes {
		lanes[i] = uint32(i)
	}
	f.index, f.step32 = ZMM(), f.tier.broadcast(16)
	VPBROADCASTD(first, f.index)
	VPADDD(table("lanes", lanes[:]), f.index, f.index)
}

// step filters a vector, or the lanes of it that k names.
func (f *filterState) step(k Register) {
	estimate := f.estimate(k)
	if f.tier == avx2 {
		f.keepBits(estimate)
		return
	}
	hits, some := K(), GP32()
	const atMost = 2
	if k == nil {
		VCMPPS(Imm(atMost), f.threshold, estimate, hits)
	} else {
		VCMPPS(Imm(atMost), f.threshold, estimate, k, hits)
	}
	f.rounds++
	none := LabelRef([]string{"", "none", "none_last"}[f.rounds])
	KMOVW(hits, some)
	TESTL(some, some)
	JZ(none)
	packed, packedIndex := ZMM(), ZMM()
	VCOMPRESSPS_Z(estimate, hits, packed)
	VPCOMPRESSD_Z(f.index, hits, packedIndex)
	// Compressing into memory is microcoded on some machines: compress in a register, store what counts.
	POPCNTL(some, some)
	low := K()
	ones := GP32()
	MOVL(I32(-1), ones)
	BZHIL(some, ones, ones)
	KMOVW(ones, low)
	VMOVUPS(packed, low, Mem{Base: f.estimates, Index: f.kept, Scale: 4})
	VMOVDQU32(packedIndex, low, Mem{Base: f.indexes, Index: f.kept, Scale: 4})
	ADDQ(some.As64(), f.kept)
	Label(string(none))
	VPADDD(f.step32, f.index, f.index)
}

// estimate is Norm + norm + factor*(PerSum*sum + PerOne*ones + Constant).
func (f *filterState) estimate(k Register) VecVirtual {
	in := func(i int) VecVirtual {
		v := f.tier.vector()
		if k == nil {
			VMOVUPS(f.arrays[i].mem(0), v)
		} else {
			VMOVUPS_Z(f.arrays[i].mem(0), k, v)
		}
		return v
	}
	e, norm, factor, ones := in(0), in(1), in(2), in(3)
	VCVTDQ2PS(e, e)
	VMULPS(f.query[0], e, e)
	VMULPS(f.query[1], ones, ones)
	VADDPS(ones, e, e)
	VADDPS(f.query[2], e, e)
	VMULPS(factor, e, e)
	VADDPS(f.query[3], norm, norm)
	VADDPS(norm, e, e)
	return e
}

// keepBits takes the lanes one by one: few pass.
func (f *filterState) keepBits(estimate VecVirtual) {
	passed, hits := YMM(), GP32()
	VCMPPS(Imm(2), f.threshold, estimate, passed)
	VMOVMSKPS(passed, hits)
	TESTL(hits, hits)
	JZ(LabelRef("none"))
	VMOVUPS(estimate, f.scratch)
	Label("hit")
	lane, value := GP32(), GP32()
	BSFL(hits, lane)
	MOVL(f.scratch.Idx(lane.As64(), 4), value)
	MOVL(value, Mem{Base: f.estimates, Index: f.kept, Scale: 4})
	ADDL(f.base, lane)
	MOVL(lane, Mem{Base: f.indexes, Index: f.kept, Scale: 4})
	INCQ(f.kept)
	LEAL(Mem{Base: hits.As64(), Disp: -1}, lane)
	ANDL(lane, hits)
	JNZ(LabelRef("hit"))
	Label("none")
	ADDL(Imm(8), f.base)
}
