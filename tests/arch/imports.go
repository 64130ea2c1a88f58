// Package arch keeps the house rules executable: who may import whom, how long a file or a function may be, and what
// does not belong in either.
//
// The rules are data: table.go holds the import table with the reason for each line, exceptions.go what is excused and
// why. The checkers are plain functions over values, so that their own tests can show that each rule can fail.
package arch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Module is the import path that the folders of the table are relative to.
const Module = "github.com/engram-stream/engram"

// Layer says what the packages of one folder may import of ours.
type Layer struct {
	Folder string   // this folder and everything beneath it, unless a deeper Layer says otherwise
	May    []string // a folder is its root package only; "folder/..." includes what lies beneath
	Kits   []string // what its tests may import besides
	Why    string   // the reason, shown with every violation
}

// Ban forbids reaching a package by any path, through others too.
type Ban struct {
	From string // a folder of ours, with everything beneath it
	To   string // an import path, with everything beneath it; in full, since Go itself has an internal/ too
	Why  string
}

// Package is what the rules need to know of a Go package.
type Package struct {
	ImportPath   string
	Imports      []string // direct
	TestImports  []string // direct, of tests inside the package
	XTestImports []string // direct, of tests outside the package
	Deps         []string // direct and indirect, without tests
}

// CheckImports returns a line for each import that the table does not allow, and each ban that is broken.
func CheckImports(packages []Package, layers []Layer, bans []Ban) []string {
	var found []string
	for _, p := range packages {
		folder, ours := folderOf(p.ImportPath)
		if !ours {
			continue
		}
		found = append(found, checkBans(p, folder, bans)...)
		layer, ok := layerOf(folder, layers)
		if !ok {
			found = append(found, folder+" has no line in the import table: give it one, with a reason")
			continue
		}
		found = append(found, checkDirect(folder, p.Imports, layer, layer.May)...)
		inTests := slices.Concat(layer.May, layer.Kits)
		found = append(found, checkDirect(folder+" (test)", p.TestImports, layer, inTests)...)
		found = append(found, checkDirect(folder+" (test)", p.XTestImports, layer, inTests)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func checkDirect(who string, imports []string, layer Layer, may []string) []string {
	var found []string
	for _, path := range imports {
		target, ours := folderOf(path)
		if !ours || under(target, layer.Folder) || allowed(target, may) {
			continue
		}
		found = append(found, fmt.Sprintf("%s imports %s: %s", who, target, layer.Why))
	}
	return found
}

func checkBans(p Package, folder string, bans []Ban) []string {
	var found []string
	for _, b := range bans {
		if !under(folder, b.From) {
			continue
		}
		for _, dep := range p.Deps {
			if under(dep, b.To) {
				target, _ := folderOf(dep)
				found = append(found, fmt.Sprintf("%s reaches %s: %s", folder, target, b.Why))
			}
		}
	}
	return found
}

// layerOf returns the deepest layer that holds the folder.
func layerOf(folder string, layers []Layer) (Layer, bool) {
	holding := slices.DeleteFunc(slices.Clone(layers), func(l Layer) bool { return !under(folder, l.Folder) })
	if len(holding) == 0 {
		return Layer{}, false
	}
	return slices.MaxFunc(holding, func(a, b Layer) int { return cmp.Compare(len(a.Folder), len(b.Folder)) }), true
}

// allowed reports whether an entry of the table names the folder.
func allowed(folder string, may []string) bool {
	return slices.ContainsFunc(may, func(entry string) bool {
		tree, deep := strings.CutSuffix(entry, "/...")
		return folder == tree || deep && under(folder, tree)
	})
}

// folderOf returns the folder of one of our packages, or the import path of someone else's.
func folderOf(importPath string) (folder string, ours bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

// under reports whether path is folder or lies beneath it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
