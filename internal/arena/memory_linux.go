//go:build linux && !race

package arena

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is what was asked of the system and goes back to it.
type mapping struct {
	start unsafe.Pointer
	bytes uintptr
}

// reserve returns memory with room for so many bytes, the first of which can be used; nil: there is none. Room counts for
// no limit on memory until it is used.
func reserve(room, bytes int) *Memory {
	room = (room + step - 1) / step * step
	at := mapping{bytes: uintptr(room + step)} // a huge page begins at a multiple of its size
	start, err := unix.MmapPtr(-1, 0, nil, at.bytes, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	at.start = start
	skip := (step - uintptr(start)%step) % step
	m := &Memory{reserved: unsafe.Slice((*byte)(unsafe.Add(start, skip)), room)}
	runtime.AddCleanup(m, giveBack, at)
	if !m.take(bytes) {
		return nil
	}
	return m
}

func giveBack(at mapping) { _ = unix.MunmapPtr(at.start, at.bytes) } // what fails stays reserved

// use makes a part of what was reserved usable, with huge pages where the system has them.
func use(part []byte) bool {
	if unix.Mprotect(part, unix.PROT_READ|unix.PROT_WRITE) != nil {
		return false
	}
	_ = unix.Madvise(part, unix.MADV_HUGEPAGE) // an advice
	return true
}

// mapChunk maps memory for small pieces, without huge pages: what nobody has touched takes none. nil: there is none.
func mapChunk(bytes int) []byte {
	start, err := unix.MmapPtr(-1, 0, nil, uintptr(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	chunk := unsafe.Slice((*byte)(start), bytes)
	_ = unix.Madvise(chunk, unix.MADV_NOHUGEPAGE) // an advice
	return chunk
}

// emptyPages gives the pages that lie within b back to the system; they read as zero then.
func emptyPages(b []byte) {
	page := uintptr(unix.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	first := (page - start%page) % page
	last := (start+uintptr(len(b)))/page*page - start
	if first < last {
		_ = unix.Madvise(b[first:last], unix.MADV_DONTNEED) // what fails stays
	}
}
