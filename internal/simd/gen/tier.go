package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tier is an instruction set, named as its kernels' names end, with the bytes of its vectors.
type tier struct {
	name  string
	width int
}

var (
	avx512 = tier{"AVX512", 64}
	avx2   = tier{"AVX2", 32}
)

func (t tier) masked() bool { return t == avx512 }

// floats is how many float32 a vector holds.
func (t tier) floats() int { return t.width / 4 }

func (t tier) vector() VecVirtual {
	if t == avx512 {
		return ZMM()
	}
	return YMM()
}

func (t tier) zero() VecVirtual {
	v := t.vector()
	t.xor(v, v, v)
	return v
}

func (t tier) zeros(n int) []VecVirtual {
	vectors := make([]VecVirtual, n)
	for i := range vectors {
		vectors[i] = t.zero()
	}
	return vectors
}

// The two sets name the same bitwise operation differently.

func (t tier) xor(a, b, to Op) {
	if t == avx512 {
		VPXORQ(a, b, to)
		return
	}
	VPXOR(a, b, to)
}

func (t tier) and(a, b, to Op) {
	if t == avx512 {
		VPANDQ(a, b, to)
		return
	}
	VPAND(a, b, to)
}

func (t tier) load(from, to Op) {
	if t == avx512 {
		VMOVDQU64(from, to)
		return
	}
	VMOVDQU(from, to)
}

// broadcast fills a vector with a 32-bit value.
func (t tier) broadcast(value uint32) VecVirtual {
	r, x, v := GP32(), XMM(), t.vector()
	MOVL(U32(value), r)
	VMOVD(r, x)
	VPBROADCASTD(x, v)
	return v
}

func (t tier) broadcastFloat(value float32) VecVirtual { return t.broadcast(math.Float32bits(value)) }

// halve adds the upper half of a vector to its lower one, down to 128 bits.
func (t tier) halve(v VecVirtual, add func(a, b, to Op)) VecVirtual {
	if t == avx512 {
		y := YMM()
		VEXTRACTI64X4(Imm(1), v, y)
		add(v.AsY(), y, y)
		v = y
	}
	x := XMM()
	VEXTRACTI128(Imm(1), v.AsY(), x)
	add(v.AsX(), x, x)
	return x
}

// sum leaves the sum of the 32-bit lanes of v in the lowest lane of what it returns.
func (t tier) sum(v VecVirtual, add func(a, b, to Op)) VecVirtual {
	x, shuffled := t.halve(v, add), XMM()
	for _, order := range []uint8{0x4E, 0xB1} { // swap the halves, then the neighbours
		VPSHUFD(Imm(uint64(order)), x, shuffled)
		add(shuffled, x, x)
	}
	return x
}

// sum64 is sum for 64-bit lanes.
func (t tier) sum64(v VecVirtual) VecVirtual {
	x, shuffled := t.halve(v, vpaddq), XMM()
	VPSHUFD(Imm(0x4E), x, shuffled)
	VPADDQ(shuffled, x, x)
	return x
}

// avo's instructions take variable operands; these are the shapes that sums and folds take.

func vaddps(a, b, to Op) { VADDPS(a, b, to) }
func vpaddd(a, b, to Op) { VPADDD(a, b, to) }
func vpaddq(a, b, to Op) { VPADDQ(a, b, to) }
func vminps(a, b, to Op) { VMINPS(a, b, to) }
func vmaxps(a, b, to Op) { VMAXPS(a, b, to) }

// fold adds vectors into the first one.
func fold(vectors []VecVirtual, add func(a, b, to Op)) VecVirtual {
	for n := len(vectors); n > 1; n /= 2 {
		for i := range n / 2 {
			add(vectors[i+n/2], vectors[i], vectors[i])
		}
	}
	return vectors[0]
}

// lowLanes is a mask of the lowest n lanes, n below the lanes of a vector.
func lowLanes(n GPVirtual, lanes int) Register {
	k, ones := K(), GP64()
	MOVQ(I32(-1), ones)
	BZHIQ(n, ones, ones)
	switch lanes {
	case 8:
		KMOVB(ones.As32(), k)
	case 16:
		KMOVW(ones.As32(), k)
	default:
		KMOVQ(ones, k)
	}
	return k
}

var tables = map[string]Mem{}

// table is read-only data of 32-bit values, written once.
func table(name string, values []uint32) Mem {
	if at, ok := tables[name]; ok {
		return at
	}
	at := GLOBL(name, RODATA|NOPTR)
	for i, v := range values {
		DATA(4*i, U32(v))
	}
	tables[name] = at
	return at
}

// kernel begins a function. None keeps its arguments, so that callers' buffers may stay on their stacks.
func kernel(name, signature string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
}
