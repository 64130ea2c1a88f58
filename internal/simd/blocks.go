package simd

import "encoding/binary"

const (
	// Lanes is how many codes a block interleaves: byte j of the code in lane l is at j*Lanes+l. Byte 0 of a code is the
	// lowest of its first word.
	Lanes = 32
	// TableBytes is how long the tables of a query are, for each word of a code.
	TableBytes = 8 * 2 * nibbles
	nibbles    = 1 << 4
)

// QueryTables turns the planes of a query into the tables that DotBits4Blocks takes: for each byte of a code two tables of 16
// bytes, of its low and of its high nibble. What stands for a nibble is the sum of the query's values over the bits set in
// it, 60 at most. tables has TableBytes for each word of a plane; anything else panics.
func QueryTables(tables []byte, planes []uint64) {
	n := len(planes) / Planes
	mustMatch(Planes*n, len(planes))
	mustMatch(TableBytes*n, len(tables))
	for w := range n {
		p0, p1, p2, p3 := planes[w], planes[n+w], planes[2*n+w], planes[3*n+w]
		for table := range TableBytes / nibbles {
			values := spread[p0&15] + spread[p1&15]<<1 + spread[p2&15]<<2 + spread[p3&15]<<3
			p0, p1, p2, p3 = p0>>4, p1>>4, p2>>4, p3>>4
			// A byte a nibble: each value goes to the bytes of the nibbles that have its bit.
			lower := values&0xFF*0x0100010001000100 + values>>8&0xFF*0x0101000001010000 + values>>16&0xFF*0x0101010100000000
			at := tables[w*TableBytes+table*nibbles:]
			binary.LittleEndian.PutUint64(at, lower)
			binary.LittleEndian.PutUint64(at[8:], lower+values>>24*0x0101010101010101)
		}
	}
}

// spread has the bits of a nibble, a byte each.
var spread = [nibbles]uint64{
	0x0, 0x1, 0x100, 0x101, 0x10000, 0x10001, 0x10100, 0x10101,
	0x1000000, 0x1000001, 0x1000100, 0x1000101, 0x1010000, 0x1010001, 0x1010100, 0x1010101,
}

// DotBits4Blocks is DotBits4 for the codes of many blocks: out[b*Lanes+l] becomes the product of the query with the code in
// lane l of the b-th block. With w words a code, tables has TableBytes*w bytes (see QueryTables), blocks a multiple of
// 8*Lanes*w, and out as many elements as there are codes; anything else panics. A lane without a code yields whatever its
// bytes say.
func DotBits4Blocks(out []uint32, blocks, tables []byte) {
	if len(tables)%TableBytes != 0 || len(out)%Lanes != 0 {
		panic("simd: no whole tables, or no whole blocks")
	}
	mustMatch(len(out)*(len(tables)/TableBytes)*8, len(blocks))
	dotBits4Blocks(active, out, blocks, tables)
}

// dotBits4BlocksGo makes tables for whole bytes, of a word of the codes at a time, which costs little beside many blocks and
// halves the look-ups.
func dotBits4BlocksGo(out []uint32, blocks, tables []byte) {
	clear(out)
	block := len(tables) / TableBytes * 8 * Lanes
	var of [8][256]uint8
	for at := 0; len(tables) > 0; at += 8 * Lanes {
		for j := range of {
			byteTable(&of[j], tables[j*2*nibbles:])
		}
		tables = tables[TableBytes:]
		for b := range len(out) / Lanes {
			rows, sums := (*[8 * Lanes]byte)(blocks[b*block+at:]), (*[Lanes]uint32)(out[b*Lanes:])
			for l := range sums {
				sums[l] += uint32(of[0][rows[l]]) + uint32(of[1][rows[Lanes+l]]) +
					uint32(of[2][rows[2*Lanes+l]]) + uint32(of[3][rows[3*Lanes+l]]) +
					uint32(of[4][rows[4*Lanes+l]]) + uint32(of[5][rows[5*Lanes+l]]) +
					uint32(of[6][rows[6*Lanes+l]]) + uint32(of[7][rows[7*Lanes+l]])
			}
		}
	}
}

// byteTable makes of the tables of a byte's nibbles one of its 256 values, eight at a time.
func byteTable(to *[256]uint8, of []byte) {
	low, lower := binary.LittleEndian.Uint64(of), binary.LittleEndian.Uint64(of[8:])
	for high, value := range of[nibbles : 2*nibbles] {
		each := uint64(value) * 0x0101010101010101
		binary.LittleEndian.PutUint64(to[high*nibbles:], low+each)
		binary.LittleEndian.PutUint64(to[high*nibbles+8:], lower+each)
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
