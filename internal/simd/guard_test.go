package simd

import (
	"math"
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
	sums       []uint32
	rotation   *Rotation

	// Three records each, of x, a and code, with a gap between them, the last without what follows it.
	xs    []float32
	as    []int8
	codes []uint64
	ids   []uint32
}

const gap = 3

func newContent(r *rand.Rand, n int) content {
	c := content{n: n, x: randomVector(r, n), y: randomVector(r, n), a: make([]int8, n), b: make([]int8, n)}
	for i := range n {
		c.a[i], c.b[i] = int8(r.IntN(255)-127), int8(r.IntN(255)-127)
		if r.IntN(8) == 0 { // ties, zeroes of both signs, components out of the range of int8
			c.x[i] = []float32{0.5, -0.5, 1.5, 0, float32(math.Copysign(0, -1)), 1e9, -1e9}[r.IntN(7)]
		}
		if r.IntN(16) == 0 {
			c.a[i], c.b[i] = -127, int8(127-254*r.IntN(2))
		}
	}
	c.code, c.with, c.planes = randomWords(r, n), randomWords(r, n), randomWords(r, Planes*n)
	c.sums = make([]uint32, n)
	for i := range c.sums {
		c.sums[i] = uint32(c.code[i] % 5760)
	}
	c.rotation = NewRotation(max(n, 1), uint64(n))
	c.xs, c.as, c.codes, c.ids = records(c.x), records(c.a), records(c.code), []uint32{2, 0, 1, 2}
	return c
}

func records[T any](v []T) []T {
	stride := len(v) + gap
	r := make([]T, 2*stride+len(v))
	copy(r, v)
	copy(r[stride:], v[len(v)/2:])
	copy(r[2*stride:], v)
	return r
}

func randomWords(r *rand.Rand, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64()
	}
	return v
}

func randomBytes(r *rand.Rand, n int) []byte {
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	return v
}
