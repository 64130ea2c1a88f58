package dataset

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
)

// maxVector is the most components that a vector may have, the server's own limit.
const maxVector = 4096

// The ids of rows that have none of their own: the name of the file without what says its format, and the number from 0
// in at least five digits, such as "t10k-images-00017". Observing a file again replaces what it stored. maxStem keeps
// them within the 128 bytes that an id may have.
const maxStem = 100

// stem is a file's name without .gz, the first of the endings that it has, and what joined that to it; the ending itself
// when nothing is left.
func stem(path string, endings ...string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	for _, ending := range endings {
		if rest, ok := strings.CutSuffix(name, ending); ok {
			name = rest
			break
		}
	}
	name = strings.TrimRight(strings.ToValidUTF8(name, ""), "-._")
	if name == "" {
		return strings.Trim(endings[len(endings)-1], ".")
	}
	return strings.ToValidUTF8(name[:min(len(name), maxStem)], "")
}

// ended says whether an error of io.ReadFull is the end of the file.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// headerProblem says why a header could not be read, behind so many bytes of it.
func headerProblem(read int, err error) string {
	switch {
	case !ended(err):
		return err.Error()
	case read == 0:
		return "it is empty"
	}
	return "ends within its header"
}

func rowID(stem string, number int) string { return fmt.Sprintf("%s-%05d", stem, number) }

// table reads entries of one size, as many as the file's header says, one at a time.
type table struct {
	op, name, stem string
	in             io.Reader
	rows, dim      int
	next           int
	entry          []byte // of one row
	// decode fills to from an entry; its error says what is wrong with which component.
	decode func(to []float32, entry []byte) error
}

func (r *table) Total() int { return r.rows }

func (r *table) Next() (Row, error) {
	if r.next == r.rows {
		return Row{}, r.end()
	}
	if _, err := io.ReadFull(r.in, r.entry); err != nil {
		if ended(err) {
			return Row{}, r.fault("ends after %d of %d entries", r.next, r.rows)
		}
		return Row{}, r.fault("after %d of %d entries: %v", r.next, r.rows, err)
	}
	row := Row{Line: r.next + 1, ID: rowID(r.stem, r.next), Embedding: make([]float32, r.dim)}
	if err := r.decode(row.Embedding, r.entry); err != nil {
		return Row{}, r.fault("entry %d: %v", r.next, err)
	}
	r.next++
	return row, nil
}

// end reads on to the end of the file, which also checks the sum of a packed one.
func (r *table) end() error {
	var more [1]byte
	switch _, err := io.ReadFull(r.in, more[:]); {
	case err == nil:
		return r.fault("goes on after the %d entries that its header says", r.rows)
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return r.fault("after the last of %d entries: %v", r.rows, err)
	}
}

func (r *table) fault(format string, args ...any) error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp(r.op).WithSubject(r.name)
}
