package app

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/files"
)

const (
	lockFile   = "LOCK"
	folderMode = 0o700
	maxPIDText = 32 // bytes read of what the holder wrote
)

// folderLock keeps other processes, and other servers of this one, out of a data folder. The kernel drops it with the
// process, however that ends; the file stays.
type folderLock struct {
	file *os.File
}

// lockFolder makes the folder if it is missing, for this user alone, and locks it.
func lockFolder(folder string) (*folderLock, error) { return lockFolderOf(vfs.Default, folder) }

// lockFolderOf makes the folder through fs, of the same disk. It is made durable, since the journal syncs no folder above
// one that it finds: what is acked would go with it when the power fails.
func lockFolderOf(fs vfs.FS, folder string) (*folderLock, error) {
	if err := files.MakeFolder(fs, folder, folderMode); err != nil {
		return nil, folderFault(folder, err)
	}
	file, err := os.OpenFile(filepath.Join(folder, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, folderFault(folder, err)
	}
	lock := &folderLock{file: file}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		refusal := folderFault(folder, err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			refusal = lock.taken(folder)
		}
		_ = lock.release()
		return nil, refusal
	}
	if err := lock.sign(); err != nil {
		_ = lock.release()
		return nil, folderFault(folder, err)
	}
	return lock, nil
}

// sign writes this process's id for whoever finds the folder locked.
func (l *folderLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *folderLock) taken(folder string) error {
	text, _ := io.ReadAll(io.LimitReader(l.file, maxPIDText))
	holder := "another process"
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		holder = "process " + strconv.Itoa(pid)
	}
	return fault.New(fault.FailedPrecondition, "the data folder is in use by %s", holder).WithOp("lock").
		WithSubject(folder).WithReason("FOLDER_LOCKED").WithHint("stop it, or name another folder with --data")
}

func (l *folderLock) release() error { return l.file.Close() }

func folderFault(folder string, err error) error {
	return fault.Wrap(fault.FailedPrecondition, err, "the data folder cannot be used").WithOp("open data folder").
		WithSubject(folder).WithHint("check that this user may write there, or name another folder with --data")
}
