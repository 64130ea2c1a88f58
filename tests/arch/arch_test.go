package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/tests/arch"
)

// root is the repository, seen from this folder.
const root = "../.."

// The table holds on every platform that has files of its own.
func TestImportsPointDown(t *testing.T) {
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		t.Run(platform, func(t *testing.T) {
			report(t, arch.CheckImports(packages(t, platform), arch.Layers(), arch.Bans()))
		})
	}
}

func TestFilesAreOneIdea(t *testing.T) {
	report(t, arch.Excuse(each(files(t), arch.LongFile), nil))
}

func TestFunctionsFitAScreen(t *testing.T) {
	report(t, arch.Excuse(each(files(t), arch.LongFunctions), arch.LongFunctionExceptions()))
}

func TestNothingIsLeftOver(t *testing.T) {
	report(t, arch.Excuse(each(files(t), arch.LeftOvers), nil))
}

func TestTestsDoNotSleep(t *testing.T) {
	report(t, arch.Excuse(each(files(t), arch.Sleeps), arch.SleepExceptions()))
}

func TestPackagesAreDocumented(t *testing.T) {
	report(t, arch.Excuse(arch.Undocumented(files(t)), nil))
}

func report(t *testing.T, found []string) {
	t.Helper()
	slices.Sort(found)
	for _, text := range found {
		t.Error(text)
	}
}

func each(files []arch.File, rule func(arch.File) []arch.Finding) []arch.Finding {
	var found []arch.Finding
	for _, f := range files {
		found = append(found, rule(f)...)
	}
	return found
}

// packages lists the module as the go command sees it on a platform.
func packages(t *testing.T, platform string) []arch.Package {
	t.Helper()
	system, machine, _ := strings.Cut(platform, "/")
	list := exec.CommandContext(t.Context(), "go", "list", "-e", // a package that does not build is the compiler's business
		"-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	list.Dir = root
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())

	var found []arch.Package
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p arch.Package
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		found = append(found, p)
	}
	require.NotEmpty(t, found)
	return found
}

// files parses every Go file that a person wrote, on every platform.
func files(t *testing.T) []arch.File {
	t.Helper()
	var found []arch.File
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := arch.Parse(filepath.ToSlash(relative), source)
		if err == nil && !f.Generated() {
			found = append(found, f)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}
