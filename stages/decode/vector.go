package decode

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// The names of the two encodings, as clients know them.
const (
	listField   = "embedding"
	packedField = "embedding_f32"
)

// componentBytes is the size of a component in the packed encoding.
const componentBytes = 4

// decodeVector returns the one vector of an observation, owned by it, or says what is wrong with it. Nil without a
// rejection: it is to be made from the content.
func decodeVector(raw *session.RawObservation, to *target) ([]float32, *memory.Rejection) {
	switch {
	case len(raw.Embedding) > 0 && len(raw.EmbeddingF32) > 0:
		return nil, invalid(packedField, "embedding and embedding_f32 are both given; send one of them")
	case len(raw.Embedding) > 0:
		return checkList(raw.Embedding, &to.Space)
	case len(raw.EmbeddingF32) > 0:
		return unpack(raw.EmbeddingF32, &to.Space)
	}
	return nil, checkText(raw.Content, to)
}

// checkText says why the content of an observation cannot stand for its vector.
func checkText(content string, to *target) *memory.Rejection {
	open := to.Dimension == 0 && to.Embedder == "" // its first vector decides
	switch {
	case content == "" && to.server == "":
		return invalid(listField, "there is no vector; give embedding or embedding_f32")
	case content == "":
		return invalid(listField, "there is no vector; give embedding or embedding_f32, or content to be embedded")
	case to.server == "" && to.Embedder == "":
		return invalid(listField, "there is no vector, and this server embeds no texts; give embedding or embedding_f32")
	case to.Embedder == "" && !open:
		return invalid(listField, "there is no vector, and space %q has no embedder: its vectors come from clients; give embedding or "+
			"embedding_f32, or use another space for texts", to.Name)
	case to.server == "":
		return mismatch("space %q has its vectors from embedder %q, but this server embeds no texts", to.Name, to.Embedder)
	case to.server != to.Embedder && !open:
		return mismatch("space %q has its vectors from embedder %q, this server has %q", to.Name, to.Embedder, to.server)
	}
	return nil
}

func mismatch(format string, args ...any) *memory.Rejection {
	return &memory.Rejection{Code: fault.FailedPrecondition.Code(), Field: "content", Reason: fmt.Sprintf(format, args...)}
}

// checkList takes the list as it is: the frame that it came in belongs to the pipeline.
func checkList(list []float32, space *memory.Space) ([]float32, *memory.Rejection) {
	if r := checkDimension(listField, len(list), space); r != nil {
		return nil, r
	}
	return list, checkComponents(listField, list, space)
}

func unpack(packed []byte, space *memory.Space) ([]float32, *memory.Rejection) {
	if len(packed)%componentBytes != 0 {
		return nil, invalid(packedField, "%d bytes are not a multiple of %d, the size of a float32", len(packed), componentBytes)
	}
	if r := checkDimension(packedField, len(packed)/componentBytes, space); r != nil {
		return nil, r
	}
	vector := floats(packed)
	return vector, checkComponents(packedField, vector, space)
}

// floats returns the vector in packed bytes, which the pipeline owns: on a little-endian machine in the same memory, since a
// copy would be all that decoding costs. Nobody writes to either from then on.
func floats(packed []byte) []float32 {
	first := unsafe.Pointer(unsafe.SliceData(packed))
	if littleEndian && uintptr(first)%unsafe.Alignof(float32(0)) == 0 { // as whatever has been allocated for itself is
		return unsafe.Slice((*float32)(first), len(packed)/componentBytes)
	}
	return unpacked(packed)
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// unpacked is floats in memory of its own.
func unpacked(packed []byte) []float32 {
	vector := make([]float32, len(packed)/componentBytes)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[componentBytes*i:]))
	}
	return vector
}

func checkDimension(field string, n int, space *memory.Space) *memory.Rejection {
	switch {
	case space.Dimension != 0 && n != space.Dimension:
		return invalid(field, "space %q has dimension %d, got %d", space.Name, space.Dimension, n)
	case n > memory.MaxDimension:
		return invalid(field, "%d components, the most is %d", n, memory.MaxDimension)
	}
	return nil
}

// components learns from the bits of a vector's components, in the one pass over them, what is wrong with it.
type components struct {
	unbounded uint32 // not 0: some component is NaN or infinite
	nonzero   uint32 // 0: all are 0 or -0
}

const (
	exponentBits = 0x7f800000 // all set in NaN and the infinities only
	signBit      = 1 << 31
)

// add is branchless, since it runs for each component received.
func (c *components) add(bits uint32) {
	// Adding the exponent's lowest bit carries into the sign's place only from an exponent of all ones.
	c.unbounded |= (bits&exponentBits + exponentBits&-exponentBits) & signBit
	c.nonzero |= bits &^ signBit
}

func checkComponents(field string, vector []float32, space *memory.Space) *memory.Rejection {
	var seen components
	for _, x := range vector {
		seen.add(math.Float32bits(x))
	}
	return seen.check(field, vector, space)
}

func (c *components) check(field string, vector []float32, space *memory.Space) *memory.Rejection {
	if c.unbounded != 0 {
		return unboundedAt(field, vector)
	}
	if c.nonzero == 0 && space.Metric == memory.Cosine {
		return invalid(field, "all %d components are zero, which has no direction under cosine", len(vector))
	}
	return nil
}

func unboundedAt(field string, vector []float32) *memory.Rejection {
	for i, x := range vector {
		if x-x != 0 { // NaN and the infinities only
			return invalid(field, "component %d is %v; every component must be finite", i, x)
		}
	}
	return nil
}
