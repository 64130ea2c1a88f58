// Package e2e tests the whole system as its users meet it: the built binary, real processes, real clients.
//
// TestMain builds the binary once, with the race detector. Every server listens on a free loopback port, keeps its
// data in a temporary folder and is ended by its own pid.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// engram is the path of the binary under test.
var engram string

// root is the repository's top folder.
const root = "../.."

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "engram-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	engram = filepath.Join(dir, "engram")
	build := exec.Command("go", "build", "-race", "-o", engram, "./cmd/engram")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
