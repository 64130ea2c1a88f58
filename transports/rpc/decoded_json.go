package rpc

// unknownField and unknownShape stand for what the schema does not know, which ends the decoding where it comes.
var unknownField, unknownShape = &field{}, &shape{}

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
		if j.tally.enter(of.bytes) {
			j.members(of)
			j.tally.leave()
		}
	case '[':
		if j.tally.enter(f.each) {
			j.elements(f)
			j.tally.leave()
		}
	case '"':
		j.tally.left -= plain
		j.text()
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
			name := j.text()
			if j.peek() == ':' {
				j.rest = j.rest[1:]
			}
			if of.values == nil {
				j.value(of.byName[string(name)])
				break
			}
			j.tally.left -= of.bytes
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
