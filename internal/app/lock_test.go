package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

// Every folder on the way to the data is in its parent durably before anything is put into it.
func TestTheDataFoldersEntriesAreSynced(t *testing.T) {
	top := t.TempDir()
	a := filepath.Join(top, "a")
	var done []string
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpMkdirAll:
			done = append(done, "make "+op.Path)
		case errorfs.OpFileSync:
			done = append(done, "sync "+op.Path)
		}
		return nil
	}))
	lock, err := lockFolderOf(fs, filepath.Join(a, "b"))
	require.NoError(t, err)
	require.NoError(t, lock.release())
	assert.Equal(t, []string{
		"sync " + filepath.Dir(top), "make " + a, "sync " + top, "make " + filepath.Join(a, "b"), "sync " + a,
	}, done)
	info, err := os.Stat(a)
	require.NoError(t, err)
	assert.EqualValues(t, folderMode, info.Mode().Perm(), "for this user alone")
}

func TestADataFolderThatCanNotBeMadeIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, folder := range []string{file, filepath.Join(file, "data")} {
		_, err := lockFolder(folder)
		require.Error(t, err)
		f := fault.As(err)
		assert.Equal(t, fault.FailedPrecondition, f.Kind)
		assert.Equal(t, folder, f.Subject)
		assert.ErrorContains(t, err, "not a directory")
		assert.NotContains(t, err.Error(), "disk", "it is no matter of the disk's health")
	}
}
