// Command gen writes the assembly of internal/simd, with its Go declarations: `make simd`. It is a module of its own, so that
// avo and what it needs stay out of the product's go.mod.
//
// Each kernel is written once for both vector tiers where their instructions allow it. Lengths come from the slices;
// AVX-512 kernels end in a masked step and take any length, AVX2 ones take whole vectors and leave the rest to Go.
package main

import "github.com/mmcloughlin/avo/build"

func main() {
	build.ConstraintExpr("amd64")
	for _, t := range []tier{avx512, avx2} {
		pairs(t)
		blocks(t)
		filter(t)
		rotation(t)
		encoding(t)
	}
	build.Generate()
}
