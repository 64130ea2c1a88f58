// Package clients has the protocol spoken by clients that are not ours: grpcurl, `buf curl`, connect-go, grpc-go and
// Python's grpcio, each against a real `engram serve`.
//
// Each of them goes through the whole story: every call that the descriptors of engram.v1 list, streams too, and every
// shape of error. A call that the story leaves out fails it by name. TestMain builds the server and the tools once; the
// Python test installs grpcio from the Python registry.
package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// root is the repository's top folder.
const root = "../.."

// built is what TestMain has made ready.
var built struct {
	engram, grpcurl, buf string // paths of programs
	schema               string // a file with the descriptors of proto/
}

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "engram-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func build(dir string) (err error) {
	built.engram = filepath.Join(dir, "engram")
	if _, err = output("go", "build", "-race", "-o", built.engram, "./cmd/engram"); err != nil {
		return err
	}
	if built.grpcurl, err = tool("grpcurl"); err != nil {
		return err
	}
	if built.buf, err = tool("buf"); err != nil {
		return err
	}
	built.schema = filepath.Join(dir, "schema.binpb")
	_, err = output(built.buf, "build", "-o", built.schema)
	return err
}

// tool returns the path of a tool that tools/go.mod pins. Go builds it when it is not in the build cache.
func tool(name string) (string, error) {
	return output("go", "tool", "-modfile=tools/go.mod", "-n", name)
}

// output runs a program in the repository's top folder.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}
