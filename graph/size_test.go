package graph_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

// A wiring that is too large to be judged is one finding, at what is beyond the limit, and nothing else is looked for.
func TestAWiringHasASize(t *testing.T) {
	row := func(count int) (nodes []graph.NodeSpec) {
		for i := range count {
			nodes = append(nodes, stage(i+1, fmt.Sprintf("decode%d", i), fmt.Sprintf("decoed%d", i+1)))
		}
		return nodes
	}
	require.Greater(t, len(build(enough, row(128)...)), 1, "as many as there may be are judged")
	require.Equal(t, []string{
		`p.yaml:129:3: the pipeline has 500 sources, stages and sinks, the most is 128; hint: is this the right file?`,
	}, texts(build(enough, row(500)...)))

	wide := make([]string, 200)
	for i := range wide {
		wide[i] = fmt.Sprintf("nowhere%d", i)
	}
	require.Greater(t, len(build(enough, stage(1, "decode", wide...), stage(2, "admit", wide[:56]...))), 1)
	require.Equal(t, []string{
		`p.yaml:2:580: the nodes of the pipeline read from 257 others in all, the most is 256; hint: is this the right file?`,
	}, texts(build(enough, stage(1, "decode", wide...), stage(2, "admit", wide[:57]...))))
}
