package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/engram-stream/engram/client"
)

const (
	checkpointVersion = 1
	checkpointSuffix  = ".engram"
	// maxCheckpoint bounds what is read of a file that may be none of ours, in bytes.
	maxCheckpoint = 64 << 10
	// checkpointEvery is how often it is written while observations are committed: that only saves the server telling
	// again what it rejected since, as how much is committed is what the server says.
	checkpointEvery = time.Second
	// identityHead is how much of an input's begin is compared, in bytes.
	identityHead = 64 << 10
)

var errNoCheckpoint = errors.New("it exists, and observe has not written it")

// checkpoint is the file beside an input that lets a later run go on with the session of one that was broken off. Row
// Skipped+n of the input is number n of the session, so that the server alone says where to go on. It holds the session's
// token: only its owner may read it.
type checkpoint struct {
	path  string
	saved time.Time
	state checkpointState
	found bool // an earlier run left it
	fresh bool // there was none
}

type checkpointState struct {
	Version int           `json:"version"`
	Space   string        `json:"space"`
	Input   inputIdentity `json:"input"`
	Skipped uint64        `json:"skipped,omitempty"` // rows before the session's first
	Ticket  client.Ticket `json:"ticket"`
	// Complete says that all rows are committed: if the session is gone, it was ended by the run before, which has not come to
	// say so.
	Complete bool `json:"complete,omitempty"`
	// Rejected counts those of the rows up to Ticket.Committed.
	Rejected uint64 `json:"rejected"`
}

// inputIdentity tells an input that was changed, or is another, from the one that was begun with.
type inputIdentity struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Head     string    `json:"head_sha256"` // of the first identityHead bytes
}

// identify returns what tells a file from others; false for what is no file that can be read again, such as a pipe.
func identify(path string) (inputIdentity, bool, error) {
	stat, err := os.Stat(path)
	if err != nil || !stat.Mode().IsRegular() {
		return inputIdentity{}, false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return inputIdentity{}, false, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, identityHead)); err != nil {
		return inputIdentity{}, false, err
	}
	return inputIdentity{Size: stat.Size(), Modified: stat.ModTime().UTC(), Head: hex.EncodeToString(sum.Sum(nil))}, true, nil
}

// differs says how an input differs from the one that was begun with, or nothing.
func (i inputIdentity) differs(was inputIdentity) string {
	switch {
	case i.Size != was.Size:
		return fmt.Sprintf("it has %d bytes now, and had %d", i.Size, was.Size)
	case i.Head != was.Head:
		return "it begins differently now"
	case !i.Modified.Equal(was.Modified):
		return fmt.Sprintf("it was written at %s, and that one at %s", i.Modified.Format(time.RFC3339Nano), was.Modified.Format(time.RFC3339Nano))
	}
	return ""
}

// openCheckpoint reads what an earlier run left at path, if there is anything, and refuses what is not about this input and
// space; with restart it begins anew. What is no checkpoint is refused in any case: it would be overwritten, and removed at
// the end.
func openCheckpoint(path, space, file string, input inputIdentity, restart bool) (*checkpoint, error) {
	fresh := &checkpoint{path: path, state: checkpointState{Version: checkpointVersion, Space: space, Input: input}}
	refuse := func(format string, args ...any) (*checkpoint, error) {
		return nil, usageError("%s: %s; send it again from its first row with --restart, or delete %s", file, fmt.Sprintf(format, args...), path)
	}
	state, err := readCheckpoint(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh.fresh = true
		return fresh, nil
	case err != nil:
		return nil, usageError("%s: no place to keep how far %s is sent: %w; name another with --resume", path, file, err)
	case restart:
		return fresh, nil
	case state.Version != checkpointVersion:
		return refuse("%s, which says how far an earlier run came, is of version %d, and this engram reads %d", path, state.Version, checkpointVersion)
	case state.Space != space:
		return refuse("an earlier run sent it to the space %q and was broken off", state.Space)
	}
	if how := input.differs(state.Input); how != "" {
		return refuse("not the file that an earlier run sent a part of: %s", how)
	}
	return &checkpoint{path: path, state: state, found: true}, nil
}

// readCheckpoint fails for a file that is none of ours.
func readCheckpoint(path string) (checkpointState, error) {
	var state checkpointState
	f, err := os.Open(path)
	if err != nil {
		return state, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxCheckpoint)).Decode(&state); err != nil {
		if _, disk := errors.AsType[*fs.PathError](err); disk {
			return state, err
		}
		return state, errNoCheckpoint
	}
	if state.Version == 0 || state.Ticket.SessionID == "" {
		return state, errNoCheckpoint
	}
	return state, nil
}

// committed notes how far the session is, and writes it from time to time.
func (c *checkpoint) committed(through, rejected uint64) error {
	c.state.Ticket.Committed, c.state.Rejected = through, rejected
	if time.Since(c.saved) < checkpointEvery {
		return nil
	}
	return c.save()
}

// lost says that another run has taken the session over and ended it, or the file: it is no more for this one to write.
func (c *checkpoint) lost() bool {
	state, err := readCheckpoint(c.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && state.Ticket.SessionID != c.state.Ticket.SessionID
}

// save writes the file as a whole or not at all. What was written once and is lost stays as it is. A run that begins anew
// where there is none makes it, and fails with fs.ErrExist where another has just done so.
func (c *checkpoint) save() (err error) {
	put := os.Rename
	switch {
	case !c.saved.IsZero():
		if c.lost() {
			return nil
		}
	case c.fresh:
		put = link
	}
	c.saved = time.Now()
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*") // which makes it readable for its owner alone
	if err != nil {
		return fmt.Errorf("keep how far it came: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("keep how far it came: %w", err), os.Remove(f.Name()))
		}
	}()
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	if err := errors.Join(e.Encode(&c.state), f.Sync(), f.Close()); err != nil {
		return err
	}
	return put(f.Name(), c.path)
}

// link is a rename that does not replace, where the file system can do that.
func link(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	return os.Rename(from, to)
}

// remove ends it: there is nothing to go on with. That of another run stays.
func (c *checkpoint) remove() error {
	if c.lost() {
		return nil
	}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the input is done, but %s stays: %w", c.path, err)
	}
	return nil
}
