package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// MaxLine bounds one line of JSONL: a full observation with its vector as decimal text fits.
const MaxLine = 4 << 20

type jsonl struct {
	name string
	in   *bufio.Scanner
	line int
}

// NewJSONL reads one JSON object a line; blank lines are skipped. Its keys are those of an observation on the wire,
// in snake or camel case: memory_id (or id), content, metadata, observed_at (RFC 3339), confidence, and the vector as
// embedding (a list) or embedding_f32 (base64 of little-endian float32). An unknown key is an error. name stands in errors.
func NewJSONL(name string, f io.Reader) Reader {
	s := bufio.NewScanner(f)
	s.Buffer(make([]byte, 0, 1<<16), MaxLine)
	return &jsonl{name: name, in: s}
}

func (r *jsonl) Total() int { return -1 }

func (r *jsonl) Next() (Row, error) {
	for r.in.Scan() {
		r.line++
		text := bytes.TrimSpace(r.in.Bytes())
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
	switch err := r.in.Err(); {
	case err == nil:
		return Row{}, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return Row{}, fault.New(fault.InvalidArgument, "a line of more than %d bytes", MaxLine).
			WithOp("read JSONL").WithSubject(at(r.name, r.line+1))
	default:
		return Row{}, fault.Wrap(fault.InvalidArgument, err, "").WithOp("read JSONL").WithSubject(at(r.name, r.line+1))
	}
}

// jsonRow is a line; both spellings of a key are tried, since protobuf's JSON uses either.
type jsonRow struct {
	ID            string         `json:"id"`
	MemoryID      string         `json:"memory_id"`
	MemoryIDC     string         `json:"memoryId"`
	Content       string         `json:"content"`
	Metadata      map[string]any `json:"metadata"`
	ObservedAt    *time.Time     `json:"observed_at"`
	ObservedAtC   *time.Time     `json:"observedAt"`
	Confidence    *float32       `json:"confidence"`
	Embedding     []float32      `json:"embedding"`
	EmbeddingF32  []byte         `json:"embedding_f32"`
	EmbeddingF32C []byte         `json:"embeddingF32"`
}

func parseRow(text []byte) (Row, error) {
	var in jsonRow
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return Row{}, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Row{}, errors.New("more than one value on the line")
	}
	row := Row{ID: first(in.MemoryID, in.MemoryIDC, in.ID), Content: in.Content, Embedding: in.Embedding, Confidence: in.Confidence}
	if t := firstTime(in.ObservedAt, in.ObservedAtC); t != nil {
		row.ObservedAt = *t
	}
	if raw := slices.Concat(in.EmbeddingF32, in.EmbeddingF32C); len(raw) > 0 {
		if len(in.Embedding) > 0 {
			return Row{}, errors.New("embedding and embedding_f32 are both given; give one")
		}
		v, err := floats(raw)
		if err != nil {
			return Row{}, err
		}
		row.Embedding = v
	}
	var err error
	row.Metadata, err = metadata(in.Metadata)
	return row, err
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

func firstTime(a, b *time.Time) *time.Time {
	if a != nil {
		return a
	}
	return b
}

func floats(raw []byte) ([]float32, error) {
	if len(raw)%4 != 0 {
		return nil, fmt.Errorf("embedding_f32 has %d bytes, not a multiple of 4", len(raw))
	}
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v, nil
}

// metadata turns JSON values into those of the wire: a number without fraction or exponent is an integer.
func metadata(in map[string]any) (map[string]any, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]any, len(in))
	for k, v := range in {
		switch v := v.(type) {
		case string, bool:
			out[k] = v
		case json.Number:
			if n, err := v.Int64(); err == nil {
				out[k] = n
			} else if f, err := v.Float64(); err == nil {
				out[k] = f
			} else {
				return nil, fmt.Errorf("metadata %q: %s is out of range", k, v)
			}
		default:
			return nil, fmt.Errorf("metadata %q: only strings, numbers and booleans are values", k)
		}
	}
	return out, nil
}
