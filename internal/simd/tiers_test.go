package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

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

// packed is four bytes in each word.
func packed(v []int8) []uint32 {
	bits := make([]uint32, (len(v)+3)/4)
	copy(unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(bits))), len(v)), v)
	return bits
}

func halves(v []uint64) []uint32 {
	h := make([]uint32, 0, 2*len(v))
	for _, w := range v {
		h = append(h, uint32(w), uint32(w>>32))
	}
	return h
}

func probes() []probe {
	return slices.Concat(pairProbes(), manyProbes(), encodingProbes(), rotationProbes())
}

// underflow is what n products lose where they are too small for float32, and a fused one is not.
func underflow(n int) float64 { return float64(n) * 0x1p-148 }

func pairProbes() []probe {
	return []probe{
		{"dot", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			return float32s(dot(t, place(a, c.x, o), place(a, c.y, o)))
		}, func(c content) float64 { _, size, _ := naive(c.x, c.y); return 2*bound(c.n, size) + underflow(c.n) }},
		{"squaredL2", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			return float32s(squaredL2(t, place(a, c.x, o), place(a, c.y, o)))
		}, func(c content) float64 {
			_, _, squared := naive(c.x, c.y)
			return 2*bound(c.n+2, squared) + underflow(c.n)
		}},
		{"norms", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			absolute, squared := norms(t, place(a, c.x, o))
			return float32s(absolute, squared)
		}, func(c content) float64 {
			near := 0.0
			for _, x := range c.x {
				near += 2 * bound(c.n+2, max(math.Abs(float64(x)), float64(x)*float64(x)))
			}
			return near + underflow(c.n)
		}},
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

func manyProbes() []probe {
	return []probe{
		{"dotMany", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			stride, ids := c.n+gap, c.ids
			out := room[float32](a, len(ids), 0)
			dotMany(t, out, place(a, c.y, o), place(a, c.xs, o), stride, place(a, ids, 0))
			return float32s(out...)
		}, func(c content) float64 {
			most := 0.0
			for id := range 3 { // the records differ, and so do the magnitudes that are added
				first := id * (c.n + gap)
				_, size, _ := naive(c.xs[first:first+c.n], c.y)
				most = max(most, size)
			}
			return 2*bound(c.n, most) + underflow(c.n)
		}},
		{"dotInt8Many", 1, func(t tier, a *arenas, c content, o int) []uint32 {
			stride, ids := c.n+gap, c.ids
			out := room[int32](a, len(ids), 0)
			dotInt8Many(t, out, place(a, c.b, o), place(a, c.as, o), stride, place(a, ids, 0))
			return []uint32{uint32(out[0]), uint32(out[1]), uint32(out[2]), uint32(out[3])}
		}, nil},
		{"hammingMany", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			stride, ids := c.n+gap, c.ids
			out := room[uint32](a, len(ids), 0)
			hammingMany(t, out, place(a, c.with, o), place(a, c.codes, o), stride, place(a, ids, 0))
			return slices.Clone(out) // the arena is used again
		}, nil},
		{"dotBits4Many", 8, func(t tier, a *arenas, c content, o int) []uint32 {
			stride, ids := c.n+gap, c.ids
			out := room[uint32](a, len(ids), 0)
			dotBits4Many(t, out, place(a, c.planes, o), place(a, c.codes, o), stride, place(a, ids, 0))
			return slices.Clone(out) // the arena is used again
		}, nil},
		{"filterEstimates", 4, callFilter, nil},
	}
}

func callFilter(t tier, a *arenas, c content, o int) []uint32 {
	codes := Codes{Sums: place(a, c.sums, o), Norms: place(a, c.x, o), Factors: place(a, c.y, o), Ones: place(a, c.x, o)}
	indexes, estimates := room[uint32](a, c.n, 0), room[float32](a, c.n, 0)
	kept := filterEstimates(t, indexes, estimates, codes, Estimate{0.01, -0.3, 2, 1}, 1, 4_000_000_000)
	return slices.Concat(indexes[:kept], float32s(estimates[:kept]...))
}

func encodingProbes() []probe {
	return []probe{
		{"quantizeInt8", 1, func(t tier, a *arenas, c content, o int) []uint32 {
			to := room[int8](a, c.n, o)
			quantizeInt8(t, to, place(a, c.x, o), 40)
			return packed(to)
		}, nil},
		{"residual", 4, func(t tier, a *arenas, c content, o int) []uint32 {
			to := room[float32](a, c.n, o)
			residual(t, to, place(a, c.x, o), place(a, c.y, o), 1.7)
			in := place(a, c.x, o)
			residual(t, in, in, place(a, c.y, o), 1.7)
			return slices.Concat(float32s(to...), float32s(in...))
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
			if c.n == 0 {
				return nil
			}
			to := room[float32](a, c.rotation.Padded(), o)
			rotate(t, c.rotation, to, place(a, c.x, o))
			return float32s(to...)
		}, nil},
	}
}

// TestEveryTierEqualsThePureOne holds each kernel to the pure one at every length and alignment, beside forbidden memory.
func TestEveryTierEqualsThePureOne(t *testing.T) {
	r, memory := rand.New(rand.NewPCG(7, 8)), newArenas(t)
	for n := range longest + 1 {
		c := newContent(r, n)
		for _, p := range probes() {
			p.compare(t, memory, c)
		}
	}
}

func (p probe) compare(t *testing.T, memory *arenas, c content) {
	want, near := p.call(tierGo, memory, c, 0), 0.0
	if p.near != nil {
		near = p.near(c)
	}
	for _, path := range vectorTiers() {
		for offset := 0; offset < 64; offset += p.unit {
			got := p.call(path, memory, c, offset)
			if !agree(want, got, near) {
				require.Equal(t, want, got, "%s on %s, length %d, %d bytes before the page", p.name, path, c.n, offset)
			}
		}
	}
}

// vectorTiers are those of this machine that are not the pure one.
func vectorTiers() []tier {
	return slices.DeleteFunc(supported(), func(t tier) bool { return t == tierGo })
}

// agree reports whether two answers are the same, or floats no further apart than near.
func agree(want, got []uint32, near float64) bool {
	if near == 0 || len(want) != len(got) {
		return slices.Equal(want, got)
	}
	for i := range want {
		apart := float64(math.Float32frombits(want[i])) - float64(math.Float32frombits(got[i]))
		if !(math.Abs(apart) <= near) {
			return false
		}
	}
	return true
}

// TestEveryTierEqualsThePureOneOnBlocks goes beyond the words whose sums fit 16 bits: the greatest values are among them.
func TestEveryTierEqualsThePureOneOnBlocks(t *testing.T) {
	r, memory := rand.New(rand.NewPCG(9, 10)), newArenas(t)
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 24, 67, 68, 69, 70, 136, 137, 150} {
		for blocks := range 4 {
			content, planes := randomBytes(r, blocks*Lanes*n*8), randomWords(r, Planes*n)
			if blocks == 3 {
				for i := range planes {
					planes[i] = math.MaxUint64
				}
			}
			if blocks > 1 {
				for i := range content[:len(content)/blocks] {
					content[i] = 0xFF
				}
			}
			compareBlocks(t, memory, content, planes, blocks)
		}
	}
}

func compareBlocks(t *testing.T, memory *arenas, content []byte, planes []uint64, blocks int) {
	t.Helper()
	n := len(planes) / Planes
	tables := make([]byte, TableBytes*n)
	QueryTables(tables, planes)
	want := make([]uint32, blocks*Lanes)
	for i := range want {
		code := make([]uint64, n)
		for w := range 8 * n {
			code[w/8] |= uint64(content[i/Lanes*Lanes*n*8+w*Lanes+i%Lanes]) << (w % 8 * 8)
		}
		want[i] = dotBits4Go(code, planes)
	}
	for _, path := range supported() {
		for offset := range 64 {
			out := room[uint32](memory, len(want), 0)
			dotBits4Blocks(path, out, place(memory, content, offset), place(memory, tables, offset/3))
			require.Equal(t, want, out[:len(want):len(want)], "%s, %d words, %d blocks", path, n, blocks)
		}
	}
}
