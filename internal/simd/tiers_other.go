//go:build !amd64

package simd

// Assembly is written for amd64 alone: every other machine has the pure kernels.

func supported() []tier { return []tier{tierGo} }

func dot(_ tier, a, b []float32) float32 {
	return dotGo(a, b)
}

func squaredL2(_ tier, a, b []float32) float32 {
	return squaredL2Go(a, b)
}

func dotInt8(_ tier, a, b []int8) int32 {
	return dotInt8Go(a, b)
}

func hamming(_ tier, a, b []uint64) uint32 {
	return hammingGo(a, b)
}

func dotBits4(_ tier, code, planes []uint64) uint32 {
	return dotBits4Go(code, planes)
}

func dotBits4Blocks(_ tier, out []uint32, blocks, tables []byte) {
	dotBits4BlocksGo(out, blocks, tables)
}

func filterEstimates(_ tier, indexes []uint32, estimates []float32, c Codes, query Estimate, threshold float32, first uint32) int {
	return filterEstimatesGo(indexes, estimates, c, query, threshold, first)
}

func dotMany(_ tier, out, query, records []float32, stride int, ids []uint32) {
	many(out, query, records, len(query), stride, ids, dotGo)
}

func dotInt8Many(_ tier, out []int32, query, records []int8, stride int, ids []uint32) {
	many(out, query, records, len(query), stride, ids, dotInt8Go)
}

func hammingMany(_ tier, out []uint32, query, records []uint64, stride int, ids []uint32) {
	many(out, query, records, len(query), stride, ids, hammingGo)
}

func dotBits4Many(_ tier, out []uint32, planes, records []uint64, stride int, ids []uint32) {
	many(out, planes, records, len(planes)/Planes, stride, ids, dotBits4Go)
}

func hadamardChunks(_ tier, to, v, signs []float32) int {
	hadamard64Go(to, v, signs)
	return granule
}

func butterfly(_ tier, v []float32, h int) {
	butterflyGo(v, h)
}

func butterfly4(_ tier, v []float32, h int) {
	butterfly4Go(v, h)
}

func butterfly8(_ tier, v []float32, h int) {
	butterfly8Go(v, h)
}

func multiply(_ tier, to, a, b []float32) {
	multiplyGo(to, a, b)
}

func quantizeInt8(_ tier, to []int8, v []float32, scale float32) {
	quantizeInt8Go(to, v, scale)
}

func residual(_ tier, to, v, centroid []float32, scale float32) {
	residualGo(to, v, centroid, scale)
}

func signBits(_ tier, to []uint64, v []float32) {
	clear(to)
	signBitsGo(to, v, 0)
}

func norms(_ tier, v []float32) (absolute, squared float32) {
	return normsGo(v)
}

func bounds(_ tier, v []float32) (lower, upper float32) {
	return boundsGo(v)
}

func queryPlanes(_ tier, planes []uint64, v []float32, lower, perStep float32) uint32 {
	clear(planes)
	return queryPlanesGo(planes, v, 0, lower, perStep)
}
