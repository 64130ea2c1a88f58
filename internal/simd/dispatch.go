package simd

import (
	"fmt"
	"os"
)

//go:generate go run -C gen . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg simd

// Variable is the environment variable that forces a tier: "avx512", "avx2" or "go".
const Variable = "ENGRAM_SIMD"

// tier is an instruction set with a full set of kernels.
type tier uint8

const (
	tierGo     tier = iota
	tierAVX2        // AVX2 and FMA
	tierAVX512      // AVX-512 F, BW, DQ, VL, VNNI and VPOPCNTDQ
)

func (t tier) String() string { return [...]string{"go", "avx2", "avx512"}[t] }

// active is the tier in use, and errEnvironment what is wrong with the environment's wish; chosen once, before any call.
// Kernels are picked by a switch over it and not by function values, which would make every caller's buffer escape.
var active, errEnvironment = choose(os.Getenv(Variable), supported())

// unproven is a tier whose kernels have run in an emulator only, which lacks two of their instructions: it is taken when it
// is wished for.
const unproven = tierAVX512

// choose picks the best of the tiers that the machine supports, best first, unless one of them is wished for.
func choose(wish string, tiers []tier) (tier, error) {
	best := tiers[0]
	if best == unproven {
		best = tiers[1]
	}
	if wish == "" {
		return best, nil
	}
	for _, t := range tiers {
		if t.String() == wish {
			return t, nil
		}
	}
	return best, fmt.Errorf("simd: %s=%q: this machine has %v", Variable, wish, tiers)
}

// Path names the tier in use, for logs and benchmarks: "avx512", "avx2" or "go".
func Path() string { return active.String() }

// CheckEnvironment returns an error when ENGRAM_SIMD names a tier that does not exist or that this machine does not
// have. The best tier is in use then; a process that was told otherwise should not start.
func CheckEnvironment() error { return errEnvironment }
