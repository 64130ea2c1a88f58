package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func encoding(t tier) {
	quantize(t)
	residual(t)
	signBits(t)
	norms(t)
	bounds(t)
	planes(t)
}

// clampRound scales v, keeps it between low and high (low where it is NaN) and rounds to the nearest even int32. The
// operands' order decides what NaN becomes.
func clampRound(v, scale, low, high VecVirtual) {
	VMULPS(scale, v, v)
	VMAXPS(low, v, v)
	VMINPS(high, v, v)
	VCVTPS2DQ(v, v)
}

func parameter(t tier, name string) VecVirtual {
	v := t.vector()
	VBROADCASTSS(Load(Param(name), XMM()), v)
	return v
}

// quantize writes func(to []int8, v []float32, scale float32).
func quantize(t tier) {
	kernel("quantizeInt8"+t.name, "func(to []int8, v []float32, scale float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	from := pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width}
	to := pointer{at: Load(Param("to").Base(), GP64()).(GPVirtual), bytes: t.floats()}
	scale, low, high := parameter(t, "scale"), t.broadcastFloat(-127), t.broadcastFloat(127)
	s := sweep{tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: []pointer{from, to}}
	s.step = func(i int) {
		v := t.vector()
		VMOVUPS(from.mem(i), v)
		clampRound(v, scale, low, high)
		if t == avx512 {
			VPMOVDB(v, to.mem(i))
			return
		}
		x := XMM()
		VEXTRACTI128(Imm(1), v, x)
		VPACKSSDW(x, v.AsX(), x)
		VPACKSSWB(x, x, x)
		VMOVQ(x, to.mem(i))
	}
	s.tail = func(k Register) {
		v := t.vector()
		VMOVUPS_Z(from.mem(0), k, v)
		clampRound(v, scale, low, high)
		VPMOVDB(v, k, to.mem(0))
	}
	s.emit()
	VZEROUPPER()
	RET()
}

// residual writes func(to, v, centroid []float32, scale float32): to = v*scale - centroid, rounded twice.
func residual(t tier) {
	kernel("residual"+t.name, "func(to, v, centroid []float32, scale float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	var p [3]pointer
	for i, name := range []string{"to", "v", "centroid"} {
		p[i] = pointer{at: Load(Param(name).Base(), GP64()).(GPVirtual), bytes: t.width}
	}
	scale := parameter(t, "scale")
	sweep{
		tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: p[:],
		step: func(i int) {
			v := t.vector()
			VMULPS(p[1].mem(i), scale, v)
			VSUBPS(p[2].mem(i), v, v)
			VMOVUPS(v, p[0].mem(i))
		},
		tail: func(k Register) {
			v, w := t.vector(), t.vector()
			VMOVUPS_Z(p[1].mem(0), k, v)
			VMOVUPS_Z(p[2].mem(0), k, w)
			VMULPS(scale, v, v)
			VSUBPS(w, v, v)
			VMOVUPS(v, k, p[0].mem(0))
		},
	}.emit()
	VZEROUPPER()
	RET()
}

// signBits writes func(to []uint64, v []float32): it sets the bits of as many whole bytes (AVX2: of vectors of eight; AVX-512:
// of 16 and then the rest) as v has, and touches no other byte.
func signBits(t tier) {
	kernel("signBits"+t.name, "func(to []uint64, v []float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	from := pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width}
	to := pointer{at: Load(Param("to").Base(), GP64()).(GPVirtual), bytes: t.floats() / 8}
	s := sweep{tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: []pointer{from, to}}
	s.step = func(i int) {
		v := t.vector()
		VMOVUPS(from.mem(i), v)
		if t == avx512 {
			k := K()
			VPMOVD2M(v, k)
			KNOTW(k, k)
			KMOVW(k, to.mem(i))
			return
		}
		r := GP32()
		VMOVMSKPS(v, r)
		NOTL(r)
		MOVB(r.As8(), to.mem(i))
	}
	s.tail = func(k Register) {
		v, bits := t.vector(), K()
		VMOVUPS_Z(from.mem(0), k, v)
		VPMOVD2M(v, bits)
		KANDNW(k, bits, bits) // of the lanes there are
		KMOVW(bits, to.mem(0))
	}
	s.emit()
	VZEROUPPER()
	RET()
}

// norms writes func(v []float32) (absolute, squared float32).
func norms(t tier) {
	kernel("norms"+t.name, "func(v []float32) (absolute, squared float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	from := pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width}
	noSign, absolute, squared := t.broadcast(0x7FFFFFFF), t.zeros(4), t.zeros(4)
	add := func(v VecVirtual, i int) {
		VFMADD231PS(v, v, squared[i])
		t.and(noSign, v, v)
		VADDPS(v, absolute[i], absolute[i])
	}
	sweep{
		tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: []pointer{from},
		step: func(i int) {
			v := t.vector()
			VMOVUPS(from.mem(i), v)
			add(v, i)
		},
		tail: func(k Register) {
			v := t.vector()
			VMOVUPS_Z(from.mem(0), k, v)
			add(v, 0)
		},
	}.emit()
	a, q := t.sum(fold(absolute, vaddps), vaddps), t.sum(fold(squared, vaddps), vaddps)
	VZEROUPPER()
	Store(a, ReturnIndex(0))
	Store(q, ReturnIndex(1))
	RET()
}

// bounds writes func(v []float32) (low, high float32), for v of at least a vector (AVX2), or one element (AVX-512).
func bounds(t tier) {
	kernel("bounds"+t.name, "func(v []float32) (low, high float32)")
	n := Load(Param("v").Len(), GP64()).(GPVirtual)
	from := pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width}
	low, high := make([]VecVirtual, 4), make([]VecVirtual, 4)
	for i := range low {
		low[i], high[i] = t.vector(), t.vector()
		VBROADCASTSS(from.mem(0), low[i])
		VBROADCASTSS(from.mem(0), high[i])
	}
	sweep{
		tier: t, label: "lanes", n: n, lanes: t.floats(), unroll: 4, pointers: []pointer{from},
		step: func(i int) {
			v := t.vector()
			VMOVUPS(from.mem(i), v)
			VMINPS(v, low[i], low[i])
			VMAXPS(v, high[i], high[i])
		},
		tail: func(k Register) {
			v := t.vector()
			VMOVUPS(low[0], v)
			VMOVUPS(from.mem(0), k, v) // what is not there is a value that is
			VMINPS(v, low[0], low[0])
			VMOVUPS(high[0], v)
			VMOVUPS(from.mem(0), k, v)
			VMAXPS(v, high[0], high[0])
		},
	}.emit()
	l, h := t.sum(fold(low, vminps), vminps), t.sum(fold(high, vmaxps), vmaxps)
	VZEROUPPER()
	Store(l, ReturnIndex(0))
	Store(h, ReturnIndex(1))
	RET()
}

// planes writes func(planes []uint64, v []float32, lower, perStep float32) uint32: 4-bit values, a bit a plane, and their
// sum. AVX2 takes 32 components a step. The bits past the last step (AVX-512: past the last 16) are left as they are.
func planes(t tier) {
	kernel("queryPlanes"+t.name, "func(planes []uint64, v []float32, lower, perStep float32) uint32")
	lanes := map[tier]int{avx512: 16, avx2: 32}[t]
	p := &planeState{
		state: state{tier: t, y: pointer{at: Load(Param("planes").Base(), GP64()).(GPVirtual), bytes: lanes / 8}},
		from:  pointer{at: Load(Param("v").Base(), GP64()).(GPVirtual), bytes: t.width},
	}
	p.n = Load(Param("planes").Len(), GP64()).(GPVirtual)
	SHRQ(Imm(2), p.n)
	pair{planes: 4}.strides(&p.state)
	p.n = Load(Param("v").Len(), GP64()).(GPVirtual)
	p.lower, p.perStep = parameter(t, "lower"), parameter(t, "perStep")
	p.zero, p.fifteen, p.sum = t.zero(), t.broadcastFloat(15), t.zero()
	s := sweep{
		tier: t, label: "lanes", n: p.n, lanes: lanes, unroll: 1,
		pointers: []pointer{{p.from.at, 4 * lanes}, p.y}, step: func(int) { p.step32() },
	}
	if t == avx512 {
		for plane := range 4 {
			p.constant = append(p.constant, t.broadcast(1<<plane))
		}
		s.step = func(int) { p.step16(nil) }
		s.tail = p.step16
	} else {
		p.constant = []VecVirtual{YMM()}
		VMOVDQU(table("afterPacking", []uint32{0, 4, 1, 5, 2, 6, 3, 7}), p.constant[0])
	}
	s.emit()
	sum := GP32()
	VMOVD(t.sum(p.sum, vpaddd), sum)
	VZEROUPPER()
	Store(sum, ReturnIndex(0))
	RET()
}

type planeState struct {
	state
	from                               pointer
	lower, perStep, zero, fifteen, sum VecVirtual
}

// step16 takes a vector, or the lanes of it that k names.
func (p *planeState) step16(k Register) {
	v := ZMM()
	if k == nil {
		VMOVUPS(p.from.mem(0), v)
	} else {
		VMOVUPS_Z(p.from.mem(0), k, v)
	}
	VSUBPS(p.lower, v, v)
	clampRound(v, p.perStep, p.zero, p.fifteen)
	if k != nil {
		VMOVDQA32_Z(v, k, v)
	}
	VPADDD(v, p.sum, p.sum)
	for plane := range 4 {
		bits := K()
		VPTESTMD(p.constant[plane], v, bits)
		KMOVW(bits, p.plane(plane, 0))
	}
}

// step32 packs four vectors to bytes, and shifts the bit of each plane to where a byte has its sign.
func (p *planeState) step32() {
	var words [4]VecVirtual
	for i := range words {
		v := YMM()
		VMOVUPS(p.from.mem(i), v)
		VSUBPS(p.lower, v, v)
		clampRound(v, p.perStep, p.zero, p.fifteen)
		VPADDD(v, p.sum, p.sum)
		words[i] = v
	}
	VPACKSSDW(words[1], words[0], words[0])
	VPACKSSDW(words[3], words[2], words[2])
	packed := YMM()
	VPACKSSWB(words[2], words[0], packed)
	VPERMD(packed, p.constant[0], packed)
	for plane := range 4 {
		shifted, bits := YMM(), GP32()
		VPSLLW(Imm(uint64(7-plane)), packed, shifted)
		VPMOVMSKB(shifted, bits)
		MOVL(bits, p.plane(plane, 0))
	}
}
