package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
	cmd.Flags().Uint64Var(&f.skip, "skip", 0, "pass over so many rows of standard input or a pipe, which an earlier run has sent")
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
	case regular && f.skip > 0:
		return nil, usageError("--skip is for standard input and pipes: a file goes on by itself where it was broken off")
	case regular:
		path := f.resume
		if path == "" {
			path = file + checkpointSuffix
		}
		return openCheckpoint(path, space, file, identity, f.restart)
	case f.resume != "" || f.restart:
		return nil, usageError("--resume and --restart are for files: what comes from a pipe cannot be read again; --skip N passes over its first N rows")
	}
	return nil, nil
}

// open opens the session that the feed writes to: that of the run before, if there was one and the server still has it.
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
	case resuming && errors.Is(err, client.ErrSessionExpired):
		f.bar.say(f.env.notice("the session of the run before is gone, so everything is sent again; a row with an id replaces itself, one without is stored twice"))
		f.kept.begin()
		options.Resume = nil
		session, err = c.Open(ctx, space, options)
	case resuming && errors.Is(err, client.ErrServerBehind):
		err = fmt.Errorf("%w; --restart sends the file again from its first row", err)
	}
	if err != nil {
		return err
	}
	f.begin(session)
	return nil
}

// begin takes over what the session's server has of the input.
func (f *feed) begin(session *client.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = session
	if f.kept == nil {
		return
	}
	f.skip = session.Committed()
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
	if err == nil {
		return nil
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
	if f.kept == nil || errors.Is(err, client.ErrFenced) { // then it is another run's
		return err
	}
	if err == nil || badInput {
		return errors.Join(err, f.kept.remove())
	}
	return errors.Join(err, f.kept.save())
}

// goOn returns the command that goes on behind what is committed; empty when there is none.
func (f *feed) goOn(flags *observeFlags, err error) string {
	_, badInput := errors.AsType[*inputError](err)
	words := flags.again
	switch sent := flags.skip + f.session.Committed(); {
	case badInput:
		return ""
	case f.kept != nil:
	case f.input.Size() > 0 || sent == 0: // a file whose progress could not be kept; or there is nothing to pass over
		return ""
	default:
		words = append(words, "--skip", strconv.FormatUint(sent, 10))
	}
	return strings.Join(words, " ")
}
