package stages_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/stages"
)

// TestEveryKind holds each kind to what a pipeline file and the reference need of it.
func TestEveryKind(t *testing.T) {
	r := graph.NewRegistry()
	stages.Register(r)
	for _, name := range []string{"decode", "sequence", "admit", "embed", "coalesce", "shard", "journal", "index", "notify"} {
		kind := r.Lookup(graph.RoleStage, name)
		require.NotNil(t, kind, name)
		assert.NotEmpty(t, kind.Doc.Summary, name)
		if checked, ok := kind.NewConfig().(interface {
			Check(report func(field, message, hint string))
		}); ok {
			checked.Check(func(field, message, _ string) { t.Errorf("the defaults of %s: %s: %s", name, field, message) })
		}
	}
}

// TestTheChainFits follows the item types from the wire to the reply.
func TestTheChainFits(t *testing.T) {
	r := graph.NewRegistry()
	stages.Register(r)
	chain := []string{"decode", "sequence", "admit", "embed", "coalesce", "shard", "journal", "index", "notify"}
	for i, name := range chain[1:] {
		before := r.Lookup(graph.RoleStage, chain[i])
		assert.Equal(t, before.Out, r.Lookup(graph.RoleStage, name).In, "%s after %s", name, before.Name)
	}
}
