package arch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, path, source string) File {
	t.Helper()
	f, err := Parse(path, []byte(source))
	require.NoError(t, err)
	return f
}

func texts(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.Text + "\n")
	}
	return b.String()
}

func TestLongFile(t *testing.T) {
	fits := "package p\n" + strings.Repeat("\n", maxFileLines-1)
	assert.Empty(t, LongFile(parse(t, "p/a.go", fits)))
	assert.Contains(t, texts(LongFile(parse(t, "p/a.go", fits+"\n"))), "p/a.go has 801 lines")
}

func TestLongFunctions(t *testing.T) {
	fits := "package p\nfunc f() {" + strings.Repeat("\n", maxFunctionLines) + "\n}\n"
	assert.Empty(t, LongFunctions(parse(t, "p/a.go", fits)))

	long := strings.Replace(fits, "\n}", "\n\n}", 1)
	found := LongFunctions(parse(t, "p/a.go", long))
	assert.Contains(t, texts(found), "p/a.go:2: f has 71 lines")
	assert.Empty(t, Excuse(found, map[string]string{"p/a.go:f": "a table"}))
}

func TestLeftOvers(t *testing.T) {
	marked := "package p\n\n// " + "TO" + "DO: later\nvar word = `" + "TO" + "DO`\n"
	assert.Equal(t, "p/a.go:3: "+"TO"+"DO: do it, or open an issue\n", texts(LeftOvers(parse(t, "p/a.go", marked))))
	assert.Empty(t, LeftOvers(parse(t, "p/a.go", "package p\n\n// Mastodon\n")))
}

func TestSleeps(t *testing.T) {
	source := "package p\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"
	assert.Contains(t, texts(Sleeps(parse(t, "p/a_test.go", source))), "p/a_test.go:5: time.Sleep in a test")
	assert.Empty(t, Sleeps(parse(t, "p/a.go", source)), "code that ships may wait")

	bubble := strings.Replace(source, `"time"`, "(\n\"testing/synctest\"\n\"time\"\n)", 1)
	assert.Empty(t, Sleeps(parse(t, "p/a_test.go", bubble)), "a bubble's clock takes no time")
}

func TestUndocumented(t *testing.T) {
	said := parse(t, "p/a.go", "// Package p does.\npackage p\n")
	again := parse(t, "p/b.go", "// Package p does, too.\npackage p\n")
	silent := parse(t, "q/a.go", "package q\n")
	assert.Empty(t, Undocumented([]File{said}))
	assert.Equal(t, "q has no package comment: say what it is, what it promises, how to start\n",
		texts(Undocumented([]File{said, silent})))
	test := parse(t, "p/a_test.go", "// Package p is tested.\npackage p\n")
	assert.Empty(t, Undocumented([]File{said, test}), "a test's comment is its own")
	assert.Empty(t, Undocumented([]File{test}), "a folder of tests only")
	assert.Equal(t, "p has several package comments: a.go, b.go\n", texts(Undocumented([]File{said, again})))
}

func TestExcuseWantsReasonsAndUse(t *testing.T) {
	left := Excuse([]Finding{{"a", "a is wrong"}, {"b", "b is wrong"}}, map[string]string{"a": "", "c": "because"})
	assert.ElementsMatch(t, []string{
		"b is wrong",
		"a is excused without a reason",
		"c is excused and needs no excuse any more: delete the exception",
	}, left)
}
