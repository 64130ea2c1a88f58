package simd

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

const arenaBytes = 1 << 18

// arenas are the memories of the arguments of one call, handed out in turn.
type arenas struct {
	memory [6][]byte
	next   int
}

func newArenas(t testing.TB) *arenas {
	a := &arenas{}
	for i := range a.memory {
		a.memory[i] = guardedBytes(t, arenaBytes)
	}
	return a
}

// place copies v to where it ends offset bytes, rounded down to whole elements, before the forbidden page. The alignment
// follows from the length and the offset.
func place[T any](a *arenas, v []T, offset int) []T {
	to := room[T](a, len(v), offset)
	copy(to, v)
	return to
}

// room is place for what a kernel writes: n elements that hold garbage.
func room[T any](a *arenas, n, offset int) []T {
	var element T
	size := int(unsafe.Sizeof(element))
	memory := a.memory[a.next%len(a.memory)]
	a.next++
	end := len(memory) - offset/size*size
	start := end - n*size
	if n == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[start])), n)
}

// content is what kernels are tested on, for one length.
type content struct {
	n          int
	x, y       []float32
	a, b       []int8
	code, with []uint64
	planes     []uint64
}

func newContent(r *rand.Rand, n int) content {
	c := content{n: n, x: randomVector(r, n), y: randomVector(r, n), a: make([]int8, n), b: make([]int8, n)}
	for i := range n {
		c.a[i], c.b[i] = int8(r.IntN(256)-128), int8(r.IntN(256)-128)
		if r.IntN(8) == 0 { // ties, zeroes of both signs, components out of the range of int8
			c.x[i] = []float32{0.5, -0.5, 1.5, 0, float32(copysignZero), 1e9, -1e9}[r.IntN(7)]
		}
		if r.IntN(16) == 0 {
			c.a[i], c.b[i] = -128, -128
		}
	}
	c.code, c.with, c.planes = randomWords(r, n), randomWords(r, n), randomWords(r, Planes*n)
	return c
}

func randomWords(r *rand.Rand, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64()
	}
	return v
}
