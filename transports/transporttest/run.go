package transporttest

import (
	"embed"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/*.txt
var files embed.FS

var rewrite = flag.String("rewrite", "", "write what the scenarios print now into the `folder` that holds them, to be read in the diff")

// Run runs every scenario on a transport, each as a test of its own.
func Run(t *testing.T, transport Transport) {
	t.Helper()
	for name, text := range Scenarios(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := Play(t, transport, text)
				if *rewrite != "" {
					require.NoError(t, os.WriteFile(filepath.Join(*rewrite, name+".txt"), []byte(got), 0o600))
					return
				}
				require.Equal(t, text, got)
			})
		})
	}
}

// Scenarios returns the texts by their names.
func Scenarios(t testing.TB) map[string]string {
	t.Helper()
	found, err := fs.Glob(files, "testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	texts := make(map[string]string, len(found))
	for _, file := range found {
		text, err := files.ReadFile(file)
		require.NoError(t, err)
		texts[strings.TrimSuffix(filepath.Base(file), ".txt")] = string(text)
	}
	return texts
}

// Play runs the commands of a text in the bubble that it is called in, and returns the text with what they print now.
func Play(t testing.TB, transport Transport, text string) string {
	t.Helper()
	s := newStory(t, transport)
	defer s.end()
	var out, printed strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "----":
			out.WriteString(line + printed.String())
			printed.Reset()
			skipping = true
			continue
		case trimmed == "":
			skipping = false
		case skipping:
			continue
		case !strings.HasPrefix(trimmed, "#"):
			printed.WriteString(s.run(trimmed))
		}
		out.WriteString(line)
	}
	require.Empty(t, printed.String(), "the last command prints, but nothing says what")
	return out.String()
}
