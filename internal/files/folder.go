package files

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxDepth is how many folders are made on the way to one, at most.
const maxDepth = 64

// MakeFolder makes a folder, and those above it that are missing, so that they outlast a power failure. They are made
// from the top, and the entry of each is synced before the next is made in it: so of the folders that it finds only the
// deepest can have been left without a durable entry, by a process that was killed, and it syncs that one too. Errors
// are the file system's own.
func MakeFolder(fs vfs.FS, path string, mode os.FileMode) error {
	missing, found := missingFolders(fs, path)
	if err := SyncFolder(fs, fs.PathDir(found)); err != nil && !beyondSync(err) {
		return err
	}
	for _, folder := range slices.Backward(missing) {
		if err := fs.MkdirAll(folder, mode); err != nil {
			return err
		}
		if err := SyncFolder(fs, fs.PathDir(folder)); err != nil {
			return err
		}
	}
	return nil
}

// missingFolders returns the folders of a path that are not there, from the deepest, and the first above them that is.
func missingFolders(fs vfs.FS, path string) (missing []string, found string) {
	for len(missing) < maxDepth {
		if _, err := fs.Stat(path); err == nil {
			break
		}
		missing = append(missing, path)
		path = fs.PathDir(path)
	}
	return missing, path
}

// beyondSync tells a folder that can not be synced from a disk that fails. The parent of a folder that was found may
// belong to someone else who lets nobody read it, or lie on a file system that knows no sync, such as a read-only image;
// then this user has made nothing in it.
func beyondSync(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS)
}

// SyncFolder makes the entries of a folder durable.
func SyncFolder(fs vfs.FS, path string) error {
	folder, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
