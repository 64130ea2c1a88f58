package config

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const guide = "../docs/configuration.md"

// A yaml block of the guide, with the text block of what validate says of it when one follows.
var example = regexp.MustCompile("(?s)```yaml\n(.*?)```\n(?:\n```text\n(.*?)```\n)?")

func TestTheExamplesOfTheGuideLoad(t *testing.T) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	examples := example.FindAllSubmatch(text, -1)
	require.Len(t, examples, 5)
	for _, e := range examples {
		p, _ := Parse("pipeline.yaml", e[1], fakeKinds(), nil)
		assert.Equal(t, string(e[2]), found(Check(p, fakeKinds())), "%s", e[1])
	}
}

func TestTheGuideNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	keys := append(settingPaths(), sections...)
	for _, target := range []any{sourceKind{}, stageKind{}, sinkKind{}, inputs{}} {
		keys = append(keys, fieldNames(addressable(target))...)
	}
	for _, key := range keys {
		assert.Contains(t, string(text), "`"+key+"`")
	}
}

// The schema's wiring keys are written by hand in tests/pipeline, which does not see the structs here.
func TestTheSchemaHasEveryKeyOfTheWiring(t *testing.T) {
	var schema struct {
		Defs map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(Schema(), &schema))
	for name, targets := range map[string][]any{
		"source.rpc": {sourceKind{}}, "stage.index": {stageKind{}, inputs{}}, "sink.origin": {sinkKind{}, inputs{}}, "edge": {edge{}},
	} {
		for _, target := range targets {
			for _, key := range fieldNames(addressable(target)) {
				assert.Contains(t, schema.Defs[name].Properties, key, name)
			}
		}
	}
}
