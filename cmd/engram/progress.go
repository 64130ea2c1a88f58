package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress is a bar with rate and ETA, and the lines said beside it. Off a terminal there are only the lines, so that logs
// stay readable. Safe for concurrent use.
type progress struct {
	w       io.Writer
	visible bool
	total   int64 // in units; 0: not known
	what    string
	inBytes bool

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // guarded by mu, like all below
	rows int64
}

// isTerminal tells of a standard stream, in either direction.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newProgress returns a bar over so many observations.
func newProgress(w io.Writer, visible bool, total int64, what string) *progress {
	p := &progress{w: w, visible: visible, total: total, what: what}
	p.draw(progressbar.OptionShowIts(), progressbar.OptionSetItsString("obs"), progressbar.OptionShowCount())
	return p
}

// newFileProgress returns a bar over the bytes of a file, which are known before its rows are; of size 0 it counts
// observations only.
func newFileProgress(w io.Writer, visible bool, size int64, what string) *progress {
	if size <= 0 {
		return newProgress(w, visible, 0, what)
	}
	p := &progress{w: w, visible: visible, total: size, what: what, inBytes: true}
	p.draw(progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true), progressbar.OptionShowCount())
	return p
}

func (p *progress) draw(options ...progressbar.Option) {
	total := p.total
	if total == 0 {
		total = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(total, append(options,
		progressbar.OptionSetWriter(p.w), progressbar.OptionSetVisibility(p.visible), progressbar.OptionSetDescription(p.what),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true),
	)...)
}

// add notes one observation more; at is how far that is in all, in the bar's unit. A bar that cannot be drawn is no
// reason to stop.
func (p *progress) add(at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows++
	if !p.visible {
		return
	}
	switch {
	case p.inBytes:
		_ = p.bar.Set64(min(at, p.total-1)) // the last bytes are read before the last rows are done: it would end early
		p.bar.Describe(fmt.Sprintf("%s: %s", p.what, plural(uint64(p.rows), "observation")))
	case p.total > 0:
		_ = p.bar.Set64(at)
	default:
		_ = p.bar.Add(1)
	}
}

// say writes a line, above the bar if there is one.
func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.visible {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.w, line)
}

// end leaves the bar: full if the whole of it was done, else as it stands.
func (p *progress) end(whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.visible {
		return
	}
	if whole {
		_ = p.bar.Finish()
	}
	_ = p.bar.Exit()
	fmt.Fprintln(p.w)
}
