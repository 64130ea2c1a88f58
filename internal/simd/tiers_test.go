package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var copysignZero = math.Copysign(0, -1)

// probe calls one kernel on a tier, with arguments that end at forbidden memory, offset bytes before it, and returns all
// that it answered, floats as their bits.
type probe struct {
	name string
	unit int // bytes between two alignments that can occur: an element's
	call func(t tier, a *arenas, c content, offset int) []uint32
	near func(c content) float64 // for sums of floats: how far apart tiers may be; nil where they are equal
}

func float32s(v ...float32) []uint32 {
	bits := make([]uint32, len(v))
	for i, x := range v {
		if x != 0 { // zeroes of both signs are the same answer
			bits[i] = math.Float32bits(x)
		}
	}
	return bits
}

func halves(v []uint64) []uint32 {
	var h []uint32
	for _, w := range v {
		h = append(h, uint32(w), uint32(w>>32))
	}
	return h
}

func probes() []probe {
	return slices.Concat(pairProbes(), manyProbes(), encodingProbes(), rotationProbes())
}

func pairProbes() []probe {
	return []probe{
		{"dot", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			return float32s(dot(t, place(a, c.x, o), place(a, c.y, o)))
		}, func(c content) float64 { _, size, _ := naive(c.x, c.y); return 2 * bound(c.n, size) }},
		{"squaredL2", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			return float32s(squaredL2(t, place(a, c.x, o), place(a, c.y, o)))
		}, func(c content) float64 { _, _, squared := naive(c.x, c.y); return 2 * bound(c.n+2, squared) }},
		{"norms", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			absolute, squared := norms(t, place(a, c.x, o))
			return float32s(absolute, squared)
		}, func(c content) float64 { s, _, _ := naive(c.x, c.x); return 2 * bound(c.n+2, s) }},
		{"dotInt8", 1, func(t tier, a *arenas, c content, o int) []uint32 {
			return []uint32{uint32(dotInt8(t, place(a, c.a, o), place(a, c.b, o)))}
		}, nil},
		{"hamming", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			return []uint32{hamming(t, place(a, c.code, o), place(a, c.with, o))}
		}, nil},
		{"dotBits4", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			return []uint32{dotBits4(t, place(a, c.code, o), place(a, c.planes, o))}
		}, nil},
	}
}

// strided is three records of v, the last one without what follows it, and ids that name them.
func strided[T any](v []T) (records []T, stride int, ids []uint32) {
	stride = len(v) + 3
	records = make([]T, 2*stride+len(v))
	copy(records, v)
	copy(records[2*stride:], v)
	return records, stride, []uint32{2, 0, 1, 2}
}

func manyProbes() []probe {
	return []probe{
		{"dotMany", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			records, stride, ids := strided(c.x)
			out := room[float32](a, len(ids), 0)
			dotMany(t, out, place(a, c.y, o), place(a, records, o), stride, place(a, ids, 0))
			return float32s(out...)
		}, func(c content) float64 { _, size, _ := naive(c.x, c.y); return 2 * bound(c.n, size) }},
		{"dotInt8Many", 1, func(t tier, a *arenas, c content, o int) []uint32 {
			records, stride, ids := strided(c.a)
			out := room[int32](a, len(ids), 0)
			dotInt8Many(t, out, place(a, c.b, o), place(a, records, o), stride, place(a, ids, 0))
			return []uint32{uint32(out[0]), uint32(out[1]), uint32(out[2]), uint32(out[3])}
		}, nil},
		{"hammingMany", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			records, stride, ids := strided(c.code)
			out := room[uint32](a, len(ids), 0)
			hammingMany(t, out, place(a, c.with, o), place(a, records, o), stride, place(a, ids, 0))
			return slices.Clone(out) // the arena is used again
		}, nil},
		{"dotBits4Many", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			records, stride, ids := strided(c.code)
			out := room[uint32](a, len(ids), 0)
			dotBits4Many(t, out, place(a, c.planes, o), place(a, records, o), stride, place(a, ids, 0))
			return slices.Clone(out) // the arena is used again
		}, nil},
		{"filterEstimates", 4, callFilter, nil},
	}
}

func callFilter(t tier, a *arenas, c content, o int) []uint32 {
	sums := make([]uint32, c.n)
	for i := range sums {
		sums[i] = uint32(c.code[i] % 5760)
	}
	codes := Codes{Sums: place(a, sums, o), Norms: place(a, c.x, o), Factors: place(a, c.y, o), Ones: place(a, c.x, o)}
	indexes, estimates := room[uint32](a, c.n, 0), room[float32](a, c.n, 0)
	kept := filterEstimates(t, indexes, estimates, codes, Estimate{0.01, -0.3, 2, 1}, 1, 4_000_000_000)
	return slices.Concat(indexes[:kept], float32s(estimates[:kept]...))
}

func encodingProbes() []probe {
	return []probe{
		{"quantizeInt8", 1, func(t tier, a *arenas, c content, o int) []uint32 {
			to := room[int8](a, c.n, o)
			quantizeInt8(t, to, place(a, c.x, o), 40)
			var bytes []uint32
			for _, b := range to {
				bytes = append(bytes, uint32(b))
			}
			return bytes
		}, nil},
		{"signBits", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			to := room[uint64](a, words(c.n), 0)
			signBits(t, to, place(a, c.x, o))
			return halves(to)
		}, nil},
		{"queryPlanes", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			if c.n == 0 {
				return nil
			}
			planes := room[uint64](a, Planes*words(c.n), 0)
			v := place(a, c.y, o)
			lower, upper := bounds(t, v)
			sum := queryPlanes(t, planes, v, lower, 15/(upper-lower))
			return slices.Concat(halves(planes), float32s(lower, upper), []uint32{sum})
		}, nil},
	}
}

func rotationProbes() []probe {
	return []probe{
		{"multiply", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			to := room[float32](a, c.n, o)
			multiply(t, to, place(a, c.x, o), place(a, c.y, o))
			return float32s(to...)
		}, nil},
		{"rotate", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			if c.n == 0 || o > 0 && c.n%granule > 1 { // building a rotation takes long
				return nil
			}
			r := NewRotation(c.n, 1)
			to := room[float32](a, r.Padded(), o)
			rotate(t, r, to, place(a, c.x, o))
			return float32s(to...)
		}, nil},
	}
}

// TestEveryTierEqualsThePureOne holds each kernel to the pure one at every length and alignment, beside forbidden memory.
func TestEveryTierEqualsThePureOne(t *testing.T) {
	for _, p := range probes() {
		t.Run(p.name, func(t *testing.T) {
			r, memory := rand.New(rand.NewPCG(7, 8)), newArenas(t)
			for n := range longest + 1 {
				c := newContent(r, n)
				want := p.call(tierGo, memory, c, 0)
				for _, path := range supported() {
					for offset := 0; offset < 64; offset += p.unit {
						got := p.call(path, memory, c, offset)
						if got == nil && offset > 0 {
							continue
						}
						if !p.agree(c, want, got) {
							require.Equal(t, want, got, "%s, length %d, %d bytes before the page", path, n, offset)
						}
					}
				}
			}
		})
	}
}

// agree reports whether two answers are the same, or near where the kernel sums floats.
func (p probe) agree(c content, want, got []uint32) bool {
	if p.near == nil || len(want) != len(got) {
		return slices.Equal(want, got)
	}
	for i := range want {
		apart := float64(math.Float32frombits(want[i])) - float64(math.Float32frombits(got[i]))
		if !(math.Abs(apart) <= p.near(c)) {
			return false
		}
	}
	return true
}

func TestEveryTierEqualsThePureOneOnBlocks(t *testing.T) {
	r, memory := rand.New(rand.NewPCG(9, 10)), newArenas(t)
	for n := range 40 {
		for blocks := range 6 {
			content, planes := randomWords(r, blocks*Lanes*n), randomWords(r, Planes*n)
			want := make([]uint32, blocks*Lanes)
			for i := range want {
				code := make([]uint64, n)
				for w := range code {
					code[w] = content[i/Lanes*Lanes*n+w*Lanes+i%Lanes]
				}
				want[i] = dotBits4Go(code, planes)
			}
			for _, path := range supported() {
				for offset := 0; offset < 64; offset += 8 {
					out := room[uint32](memory, len(want), 0)
					dotBits4Blocks(path, out, place(memory, content, offset), place(memory, planes, offset))
					require.Equal(t, want, out[:len(want):len(want)], "%s, %d words, %d blocks", path, n, blocks)
				}
			}
		}
	}
}
