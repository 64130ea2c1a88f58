package main

import (
	"io/fs"
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

	require.NoError(t, os.Remove(path))
	require.NoError(t, c.save())
	assert.NoFileExists(t, path, "another run has come to the end")
	require.NoError(t, back.save())
	c.state.Ticket.SessionID = "s2"
	require.NoError(t, c.save())
	left, err := readCheckpoint(path)
	require.NoError(t, err)
	assert.Equal(t, "s1", left.Ticket.SessionID, "another run has begun anew")

	again, err := openCheckpoint(path, "notes", file, identity, true)
	require.NoError(t, err)
	assert.False(t, again.found, "--restart begins anew")
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
	c.state.Version = 9
	require.NoError(t, c.save())
	_, err = openCheckpoint(path, "notes", file, identity, false)
	require.ErrorContains(t, err, "of version 9, and this engram reads 1; send it again from its first row with --restart")
	_, err = openCheckpoint(path, "notes", file, identity, true)
	require.NoError(t, err)
}

// TestTwoRunsThatBeginAtOnce: only one of them does, and neither removes what is the other's.
func TestTwoRunsThatBeginAtOnce(t *testing.T) {
	file, identity := input(t, "rows")
	path := file + checkpointSuffix
	one, err := openCheckpoint(path, "notes", file, identity, false)
	require.NoError(t, err)
	two, err := openCheckpoint(path, "notes", file, identity, false)
	require.NoError(t, err)
	one.state.Ticket.SessionID, two.state.Ticket.SessionID = "s1", "s2"
	require.NoError(t, one.save())
	require.ErrorIs(t, two.save(), fs.ErrExist)
	require.NoError(t, two.remove())
	require.FileExists(t, path)

	anew, err := openCheckpoint(path, "notes", file, identity, true)
	require.NoError(t, err)
	anew.state.Ticket.SessionID = "s3"
	require.NoError(t, anew.save(), "--restart takes the place")
	require.NoError(t, one.remove())
	require.FileExists(t, path)
	require.NoError(t, anew.remove())
	assert.NoFileExists(t, path)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// TestWhatIsNoCheckpointIsLeftAlone: it would be overwritten, and removed at the end.
func TestWhatIsNoCheckpointIsLeftAlone(t *testing.T) {
	file, identity := input(t, `{"id":"a","embedding":[1]}`)
	other := filepath.Join(filepath.Dir(file), "notes.txt")
	for _, text := range []string{"", "my notes", "{}", `{"version":1}`, `{"id":"a","embedding":[1]}`} {
		require.NoError(t, os.WriteFile(other, []byte(text), 0o600))
		for _, restart := range []bool{false, true} {
			_, err := openCheckpoint(other, "notes", file, identity, restart)
			require.ErrorContains(t, err, "observe has not written it; name another with --resume")
			assert.NotContains(t, err.Error(), "delete")
			assert.Equal(t, exitUsage, exitCode(err))
		}
	}
	_, err := openCheckpoint(filepath.Dir(file), "notes", file, identity, true)
	require.ErrorContains(t, err, "is a directory")

	link := filepath.Join(filepath.Dir(file), "link")
	require.NoError(t, os.Symlink(file, link))
	for _, path := range []string{file, link} {
		flags := &observeFlags{resume: path, restart: true}
		_, err := flags.checkpoint("notes", []string{file})
		require.ErrorContains(t, err, "that is the file to be sent")
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
