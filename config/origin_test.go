package config

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/engram-stream/engram/graph"
)

func env(pairs map[string]string) LookupEnv {
	return func(name string) (string, bool) { v, ok := pairs[name]; return v, ok }
}

func TestFlagsWinOverEnvironmentOverFileOverDefaults(t *testing.T) {
	p := parsed(t, "version: 1\nlisten: 127.0.0.1:1\ndata: /file\nlimits: { streams: 1 }\n")
	flags := []Override{{"listen", "127.0.0.1:3", Flags, "--listen"}}
	environment := FromEnvironment(env(map[string]string{
		"ENGRAM_LISTEN": "127.0.0.1:2", "ENGRAM_DATA": "/env", "ENGRAM_BUDGET_BYTES": "1GiB", "ENGRAM_RECALL_WORKERS": "",
	}))
	p.Override(flags...)
	p.Override(environment...)

	assert.Equal(t, "127.0.0.1:3", p.Listen, "in whichever order they come")
	assert.Equal(t, "/env", p.Data)
	assert.Equal(t, graph.ByteSize(1<<30), p.Budget.Bytes)
	assert.Equal(t, int64(1<<30), p.Spec.Budget.Bytes, "the graph is built with it")
	assert.Equal(t, "ENGRAM_BUDGET_BYTES", p.Spec.BudgetPos.String())
	assert.Equal(t, 2, p.Recall.Workers, "an empty variable counts as unset")
	assert.Equal(t, 1, p.Limits.Streams)

	assert.Equal(t, Origin{Flags, graph.Position{File: "--listen"}}, p.Origin("listen"))
	assert.Equal(t, Origin{Environment, graph.Position{File: "ENGRAM_DATA"}}, p.Origin("data"))
	assert.Equal(t, Origin{File, graph.Position{File: "pipeline.yaml", Line: 4, Column: 20}}, p.Origin("limits.streams"))
	assert.Equal(t, Defaults, p.Origin("limits.spaces").Layer)
	assert.Equal(t, defaultName, p.Origin("limits.spaces").Pos.File)
}

func TestEverySettingHasAVariable(t *testing.T) {
	all := FromEnvironment(func(name string) (string, bool) { return name, true })
	names := make([]string, 0, len(all))
	for _, o := range all {
		names = append(names, o.Name)
	}
	assert.Equal(t, []string{
		"ENGRAM_VERSION", "ENGRAM_LISTEN", "ENGRAM_DATA", "ENGRAM_BUDGET_ITEMS", "ENGRAM_BUDGET_BYTES",
		"ENGRAM_RECALL_WORKERS", "ENGRAM_RECALL_QUEUE", "ENGRAM_RECALL_MAX_LIMIT", "ENGRAM_RECALL_ANSWER_BYTES",
		"ENGRAM_EMBED_KIND", "ENGRAM_EMBED_URL", "ENGRAM_EMBED_MODEL", "ENGRAM_EMBED_API_KEY_ENV", "ENGRAM_EMBED_DIMENSION", "ENGRAM_EMBED_BATCH",
		"ENGRAM_EMBED_BATCH_BYTES", "ENGRAM_EMBED_CONCURRENCY", "ENGRAM_EMBED_TIMEOUT", "ENGRAM_EMBED_TRIES", "ENGRAM_EMBED_CACHE_ITEMS",
		"ENGRAM_EMBED_CACHE_BYTES",
		"ENGRAM_LIMITS_STREAMS", "ENGRAM_LIMITS_CALLS", "ENGRAM_LIMITS_MESSAGE_BYTES", "ENGRAM_LIMITS_SPACES",
		"ENGRAM_TELEMETRY_METRICS", "ENGRAM_TELEMETRY_TRACES_OTLP", "ENGRAM_TELEMETRY_TRACES_SAMPLE",
	}, names)
}

func TestAWrongOverrideIsReportedWithItsName(t *testing.T) {
	p := parsed(t, "version: 1\n")
	p.Override(
		Override{"limits.streams", "many", Environment, "ENGRAM_LIMITS_STREAMS"},
		Override{"listen", "nowhere", Flags, "--listen"},
	)
	assert.Equal(t, ""+
		"--listen: listen: \"nowhere\" is not an address; hint: write host:port, such as 127.0.0.1:7320; port 0 takes a free one\n"+
		"ENGRAM_LIMITS_STREAMS: limits.streams: want a whole number, got the text \"many\"\n", lines(p.settled(p.problems)))
}

func TestAnOverrideRepairsABadValueInTheFile(t *testing.T) {
	p, problems := Parse("p.yaml", []byte("version: 1\nlisten: nowhere\n"), fakeKinds(), nil)
	assert.Len(t, problems, 1)
	p.Override(Override{"listen", "127.0.0.1:1", Flags, "--listen"})
	assert.Empty(t, p.settled(p.problems))
}

func TestAnOverrideOfNoSettingIsABugOfTheCaller(t *testing.T) {
	assert.Panics(t, func() { parsed(t, "version: 1\n").Override(Override{Path: "lisen"}) })
}
