package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

const (
	// keptFor is how long the server is asked to keep the session of a run that was broken off.
	keptFor = 24 * time.Hour
	// reconnectFor is how long a run itself waits for a server that is away.
	reconnectFor = time.Hour
)

type observeFlags struct {
	text  string
	given bool // text

	resume  string
	restart bool
	skip    uint64

	again []string // the words that go on with this run, less --skip
}

func (f *observeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.resume, "resume", "", "where to keep how far a file is sent (default beside it: FILE"+checkpointSuffix+")")
	cmd.Flags().BoolVar(&f.restart, "restart", false, "send a file from its first row, whatever an earlier run has sent")
	cmd.Flags().Uint64Var(&f.skip, "skip", 0, "pass over so many rows, which an earlier run has sent")
}

// remember notes how the command was called, with the flags that still hold when it is called again.
func (f *observeFlags) remember(cmd *cobra.Command, called string, args []string) {
	f.again = again(cmd, called, args, "skip", "restart")
}

// checkpoint returns where an input's progress is kept; nil for one that cannot be read again.
func (f *observeFlags) checkpoint(space string, files []string) (*checkpoint, error) {
	file, identity, regular := "", inputIdentity{}, false
	if len(files) == 1 && files[0] != dataset.Stdin {
		var err error
		file = files[0]
		if identity, regular, err = identify(file); err != nil {
			return nil, err
		}
	}
	switch {
	case regular:
		return f.checkpointOf(space, file, identity)
	case f.resume != "" || f.restart:
		return nil, usageError("--resume and --restart are for files: what comes from a pipe cannot be read again; --skip N passes over its first N rows")
	}
	return nil, nil
}

func (f *observeFlags) checkpointOf(space, file string, identity inputIdentity) (*checkpoint, error) {
	path := f.resume
	if path == "" {
		path = file + checkpointSuffix
	}
	if sameFile(path, file) {
		return nil, usageError("--resume %s: that is the file to be sent; name another, which need not exist", path)
	}
	c, err := openCheckpoint(path, space, file, identity, f.restart)
	if err != nil {
		return nil, err
	}
	if c.found && f.skip > 0 {
		return nil, usageError("%s: an earlier run was broken off, and without --skip it goes on where that was; to send what is behind row %d whatever that run has sent, give --restart too", file, f.skip)
	}
	if !c.found {
		c.state.Skipped = f.skip
	}
	return c, nil
}

func sameFile(a, b string) bool {
	statA, errA := os.Stat(a)
	statB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(statA, statB)
}

// errAllSent says that a run before has sent everything.
var errAllSent = errors.New("everything is sent")

// open opens the session that the feed writes to: that of the run before, if there was one and the server still has it. The
// error is errAllSent where that has ended it behind the last row.
func (f *feed) open(ctx context.Context, c *client.Client, space string) error {
	options := client.SessionOptions{OnEvent: f.event}
	resuming := f.kept != nil && f.kept.found
	if f.kept != nil {
		options.DetachTTL, options.ReconnectFor = keptFor, reconnectFor
	}
	if resuming {
		options.Resume = &f.kept.state.Ticket
	}
	session, err := c.Open(ctx, space, options)
	switch {
	case resuming && errors.Is(err, client.ErrSessionExpired) && f.kept.state.Complete && f.stored(ctx, c, space):
		f.skip, f.before = f.kept.state.Skipped+f.kept.state.Ticket.Committed, f.kept.state.Rejected
		return errors.Join(errAllSent, f.kept.remove())
	case resuming && errors.Is(err, client.ErrSessionExpired):
		sent := f.kept.state.Skipped + f.kept.state.Ticket.Committed
		err = fmt.Errorf("the run before cannot be gone on with: %w; %s", err, behindTheGone(sent, "--restart "))
	case resuming && errors.Is(err, client.ErrServerBehind):
		err = fmt.Errorf("%w; --restart sends the file again from its first row", err)
	}
	if err != nil {
		return err
	}
	f.begin(session)
	return nil
}

// stored reports whether a space has what the run before has committed to it: it may have been deleted since, or be another
// server's.
func (f *feed) stored(ctx context.Context, c *client.Client, space string) bool {
	spaces, err := c.ListSpaces(ctx)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(spaces, func(s client.Space) bool { return s.Name == space })
	return i >= 0 && spaces[i].Version >= f.kept.state.Ticket.Committed-f.kept.state.Rejected
}

// begin takes over what the session's server has of the input.
func (f *feed) begin(session *client.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = session
	if f.kept == nil {
		return
	}
	f.skip = f.kept.state.Skipped + session.Committed()
	f.before = f.kept.state.Rejected + f.told
	f.kept.state.Ticket, f.kept.state.Rejected = session.Ticket(), f.before
	if f.kept.found {
		f.notice(fmt.Sprintf("going on behind row %d, see %s", f.skip, f.kept.path))
	}
}

// keepFirst writes where to go on before anything is sent. Beside the input there may be no place for it, which is only
// said; where one was named there has to be.
func (f *feed) keepFirst(flags *observeFlags) error {
	if f.kept == nil {
		return nil
	}
	err := f.kept.save()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		path := f.kept.path
		f.kept = nil
		return usageError("%s: another run has just begun with this file; wait for it, or name another place with --resume", path)
	}
	f.kept = nil
	if flags.resume != "" {
		return err
	}
	f.bar.say(f.env.notice(fmt.Sprintf("should this be broken off, it has to begin again (%v); --resume names another place", err)))
	return nil
}

// keep notes how far the session is. That it cannot be written is said once: the run goes on, and what was written before
// stays good.
func (f *feed) keep(through uint64) {
	if f.kept == nil {
		return
	}
	if err := f.kept.committed(through, f.before+f.rejected); err != nil && !f.keepFailed {
		f.keepFailed = true
		f.bar.say(f.env.notice(err.Error()))
	}
}

// end ends the session: for good after the last row, or when the input itself is at fault, so that nothing would come of
// going on with it; else so that the next run can go on with it.
func (f *feed) end(ctx context.Context, err error) error {
	_, badInput := errors.AsType[*inputError](err)
	done := err == nil || badInput
	patience := closeTimeout
	if ctx.Err() != nil {
		patience = interruptedTimeout
	}
	if err == nil && f.kept != nil {
		f.kept.state.Complete = true
		if err := f.kept.save(); err != nil { // the next run will ask
			f.bar.say(f.env.notice(err.Error()))
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var closeErr error
	if done || f.kept == nil {
		_, closeErr = f.session.Close(closing)
	} else {
		_, closeErr = f.session.Detach(closing)
	}
	// What Close says of rejections was counted; after another error it only says again that the session failed.
	if _, rejected := errors.AsType[*client.RejectedError](closeErr); err == nil && !rejected {
		err = closeErr
	}
	if f.kept == nil || errors.Is(err, client.ErrFenced) || errors.Is(closeErr, client.ErrFenced) { // then it is another run's
		return err
	}
	if err == nil || badInput {
		return errors.Join(err, f.kept.remove())
	}
	return errors.Join(err, f.kept.save())
}

// next says what to do when it was broken off; nothing when there is nothing to do, or another run does it.
func (f *feed) next(flags *observeFlags, err error) string {
	_, badInput := errors.AsType[*inputError](err)
	_, short := errors.AsType[*shortInput](err)
	kept := f.kept != nil && !f.kept.lost()
	sent := flags.skip + f.session.Committed()
	if f.kept != nil {
		sent = f.kept.state.Skipped + f.session.Committed()
	}
	again := strings.Join(flags.again, " ")
	skip := fmt.Sprintf("%s --skip %d", again, sent)
	if badInput && f.session.Stats().Buffered > 0 {
		return "mend that row, and go on behind these with: " + skip + "; what was not confirmed may be stored, and a row without an id then twice"
	}
	switch {
	case short, errors.Is(err, client.ErrFenced):
		return ""
	case errors.Is(err, client.ErrSessionExpired) && kept:
		return behindTheGone(sent, "--restart ")
	case sent == 0 && (badInput || !kept): // there is nothing to pass over
		return ""
	case errors.Is(err, client.ErrSessionExpired):
		return behindTheGone(sent, "")
	case badInput:
		return "mend that row, and go on behind these with: " + skip
	case kept:
		return "to go on: " + again
	}
	return "to go on: " + skip
}

// behindTheGone says how to go on when the session is gone, and with it what the server knew of the rows behind those.
func behindTheGone(sent uint64, restart string) string {
	return fmt.Sprintf("stored are at least its first %s, unless the space was deleted; the same command with %s--skip %d sends what follows, where a row without an id that is stored already is stored twice",
		plural(sent, "row"), restart, sent)
}
