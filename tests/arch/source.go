package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The limits of the house.
const (
	maxFileLines     = 800 // a file is one idea
	maxFunctionLines = 70  // a function fits a screen; the lines between its signature and its closing brace
)

// leftOver finds the marks of unfinished work. Work that is left is an issue, not a comment.
var leftOver = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

// File is one Go file, parsed.
type File struct {
	Path  string // from the root of the repository, with slashes
	lines int
	set   *token.FileSet
	tree  *ast.File
}

// Parse reads a Go file.
func Parse(filePath string, source []byte) (File, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, filePath, source, parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	return File{Path: filePath, lines: strings.Count(string(source), "\n"), set: set, tree: tree}, nil
}

// Generated reports whether a generator wrote the file; the rules below hold for people.
func (f File) Generated() bool { return ast.IsGenerated(f.tree) }

func (f File) isTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

func (f File) line(n ast.Node) int { return f.set.Position(n.Pos()).Line }

// A Finding is one broken rule. Subject names what an exception would have to excuse.
type Finding struct {
	Subject string
	Text    string
}

// LongFile finds a file of too many lines.
func LongFile(f File) []Finding {
	if f.lines <= maxFileLines {
		return nil
	}
	return []Finding{{f.Path, fmt.Sprintf("%s has %d lines, more than %d: split it by idea", f.Path, f.lines, maxFileLines)}}
}

// LongFunctions finds functions that do not fit a screen.
func LongFunctions(f File) []Finding {
	var found []Finding
	for _, declaration := range f.tree.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		lines := f.set.Position(function.Body.Rbrace).Line - f.set.Position(function.Body.Lbrace).Line - 1
		if lines <= maxFunctionLines {
			continue
		}
		found = append(found, Finding{
			Subject: f.Path + ":" + function.Name.Name,
			Text: fmt.Sprintf("%s:%d: %s has %d lines, more than %d: name its parts",
				f.Path, f.line(function), function.Name.Name, lines, maxFunctionLines),
		})
	}
	return found
}

// LeftOvers finds comments that mark unfinished work.
func LeftOvers(f File) []Finding {
	var found []Finding
	for _, group := range f.tree.Comments {
		for _, comment := range group.List {
			if mark := leftOver.FindString(comment.Text); mark != "" {
				found = append(found, Finding{f.Path, fmt.Sprintf("%s:%d: %s: do it, or open an issue", f.Path, f.line(comment), mark)})
			}
		}
	}
	return found
}

// Sleeps finds real sleeping in tests: it is slow where the machine is fast and fails where it is slow. A file that
// uses testing/synctest sleeps on its bubble's clock, which takes no time.
func Sleeps(f File) []Finding {
	if !f.isTest() || f.imports("testing/synctest") {
		return nil
	}
	var found []Finding
	ast.Inspect(f.tree, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "Sleep" {
			return true
		}
		if from, ok := selector.X.(*ast.Ident); ok && from.Name == "time" {
			found = append(found, Finding{
				Subject: f.Path,
				Text:    fmt.Sprintf("%s:%d: time.Sleep in a test: wait for the event, or use testing/synctest", f.Path, f.line(n)),
			})
		}
		return true
	})
	return found
}

func (f File) imports(importPath string) bool {
	for _, spec := range f.tree.Imports {
		if spec.Path.Value == strconv.Quote(importPath) {
			return true
		}
	}
	return false
}

// Undocumented finds packages without a package comment, or with several, where a reader would not know which to
// believe. Test files count only in a folder that holds nothing else.
func Undocumented(files []File) []Finding {
	folders := map[string][]File{}
	for _, f := range files {
		folder := path.Dir(f.Path)
		folders[folder] = append(folders[folder], f)
	}
	var found []Finding
	for folder, all := range folders {
		in := documented(all)
		if len(in) == 0 {
			found = append(found, Finding{folder, folder + " has no package comment: say what it is, what it promises, how to start"})
		}
		if len(in) > 1 {
			found = append(found, Finding{folder, folder + " has several package comments: " + strings.Join(in, ", ")})
		}
	}
	return found
}

// documented names the files that carry the package comment.
func documented(files []File) []string {
	if !slices.ContainsFunc(files, func(f File) bool { return !f.isTest() }) {
		return commented(files)
	}
	return commented(slices.DeleteFunc(files, File.isTest))
}

func commented(files []File) []string {
	var names []string
	for _, f := range files {
		if f.tree.Doc != nil {
			names = append(names, path.Base(f.Path))
		}
	}
	return names
}
