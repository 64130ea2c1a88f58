package files

import (
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// A process is killed at each operation of making a folder, another makes it in the page cache that is left, then the
// power fails: the folder that it was told of is there.
func TestMadeFolderOutlastsAKillAndAPowerLoss(t *testing.T) {
	for _, path := range []string{"a", "a/b/c/d", "/a/b"} {
		whole := &kill{}
		require.NoError(t, MakeFolder(errorfs.Wrap(vfs.NewMem(), whole), path, 0o755))
		require.Positive(t, whole.seen)
		for n := range whole.seen + 1 {
			mem := vfs.NewCrashableMem()
			err := MakeFolder(errorfs.Wrap(mem, &kill{n: n}), path, 0o755)
			require.Equal(t, n > 0, err != nil, "%s killed at %d: %v", path, n, err)
			require.NoError(t, MakeFolder(mem, path, 0o755))
			_, err = powerLoss(mem).Stat(path)
			require.NoError(t, err, "%s killed at %d", path, n)
		}
	}
}

// The parent of a folder that is found need not be ours, nor on a disk; the parent of one that is made is.
func TestParentThatCanNotBeSynced(t *testing.T) {
	for cause, tolerated := range map[error]bool{
		syscall.EACCES: true, syscall.EPERM: true, syscall.EINVAL: true, syscall.EROFS: true, syscall.EIO: false,
	} {
		for _, kind := range []errorfs.OpKind{errorfs.OpOpenDir, errorfs.OpFileSync} {
			found := vfs.NewMem()
			require.NoError(t, MakeFolder(found, "a/b", 0o755))
			err := MakeFolder(errorfs.Wrap(found, &failure{kind: kind, cause: cause}), "a/b", 0o755)
			require.Equal(t, tolerated, err == nil, "%v: %v", cause, err)
			err = MakeFolder(errorfs.Wrap(found, &failure{kind: kind, n: 1, cause: cause}), "a/b/c", 0o755)
			require.ErrorIs(t, err, cause)
		}
	}
}
