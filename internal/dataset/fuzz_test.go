package dataset_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/engram-stream/engram/internal/dataset"
)

// The seeds of each stand in testdata/fuzz.

// maxUnpacked bounds what a fuzzed input unpacks to: a few bytes of gzip can be gigabytes of rows.
const maxUnpacked = 1 << 20

func FuzzJSONL(f *testing.F) { fuzzReader(f, "in.jsonl", jsonl) }
func FuzzText(f *testing.F)  { fuzzReader(f, "in.txt", text) }
func FuzzIDX(f *testing.F)   { fuzzReader(f, "in.idx", dataset.NewIDX) }
func FuzzNPY(f *testing.F)   { fuzzReader(f, "in.npy", dataset.NewNPY) }
func FuzzFvecs(f *testing.F) { fuzzReader(f, "in.fvecs", dataset.NewFvecs) }
func FuzzBvecs(f *testing.F) { fuzzReader(f, "in.bvecs", dataset.NewBvecs) }
func FuzzFbin(f *testing.F)  { fuzzReader(f, "in.fbin", dataset.NewFbin) }
func FuzzU8bin(f *testing.F) { fuzzReader(f, "in.u8bin", dataset.NewU8bin) }

// FuzzIvecs reads any bytes as a ground truth.
func FuzzIvecs(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		answers, err := dataset.ReadIvecs("in.ivecs", bytes.NewReader(in))
		if err != nil && (!strings.Contains(err.Error(), "in.ivecs") || answers != nil) {
			t.Fatalf("%d answers and %v", len(answers), err)
		}
	})
}

func jsonl(name string, in io.Reader) (dataset.Reader, error) { return dataset.NewJSONL(name, in), nil }

func text(name string, in io.Reader) (dataset.Reader, error) {
	return dataset.NewText(name, "in", in), nil
}

// fuzzReader reads any bytes: whatever they are, rows have the shape that is promised, and an error names the file.
func fuzzReader(f *testing.F, name string, open func(string, io.Reader) (dataset.Reader, error)) {
	f.Helper()
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := open(name, bytes.NewReader(in))
		read, dim := 0, 0
		for err == nil && read < maxUnpacked {
			var row dataset.Row
			if row, err = r.Next(); err != nil {
				break
			}
			read += 4*len(row.Embedding) + 64
			if dim == 0 {
				dim = len(row.Embedding)
			}
			if name != "in.jsonl" && name != "in.txt" && (len(row.Embedding) != dim || dim == 0 || row.ID == "") {
				t.Fatalf("row %d: %q has %d components, those before it %d", row.Line, row.ID, len(row.Embedding), dim)
			}
		}
		if err != nil && err != io.EOF && !strings.Contains(err.Error(), name) { //nolint:errorlint // Next returns io.EOF as it is
			t.Fatalf("%v does not name the file", err)
		}
	})
}

// FuzzLabels reads the labels that belong to images, which are read as a whole.
func FuzzLabels(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		labels, err := dataset.ReadLabels("in.idx", bytes.NewReader(in))
		if err != nil && !strings.Contains(err.Error(), "in.idx") || err != nil && labels != nil {
			t.Fatalf("%d labels and %v", len(labels), err)
		}
	})
}
