package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

func input(t *testing.T, text string) (path string, identity inputIdentity) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	identity, regular, err := identify(path)
	require.NoError(t, err)
	require.True(t, regular)
	return path, identity
}

// TestACheckpointIsReadBack: as it was written, readable for its owner alone, with nothing left beside it.
func TestACheckpointIsReadBack(t *testing.T) {
	file, identity := input(t, "rows")
	path := file + checkpointSuffix
	c, err := openCheckpoint(path, "notes", file, identity, false)
	require.NoError(t, err)
	assert.False(t, c.found)
	c.state.Ticket = client.Ticket{SessionID: "s1", Token: []byte("secret")}
	require.NoError(t, c.committed(7, 2))
	require.NoError(t, c.committed(8, 3), "too soon to be written")

	back, err := openCheckpoint(path, "notes", file, identity, false)
	require.NoError(t, err)
	assert.True(t, back.found)
	assert.Equal(t, client.Ticket{SessionID: "s1", Token: []byte("secret"), Committed: 7}, back.state.Ticket)
	assert.EqualValues(t, 2, back.state.Rejected)
	stat, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), stat.Mode())

	again, err := openCheckpoint(path, "notes", file, identity, true)
	require.NoError(t, err)
	assert.False(t, again.found, "--restart does not look at it")
	require.NoError(t, back.remove())
	require.NoError(t, back.remove(), "it may be gone already")
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestACheckpointOfSomethingElseIsRefused(t *testing.T) {
	file, identity := input(t, "rows")
	path := file + checkpointSuffix
	c, err := openCheckpoint(path, "notes", file, identity, false)
	require.NoError(t, err)
	c.state.Ticket.SessionID = "s1"
	require.NoError(t, c.save())
	longer, later, other := identity, identity, identity
	longer.Size++
	later.Modified = later.Modified.Add(time.Nanosecond)
	other.Head = "00"
	for want, try := range map[string]struct {
		space string
		input inputIdentity
	}{
		`an earlier run sent it to the space "notes"`: {"others", identity},
		"it has 5 bytes now, and had 4":               {"notes", longer},
		"it was written at":                           {"notes", later},
		"it begins differently now":                   {"notes", other},
	} {
		_, err := openCheckpoint(path, try.space, file, try.input, false)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "--restart, or delete "+path)
		assert.Equal(t, exitUsage, exitCode(err))
	}
	for text, want := range map[string]string{"": "no JSON", "photo": "no JSON", `{"version":9}`: "it is of version 9, this engram reads 1", "{}": "version 0"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := openCheckpoint(path, "notes", file, identity, false)
		require.ErrorContains(t, err, want)
	}
}

func TestAPipeIsNoFileToGoOnWith(t *testing.T) {
	_, regular, err := identify(os.DevNull)
	require.NoError(t, err)
	assert.False(t, regular)
	_, _, err = identify(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}

func TestACheckpointThatCannotBeWritten(t *testing.T) {
	file, identity := input(t, "rows")
	c, err := openCheckpoint(filepath.Join(filepath.Dir(file), "no folder", "x"), "notes", file, identity, false)
	require.NoError(t, err)
	require.ErrorContains(t, c.save(), "keep how far it came")
}
