package pipeline

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/configuration.md anew")

const (
	module = "github.com/engram-stream/engram"
	root   = "../.."
)

// setting is a row of the guide. What it says comes from the comment of the field that holds it.
type setting struct {
	name, fallback, meaning, limits string
	value                           reflect.Value // addressable, with its default
}

// The tables of the guide are made from the code: names and types from the settings' structs, meanings and ranges from
// their comments, defaults from the default pipeline, and of a kind what it registered.
func TestTheTablesOfTheGuideAreThoseOfTheCode(t *testing.T) {
	text := string(guide(t))
	for name, table := range map[string]string{
		"settings": settingsTable(t), "kinds": kindsTable(), "settings of the kinds": kindSettingsTable(t),
	} {
		begin, end := fmt.Sprintf("<!-- %s: written by `go test ./tests/pipeline -rewrite` -->\n", name), "<!-- end -->"
		before, rest, found := strings.Cut(text, begin)
		require.True(t, found, "the guide has no place for its table of %s", name)
		is, after, found := strings.Cut(rest, end)
		require.True(t, found)
		if *rewrite {
			text = before + begin + table + end + after
			continue
		}
		assert.Equal(t, table, is, "run `go test ./tests/pipeline -rewrite`; change the comments in the code")
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(filepath.Join(root, "docs", "configuration.md"), []byte(text), 0o600))
	}
}

func settingsTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| key | default | what it is | range |\n| --- | --- | --- | --- |\n")
	for _, s := range settings(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, s.fallback, s.meaning, s.limits)
	}
	return b.String()
}

func kindSettingsTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| setting | default | what it is | range |\n| --- | --- | --- | --- |\n")
	for _, kind := range allKinds() {
		for _, s := range kindSettings(t, kind) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, s.fallback, s.meaning, s.limits)
		}
	}
	return b.String()
}

func kindsTable() string {
	var b strings.Builder
	b.WriteString("| kind | is a | takes | gives | what it does | in the wiring |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, kind := range allKinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", kind.Name, kind.Role, item(kind.In), item(kind.Out), kind.Doc.Summary, traits(kind.Doc.Traits))
	}
	return b.String()
}

func item(t reflect.Type) string {
	if t == nil {
		return ""
	}
	return t.Name()
}

func traits(t graph.Traits) string {
	var said []string
	for _, trait := range []struct {
		has  bool
		says string
	}{
		{t.Fused, "runs with its upstream"},
		{t.Ordered, "relies on order"},
		{t.Partitions, "splits into lanes"},
		{t.Charges, "takes the budget"},
		{t.Parallel, "may have `parallel`"},
	} {
		if trait.has {
			said = append(said, trait.says)
		}
	}
	return strings.Join(said, ", ")
}

// allKinds are the registered ones: those of the default pipeline first, in its order.
func allKinds() []*graph.Kind {
	registry := kinds()
	var all []*graph.Kind
	seen := map[*graph.Kind]bool{}
	add := func(k *graph.Kind) {
		if !seen[k] {
			seen[k] = true
			all = append(all, k)
		}
	}
	p, _ := config.Parse("default.yaml", config.Default(), registry, nil)
	for _, n := range p.Spec.Nodes {
		add(registry.Lookup(n.Role, n.Kind))
	}
	for _, role := range []graph.Role{graph.RoleSource, graph.RoleStage, graph.RoleSink} {
		for _, k := range registry.Kinds(role) {
			add(k)
		}
	}
	return all
}

// settings are those of a pipeline file, with the defaults of the default pipeline.
func settings(t *testing.T) []setting {
	p, problems := config.Parse("default.yaml", config.Default(), kinds(), nil)
	require.Empty(t, problems)
	return describe(t, "", reflect.ValueOf(&p.Settings).Elem())
}

func kindSettings(t *testing.T, kind *graph.Kind) []setting {
	return describe(t, kind.Name, reflect.ValueOf(kind.NewConfig()).Elem())
}

// describe lists the settings in a struct, those of structs inside it under their names.
func describe(t *testing.T, under string, v reflect.Value) []setting {
	t.Helper()
	var all []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := strings.TrimPrefix(under+"."+field.Tag.Get("yaml"), ".")
		if v.Field(i).Kind() == reflect.Struct {
			all = append(all, describe(t, name, v.Field(i))...)
			continue
		}
		meaning, limits, _ := strings.Cut(comment(t, v.Type(), field.Name), "Range: ")
		require.NotEmpty(t, strings.TrimSpace(meaning), "%s has no comment that says what it is", name)
		all = append(all, setting{
			name: name, fallback: "`" + inYAML(v.Field(i)) + "`", value: v.Field(i),
			meaning: strings.TrimSuffix(strings.TrimSpace(lowered(meaning)), "."), limits: strings.TrimSpace(limits),
		})
	}
	return all
}

// lowered begins a cell of a table in lower case.
func lowered(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// inYAML writes a value as the default file does.
func inYAML(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	switch {
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		return strings.ReplaceAll(text, " ", ", ")
	case v.Type().PkgPath() == "time":
		text = strings.Replace(text, "m0s", "m", 1)
		return strings.Replace(text, "h0m", "h", 1)
	}
	return cmp.Or(text, `""`)
}

// comment is what stands above, or beside, a field of a struct in the source of its package.
func comment(t *testing.T, in reflect.Type, field string) string {
	t.Helper()
	folder := filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(in.PkgPath(), module+"/")))
	var said string
	require.NoError(t, filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != folder:
			return filepath.SkipDir
		case d.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok && s.Name.Name == in.Name() {
				said = fieldComment(s, field)
			}
			return true
		})
		return nil
	}))
	return said
}

func fieldComment(s *ast.TypeSpec, field string) string {
	structure, ok := s.Type.(*ast.StructType)
	if !ok {
		return ""
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			if name.Name == field {
				return strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
			}
		}
	}
	return ""
}
