package simd

import "golang.org/x/sys/cpu"

// This file and tiers_other.go say, a function a kernel, what runs on which tier. AVX-512 kernels take any length. AVX2 ones
// take whole vectors and leave the rest to Go.

// supported returns the tiers of this machine, best first.
func supported() []tier {
	x := &cpu.X86
	tiers := []tier{tierGo}
	if x.HasAVX2 && x.HasFMA {
		tiers = append([]tier{tierAVX2}, tiers...)
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI && x.HasAVX512VPOPCNTDQ &&
		x.HasBMI2 && x.HasPOPCNT {
		tiers = append([]tier{tierAVX512}, tiers...)
	}
	return tiers
}

func dot(t tier, a, b []float32) float32 {
	switch t {
	case tierAVX512:
		return dotAVX512(a, b)
	case tierAVX2:
		whole := len(a) &^ 7
		return dotAVX2(a[:whole], b) + dotGo(a[whole:], b[whole:])
	default:
		return dotGo(a, b)
	}
}

func squaredL2(t tier, a, b []float32) float32 {
	switch t {
	case tierAVX512:
		return squaredL2AVX512(a, b)
	case tierAVX2:
		whole := len(a) &^ 7
		return squaredL2AVX2(a[:whole], b) + squaredL2Go(a[whole:], b[whole:])
	default:
		return squaredL2Go(a, b)
	}
}

func dotInt8(t tier, a, b []int8) int32 {
	switch t {
	case tierAVX512:
		return dotInt8AVX512(a, b)
	case tierAVX2:
		whole := len(a) &^ 31
		return dotInt8AVX2(a[:whole], b) + dotInt8Go(a[whole:], b[whole:])
	default:
		return dotInt8Go(a, b)
	}
}

func hamming(t tier, a, b []uint64) uint32 {
	switch t {
	case tierAVX512:
		return hammingAVX512(a, b)
	case tierAVX2:
		return hammingAVX2(a, b)
	default:
		return hammingGo(a, b)
	}
}

func dotBits4(t tier, code, planes []uint64) uint32 {
	switch t {
	case tierAVX512:
		return dotBits4AVX512(code, planes)
	case tierAVX2:
		return dotBits4AVX2(code, planes)
	default:
		return dotBits4Go(code, planes)
	}
}

func dotBits4Blocks(t tier, out []uint32, blocks, tables []byte) {
	switch t {
	case tierAVX512:
		dotBits4BlocksAVX512(out, blocks, tables)
	case tierAVX2:
		dotBits4BlocksAVX2(out, blocks, tables)
	default:
		dotBits4BlocksGo(out, blocks, tables)
	}
}

func filterEstimates(
	t tier, indexes []uint32, estimates []float32, c Codes, query Estimate, threshold float32, first uint32,
) int {
	terms := [4]float32{query.PerSum, query.PerOne, query.Constant, query.Norm}
	switch t {
	case tierAVX512:
		return filterEstimatesAVX512(indexes, estimates, c.Sums, c.Norms, c.Factors, c.Ones, terms[:], threshold, first)
	case tierAVX2:
		whole := len(c.Sums) &^ 7
		kept := filterEstimatesAVX2(
			indexes, estimates, c.Sums[:whole], c.Norms, c.Factors, c.Ones, terms[:], threshold, first)
		rest := Codes{Sums: c.Sums[whole:], Norms: c.Norms[whole:], Factors: c.Factors[whole:], Ones: c.Ones[whole:]}
		return kept + filterEstimatesGo(indexes[kept:], estimates[kept:], rest, query, threshold, first+uint32(whole))
	default:
		return filterEstimatesGo(indexes, estimates, c, query, threshold, first)
	}
}

func dotMany(t tier, out, query, records []float32, stride int, ids []uint32) {
	switch {
	case t == tierAVX512:
		dotManyAVX512(out, query, records, stride*4, ids)
	case t == tierAVX2 && len(query)%8 == 0:
		dotManyAVX2(out, query, records, stride*4, ids)
	default:
		many(out, query, records, len(query), stride, ids, func(r, q []float32) float32 { return dot(t, r, q) })
	}
}

func dotInt8Many(t tier, out []int32, query, records []int8, stride int, ids []uint32) {
	switch {
	case t == tierAVX512:
		dotInt8ManyAVX512(out, query, records, stride, ids)
	case t == tierAVX2 && len(query)%32 == 0:
		dotInt8ManyAVX2(out, query, records, stride, ids)
	default:
		many(out, query, records, len(query), stride, ids, func(r, q []int8) int32 { return dotInt8(t, r, q) })
	}
}

func hammingMany(t tier, out []uint32, query, records []uint64, stride int, ids []uint32) {
	switch t {
	case tierAVX512:
		hammingManyAVX512(out, query, records, stride*8, ids)
	case tierAVX2:
		hammingManyAVX2(out, query, records, stride*8, ids)
	default:
		many(out, query, records, len(query), stride, ids, hammingGo)
	}
}

func dotBits4Many(t tier, out []uint32, planes, records []uint64, stride int, ids []uint32) {
	switch t {
	case tierAVX512:
		dotBits4ManyAVX512(out, planes, records, stride*8, ids)
	case tierAVX2:
		dotBits4ManyAVX2(out, planes, records, stride*8, ids)
	default:
		many(out, planes, records, len(planes)/Planes, stride, ids, dotBits4Go)
	}
}

// hadamardChunks transforms chunks of v times signs and returns how long they are.
func hadamardChunks(t tier, to, v, signs []float32) int {
	switch {
	case t == tierAVX512 && len(v) >= 256:
		hadamard256AVX512(to, v, signs)
		return 256
	case t == tierAVX512:
		hadamard64AVX512(to, v, signs)
	case t == tierAVX2:
		hadamard64AVX2(to, v, signs)
	default:
		hadamard64Go(to, v, signs)
	}
	return granule
}

func butterfly(t tier, v []float32, h int) {
	switch t {
	case tierAVX512:
		butterflyAVX512(v, h)
	case tierAVX2:
		butterflyAVX2(v, h)
	default:
		butterflyGo(v, h)
	}
}

func butterfly4(t tier, v []float32, h int) {
	switch t {
	case tierAVX512:
		butterfly4AVX512(v, h)
	case tierAVX2:
		butterfly4AVX2(v, h)
	default:
		butterfly4Go(v, h)
	}
}

func butterfly8(t tier, v []float32, h int) {
	switch t {
	case tierAVX512:
		butterfly8AVX512(v, h)
	case tierAVX2:
		butterfly8AVX2(v, h)
	default:
		butterfly8Go(v, h)
	}
}

func multiply(t tier, to, a, b []float32) {
	switch t {
	case tierAVX512:
		multiplyAVX512(to, a, b)
	case tierAVX2:
		whole := len(a) &^ 7
		multiplyAVX2(to, a[:whole], b)
		multiplyGo(to[whole:], a[whole:], b[whole:])
	default:
		multiplyGo(to, a, b)
	}
}

func quantizeInt8(t tier, to []int8, v []float32, scale float32) {
	switch t {
	case tierAVX512:
		quantizeInt8AVX512(to, v, scale)
	case tierAVX2:
		whole := len(v) &^ 7
		quantizeInt8AVX2(to, v[:whole], scale)
		quantizeInt8Go(to[whole:], v[whole:], scale)
	default:
		quantizeInt8Go(to, v, scale)
	}
}

func residual(t tier, to, v, centroid []float32, scale float32) {
	switch t {
	case tierAVX512:
		residualAVX512(to, v, centroid, scale)
	case tierAVX2:
		whole := len(v) &^ 7
		residualAVX2(to, v[:whole], centroid, scale)
		residualGo(to[whole:], v[whole:], centroid[whole:], scale)
	default:
		residualGo(to, v, centroid, scale)
	}
}

func signBits(t tier, to []uint64, v []float32) {
	clear(to)
	switch t {
	case tierAVX512:
		signBitsAVX512(to, v)
	case tierAVX2:
		whole := len(v) &^ 7
		signBitsAVX2(to, v[:whole])
		signBitsGo(to, v, whole)
	default:
		signBitsGo(to, v, 0)
	}
}

func norms(t tier, v []float32) (absolute, squared float32) {
	switch t {
	case tierAVX512:
		return normsAVX512(v)
	case tierAVX2:
		whole := len(v) &^ 7
		absolute, squared = normsAVX2(v[:whole])
		a, s := normsGo(v[whole:])
		return absolute + a, squared + s
	default:
		return normsGo(v)
	}
}

func bounds(t tier, v []float32) (lower, upper float32) {
	whole := len(v) &^ 7
	switch {
	case t == tierAVX512:
		return boundsAVX512(v)
	case t == tierAVX2 && whole > 0:
		lower, upper = boundsAVX2(v[:whole])
		if whole < len(v) {
			l, u := boundsGo(v[whole:])
			lower, upper = min(lower, l), max(upper, u)
		}
		return lower, upper
	default:
		return boundsGo(v)
	}
}

func queryPlanes(t tier, planes []uint64, v []float32, lower, perStep float32) uint32 {
	clear(planes)
	switch t {
	case tierAVX512:
		return queryPlanesAVX512(planes, v, lower, perStep)
	case tierAVX2:
		whole := len(v) &^ 31
		return queryPlanesAVX2(planes, v[:whole], lower, perStep) + queryPlanesGo(planes, v, whole, lower, perStep)
	default:
		return queryPlanesGo(planes, v, 0, lower, perStep)
	}
}
