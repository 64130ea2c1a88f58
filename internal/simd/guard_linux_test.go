package simd

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// guardedBytes returns memory that is followed by a page that can be neither read nor written: one byte too far is a
// fault, which fails the whole test binary.
func guardedBytes(t testing.TB, n int) []byte {
	page := unix.Getpagesize()
	n = (n + page - 1) / page * page
	memory, err := unix.Mmap(-1, 0, n+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	require.NoError(t, unix.Mprotect(memory[n:], unix.PROT_NONE))
	t.Cleanup(func() { require.NoError(t, unix.Munmap(memory)) })
	return memory[:n:n]
}
