package dataset

import (
	"bufio"
	"bytes"
	"io"

	"github.com/engram-stream/engram/internal/fault"
)

// byteOrderMark is what some editors put before UTF-8.
const byteOrderMark = "\ufeff"

type jsonl struct {
	name string
	in   *bufio.Scanner
	line int
}

// NewJSONL reads one JSON object a line; blank lines are skipped. Its keys are those of an observation on the wire,
// in snake or camel case: memory_id (or id), content, metadata, observed_at (RFC 3339), confidence, and the vector as
// embedding (a list) or embedding_f32 (base64 of little-endian float32). A key that is unknown (case counts) or given
// twice is an error, and so is text that is not UTF-8; a byte order mark is skipped. name stands in errors.
func NewJSONL(name string, f io.Reader) Reader {
	return &jsonl{name: name, in: newLines(f)}
}

func (r *jsonl) Total() int { return -1 }

func (r *jsonl) Next() (Row, error) {
	for r.in.Scan() {
		r.line++
		text := r.in.Bytes()
		if r.line == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		row, err := parseRow(text)
		if err != nil {
			return Row{}, fault.Wrap(fault.InvalidArgument, err, "").WithOp("read JSONL").WithSubject(at(r.name, r.line))
		}
		row.Line = r.line
		return row, nil
	}
	return Row{}, linesEnded(r.in, "read JSONL", r.name, r.line+1)
}
