// Package docs holds the documentation to the code: what a page names has to be there, and what is there has to be named.
package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// notOurs are folders of others' texts, or of notes that are no part of the repository.
var notOurs = []string{"shared", "third_party", "node_modules", "data", "bin"}

// walk visits the files of the tree with one of the endings, by their paths from the root.
func walk(t *testing.T, ending string, visit func(file, text string)) {
	t.Helper()
	tree := os.DirFS(root)
	require.NoError(t, fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && (slices.Contains(notOurs, entry.Name()) || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, ending):
			return nil
		}
		text, err := fs.ReadFile(tree, file)
		visit(file, string(text))
		return err
	}))
}

func page(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(text)
}

var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	header = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestLinksLeadSomewhere: a link within the repository leads to a file or folder, and to a heading where it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	walk(t, ".md", func(file, text string) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			to := file
			if target != "" {
				to = path.Join(path.Dir(file), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: the link %q leads nowhere", file, m[1])
				continue
			}
			if anchor != "" {
				assert.Contains(t, anchors(page(t, to)), anchor, "%s: the link %q", file, m[1])
			}
		}
	})
}

// anchors are the headings of a page as links name them.
func anchors(text string) (all []string) {
	for _, m := range header.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		all = append(all, kept)
	}
	return all
}

// ours is a path of the repository in backticks.
var ours = regexp.MustCompile("`((?:client|cmd|config|docs|graph|internal|proto|stages|tests|tools|transports)/[A-Za-z0-9_./-]+)`")

// TestPathsExist: a file or folder that a page names is there.
func TestPathsExist(t *testing.T) {
	walk(t, ".md", func(file, text string) {
		if strings.HasPrefix(file, "docs/decisions/") { // they tell of what was
			return
		}
		for _, m := range ours.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join(root, m[1]))
			assert.NoError(t, err, "%s names %s", file, m[1])
		}
	})
}

var testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")

// TestNamedTestsExist: the tests that hold a page's statements are there.
func TestNamedTestsExist(t *testing.T) {
	defined := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(t \*testing\.T\)`)
	walk(t, "_test.go", func(_, text string) {
		for _, m := range declaration.FindAllStringSubmatch(text, -1) {
			defined[m[1]] = true
		}
	})
	named := 0
	walk(t, ".md", func(file, text string) {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			named++
			assert.True(t, defined[m[1]], "%s names the test %s", file, m[1])
		}
	})
	assert.Greater(t, named, 30, "the failure table names its tests")
}

// TestTheIndexOfDecisionsIsComplete: each record stands in the index, under its title.
func TestTheIndexOfDecisionsIsComplete(t *testing.T) {
	index := page(t, "docs/decisions/README.md")
	records, err := filepath.Glob(filepath.Join(root, "docs", "decisions", "[0-9]*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, records)
	for _, record := range records {
		name := filepath.Base(record)
		number, title, found := strings.Cut(header.FindStringSubmatch(page(t, "docs/decisions/"+name))[1], ". ")
		require.True(t, found, name)
		assert.Contains(t, index, "["+number+"]("+name+") | "+title+" |", name)
	}
}

// TestTheArchitectureNamesEveryFolder: a newcomer finds each folder with Go code in its table.
func TestTheArchitectureNamesEveryFolder(t *testing.T) {
	_, table, found := strings.Cut(page(t, "ARCHITECTURE.md"), "## The folders")
	require.True(t, found)
	seen := map[string]bool{}
	walk(t, ".go", func(file, _ string) {
		folder := path.Dir(file)
		for _, under := range []string{"proto/gen", "internal/dataset"} { // named as a whole
			if strings.HasPrefix(folder, under) {
				folder = under
			}
		}
		if !seen[folder] {
			seen[folder] = true
			assert.Contains(t, table, "`"+folder+"`", "ARCHITECTURE.md")
		}
	})
}
