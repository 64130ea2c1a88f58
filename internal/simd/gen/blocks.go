package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	lanesInBlock = 32
	// rowsInPart is how many rows of a block can be summed in 16 bits: 544 bytes of a code, 8*15 at most each.
	rowsInPart = 544
	// prefetchAhead is how many bytes ahead rows are fetched: a scan of 1M codes of 768 dimensions took 7.8 ms without, 6.6 with.
	prefetchAhead = 4096
)

type blockState struct {
	tier           tier
	row, tables    pointer
	nibble         VecVirtual
	even, odd      VecVirtual // 16-bit sums: of what is added, the odd codes' share above the even ones'; and of the odd codes
	sums           [4]VecVirtual
	left, rows, to GPVirtual
}

// blocks writes func(out []uint32, blocks, tables []byte): the inner products of the query with the codes of blocks, as PQ fast
// scan does it (Andre et al., arXiv 1704.07355): a row of a block is the same byte of 32 codes, and a byte shuffle looks up,
// for each, what the query's values over the bits set in a nibble sum up to. A vector has a row (AVX2), or two (AVX-512).
// Two rows' sums fit a byte, and those of rowsInPart rows 16 bits.
func blocks(t tier) {
	kernel("dotBits4Blocks"+t.name, "func(out []uint32, blocks, tables []byte)")
	b := &blockState{tier: t, nibble: t.broadcast(0x0F0F0F0F), left: GP64(), rows: GP64()}
	b.to = Load(Param("out").Base(), GP64()).(GPVirtual)
	count := Load(Param("out").Len(), GP64())
	b.row = pointer{at: Load(Param("blocks").Base(), GP64()).(GPVirtual), bytes: t.width}
	b.tables = pointer{at: GP64(), bytes: t.width}
	SHRQ(Imm(5), count)
	JZ(LabelRef("end"))

	Label("block")
	Load(Param("tables").Base(), b.tables.at)
	Load(Param("tables").Len(), b.left)
	SHRQ(Imm(5), b.left)
	for i := range b.sums {
		b.sums[i] = YMM()
		VPXOR(b.sums[i], b.sums[i], b.sums[i])
	}
	TESTQ(b.left, b.left)
	JZ(LabelRef("store"))
	b.part()
	Label("store")
	for i, sum := range b.sums {
		VMOVDQU(sum, Mem{Base: b.to, Disp: 32 * i})
	}
	ADDQ(I32(4*lanesInBlock), b.to)
	DECQ(count)
	JNZ(LabelRef("block"))
	Label("end")
	VZEROUPPER()
	RET()
}

// part is the loop over the parts of a block.
func (b *blockState) part() {
	Label("part")
	MOVQ(U32(rowsInPart), b.rows)
	CMPQ(b.left, b.rows)
	CMOVQLT(b.left, b.rows)
	SUBQ(b.rows, b.left)
	b.even, b.odd = b.tier.zero(), b.tier.zero()
	Label("word")
	for line := 0; line < 8*lanesInBlock; line += 64 { // one beyond the array does no harm
		PREFETCHT0(Mem{Base: b.row.at, Disp: prefetchAhead + line})
	}
	for i := 0; i < 8*32/b.tier.width; i += 2 {
		b.add(i)
	}
	ADDQ(I32(8*lanesInBlock), b.row.at)
	ADDQ(I32(8*lanesInBlock), b.tables.at)
	SUBQ(Imm(8), b.rows)
	JNZ(LabelRef("word"))
	b.widen()
	TESTQ(b.left, b.left)
	JNZ(LabelRef("part"))
}

// add takes the i-th vector of rows and the one after it.
func (b *blockState) add(i int) {
	low, high := b.lookUp(i)
	VPADDB(low, high, high)
	low, total := b.lookUp(i + 1)
	VPADDB(low, total, total)
	VPADDB(high, total, total)
	VPADDW(total, b.even, b.even)
	VPSRLW(Imm(8), total, total)
	VPADDW(total, b.odd, b.odd)
}

// lookUp returns the values of the i-th vector's low and high nibbles.
func (b *blockState) lookUp(i int) (low, high VecVirtual) {
	low, high = b.tier.vector(), b.tier.vector()
	lows, highs := b.tier.vector(), b.tier.vector()
	b.tier.load(b.row.mem(i), low)
	if b.tier == avx512 {
		both := ZMM()
		VMOVDQU64(b.tables.mem(i), both)
		VSHUFI64X2(Imm(0xA0), both, both, lows) // a quarter is a table: low and high of a row, low and high of the next
		VSHUFI64X2(Imm(0xF5), both, both, highs)
	} else {
		VBROADCASTI128(b.tables.mem(i), lows)
		VBROADCASTI128(b.tables.mem(i).Offset(16), highs)
	}
	VPSRLW(Imm(4), low, high)
	b.tier.and(b.nibble, low, low)
	b.tier.and(b.nibble, high, high)
	VPSHUFB(low, lows, low)
	VPSHUFB(high, highs, high)
	return low, high
}

// widen adds the 16-bit sums of a part to those of 32 bits.
func (b *blockState) widen() {
	even, odd := b.even.AsY(), b.odd.AsY()
	if b.tier == avx512 {
		for _, sum := range []VecVirtual{b.even, b.odd} {
			upper := YMM()
			VEXTRACTI64X4(Imm(1), sum, upper)
			VPADDW(upper, sum.AsY(), sum.AsY())
		}
	}
	above := YMM()
	VPSLLW(Imm(8), odd, above)
	VPSUBW(above, even, even)
	for half := range 2 {
		codes, upper := YMM(), XMM()
		if half == 0 {
			VPUNPCKLWD(odd, even, codes) // 0 to 7, and 16 to 23
		} else {
			VPUNPCKHWD(odd, even, codes) // 8 to 15, and 24 to 31
		}
		VEXTRACTI128(Imm(1), codes, upper)
		for i, x := range []Op{codes.AsX(), upper} {
			wide := YMM()
			VPMOVZXWD(x, wide)
			VPADDD(wide, b.sums[2*i+half], b.sums[2*i+half])
		}
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
