package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benched is what the benchmarks of one tier and dimension are called with.
type benched struct {
	content
	rotated     []float32
	int8s       []int8
	signs, bits []uint64
	floats      []float32
	ints        []int32
	out         []uint32
	many        []uint32
	blocks      []byte
	tables      []byte
	near, nears []float32
}

func newBenched(n int) *benched {
	r := rand.New(rand.NewPCG(5, 6))
	b := &benched{content: newContent(r, n)}
	b.x, b.y = randomVector(r, n), randomVector(r, n)
	w := words(n)
	b.rotated, b.int8s = make([]float32, b.rotation.Padded()), make([]int8, b.rotation.Padded())
	b.signs, b.bits = make([]uint64, w), make([]uint64, Planes*w)
	b.floats, b.ints, b.out = make([]float32, 32), make([]int32, 32), make([]uint32, 1024)
	b.many = make([]uint32, 32)
	for i := range b.many {
		b.many[i] = uint32(i * 5 % 3)
	}
	b.blocks, b.tables = randomBytes(r, 8*1024*w), make([]byte, TableBytes*w)
	QueryTables(b.tables, b.planes[:Planes*w])
	b.near, b.nears = make([]float32, 1024), make([]float32, 1024)
	return b
}

// BenchmarkKernels has a line a kernel, tier and dimension; ns/op is a vector, or a call of prepare and encode.
func BenchmarkKernels(b *testing.B) {
	for _, n := range []int{384, 768, 784, 1024, 1536} {
		d, w := newBenched(n), words(n)
		for _, t := range supported() {
			run := func(name string, each int, call func()) {
				b.Run(fmt.Sprintf("%s/%s/%d", name, t, n), func(b *testing.B) {
					for i := 0; i < b.N; i += each {
						call()
					}
				})
			}
			run("dot", 1, func() { dot(t, d.x, d.y) })
			run("l2", 1, func() { squaredL2(t, d.x, d.y) })
			run("int8", 1, func() { dotInt8(t, d.a, d.b) })
			run("hamming", 1, func() { hamming(t, d.code[:w], d.with[:w]) })
			run("bits4", 1, func() { dotBits4(t, d.code[:w], d.planes[:Planes*w]) })
			run("many-dot", 32, func() { dotMany(t, d.floats, d.y, d.xs, n+gap, d.many) })
			run("many-int8", 32, func() { dotInt8Many(t, d.ints, d.b, d.as, n+gap, d.many) })
			run("many-hamming", 32, func() { hammingMany(t, d.out[:32], d.with[:w], d.codes, n, d.many) })
			run("many-bits4", 32, func() { dotBits4Many(t, d.out[:32], d.planes[:Planes*w], d.codes, n, d.many) })
			run("blocks", 1024, func() { dotBits4Blocks(t, d.out, d.blocks, d.tables) })
			run("filter", 1024, func() {
				codes := Codes{Sums: d.out, Norms: d.near, Factors: d.near, Ones: d.near}
				filterEstimates(t, make([]uint32, 1024), d.nears, codes, Estimate{Norm: 1}, 0, 0)
			})
			run("rotate", 1, func() { rotate(t, d.rotation, d.rotated, d.x) })
			run("quantize", 1, func() { quantizeInt8(t, d.int8s, d.rotated, 40) })
			run("residual", 1, func() { residual(t, d.rotated[:n], d.x, d.y, 0.5) })
			run("signs", 1, func() { signBits(t, d.signs, d.rotated[:n]) })
			run("norms", 1, func() { norms(t, d.rotated) })
			run("planes", 1, func() { d.prepare(t) })
			run("prepare+encode", 1, func() {
				rotate(t, d.rotation, d.rotated, d.y)
				d.prepare(t)
				rotate(t, d.rotation, d.rotated, d.x)
				quantizeInt8(t, d.int8s, d.rotated, 40)
				signBits(t, d.signs, d.rotated[:n])
				norms(t, d.rotated)
			})
		}
	}
	for _, n := range []int{384, 768, 784, 1024, 1536} {
		d, w := newBenched(n), words(n)
		b.Run(fmt.Sprintf("tables/go/%d", n), func(b *testing.B) {
			for b.Loop() {
				QueryTables(d.tables, d.planes[:Planes*w])
			}
		})
	}
	for _, n := range []int{96, 768} {
		x := newBenched(n).x
		b.Run(fmt.Sprintf("norm64/go/%d", n), func(b *testing.B) {
			for b.Loop() {
				SquaredNorm(x)
			}
		})
	}
}

func (b *benched) prepare(t tier) {
	lower, upper := bounds(t, b.rotated[:b.n])
	queryPlanes(t, b.bits, b.rotated[:b.n], lower, 15/(upper-lower))
}
