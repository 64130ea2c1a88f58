package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/engram-stream/engram/graph"
)

// node is what a node's calls have in common, made once so that a call makes nothing.
type node struct {
	offer, stage string // names of its spans
	name         attribute.KeyValue
}

func newNode(name string) *node {
	return &node{offer: offerSpan + name, stage: stageSpan + name, name: AttrStage.String(name)}
}

// spanName is the name of the span of a call.
func (n *node) spanName(c graph.Call) string {
	if c.Offer {
		return n.offer
	}
	return n.stage
}
