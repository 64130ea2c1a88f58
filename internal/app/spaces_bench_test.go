package app

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// benchSpaces is how many streams send at once, each to a space of its own; benchSmall observations a frame of each are
// all within the budget.
const (
	benchSpaces = 64
	benchSmall  = benchItems / 2
)

// BenchmarkSpaces is what an observation costs when many spaces are written at once, a frame being of one observation or
// of many.
func BenchmarkSpaces(b *testing.B) {
	for _, items := range []int{1, benchSmall} {
		b.Run(fmt.Sprintf("a frame of %d", items), func(b *testing.B) {
			s, h := benchServer(b)
			senders := make([]*sender, benchSpaces)
			for i := range senders {
				senders[i] = newSender(b, s, h, &engramv1.Hello{Space: fmt.Sprintf("space-%d", i)})
				senders[i].frame = senders[i].frame[:items]
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			began := cpu(b)
			b.ResetTimer()
			var wait conc.WaitGroup
			for _, one := range senders {
				wait.Go(func() {
					for left.Add(-1) >= 0 {
						one.send()
					}
					one.wait(one.sent)
				})
			}
			wait.Wait()
			b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(items*b.N)/b.Elapsed().Seconds(), "observations/s")
		})
	}
}
