package config

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

func printed(t require.TestingT, p *Pipeline) string {
	var out bytes.Buffer
	require.NoError(t, p.Print(&out))
	return out.String()
}

// same compares what two pipelines say, not where they say it.
func same(t require.TestingT, want, got *Pipeline) {
	assert.Equal(t, want.Settings, got.Settings)
	assert.Equal(t, want.Spec.Budget, got.Spec.Budget)
	require.Len(t, got.Spec.Nodes, len(want.Spec.Nodes))
	for i := range want.Spec.Nodes {
		assert.Equal(t, placeless(want.Spec.Nodes[i]), placeless(got.Spec.Nodes[i]))
	}
}

func placeless(n graph.NodeSpec) graph.NodeSpec {
	n.Pos, n.KindPos, n.WorkersPos = graph.Position{}, graph.Position{}, graph.Position{}
	n.OffersPos = graph.Position{}
	from := make([]graph.FromSpec, 0, len(n.From))
	for _, f := range n.From {
		from = append(from, graph.FromSpec{Name: f.Name})
	}
	n.From = from
	if n.Edge != nil {
		n.Edge = &graph.EdgeSpec{Window: n.Edge.Window}
	}
	return n
}

func reparsed(t require.TestingT, text string) *Pipeline {
	p, problems := Parse("printed.yaml", []byte(text), fakeKinds(), nil)
	require.Empty(t, problems, text)
	return p
}

func TestAPipelineSurvivesPrintAndParse(t *testing.T) {
	good, err := os.ReadFile("testdata/good.yaml")
	require.NoError(t, err)
	// The fake kinds have each setting of the default that the real ones have, so that it reads here too.
	for _, text := range []string{string(good), string(Default())} {
		p, problems := Parse("p.yaml", []byte(text), fakeKinds(), fakeEnv)
		require.Empty(t, problems, lines(problems))
		same(t, p, reparsed(t, printed(t, p)))
	}
}

func TestPrintSaysWhereValuesCameFrom(t *testing.T) {
	p := parsed(t, "version: 1\nlimits: { streams: 7 }\n")
	p.Override(Override{"listen", "127.0.0.1:9", Flags, "--listen"})
	out := printed(t, p)
	assert.Contains(t, out, "listen: 127.0.0.1:9 # --listen\n")
	assert.Contains(t, out, "  streams: 7 # pipeline.yaml:2:20\n")
	assert.Contains(t, out, "data: ./data\n", "a default needs no comment")
}

// TestPrintSaysWhereANodesSettingsCameFrom: each that the file sets, whatever its shape; none that it leaves out.
func TestPrintSaysWhereANodesSettingsCameFrom(t *testing.T) {
	p, problems := Parse("p.yaml", []byte(`version: 1
sources: { in: { transport: rpc } }
stages:
  sequence: { from: in, gap: nack }
  coalesce: { from: [sequence], items: [1, 2], edge: { items: 7, bytes: 1MiB }, parallel: 2 }
sinks: { out: { from: coalesce, transport: origin } }
`), fakeKinds(), nil)
	require.Empty(t, problems, lines(problems))
	out := printed(t, p)
	for _, line := range []string{
		"    transport: rpc # p.yaml:2:29", "    protocols: [connect]", "    from: [in] # p.yaml:4:21", "    gap: nack # p.yaml:4:30", "    detach_ttl: 1h0m0s",
		"    items: [1, 2] # p.yaml:5:40", "    from: [sequence] # p.yaml:5:21", "      items: 7 # p.yaml:5:63", "      bytes: 1MiB # p.yaml:5:73",
		"    parallel: 2 # p.yaml:5:91", "    to: origin # p.yaml:6:44",
	} {
		assert.Contains(t, out, line+"\n")
	}
	same(t, p, reparsed(t, out))
}

// TestDefaultsAreNotNamed: neither when there is no file nor when it leaves them.
func TestDefaultsAreNotNamed(t *testing.T) {
	p, problems, err := Load("", fakeKinds())
	require.NoError(t, err)
	require.Empty(t, problems, lines(problems))
	assert.NotContains(t, printed(t, p), "#")
	assert.Equal(t, Defaults, p.Origin("listen").Layer)
	out := printed(t, parsed(t, "version: 1\n"))
	assert.Contains(t, out, "version: 1 # pipeline.yaml:1:10\n")
	assert.Equal(t, 1, strings.Count(out, "#"), out)
}

func TestAnyValuesSurvivePrintAndParse(t *testing.T) {
	text := rapid.OneOf(
		rapid.String().Filter(printable),
		rapid.SampledFrom([]string{"", "true", "null", "~", "7", "1e3", "- a", "a: b", "# c", "${PORT}", "$", "$$", "a\nb\n", "\t", "2026-01-01", "<<", "*a", "&a", "!x"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		p, _ := Parse("p.yaml", Default(), fakeKinds(), nil)
		p.Data = "d" + text.Draw(t, "data")
		p.Limits.MessageBytes = graph.ByteSize(rapid.Int64Range(minMessageBytes, maxMessageBytes).Draw(t, "message bytes"))
		p.Recall.Queue = rapid.IntRange(0, maxQueue).Draw(t, "queue")
		p.respec()
		for i := range p.Spec.Nodes {
			switch c := p.Spec.Nodes[i].Config.(type) {
			case *fakeSequence:
				c.DetachTTL = time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "ttl"))
				c.Gap = text.Draw(t, "gap")
			case *fakeJournal:
				c.Folders = rapid.SliceOfN(text, 1, 4).Draw(t, "folders")
				c.Segment.Bytes = graph.ByteSize(rapid.Int64Range(1024, 1<<50).Draw(t, "segment"))
			case *fakeAdmit:
				c.SlowDownAt = rapid.Float64Range(0, 0.5).Draw(t, "slow down at")
			case *fakeShard:
				c.Workers = rapid.Int8().Draw(t, "workers")
			}
		}
		same(t, p, reparsed(t, printed(t, p)))
	})
}

// printable leaves out what YAML folds away even between quotes: line breaks other than \n.
func printable(s string) bool { return !strings.ContainsAny(s, "\r\u0085\u2028\u2029") }
