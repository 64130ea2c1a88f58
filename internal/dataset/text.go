package dataset

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/engram-stream/engram/internal/fault"
)

type textLines struct {
	name, ids string
	in        *bufio.Scanner
	line      int
}

// NewText reads one content a line, without the space around it; blank lines are skipped, and a byte order mark is. Text
// that is not UTF-8 is an error. ids names the rows by line, from 1, such as "diary-00017"; empty: they have no ids. name
// stands in errors.
func NewText(name, ids string, f io.Reader) Reader {
	return &textLines{name: name, ids: ids, in: newLines(f)}
}

// Total implements Reader.
func (*textLines) Total() int { return -1 }

// Next implements Reader.
func (r *textLines) Next() (Row, error) {
	for r.in.Scan() {
		r.line++
		line := r.in.Bytes()
		if r.line == 1 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		if !utf8.Valid(line) {
			return Row{}, fault.New(fault.InvalidArgument, "not UTF-8").WithOp("read text").WithSubject(at(r.name, r.line))
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		row := Row{Line: r.line, Content: string(line)}
		if r.ids != "" {
			row.ID = fmt.Sprintf("%s-%05d", r.ids, r.line)
		}
		return row, nil
	}
	return Row{}, linesEnded(r.in, "read text", r.name, r.line+1)
}
