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
	// quiet is how long the process must have taken next to no CPU, so many times in a row, and the graph must have got nothing:
	// then nothing more goes into it. What is left over waits for more to come. On a machine that is busy with others a graph
	// that is being built may get next to no CPU for a while too.
	quiet      = 500 * time.Millisecond
	quietTimes = 4
	quietShare = 10 // one in so many of a core
)

// merged waits until nothing more goes into the graph, and notes in m what that took.
func (r *run) merged(ctx context.Context, p *pipeline, m *Merging) error {
	if p.graphFrom == 0 || p.journal.len() < p.graphFrom {
		m.Done = true
		return nil
	}
	n := uint64(r.config.Rows.Len())
	start, cpu := time.Now(), cpuTime()
	windowStart, windowCPU := start, cpu
	var graphed memory.Version // when the last window began
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
			if used >= window/quietShare || result.Graphed != graphed {
				inARow = 0
			}
			if m.Done = inARow == quietTimes; m.Done {
				return nil
			}
			windowStart, windowCPU, graphed = windowStart.Add(window), windowCPU+used, result.Graphed
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.GaveUp(ctx.Err(), "").WithOp("wait for the graph")
		}
	}
	return nil
}
