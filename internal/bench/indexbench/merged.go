package indexbench

import (
	"context"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

const (
	// mergeWait bounds how long Run waits for the graph.
	mergeWait = time.Hour
	// look is how often it looks how far the graph is, by one recall.
	look = 50 * time.Millisecond
	// leftOver is how many vectors wait for more to come, at most, before they go into the graph.
	leftOver = 1 << 10
	// quiet is how long the process must have taken next to no CPU after that, so many times in a row: then the dead have left the
	// graph too. On a machine that is busy with others one time is not enough.
	quiet      = 500 * time.Millisecond
	quietTimes = 4
	quietShare = 10 // one in so many of a core
)

// merged waits until nothing more goes into the graph, and notes in m what that took.
func (r *run) merged(ctx context.Context, p *pipeline, m *Merging) error {
	if p.graphFrom == 0 || p.journal.observedAfter(0) < p.graphFrom {
		m.Done = true
		return nil
	}
	n := uint64(r.config.Rows.Len())
	start, cpu := time.Now(), cpuTime()
	windowStart, windowCPU := start, cpu
	inARow := 0
	tick := time.NewTicker(look)
	defer tick.Stop()
	for time.Since(start) < mergeWait {
		result, err := p.service.Recall(ctx, spaceName, memory.Query{Vector: r.config.Queries.Row(0), Limit: 1})
		if err != nil {
			return err
		}
		if part := share(int(min(uint64(result.Graphed), n)), int(n)); part > m.Part {
			m.Part, m.Seconds, m.CPU = part, time.Since(start).Seconds(), micros(cpuTime()-cpu)/float64(n)
		}
		if window := time.Since(windowStart); window >= quiet {
			used := cpuTime() - windowCPU
			inARow++
			if used >= window/quietShare || p.journal.observedAfter(result.Graphed) > leftOver {
				inARow = 0
			}
			if m.Done = inARow == quietTimes; m.Done {
				return nil
			}
			windowStart, windowCPU = windowStart.Add(window), windowCPU+used
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.GaveUp(ctx.Err(), "").WithOp("wait for the graph")
		}
	}
	return nil
}
