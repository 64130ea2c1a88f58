package rpc

import (
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// An empty observation is two bytes on the wire and some two hundred in memory, so a message within its limit could take a
// hundred times that. What it will take is therefore counted before it is decoded.
const (
	// decodedFactor is how many times the limit a message may take once it is decoded.
	decodedFactor = 4
	// minDecoded lets a thousand plain observations pass where the limit is small, in bytes.
	minDecoded = 1 << 20
	// maxGrowth is more than any byte on the wire can become: what is too small to matter is not looked at.
	maxGrowth = 256
	// maxDepth is how deep messages may be nested, as in other languages' libraries. The decoders keep to it; what is counted
	// may be deeper, since JSON has lists between messages, but not without end.
	maxDepth   = 100
	maxCounted = 4 * maxDepth

	pointerBytes = 16  // a pointer in a slice that grows by doubling
	stringBytes  = 32  // a string in such a slice
	entryBytes   = 64  // an entry of a map
	mapBytes     = 256 // a map, with room for its first entries
	choiceBytes  = 24  // what stands in a oneof
	ownBytes     = 16  // the least that is allocated for a string of its own
)

// shape is what is to be known of a message type: what one takes, and what its fields hold.
type shape struct {
	bytes  int64
	fields [maxNumber + 1]*field // by their numbers
	byName map[string]*field     // in JSON, and as the schema spells it
	values *field                // of an entry of a map, which in JSON is a member of an object; else nil
}

// maxNumber is more than any number of a field in the schema.
const maxNumber = 31

// field is one of a message's. What it takes beside its bytes on the wire: of is for messages, each for others.
type field struct {
	of   *shape
	each int64 // an element that comes alone
	byte int64 // a byte of elements that come packed
}

var shapes sync.Map // of protoreflect.FullName, *shape

// shapeOf returns the shape of a message's type.
func shapeOf(m proto.Message) *shape {
	d := m.ProtoReflect().Descriptor()
	if known, ok := shapes.Load(d.FullName()); ok {
		return known.(*shape)
	}
	s := newShape(d, map[protoreflect.FullName]*shape{})
	shapes.Store(d.FullName(), s)
	return s
}

// newShape makes the shape of a type and of all that it leads to; types lead back to themselves.
func newShape(d protoreflect.MessageDescriptor, made map[protoreflect.FullName]*shape) *shape {
	if s := made[d.FullName()]; s != nil {
		return s
	}
	s := &shape{byName: map[string]*field{}, bytes: messageBytes(d)}
	made[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{}
		switch {
		case fd.Message() != nil:
			f.of = newShape(fd.Message(), made)
		case fd.IsList():
			f.each = elementBytes(fd.Kind())
			if fd.IsPacked() && fd.Kind() != protoreflect.FloatKind {
				f.byte = f.each // a small number is one byte
			}
		}
		if d.IsMapEntry() && fd == d.Fields().ByNumber(2) {
			s.values = f
			if f.of != nil { // the entry has one in any case
				value := *f.of
				s.bytes += value.bytes
				value.bytes = 0
				f.of = &value
			}
		}
		if fd.Number() > maxNumber {
			panic(fmt.Sprintf("rpc: field %s has a number over %d", fd.FullName(), maxNumber))
		}
		s.fields[fd.Number()], s.byName[fd.JSONName()], s.byName[string(fd.Name())] = f, f, f
	}
	return s
}

// elementBytes returns what an element takes in a slice that grows by doubling.
func elementBytes(kind protoreflect.Kind) int64 {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return stringBytes
	case protoreflect.FloatKind, protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.EnumKind, protoreflect.BoolKind:
		return 8
	}
	return 16
}

// messageBytes returns what a message takes, without what its fields point to.
func messageBytes(d protoreflect.MessageDescriptor) int64 {
	if d.IsMapEntry() {
		return entryBytes
	}
	size := int64(maxGrowth) // of a type that is not linked in, which cannot be
	if t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName()); err == nil {
		size = int64(reflect.TypeOf(t.Zero().Interface()).Elem().Size())
	}
	return size + pointerBytes + choiceBytes
}

// decodedLimit returns what a message may take when wire bytes of a message may be limit.
func decodedLimit(limit int) int64 { return max(decodedFactor*int64(limit), minDecoded) }

// checkDecoded refuses a message that would take more than its limit allows, or is nested beyond counting. What is malformed,
// or nested deeper than it may be, passes: whoever decodes it says so better.
func checkDecoded(m proto.Message, data []byte, limit int, count func(*shape, []byte, *tally)) error {
	most := decodedLimit(limit)
	if int64(len(data))*maxGrowth <= most {
		return nil
	}
	t := &tally{left: most}
	count(shapeOf(m), data, t)
	if t.left < 0 {
		return fmt.Errorf("the message has so many parts that it would take more than %d bytes once it is decoded, from %d; send less in a message", most, len(data))
	}
	return nil
}

// tally is what a message may still take.
type tally struct {
	left  int64 // below 0: too much
	depth int
}

func (t *tally) over() bool { return t.left < 0 }

// enter goes one message deeper; leave must follow if it returns true.
func (t *tally) enter(bytes int64) bool {
	if t.left -= bytes; t.depth == maxCounted {
		t.left = -1
	}
	if t.over() {
		return false
	}
	t.depth++
	return true
}

func (t *tally) leave() { t.depth-- }

// countWire counts a message in protobuf's binary form. What its fields hold takes about its bytes on the wire.
func countWire(s *shape, data []byte, t *tally) {
	t.left -= int64(len(data))
	s.countWire(data, t)
}

func (s *shape) countWire(data []byte, t *tally) {
	if !t.enter(s.bytes) {
		return
	}
	defer t.leave()
	mapped := false
	for len(data) > 0 && !t.over() {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return
		}
		data = data[n:]
		var f *field
		if number <= maxNumber {
			f = s.fields[number]
		}
		if kind != protowire.BytesType {
			n = protowire.ConsumeFieldValue(number, kind, data)
			if n < 0 {
				return
			}
			if f != nil {
				t.left -= f.each
			}
			data = data[n:]
			continue
		}
		inner, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return
		}
		data = data[n:]
		switch {
		case f == nil: // kept as it is, in a slice that grows by doubling
			t.left -= int64(n)
		case f.of == nil:
			t.left -= ownBytes + f.each + f.byte*int64(len(inner))
		default:
			if f.of.values != nil && !mapped {
				mapped = true
				t.left -= mapBytes
			}
			f.of.countWire(inner, t)
		}
	}
}
