package simd

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func bit(words []uint64, i int) uint64 { return words[i/64] >> (i % 64) & 1 }

// The pure kernels are what all others are held to; here they are held to the definitions, component by component.
func TestThePureKernelsAreTheDefinitions(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for n := range 300 {
		c := newContent(r, n)
		var product, differ, value int64
		for i := range n {
			product += int64(c.a[i]) * int64(c.b[i])
		}
		for i := range 64 * n {
			differ += int64(bit(c.code, i) ^ bit(c.with, i))
			for p := range Planes {
				value += int64(bit(c.code, i)&bit(c.planes[p*n:], i)) << p
			}
		}
		require.EqualValues(t, product, dotInt8Go(c.a, c.b), "length %d", n)
		require.EqualValues(t, differ, hammingGo(c.code, c.with), "length %d", n)
		require.EqualValues(t, value, dotBits4Go(c.code, c.planes), "length %d", n)
		defineTables(t, c)
		defineEncodings(t, c)
	}
}

func defineTables(t *testing.T, c content) {
	t.Helper()
	tables := make([]byte, TableBytes*c.n)
	QueryTables(tables, c.planes)
	for i, sum := range tables {
		want := uint64(0)
		for k := range 4 {
			for p := range Planes {
				want += uint64(i) >> k & 1 * bit(c.planes[p*c.n:], i/nibbles*4+k) << p
			}
		}
		require.EqualValues(t, want, sum, "nibble %d of table %d", i%nibbles, i/nibbles)
	}
}

func defineEncodings(t *testing.T, c content) {
	t.Helper()
	codes, signs := make([]int8, c.n), make([]uint64, words(c.n))
	quantizeInt8Go(codes, c.x, 40)
	signBits(tierGo, signs, c.x)
	for i, x := range c.x {
		require.EqualValues(t, max(-127, min(127, math.RoundToEven(float64(x*40)))), codes[i], "component %g", x)
		require.Equal(t, math.Signbit(float64(x)), bit(signs, i) == 0, "component %g", x)
	}
	if c.n == 0 {
		return
	}
	planes := make([]uint64, Planes*words(c.n))
	lower, step, sum := QueryPlanes(planes, c.y)
	total := uint32(0)
	for i, y := range c.y {
		value := uint32(0)
		for p := range Planes {
			value |= uint32(bit(planes[p*words(c.n):], i)) << p
		}
		total += value
		require.InDelta(t, y, lower+step*float32(value), float64(step)*0.50001)
	}
	require.Equal(t, total, sum)
	for i := c.n; i < 64*words(c.n); i++ {
		require.Zero(t, bit(signs, i)|bit(planes, i), "a bit beyond the vector")
	}
}

func TestEncodersAtTheirEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	v := []float32{inf, -inf, nan, 126.5, 127.5, -126.5, 0.5, 1.5, 2.5, -0.5, math.MaxFloat32, math.SmallestNonzeroFloat32}
	for _, path := range supported() {
		to := make([]int8, 3*len(v))
		quantizeInt8(path, to, append(append(append([]float32{}, v...), v...), v...), 1)
		for i, want := range []int8{127, -127, -127, 126, 127, -126, 0, 2, 2, 0, 127, 0} {
			require.Equal(t, want, to[i], "%s, %g", path, v[i])
			require.Equal(t, want, to[len(v)+i], "%s, %g", path, v[i])
			require.Equal(t, want, to[2*len(v)+i], "%s, %g", path, v[i])
		}
	}
	planes := make([]uint64, Planes)
	lower, step, sum := QueryPlanes(planes, []float32{3, 3, 3})
	require.Equal(t, []float32{3, 0}, []float32{lower, step})
	require.Equal(t, []uint64{0, 0, 0, 0}, planes)
	require.Zero(t, sum)
	absolute, squared := Norms([]float32{-3, 4})
	require.Equal(t, []float32{7, 25}, []float32{absolute, squared})
}

// The longest int8 vectors of the largest products do not overflow on any tier.
func TestInt8IsExactAtItsLimit(t *testing.T) {
	a := make([]int8, MaxInt8)
	for i := range a {
		a[i] = -127
	}
	for _, path := range supported() {
		require.EqualValues(t, MaxInt8*127*127, dotInt8(path, a, a))
	}
	require.Panics(t, func() { DotInt8(make([]int8, MaxInt8+1), make([]int8, MaxInt8+1)) })
	require.Panics(t, func() { DotInt8Many(nil, make([]int8, MaxInt8+1), nil, MaxInt8+1, nil) })
}

// A rotation of orthonormal vectors is orthonormal, in float64, up to float32's rounding.
func TestRotationsAreOrthonormal(t *testing.T) {
	for _, dimension := range []int{1, 63, 64, 65, 128, 192, 384, 768, 784, 1024, 1536, 3072} {
		r := NewRotation(dimension, 42)
		require.Zero(t, r.Padded()%64)
		require.Less(t, r.Padded()-dimension, 64)
		random := rand.New(rand.NewPCG(13, uint64(dimension)))
		v, w := randomVector(random, dimension), randomVector(random, dimension)
		rv, rw := make([]float32, r.Padded()), make([]float32, r.Padded())
		r.Rotate(rv, v)
		r.Rotate(rw, w)
		scale := math.Sqrt(SquaredNorm(v) * SquaredNorm(w))
		require.InEpsilon(t, SquaredNorm(v), SquaredNorm(rv), 1e-5, "dimension %d", dimension)
		require.InDelta(t, Dot64(v, w), Dot64(rv, rw), 1e-5*scale, "dimension %d", dimension)
	}
}

// What one component holds is spread over all: rotated unit vectors look like samples of a normal distribution.
func TestRotationsSpread(t *testing.T) {
	for _, dimension := range []int{384, 768, 784, 1024, 1536} {
		r := NewRotation(dimension, 42)
		n := r.Padded()
		energy, fourth, largest := make([]float64, n), 0.0, 0.0
		unit, rotated := make([]float32, dimension), make([]float32, n)
		for i := range dimension {
			unit[i] = 1
			r.Rotate(rotated, unit)
			unit[i] = 0
			for j, x := range rotated {
				y := float64(x) * math.Sqrt(float64(n))
				energy[j] += y * y / float64(dimension)
				fourth += y * y * y * y / float64(dimension*n)
				largest = max(largest, math.Abs(y))
			}
		}
		for j, e := range energy {
			require.InDelta(t, 1, e, 0.25, "dimension %d: component %d has not its share", dimension, j)
		}
		require.InDelta(t, 3, fourth, 0.25, "dimension %d: kurtosis of a normal distribution", dimension)
		require.Less(t, largest, 7.0, "dimension %d", dimension)
	}
}

// Codes are stored: a rotation must never change for a seed, in a single bit, on any tier or machine.
func TestRotationsNeverChange(t *testing.T) {
	for dimension, want := range map[int]uint32{100: 0xb3ed006b, 768: 0x8993212d, 784: 0x23588cb8, 1024: 0x29e6d8e1} {
		v := make([]float32, dimension)
		for i := range v {
			v[i] = float32(i%7) - 2.9
		}
		r := NewRotation(dimension, 42)
		to := make([]float32, r.Padded())
		for _, path := range supported() {
			rotate(path, r, to, v)
			sum := crc32.NewIEEE()
			for _, x := range to {
				sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
			}
			require.Equal(t, want, sum.Sum32(), "%s, dimension %d: checksum %#x", path, dimension, sum.Sum32())
		}
		require.NotEqual(t, r.signs, NewRotation(dimension, 43).signs)
	}
	require.Equal(t, uint64(0xE220A8397B1DCDAF), new(splitMix).next(), "the first number of SplitMix64 from 0")
}

func TestChoose(t *testing.T) {
	all := []tier{tierAVX512, tierAVX2, tierGo}
	for _, tt := range []struct {
		wish  string
		tiers []tier
		want  tier
		fails bool
	}{
		{"", all, tierAVX2, false}, // until the other has run on a processor
		{"", all[1:], tierAVX2, false},
		{"avx512", all, tierAVX512, false},
		{"avx2", all, tierAVX2, false},
		{"go", all, tierGo, false},
		{"avx512", all[1:], tierAVX2, true},
		{"AVX2", all, tierAVX2, true},
		{"sse", []tier{tierGo}, tierGo, true},
	} {
		got, err := choose(tt.wish, tt.tiers)
		require.Equal(t, tt.want, got, tt.wish)
		require.Equal(t, tt.fails, err != nil, tt.wish)
	}
	_, err := choose("sse", all[1:])
	require.EqualError(t, err, `simd: ENGRAM_SIMD="sse": this machine has [avx2 go]`)
}

func TestWhatDoesNotFitPanics(t *testing.T) {
	f, i, w := make([]float32, 128), make([]int8, 128), make([]uint64, 128)
	out32, outInt, outFloat := make([]uint32, 8), make([]int32, 1), make([]float32, 1)
	bytes := make([]byte, 2*TableBytes)
	r := NewRotation(100, 1)
	for name, call := range map[string]func(){
		"dot":              func() { Dot(f, f[1:]) },
		"squared":          func() { SquaredL2(f[1:], f) },
		"int8":             func() { DotInt8(i, i[1:]) },
		"hamming":          func() { Hamming(w, w[1:]) },
		"planes":           func() { DotBits4(w[:2], w[:7]) },
		"blocks, lanes":    func() { DotBits4Blocks(out32, bytes[:64], bytes[:TableBytes]) },
		"blocks, tables":   func() { DotBits4Blocks(make([]uint32, Lanes), bytes[:8*Lanes], bytes[:TableBytes+1]) },
		"blocks, bytes":    func() { DotBits4Blocks(make([]uint32, Lanes), bytes[:8*Lanes+1], bytes[:TableBytes]) },
		"tables":           func() { QueryTables(bytes[:TableBytes-1], w[:4]) },
		"tables, planes":   func() { QueryTables(bytes[:TableBytes], w[:5]) },
		"columns":          func() { FilterEstimates(out32, f, Codes{out32, f[:8], f[:8], f[:7]}, Estimate{}, 0, 0) },
		"room":             func() { FilterEstimates(out32[:7], f, Codes{out32, f[:8], f[:8], f[:8]}, Estimate{}, 0, 0) },
		"id":               func() { DotMany(outFloat, f[:8], f, 16, []uint32{8}) },
		"id, last too big": func() { HammingMany(out32[:1], w[:16], w, 16, []uint32{1 << 31}) },
		"overlap":          func() { DotInt8Many(outInt, i[:8], i, 7, []uint32{0}) },
		"no stride":        func() { DotInt8Many(outInt, nil, i, 0, []uint32{0}) },
		"outs":             func() { DotBits4Many(out32, w[:4], w, 1, []uint32{0}) },
		"half a plane":     func() { DotBits4Many(out32[:1], w[:5], w, 2, []uint32{0}) },
		"beyond":           func() { DotMany(outFloat, f, f[:100], 128, []uint32{0}) },
		"int8 codes":       func() { QuantizeInt8(i[1:], f, 1) },
		"residual":         func() { Residual(f[1:], f, f, 1) },
		"residual, of":     func() { Residual(f, f, f[1:], 1) },
		"signs":            func() { SignBits(w[:3], f) },
		"query":            func() { QueryPlanes(w[:7], f) },
		"empty query":      func() { QueryPlanes(nil, nil) },
		"rotation":         func() { r.Rotate(f, f[:99]) },
		"rotated":          func() { r.Rotate(f[1:], f[:100]) },
		"no dimension":     func() { NewRotation(0, 1) },
	} {
		require.Panics(t, call, name)
	}
	DotMany(outFloat, f[:8], f, 16, []uint32{7})
	DotMany(nil, f[:8], nil, 16, nil)
}

func TestNothingAllocates(t *testing.T) {
	r := NewRotation(768, 1)
	v := randomVector(rand.New(rand.NewPCG(1, 1)), 768)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		var rotated [768]float32
		var signs [12]uint64
		var planes [48]uint64
		var codes [768]int8
		var tables [12 * TableBytes]byte
		var blocks [12 * 8 * Lanes]byte
		var products [Lanes]uint32
		var sums, indexes [8]uint32
		var estimates [8]float32
		r.Rotate(rotated[:], v)
		SignBits(signs[:], rotated[:])
		QuantizeInt8(codes[:], rotated[:], 100)
		QueryPlanes(planes[:], rotated[:])
		QueryTables(tables[:], planes[:])
		DotBits4Blocks(products[:], blocks[:], tables[:])
		Norms(rotated[:])
		Dot(rotated[:], v)
		DotInt8(codes[:], codes[:])
		DotBits4(signs[:], planes[:])
		ids := [2]uint32{}
		DotBits4Many(sums[:2], planes[:], signs[:], 12, ids[:])
		FilterEstimates(indexes[:], estimates[:], Codes{sums[:], v[:8], v[:8], v[:8]}, Estimate{}, 1, 0)
	}))
}
