package rpc

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const testLimit = 1 << 18 // of a message on the wire

// wrapped puts bytes into nested fields, the last the innermost.
func wrapped(inner []byte, fields ...protowire.Number) []byte {
	for _, field := range slices.Backward(fields) {
		inner = protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), inner)
	}
	return inner
}

// manyParts are messages of n parts that take much more in memory than on the wire.
var manyParts = map[string]struct {
	of   func() proto.Message
	wire func(n int) []byte
	json func(n int) string
}{
	"observations": {
		func() proto.Message { return &engramv1.ObserveRequest{} },
		func(n int) []byte { return bytes.Repeat(wrapped(nil, 2), n) },
		func(n int) string { return `{"observations":[` + strings.Repeat("{},", n) + `{}]}` },
	},
	"filters": {
		func() proto.Message { return &engramv1.RecallRequest{} },
		func(n int) []byte {
			q := &engramv1.RecallQuery{Filter: &engramv1.Filter{Node: &engramv1.Filter_All{All: &engramv1.FilterList{
				Filters: slicesOf(n, func() *engramv1.Filter { return &engramv1.Filter{} }),
			}}}}
			return marshal(&engramv1.RecallRequest{Query: q})
		},
		func(n int) string {
			return `{"query":{"filter":{"all":{"filters":[` + strings.Repeat("{},", n) + `{}]}}}}`
		},
	},
	"frames": {
		func() proto.Message { return &engramv1.MemoryFlowRequest{} },
		func(n int) []byte {
			b := &engramv1.ObserveBatch{Observations: slicesOf(n, func() *engramv1.Observation { return &engramv1.Observation{} })}
			return marshal(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: b}})
		},
		func(n int) string { return `{"observe":{"observations":[` + strings.Repeat("{},", n) + `{}]}}` },
	},
	"keys": {
		func() proto.Message { return &engramv1.Observation{} },
		func(n int) []byte {
			fields := make(map[string]*engramv1.MetadataValue, n)
			for i := range n {
				fields[fmt.Sprintf("%x", i)] = &engramv1.MetadataValue{}
			}
			return marshal(&engramv1.Observation{Metadata: fields})
		},
		func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, `"%x":{},`, i)
			}
			return `{"metadata":{` + b.String() + `"z":{}}}`
		},
	},
	"entries": {
		func() proto.Message { return &engramv1.ObserveRequest{} },
		func(n int) []byte { return bytes.Repeat([]byte{0x12, 2, 0x1a, 0}, n) }, // an observation with one empty entry
		func(n int) string { return `{"observations":[` + strings.Repeat(`{"metadata":{"":{}}},`, n) + `{}]}` },
	},
	"empty entries": {
		func() proto.Message { return &engramv1.Observation{} },
		func(n int) []byte {
			var out []byte
			for i := range n {
				out = append(out, wrapped([]byte(fmt.Sprintf("\n\x05%05x", i)), 3)...)
			}
			return out
		},
		func(n int) string { return `{"metadata":{}}` + strings.Repeat(" ", n) },
	},
	"small": {
		func() proto.Message { return &engramv1.ObserveRequest{} },
		func(n int) []byte {
			return marshal(&engramv1.ObserveRequest{Observations: slicesOf(n, func() *engramv1.Observation {
				return &engramv1.Observation{MemoryId: "a", Content: "b", Embedding: []float32{1}, Metadata: map[string]*engramv1.MetadataValue{"c": {}}}
			})})
		},
		func(n int) string {
			return `{"observations":[` + strings.Repeat(`{"memoryId":"a","content":"b","embedding":[1],"metadata":{"c":{}}},`, n) + `{}]}`
		},
	},
	"escaped names": {
		func() proto.Message { return &engramv1.ObserveRequest{} },
		func(n int) []byte { return bytes.Repeat(wrapped(nil, 2), n) },
		func(n int) string { return `{"\u006fbservations":[` + strings.Repeat("{},", n) + `{}]}` },
	},
	"ids": {
		func() proto.Message { return &engramv1.ForgetRequest{} },
		func(n int) []byte {
			return marshal(&engramv1.ForgetRequest{Target: &engramv1.ForgetTarget{MemoryIds: make([]string, n)}})
		},
		func(n int) string { return `{"target":{"memoryIds":[` + strings.Repeat(`"",`, n) + `""]}}` },
	},
	"kinds": {
		func() proto.Message { return &engramv1.WatchRequest{} },
		func(n int) []byte { return marshal(&engramv1.WatchRequest{Kinds: make([]engramv1.EventKind, n)}) },
		func(n int) string { return `{"kinds":[` + strings.Repeat(`0,`, n) + `0]}` },
	},
}

func slicesOf[T any](n int, one func() T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one()
	}
	return all
}

func marshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

// live returns what is allocated and in use.
func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestADecodedMessageIsBounded: of each kind the largest message that passes takes no more than is said, and one that
// takes more is refused though it is within the limit on the wire.
func TestADecodedMessageIsBounded(t *testing.T) {
	for name, c := range manyParts {
		for form, build := range map[string]func(n int) (data []byte, decode func([]byte, any) error){
			"wire": func(n int) ([]byte, func([]byte, any) error) { return c.wire(n), protobuf{limit: testLimit}.Unmarshal },
			"json": func(n int) ([]byte, func([]byte, any) error) {
				return []byte(c.json(n)), strictJSON{name: "json", limit: testLimit}.Unmarshal
			},
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				passes, fails := 0, testLimit
				for fails-passes > fails/16 { // near enough
					n := (passes + fails) / 2
					data, decode := build(n)
					if m := c.of(); len(data) > testLimit || decode(data, m) != nil {
						fails = n
					} else {
						passes = n
					}
				}
				data, decode := build(passes)
				m := c.of()
				before := live()
				require.NoError(t, decode(data, m))
				took := live() - before
				runtime.KeepAlive(m)
				t.Logf("%d parts, %d bytes on the wire, %d in memory", passes, len(data), took)
				assert.LessOrEqual(t, took, decodedLimit(testLimit))
				assert.Greater(t, passes, 1000, "what people send passes")

				data, decode = build(4 * fails)
				if len(data) < testLimit {
					assert.ErrorContains(t, decode(data, c.of()), "so many parts")
				}
			})
		}
	}
}

// TestWhatPeopleSendIsDecoded: the most observations of a call, with vectors, ids and metadata.
func TestWhatPeopleSendIsDecoded(t *testing.T) {
	const limit = 8 << 20
	r := &engramv1.ObserveRequest{Space: "notes"}
	for i := range 1000 {
		metadata := map[string]*engramv1.MetadataValue{}
		for n := range 8 {
			metadata[fmt.Sprint("key", n)] = &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: "value"}}
		}
		r.Observations = append(r.Observations, &engramv1.Observation{
			MemoryId: fmt.Sprint(i), Content: strings.Repeat("x", 100), Embedding: make([]float32, 1536), Metadata: metadata,
		})
	}
	data := marshal(r)
	require.Less(t, len(data), limit)
	require.NoError(t, protobuf{limit: limit}.Unmarshal(data, &engramv1.ObserveRequest{}))
	digits := `{"observations":[` + strings.Repeat(`{"embedding":[`+strings.Repeat("1,", 4095)+`1]},`, 1000) + `{}]}`
	require.Less(t, len(digits), limit)
	require.NoError(t, strictJSON{limit: limit}.Unmarshal([]byte(digits), &engramv1.ObserveRequest{}))
	text, err := protojson.Marshal(r)
	require.NoError(t, err)
	require.Less(t, len(text), limit)
	require.NoError(t, strictJSON{limit: limit}.Unmarshal(text, &engramv1.ObserveRequest{}))
}

// TestNestingIsBounded: each level of a filter is a stack deeper for all that walks it.
func TestNestingIsBounded(t *testing.T) {
	for depth, ok := range map[int]bool{20: true, 200: false} {
		filter, text := &engramv1.Filter{}, "{}"
		for range depth {
			filter = &engramv1.Filter{Node: &engramv1.Filter_Not{Not: filter}}
			text = `{"not":` + text + "}"
		}
		m := &engramv1.RecallRequest{Query: &engramv1.RecallQuery{Filter: filter}}
		text = `{"query":{"filter":` + text + `}}`
		for form, err := range map[string]error{
			"wire": protobuf{limit: testLimit}.Unmarshal(marshal(m), &engramv1.RecallRequest{}),
			"json": strictJSON{limit: testLimit}.Unmarshal([]byte(text), &engramv1.RecallRequest{}),
		} {
			if ok {
				require.NoError(t, err, form)
			} else {
				require.ErrorContains(t, err, "recursion depth", form)
			}
		}
	}
}

// FuzzCount: whatever is counted, in whatever form, is read to an end, and what can be decoded from both forms is counted for
// no less in JSON than in binary, where nothing comes packed.
func FuzzCount(f *testing.F) {
	for _, c := range manyParts {
		f.Add(c.wire(2), c.json(2))
	}
	f.Add([]byte{0xff}, `{"a":[{"b":"\\\"`)
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		for _, m := range []proto.Message{&engramv1.ObserveRequest{}, &engramv1.RecallRequest{}, &engramv1.MemoryFlowRequest{}} {
			const most = 1 << 40
			wire, inJSON := &tally{left: most}, &tally{left: most}
			countWire(shapeOf(m), data, wire)
			countJSON(shapeOf(m), []byte(text), inJSON)
			if wire.over() || (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m) != nil {
				continue
			}
			again, err := protojson.Marshal(m)
			if err != nil {
				continue // text that is no UTF-8
			}
			wire, inJSON = &tally{left: most}, &tally{left: most}
			data := marshal(m)
			countWire(shapeOf(m), data, wire)
			countJSON(shapeOf(m), again, inJSON)
			require.LessOrEqual(t, inJSON.left, wire.left+int64(len(data)), "%s", again)
		}
	})
}

// TestADeepPartDoesNotEndTheCount: what lists nest counts by another measure than the decoder's.
func TestADeepPartDoesNotEndTheCount(t *testing.T) {
	deep := "{}"
	for range 40 { // of 80 messages within each other, and of 120 levels of JSON
		deep = `{"all":{"filters":[` + deep + `]}}`
	}
	text := `{"query":{"filter":{"all":{"filters":[` + deep + strings.Repeat(",{}", 80_000) + `]}}}}`
	require.Less(t, len(text), testLimit)
	require.NoError(t, protojson.Unmarshal([]byte(text), &engramv1.RecallRequest{}))
	require.ErrorContains(t, strictJSON{limit: testLimit}.Unmarshal([]byte(text), &engramv1.RecallRequest{}), "so many parts")
}

// BenchmarkCheckDecoded is what counting costs beside decoding: 1,000 vectors of 768 components.
func BenchmarkCheckDecoded(b *testing.B) {
	for name, o := range map[string]*engramv1.Observation{
		"floats": {MemoryId: "a", Content: "b", Embedding: make([]float32, 768)}, "bytes": {MemoryId: "a", Content: "b", EmbeddingF32: make([]byte, 4*768)},
	} {
		data := marshal(&engramv1.ObserveRequest{Observations: slicesOf(1000, func() *engramv1.Observation { return o })})
		b.Run(name+"/count", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, checkDecoded(&engramv1.ObserveRequest{}, data, 8<<20, countWire))
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, proto.Unmarshal(data, &engramv1.ObserveRequest{}))
			}
		})
	}
}
