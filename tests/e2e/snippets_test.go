package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// document is a page of the documentation and how many of its sh and go blocks are run. One that cannot be stands below
// a comment, `<!-- not run: why -->`; they are counted here, so that none is left out by mistake.
type document struct {
	file        string
	run, notRun int
	check       func(t *testing.T, outputs []string) // looks at what the blocks that were run have said; may be nil
}

var documents = []document{
	{file: "README.md", run: 4, notRun: 2, check: checkReadme},
	{file: "docs/protocol/README.md", run: 1, notRun: 1},
	{file: "docs/protocol/streams.md", run: 2},
	{file: "docs/protocol/writes.md", run: 2},
	{file: "docs/protocol/recall.md", run: 4},
	{file: "docs/protocol/admin.md", run: 4},
	{file: "docs/protocol/errors.md", run: 1},
}

// TestSnippets runs what the documents tell their readers to run, page by page, against a server of this tree: each
// block has to succeed, and where a text or json block follows it, that is what it says.
func TestSnippets(t *testing.T) {
	t.Parallel()
	for _, d := range documents {
		t.Run(d.file, func(t *testing.T) {
			t.Parallel()
			var run []block
			notRun := 0
			for _, b := range blocks(t, d.file) {
				switch {
				case b.notRun != "":
					notRun++
				case b.runs():
					run = append(run, b)
				}
			}
			require.Len(t, run, d.run, "blocks of sh and go")
			require.Equal(t, d.notRun, notRun, "blocks that are marked as not run")
			outputs := runBlocks(t, run)
			for i, b := range run {
				b.compare(t, outputs[i])
			}
			if d.check != nil {
				d.check(t, outputs)
			}
		})
	}
}

// notOurs are folders of others' texts, or of notes that are no part of the repository.
var notOurs = []string{"shared", "third_party", "node_modules"}

// TestNoPageWithSnippetsIsLeftOut: a new page with something to run has to stand in the table.
func TestNoPageWithSnippetsIsLeftOut(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, d := range documents {
		listed[d.file] = true
	}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != "." && (slices.Contains(notOurs, entry.Name()) || strings.HasPrefix(entry.Name(), ".")) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(file) != ".md" || listed[file] {
			return nil
		}
		for _, b := range blocks(t, file) {
			assert.False(t, b.runs() && b.notRun == "", "%s:%d: a block to run, on a page that TestSnippets does not know", file, b.line)
		}
		return nil
	})
	require.NoError(t, err)
}

// runBlocks runs a page's blocks in a folder of their own, and returns what each has written: first those of sh, as one
// script, since they share variables; then those of Go.
func runBlocks(t *testing.T, run []block) []string {
	t.Helper()
	s := start(t, t.TempDir())
	outputs := make([]string, len(run))
	var script strings.Builder
	var scripted []int
	for i := range run {
		run[i].text = strings.ReplaceAll(run[i].text, "127.0.0.1:7320", s.address)
		if run[i].language == "sh" {
			// A mark of its own begins each block's output; what fails is named.
			fmt.Fprintf(&script, "printf '\\036'; where='%s:%d'\n%s\n", run[i].file, run[i].line, run[i].text)
			scripted = append(scripted, i)
		}
	}
	for i, said := range strings.Split(runScript(t, s, script.String()), "\x1e")[1:] {
		outputs[scripted[i]] = said
	}
	for i, b := range run {
		if b.language == "go" {
			outputs[i] = runGo(t, b)
		}
	}
	return outputs
}

func runScript(t *testing.T, s *server, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-Eeuo", "pipefail", "-c", "trap 'echo \"failed at $where: $BASH_COMMAND\" >&2' ERR\n"+script)
	cmd.Dir = workplace(t)
	cmd.Env = append(os.Environ(), "ENGRAM_ADDRESS="+s.address)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", stderr.String(), out)
	return string(out)
}

// workplace is a folder with what the snippets take for granted: the binary, and files that they may name.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rows := `{"id":"photo-17","content":"a cat","embedding":[1,0,0.5]}` + "\n" + `{"id":"photo-18","content":"a dog","embedding":[0.9,0.1,0.4]}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "photos.jsonl"), []byte(rows), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte("version: 1\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(engram, filepath.Join(dir, "bin", "engram")))
	return dir
}

func runGo(t *testing.T, b block) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(b.text), 0o600))
	cmd := exec.Command("go", "run", file) // a file outside, built in this module's context
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s:%d: %s", b.file, b.line, out)
	return string(out)
}

// volatile are the keys whose values differ from run to run: only that there is one of its type is compared.
var volatile = map[string]bool{
	"createdAt": true, "receivedAt": true, "at": true, "elapsed": true,
	"sessionId": true, "resumeToken": true, "serverInstance": true,
}

// passing are the keys that may be there or not, as the moment has it.
var passing = map[string]bool{"drainPerSecond": true, "queueDepth": true, "heaviestSpaces": true}

// compare holds a block's output to what the page says that it is.
func (b *block) compare(t *testing.T, output string) {
	t.Helper()
	switch b.wantLanguage {
	case "text":
		assert.Equal(t, strings.TrimSpace(b.want), strings.TrimSpace(output), "%s:%d", b.file, b.line)
	case "json":
		assert.Equal(t, documentsIn(t, b, b.want), documentsIn(t, b, output), "%s:%d said:\n%s", b.file, b.line, output)
	}
}

// documentsIn reads one JSON document after the other, without what is volatile.
func documentsIn(t *testing.T, b *block, text string) (all []any) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var one any
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, "%s:%d:\n%s", b.file, b.line, text)
		all = append(all, steady(one))
	}
}

func steady(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			switch {
			case passing[key]:
			case volatile[key]:
				out[key] = fmt.Sprintf("some %T", inner)
			default:
				out[key] = steady(inner)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = steady(v[i])
		}
		return out
	case float64: // a processor that multiplies and adds in one step rounds otherwise
		return float64(int64(v*1e5+0.5)) / 1e5
	}
	return value
}
