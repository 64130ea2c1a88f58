package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDemo: the first command of the README does what it says, and what it says to try next works as it stands.
func TestDemo(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(engram, "demo", "--keep", "--json")
	var stdout, stderr lockedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended already
	var next []string
	waitUntil(within(t, 3*time.Minute), t, "it says what to try next", func() bool {
		next = regexp.MustCompile(`(?m)^  (\S+ recall .*|curl .*|echo .*)$`).FindAllString(stderr.String(), -1)
		return len(next) == 4
	})
	for _, line := range next {
		out, err := exec.Command("bash", "-euo", "pipefail", "-c", line).CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), stderr.String())
	var report struct {
		Observations  int     `json:"observations"`
		RecallAt10    float64 `json:"recall_at_10"`
		InGraph       float64 `json:"part_of_memories_in_the_graph"`
		FromGraph     float64 `json:"part_of_hits_from_the_graph"`
		Stale         int     `json:"recalls_that_missed_an_acked_observation"`
		Recalls       int     `json:"recalls_while_streaming"`
		FinalSequence uint64  `json:"final_sequence"`
		Text          struct {
			Embedder string `json:"embedder"`
			Recalls  []struct {
				Hits []struct {
					Content string `json:"content"`
				} `json:"hits"`
			} `json:"recalls"`
		} `json:"text"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout.String()), &report), stdout.String())
	require.Equal(t, 10000, report.Observations)
	require.EqualValues(t, 10000, report.FinalSequence)
	require.Zero(t, report.Stale)
	require.Positive(t, report.Recalls)
	require.GreaterOrEqual(t, report.RecallAt10, 0.98)
	require.GreaterOrEqual(t, report.InGraph, 0.7)
	require.Greater(t, report.FromGraph, 0.7)
	require.Equal(t, "lexical-v1-512", report.Text.Embedder)
	require.Len(t, report.Text.Recalls, 3)
	for i, says := range []string{"drinks green tea", "sister Lena", "sourdough bread"} {
		require.Contains(t, report.Text.Recalls[i].Hits[0].Content, says)
	}
}

// TestObserveAndRecallFiles: JSONL with bad lines, JSONL from standard input, and MNIST's own format.
func TestObserveAndRecallFiles(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	images := filepath.Join(root, "internal", "dataset", "fashionmnist", "t10k-images-idx3-ubyte.gz")
	var r result
	for range 2 { // the second time replaces all of them
		r = command(t, "", "observe", "images", images, "--address", s.address, "--json")
		require.Equal(t, 0, r.code, r.stderr)
		require.Contains(t, r.stdout, `"committed": 10000`)
	}
	spaces, err := s.client().ListSpaces(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 10000, spaces[0].Memories)
	r = command(t, "", "recall", "images", "--like", "t10k-images-00017", "--limit", "1", "--address", s.address)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "t10k-images-00017")

	r = command(t, `{"id":"a","embedding":[1,0]}`+"\n"+`{"id":"b","embedding":[1,0,0]}`+"\n"+`{"id":"c","embedding":[0,1]}`,
		"observe", "notes", "-", "--address", s.address)
	require.Equal(t, 4, r.code, "some were rejected")
	require.Contains(t, r.stderr, "stdin:2: rejected: embedding: ")
	require.Contains(t, r.stderr, `has dimension 2, got 3`)
	require.Contains(t, r.stdout, "2 observations committed")

	r = command(t, "", "recall", "notes", "--vector", "[1, 0.1]", "--address", s.address, "--json")
	require.Equal(t, 0, r.code, r.stderr)
	var answer struct {
		Hits []struct {
			ID string `json:"memory_id"`
		} `json:"hits"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &answer))
	require.Len(t, answer.Hits, 2)
	require.Equal(t, "a", answer.Hits[0].ID)

	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	require.NoError(t, os.WriteFile(bad, []byte("{\"id\":\"a\",\"embedding\":[1,0]}\n{oops\n"), 0o600))
	r = command(t, "", "observe", "notes", bad, "--address", s.address)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, bad+":2")
	require.Contains(t, strings.ToLower(r.stderr), "1 observation")
}

// TestGracefulStop: SIGTERM ends the server with exit code 0, and the data is there at the next start.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	status, _, _ := s.post("MemoryService/Observe", `{"space":"s","observations":[{"memoryId":"a","embedding":[1,0]}]}`)
	require.Equal(t, 200, status)
	require.NoError(t, s.stop(), s.stderr)
	s = start(t, dir)
	_, _, answer := s.post("MemoryService/Get", `{"space":"s","memoryIds":["a"]}`)
	require.Len(t, answer["memories"], 1)
}
