package clients

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

const python = "python3"

// The paths in examples/python/README.md that a test has of its own.
const (
	readmePackages = "~/.cache/engram-python"
	readmeStubs    = "~/.cache/engram-stubs"
	readmeAddress  = "127.0.0.1:7320"
)

// TestPython: grpcio, with code that its own generator makes from proto/, as examples/python/README.md says. The example
// streams, loses its connection and resumes; then grpcio goes through the story as the other clients do.
func TestPython(t *testing.T) {
	t.Parallel()
	if os.Getenv("ENGRAM_SKIP_PYTHON") != "" {
		t.Skip("ENGRAM_SKIP_PYTHON is set: that engram can be spoken to from Python is not checked")
	}
	_, err := output(python, "-m", "pip", "--version")
	require.NoError(t, err, "python3 with pip is missing; install it, or leave this check out with ENGRAM_SKIP_PYTHON=1")
	install, run := readme(t)
	packages, stubs, address := installed(t, install), t.TempDir(), serve(t)

	run = strings.NewReplacer(readmePackages, packages, readmeStubs, stubs, readmeAddress, address).Replace(run)
	said, err := output("bash", "-euo", "pipefail", "-c", run)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^opened s\w+
committed 1
recalled tea all about tea
resumed True epoch 2
committed 4
recalled tea sea sun run
closed at 4 session ended True$`, said)

	tell(t, "grpcio", command{
		failed: pythonJSON, env: []string{"PYTHONPATH=" + packages + ":" + stubs},
		line: func(c call) []string { return []string{python, "tests/clients/call.py", address, c.procedure()} },
	}, nil)
}

// readme returns the lines that the example's README has for installing and for running.
func readme(t *testing.T) (install, run string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples/python/README.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 2)
	for _, path := range []string{readmePackages, readmeStubs, readmeAddress} {
		require.Contains(t, blocks[0][1]+blocks[1][1], path)
	}
	return blocks[0][1], blocks[1][1]
}

// installed returns a folder with the packages, which is kept in the user's cache for the next time: for each version of
// Python and of the requirements one.
func installed(t *testing.T, install string) string {
	t.Helper()
	version, err := output(python, "-VV")
	require.NoError(t, err)
	requirements, err := os.ReadFile(filepath.Join(root, "examples/python/requirements.txt"))
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	cache = filepath.Join(cache, "engram-test")
	require.NoError(t, os.MkdirAll(cache, 0o755))
	key := sha256.Sum256([]byte(install + version + string(requirements)))
	packages := filepath.Join(cache, "python-"+hex.EncodeToString(key[:8]))
	if _, err := os.Stat(packages); err == nil {
		return packages
	}
	part, err := os.MkdirTemp(cache, "part-") //nolint:usetesting // on the disk of the cache, so that it can be renamed
	require.NoError(t, err)
	defer os.RemoveAll(part)
	fresh := filepath.Join(part, "packages")
	_, err = output("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(install, readmePackages, fresh))
	require.NoError(t, err)
	if err := os.Rename(fresh, packages); err != nil {
		require.DirExists(t, packages, "%v", err) // another run was first
	}
	return packages
}

// pythonJSON reads an error as call.py writes it.
func pythonJSON(text []byte) (*spb.Status, error) {
	var said struct {
		Code            int32
		Message, Status string
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	answer := &spb.Status{Code: said.Code, Message: said.Message}
	whole, err := base64.StdEncoding.DecodeString(said.Status)
	if err != nil {
		return nil, err
	}
	wire := &spb.Status{}
	if err := proto.Unmarshal(whole, wire); err != nil {
		return nil, err
	}
	answer.Details = wire.GetDetails()
	return answer, nil
}
