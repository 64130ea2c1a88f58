package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// TestAWatchOutlivesTheServer: a client that watches is told everything once, in order, over a kill and a restart of the
// server, and fails when the space is deleted.
func TestAWatchOutlivesTheServer(t *testing.T) {
	t.Parallel()
	ctx, dir, address := within(t, time.Minute), t.TempDir(), freeAddress(t)
	s := startAt(t, dir, address)
	_, err := s.client().CreateSpace(ctx, client.Space{Name: "notes", Dimension: 2})
	require.NoError(t, err)
	told := make(chan string, 100)
	failed := make(chan error, 1)
	go func() {
		for n, err := range s.client().Watch(ctx, "notes", client.WatchOptions{}) {
			if err != nil {
				failed <- err
				return
			}
			if n.Kind == client.NoticeStarted {
				told <- "started"
			}
			for _, id := range n.IDs {
				told <- n.Kind.String() + " " + id
			}
		}
	}()
	require.Equal(t, "started", <-told)
	observe := func(id string) {
		_, err := s.client().Observe(ctx, "notes", []client.Observation{{ID: id, Embedding: []float32{1, 0}}})
		require.NoError(t, err)
	}
	observe("a")
	require.Equal(t, "stored a", <-told)
	s.kill()
	s = startAt(t, dir, address)
	observe("b")
	_, err = s.client().Forget(ctx, "notes", []string{"a"})
	require.NoError(t, err)
	require.Equal(t, "stored b", <-told)
	require.Equal(t, "forgotten a", <-told)
	require.NoError(t, s.client().DeleteSpace(ctx, "notes"))
	require.ErrorContains(t, <-failed, `the space "notes" has been deleted`)
	require.Empty(t, told)
	for n, err := range s.client().Watch(ctx, "notes", client.WatchOptions{}) {
		require.Empty(t, n)
		require.ErrorContains(t, err, "does not exist", "at once, since it never began")
	}
	observe("c")
	for n, err := range s.client().Watch(ctx, "notes", client.WatchOptions{FromStart: true}) {
		require.NoError(t, err)
		if n.Kind == client.NoticeStored {
			require.Equal(t, []string{"c"}, n.IDs)
			require.EqualValues(t, 1, n.Resume)
			break
		}
	}
}

// TestWatchFromTheShell: a line a notice, for people and for machines; Ctrl-C ends it in order, and says how to go on.
func TestWatchFromTheShell(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	_, err := s.client().Observe(ctx, "notes", []client.Observation{
		{ID: "tea", Embedding: []float32{1, 0}}, {ID: "bad\x1b[2J", Embedding: []float32{0, 1}},
	})
	require.NoError(t, err)
	_, err = s.client().Forget(ctx, "notes", []string{"tea"})
	require.NoError(t, err)
	watch := func(want string, args ...string) (stdout, stderr string) {
		var out, errs lockedBuffer
		cmd := exec.Command(engram, slices.Concat([]string{"watch", "notes", "--address", s.address}, args)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		require.NoError(t, cmd.Start())
		waitUntil(ctx, t, want, func() bool { return strings.Contains(out.String(), want) })
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), errs.String())
		return out.String(), errs.String()
	}
	stdout, stderr := watch("forgotten", "--from", "0")
	assert.Regexp(t, `watching "notes" after version 0; Ctrl-C ends it\n[0-9:.]+  stored +2  tea, bad\\u001b\[2J\n[0-9:.]+  forgotten +3  tea\n`, stdout)
	assert.Contains(t, stderr, "engram watch notes --address "+s.address+" --from 3")
	stdout, stderr = watch("forgotten", "--from", "1", "--kind", "forgotten", "--json")
	assert.Contains(t, stderr, "--json --kind forgotten --from 3")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 2)
	var started, forgotten map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &started))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &forgotten))
	assert.Equal(t, "started", started["kind"])
	assert.Equal(t, []any{"tea"}, forgotten["memory_ids"])
	assert.InDelta(t, 3, forgotten["resume"], 0)

	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no such space": {[]string{"nowhere", "--address", s.address}, 1, "does not exist"},
		"ahead":         {[]string{"notes", "--from", "99", "--address", s.address}, 1, "99"},
		"no kind":       {[]string{"notes", "--kind", "found"}, 2, "graphed"},
		"no version":    {[]string{"notes", "--from", "-2"}, 2, "-2"},
		"no server":     {[]string{"notes", "--address", freeAddress(t)}, 3, "engram serve"},
	} {
		r := command(t, "", append([]string{"watch"}, c.args...)...)
		assert.Equal(t, c.code, r.code, "%s: %s", name, r.stderr)
		assert.Contains(t, r.stderr, c.want, name)
	}
}

// TestAWatchSaysThatItWaits: while there is no server, and when there is one again.
func TestAWatchSaysThatItWaits(t *testing.T) {
	t.Parallel()
	ctx, dir, address := within(t, time.Minute), t.TempDir(), freeAddress(t)
	s := startAt(t, dir, address)
	_, err := s.client().CreateSpace(ctx, client.Space{Name: "notes", Dimension: 2})
	require.NoError(t, err)
	var out, errs lockedBuffer
	cmd := exec.Command(engram, "watch", "notes", "--address", address)
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	waitUntil(ctx, t, "it watches", func() bool { return strings.Contains(out.String(), "watching") })
	s.kill()
	waitUntil(ctx, t, "it says that it waits", func() bool { return strings.Contains(errs.String(), "engram: waiting: watch: ") })
	startAt(t, dir, address)
	waitUntil(ctx, t, "it says that it goes on", func() bool { return strings.Contains(errs.String(), "engram: connected again, going on\n") })
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), errs.String())
	assert.Equal(t, 3, strings.Count(errs.String(), "\n"), errs.String())
}
