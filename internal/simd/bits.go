package simd

import "math/bits"

// Planes is how many planes a query of 4-bit values has; they stand one after the other, that of the lowest bit first.
const Planes = 4

// Hamming returns the number of bits in which a and b differ, exactly. Both have the same length, in words of 64 bits;
// anything else panics.
func Hamming(a, b []uint64) uint32 {
	mustMatch(len(a), len(b))
	return hamming(active, a, b)
}

// DotBits4 returns the inner product of a 1-bit code with a query of 4-bit values, exactly: the sum of the values whose
// bit is set in the code. It is the product that RaBitQ estimates distances from (arXiv 2405.12497, section 3.3).
//
// The query is given as Planes bit planes (see QueryPlanes): bit i of plane p is bit p of the i-th value. planes has
// Planes times the words of the code; anything else panics. Bits set in only one of the two contribute nothing.
func DotBits4(code, planes []uint64) uint32 {
	mustMatch(Planes*len(code), len(planes))
	return dotBits4(active, code, planes)
}

func hammingGo(a, b []uint64) uint32 {
	b = b[:len(a)]
	sum := 0
	for i, w := range a {
		sum += bits.OnesCount64(w ^ b[i])
	}
	return uint32(sum)
}

func dotBits4Go(code, planes []uint64) uint32 {
	n := len(code)
	p0, p1, p2, p3 := planes[:n], planes[n:2*n], planes[2*n:3*n], planes[3*n:4*n]
	sum := 0
	for i, w := range code {
		sum += bits.OnesCount64(w&p0[i]) + bits.OnesCount64(w&p1[i])<<1 + bits.OnesCount64(w&p2[i])<<2 + bits.OnesCount64(w&p3[i])<<3
	}
	return uint32(sum)
}
