package config

import (
	_ "embed"
	"slices"
)

//go:embed pipeline.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of a pipeline file, for editors: its keys, their types, ranges and defaults,
// and what they mean. It is made of the settings' structs and their comments, and of what the kinds have registered, by
// `go test ./tests/pipeline -rewrite`, and knows less than Check: nothing of names, of item types, of windows and budget.
func Schema() []byte { return slices.Clone(schema) }
