package indexbench

import (
	"cmp"
	"slices"
	"time"
)

// Latency sums up durations, in microseconds.
type Latency struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
	Max float64 `json:"max_us"`
	N   int     `json:"n"`
}

// sumUp sorts what it is given. Quantiles are durations that were measured: of few the 99th percentile is the largest.
func sumUp(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	at := func(per int) float64 { return micros(all[min(len(all)*per/100, len(all)-1)]) }
	return Latency{P50: at(50), P99: at(99), Max: micros(all[len(all)-1]), N: len(all)}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// median returns the middle of what it is given, the lower one of two; zero of nothing.
func median[T cmp.Ordered](all []T) T {
	if len(all) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)/2]
}
