package arena

import (
	"fmt"
	"reflect"
	"unsafe"
)

const (
	// step is what memory is taken in: a huge page.
	step = 2 << 20
	// leastReserved and growth are how much room is reserved: so much at least, or so many times what is asked for.
	leastReserved = 64 << 20
	growth        = 8
)

// Memory holds one array. The zero value and nil hold none.
type Memory struct {
	reserved []byte // of which the first taken bytes can be used; nil: the array lies on the heap
	taken    int
}

// OffHeap reports whether the array lies outside the Go heap.
func (m *Memory) OffHeap() bool { return m != nil && m.reserved != nil }

// Make returns an array of n zero elements, and the memory that it lies in. Elements that hold pointers panic: the
// collector would not see them.
func Make[T any](n int) ([]T, *Memory) { return grow[T](nil, nil, n, 1) }

// Grow returns an array of n elements that begins with those of old, which lies in m and may be shorter; what follows is
// zero unless it was used in this memory before. It lies in the same memory if there is room, so that old goes on seeing
// what is written to it, and else in a new one, with a copy. One goroutine grows an array at a time.
func Grow[T any](m *Memory, old []T, n int) ([]T, *Memory) { return grow(m, old, n, growth) }

func grow[T any](m *Memory, old []T, n, ahead int) ([]T, *Memory) {
	mustBePlain(reflect.TypeFor[T]())
	size := int(unsafe.Sizeof(*new(T)))
	bytes := n * size
	if n < len(old) || bytes/max(size, 1) != n {
		panic(fmt.Sprintf("arena: an array of %d elements grows to %d", len(old), n))
	}
	if n == 0 || size == 0 {
		return old, m
	}
	if m.OffHeap() && m.take(bytes) {
		return elements[T](m, n), m
	}
	room := bytes
	if ahead > 1 {
		room = max(ahead*bytes, leastReserved)
	}
	if fresh := reserve(room, bytes); fresh != nil {
		items := elements[T](fresh, n)
		copy(items, old)
		return items, fresh
	}
	if cap(old) >= n && !m.OffHeap() {
		return old[:n], m
	}
	items := make([]T, n, max(n, min(ahead, 2)*n))
	copy(items, old)
	return items, &Memory{}
}

func elements[T any](m *Memory, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m.reserved))), n)
}

// take makes sure that the first bytes can be used; false: there is no room, or no memory.
func (m *Memory) take(bytes int) bool {
	if bytes <= m.taken {
		return true
	}
	if bytes > len(m.reserved) {
		return false
	}
	until := min((bytes+step-1)/step*step, len(m.reserved))
	if !use(m.reserved[m.taken:until]) {
		return false
	}
	m.taken = until
	return true
}

// mustBePlain panics for a type whose values hold pointers.
func mustBePlain(t reflect.Type) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
	case reflect.Array:
		mustBePlain(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Type.Size() > 0 {
				mustBePlain(f.Type)
			}
		}
	default:
		panic(fmt.Sprintf("arena: a %v holds pointers", t))
	}
}
