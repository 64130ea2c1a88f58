package simd

import "math/bits"

// Lanes is how many codes a block interleaves: word w of the code in lane l is at w*Lanes+l.
const Lanes = 8

// DotBits4Blocks is DotBits4 for the codes of many blocks: out[b*Lanes+l] becomes the product of the query with the code in
// lane l of the b-th block. With w words a code, planes has Planes*w words, blocks a multiple of Lanes*w, and out as many
// elements as there are codes; anything else panics. A lane without a code yields whatever its words say.
func DotBits4Blocks(out []uint32, blocks, planes []uint64) {
	if len(planes)%Planes != 0 || len(out)%Lanes != 0 {
		panic("simd: no whole planes, or no whole blocks")
	}
	mustMatch(len(out)*(len(planes)/Planes), len(blocks))
	dotBits4Blocks(active, out, blocks, planes)
}

func dotBits4BlocksGo(out []uint32, blocks, planes []uint64) {
	n := len(planes) / Planes
	p0, p1, p2, p3 := planes[:n], planes[n:2*n], planes[2*n:3*n], planes[3*n:4*n]
	for ; len(out) >= Lanes; out = out[Lanes:] {
		var sums [Lanes]int
		for w := range n {
			word := (*[Lanes]uint64)(blocks)
			q0, q1, q2, q3 := p0[w], p1[w], p2[w], p3[w]
			for lane, code := range word {
				sums[lane] += bits.OnesCount64(code&q0) + bits.OnesCount64(code&q1)<<1 +
					bits.OnesCount64(code&q2)<<2 + bits.OnesCount64(code&q3)<<3
			}
			blocks = blocks[Lanes:]
		}
		for lane, sum := range sums {
			out[lane] = uint32(sum)
		}
	}
}

// Estimate is what a query contributes to the estimates of squared distances that FilterEstimates makes of inner products
// (RaBitQ, arXiv 2405.12497, equations 6 and 20). The estimate for a code is
//
//	Norm + norm + factor*(PerSum*sum + PerOne*ones + Constant)
//
// with sum from DotBits4Blocks, and of each code: norm, the squared distance to the centroid; factor, the correction that
// makes the estimate unbiased; ones, the number of its set bits.
type Estimate struct {
	PerSum, PerOne, Constant, Norm float32
}

// Codes are the columns of the codes to estimate, all of one length: sums at most 2^31-1, the others as Estimate says. Units
// are those of the squared distance. A lane without a code has a norm of +Inf and a factor of 0, so that it never passes.
type Codes struct {
	Sums                 []uint32
	Norms, Factors, Ones []float32
}

// FilterEstimates writes the estimates that are at most the threshold to the front of estimates, their positions, counted
// from first, to the front of indexes, both in order, and returns how many there are. What follows them is unspecified.
// An estimate of NaN is never at most anything. All paths give the same bits: products and sums are rounded one by one.
// Columns of different lengths, and indexes or estimates shorter than they are, panic.
func FilterEstimates(indexes []uint32, estimates []float32, codes Codes, query Estimate, threshold float32, first uint32) int {
	n := len(codes.Sums)
	mustMatch(n, len(codes.Norms))
	mustMatch(n, len(codes.Factors))
	mustMatch(n, len(codes.Ones))
	if len(indexes) < n || len(estimates) < n {
		panic("simd: no room for all estimates")
	}
	return filterEstimates(active, indexes, estimates, codes, query, threshold, first)
}

func filterEstimatesGo(
	indexes []uint32, estimates []float32, codes Codes, query Estimate, threshold float32, first uint32,
) int {
	kept := 0
	for i, sum := range codes.Sums {
		// A conversion rounds: without it, a compiler may fuse a product with a sum, as that of arm64 does.
		e := float32(query.PerSum*float32(int32(sum))) + float32(query.PerOne*codes.Ones[i])
		e = float32(codes.Factors[i]*float32(e+query.Constant)) + float32(query.Norm+codes.Norms[i])
		if e <= threshold {
			indexes[kept], estimates[kept] = first+uint32(i), e
			kept++
		}
	}
	return kept
}
