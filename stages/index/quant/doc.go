// Package quant turns vectors into codes that take a quarter, and a thirty-second, of their memory: int8 components, and 1-bit
// codes after RaBitQ (arXiv 2405.12497).
//
// A vector is rotated first, which spreads what it holds evenly over its components, so that one scale suits all of them. Of
// the rotated vector each component becomes an int8, with a scale of the vector's own: inner products of such codes are near
// enough to tell the nearest from the next. A 1-bit code holds the signs of what the rotated vector differs by from a
// centroid, and three numbers that make the estimate of a distance unbiased; it is for finding out which vectors are worth a
// nearer look. Codes around different centroids cannot be compared, so all of a space have one Frame.
//
// What is encoded again, from the same vector, on any machine, has the same codes; the numbers beside them may differ in their
// last digit.
package quant
