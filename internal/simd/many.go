package simd

// The functions of this file compare one query with the records that ids name. Records lie stride elements apart in an
// array; what is compared is the first part of a record, as long as the query (DotBits4Many: a quarter of it, a plane), so
// that records[offset:] compares what lies at an offset. Records are fetched into the cache before they are needed, so
// that ids may be far apart.
//
// out has as many elements as ids; the stride is at least what is compared, and every id names a record whose compared
// part lies within the array. Anything else panics, before any of out is written.

// DotMany is Dot of the query and each record.
func DotMany(out []float32, query, records []float32, stride int, ids []uint32) {
	mustHold(len(out), len(query), len(records), stride, ids)
	dotMany(active, out, query, records, stride, ids)
}

// DotInt8Many is DotInt8 of the query and each record, exact for components within ±127; the query has at most MaxInt8 components.
func DotInt8Many(out []int32, query, records []int8, stride int, ids []uint32) {
	if len(query) > MaxInt8 {
		panic("simd: int8 vectors too long for an int32")
	}
	mustHold(len(out), len(query), len(records), stride, ids)
	dotInt8Many(active, out, query, records, stride, ids)
}

// HammingMany is Hamming of the query and each record, exact; stride is in words.
func HammingMany(out []uint32, query, records []uint64, stride int, ids []uint32) {
	mustHold(len(out), len(query), len(records), stride, ids)
	hammingMany(active, out, query, records, stride, ids)
}

// DotBits4Many is DotBits4 of the code that begins each record and the query's planes, exact; stride is in words.
func DotBits4Many(out []uint32, planes, records []uint64, stride int, ids []uint32) {
	if len(planes)%Planes != 0 {
		panic("simd: no whole planes")
	}
	mustHold(len(out), len(planes)/Planes, len(records), stride, ids)
	dotBits4Many(active, out, planes, records, stride, ids)
}

// mustHold stands before every kernel that follows ids, as mustMatch before the others. compared is the length of what
// is read of each record.
func mustHold(out, compared, elements, stride int, ids []uint32) {
	mustMatch(out, len(ids))
	if stride < max(compared, 1) {
		panic("simd: records overlap")
	}
	records := 0
	if elements >= compared {
		records = (elements-compared)/stride + 1
	}
	last := uint32(0)
	for _, id := range ids {
		last = max(last, id)
	}
	if len(ids) > 0 && uint64(last) >= uint64(records) {
		panic("simd: an id beyond the records")
	}
}

// many is how the pure tier does it, and AVX2 where the query is not made of whole vectors.
func many[E any, R any](out []R, query, records []E, compared, stride int, ids []uint32, one func(record, query []E) R) {
	for i, id := range ids {
		record := records[int(id)*stride:]
		out[i] = one(record[:compared], query)
	}
}
