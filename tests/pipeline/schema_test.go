package pipeline

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/config"
)

func TestTheSchemaIsThatOfTheCode(t *testing.T) {
	want := schema(t)
	if *rewrite {
		require.NoError(t, os.WriteFile(filepath.Join(root, "config", "pipeline.schema.json"), want, 0o600))
		return // what was embedded is the old one
	}
	assert.Equal(t, string(want), string(config.Schema()), "run `go test ./tests/pipeline -rewrite`; change the comments in the code")
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema(t)))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("pipeline.schema.json", document))
	s, err := c.Compile("pipeline.schema.json")
	require.NoError(t, err)
	return s
}

// value is a file as JSON has it; false for one that is no YAML, or none that JSON could say.
func value(text []byte) (any, bool) {
	var inYAML any
	err := yaml.Unmarshal(text, &inYAML)
	asJSON, jsonErr := json.Marshal(inYAML)
	if err != nil || jsonErr != nil {
		return nil, false
	}
	inJSON, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	return inJSON, err == nil
}

// shaped are the mistakes that a schema can know, by what validate says of them.
var shaped = regexp.MustCompile(`unknown key|: want |unknown kind|missing|reads from nothing|needs room for at least`)

// judge holds the schema to what validate says of a file: it refuses no good one, and no mistake of shape passes.
func judge(t *testing.T, s *jsonschema.Schema, text []byte) (good, bad int) {
	t.Helper()
	said := validate(t, string(text))
	inJSON, ok := value(text)
	if !ok {
		return 0, 0
	}
	refused := s.Validate(inJSON)
	switch {
	case said == "":
		assert.NoError(t, refused, "%s", text)
		return 1, 0
	case shaped.MatchString(said):
		assert.Error(t, refused, "%s\n%s", text, said)
		return 0, 1
	}
	return 0, 0
}

// TestTheSchemaAgreesWithValidate: on the built-in pipeline, the files that config is tested with, and the guide.
func TestTheSchemaAgreesWithValidate(t *testing.T) {
	s := compiled(t)
	texts := [][]byte{config.Default()}
	for _, folder := range []string{"", "wiring"} {
		files, err := filepath.Glob(filepath.Join(root, "config", "testdata", folder, "*.yaml"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts = append(texts, text)
		}
	}
	for _, e := range example.FindAllSubmatch(guide(t), -1) {
		texts = append(texts, e[1])
	}
	good, bad := 0, 0
	for _, text := range texts {
		g, b := judge(t, s, text)
		good, bad = good+g, bad+b
	}
	assert.GreaterOrEqual(t, good, 4, "the files are not found any more")
	assert.Greater(t, bad, 15)
}

// agree demands that a file is good, or not, to the schema as to validate.
func agree(t *testing.T, s *jsonschema.Schema, good bool, text string) {
	t.Helper()
	inJSON, ok := value([]byte(text))
	require.True(t, ok, text)
	refused := s.Validate(inJSON)
	assert.Equal(t, good, refused == nil, "%s\n%v", text, refused)
	said := validate(t, text)
	assert.Equal(t, good, said == "", "%s\n%s", text, said)
}

func TestTheSchemaOfSettings(t *testing.T) {
	s := compiled(t)
	for text, good := range map[string]bool{
		"":                                    true,
		"recall:":                             true,
		`budget: { items: "${ITEMS:-5000}" }`: true,
		"limits: { streams: 4_096, message_bytes: 1.5 MiB }": true,
		"budget: { bytes: 536870912 }":                       true,
		"lisen: 127.0.0.1:7320":                              false,
		"listen: 7320":                                       false,
		"budget: { items: 0 }":                               false,
		"budget: { items: many }":                            false,
		"budget: { bytes: 10 }":                              false,
		"budget: { bytes: 10 parsecs }":                      false,
		"recall: { workers: 1025 }":                          false,
		"recall: [1]":                                        false,
		"telemetry: { traces: { sample: 1.5 } }":             false,
		"telemetry: { trace: {} }":                           false,
		"stages: {}":                                         false,
	} {
		agree(t, s, good, "version: 1\n"+text+"\n")
	}
	agree(t, s, false, "version: 2\n")
	agree(t, s, false, "listen: 127.0.0.1:0\n")
}

func TestTheSchemaOfTheWiring(t *testing.T) {
	const wiring = `version: 1
sources: { rpc: }
stages:
  decode: { from: [rpc] }
  sequence: { from: decode, detach_ttl: 1h30m }
  admit: { from: sequence }
  gather: { kind: coalesce, from: admit, max_wait: 0 }
  shard: { from: gather, workers: "${LANES:-2}" }
  journal: { from: shard, parallel: 1 }
  index: { from: journal, edge: { items: 10_000, bytes: 64mib } }
  notify: { from: index }
sinks: { origin: { from: notify } }
`
	s := compiled(t)
	agree(t, s, true, wiring)
	for _, c := range []struct {
		old, new string
		good     bool
	}{
		{"origin: {", "out: { to: origin,", true},
		{"origin: {", "out: { transport: origin,", true},
		{"origin: {", "out: {", false},
		{"{ rpc: }", "{ rpc: { protocols: [grpc] } }", true},
		{"{ rpc: }", "{ rpc: { protocols: [http] } }", false},
		{"{ rpc: }", "{ rpc: { from: notify } }", false},
		{"kind: coalesce", "kind: coalesc", false},
		{"kind: coalesce, ", "", false},
		{"max_wait: 0", "max_wait: 5", false},
		{"max_wait: 0", "max_wait: -5ms", false},
		{"max_wait: 0", "items: [1]", false},
		{"max_wait: 0", "items: [10, 20]", true},
		{"max_wait: 0", "workers: 4", false},
		{"parallel: 1", "parallel: 2", false},
		{"parallel: 1", "fsync: never", false},
		{"parallel: 1", "fsync: always", true},
		{", bytes: 64mib", "", false},
		{"bytes: 64mib", "bytes: 64mib, kind: index", false},
		{"decode: { from: [rpc] }", "decode: { kind: decode, from: rpc }", true},
		{"decode: { from: [rpc] }", "decode: { kind: decode }", false},
		{"decode: { from: [rpc] }", "decode:", false},
		{"sinks: { origin: { from: notify } }", "", false},
	} {
		require.Contains(t, wiring, c.old)
		agree(t, s, c.good, strings.Replace(wiring, c.old, c.new, 1))
	}
}
