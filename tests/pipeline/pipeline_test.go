// Package pipeline checks pipeline files against the kinds that the binary really has; the tests of config itself use
// fake ones.
package pipeline

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/app"
	"github.com/engram-stream/engram/stages"
	"github.com/engram-stream/engram/transports"
	"github.com/engram-stream/engram/transports/rpc"
)

// validate says what `engram validate pipeline.yaml` says of a text.
func validate(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("pipeline.yaml", []byte(text), 0o600))
	problems, err := app.Validate("pipeline.yaml")
	require.NoError(t, err)
	var all strings.Builder
	for _, d := range problems {
		all.WriteString(d.Error() + "\n")
	}
	return all.String()
}

func TestTheDefaultPipelineChecksClean(t *testing.T) {
	problems, err := app.Validate("")
	require.NoError(t, err)
	assert.Empty(t, problems)
	assert.Empty(t, validate(t, string(config.Default())), "and as a file of one's own")
	assert.Empty(t, validate(t, "version: 1\n"), "and as what a file leaves out")
}

func kinds() *graph.Registry {
	r := graph.NewRegistry()
	stages.Register(r)
	transports.Register(r)
	rpc.Register(r, transports.NewHub())
	return r
}

// A kind whose own default differs from what the default file shows would change when its line is left out.
func TestTheDefaultPipelineShowsTheDefaultsOfItsKinds(t *testing.T) {
	kinds := kinds()
	p, problems := config.Parse("default.yaml", config.Default(), kinds, nil)
	require.Empty(t, problems)
	for _, n := range p.Spec.Nodes {
		assert.Equal(t, kinds.Lookup(n.Role, n.Kind).NewConfig(), n.Config, n.Name)
	}
}

var example = regexp.MustCompile("(?s)```yaml\n(.*?)```\n(?:\n```text\n(.*?)```\n)?")

func guide(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	require.NoError(t, err)
	return text
}

func TestTheGuideNamesEveryKindAndItsSettings(t *testing.T) {
	text := string(guide(t))
	for _, role := range []graph.Role{graph.RoleSource, graph.RoleStage, graph.RoleSink} {
		for _, kind := range kinds().Kinds(role) {
			config := reflect.TypeOf(kind.NewConfig()).Elem()
			if config.NumField() == 0 {
				assert.Contains(t, text, "`"+kind.Name+"`")
			}
			for field := range config.Fields() {
				assert.Contains(t, text, "| `"+kind.Name+"."+field.Tag.Get("yaml")+"` |")
			}
		}
	}
}

func TestTheExamplesOfTheGuide(t *testing.T) {
	telemetry, err := os.ReadFile(filepath.Join("..", "..", "docs", "telemetry.md"))
	require.NoError(t, err)
	for _, page := range [][]byte{guide(t), telemetry} {
		examples := example.FindAllSubmatch(page, -1)
		assert.NotEmpty(t, examples)
		for _, e := range examples {
			assert.Equal(t, string(e[2]), validate(t, string(e[1])), "%s", e[1])
		}
	}
}

func TestTwoWiringErrorsAnUnknownKeyAndASmallWindowInOneRun(t *testing.T) {
	said := strings.Split(strings.TrimSpace(validate(t, `
version: 1
sources:
  rpc: { transport: rpc }
stages:
  decode: { from: rpc }
  sequence: { from: decoed }
  admit: { from: sequence, slow_down: 0.8 }
  coalesce: { from: admit, edge: { items: 10, bytes: 64MiB } }
  shard: { from: coalesce }
  journal: { from: shard }
  index: { from: journal }
sinks:
  replies: { from: index, to: origin }
`[1:])), "\n")
	require.Len(t, said, 4, strings.Join(said, "\n"))
	for i, want := range []string{
		`pipeline.yaml:6:21: stage "sequence" reads from "decoed", which is not there; hint: did you mean "decode"?`,
		`pipeline.yaml:7:28: unknown key "slow_down" in stages.admit; hint: did you mean "slow_down_at"?`,
		`pipeline.yaml:8:34: the edge into "coalesce" has a window of 10 items, but a batch of 1024 may come`,
		`pipeline.yaml:13:20: "replies" takes Reply, but "index" gives Applied; hint: put a "notify" stage between them`,
	} {
		assert.Contains(t, said[i], want)
	}
}

// Each of these has two wiring mistakes, a misspelt key and a window that is too small: four findings in one run, at
// these lines, whatever stands between them.
func TestMistakesDoNotHideEachOther(t *testing.T) {
	const (
		good  = "version: 1\nlimts: { streams: 10 }\nsources:\n  rpc: { transport: rpc }\nstages:\n"
		small = "  index: { from: journal, edge: { items: 7, bytes: 64MiB } }\n"
	)
	for name, c := range map[string]struct{ stages, lines string }{
		"an unknown upstream and an unknown kind": {
			"  decode: { from: rcp }\n  sequence: { from: decode }\n  admit: { from: sequence }\n  coalesce: { from: admit }\n" +
				"  shard: { kind: shrad, from: coalesce }\n  journal: { from: shard }\n" + small +
				"  notify: { from: index }\nsinks:\n  replies: { from: notify, to: origin }\n", "2 6 10 12",
		},
		"an unknown kind and a stage left out": {
			"  decode: { from: rpc }\n  admit: { from: decode }\n  coalesce: { from: admit }\n  shard: { from: coalesce }\n" +
				"  journal: { from: shard }\n" + small +
				"  notify: { kind: notifier, from: index }\nsinks:\n  replies: { from: notify, to: origin }\n", "2 10 11 12",
		},
		"an unknown kind early and a misspelt upstream late": {
			"  decode: { kind: decoder, from: rpc }\n  sequence: { from: decode }\n  admit: { from: sequence }\n  coalesce: { from: admit }\n" +
				"  shard: { from: coalesce }\n  journal: { from: shard }\n" + small +
				"  notify: { from: indx }\nsinks:\n  replies: { from: notify, to: origin }\n", "2 6 12 13",
		},
	} {
		t.Run(name, func(t *testing.T) {
			said := validate(t, good+c.stages)
			var lines []string
			for _, m := range regexp.MustCompile(`(?m)^pipeline\.yaml:(\d+):\d+: `).FindAllStringSubmatch(said, -1) {
				lines = append(lines, m[1])
			}
			assert.Equal(t, c.lines, strings.Join(lines, " "), said)
		})
	}
}

// One mistake is one finding, with what to do about it, however much follows from it.
func TestOneMistakeIsOneFinding(t *testing.T) {
	const good = `version: 1
sources:
  rpc: { transport: rpc }
stages:
  decode: { from: rpc }
  sequence: { from: decode }
  admit: { from: sequence }
  coalesce: { from: admit }
  shard: { from: coalesce }
  journal: { from: shard }
  index: { from: journal }
  notify: { from: index }
sinks:
  replies: { from: notify, to: origin }
`
	require.Empty(t, validate(t, good))
	for _, c := range []struct{ old, new, want string }{
		{"  admit: { from: sequence }\n", "", `7:21: stage "coalesce" reads from "admit", which is not there; hint: add an "admit" stage`},
		{
			"  admit: { from: sequence }\n  coalesce: { from: admit }\n", "  coalesce: { from: sequence }\n",
			`3:3: nothing between "rpc" and "replies" charges the budget, so memory has no bound; hint: put an "admit" between them`,
		},
		{"  index: { from: journal }\n", "", `11:19: stage "notify" reads from "index", which is not there; hint: add an "index" stage`},
		{
			"  index: { from: journal }\n  notify: { from: index }\n", "  notify: { from: journal }\n",
			`11:19: "notify" takes Applied, but "journal" gives Appended; hint: put an "index" stage between them`,
		},
		{"  journal: { from: shard }\n", "", `10:18: stage "index" reads from "journal", which is not there; hint: add a "journal" stage`},
		{"  notify: { from: index }\n", "", `13:20: sink "replies" reads from "notify", which is not there; hint: add a "notify" stage`},
		{
			"coalesce: { from: admit }", "coalesce: { from: [admit, journal] }",
			`8:29: cycle: "coalesce" → "shard" → "journal" → "coalesce"; hint: let one of them read from elsewhere: a graph has no cycles`,
		},
		{
			"coalesce: { from: admit }", "coalesce: { from: [admit, coalesce] }",
			`8:29: cycle: "coalesce" → "coalesce"; hint: remove it: "coalesce" cannot read what it gives itself`,
		},
		{
			"  notify: { from: index }", "  index2: { kind: index, from: index }\n  notify: { from: index2 }",
			`12:32: "index2" takes Appended, but "index" gives Applied; hint: "index2" can read from "journal"`,
		},
		{
			"  coalesce: { from: admit }", "  admit2: { kind: admit, from: admit }\n  coalesce: { from: admit2 }",
			`8:3: "admit2" charges the budget for what "admit" has charged already; hint: remove "admit" or "admit2"`,
		},
		{
			"sequence: { from: decode }", "sequence: { from: decode, edge: { items: 10, bytes: 64KiB } }",
			`6:35: "sequence" has an edge, on which items wait before "admit" charges the budget for them: nothing counts them there; hint: remove it: edges stand behind "admit"`,
		},
		{
			"  admit: { from: sequence }\n  coalesce: { from: admit }\n  shard: { from: coalesce }", "  coalesce: { from: sequence }\n  admit: { from: coalesce }\n  shard: { from: admit }",
			`7:3: "coalesce" makes items wait before "admit" charges the budget for them: nothing counts them there; hint: put it behind "admit"`,
		},
	} {
		require.Contains(t, good, c.old)
		assert.Equal(t, "pipeline.yaml:"+c.want+"\n", validate(t, strings.Replace(good, c.old, c.new, 1)))
	}
}
