//go:build !linux

package simd

import "testing"

// guardedBytes is plain memory where pages cannot be forbidden in one way.
func guardedBytes(_ testing.TB, n int) []byte { return make([]byte, n) }
