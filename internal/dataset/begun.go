package dataset

import (
	"errors"
	"io"
)

// ahead is a Reader whose first row has been read.
type ahead struct {
	Reader
	first *Row // nil when it has been taken
}

// begun reads the first row; the error says why there is none that can be read. A reader without rows is none of them.
func begun(r Reader) (Reader, error) {
	row, err := r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return r, nil
	case err != nil:
		return nil, err
	}
	return &ahead{Reader: r, first: &row}, nil
}

// Next implements Reader.
func (a *ahead) Next() (Row, error) {
	if a.first == nil {
		return a.Reader.Next()
	}
	row := *a.first
	a.first = nil
	return row, nil
}
