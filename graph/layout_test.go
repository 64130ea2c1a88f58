package graph_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

// branching is three ways from sources to one sink: two of them meet without a queue, the third has one.
func branching(t *testing.T) graph.Layout {
	t.Helper()
	s := line("charge")
	at(s, "charge").From = append(at(s, "charge").From, graph.FromSpec{Name: `say "<b>"`})
	offers := graph.Window{Items: 100, Bytes: 1 << 10}
	s.Nodes = append(s.Nodes,
		graph.NodeSpec{Name: `say "<b>"`, Role: graph.RoleSource, Kind: "in", Offers: offers},
		graph.NodeSpec{Name: "end", Role: graph.RoleSource, Kind: "in", Offers: offers},
		graph.NodeSpec{Name: `c:\`, Role: graph.RoleStage, Kind: "charge", From: []graph.FromSpec{{Name: "end"}}},
	)
	out := at(s, "out")
	out.From = append(out.From, graph.FromSpec{Name: `c:\`})
	out.Edge = &graph.EdgeSpec{Window: graph.Window{Items: 200, Bytes: 4 << 10}}
	e, found := s.Build(toys(discard), graph.Options{})
	require.Empty(t, found)
	return e.Layout()
}

func TestLayoutAsDOT(t *testing.T) {
	var b strings.Builder
	require.NoError(t, branching(t).WriteDOT(&b))
	assert.Equal(t, `digraph pipeline {
  rankdir=LR
  subgraph cluster_1 {
    label="on the goroutines of the clients' streams and calls"
    "in" [label="in\nsource", shape=ellipse]
    "say \"<b>\"" [label="say \"<b>\"\nkind in\nsource", shape=ellipse]
    "charge" [label="charge", shape=box]
  }
  subgraph cluster_2 {
    label="on the goroutines of the clients' streams and calls"
    "end" [label="end\nkind in\nsource", shape=ellipse]
    "c:\\" [label="c:\\\nkind charge", shape=box]
  }
  "out" [label="out\nsink", shape=ellipse]
  "end" -> "c:\\"
  "in" -> "charge"
  "say \"<b>\"" -> "charge"
  "charge" -> "out" [label="200 items\n4KiB"]
  "c:\\" -> "out" [label="200 items\n4KiB"]
}
`, b.String())
}

func TestLayoutAsMermaid(t *testing.T) {
	var b strings.Builder
	require.NoError(t, branching(t).WriteMermaid(&b))
	//nolint:dupword // a node ends one line and begins the next
	assert.Equal(t, `flowchart LR
  subgraph run1["on the goroutines of the clients' streams and calls"]
    n1(["in<br/>source"])
    n2(["say #quot;#lt;b#gt;#quot;<br/>kind in<br/>source"])
    n5["charge"]
  end
  subgraph run2["on the goroutines of the clients' streams and calls"]
    n3(["end<br/>kind in<br/>source"])
    n4["c:\<br/>kind charge"]
  end
  n6(["out<br/>sink"])
  n3 --> n4
  n1 --> n5
  n2 --> n5
  n5 -->|"200 items<br/>4KiB"| n6
  n4 -->|"200 items<br/>4KiB"| n6
`, b.String())
}
