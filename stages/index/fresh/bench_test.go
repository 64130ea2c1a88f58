package fresh

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkScan reports the time of one recall's scan and what it spends on a vector.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1000, 10_000, 50_000} {
		for _, metric := range []Metric{Cosine, L2} {
			b.Run(fmt.Sprintf("%d/metric=%d", n, metric), func(b *testing.B) {
				tier, entries := filled(b, metric, 768, n)
				q := Query{Vector: entries[0].vector, Version: uint64(n), K: 10}
				for b.Loop() {
					_, _, _ = tier.Scan(context.Background(), q)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/vector")
			})
		}
	}
}

// BenchmarkPrepare reports what copying one vector of 768 components into the tier costs.
func BenchmarkPrepare(b *testing.B) {
	for _, metric := range []Metric{Cosine, Dot} {
		b.Run(fmt.Sprintf("metric=%d", metric), func(b *testing.B) {
			_, entries := filled(b, metric, 768, 1)
			tier, birth := New(768, metric), uint64(0)
			for b.Loop() {
				if birth++; birth%50_000 == 0 {
					tier = New(768, metric) // bounds the memory
				}
				tier.Prepare(Entry{Vector: entries[0].vector, Birth: birth})
			}
		})
	}
}
