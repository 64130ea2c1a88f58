package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

var rewrite = flag.Bool("rewrite", false, "write what the files of testdata give now as what they should give")

// Each testdata/*.yaml is a file with mistakes; the .want beside it lists what Parse says of it.
func TestMistakesAreFoundAndPlaced(t *testing.T) {
	golden(t, "testdata/*.yaml", func(_ *Pipeline, problems graph.Diagnostics) graph.Diagnostics { return problems })
}

// Each testdata/wiring/*.yaml has mistakes in its wiring too; the .want is what `engram validate` says of it, less the
// hints, which are tested where they are made.
func TestWiringMistakesAreFoundInTheSameRun(t *testing.T) {
	golden(t, "testdata/wiring/*.yaml", func(p *Pipeline, _ graph.Diagnostics) graph.Diagnostics {
		problems := Check(p, fakeKinds())
		for i := range problems {
			problems[i].Hint = ""
		}
		return problems
	})
}

func golden(t *testing.T, pattern string, judge func(*Pipeline, graph.Diagnostics) graph.Diagnostics) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			got := lines(judge(Parse(filepath.Base(file), data, fakeKinds(), fakeEnv)))
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *rewrite {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o600))
			}
			expected, err := os.ReadFile(want)
			require.NoError(t, err)
			assert.Equal(t, string(expected), got)
		})
	}
}

func lines(problems graph.Diagnostics) string {
	if len(problems) == 0 {
		return "no problems\n"
	}
	var all strings.Builder
	for _, d := range problems {
		all.WriteString(d.Error() + "\n")
	}
	return all.String()
}
