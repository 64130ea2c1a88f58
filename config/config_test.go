package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
)

func parsed(t *testing.T, text string) *Pipeline {
	t.Helper()
	p, problems := Parse("pipeline.yaml", []byte(text), fakeKinds(), fakeEnv)
	require.Empty(t, found(problems))
	return p
}

// found is nothing when there is nothing to say.
func found(problems graph.Diagnostics) string {
	if len(problems) == 0 {
		return ""
	}
	return lines(problems)
}

func TestLoadReadsAFile(t *testing.T) {
	t.Setenv("ENGRAM_TEST_DATA", "/srv/engram")
	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\ndata: ${ENGRAM_TEST_DATA}\n"), 0o600))
	p, problems, err := Load(file, fakeKinds())
	require.NoError(t, err)
	assert.Empty(t, problems)
	assert.Equal(t, "/srv/engram", p.Data)
}

func TestLoadWithoutAFileIsTheDefault(t *testing.T) {
	p, _, err := Load("", fakeKinds())
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:7320", p.Listen)
	assert.Len(t, p.Spec.Nodes, 11)
}

func TestLoadSaysWhichFileIsMissingAndWhatToDo(t *testing.T) {
	_, _, err := Load("no/such.yaml", fakeKinds())
	assert.Equal(t, fault.NotFound, fault.KindOf(err))
	assert.ErrorContains(t, err, "no/such.yaml")
	assert.ErrorContains(t, err, "leave it out to run the embedded default")

	_, _, err = Load(t.TempDir(), fakeKinds())
	assert.Equal(t, fault.FailedPrecondition, fault.KindOf(err), "a folder is no file")
	assert.ErrorContains(t, err, "check that it is a file")
}

func TestAFileBeyondTheLimitIsRefused(t *testing.T) {
	full := append([]byte("version: 1\n#"), bytes.Repeat([]byte("x"), MaxFileBytes-12)...)
	_, problems := Parse("big.yaml", full, fakeKinds(), nil)
	assert.Empty(t, problems)

	file := filepath.Join(t.TempDir(), "big.yaml")
	require.NoError(t, os.WriteFile(file, append(full, 'x', 'y'), 0o600))
	_, problems, err := Load(file, fakeKinds())
	require.NoError(t, err)
	assert.Contains(t, lines(problems), "big.yaml:1:1: the file is larger than 1048576 bytes")
}

func TestALongFileStillGetsTheParsersLine(t *testing.T) {
	text := append([]byte("version: 1\n"), bytes.Repeat([]byte("# a comment\n"), 2*maxLocateLines)...)
	_, problems := Parse("p.yaml", append(text, "listen: a: b\n"...), fakeKinds(), nil)
	require.Len(t, problems, 1)
	assert.Equal(t, 2*maxLocateLines+2, problems[0].Pos.Line)
}

// Not in testdata, where git would turn the line ends.
func TestWindowsLineEnds(t *testing.T) {
	_, problems := Parse("p.yaml", []byte("version: 1\r\nlisten: 127.0.0.1:1\r\ndata: [x]\r\n"), fakeKinds(), nil)
	assert.Equal(t, "p.yaml:3:7: data: want text, got a list of 1\n", lines(problems))
}

// The values that the code must see, whatever the comments in default.yaml say.
func TestDefaults(t *testing.T) {
	p := parsed(t, "version: 1\n")
	assert.Equal(t, Settings{
		Version: 1, Listen: "127.0.0.1:7320", Data: "./data",
		Budget: Budget{100000, 512 << 20},
		Recall: Recall{2, 256, 10000, 256 << 20},
		Embed: Embed{
			Kind: "lexical", Batch: 64, BatchBytes: 256 << 10, Concurrency: 4, Timeout: 10 * time.Second, Tries: 4,
			Cache: EmbedCache{10000, 64 << 20},
		},
		Limits: Limits{4096, 1024, 8 << 20, 100000},

		Telemetry: Telemetry{Metrics: "/metrics", Traces: Traces{Sample: 0.01}},
	}, p.Settings)
}

func TestDefaultCannotBeChangedByItsReaders(t *testing.T) {
	Default()[0] = 'X'
	assert.Equal(t, byte('#'), Default()[0])
}

func TestTheSpecCarriesTheWiring(t *testing.T) {
	data, err := os.ReadFile("testdata/good.yaml")
	require.NoError(t, err)
	p := parsed(t, string(data))
	at := func(line, column int) graph.Position {
		return graph.Position{File: "pipeline.yaml", Line: line, Column: column}
	}

	assert.Equal(t, graph.Window{Items: 50000, Bytes: 64 << 20}, p.Spec.Budget)
	assert.Equal(t, at(5, 9), p.Spec.BudgetPos)
	nodes := map[string]graph.NodeSpec{}
	for _, n := range p.Spec.Nodes {
		nodes[n.Name] = n
	}
	require.Len(t, nodes, 11)
	assert.Equal(t, graph.NodeSpec{
		Name: "second", Role: graph.RoleSource, Kind: "rpc", Config: &fakeSource{}, Pos: at(8, 3), KindPos: at(8, 24),
		Offers: graph.Window{Items: 1024, Bytes: 8 << 20},
	}, nodes["second"])
	assert.Equal(t, []graph.FromSpec{{Name: "rpc", Pos: at(10, 20)}, {Name: "second", Pos: at(10, 25)}}, nodes["decode"].From)
	assert.Equal(t, graph.NodeSpec{
		Name: "gather", Role: graph.RoleStage, Kind: "coalesce", Config: &fakeCoalesce{0.5, [2]int{10, 50}, 2e6},
		From: []graph.FromSpec{{Name: "admit", Pos: at(13, 35)}},
		Edge: &graph.EdgeSpec{Window: graph.Window{Items: 4096, Bytes: 8 << 20}, Pos: at(13, 80)},
		Pos:  at(13, 3), KindPos: at(13, 19),
	}, nodes["gather"])
	assert.Equal(t, &fakeShard{"space", 3, true}, nodes["shard"].Config)
	assert.Equal(t, &fakeJournal{"embedded", "always", fakeSegment{Bytes: 2 << 20}, []string{"a", "$HOME"}, 0}, nodes["journal"].Config)
	assert.Equal(t, 1, nodes["index"].Workers)
	assert.Equal(t, at(24, 37), nodes["index"].WorkersPos)
	assert.Equal(t, "origin", nodes["replies"].Kind)
	assert.Equal(t, graph.RoleSink, nodes["replies"].Role)
}

func TestVariablesArePutInOnceAndNeverChangeTheShape(t *testing.T) {
	p := parsed(t, `
version: 1
data: ${DOLLARS}/$x/$$/${NONE:-a}${EMPTY}/${LINES}
`[1:])
	assert.Equal(t, "${PORT}$$/$x/$/a/x\nlisten: y", p.Data, "what a variable holds is neither expanded again nor parsed")
}

func TestGoodFilesCheckClean(t *testing.T) {
	data, err := os.ReadFile("testdata/good.yaml")
	require.NoError(t, err)
	assert.Empty(t, found(Check(parsed(t, string(data)), fakeKinds())))
}

func TestAMistakeIsNotReportedAgainAsAWiringError(t *testing.T) {
	p, problems := Parse("p.yaml", []byte(`
version: 1
sources:
  rpc: { transport: rpc }
stages:
  decode: { from: { rpc: yes } }
  sequence: { from: decode, max_detached: -1 }
  admit: { from: sequence, slow_down_at: 0.95 }
  coalesce: { from: admit, edge: { items: 0, bytes: 64MiB } }
  shard: { from: coalesce }
  journal: { from: shard }
  index: { from: journal, parallel: 0 }
  notify: { from: index }
sinks:
  replies: { from: notify, to: 5 }
`[1:]), fakeKinds(), nil)
	require.Len(t, problems, 6, lines(problems))
	assert.Equal(t, lines(problems), lines(Check(p, fakeKinds())))
}

func TestAnUnreadableFileIsNotCheckedForWiring(t *testing.T) {
	p, problems := Parse("p.yaml", []byte("a: [\n"), fakeKinds(), nil)
	assert.Len(t, problems, 1)
	assert.Equal(t, problems, Check(p, fakeKinds()))
}
