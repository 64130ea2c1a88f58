package arena

import (
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

const (
	// leastSmall and mostSmall are the bytes of arrays that lie outside the heap: less is not worth a Piece.
	leastSmall, mostSmall = 8 << 10, 4 << 20
	// chunkBytes are reserved at once, and used page by page.
	chunkBytes = 16 << 20
	align      = 64
)

// Piece holds one small array outside the Go heap, until it can no longer be reached. See the package's documentation on how to
// hold it. nil: the array lies on the heap.
type Piece struct{ bytes []byte }

// pieces are those that nobody has, for arrays of the same size, and room for more. What was mapped stays mapped; the pages of
// a piece go back to the system with it.
var pieces struct {
	sync.Mutex
	free map[int][][]byte // guarded by Mutex: by size
	room []byte           // guarded by Mutex: of the last chunk
}

// MakeSmall returns an array of n zero elements that hold no pointers, and the piece that it lies in. Many small arrays on the
// heap would have it grow to twice their size before it is collected.
func MakeSmall[T any](n int) ([]T, *Piece) {
	mustBePlain(reflect.TypeFor[T]())
	bytes := n * int(unsafe.Sizeof(*new(T)))
	if bytes < leastSmall || bytes > mostSmall {
		return make([]T, n), nil
	}
	size := (bytes + align - 1) / align * align
	b, used := takePiece(size)
	if b == nil {
		return make([]T, n), nil
	}
	if used {
		clear(b)
	}
	p := &Piece{bytes: b}
	runtime.AddCleanup(p, freePiece, b)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), p
}

// takePiece returns so many bytes; used: they may not be zero. nil: there is no memory.
func takePiece(size int) (b []byte, used bool) {
	pieces.Lock()
	defer pieces.Unlock()
	if free := pieces.free[size]; len(free) > 0 {
		b, pieces.free[size] = free[len(free)-1], free[:len(free)-1]
		return b, true
	}
	if len(pieces.room) < size {
		if pieces.room = mapChunk(chunkBytes); pieces.room == nil {
			return nil, false
		}
	}
	b, pieces.room = pieces.room[:size:size], pieces.room[size:]
	return b, false
}

func freePiece(b []byte) {
	emptyPages(b)
	pieces.Lock()
	defer pieces.Unlock()
	if pieces.free == nil {
		pieces.free = map[int][][]byte{}
	}
	pieces.free[len(b)] = append(pieces.free[len(b)], b)
}
