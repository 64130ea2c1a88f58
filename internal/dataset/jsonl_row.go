package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// spellings are the keys of each field: protobuf's JSON uses either case, and people write "id".
var spellings = map[string]string{
	"id": "id", "memory_id": "id", "memoryId": "id",
	"content":     "content",
	"metadata":    "metadata",
	"observed_at": "observed_at", "observedAt": "observed_at",
	"confidence": "confidence",
	"embedding":  "embedding", "embedding_f32": "embedding", "embeddingF32": "embedding",
}

// rowFields collects the fields of one line. encoding/json decodes into a struct without telling a key in the wrong case,
// a key given twice, a null in a vector or a number that does not fit, and its messages name Go's types: so the keys are
// taken here, one by one, and it decodes values.
type rowFields struct {
	row  Row
	seen map[string]string // each field that was given, and the key it was given by
}

func parseRow(text []byte) (Row, error) {
	if err := checkText(text); err != nil {
		return Row{}, err
	}
	if text[0] != '{' {
		return Row{}, errors.New("want one JSON object on the line, in braces")
	}
	fields := rowFields{seen: make(map[string]string, len(spellings))}
	if err := eachKey(text, fields.take); err != nil {
		return Row{}, err
	}
	return fields.row, nil
}

// eachKey calls take with each key of a JSON object, and its value as it stands.
func eachKey(object []byte, take func(key string, value json.RawMessage) error) error {
	in := json.NewDecoder(bytes.NewReader(object))
	if _, err := in.Token(); err != nil {
		return syntax(in, err)
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return syntax(in, err)
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return syntax(in, err)
		}
		if err := take(key.(string), value); err != nil { // in an object, the token before a value is its key
			return err
		}
	}
	if _, err := in.Token(); err != nil {
		return syntax(in, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value on the line")
	}
	return nil
}

// syntax words what is wrong with the JSON itself.
func syntax(in *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the line ends within its JSON object")
	}
	return fmt.Errorf("not valid JSON after byte %d: %w", in.InputOffset(), err)
}

func (f *rowFields) take(key string, value json.RawMessage) error {
	name, known := spellings[key]
	if !known {
		return fmt.Errorf("unknown field %q%s", key, rightCase(key))
	}
	switch before, given := f.seen[name]; {
	case given && before == key:
		return fmt.Errorf("%s is given twice", key)
	case given:
		return fmt.Errorf("%s and %s are both given; give one", before, key)
	}
	f.seen[name] = key
	if string(value) == "null" { // as in protobuf's JSON: not given
		return nil
	}
	if err := f.set(key, name, value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// rightCase names the key that differs by case only.
func rightCase(key string) string {
	for known := range spellings {
		if strings.EqualFold(known, key) {
			return fmt.Sprintf("; write %q", known)
		}
	}
	return ""
}

func (f *rowFields) set(key, name string, raw json.RawMessage) (err error) {
	switch name {
	case "id":
		f.row.ID, err = text(raw)
	case "metadata":
		f.row.Metadata, err = metadata(raw)
	case "content":
		f.row.Content, err = text(raw)
	case "observed_at":
		f.row.ObservedAt, err = moment(raw)
	case "confidence":
		f.row.Confidence = new(float32)
		*f.row.Confidence, err = number(raw)
	case "embedding":
		if key == "embedding" {
			f.row.Embedding, err = vector(raw)
		} else {
			f.row.Embedding, err = packedVector(raw)
		}
	}
	return err
}

// text returns a JSON string; the line was checked to hold what a string can.
func text(raw []byte) (string, error) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("want a string in quotes, got %s", excerpt(raw))
	}
	return s, nil
}

func moment(raw []byte) (time.Time, error) {
	var t time.Time
	s, err := text(raw)
	if err == nil && t.UnmarshalText([]byte(s)) == nil {
		return t, nil
	}
	return t, fmt.Errorf("want a time such as \"2026-01-31T08:15:00Z\", got %s", excerpt(raw))
}

// number returns a JSON number as the nearest float32.
func number(raw []byte) (float32, error) {
	f, err := strconv.ParseFloat(string(raw), 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s does not fit a float32", excerpt(raw))
	case err != nil:
		return 0, fmt.Errorf("want a number, got %s", excerpt(raw))
	}
	return float32(f), nil
}

// ParseVector reads a JSON list of numbers. The error says in words what it is instead.
func ParseVector(text []byte) ([]float32, error) {
	text = bytes.TrimSpace(text)
	if !json.Valid(text) {
		return nil, errors.New("not valid JSON; want a list of numbers, such as [0.1, 0.2]")
	}
	return vector(text)
}

// vector reads a list of numbers. It is valid JSON already, so that commas separate numbers, or what number refuses: this
// is several times faster than encoding/json, and vectors are most of a file.
func vector(raw []byte) ([]float32, error) {
	if raw[0] != '[' {
		return nil, fmt.Errorf("want a list of numbers, got %s", excerpt(raw))
	}
	list := bytes.TrimSpace(raw[1 : len(raw)-1])
	if len(list) == 0 {
		return nil, nil
	}
	v := make([]float32, 0, bytes.Count(list, []byte(","))+1)
	for part := range bytes.SplitSeq(list, []byte(",")) {
		x, err := number(bytes.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("component %d: %w", len(v), err)
		}
		v = append(v, x)
	}
	return v, nil
}

func packedVector(raw []byte) ([]float32, error) {
	s, err := text(raw)
	if err != nil {
		return nil, err
	}
	packed, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64")
	}
	if len(packed)%4 != 0 {
		return nil, fmt.Errorf("%d bytes are not a multiple of 4", len(packed))
	}
	v := make([]float32, len(packed)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
	}
	return v, nil
}

// metadata reads an object of strings, numbers and booleans.
func metadata(raw []byte) (map[string]any, error) {
	if raw[0] != '{' {
		return nil, fmt.Errorf("want an object, got %s", excerpt(raw))
	}
	out := map[string]any{}
	err := eachKey(raw, func(key string, raw json.RawMessage) (err error) {
		if _, given := out[key]; given {
			return fmt.Errorf("%q is given twice", key)
		}
		if out[key], err = metadataValue(raw); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		return nil
	})
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// metadataValue turns a JSON value into one of the wire: a number without fraction or exponent is an integer, and is
// never rounded to a float.
func metadataValue(raw []byte) (any, error) {
	switch c := raw[0]; {
	case c == '"':
		return text(raw)
	case c == 't', c == 'f':
		return c == 't', nil
	case c != '-' && (c < '0' || c > '9'):
		return nil, fmt.Errorf("only strings, numbers and booleans are values, not %s", excerpt(raw))
	case bytes.ContainsAny(raw, ".eE"):
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, fmt.Errorf("%s does not fit a float64", excerpt(raw))
		}
		return f, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s does not fit an int64; write it as a string", excerpt(raw))
	}
	return n, nil
}

// maxExcerpt bounds, in bytes, what a message shows of a value.
const maxExcerpt = 40

func excerpt(raw []byte) string {
	if len(raw) <= maxExcerpt {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:maxExcerpt]), "") + "…"
}

// checkText refuses what encoding/json replaces by U+FFFD without a word: bytes that are not UTF-8, and escapes of half a
// surrogate pair.
func checkText(line []byte) error {
	if !utf8.Valid(line) {
		return fmt.Errorf("byte %d is not UTF-8", validPrefix(line)+1)
	}
	for rest := line; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 || i+1 == len(rest) {
			return nil
		}
		rest = rest[i:]
		n := 2
		if unit, ok := escapedUnit(rest); ok && utf16.IsSurrogate(unit) {
			n = 12
			low, ok := escapedUnit(rest[6:])
			if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
				return fmt.Errorf("%s is half a surrogate pair, and no character", rest[:6])
			}
		}
		rest = rest[n:]
	}
}

// escapedUnit reads the UTF-16 unit of an escape such as \u00e9 at the front of s.
func escapedUnit(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(n), err == nil
}

// validPrefix returns how many bytes from the front are UTF-8.
func validPrefix(b []byte) int {
	n := 0
	for {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			return n
		}
		n += size
	}
}
