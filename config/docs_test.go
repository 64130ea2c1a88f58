package config

import (
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
