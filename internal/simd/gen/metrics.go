package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func pairs(t tier) {
	floats := pair{
		tier: t, single: "dot", many: "dotMany", element: "float32", result: "float32", size: 4,
		lanes: t.floats(), unroll: 4, accs: 4, ahead: 1, step: dotStep, tail: dotTail, result32: floatSum,
	}
	floats.emitSingle()
	floats.emitMany()
	floats.single, floats.step, floats.tail = "squaredL2", squaredStep, squaredTail
	floats.emitSingle()
	for _, p := range []pair{int8Dot(t), hamming(t), bits4(t)} {
		p.emitSingle()
		p.emitMany()
	}
}

func dotStep(s *state, i int) {
	v := s.tier.vector()
	VMOVUPS(s.x.mem(i), v)
	VFMADD231PS(s.y.mem(i), v, s.accs[i])
}

func dotTail(s *state, k Register) {
	v, w := s.tier.vector(), s.tier.vector()
	VMOVUPS_Z(s.x.mem(0), k, v)
	VMOVUPS_Z(s.y.mem(0), k, w)
	VFMADD231PS(w, v, s.accs[0])
}

func squaredStep(s *state, i int) {
	v := s.tier.vector()
	VMOVUPS(s.x.mem(i), v)
	VSUBPS(s.y.mem(i), v, v)
	VFMADD231PS(v, v, s.accs[i])
}

func squaredTail(s *state, k Register) {
	v, w := s.tier.vector(), s.tier.vector()
	VMOVUPS_Z(s.x.mem(0), k, v)
	VMOVUPS_Z(s.y.mem(0), k, w)
	VSUBPS(w, v, v)
	VFMADD231PS(v, v, s.accs[0])
}

func floatSum(s *state) Register { return s.tier.sum(fold(s.accs, vaddps), vaddps) }

func int32Sum(s *state) Register {
	r := GP32()
	VMOVD(s.tier.sum(fold(s.accs, vpaddd), vpaddd), r)
	return r
}

// int8Dot on AVX2 multiplies the magnitudes of x, as unsigned bytes, by y with the signs of x: two products of at most 127²
// fit 16 bits, which is why -128 is no component. VNNI multiplies unsigned by signed bytes: x is made unsigned by adding
// 128, which is a flip of its highest bit, and 128 times the sum of y is taken off again. Sums wrap, so the difference is
// exact.
func int8Dot(t tier) pair {
	p := pair{
		tier: t, single: "dotInt8", many: "dotInt8Many", element: "int8", result: "int32", size: 1,
		lanes: t.width, unroll: 4, accs: 4, ahead: 2, step: signStep, result32: int32Sum, constants: signConstants,
	}
	if t == avx512 {
		p.step, p.tail, p.result32 = vnniStep, vnniTail, vnniSum
		p.corrected, p.constants, p.query = true, vnniConstants, vnniQuery
	}
	return p
}

func signConstants(s *state) { s.constant = []VecVirtual{s.tier.broadcast(0x00010001)} }

func signStep(s *state, i int) {
	v, w, magnitude := YMM(), YMM(), YMM()
	VMOVDQU(s.x.mem(i), v)
	VMOVDQU(s.y.mem(i), w)
	VPABSB(v, magnitude)
	VPSIGNB(v, w, w)
	VPMADDUBSW(w, magnitude, w)
	VPMADDWD(s.constant[0], w, w)
	VPADDD(w, s.accs[i], s.accs[i])
}

func vnniConstants(s *state) { s.constant = []VecVirtual{s.tier.broadcast(0x80808080)} }

func vnniStep(s *state, i int) {
	v, w := ZMM(), ZMM()
	VMOVDQU64(s.y.mem(i), w)
	VPXORQ(s.x.mem(i), s.constant[0], v)
	vnniAdd(s, v, w, i)
}

func vnniTail(s *state, k Register) {
	v, w := ZMM(), ZMM()
	VMOVDQU8_Z(s.y.mem(0), k, w) // zero outside, so that it does not matter what x is there
	VMOVDQU8_Z(s.x.mem(0), k, v)
	VPXORQ(v, s.constant[0], v)
	vnniAdd(s, v, w, 0)
}

// vnniAdd has 128 times the sum of y in accumulators of its own, unless it was computed before, for many records.
func vnniAdd(s *state, v, w VecVirtual, i int) {
	VPDPBUSD(w, v, s.accs[i])
	if s.offset == nil {
		VPDPBUSD(w, s.constant[0], s.accs[4+i])
	}
}

func vnniSum(s *state) Register {
	products := fold(s.accs[:4], vpaddd)
	if s.offset == nil {
		VPSUBD(fold(s.accs[4:], vpaddd), products, products)
	}
	r := GP32()
	VMOVD(s.tier.sum(products, vpaddd), r)
	return r
}

// vnniQuery computes what the records' dot products have in common.
func vnniQuery(s *state) {
	sum := s.tier.zero()
	sweep{
		tier: s.tier, label: "query", n: s.n, lanes: 64, unroll: 1, pointers: []pointer{s.y},
		step: func(int) {
			w := ZMM()
			VMOVDQU64(s.y.mem(0), w)
			VPDPBUSD(w, s.constant[0], sum)
		},
		tail: func(k Register) {
			w := ZMM()
			VMOVDQU8_Z(s.y.mem(0), k, w)
			VPDPBUSD(w, s.constant[0], sum)
		},
	}.emit()
	s.offset = GP32()
	VMOVD(s.tier.sum(sum, vpaddd), s.offset)
}

// hamming on AVX2 looks nibbles up. Tried at 12 and 24 words on Zen 3: POPCNT, a word at a time, 7.1 and 11.7 ns a record of
// many, this 4.8 and 7.1.
func hamming(t tier) pair {
	p := pair{
		tier: t, single: "hamming", many: "hammingMany", element: "uint64", result: "uint32", size: 8,
		lanes: t.width / 8, unroll: 1, accs: 1, ahead: 8, result32: int64Sum,
		step: func(s *state, i int) {
			v := ZMM()
			VMOVDQU64(s.x.mem(i), v)
			VPXORQ(s.y.mem(i), v, v)
			VPOPCNTQ(v, v)
			VPADDQ(v, s.accs[i], s.accs[i])
		},
		tail: func(s *state, k Register) {
			v := ZMM()
			VMOVDQU64_Z(s.x.mem(0), k, v)
			VPXORQ_Z(s.y.mem(0), v, k, v)
			VPOPCNTQ(v, v)
			VPADDQ(v, s.accs[0], s.accs[0])
		},
	}
	if t == avx2 {
		p.constants, p.tail = nibbleConstants, nil
		count := func(s *state, v VecVirtual) {
			low, high := nibbles(s, v)
			VPSHUFB(low, s.constant[1], low)
			VPSHUFB(high, s.constant[1], high)
			VPADDB(low, high, high)
			addBytes(s.constant[5], high, s.accs[0])
		}
		p.step = func(s *state, i int) {
			v := YMM()
			VMOVDQU(s.x.mem(i), v)
			VPXOR(s.y.mem(i), v, v)
			count(s, v)
		}
		p.tail2 = func(s *state, mask VecVirtual) {
			v, w := YMM(), YMM()
			VPMASKMOVQ(s.x.mem(0), mask, v)
			VPMASKMOVQ(s.y.mem(0), mask, w)
			VPXOR(v, w, w)
			count(s, w)
		}
	}
	return p
}

func int64Sum(s *state) Register {
	r := GP32()
	VMOVD(s.tier.sum64(s.accs[0]), r)
	return r
}

// bits4 has an accumulator a plane on AVX-512, and weighs the planes at the end. On AVX2 the tables that count the bits of
// a nibble have the weights in them, so that bytes can be added over the planes: at most 2*(4+8+16+32), which fits.
func bits4(t tier) pair {
	p := pair{
		tier: t, single: "dotBits4", many: "dotBits4Many", element: "uint64", result: "uint32", size: 8,
		lanes: t.width / 8, unroll: 1, accs: 4, planes: 4, ahead: 8,
		step: func(s *state, i int) {
			v := ZMM()
			VMOVDQU64(s.x.mem(i), v)
			for p := range s.accs {
				both := ZMM()
				VPANDQ(s.plane(p, i), v, both)
				VPOPCNTQ(both, both)
				VPADDQ(both, s.accs[p], s.accs[p])
			}
		},
		tail: func(s *state, k Register) {
			v := ZMM()
			VMOVDQU64_Z(s.x.mem(0), k, v)
			for p := range s.accs {
				both := ZMM()
				VPANDQ_Z(s.plane(p, 0), v, k, both)
				VPOPCNTQ(both, both)
				VPADDQ(both, s.accs[p], s.accs[p])
			}
		},
		result32: func(s *state) Register {
			weigh(s.accs)
			return int64Sum(s)
		},
	}
	if t == avx2 {
		p.accs, p.tail, p.constants, p.result32 = 1, nil, nibbleConstants, int64Sum
		p.step = func(s *state, i int) {
			v := YMM()
			VMOVDQU(s.x.mem(i), v)
			weighted(s, v, s.accs[0], func(p int, to VecVirtual) { VMOVDQU(s.plane(p, i), to) })
		}
		p.tail2 = func(s *state, mask VecVirtual) {
			v := YMM()
			VPMASKMOVQ(s.x.mem(0), mask, v)
			weighted(s, v, s.accs[0], func(p int, to VecVirtual) { VPMASKMOVQ(s.plane(p, 0), mask, to) })
		}
	}
	return p
}

// weigh leaves in accs[0] the sum of accs[p] << p.
func weigh(accs []VecVirtual) {
	for p := len(accs) - 1; p > 0; p-- {
		VPADDQ(accs[p], accs[p], accs[p])
		VPADDQ(accs[p], accs[p-1], accs[p-1])
	}
}

// nibbleConstants: the mask of the low nibbles, the tables of four weights, and zero.
func nibbleConstants(s *state) {
	s.constant = []VecVirtual{s.tier.broadcast(0x0F0F0F0F)}
	for weight := range 4 {
		v := YMM()
		VBROADCASTI128(bitCounts(weight), v)
		s.constant = append(s.constant, v)
	}
	s.constant = append(s.constant, s.tier.zero())
}

// bitCounts is the number of bits in each nibble, shifted by the weight.
func bitCounts(weight int) Mem {
	var words [4]uint32
	for nibble := range 16 {
		words[nibble/4] |= uint32(bits.OnesCount(uint(nibble))<<weight) << (8 * (nibble % 4))
	}
	return table(fmt.Sprintf("bitCounts%d", weight), words[:])
}

// nibbles splits the bytes of v, which it uses up.
func nibbles(s *state, v VecVirtual) (low, high VecVirtual) {
	low = YMM()
	VPAND(s.constant[0], v, low)
	VPSRLW(Imm(4), v, v)
	VPAND(s.constant[0], v, v)
	return low, v
}

// addBytes adds the sum of each eight bytes of v, which it uses up.
func addBytes(zero, v, acc VecVirtual) {
	VPSADBW(zero, v, v)
	VPADDQ(v, acc, acc)
}

// weighted adds to acc the weighted counts of the bits that the words of v have in common with the planes.
func weighted(s *state, v, acc VecVirtual, plane func(p int, to VecVirtual)) {
	low, high := nibbles(s, v)
	total := YMM()
	for p := range 4 {
		a, b := YMM(), YMM()
		plane(p, a)
		VPSRLW(Imm(4), a, b) // stray bits from the byte above meet zeroes
		VPAND(a, low, a)
		VPAND(b, high, b)
		VPSHUFB(a, s.constant[1+p], a)
		VPSHUFB(b, s.constant[1+p], b)
		if p == 0 {
			VPADDB(a, b, total)
			continue
		}
		VPADDB(a, total, total)
		VPADDB(b, total, total)
	}
	addBytes(s.constant[5], total, acc)
}
