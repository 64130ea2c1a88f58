package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

// An item is one op, readable by itself. Numbers are varints unless a width is given, strings have their length in
// front, f32 and f64 are little-endian.
//
//	observe   | 1 | sequence | id | content | pairs | key, type u8, value … | observed | received | confidence f32 | n | n × f32 |
//	forget    | 2 | sequence | received | observed before | n | n × id |
//	rejected  | 3 | sequence | code | reason | field |
//
// A time is | 0 | when not given, else | 1 | seconds (zigzag) | nanoseconds |.
const (
	valueString = 1
	valueInt    = 2
	valueFloat  = 3
	valueFalse  = 4
	valueTrue   = 5
)

// appendOp encodes an op. Values of metadata other than string, int64, float64 and bool do not occur: decode refuses them.
func appendOp(dst []byte, op memory.Op) []byte {
	dst = append(dst, byte(op.Kind))
	dst = binary.AppendUvarint(dst, op.Sequence)
	switch op.Kind {
	case memory.OpObserve:
		return appendObservation(dst, op.Observe)
	case memory.OpForget:
		dst = appendTime(dst, op.Forget.ReceivedAt)
		dst = appendTime(dst, op.Forget.ObservedBefore)
		dst = binary.AppendUvarint(dst, uint64(len(op.Forget.IDs)))
		for _, id := range op.Forget.IDs {
			dst = appendString(dst, id)
		}
		return dst
	case memory.OpRejected:
		return appendRejection(dst, *op.Rejection)
	}
	panic(fmt.Sprintf("journal: op of kind %d", op.Kind))
}

func appendObservation(dst []byte, o *memory.Observation) []byte {
	dst = appendString(dst, o.ID)
	dst = appendString(dst, o.Content)
	dst = appendMetadata(dst, o.Metadata)
	dst = appendTime(dst, o.ObservedAt)
	dst = appendTime(dst, o.ReceivedAt)
	dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(o.Confidence))
	dst = binary.AppendUvarint(dst, uint64(len(o.Vector)))
	return appendVector(dst, o.Vector)
}

func appendVector(dst []byte, vector []float32) []byte {
	start := len(dst)
	dst = slices.Grow(dst, 4*len(vector))[:start+4*len(vector)]
	for i, c := range vector {
		binary.LittleEndian.PutUint32(dst[start+4*i:], math.Float32bits(c))
	}
	return dst
}

func appendMetadata(dst []byte, metadata map[string]memory.Value) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(metadata)))
	if len(metadata) == 0 {
		return dst
	}
	var few [16]string // so that the keys of most observations need no memory of their own
	keys := few[:0]
	for key := range metadata {
		keys = append(keys, key)
	}
	slices.Sort(keys) // so that equal observations are equal bytes
	for _, key := range keys {
		dst = appendString(dst, key)
		dst = appendValue(dst, metadata[key])
	}
	return dst
}

func appendValue(dst []byte, value memory.Value) []byte {
	switch v := value.(type) {
	case string:
		return appendString(append(dst, valueString), v)
	case int64:
		return binary.AppendVarint(append(dst, valueInt), v)
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, valueFloat), math.Float64bits(v))
	case bool:
		if v {
			return append(dst, valueTrue)
		}
		return append(dst, valueFalse)
	}
	panic(fmt.Sprintf("journal: metadata value of type %T", value))
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(append(dst, 1), t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond()))
}

func appendRejection(dst []byte, r memory.Rejection) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Code))
	dst = appendString(dst, r.Reason)
	return appendString(dst, r.Field)
}

// decodeOp decodes an item. What it returns shares nothing with b.
func decodeOp(b []byte) (memory.Op, error) {
	r := &reader{b: b}
	op := memory.Op{Kind: memory.OpKind(r.byte()), Sequence: r.uvarint()}
	switch op.Kind {
	case memory.OpObserve:
		op.Observe = r.observation()
	case memory.OpForget:
		op.Forget = r.forget()
	case memory.OpRejected:
		rejection := r.rejection()
		op.Rejection = &rejection
	default:
		r.fail()
	}
	if err := r.end(); err != nil {
		return memory.Op{}, err
	}
	return op, nil
}

func (r *reader) forget() *memory.Forget {
	f := &memory.Forget{ReceivedAt: r.time(), ObservedBefore: r.time()}
	for range r.count(1) {
		f.IDs = append(f.IDs, r.string())
	}
	return f
}

func (r *reader) observation() *memory.Observation {
	return &memory.Observation{
		ID: r.string(), Content: r.string(), Metadata: r.metadata(), ObservedAt: r.time(), ReceivedAt: r.time(),
		Confidence: r.float32(), Vector: r.vector(),
	}
}

func (r *reader) metadata() map[string]memory.Value {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]memory.Value, n)
	for range n {
		key := r.string()
		m[key] = r.value()
	}
	return m
}

func (r *reader) value() memory.Value {
	switch r.byte() {
	case valueString:
		return r.string()
	case valueInt:
		return r.varint()
	case valueFloat:
		if b := r.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return 0.0
	case valueFalse:
		return false
	case valueTrue:
		return true
	}
	r.fail()
	return nil
}

func (r *reader) time() time.Time {
	switch r.byte() {
	case 0:
		return time.Time{}
	case 1:
		seconds, nanos := r.varint(), r.uvarint()
		if nanos < 1e9 {
			return time.Unix(seconds, int64(nanos)).UTC()
		}
	}
	r.fail()
	return time.Time{}
}

func (r *reader) float32() float32 {
	if b := r.take(4); b != nil {
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func (r *reader) vector() []float32 {
	n := r.count(4)
	b := r.take(4 * uint64(n))
	if len(b) == 0 {
		return nil
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func (r *reader) rejection() memory.Rejection {
	code := r.uvarint()
	if code > math.MaxUint32 {
		r.fail()
	}
	return memory.Rejection{Code: uint32(code), Reason: r.string(), Field: r.string()}
}
