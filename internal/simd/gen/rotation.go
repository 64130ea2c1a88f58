package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rotation writes the parts of the Hadamard rotation: transforms of what fits the registers, butterflies over longer
// distances, and the product with signs. Each sum is rounded as in the pure version, so that all tiers give the same bits.
func rotation(t tier) {
	transform(t, 64)
	if t == avx512 {
		transform(t, 256)
	}
	butterflies(t, "butterfly", 2)
	butterflies(t, "butterfly4", 4)
	butterflies(t, "butterfly8", 8)
	product(t)
}

// transform writes func(to, v, signs []float32): the unnormalised Walsh-Hadamard transform of each whole chunk of v, each
// component times its sign first. to may be v.
func transform(t tier, size int) {
	kernel(map[int]string{64: "hadamard64", 256: "hadamard256"}[size]+t.name, "func(to, v, signs []float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	var p [3]pointer
	for i, name := range []string{"to", "v", "signs"} {
		p[i] = pointer{at: Load(Param(name).Base(), GP64()).(GPVirtual), bytes: 4 * size}
	}
	r := make([]VecVirtual, size/t.floats())
	signs := make([]VecVirtual, 0, 4)
	for _, in := range inLaneSigns(t) {
		sign := t.vector()
		VMOVUPS(in, sign)
		signs = append(signs, sign)
	}
	sweep{
		tier: t, label: "chunk", n: n, lanes: size, unroll: 1, pointers: p[:],
		step: func(int) {
			at := func(p pointer, i int) Mem { return Mem{Base: p.at, Disp: i * t.width} }
			for i := range r {
				r[i] = t.vector()
				VMOVUPS(at(p[1], i), r[i])
				VMULPS(at(p[2], i), r[i], r[i])
			}
			for level, sign := range signs {
				for i := range r {
					r[i] = inLane(t, level, sign, r[i])
				}
			}
			across(t, r)
			for i := range r {
				VMOVUPS(r[i], at(p[0], i))
			}
		},
	}.emit()
	VZEROUPPER()
	RET()
}

// across transforms over the registers. The lower distances come first, as in the pure version.
func across(t tier, r []VecVirtual) {
	for h := 1; h < len(r); h <<= 1 {
		for i := range r {
			if i&h != 0 {
				continue
			}
			sum := t.vector()
			VADDPS(r[i+h], r[i], sum)
			VSUBPS(r[i+h], r[i], r[i+h])
			r[i] = sum
		}
	}
}

// inLaneSigns are operands with -1 in each lane that is the lower minus the upper one of its pair, for distances 1, 2, 4...
func inLaneSigns(t tier) []Mem {
	var signs []Mem
	for level := 0; 1<<level < t.floats(); level++ {
		values := make([]uint32, t.floats())
		for lane := range values {
			values[lane] = 0x3F800000
			if lane>>level&1 == 1 {
				values[lane] = 0xBF800000
			}
		}
		signs = append(signs, table([]string{"signs1", "signs2", "signs4", "signs8"}[level]+t.name, values))
	}
	return signs
}

// inLane is a butterfly between the lanes of one register: each lane times its sign, plus its partner. The product with
// a sign is exact, so that fusing it with the sum changes nothing.
func inLane(t tier, level int, sign, v VecVirtual) VecVirtual {
	partner := t.vector()
	switch {
	case level == 0:
		VPERMILPS(Imm(0xB1), v, partner)
	case level == 1:
		VPERMILPS(Imm(0x4E), v, partner)
	case t == avx2:
		VPERM2F128(Imm(1), v, v, partner)
	case level == 2:
		VSHUFF32X4(Imm(0xB1), v, v, partner)
	default:
		VSHUFF32X4(Imm(0x4E), v, v, partner)
	}
	VFMADD231PS(sign, v, partner)
	return partner
}

// butterflies writes func(v []float32, h int), which transforms over distance h, 2h where there are four parts, and 4h where
// there are eight: v has parts*h elements, h a multiple of 32.
func butterflies(t tier, name string, parts int) {
	kernel(name+t.name, "func(v []float32, h int)")
	p := pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width}
	h := Load(Param("h"), GP64()).(GPVirtual)
	bytes := GP64()
	MOVQ(h, bytes)
	SHLQ(Imm(2), bytes)
	odd := map[int]GPVirtual{1: bytes} // an odd number of parts, in bytes
	for j := 3; j < parts; j += 2 {
		odd[j] = GP64()
		LEAQ(Mem{Base: odd[j-2], Index: bytes, Scale: 2}, odd[j])
	}
	part := func(j, i int) Mem {
		m := p.mem(i)
		if j == 0 {
			return m
		}
		m.Scale = uint8(j & -j)
		m.Index = odd[j/int(m.Scale)]
		return m
	}
	sweep{
		tier: t, label: "part", n: h, lanes: t.floats(), unroll: min(2, 8/parts), pointers: []pointer{p},
		step: func(i int) {
			r := make([]VecVirtual, parts)
			for j := range r {
				r[j] = t.vector()
				VMOVUPS(part(j, i), r[j])
			}
			across(t, r)
			for j := range r {
				VMOVUPS(r[j], part(j, i))
			}
		},
	}.emit()
	VZEROUPPER()
	RET()
}

// product writes func(to, a, b []float32): to = a*b over the length of a.
func product(t tier) {
	kernel("multiply"+t.name, "func(to, a, b []float32)")
	n := Load(Param("a").Len(), GP64()).(GPVirtual)
	var p [3]pointer
	for i, name := range []string{"to", "a", "b"} {
		p[i] = pointer{at: Load(Param(name).Base(), GP64()).(GPVirtual), bytes: t.width}
	}
	sweep{
		tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: p[:],
		step: func(i int) {
			v := t.vector()
			VMOVUPS(p[1].mem(i), v)
			VMULPS(p[2].mem(i), v, v)
			VMOVUPS(v, p[0].mem(i))
		},
		tail: func(k Register) {
			v, w := t.vector(), t.vector()
			VMOVUPS_Z(p[1].mem(0), k, v)
			VMOVUPS_Z(p[2].mem(0), k, w)
			VMULPS(w, v, v)
			VMOVUPS(v, k, p[0].mem(0))
		},
	}.emit()
	VZEROUPPER()
	RET()
}
