package runbook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/bench/runbook"
)

// simple is the beginning of the track's simple_replace_runbook.yaml.
const simple = `random-xs:
  max_pts: 10000
  1: 
    operation: "insert"
    start: 0
    end: 7500
  2:
    operation: "search"
  3:
    operation: "replace"
    tags_start: 0
    tags_end: 2500
    ids_start: 7500
    ids_end: 10000
  4:
    end: 5000
    operation: 'delete'
    start: 2500
  gt_url: "none"
`

func TestRead(t *testing.T) {
	b, err := runbook.Read("simple.yaml", strings.NewReader(simple), "")
	require.NoError(t, err)
	assert.Equal(t, &runbook.Runbook{
		File: "simple.yaml", Dataset: "random-xs", MaxPoints: 10000,
		Steps: []runbook.Step{
			{1, 3, runbook.Insert, runbook.Range{End: 7500}, runbook.Range{End: 7500}},
			{2, 7, runbook.Search, runbook.Range{}, runbook.Range{}},
			{3, 9, runbook.Replace, runbook.Range{End: 2500}, runbook.Range{Start: 7500, End: 10000}},
			{4, 15, runbook.Delete, runbook.Range{Start: 2500, End: 5000}, runbook.Range{Start: 2500, End: 5000}},
		},
	}, b)
	require.NoError(t, b.Check(10000))
	assert.EqualError(t, b.Check(9000), "read runbook: simple.yaml:9: step 3 ends at 10000, and the data set has 9000 vectors")
}

func TestBrokenRunbooks(t *testing.T) {
	for want, text := range map[string]string{
		"x.yaml:1: there is nothing in it":                                 "",
		"x.yaml:1: want the name of a data set":                            "[1]",
		"x.yaml:1: want numbered steps":                                    "d: 7",
		"x.yaml:2: there are no steps":                                     "d:\n  max_pts: 7",
		"x.yaml:2: max_pts \"many\"":                                       "d:\n  max_pts: many",
		"x.yaml:2: step 2 stands where step 1 is due":                      "d:\n  2: {operation: search}",
		"x.yaml:2: \"frist\" is neither":                                   "d:\n  frist: {operation: search}",
		"x.yaml:2: step 1 has no operation":                                "d:\n  1: {start: 1}",
		"x.yaml:3: step 1: operation \"upsert\" is unknown":                "d:\n  1:\n    operation: upsert",
		"x.yaml:2: step 1: insert has no end":                              "d:\n  1: {operation: insert, start: 1}",
		"x.yaml:2: end \"-1\"":                                             "d:\n  1: {operation: insert, start: 1, end: -1}",
		"x.yaml:2: step 1: a range ends where it begins":                   "d:\n  1: {operation: insert, start: 1, end: 1}",
		"x.yaml:2: step 1: search takes no start":                          "d:\n  1: {operation: search, start: 1}",
		"x.yaml:2: step 1: 2 tags are replaced by 1":                       "d:\n  1: {operation: replace, tags_start: 0, tags_end: 2, ids_start: 0, ids_end: 1}",
		"x.yaml:2: there are runbooks for 2 data sets (say which one: the": "a: {1: {operation: search}}\nb: {1: {operation: search}}",
		"x.yaml: yaml: ":                                                   "\t",
	} {
		_, err := runbook.Read("x.yaml", strings.NewReader(text), "")
		assert.ErrorContains(t, err, want)
	}
	_, err := runbook.Read("x.yaml", strings.NewReader(simple), "other")
	assert.ErrorContains(t, err, `no runbook for the data set "other" (there is one for "random-xs")`)
}

func TestCheckFollowsWhatIsAlive(t *testing.T) {
	for want, text := range map[string]string{
		"x.yaml:3: step 2 inserts 1, which is there":              "d:\n  1: {operation: insert, start: 0, end: 2}\n  2: {operation: insert, start: 1, end: 3}",
		"x.yaml:2: step 1: to delete 0 it would have to be there": "d:\n  1: {operation: delete, start: 0, end: 2}",
		"x.yaml:3: after step 1 there are 2, more than the 1":     "d:\n  max_pts: 1\n  1: {operation: insert, start: 0, end: 2}",
	} {
		b, err := runbook.Read("x.yaml", strings.NewReader(text), "")
		require.NoError(t, err)
		assert.ErrorContains(t, b.Check(10), want)
	}
}

// TestOurs: the runbooks of the repository fit Fashion-MNIST.
func TestOurs(t *testing.T) {
	files, err := filepath.Glob("../../../bench/runbooks/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		in, err := os.Open(file)
		require.NoError(t, err)
		b, err := runbook.Read(file, in, "fashion-mnist")
		require.NoError(t, err)
		require.NoError(t, in.Close())
		assert.NoError(t, b.Check(60000))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(simple)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := runbook.Read("x.yaml", strings.NewReader(text), "")
		if err != nil {
			assert.ErrorContains(t, err, "x.yaml")
			return
		}
		_ = b.Check(1000) // says so, or not
	})
}
