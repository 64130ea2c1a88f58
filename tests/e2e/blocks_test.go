package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is a fenced block of a page.
type block struct {
	file     string
	line     int
	language string
	text     string
	notRun   string // why it is not to be run; empty: it is

	// want is the text or json block that follows it, with nothing in between: what it is said to write.
	want, wantLanguage string
}

func (b *block) runs() bool { return slices.Contains([]string{"sh", "go"}, b.language) }

var notRunMark = regexp.MustCompile(`^<!-- not run: (.+) -->$`)

// known are the languages of blocks. A block in another one would not be run, and nobody would notice: shell, bash, golang.
var known = []string{"", "sh", "go", "text", "json", "yaml", "markdown", "python"}

// blocks reads the fenced blocks of a page, in order.
func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	var open *block
	above, answers := "", -1 // the last line that was not empty; the block that an answer may follow
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open == nil && isFence:
			require.Contains(t, known, fence, "%s:%d: a block in a language that TestSnippets does not know", file, i+1)
			open = &block{file: file, line: i + 1, language: fence}
			if mark := notRunMark.FindStringSubmatch(above); mark != nil {
				open.notRun = mark[1]
			}
		case open != nil && line == "```":
			if answers >= 0 && (open.language == "text" || open.language == "json") {
				all[answers].want, all[answers].wantLanguage = open.text, open.language
			}
			all, answers = append(all, *open), -1
			if open.runs() {
				answers = len(all) - 1
			}
			open = nil
		case open != nil:
			open.text += line + "\n"
		case line != "":
			answers = -1
		}
		if line != "" {
			above = line
		}
	}
	require.Nil(t, open, "%s: the last block is not closed", file)
	return all
}

func TestBlocksAreFound(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs(root)
	require.NoError(t, err)
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("```sh\na\n```\n\n```text\nsays a\n```\n\n<!-- not run: it sleeps -->\n```sh\nb\n```\nprose\n```json\n{}\n```\n"), 0o600))
	relative, err := filepath.Rel(dir, page)
	require.NoError(t, err)
	found := blocks(t, relative)
	require.Len(t, found, 4)
	require.Equal(t, "says a\n", found[0].want)
	require.Empty(t, found[0].notRun)
	require.Equal(t, "it sleeps", found[2].notRun)
	require.Empty(t, found[2].want, "prose stands between")
}
