package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkReadme looks closer at what the README's blocks have said: texts, curl, Go, and the shell.
func checkReadme(t *testing.T, outputs []string) {
	t.Helper()
	require.Regexp(t, `(?m)^1  0\.\d+ .* likes green tea +$`, outputs[0])
	require.Equal(t, 1, strings.Count(outputs[0], "(lexical match: lexical-v1-512 compares words and spellings, not meaning)"))

	var answers []map[string]any
	for d := json.NewDecoder(strings.NewReader(outputs[1])); d.More(); {
		var a map[string]any
		require.NoError(t, d.Decode(&a), outputs[1])
		require.NotContains(t, a, "code")
		answers = append(answers, a)
	}
	require.Len(t, answers, 7)
	create, observe, recall, get, forget, list, stats := answers[0], answers[1], answers[2], answers[3], answers[4], answers[5], answers[6]
	require.EqualValues(t, 4, create["space"].(map[string]any)["dimension"])
	require.Equal(t, []any{"tea", "run"}, observe["memoryIds"])
	require.Len(t, recall["hits"], 2)
	require.Equal(t, "likes green tea", recall["hits"].([]any)[0].(map[string]any)["content"])
	require.Len(t, get["memories"], 1)
	require.Equal(t, []any{"nope"}, get["missing"])
	require.Equal(t, "1", forget["matched"])
	require.Equal(t, "1", list["spaces"].([]any)[1].(map[string]any)["memories"], "diary comes first")
	require.Equal(t, "5", stats["offered"], "two texts, two observations and a forget")

	require.Contains(t, outputs[2], "likes green tea")

	require.Contains(t, outputs[3], "2 observations committed")
	require.Contains(t, outputs[3], "photo-18")
	require.Contains(t, outputs[3], "content     a cat")
	require.Contains(t, outputs[3], `forgot 1 memory of "faces"`)
	require.Contains(t, outputs[3], "pipeline.yaml: ok")
}

// TestReadmeIsShort: a newcomer reads it to the end.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	require.Less(t, strings.Count(string(text), "\n"), 200)
}
