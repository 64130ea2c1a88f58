package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/engram-stream/engram/graph"
)

// The fake kinds stand for the real ones, which config may not import: the same names and wiring, and settings of
// every type that one can have.
type (
	frame struct{}
	op    struct{}
	reply struct{}

	fakeSource   struct{ Protocols []string }
	fakeDecode   struct{}
	fakeSequence struct {
		Gap         string        `yaml:"gap"`
		DetachTTL   time.Duration `yaml:"detach_ttl"`
		MaxDetached uint32        `yaml:"max_detached"`
	}
	fakeAdmit struct {
		SlowDownAt float64 `yaml:"slow_down_at"`
		RejectAt   float64 `yaml:"reject_at"`
	}
	fakeEmbed struct {
		Workers int `yaml:"workers"`
	}
	fakeCoalesce struct {
		Above   float64       `yaml:"above"`
		Items   [2]int        `yaml:"items"`
		MaxWait time.Duration `yaml:"max_wait"`
	}
	fakeShard struct {
		By      string `yaml:"by"`
		Workers int8   `yaml:"workers"`
		Steal   bool   `yaml:"steal"`
	}
	fakeJournal struct {
		Store   string      `yaml:"store"`
		Fsync   string      `yaml:"fsync"`
		Segment fakeSegment `yaml:"segment"`
		Folders []string    `yaml:"folders"`
		hidden  int
	}
	fakeIndex struct {
		GraphFrom  int  `yaml:"graph_from"`
		FreshLimit int  `yaml:"fresh_limit"`
		Rescore    bool `yaml:"rescore"`
	}
	fakeSegment struct {
		Bytes graph.ByteSize `yaml:"bytes"`
		Notes string         `yaml:"-"`
	}
)

func (c *fakeAdmit) Check(report func(field, message, hint string)) {
	if c.SlowDownAt >= c.RejectAt {
		report("slow_down_at", fmt.Sprintf("%v is not below reject_at, %v", c.SlowDownAt, c.RejectAt), "slow down before you refuse")
	}
}

func (c *fakeCoalesce) Check(report func(field, message, hint string)) {
	if c.Items[0] > c.Items[1] {
		report("items[1]", "the largest batch is smaller than the smallest", "")
	}
	if c.MaxWait > time.Second {
		report("max_wait", "longer than 1s", "")
	}
}

func (c *fakeSegment) Check(report func(field, message, hint string)) {
	if c.Bytes < 1024 {
		report("bytes", "less than 1KiB", "")
	}
}

type fakeStage[In, Out any] struct{}

func (fakeStage[In, Out]) Process(_ context.Context, in *graph.Batch[In], out graph.Port[Out]) error {
	return out.Send(context.Background(), graph.Map(in, make([]Out, in.Len())))
}

type fakeLanes struct {
	fakeStage[op, op]
	lanes int
}

func (f fakeLanes) Lanes() int { return f.lanes }

type fakeSink struct{}

func (fakeSink) Deliver(context.Context, *graph.Batch[reply]) error { return nil }

// holding says how much coalesce may hold back, for the liveness check.
type holding struct {
	fakeStage[op, op]
	most int
}

func (h holding) Bounds() graph.Bounds { return graph.Bounds{HoldItems: h.most, BatchItems: h.most} }

func (h holding) Flush(context.Context, graph.FlushReason, graph.Port[op]) (time.Duration, error) {
	return 0, nil
}

func fakeKinds() *graph.Registry {
	r := graph.NewRegistry()
	graph.RegisterSource(r, "rpc", graph.Doc{}, fakeSource{Protocols: []string{"connect"}},
		func(fakeSource, graph.Deps, graph.Inlet[frame]) (any, error) { return "endpoint", nil })
	registerFake[fakeDecode, frame, op](r, "decode", graph.Traits{Fused: true}, fakeDecode{})
	registerFake[fakeSequence, op, op](r, "sequence", graph.Traits{Fused: true, Ordered: true},
		fakeSequence{Gap: "nack", DetachTTL: time.Hour, MaxDetached: 10})
	graph.Register(r, "admit", graph.Doc{Traits: graph.Traits{Fused: true, Charges: true}}, fakeAdmit{0.8, 0.9}, buildAdmit)
	registerFake[fakeEmbed, op, op](r, "embed", graph.Traits{Ordered: true}, fakeEmbed{Workers: 4})
	graph.Register(r, "coalesce", graph.Doc{}, fakeCoalesce{0.5, [2]int{10, 100}, time.Millisecond},
		func(c fakeCoalesce, _ graph.Deps) (graph.Stage[op, op], error) { return holding{most: c.Items[1]}, nil })
	graph.Register(r, "shard", graph.Doc{Traits: graph.Traits{Fused: true, Partitions: true}}, fakeShard{By: "space", Workers: 2},
		func(c fakeShard, _ graph.Deps) (graph.Stage[op, op], error) {
			return fakeLanes{lanes: int(c.Workers)}, nil
		})
	registerFake[fakeJournal, op, op](r, "journal", graph.Traits{Ordered: true},
		fakeJournal{Store: "embedded", Fsync: "always", Segment: fakeSegment{Bytes: 1 << 20}})
	registerFake[fakeIndex, op, op](r, "index", graph.Traits{Ordered: true}, fakeIndex{GraphFrom: 50_000, FreshLimit: 4_000_000, Rescore: true})
	registerFake[struct{}, op, reply](r, "notify", graph.Traits{Fused: true}, struct{}{})
	graph.RegisterSink(r, "origin", graph.Doc{}, struct{}{}, func(struct{}, graph.Deps) (graph.Sink[reply], error) { return fakeSink{}, nil })
	return r
}

// buildAdmit refuses what Check refuses, as a kind that may be built without config must.
func buildAdmit(c fakeAdmit, _ graph.Deps) (graph.Stage[op, op], error) {
	if c.SlowDownAt >= c.RejectAt {
		return nil, errors.New("slow_down_at is not below reject_at")
	}
	return fakeStage[op, op]{}, nil
}

func registerFake[C, In, Out any](r *graph.Registry, name string, traits graph.Traits, defaults C) {
	graph.Register(r, name, graph.Doc{Traits: traits}, defaults,
		func(C, graph.Deps) (graph.Stage[In, Out], error) { return fakeStage[In, Out]{}, nil })
}

func fakeEnv(name string) (string, bool) {
	v, ok := map[string]string{"PORT": "7400", "WORKERS": "3", "EMPTY": "", "WORD": "three", "DOLLARS": "${PORT}$$", "LINES": "x\nlisten: y"}[name]
	return v, ok
}
