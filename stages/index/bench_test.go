package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

const benchDimension = 768

func benchOps(n, from int) []memory.Op {
	r := rand.New(rand.NewPCG(1, 2))
	ops := make([]memory.Op, n)
	for i := range ops {
		v := make([]float32, benchDimension)
		for k := range v {
			v[k] = float32(r.NormFloat64())
		}
		ops[i] = observe(numbered(from+i), v...)
	}
	return ops
}

// BenchmarkInsert reports what one observation costs the stage, from its append to its publication, in batches.
func BenchmarkInsert(b *testing.B) {
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			ops, n := benchOps(size, 0), 0
			j := newFakeJournal()
			s := openStage(b, j, roomy)
			port := graphtest.NewPort[session.Applied](1)
			for b.Loop() {
				b.StopTimer()
				if n++; n*size > 50_000 { // bounds the memory
					j, n = newFakeJournal(), 0
					s = openStage(b, j, roomy)
				}
				for i := range ops {
					ops[i].Observe = &memory.Observation{ID: numbered(n*size + i), Vector: ops[i].Observe.Vector}
				}
				in, _ := graphtest.NewBatch(j.append(at("x"), durable(), ops...)...)
				b.StartTimer()
				if err := s.Process(context.Background(), in, port); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				port.DeliverAll()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/observation")
		})
	}
}

// BenchmarkRecall reports one recall of ten hits, hydrated from memory.
func BenchmarkRecall(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			j := newFakeJournal()
			s := openStage(b, j, roomy)
			ops := benchOps(n, 0)
			process(b, s, j.append(at("x"), durable(), ops...)...)
			q := memory.Query{Vector: ops[0].Observe.Vector}
			for b.Loop() {
				if _, err := s.service.Recall(context.Background(), "x", q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
