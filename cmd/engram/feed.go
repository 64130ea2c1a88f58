package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/sourcegraph/conc/pool"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

const (
	// readRows bounds the rows read and not yet sent.
	readRows = 64
	// pendingRows bounds the rows sent and not yet answered; the session's own buffer bounds them in bytes.
	pendingRows = 8192
)

// feed reads rows on one goroutine, sends them on another and takes their outcomes on a third.
type feed struct {
	env     *environment
	session *client.Session
	input   *dataset.Input
	file    string
	bar     *progress
	kept    *checkpoint // nil: the input cannot be gone on with
	skip    uint64      // rows that are passed over
	before  uint64      // rejected among them

	// Of the goroutine that takes outcomes.
	committed, rejected uint64
	rejections          []rejectionJSON // the first of them
	keepFailed          bool

	mu   sync.Mutex
	held holdup // guarded by mu: the session's goroutines tell it too
	told uint64 // guarded by mu; rejected in a run before, as the server told when the session was opened
}

func newFeed(env *environment, input *dataset.Input, file string, skip uint64, kept *checkpoint) *feed {
	return &feed{
		env: env, input: input, file: file, skip: skip, kept: kept, rejections: []rejectionJSON{},
		bar: newFileProgress(env.stderr, isTerminal(env.stderr), input.Size(), file),
	}
}

type readRow struct {
	row      dataset.Row
	consumed int64 // of the input, when it had been read
	err      error // io.EOF after the last
}

type sentRow struct {
	line     int
	consumed int64
	pending  *client.Pending
}

// run ends when everything that was sent has its outcome, also when the input turns out bad in the middle.
func (f *feed) run(ctx context.Context) error {
	rows, sent := make(chan readRow, readRows), make(chan sentRow, pendingRows)
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	// Not joined: reading from a terminal or a pipe cannot be broken off, and must not hold up the end. It ends with
	// the next row, or with the process.
	go f.read(sending, rows)
	p := pool.New().WithErrors().WithFirstError()
	p.Go(func() error {
		defer close(sent)
		return f.send(sending, rows, sent)
	})
	p.Go(func() error {
		defer stopSending()
		for s := range sent {
			if err := f.settle(ctx, s); err != nil {
				return err
			}
			f.bar.add(s.consumed)
		}
		return nil
	})
	err := p.Wait()
	f.bar.end(err == nil)
	return err
}

func (f *feed) read(ctx context.Context, rows chan<- readRow) {
	for passed := uint64(0); ; passed++ {
		row, err := f.input.Next()
		if err == nil && passed < f.skip {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if errors.Is(err, io.EOF) && passed < f.skip {
			err = &shortInput{fmt.Errorf("%s: it ends after row %d, and %s were to be passed over: is it what was begun with?", f.name(), passed, plural(f.skip, "row"))}
		}
		select {
		case rows <- readRow{row: row, consumed: f.input.Consumed(), err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// inputError says that the input is at fault: reading it again meets the same.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// shortInput says that the input has less rows than are to be passed over.
type shortInput struct{ error }

func (f *feed) send(ctx context.Context, rows <-chan readRow, sent chan<- sentRow) error {
	for {
		var r readRow
		select {
		case r = <-rows:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if _, disk := errors.AsType[*fs.PathError](r.err); disk {
			return r.err
		}
		if r.err != nil {
			return &inputError{r.err}
		}
		pending, err := f.session.Observe(ctx, observation(&r.row))
		if e, ok := errors.AsType[*client.Error](err); ok && e.Code == connect.CodeInvalidArgument {
			return &inputError{fmt.Errorf("%s:%d: %w", f.name(), r.row.Line, err)}
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.name(), r.row.Line, err)
		}
		select {
		case sent <- sentRow{line: r.row.Line, consumed: r.consumed, pending: pending}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// event says why the session waits, and that it goes on.
func (f *feed) event(e client.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rejection, ok := errors.AsType[*client.RejectedError](e.Err); ok && f.session == nil {
		f.told += rejection.Last - rejection.First + 1
	}
	f.notice(f.held.event(e, time.Now()))
}

func (f *feed) decided(number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notice(f.held.committed(number))
}

func (f *feed) notice(line string) {
	if line != "" {
		f.bar.say(f.env.notice(line))
	}
}

func observation(r *dataset.Row) client.Observation {
	return client.Observation{
		ID: r.ID, Content: r.Content, Metadata: r.Metadata, Embedding: r.Embedding,
		ObservedAt: r.ObservedAt, Confidence: r.Confidence,
	}
}

func (f *feed) settle(ctx context.Context, s sentRow) error {
	err := s.pending.Wait(ctx)
	rejection, rejected := errors.AsType[*client.RejectedError](err)
	if err != nil && !rejected {
		return err
	}
	f.decided(s.pending.Sequence())
	if !rejected {
		f.committed++
		f.keep(s.pending.Sequence())
		return nil
	}
	f.rejected++
	f.keep(s.pending.Sequence())
	if f.rejected <= shownRejections {
		f.rejections = append(f.rejections, rejectionJSON{Line: s.line, Field: rejection.Field, Reason: rejection.Reason})
	}
	if f.env.json {
		return nil
	}
	switch {
	case f.rejected <= shownRejections:
		f.bar.say(fmt.Sprintf("%s:%d: rejected: %s: %s", f.name(), s.line, rejection.Field, rejection.Reason))
	case f.rejected == shownRejections+1:
		f.bar.say("further rejections are only counted")
	}
	return nil
}

func (f *feed) name() string {
	if f.file == dataset.Stdin {
		return "stdin"
	}
	return f.file
}
