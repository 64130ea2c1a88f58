package rpc

import (
	"bytes"
	"encoding/json"
	"slices"
)

// unknownField and unknownShape stand for what is not known to be in the schema. It ends the decoding where it comes; should
// it not, it counts for more than anything would that is.
var unknownField, unknownShape = &field{each: maxGrowth}, &shape{bytes: maxGrowth}

// countJSON counts a message in JSON.
func countJSON(s *shape, text []byte, t *tally) {
	(&jsonText{rest: text, tally: t}).value(&field{of: s})
}

// jsonText is JSON as far as it has not been read. It tells what values there are, not whether they are well formed.
type jsonText struct {
	rest  []byte
	tally *tally
}

// value counts the next value, of a field, and passes over it.
func (j *jsonText) value(f *field) {
	if f == nil {
		f = unknownField
	}
	plain := f.each
	if f.of != nil { // a time or a duration is a string
		plain = f.of.bytes
	}
	switch j.peek() {
	case '{':
		of := f.of
		if of == nil {
			of = unknownShape
		}
		bytes := of.bytes
		if of.values != nil { // a map, whose members are entries
			bytes = mapBytes
		}
		if j.tally.enter(bytes) {
			j.members(of)
			j.tally.leave()
		}
	case '[':
		if j.tally.enter(f.each + ownBytes) {
			j.elements(f)
			j.tally.leave()
		}
	case '"':
		j.tally.left -= plain + ownBytes + int64(len(j.text()))
	default:
		j.tally.left -= plain
		j.literal()
	}
}

// members counts those of an object.
func (j *jsonText) members(of *shape) {
	j.rest = j.rest[1:]
	for !j.tally.over() {
		switch j.peek() {
		case '"':
			name := unescaped(j.text())
			if j.peek() == ':' {
				j.rest = j.rest[1:]
			}
			if of.values == nil {
				j.value(of.byName[string(name)])
				break
			}
			j.tally.left -= of.bytes + ownBytes + int64(len(name))
			j.value(of.values)
		case '}':
			j.rest = j.rest[1:]
			return
		case 0:
			return
		default:
			j.rest = j.rest[1:]
		}
	}
}

// elements counts those of an array.
func (j *jsonText) elements(f *field) {
	j.rest = j.rest[1:]
	for !j.tally.over() {
		switch j.peek() {
		case ']':
			j.rest = j.rest[1:]
			return
		case ',':
			j.rest = j.rest[1:]
		case 0:
			return
		default:
			before := len(j.rest)
			j.value(f)
			if len(j.rest) == before { // what cannot stand here
				return
			}
		}
	}
}

// peek returns the next byte that is no space; 0 at the end.
func (j *jsonText) peek() byte {
	for i, c := range j.rest {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			j.rest = j.rest[i:]
			return c
		}
	}
	j.rest = nil
	return 0
}

// text passes over a string and returns what is between its quotes, escapes as they are.
func (j *jsonText) text() []byte {
	for i := 1; i < len(j.rest); i++ {
		switch j.rest[i] {
		case '\\':
			i++
		case '"':
			text := j.rest[1:i]
			j.rest = j.rest[i+1:]
			return text
		}
	}
	j.rest = nil
	return nil
}

// unescaped returns a name as it is decoded; one that no schema knows where that is not possible.
func unescaped(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	var text string
	if err := json.Unmarshal(slices.Concat([]byte{'"'}, name, []byte{'"'}), &text); err != nil {
		return nil
	}
	return []byte(text)
}

// literal passes over a number or a word.
func (j *jsonText) literal() {
	for i, c := range j.rest {
		switch c {
		case ',', ']', '}', ':', '"', '[', '{', ' ', '\t', '\n', '\r':
			j.rest = j.rest[i:]
			return
		}
	}
	j.rest = nil
}
