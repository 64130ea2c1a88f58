package simd

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzContent makes of bytes what the kernels of one length n are called with: n from the first two bytes, and values that
// repeat the others. Floats are finite and small enough that no sum overflows.
func fuzzContent(data []byte) content {
	for len(data) < 10 {
		data = append(data, byte(len(data)))
	}
	n, values := int(binary.LittleEndian.Uint16(data))%longest, data[2:]
	at := 0
	next := func() uint64 {
		var word [8]byte
		for i := range word {
			word[i] = values[(at+i)%len(values)]
		}
		at += 7
		return binary.LittleEndian.Uint64(word[:])
	}
	c := content{n: n, rotation: NewRotation(max(n, 1), next())}
	for range n {
		w := next()
		x, y := math.Float32frombits(uint32(w)), float32(int32(w>>32))/1024
		if !(math.Abs(float64(x)) < 1e15) {
			x = float32(int16(w))
		}
		c.x, c.y = append(c.x, x), append(c.y, y)
		c.a, c.b = append(c.a, max(int8(w), -127)), append(c.b, max(int8(w>>8), -127))
		c.code, c.with = append(c.code, w), append(c.with, next())
		c.planes = append(c.planes, w^next(), next(), next(), next())
		c.sums = append(c.sums, uint32(w%5760))
	}
	c.xs, c.as, c.codes, c.ids = records(c.x), records(c.a), records(c.code), []uint32{2, 0, 1, 2}
	return c
}

func fuzzProbes(f *testing.F, probes []probe) {
	f.Add([]byte{0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{65, 0, 0x80, 0xFF, 0x80, 0x7F, 0, 0, 0, 0x80, 0x3F})
	f.Add([]byte{17, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	memory := newArenas(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzzContent(data)
		for _, p := range probes {
			want, near := p.call(tierGo, memory, c, 0), 0.0
			if p.near != nil {
				near = p.near(c)
			}
			for _, path := range vectorTiers() {
				got := p.call(path, memory, c, len(data)*p.unit%64)
				require.True(t, agree(want, got, near), "%s on %s, length %d: %x, not %x", p.name, path, c.n, got, want)
			}
		}
	})
}

func FuzzPairs(f *testing.F)     { fuzzProbes(f, pairProbes()) }
func FuzzMany(f *testing.F)      { fuzzProbes(f, manyProbes()) }
func FuzzEncodings(f *testing.F) { fuzzProbes(f, encodingProbes()) }
func FuzzRotation(f *testing.F)  { fuzzProbes(f, rotationProbes()) }

func FuzzBlocks(f *testing.F) {
	f.Add([]byte{12, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	memory := newArenas(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzzContent(data)
		n := c.n % 24
		blocks := len(c.code) / (Lanes * max(n, 1))
		content := make([]byte, 0, 8*len(c.code))
		for _, w := range c.code[:blocks*Lanes*n] {
			content = binary.LittleEndian.AppendUint64(content, w)
		}
		compareBlocks(t, memory, content, c.planes[:Planes*n], blocks)
	})
}
