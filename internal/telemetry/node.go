package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/engram-stream/engram/graph"
)

// outcomes is how many values graph.CallStatus has.
const outcomes = int(graph.Refused) + 1

// node is what a node's calls have in common, made once so that a call makes nothing.
type node struct {
	offer, stage string // names of its spans
	name         attribute.KeyValue
	add          [outcomes][]metric.AddOption    // by graph.CallStatus
	record       [outcomes][]metric.RecordOption // by graph.CallStatus
}

func newNode(name string) *node {
	n := &node{offer: offerSpan + name, stage: stageSpan + name, name: AttrStage.String(name)}
	for status := range graph.CallStatus(outcomes) {
		set := metric.WithAttributeSet(attribute.NewSet(n.name, AttrOutcome.String(status.String())))
		n.add[status] = []metric.AddOption{set}
		n.record[status] = []metric.RecordOption{set}
	}
	return n
}

// spanName is the name of the span of a call.
func (n *node) spanName(c graph.Call) string {
	if c.Offer {
		return n.offer
	}
	return n.stage
}
