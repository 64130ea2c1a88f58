package dataset_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/dataset"
)

func readJSONL(text string) ([]dataset.Row, error) {
	return dataset.ReadAll(dataset.NewJSONL("in.jsonl", strings.NewReader(text)))
}

// TestBadLines: each says file, line and field, in words that are not Go's.
func TestBadLines(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"syntax":            {"{\"id\":\"a\"}\n{oops}", "in.jsonl:2: not valid JSON after byte 1"},
		"cut off":           {`{"id":"a"`, "the line ends within its JSON object"},
		"cut off in a key":  {`{"id`, "the line ends within its JSON object"},
		"cut off in a list": {`{"embedding":[1,`, "the line ends within its JSON object"},
		"no object":         {`[1,2]`, "want one JSON object on the line"},
		"unknown key":       {`{"vector":[1]}`, `unknown field "vector"`},
		"key in other case": {`{"Embedding":[1]}`, `unknown field "Embedding"; write "embedding"`},
		"key twice":         {`{"id":"a","id":"b"}`, "id is given twice"},
		"two spellings":     {`{"id":"a","memory_id":"b"}`, "id and memory_id are both given; give one"},
		"trailing":          {`{"id":"a"} {}`, "more than one value on the line"},
		"number as id":      {`{"id":7}`, "id: want a string in quotes, got 7"},
		"odd bytes":         {`{"embedding_f32":"AAA="}`, "embedding_f32: 2 bytes are not a multiple of 4"},
		"no base64":         {`{"embedding_f32":"?"}`, "embedding_f32: not base64"},
		"both":              {`{"embedding":[1],"embedding_f32":"AACAPw=="}`, "both given"},
		"text as vector":    {`{"embedding":"1,2"}`, `embedding: want a list of numbers, got "1,2"`},
		"text in vector":    {`{"embedding":[1,"2"]}`, `embedding: component 1: want a number, got "2"`},
		"null in vector":    {`{"embedding":[1,null]}`, "embedding: component 1: want a number, got null"},
		"list in vector":    {`{"embedding":[[1,2]]}`, "embedding: component 0: want a number, got [1"},
		"overflow":          {`{"embedding":[1,1e99]}`, "embedding: component 1: 1e99 does not fit a float32"},
		"time":              {`{"observed_at":"today"}`, `observed_at: want a time such as "2026-01-31T08:15:00Z", got "today"`},
		"confidence":        {`{"confidence":"high"}`, `confidence: want a number, got "high"`},
		"metadata":          {`{"metadata":[1]}`, "metadata: want an object, got [1]"},
		"nested":            {`{"metadata":{"a":[1]}}`, `metadata: "a": only strings, numbers and booleans are values, not [1]`},
		"metadata twice":    {`{"metadata":{"a":1,"a":2}}`, `metadata: "a" is given twice`},
		"large integer":     {`{"metadata":{"a":9223372036854775808}}`, `metadata: "a": 9223372036854775808 does not fit an int64; write it as a string`},
		"large float":       {`{"metadata":{"a":1e999}}`, `metadata: "a": 1e999 does not fit a float64`},
		"not UTF-8":         {"{\"content\":\"caf\xe9\"}", "byte 16 is not UTF-8"},
		"high surrogate":    {`{"content":"\ud83dx"}`, `\ud83d is half a surrogate pair`},
		"low surrogate":     {`{"content":"\ude00"}`, `\ude00 is half a surrogate pair`},
		"two high":          {`{"content":"\ud83d\ud83d"}`, `\ud83d is half a surrogate pair`},
		"surrogate in key":  {`{"metadata":{"\udc00":1}}`, `\udc00 is half a surrogate pair`},
		"long line":         {`{"content":"` + strings.Repeat("x", dataset.MaxLine) + `"}`, "in.jsonl:1: a line of more than"},
		"mark in line 2":    {"{}\n\ufeff{}", "in.jsonl:2: want one JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readJSONL(c.in)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "in.jsonl:")
			for _, internal := range []string{"json:", "Go ", "jsonRow", "parsing"} {
				assert.NotContains(t, err.Error(), internal)
			}
		})
	}
}

// TestWhatIsKeptExactly: integers, escapes of whole characters and of backslashes, nulls as "not given".
func TestWhatIsKeptExactly(t *testing.T) {
	rows, err := readJSONL("\ufeff" + `{"id":"\ud83d\ude00 \\ud83d","content":"\u00e9é","embedding":[ 1 , -2.5e-1 ],"metadata":` +
		`{"max":9223372036854775807,"min":-9223372036854775808,"odd":9007199254740993,"f":1.0}}` + "\r\n" +
		`{"id":null,"embedding":null,"metadata":null,"confidence":null,"observed_at":null}` + "\n" + `{"embedding":[],"metadata":{}}`)
	require.NoError(t, err)
	require.Len(t, rows, 3)
	assert.Equal(t, dataset.Row{
		Line: 1, ID: "😀 \\ud83d", Content: "éé", Embedding: []float32{1, -0.25},
		Metadata: map[string]any{"max": int64(math.MaxInt64), "min": int64(math.MinInt64), "odd": int64(9007199254740993), "f": 1.0},
	}, rows[0])
	assert.Equal(t, dataset.Row{Line: 2}, rows[1])
	assert.Equal(t, dataset.Row{Line: 3}, rows[2])
}

func BenchmarkJSONL(b *testing.B) {
	var line strings.Builder
	line.WriteString(`{"id":"a","content":"some words of it","metadata":{"n":3,"s":"text"},"embedding":[0.5`)
	for i := range 767 {
		fmt.Fprintf(&line, ",%.6f", float64(i)/768-0.5)
	}
	line.WriteString("]}\n")
	b.SetBytes(int64(line.Len()))
	for b.Loop() {
		if _, err := readJSONL(line.String()); err != nil {
			b.Fatal(err)
		}
	}
}
