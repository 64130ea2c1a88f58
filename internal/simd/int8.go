package simd

// MaxInt8 is the most components that int8 vectors may have: more of them could overflow an int32.
const MaxInt8 = 1<<17 - 1

// DotInt8 returns the sum of a[i]*b[i], exactly, for components within ±127, as QuantizeInt8 makes them: -128 has no magnitude
// in 8 bits, and where there is one the sum is unspecified, and differs between paths. Both slices have the same length, of at most MaxInt8;
// anything else panics.
func DotInt8(a, b []int8) int32 {
	mustMatch(len(a), len(b))
	if len(a) > MaxInt8 {
		panic("simd: int8 vectors too long for an int32")
	}
	return dotInt8(active, a, b)
}

func dotInt8Go(a, b []int8) int32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 int32
	for len(a) >= unroll {
		x, y := (*[unroll]int8)(a), (*[unroll]int8)(b)
		s0 += int32(x[0])*int32(y[0]) + int32(x[4])*int32(y[4])
		s1 += int32(x[1])*int32(y[1]) + int32(x[5])*int32(y[5])
		s2 += int32(x[2])*int32(y[2]) + int32(x[6])*int32(y[6])
		s3 += int32(x[3])*int32(y[3]) + int32(x[7])*int32(y[7])
		a, b = a[unroll:], b[unroll:]
	}
	for i := range a {
		s0 += int32(a[i]) * int32(b[i])
	}
	return s0 + s1 + s2 + s3
}
