package main

import (
	"fmt"
	"io"
)

// checkedWriter remembers the first failure of a write. Help pages and tables are written by libraries that do not tell
// theirs: an answer that nobody could read must not end with exit code 0.
type checkedWriter struct {
	to  io.Writer
	err error
}

// Write implements io.Writer; after a failure nothing more is written.
func (w *checkedWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(p)
	if err != nil {
		w.err = fmt.Errorf("write standard output: %w", err)
	}
	return n, w.err
}
