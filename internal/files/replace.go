package files

import (
	"bufio"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// syncEvery is how many bytes are written before the disk is asked to begin with them: so a large file is not all written
	// at its end, while others wait to sync theirs.
	syncEvery = 4 << 20
	// bufferBytes are written at once.
	bufferBytes = 1 << 20
	// unfinished ends the name of a file until it is whole.
	unfinished = ".new"
)

// Replace makes the file at a path, or puts a new one in its place: whoever opens it finds all of the one or the other, after a
// power failure too. When write fails, that error is returned and what was there is there. The folder has to exist; one
// goroutine at a time replaces a path. A process that is killed may leave a file whose name ends in ".new".
func Replace(fs vfs.FS, path string, category vfs.DiskWriteCategory, write func(io.Writer) error) error {
	file, err := fs.Create(path+unfinished, category)
	if err != nil {
		return err
	}
	err = errors.Join(fill(file, write), file.Close())
	if err == nil {
		err = fs.Rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(err, fs.Remove(path+unfinished))
	}
	return SyncFolder(fs, fs.PathDir(path))
}

func fill(file vfs.File, write func(io.Writer) error) error {
	steady := vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: syncEvery, NoSyncOnClose: true})
	buffer := bufio.NewWriterSize(steady, bufferBytes)
	if err := write(buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return steady.Sync()
}
