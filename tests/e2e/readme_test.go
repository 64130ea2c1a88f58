package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// snippets returns the fenced blocks of a language in a document, in order.
func snippets(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	return found
}

func snippetWith(t *testing.T, file, language, part string) string {
	t.Helper()
	for _, s := range snippets(t, file, language) {
		if strings.Contains(s, part) {
			return s
		}
	}
	t.Fatalf("%s has no %s block with %q", file, language, part)
	return ""
}

// TestReadmeCurl runs the README's curl lines as they stand, against a real server.
func TestReadmeCurl(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	script := snippetWith(t, "README.md", "sh", "curl -s $api.MemoryService/Recall")
	script = strings.ReplaceAll(script, "http://127.0.0.1:7320", "http://"+s.address)
	script = strings.ReplaceAll(script, "curl -s ", "curl -s -w '\\n' ")
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
	var answers []map[string]any
	for line := range strings.Lines(string(out)) {
		var a map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &a), line)
		require.NotContains(t, a, "code", line)
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
	require.Equal(t, "1", list["spaces"].([]any)[0].(map[string]any)["memories"])
	require.Equal(t, "3", stats["offered"], "two observations and a forget")
}

// TestReadmeShell runs the README's lines for the shell, on files that they may name.
func TestReadmeShell(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	dir := t.TempDir()
	rows := `{"id":"photo-17","content":"a cat","embedding":[1,0,0.5]}` + "\n" + `{"id":"photo-18","content":"a dog","embedding":[0.9,0.1,0.4]}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "photos.jsonl"), []byte(rows), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte("version: 1\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(engram, filepath.Join(dir, "bin", "engram")))
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", snippetWith(t, "README.md", "sh", "bin/engram observe"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ENGRAM_ADDRESS="+s.address)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "2 observations committed")
	require.Contains(t, string(out), "photo-18")
	require.Contains(t, string(out), "pipeline.yaml: ok")
}

// TestReadmeGo runs the README's Go program as it stands.
func TestReadmeGo(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	program := snippetWith(t, "README.md", "go", "package main")
	program = strings.ReplaceAll(program, "127.0.0.1:7320", s.address)
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	cmd := exec.Command("go", "run", file) // a file outside, built in this module's context
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "likes green tea")
}

// TestReadmeIsShort: a newcomer reads it to the end.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	require.Less(t, strings.Count(string(text), "\n"), 200)
}
