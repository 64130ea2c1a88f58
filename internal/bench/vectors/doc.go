// Package vectors holds the data sets that the index is measured with: rows of one dimension from a file or from a seed, and
// the exact answers to queries about them.
//
// Rows lie in a temporary file that is mapped into memory and has no name any more, so that a million of them take no heap and
// the memory of what is measured can be told from theirs. Where files cannot be mapped they lie on the heap.
//
// Load reads what internal/dataset knows, Synthetic makes clustered rows, Exact finds the score that a right answer has at
// least.
package vectors
