package index

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

func TestTheStageKeepsTheContract(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Ordered: true}, func(d graph.Deps) graphtest.Subject[session.Appended, session.Applied] {
		j := newFakeJournal()
		return graphtest.Subject[session.Appended, session.Applied]{
			Stage: newStage(plain, d.Logger, graph.NewHandle[Journal](j), graph.NewHandle[Limits](roomy), nowhere),
			Batch: func(t *rapid.T) []session.Appended { return drawAppends(t, j) },
		}
	})
}

// drawAppends appends some ops of two spaces; some appends fail.
func drawAppends(t *rapid.T, j *fakeJournal) []session.Appended {
	var items []session.Appended
	for range rapid.IntRange(1, 3).Draw(t, "fates") {
		f, undo, fails := durable(), j.savepoint(), rapid.Bool().Draw(t, "fails")
		if fails {
			f = lost()
		}
		for range rapid.IntRange(1, 6).Draw(t, "ops") {
			space := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "space")
			items = append(items, j.append(at(space), f, drawOp(t))...)
		}
		if fails {
			undo()
		}
	}
	return items
}

func drawOp(t *rapid.T) memory.Op {
	switch rapid.IntRange(0, 3).Draw(t, "op") {
	case 0:
		return forget(drawID(t))
	case 1:
		return rejected()
	}
	return observe(drawID(t), 1, float32(rapid.IntRange(-9, 9).Draw(t, "component")))
}
